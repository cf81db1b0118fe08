#![allow(clippy::unwrap_used, clippy::expect_used)]

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::EdsClusterConfig;
use envoy_types::pb::envoy::config::core::v3::{
    ConfigSource, DataSource, ExtensionConfigSource, TypedExtensionConfig, data_source::Specifier,
};
use envoy_types::pb::envoy::config::core::v3::{TransportSocket, transport_socket};
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::{
    Filter, FilterChain, Listener, filter::ConfigType,
};
use envoy_types::pb::envoy::config::route::v3::ScopedRouteConfiguration;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, Rds, http_connection_manager::RouteSpecifier,
};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, Secret, TlsCertificate, secret,
};
use envoy_types::pb::google::protobuf::Any;
use envoy_types::util::pack_any;
use prost::{Message, Name};

use super::*;

fn resource(name: &str, content: Any) -> Resource {
    Resource {
        name: name.to_owned(),
        version: format!("v-{name}"),
        resource: Some(content),
        ..Default::default()
    }
}

fn any<M: Message + Name>(message: M) -> Any {
    pack_any(message)
}

fn response(
    resource_type: ResourceType,
    resources: Vec<Resource>,
    removed: &[&str],
) -> DeltaDiscoveryResponse {
    DeltaDiscoveryResponse {
        type_url: resource_type.type_url().to_owned(),
        resources,
        removed_resources: removed.iter().map(|name| (*name).to_owned()).collect(),
        nonce: "7".to_owned(),
        ..Default::default()
    }
}

fn cluster(name: &str, service_name: &str) -> Resource {
    let cluster = Cluster {
        name: name.to_owned(),
        eds_cluster_config: Some(EdsClusterConfig {
            service_name: service_name.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    resource(name, any(cluster))
}

/// A listener with a chain whose table is `routes` and whose certificate is `secret`.
fn listener(name: &str, routes: &str, secret: &str) -> Resource {
    let manager = HttpConnectionManager {
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            route_config_name: routes.to_owned(),
            ..Default::default()
        })),
        ..Default::default()
    };
    let tls = DownstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            tls_certificate_sds_secret_configs: vec![SdsSecretConfig {
                name: secret.to_owned(),
                sds_config: Some(ConfigSource::default()),
            }],
            ..Default::default()
        }),
        ..Default::default()
    };
    let chain = FilterChain {
        filters: vec![Filter {
            name: "hcm".to_owned(),
            config_type: Some(ConfigType::TypedConfig(any(manager))),
        }],
        transport_socket: Some(TransportSocket {
            name: "tls".to_owned(),
            config_type: Some(transport_socket::ConfigType::TypedConfig(any(tls))),
        }),
        ..Default::default()
    };
    let listener = Listener {
        name: name.to_owned(),
        filter_chains: vec![chain],
        ..Default::default()
    };
    resource(name, any(listener))
}

/// A request in a line: type, what is subscribed, what unsubscribed, the nonce.
fn line(request: &DeltaDiscoveryRequest) -> String {
    let resource_type = ResourceType::from_type_url(&request.type_url).unwrap();
    let signed = |sign: &str, names: &[String]| {
        names
            .iter()
            .map(|name| format!(" {sign}{name}"))
            .collect::<String>()
    };
    let node = if request.node.is_some() { " node" } else { "" };
    let nonce = if request.response_nonce.is_empty() {
        ""
    } else {
        " ack"
    };
    format!(
        "{resource_type}{}{}{nonce}{node}",
        signed("+", &request.resource_names_subscribe),
        signed("-", &request.resource_names_unsubscribe)
    )
}

fn lines(requests: &[DeltaDiscoveryRequest]) -> Vec<String> {
    requests.iter().map(line).collect()
}

