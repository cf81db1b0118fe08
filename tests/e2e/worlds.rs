//! Random Ingresses and HTTPProxies, and random requests that are aimed at them.

use isobath::envoy::request::Request;
use serde_json::{Value, json};

use crate::support::manifest::Manifest;

/// xorshift: the same sequence for the same seed, everywhere.
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % bound as u64).unwrap()
    }

    pub(crate) fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// Whether it is one of so many.
    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

const HOSTS: &[&str] = &["a.test", "b.test", "x.a.test", "*.a.test", "*.test", ""];
/// `empty` has no endpoints, `none` is not there.
const SERVICES: &[&str] = &["web", "api", "www", "web", "api", "empty", "none"];
const PATHS: &[&str] = &[
    "/", "/a", "/a/", "/a/b", "/ab", "/x[0-9]+", "/A", "/a;b", "/b%20c",
];

fn backend(draw: &mut Draw) -> Value {
    json!({"service": {"name": draw.of(SERVICES), "port": {"number": 80}}})
}

pub(crate) fn ingress(draw: &mut Draw, index: usize) -> Manifest {
    let mut rules = Vec::new();
    let mut hosts = Vec::new();
    for _ in 0..=draw.below(3) {
        let host = draw.of(HOSTS);
        let paths: Vec<Value> = (0..=draw.below(4))
            .map(|_| {
                let path_type = draw.of(&["Exact", "Prefix", "Prefix", "ImplementationSpecific"]);
                let path = match (draw.of(PATHS), path_type) {
                    // An expression is one for this type only.
                    ("/x[0-9]+", "Exact" | "Prefix") => "/x1",
                    (path, _) => path,
                };
                json!({"path": path, "pathType": path_type, "backend": backend(draw)})
            })
            .collect();
        let mut rule = json!({"http": {"paths": paths}});
        if !host.is_empty() {
            rule["host"] = host.into();
            hosts.push(host);
        }
        rules.push(rule);
    }
    let mut spec = json!({"rules": rules});
    if draw.one_in(4) {
        spec["defaultBackend"] = backend(draw);
    }
    if draw.one_in(2) && !hosts.is_empty() {
        spec["tls"] = json!([{"hosts": hosts, "secretName": draw.of(&["cert", "cert", "other"])}]);
    }
    let mut annotations = json!({});
    for (key, value) in [
        (
            "isobath.dev/rewrite-prefix",
            draw.of(&["/", "/new", "/new/"]),
        ),
        ("ingress.kubernetes.io/force-ssl-redirect", "true"),
        ("kubernetes.io/ingress.allow-http", "false"),
        ("isobath.dev/path-matching", "regex"),
    ] {
        if draw.one_in(6) {
            annotations[key] = value.into();
        }
    }
    Manifest(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {
            "namespace": "default", "name": format!("i{index}"), "annotations": annotations,
            "creationTimestamp": format!("2026-01-01T00:00:{:02}Z", draw.below(60)),
        },
        "spec": spec,
    }))
}

fn condition(draw: &mut Draw) -> Value {
    match draw.below(12) {
        0 => json!({"header": {"name": "X-A", "present": true}}),
        1 => json!({"header": {"name": "x-a", "notpresent": true}}),
        2 => json!({"header": {"name": "x-a", "exact": draw.of(&["1", "1,2"])}}),
        3 => {
            json!({"header": {"name": "x-a", "notexact": "1", "treatMissingAsEmpty": draw.one_in(2)}})
        }
        4 => json!({"header": {"name": "x-a", "contains": "B", "ignoreCase": draw.one_in(2)}}),
        5 => json!({"header": {"name": "x-a", "notcontains": "2"}}),
        6 => json!({"header": {"name": "x-a", "regex": "[12]+"}}),
        7 => json!({"header": {"name": ":authority", "contains": "test"}}),
        8 => json!({"queryParameter": {"name": "q", "exact": "1"}}),
        9 => json!({"queryParameter": {"name": "q", "present": true}}),
        10 => json!({"queryParameter": {"name": "q", "prefix": "a", "ignoreCase": draw.one_in(2)}}),
        _ => json!({"queryParameter": {"name": "q", "regex": "a.*"}}),
    }
}

fn redirect(draw: &mut Draw) -> Value {
    let mut policy = json!({});
    if draw.one_in(2) {
        policy["hostname"] = "else.test".into();
    }
    if draw.one_in(3) {
        policy["scheme"] = draw.of(&["http", "https"]).into();
    }
    if draw.one_in(3) {
        policy["port"] = draw.of(&[80, 443, 8080]).into();
    }
    match draw.below(3) {
        0 => policy["path"] = "/moved".into(),
        1 => policy["prefix"] = draw.of(&["/new", "/"]).into(),
        _ => {}
    }
    policy["statusCode"] = draw.of(&[301, 302]).into();
    policy
}

