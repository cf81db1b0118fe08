//! What `isobath explain` says of a request is what the real Envoy does: random Ingresses and HTTPProxies, and random requests
//! that are aimed at them, each asked of both. Compared are the status, the back end that answers with the path and the Host
//! that it saw, and where a redirect leads. `ISOBATH_SOAK=1` takes more worlds; `ISOBATH_SEED` other ones.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use http::Method;
use isobath::build::Builder;
use isobath::build::explain::{Answer, Question};
use isobath::cli::{self, Command};
use isobath::envoy::edge::Edge;
use isobath::envoy::request::{Request, split_host};
use isobath::sources::manifests::Inspection;
use serde_json::{Value, json};

use crate::support::backend::{Backend, Echo};
use crate::support::certificate::Authority;
use crate::support::client::{Connection, Tls, Version};
use crate::support::manifest::{Manifest, service};
use crate::support::stand::{Stand, apps};

/// xorshift: the same sequence for the same seed, everywhere.
struct Draw(u64);

impl Draw {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % bound as u64).unwrap()
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// Whether it is one of so many.
    fn one_in(&mut self, count: usize) -> bool {
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

fn ingress(draw: &mut Draw, index: usize) -> Manifest {
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

fn http_proxy(draw: &mut Draw, index: usize) -> Manifest {
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

fn request(draw: &mut Draw) -> Request {
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

/// What a client gets, in one line.
fn words(answer: &Answer, backends: &BTreeMap<SocketAddr, String>) -> Vec<String> {
    match answer {
        Answer::Closed(_) => vec!["closed".to_owned()],
        Answer::Envoy {
            status, location, ..
        } => vec![format!(
            "{status} {}",
            location.as_deref().unwrap_or_default()
        )],
        Answer::Backend {
            path,
            host,
            endpoints,
            ..
        } => endpoints
            .iter()
            .map(|at| format!("{} saw {} {path}", backends[at], host.as_deref().unwrap()))
            .collect(),
    }
}

async fn asked(stand: &Stand, request: &Request) -> String {
    let (name, _) = split_host(&request.host);
    let tls = Tls::sni(name.trim_end_matches('.'));
    let (address, tls) = match request.tls {
        true => (stand.isobath.https(), Some(&tls)),
        false => (stand.isobath.http(), None),
    };
    let Ok(mut connection) = Connection::open(address, Version::H1, tls).await else {
        return "closed".to_owned();
    };
    let headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let method = Method::from_bytes(request.method.as_bytes()).unwrap();
    match connection
        .send(method, &request.host, &request.path, &headers)
        .await
    {
        Err(_) => "closed".to_owned(),
        Ok(answer) => match serde_json::from_slice::<Echo>(&answer.body) {
            Ok(echo) => format!("{} saw {} {}", echo.backend, echo.host, echo.path),
            Err(_) => format!("{} {}", answer.status, answer.header("location")),
        },
    }
}

/// The core as `isobath explain` makes it, and what holds for every request.
fn explaining(stand: &Stand) -> (Builder, Edge) {
    let folder = stand.isobath.manifests();
    let arguments = ["isobath", "explain", "http://a", "--manifests"].map(Into::into);
    let arguments = arguments.into_iter().chain([folder.as_os_str().to_owned()]);
    let Ok(cli) = cli::parse(arguments) else {
        panic!("flags")
    };
    let Command::Explain(args) = cli.command else {
        panic!("{:?}", cli.command)
    };
    let config = args.core.config(true);
    let edge = config.listeners.edge.clone();
    let mut builder = Builder::new(config);
    for event in Inspection::of(&folder).unwrap().events() {
        builder.apply(event);
    }
    builder.build();
    (builder, edge)
}

/// Asks so many requests of one world. Returns what differs, and what kinds of answers there were.
async fn world(seed: u64, requests: usize, kinds: &mut BTreeMap<String, usize>) -> Vec<String> {
    let mut draw = Draw::new(seed);
    let authority = Authority::new();
    let (backends, mut manifests): (Vec<Backend>, _) = apps(&["web", "api", "www"]).await;
    let names: BTreeMap<SocketAddr, String> = backends
        .iter()
        .map(|backend| (backend.address(), backend.name().to_owned()))
        .collect();
    manifests.push(service("empty"));
    let hosts = ["a.test", "b.test", "*.a.test", "*.test"];
    manifests.push(authority.leaf(&hosts).secret("cert"));
    manifests.push(authority.leaf(&hosts).secret("other"));
    manifests.extend((0..=draw.below(5)).map(|index| ingress(&mut draw, index)));
    manifests.extend((0..=draw.below(4)).map(|index| http_proxy(&mut draw, index)));
    let stand = Stand::start(&manifests).await;
    let (builder, edge) = explaining(&stand);
    let mut wrong = Vec::new();
    for _ in 0..requests {
        let request = request(&mut draw);
        let (name, _) = split_host(&request.host);
        let server_name = Some(name.trim_end_matches('.').to_owned()).filter(|_| request.tls);
        let question = Question {
            request: request.clone(),
            server_name,
        };
        let told = builder.explain(&edge, &question);
        let wanted: BTreeSet<String> = told
            .answers
            .iter()
            .flat_map(|(_, answer)| words(answer, &names))
            .collect();
        let got = asked(&stand, &request).await;
        let kind = got.split(' ').next().unwrap().to_owned();
        *kinds.entry(kind).or_default() += 1;
        if !wanted.contains(&got) {
            let steps: Vec<String> = told
                .steps
                .iter()
                .map(|step| {
                    let object = step.source.as_ref().map(|source| source.object.to_string());
                    format!(
                        "{}: {} {}",
                        step.about,
                        step.says,
                        object.unwrap_or_default()
                    )
                })
                .collect();
            wrong.push(format!(
                "seed {seed}: {} {}://{}{} {:?}\n  said {wanted:?}, Envoy: {got}\n  {}",
                request.method,
                if request.tls { "https" } else { "http" },
                request.host,
                request.path,
                request.headers,
                steps.join("\n  "),
            ));
        }
    }
    if !wrong.is_empty() && std::env::var_os("ISOBATH_KEEP").is_some() {
        for manifest in &manifests {
            if manifest.0["kind"] != "Secret" {
                println!("{}", manifest.0);
            }
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_is_true() {
    let (worlds, requests) = match std::env::var_os("ISOBATH_SOAK") {
        Some(_) => (200, 100),
        None => (12, 64),
    };
    let seed = std::env::var("ISOBATH_SEED").map_or(1, |seed| seed.parse().unwrap());
    let (mut wrong, mut kinds) = (Vec::new(), BTreeMap::new());
    for index in 0..worlds {
        wrong.extend(world(seed * 1_000 + index, requests, &mut kinds).await);
    }
    println!("{} pairs: {kinds:?}", worlds * requests as u64);
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong
            .iter()
            .take(12)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
    // What is not there is not compared: every kind of answer is.
    for kind in [
        "web", "api", "www", "301", "307", "400", "404", "405", "421", "503", "closed",
    ] {
        assert!(kinds.contains_key(kind), "no answer is {kind}: {kinds:?}");
    }
}
