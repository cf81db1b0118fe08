//! Flags, and what is watched because of them.

use std::sync::Arc;

use clap::Parser;
use http::{Request, Response};
use kube::client::Body;

use crate::objects::{Kind, NamespacedName};
use crate::sources::kubernetes::list_watch::Request as Ask;
use crate::sources::kubernetes::resource::{Resource, Secrets};
use crate::sources::kubernetes::{Args, Kubernetes};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

fn args(flags: &[&str]) -> Result<Args, String> {
    let flags = std::iter::once("isobath").chain(flags.iter().copied());
    Cli::try_parse_from(flags)
        .map(|cli| cli.args)
        .map_err(|error| error.to_string())
}

/// A client whose every answer is this one.
pub(super) fn answering(status: u16, body: &'static str) -> kube::Client {
    let service = tower::service_fn(move |_: Request<Body>| async move {
        let response = Response::builder().status(status);
        Ok::<_, std::convert::Infallible>(
            response.body(Body::from(body.as_bytes().to_vec())).unwrap(),
        )
    });
    kube::Client::new(service, "default")
}

#[test]
fn flags() {
    let parsed = args(&["--watch-namespaces=b,a,b", "--start-jitter=500ms"]).unwrap();
    assert_eq!(parsed.watch_namespaces, ["b", "a", "b"]);
    assert_eq!(parsed.start_jitter.as_millis(), 500);
    assert_eq!(args(&[]).unwrap().start_jitter.as_secs(), 3);
    for (flag, sentence) in [
        ("--watch-namespaces=a,", "lower-case letters"),
        ("--watch-namespaces=A", "lower-case letters"),
        ("--watch-namespaces=a/b", "lower-case letters"),
        (
            "--start-jitter=-1s",
            "it is a length of time such as 90s, 5m or 500ms",
        ),
        ("--start-jitter=soon", "such as 90s"),
    ] {
        let message = args(&[flag]).unwrap_err();
        assert!(message.contains(sentence), "{flag}: {message}");
    }
}

#[tokio::test]
async fn watched() {
    const NONE: (u16, &str) = (404, "404 page not found");
    // Groups have versions, and versions have resources.
    const CRD: (u16, &str) = (
        200,
        r#"{"versions":[{"version":"v1"},{"version":"v1alpha1"}],"resources":[{"name":"httpproxies"},{"name":"tlscertificatedelegations"},{"name":"extensionservices"},{"name":"gateways"},{"name":"referencegrants"}]}"#,
    );
    for (flags, class, discovered, expected) in [
        (
            &[][..],
            None,
            NONE,
            "IngressClass, Ingress, Service, EndpointSlice, Secret",
        ),
        (
            &[],
            Some("edge"),
            CRD,
            "Ingress, Service, EndpointSlice, Secret, TLSCertificateDelegation, HTTPProxy, ExtensionService, Gateway, ReferenceGrant, ConfigMap, Namespace",
        ),
        (
            &[],
            None,
            (
                200,
                r#"{"versions":[{"version":"v1"}],"resources":[{"name":"httpproxies"}]}"#,
            ),
            "IngressClass, Ingress, Service, EndpointSlice, Secret, HTTPProxy",
        ),
        (
            &[],
            Some("edge"),
            (403, ""),
            "Ingress, Service, EndpointSlice, Secret",
        ),
        (
            &["--watch-namespaces=b,a,b"],
            None,
            CRD,
            "IngressClass, Ingress a, Ingress b, Service a, Service b, EndpointSlice a, EndpointSlice b, Secret a, \
             Secret b, TLSCertificateDelegation a, TLSCertificateDelegation b, HTTPProxy a, HTTPProxy b, \
             ExtensionService a, ExtensionService b",
        ),
    ] {
        let client = answering(discovered.0, discovered.1);
        let source = Kubernetes::with_client(client, &args(flags).unwrap(), class.is_some())
            .await
            .unwrap();
        let watched: Vec<_> = source
            .watched()
            .into_iter()
            .map(|(kind, namespace)| match namespace {
                Some(namespace) => format!("{kind} {namespace}"),
                None => kind.to_string(),
            })
            .collect();
        assert_eq!(watched.join(", "), expected);
    }
    for (status, end) in [(401, "Unauthorized"), (503, "Service Unavailable")] {
        let client = answering(status, "");
        let error = Kubernetes::with_client(client, &args(&[]).unwrap(), false)
            .await
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            format!("list-watch of GatewayClass: the API server answered {status}: {end}")
        );
    }
}