#[test]
fn listeners_and_clusters_are_asked_for_by_wildcard() {
    let (mut session, first) = Session::new(ResourceType::Cluster, &[]);
    assert_eq!(lines(&first), ["cds node"]);
    assert!(!session.is_complete());
    let (text, answers) = session.receive(response(
        ResourceType::Cluster,
        vec![cluster("b", "eds-b"), cluster("a", "")],
        &[],
    ));
    assert_eq!(lines(&answers), ["cds ack"]);
    assert!(session.is_complete());
    let heads: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("---"))
        .collect();
    assert_eq!(
        heads,
        ["--- # cds a version v-a", "--- # cds b version v-b"]
    );
    assert!(text.contains("service_name: eds-b"), "{text}");
    let (text, _) = session.receive(response(ResourceType::Cluster, vec![], &["a"]));
    assert_eq!(text, "# cds a removed\n");
}

#[test]
fn names_are_learnt_and_followed() {
    let (mut session, first) = Session::new(ResourceType::Endpoint, &[]);
    assert_eq!(lines(&first), ["cds node"]);
    let clusters = vec![cluster("b", "eds-b"), cluster("a", "")];
    let (text, answers) = session.receive(response(ResourceType::Cluster, clusters, &[]));
    assert_eq!(text, "");
    assert_eq!(lines(&answers), ["cds ack", "eds +a +eds-b"]);
    assert!(!session.is_complete());
    let assignment = |name: &str| {
        let assignment = ClusterLoadAssignment {
            cluster_name: name.to_owned(),
            ..Default::default()
        };
        resource(name, any(assignment))
    };
    session.receive(response(ResourceType::Endpoint, vec![assignment("a")], &[]));
    assert_eq!(session.pending(), "eds eds-b");
    session.receive(response(
        ResourceType::Endpoint,
        vec![assignment("eds-b")],
        &[],
    ));
    assert!(session.is_complete());
    // The cluster now has other endpoints, the other one is gone.
    let (_, answers) = session.receive(response(
        ResourceType::Cluster,
        vec![cluster("b", "eds-c")],
        &["a"],
    ));
    assert_eq!(lines(&answers), ["cds ack", "eds +eds-c -a -eds-b"]);
}

#[test]
fn routes_and_secrets_are_learnt_from_listeners() {
    for (shown, expected) in [
        (ResourceType::Route, "rds +http-routes"),
        (ResourceType::Secret, "sds +default/tls"),
    ] {
        let (mut session, first) = Session::new(shown, &[]);
        assert_eq!(lines(&first)[0], "lds node");
        let listeners = vec![listener("http", "http-routes", "default/tls")];
        let (_, answers) = session.receive(response(ResourceType::Listener, listeners, &[]));
        assert_eq!(lines(&answers), ["lds ack", expected]);
    }
}

/// A listener names an extension, which names a table; scopes name others.
#[test]
fn routes_are_learnt_from_extensions_and_scopes() {
    let discovered = Filter {
        name: "http".to_owned(),
        config_type: Some(ConfigType::ConfigDiscovery(ExtensionConfigSource::default())),
    };
    let listener = Listener {
        filter_chains: vec![FilterChain {
            filters: vec![discovered],
            ..Default::default()
        }],
        ..Default::default()
    };
    let manager = HttpConnectionManager {
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            route_config_name: "http-routes".to_owned(),
            ..Default::default()
        })),
        ..Default::default()
    };
    let manager = TypedExtensionConfig {
        name: "http".to_owned(),
        typed_config: Some(any(manager)),
    };
    let scope = ScopedRouteConfiguration {
        route_configuration_name: "https-routes".to_owned(),
        ..Default::default()
    };
    let (mut session, first) = Session::new(ResourceType::Route, &[]);
    assert_eq!(lines(&first), ["lds node", "srds"]);
    let mut check = |of, name, content, expected: &[&str]| {
        let (_, answers) = session.receive(response(of, vec![resource(name, content)], &[]));
        assert_eq!(lines(&answers), expected);
    };
    let listeners = ["lds ack", "ecds +http"];
    check(ResourceType::Listener, "http", any(listener), &listeners);
    let scopes = ["srds ack", "rds +https-routes"];
    check(ResourceType::Scope, "a.test", any(scope), &scopes);
    let extensions = ["ecds ack", "rds +http-routes"];
    check(ResourceType::Extension, "http", any(manager), &extensions);
}

