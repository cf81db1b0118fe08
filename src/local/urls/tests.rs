//! From objects, by the real builder, to the list.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use crate::build::{self, Builder};
use crate::objects::{Event, Rules, decode_versioned};
use crate::sources::manifests::parse_documents;

use super::*;

/// What is printed for these manifests.
fn list(text: &str, ingress_class: Option<&str>) -> String {
    let http = "0.0.0.0:8080".parse().unwrap();
    let https = "127.0.0.1:443".parse().unwrap();
    let config = build::Config {
        classes: crate::facts::ClassSelection {
            names: ingress_class.into_iter().map(Arc::from).collect(),
            manifests: true,
        },
        options: crate::translate::Options::default(),
        listeners: crate::envoy::listener::Config {
            http,
            https,
            stats: http,
            edge: crate::envoy::edge::Edge::default(),
        },
        clusters: Vec::new(),
    };
    let mut builder = Builder::new(config);
    let documents = parse_documents(std::path::Path::new("a.yaml"), text).unwrap();
    for document in documents.objects {
        let decoded = decode_versioned(document.kind, &document.json, Rules::Create).unwrap();
        builder.apply(Event::Apply(decoded.object));
    }
    builder.build();
    let mut served = Served::default();
    served.update(&Arc::new(builder.snapshot().clone()));
    let locate: Locator =
        Box::new(|object| (&*object.name.name == "there").then(|| "a.yaml:3:1".to_owned()));
    let view = View {
        served: &served,
        statuses: builder.statuses(),
        http,
        https,
        locate: &locate,
        ingress_class,
    };
    view.list()
}

fn check(text: &str, expected: &[&str]) {
    check_class(text, None, expected);
}

fn check_class(text: &str, ingress_class: Option<&str>, expected: &[&str]) {
    let list = list(text, ingress_class);
    let lines: Vec<_> = list
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(lines, expected, "{list}");
}

const WEB: &str = "---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [127.0.0.1]}]
---
apiVersion: v1
kind: Service
metadata: {name: empty}
spec: {ports: [{port: 80}]}
";

/// An Ingress with paths, each `HOST PATH TYPE SERVICE`, and more of its spec and metadata.
fn ingress(name: &str, paths: &[&str], spec: &str, annotations: &str) -> String {
    let rules: String = paths
        .iter()
        .map(|path| {
            let words: Vec<_> = path.split(' ').collect();
            let [host, path, kind, service] = words[..] else { panic!("{path}") };
            let host = match host {
                "-" => String::new(),
                host => format!("host: \"{host}\", "),
            };
            format!(
                "  - {{{host}http: {{paths: [{{path: '{path}', pathType: {kind}, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}]}}}}\n"
            )
        })
        .collect();
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, annotations: {{{annotations}}}}}\nspec:\n  rules:\n{rules}{spec}"
    )
}

fn certificate(name: &str, hosts: &[&str]) -> String {
    let hosts = hosts.iter().map(|host| Arc::from(*host)).collect();
    let made = super::super::certificate::self_signed(&hosts).unwrap();
    let block = |text: &str| text.replace('\n', "\n    ");
    format!(
        "---\napiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {{name: {name}}}\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
        block(&made.chain),
        block(made.key.expose())
    )
}

#[test]
fn every_host_has_a_url_and_a_curl_line() {
    check("", &["no Ingress, HTTPProxy or HTTPRoute has a route"]);
    let shop = ingress(
        "web",
        &[
            "shop.localhost /api Prefix web",
            "shop.localhost / Prefix web",
        ],
        "",
        "",
    );
    check(
        &(shop + WEB),
        &[
            "http://shop.localhost:8080/",
            "curl http://shop.localhost:8080/",
        ],
    );
    let web = ingress(
        "web",
        &[
            "shop.example.com /api Prefix web",
            "- / Prefix web",
            "*.example.org / Prefix web",
        ],
        "",
        "",
    );
    check(
        &(web + WEB),
        &[
            "http://127.0.0.1:8080/",
            "curl http://127.0.0.1:8080/",
            "http://any.example.org:8080/",
            "curl --resolve any.example.org:8080:127.0.0.1 http://any.example.org:8080/",
            "http://shop.example.com:8080/api",
            "curl --resolve shop.example.com:8080:127.0.0.1 http://shop.example.com:8080/api",
        ],
    );
}

