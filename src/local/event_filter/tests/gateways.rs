//! Certificates for listeners of Gateways, and routes for every host.

use super::*;
use crate::objects::decode;

/// `default/name` with an HTTPS listener for each hostname with its Secret; a blank one is for all names.
fn gateway(name: &str, listeners: &[(&str, &str)]) -> Object {
    let listeners = listeners.iter().enumerate().map(|(at, (hostname, secret))| {
        let hostname = match *hostname {
            "" => String::new(),
            hostname => format!(r#""hostname":"{hostname}","#),
        };
        format!(
            r#"{{"name":"l{at}",{hostname}"port":443,"protocol":"HTTPS","tls":{{"certificateRefs":[{secret}]}}}}"#
        )
    });
    let listeners: Vec<String> = listeners.collect();
    let text = format!(
        r#"{{"metadata":{{"namespace":"default","name":"{name}"}},
            "spec":{{"gatewayClassName":"isobath","listeners":[{}]}}}}"#,
        listeners.join(",")
    );
    decode(Kind::Gateway, &text).unwrap()
}

fn route(name: &str, hostnames: &str) -> Object {
    let text = format!(
        r#"{{"metadata":{{"namespace":"default","name":"{name}"}},"spec":{{"parentRefs":[{{"name":"edge"}}],
            "hostnames":[{hostnames}],"rules":[{{"backendRefs":[{{"name":"web","port":80}}]}}]}}}}"#
    );
    decode(Kind::HttpRoute, &text).unwrap()
}

/// Of the own namespace alone, and for the names of the listeners.
#[test]
fn a_missing_secret_is_made_for_listeners_too() {
    check(
        &[],
        vec![
            (replace(Kind::Ingress, vec![]), &["list of Ingress: "]),
            (replace(Kind::HttpProxy, vec![]), &["list of HTTPProxy: "]),
            (replace(Kind::Secret, vec![]), &["list of Secret: "]),
            (
                replace(
                    Kind::Gateway,
                    vec![gateway(
                        "edge",
                        &[
                            ("a.localhost", r#"{"name":"one"}"#),
                            ("*.b.localhost", r#"{"name":"one"}"#),
                            ("", r#"{"name":"all"}"#),
                            ("c.localhost", r#"{"name":"theirs","namespace":"other"}"#),
                            ("c.localhost", r#"{"kind":"ConfigMap","name":"no-secret"}"#),
                        ],
                    )],
                ),
                &[
                    "apply secret all for *.localhost localhost",
                    "apply secret one for *.b.localhost a.localhost",
                    "list of Gateway: Gateway edge",
                ],
            ),
            (
                Event::Apply(gateway("edge", &[("a.localhost", r#"{"name":"one"}"#)])),
                &[
                    "apply secret one for a.localhost",
                    "apply Gateway edge",
                    "delete Secret default/all",
                ],
            ),
            (
                delete(Kind::Gateway, "edge"),
                &["delete Gateway default/edge", "delete Secret default/one"],
            ),
        ],
    );
}

/// Where a route is for every host, nobody is told that his is unknown.
#[test]
fn a_route_may_be_for_every_host() {
    let stand_in = Fake;
    let mut filter = EventFilter::new(stand_in, Vec::new(), ClassSelection::default(), []);
    let has_made = |events: &[Event]| {
        let is_made = |event: &Event| match event {
            Event::Apply(Object::Ingress(it)) => it.metadata.name.to_string() == MADE,
            _ => false,
        };
        events.iter().any(is_made)
    };
    let is_gone = |events: &[Event]| {
        let is_gone = |event: &Event| match event {
            Event::Delete(it) => it.to_string() == format!("Ingress {MADE}"),
            _ => false,
        };
        events.iter().any(is_gone)
    };
    assert!(has_made(
        &filter.apply(Event::Apply(route("named", r#""a.test""#)))
    ));
    assert!(is_gone(&filter.apply(Event::Apply(route("every", "")))));
    assert!(!has_made(
        &filter.apply(replace(Kind::HttpRoute, vec![route("every", "")]))
    ));
    assert!(has_made(&filter.apply(replace(Kind::HttpRoute, vec![]))));
    assert!(is_gone(&filter.apply(Event::Apply(route("every", "")))));
    assert!(has_made(&filter.apply(delete(Kind::HttpRoute, "every"))));
}
