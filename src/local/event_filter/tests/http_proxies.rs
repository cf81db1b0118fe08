//! Certificates for hosts of HTTPProxies.

use super::*;
use crate::objects::decode;

/// `default/name` with a Secret; `class` may be none.
fn proxy(name: &str, host: &str, secret: &str, class: Option<&str>) -> Object {
    let class = class.map_or_else(String::new, |class| {
        format!(r#""ingressClassName":"{class}","#)
    });
    let text = format!(
        r#"{{"metadata":{{"namespace":"default","name":"{name}"}},"spec":{{{class}
            "virtualhost":{{"fqdn":"{host}","tls":{{"secretName":"{secret}"}}}},
            "routes":[{{"services":[{{"name":"web","port":80}}]}}]}}}}"#
    );
    decode(Kind::HttpProxy, &text).unwrap()
}

/// One certificate for all that name a Secret, whatever they are; of another namespace as well, which has to lend it.
#[test]
fn a_missing_secret_is_made_for_them_too() {
    check(
        &[],
        vec![
            (
                replace(Kind::Ingress, vec![secured("a", "a.localhost", "shared")]),
                &["list of Ingress: Ingress a"],
            ),
            (
                replace(Kind::Secret, vec![secret("other")]),
                &[
                    "apply secret shared for a.localhost",
                    "list of Secret: secret other broken; secret shared for a.localhost",
                ],
            ),
            (
                replace(
                    Kind::HttpProxy,
                    vec![
                        proxy("b", "b.localhost", "shared", None),
                        proxy("c", "c.localhost", "other", None),
                        proxy("d", "d.localhost", "lent/there", Some("contour")),
                        proxy("e", "e.localhost", "theirs", Some("nginx")),
                    ],
                ),
                &[
                    "apply secret shared for a.localhost b.localhost",
                    "apply secret there for d.localhost",
                    "list of HTTPProxy: HTTPProxy b; HTTPProxy c; HTTPProxy d; HTTPProxy e",
                ],
            ),
            (
                delete(Kind::HttpProxy, "b"),
                &[
                    "apply secret shared for a.localhost",
                    "delete HTTPProxy default/b",
                ],
            ),
            (
                Event::Apply(proxy("d", "d2.localhost", "mine", None)),
                &[
                    "apply secret mine for d2.localhost",
                    "apply HTTPProxy d",
                    "delete Secret lent/there",
                ],
            ),
            (
                replace(Kind::HttpProxy, vec![]),
                &["list of HTTPProxy: ", "delete Secret default/mine"],
            ),
        ],
    );
}

/// What names no Secret, and what passes TLS on, needs none.
#[test]
fn without_a_secret_nothing_is_made() {
    let decoded = |spec: &str| {
        let text = format!(r#"{{"metadata":{{"namespace":"default","name":"x"}},"spec":{spec}}}"#);
        decode(Kind::HttpProxy, &text).unwrap()
    };
    let mut filter = check(
        &[],
        vec![
            (replace(Kind::Ingress, vec![]), &["list of Ingress: "]),
            (replace(Kind::Secret, vec![]), &["list of Secret: "]),
        ],
    );
    for spec in [
        r#"{"routes":[{"services":[{"name":"web","port":80}]}]}"#,
        r#"{"virtualhost":{"fqdn":"a.localhost"},"routes":[{"services":[{"name":"web","port":80}]}]}"#,
        r#"{"virtualhost":{"fqdn":"a.localhost","tls":{"passthrough":true}},"tcpproxy":{"services":[{"name":"web","port":80}]}}"#,
        r#"{"virtualhost":{"fqdn":"a.localhost","tls":{"passthrough":true,"secretName":"some"}},"tcpproxy":{"services":[{"name":"web","port":80}]}}"#,
    ] {
        let events = filter.apply(Event::Apply(decoded(spec)));
        assert_eq!(lines(&events), ["apply HTTPProxy x"], "{spec}");
    }
}