#[test]
fn tls_hosts_are_shown_with_https_where_it_is_served() {
    let web = ingress(
        "web",
        &[
            "a.localhost / Prefix web",
            "b.example.com / Prefix web",
            "c.localhost / Prefix web",
        ],
        "  tls: [{hosts: [a.localhost, \"*.example.com\"], secretName: some}]\n",
        "",
    );
    let secret = certificate("some", &["a.localhost", "*.example.com"]);
    check(
        &format!("{web}{secret}{WEB}"),
        &[
            "https://a.localhost/",
            "curl -k https://a.localhost/",
            "https://b.example.com/",
            "curl -k --resolve b.example.com:443:127.0.0.1 https://b.example.com/",
            "http://c.localhost:8080/",
            "curl http://c.localhost:8080/",
        ],
    );
    // A Secret that can't be used costs HTTPS and nothing else.
    let secret = "---\napiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: some}\nstringData: {tls.crt: x, tls.key: x}\n";
    let web = ingress(
        "web",
        &["a.localhost / Prefix web"],
        "  tls: [{hosts: [a.localhost], secretName: some}]\n",
        "",
    );
    check(
        &format!("{web}{secret}{WEB}"),
        &[
            "http://a.localhost:8080/",
            "curl http://a.localhost:8080/",
            "(not by HTTPS: Secret default/some is not valid: tls.crt has no PEM block CERTIFICATE)",
        ],
    );
}

/// A Secret that is wrong as a whole is told of the Ingress that names it, and not as one that does not exist.
#[test]
fn a_secret_that_is_no_object_is_no_missing_one() {
    let web = ingress(
        "web",
        &["a.localhost / Prefix web"],
        "  tls: [{hosts: [a.localhost], secretName: some}]\n",
        "",
    );
    let secret = "---\napiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: some}\nstringData: {tls.crt: 1, tls.key: y}\n";
    check(
        &format!("{web}{secret}{WEB}"),
        &[
            "http://a.localhost:8080/",
            "curl http://a.localhost:8080/",
            "(not by HTTPS: Secret default/some is not valid: data: a value has the wrong type; text that YAML reads as a number or a boolean stands in quotes)",
        ],
    );
}

#[test]
fn a_redirect_alone_is_called_one() {
    let web = ingress(
        "web",
        &["a.localhost / Prefix web"],
        "",
        "ingress.kubernetes.io/force-ssl-redirect: \"true\"",
    );
    check(
        &(web + WEB),
        &[
            "http://a.localhost:8080/",
            "curl http://a.localhost:8080/",
            "(answers 301: a redirect)",
        ],
    );
}

#[test]
fn paths_are_such_as_a_shell_and_a_route_take() {
    let check_path = |paths: &[&str], expected: &[&str]| {
        let web = ingress("web", paths, "", "");
        check(&(web + WEB), expected);
    };
    let specific = |path: &str| format!("a.localhost {path} ImplementationSpecific web");
    check_path(
        &[&specific("/api/v[0-9]+")],
        &[
            "http://a.localhost:8080/api/v0",
            "curl http://a.localhost:8080/api/v0",
        ],
    );
    check_path(
        &[&specific("/it;rm&x=$y")],
        &[
            "http://a.localhost:8080/it;rm&x=$y",
            "curl 'http://a.localhost:8080/it;rm&x=$y'",
        ],
    );
    // No sample that is sure to be taken: then there is no line to copy.
    check_path(
        &[&specific("/a%20b.*")],
        &["http://a.localhost:8080 and a path that matches /a%20b.*"],
    );
    // The shortest path is not the one that works.
    check_path(
        &[
            "a.localhost / Prefix nosuch",
            "a.localhost /deep/er Prefix web",
        ],
        &[
            "http://a.localhost:8080/deep/er",
            "curl http://a.localhost:8080/deep/er",
        ],
    );
    // Another route is before it.
    check_path(
        &[
            "a.localhost / Exact nosuch",
            "a.localhost / Prefix web",
            "a.localhost /b Exact web",
        ],
        &[
            "http://a.localhost:8080/b",
            "curl http://a.localhost:8080/b",
        ],
    );
}