/// One ConfigMap is read by its name where no Gateways are, and with all others where they are; and it may be of a namespace of which
/// nothing else is read.
#[tokio::test]
async fn the_named_config_map_is_watched() {
    let gateways = r#"{"versions":[{"version":"v1"}],"resources":[{"name":"gateways"}]}"#;
    for (flags, discovered, expected) in [
        (&[][..], (404, "404 page not found"), "ConfigMap"),
        (&[], (200, gateways), "ConfigMap"),
        (
            &["--watch-namespaces=a"],
            (404, "404 page not found"),
            "ConfigMap ns",
        ),
        (&["--watch-namespaces=a"], (200, gateways), "ConfigMap ns"),
    ] {
        let args = Args {
            config_map: Some(NamespacedName::new("ns", "controller")),
            ..args(flags).unwrap()
        };
        let client = answering(discovered.0, discovered.1);
        let source = Kubernetes::with_client(client, &args, true).await.unwrap();
        let mut watched = source.watched();
        watched.retain(|(kind, _)| *kind == Kind::ConfigMap);
        let words: Vec<String> = watched
            .into_iter()
            .map(|(kind, namespace)| match namespace {
                Some(namespace) => format!("{kind} {namespace}"),
                None => kind.to_string(),
            })
            .collect();
        assert_eq!(words.join(", "), expected, "{flags:?}");
    }
    let name = NamespacedName::new("ns", "controller");
    let resource = Resource::named(Kind::ConfigMap, &name);
    let lasts = std::time::Duration::from_secs(42);
    let request = resource.request(&Ask::StreamingList, lasts).unwrap();
    let uri = request.uri().to_string();
    assert!(
        uri.starts_with("/api/v1/namespaces/ns/configmaps?"),
        "{uri}"
    );
    assert!(
        uri.contains("fieldSelector=metadata.name%3Dcontroller"),
        "{uri}"
    );
}

#[test]
fn uris() {
    let lasts = std::time::Duration::from_secs(42);
    for (kind, namespace, ask, uri) in [
        (
            Kind::IngressClass,
            None,
            Ask::StreamingList,
            "/apis/networking.k8s.io/v1/ingressclasses?&watch=true&timeoutSeconds=42&allowWatchBookmarks=true\
             &sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=",
        ),
        (
            Kind::Secret,
            Some("ns"),
            Ask::List {
                limit: Some(500),
                continue_token: Some("a+b/=".to_owned()),
            },
            "/api/v1/namespaces/ns/secrets?&fieldSelector=type%3Dkubernetes.io%2Ftls&limit=500&continue=a%2Bb%2F%3D",
        ),
        (
            Kind::Secret,
            None,
            Ask::Watch {
                version: "7".to_owned(),
            },
            "/api/v1/secrets?&watch=true&timeoutSeconds=42&fieldSelector=type%3Dkubernetes.io%2Ftls\
             &allowWatchBookmarks=true&resourceVersion=7",
        ),
        (
            Kind::EndpointSlice,
            None,
            Ask::List {
                limit: None,
                continue_token: None,
            },
            "/apis/discovery.k8s.io/v1/endpointslices?",
        ),
    ] {
        let resource = Resource::new(kind, namespace.map(Arc::from), Secrets::Tls);
        let request = resource.request(&ask, lasts).unwrap();
        assert_eq!(request.uri().to_string(), uri);
    }
}

/// Secrets of other types are read where somebody may name them.
#[test]
fn which_secrets_are_asked_for() {
    let built_in = [Kind::Ingress, Kind::Secret, Kind::TlsCertificateDelegation];
    for (also, expected, selector) in [
        (
            None,
            Secrets::Tls,
            "fieldSelector=type%3Dkubernetes.io%2Ftls",
        ),
        (
            Some(Kind::HttpProxy),
            Secrets::Opaque,
            "fieldSelector=type%21%3Dhelm.sh%2Frelease.v1%2Ctype%21%3Dkubernetes.io%2Fservice-account-token%2C",
        ),
        (
            Some(Kind::ExtensionService),
            Secrets::Opaque,
            "%2Ctype%21%3Dbootstrap.kubernetes.io%2Ftoken",
        ),
    ] {
        let kinds: Vec<_> = built_in.into_iter().chain(also).collect();
        let secrets = Secrets::named_by(kinds.iter());
        assert_eq!(secrets, expected);
        let ask = Ask::List {
            limit: None,
            continue_token: None,
        };
        let lasts = std::time::Duration::from_secs(42);
        for (kind, is_selected) in [(Kind::Secret, true), (Kind::Service, false)] {
            let resource = Resource::new(kind, None, secrets);
            let uri = resource.request(&ask, lasts).unwrap().uri().to_string();
            assert_eq!(uri.contains(selector), is_selected, "{uri}");
            assert_eq!(uri.contains("fieldSelector"), is_selected, "{uri}");
        }
    }
}