pub(crate) fn http_proxy(draw: &mut Draw, index: usize) -> Manifest {
    let routes: Vec<Value> = (0..=draw.below(5))
        .map(|_| {
            let mut conditions = Vec::new();
            let path = draw.of(&["/", "/a", "/a/", "/a/b", "/ab"]);
            match draw.below(5) {
                0 => conditions.push(json!({"exact": path})),
                1 => conditions.push(json!({"regex": draw.of(&["/x[0-9]+", "/a.*", "/(a|ab)"])})),
                2 => {}
                _ => conditions.push(json!({"prefix": path})),
            }
            for _ in 0..draw.below(3) {
                conditions.push(condition(draw));
            }
            let mut route = json!({"conditions": conditions, "permitInsecure": draw.one_in(2)});
            match draw.below(8) {
                0 => route["requestRedirectPolicy"] = redirect(draw),
                1 => route["directResponsePolicy"] = json!({"statusCode": draw.of(&[200, 404, 503]), "body": "x"}),
                _ => {
                    let services: Vec<Value> = (0..=usize::from(draw.one_in(4)))
                        .map(|_| json!({"name": draw.of(SERVICES), "port": 80, "weight": draw.of(&[1, 2])}))
                        .collect();
                    route["services"] = services.into();
                    if draw.one_in(4) {
                        let replacement = draw.of(&["/", "/new", "/new/"]);
                        route["pathRewritePolicy"] = json!({"replacePrefix": [{"replacement": replacement}]});
                    }
                    if draw.one_in(4) {
                        let policy = draw.of(&["ipAllowPolicy", "ipDenyPolicy"]);
                        let cidr = draw.of(&["127.0.0.0/8", "10.0.0.0/8", "127.0.0.1/32", "::/0"]);
                        let source = draw.of(&["Peer", "Remote"]);
                        route[policy] = json!([{"source": source, "cidr": cidr}]);
                    }
                    if draw.one_in(5) {
                        let host = json!({"name": "Host", "value": "inner.test"});
                        route["requestHeadersPolicy"] = json!({"set": [host]});
                    }
                }
            }
            route
        })
        .collect();
    let mut virtual_host = json!({"fqdn": draw.of(&["a.test", "b.test", "x.a.test", "*.a.test"])});
    if draw.one_in(3) {
        virtual_host["tls"] = json!({"secretName": "cert"});
    }
    Manifest(json!({
        "apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy",
        "metadata": {
            "namespace": "default", "name": format!("p{index}"),
            "creationTimestamp": format!("2026-01-01T00:00:{:02}Z", draw.below(60)),
        },
        "spec": {"virtualhost": virtual_host, "routes": routes},
    }))
}

pub(crate) fn request(draw: &mut Draw) -> Request {
    let name = draw.of(&[
        "a.test",
        "a.test",
        "b.test",
        "b.test",
        "x.a.test",
        "y.a.test",
        "c.test",
        "deep.y.a.test",
        "A.Test",
        "nobody.example",
    ]);
    let host = match draw.below(10) {
        0 => format!("{name}:80"),
        1 => format!("{name}:443"),
        2 => format!("{name}:8080"),
        3 => format!("{name}."),
        4 => format!("{name}.:80"),
        _ => name.to_owned(),
    };
    let path = draw.of(&[
        "/",
        "/a",
        "/a/",
        "/a/b",
        "/a/b/c",
        "/ab",
        "/abc",
        "/x1",
        "/x12",
        "/x",
        "/A",
        "/a//b",
        "//a",
        "/a/../b",
        "/a/./b/",
        "/%61/b",
        "/a%2Fb",
        "/a%2fb",
        "/a;b",
        "/a;b/c",
        "/b%20c",
        "/a/b/..",
        "/a/%2e%2e/ab",
        "/a%5Cb",
        "/..",
        "/b/",
        "/a/b%3F",
        "/a/~%7E",
        "/a%zz",
        "/%00",
        "/a%2525",
        "/a///",
    ]);
    let query = draw.of(&[
        "",
        "",
        "",
        "?q=1",
        "?q=abc",
        "?q=A",
        "?p=1&q=1&q=2",
        "?q",
        "?",
        "?q=a%2Fb//../c",
    ]);
    let headers = match draw.below(9) {
        0 => &[("x-a", "1")][..],
        8 => &[("x-a", "2"), ("x-a", "1")],
        1 => &[("x-a", "1"), ("x-a", "2")],
        2 => &[("x-a", "abc")],
        3 => &[("x-a", "")],
        4 => &[("x-forwarded-proto", "https"), ("x-a", "12")],
        5 if draw.one_in(6) => &[("x_a", "1")],
        _ => &[],
    };
    Request {
        tls: draw.one_in(3),
        method: draw
            .of(&["GET", "GET", "GET", "POST", "OPTIONS", "TRACE"])
            .to_owned(),
        host,
        path: format!("{path}{query}"),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    }
}