#[test]
fn what_answers_503_is_told_why() {
    let missing = ingress("web", &["a.localhost / Prefix nosuch"], "", "");
    check(
        &(missing + WEB),
        &[
            "http://a.localhost:8080/",
            "curl http://a.localhost:8080/",
            "(answers 503: Ingress default/web: Service default/nosuch does not exist)",
        ],
    );
    let empty = ingress("web", &["a.localhost / Prefix empty"], "", "");
    check(
        &(empty + WEB),
        &[
            "http://a.localhost:8080/",
            "curl http://a.localhost:8080/",
            "(answers 503: Service default/empty has no ready endpoints)",
        ],
    );
}

#[test]
fn each_missing_host_has_its_reason() {
    let nginx = ingress(
        "there",
        &["a.localhost / Prefix web", "b.localhost / Prefix web"],
        "  ingressClassName: nginx\n",
        "",
    );
    check(
        &format!("{nginx}{WEB}"),
        &[
            "no Ingress, HTTPProxy or HTTPRoute has a route",
            "Not served:",
            "a.localhost, b.localhost: Ingress default/there (a.yaml:3:1): class nginx is not ours: `--ingress-class nginx` serves that one instead",
        ],
    );
    check_class(
        &format!("{nginx}{WEB}"),
        Some("other"),
        &[
            "no Ingress, HTTPProxy or HTTPRoute has a route",
            "Not served:",
            "a.localhost, b.localhost: Ingress default/there (a.yaml:3:1): class nginx is none of `--ingress-class other`",
        ],
    );
    // Another Ingress serves one of them.
    let ours = ingress("ours", &["a.localhost / Prefix web"], "", "");
    check(
        &format!("{nginx}{ours}{WEB}"),
        &[
            "http://a.localhost:8080/",
            "curl http://a.localhost:8080/",
            "Not served:",
            "b.localhost: Ingress default/there (a.yaml:3:1): class nginx is not ours: `--ingress-class nginx` serves that one instead",
        ],
    );
    let closed = ingress(
        "closed",
        &["a.localhost / Prefix web"],
        "",
        "kubernetes.io/ingress.allow-http: \"false\"",
    );
    check(
        &format!("{closed}{WEB}"),
        &[
            "no Ingress, HTTPProxy or HTTPRoute has a route",
            "Not served:",
            "a.localhost: Ingress default/closed: kubernetes.io/ingress.allow-http is \"false\", and no entry of spec.tls names a Secret: add one, or take the annotation away",
        ],
    );
    let lost = ingress(
        "lost",
        &["a.localhost / Prefix web"],
        "  tls: [{hosts: [a.localhost], secretName: lost}]\n",
        "kubernetes.io/ingress.allow-http: \"false\"",
    );
    check(
        &format!("{lost}{WEB}"),
        &[
            "no Ingress, HTTPProxy or HTTPRoute has a route",
            "Not served:",
            "a.localhost: Ingress default/lost: kubernetes.io/ingress.allow-http is \"false\", and there is no HTTPS; Secret default/lost of type kubernetes.io/tls does not exist",
        ],
    );
    let wrong = "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: there}\nspec: {rules: [{host: \"A_B\"}]}\n";
    let list = list(wrong, None);
    assert!(
        list.contains(
            "Ingress default/there (a.yaml:3:1): spec.rules[0].host: Invalid value: \"A_B\""
        ),
        "{list}"
    );
}