#[test]
fn a_given_name_is_asked_for_alone_and_may_not_exist() {
    let (mut session, first) = Session::new(ResourceType::Secret, &["default/tls".to_owned()]);
    assert_eq!(lines(&first), ["sds +default/tls node"]);
    let (text, _) = session.receive(response(ResourceType::Secret, vec![], &["default/tls"]));
    assert_eq!(text, "# sds default/tls does not exist\n");
    assert!(session.is_complete());
    assert_eq!(session.absent().as_deref(), Some("sds default/tls"));
}

/// A server answers for a table or an assignment that does not exist with an empty one. A Service without endpoints has
/// an empty one too.
#[test]
fn what_is_empty_exists_if_somebody_names_it() {
    for (shown, teacher, taught) in [
        (
            ResourceType::Route,
            ResourceType::Listener,
            listener("http", "named", "default/tls"),
        ),
        (
            ResourceType::Endpoint,
            ResourceType::Cluster,
            cluster("web", "named"),
        ),
    ] {
        let given = ["named".to_owned(), "nosuch".to_owned()];
        let (mut session, first) = Session::new(shown, &given);
        assert_eq!(lines(&first)[0], format!("{teacher} node"));
        if shown == ResourceType::Route {
            session.receive(response(ResourceType::Scope, vec![], &[]));
        }
        let (_, requests) = session.receive(response(teacher, vec![taught], &[]));
        assert_eq!(
            lines(&requests),
            [format!("{teacher} ack"), format!("{shown} +named +nosuch")]
        );
        let empty = |name: &str| {
            let named = Named { name: name.into() };
            let content = Any {
                type_url: shown.type_url().into(),
                value: named.encode_to_vec(),
            };
            resource(name, content)
        };
        let (text, _) =
            session.receive(response(shown, vec![empty("named"), empty("nosuch")], &[]));
        assert!(session.is_complete());
        assert!(
            text.contains(&format!("--- # {shown} named version")),
            "{text}"
        );
        assert!(
            text.contains(&format!("# {shown} nosuch does not exist")),
            "{text}"
        );
        assert_eq!(session.absent(), Some(format!("{shown} nosuch")));
    }
}

/// Of the types without a wildcard a server has nothing of that name, and does not answer.
#[test]
fn an_asterisk_is_everything() {
    for (shown, expected) in [
        (ResourceType::Secret, "lds node"),
        (ResourceType::Route, "lds node"),
        (ResourceType::Endpoint, "cds node"),
        (ResourceType::Cluster, "cds node"),
        (ResourceType::Listener, "lds node"),
    ] {
        let names = ["*".to_owned(), "default/tls".to_owned()];
        let (session, first) = Session::new(shown, &names);
        assert_eq!(lines(&first)[0], expected);
        assert!(session.pending.is_empty());
    }
}

#[test]
fn no_private_key_is_shown() {
    let inline = |text: &str| DataSource {
        specifier: Some(Specifier::InlineString(text.to_owned())),
        ..Default::default()
    };
    let secret = Secret {
        name: "default/tls".to_owned(),
        r#type: Some(secret::Type::TlsCertificate(TlsCertificate {
            certificate_chain: Some(inline("THE-CHAIN")),
            private_key: Some(inline("THE-KEY")),
            ..Default::default()
        })),
    };
    let (mut session, _) = Session::new(ResourceType::Secret, &["default/tls".to_owned()]);
    let secrets = vec![resource("default/tls", any(secret))];
    let (text, _) = session.receive(response(ResourceType::Secret, secrets, &[]));
    assert!(
        text.contains("THE-CHAIN") && !text.contains("THE-KEY"),
        "{text}"
    );
}