/// A table that changes is read where it differs.
#[test]
fn the_next_snapshot_is_read_like_the_first() {
    let mut served = Served::default();
    let snapshot = |text: &str| {
        let mut builder = Builder::new(build::Config {
            classes: crate::facts::ClassSelection {
                names: Arc::default(),
                manifests: true,
            },
            options: crate::translate::Options::default(),
            listeners: crate::envoy::listener::Config {
                http: "127.0.0.1:1".parse().unwrap(),
                https: "127.0.0.1:2".parse().unwrap(),
                stats: "127.0.0.1:3".parse().unwrap(),
                edge: crate::envoy::edge::Edge::default(),
            },
            clusters: Vec::new(),
        });
        let documents = parse_documents(std::path::Path::new("a.yaml"), text).unwrap();
        for document in documents.objects {
            let decoded = decode_versioned(document.kind, &document.json, Rules::Create).unwrap();
            builder.apply(Event::Apply(decoded.object));
        }
        builder.build();
        Arc::new(builder.snapshot().clone())
    };
    let of = |hosts: &[&str]| {
        let tls = "  tls: [{hosts: [a.localhost], secretName: some}]\n";
        let paths: Vec<_> = hosts
            .iter()
            .map(|host| format!("{host} / Prefix web"))
            .collect();
        let paths: Vec<_> = paths.iter().map(String::as_str).collect();
        ingress("web", &paths, tls, "") + WEB
    };
    let secret = certificate("some", &["a.localhost"]);
    for text in [
        of(&["a.localhost", "b.localhost"]),
        of(&["a.localhost", "b.localhost"]) + &secret,
        of(&["b.localhost", "c.localhost"]),
        String::new(),
        of(&["a.localhost"]) + &secret,
    ] {
        let snapshot = snapshot(&text);
        served.update(&snapshot);
        let mut fresh = Served::default();
        fresh.update(&snapshot);
        assert_eq!(served.hosts(), fresh.hosts());
        assert_eq!(
            served.hosts().contains_key("a.localhost"),
            text.contains("host: \"a.localhost\"") || text.contains("tls.crt")
        );
    }
}

/// HTTPProxies are listed like Ingresses, and what is wrong with one is told with its place.
#[test]
fn http_proxies_are_shown_too() {
    let proxy = |name: &str, class: &str, spec: &str| {
        format!(
            "---\napiVersion: projectcontour.io/v1\nkind: HTTPProxy\nmetadata: {{name: {name}}}\nspec:\n{class}{spec}\n"
        )
    };
    let routes = "  routes: [{services: [{name: web, port: 80}]}]";
    let good = proxy(
        "good",
        "",
        &format!("  virtualhost: {{fqdn: a.localhost}}\n{routes}"),
    );
    let bad = proxy("there", "", "  virtualhost: {fqdn: b.localhost}");
    check(
        &format!("{good}{bad}{WEB}"),
        &[
            "http://a.localhost:8080/",
            "curl http://a.localhost:8080/",
            "Not served:",
            "HTTPProxy default/there (a.yaml:3:1): HTTPProxy.Spec must have at least one Route, Include, or a TCPProxy",
        ],
    );
    let other = proxy(
        "there",
        "  ingressClassName: nginx\n",
        &format!("  virtualhost: {{fqdn: b.localhost}}\n{routes}"),
    );
    let unread = proxy("unread", "", "  virtualhost: {fqdn: UPPER}");
    check(
        &format!("{other}{unread}{WEB}"),
        &[
            "no Ingress, HTTPProxy or HTTPRoute has a route",
            "Not served:",
            "HTTPProxy default/there (a.yaml:3:1): its class is not ours: `--ingress-class` names those that are served",
            r#"HTTPProxy default/unread: spec.virtualhost.fqdn: Invalid value: "UPPER": spec.virtualhost.fqdn in body should match '^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'"#,
        ],
    );
}
