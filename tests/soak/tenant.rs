//! Random Ingresses of two namespaces that meet: the same hosts, paths that lie within each other, expressions, wildcards,
//! default back ends, TLS entries, annotations. Those of `old` are all older than those of `new`.

use isobath::objects::{Kind, Object, Rules, decode_versioned};
use serde_json::{Value, json};

use crate::random::Random;
use crate::support::manifest::{self, Manifest};

const HOSTS: [&str; 5] = ["a.test", "x.a.test", "*.a.test", "*.test", ""];

pub const TEXTS: [&str; 9] = [
    "/",
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/ab",
    "/b",
    "/.well-known/acme-challenge",
    "/.well-known/acme-challenge/t",
];

/// Whether a path is matched.
type Matcher = fn(&str) -> bool;

/// Expressions, and what they match, said otherwise.
pub const EXPRESSIONS: [(&str, Matcher); 6] = [
    ("/.*", |path| path.starts_with('/')),
    ("/a.*", |path| path.starts_with("/a")),
    ("/(a|a/b|longer than all).*", |path| {
        path.starts_with("/a") || path.starts_with("/longer than all")
    }),
    ("/[ab]/b", |path| path == "/a/b" || path == "/b/b"),
    ("/[a-z]+", |path| {
        path.len() > 1 && path[1..].bytes().all(|byte| byte.is_ascii_lowercase())
    }),
    ("/.well-known/acme-challenge/x|/.*", |path| {
        path.starts_with('/')
    }),
];

const ANNOTATIONS: [(&str, &str); 6] = [
    ("ingress.kubernetes.io/force-ssl-redirect", "true"),
    ("kubernetes.io/ingress.allow-http", "false"),
    ("isobath.dev/rewrite-prefix", "/new"),
    ("isobath.dev/redirect", "/moved"),
    ("isobath.dev/response-headers", "X-A: 1"),
    ("projectcontour.io/tls-minimum-protocol-version", "1.3"),
];

/// Ingresses of an older and of a younger namespace, with the Service of each.
pub struct Pair {
    /// The objects of namespace `old`.
    pub old: Vec<Object>,
    /// The objects of namespace `new`.
    pub new: Vec<Object>,
    /// The same as manifests, the older ones first.
    pub manifests: Vec<Manifest>,
}

impl Pair {
    /// The same seed, the same pair.
    pub fn new(seed: usize) -> Self {
        let mut random = Random::new(seed as u64 + 1);
        let [old, new] = ["old", "new"].map(|namespace| tenant(&mut random, namespace));
        Self::of(old, new)
    }

    /// The objects of both.
    pub fn of(old: Vec<Manifest>, new: Vec<Manifest>) -> Self {
        let objects = |manifests: &[Manifest]| manifests.iter().map(decoded).collect();
        Self {
            old: objects(&old),
            new: objects(&new),
            manifests: [old, new].concat(),
        }
    }

    /// For whoever has to look at it.
    pub fn text(&self) -> String {
        manifest::text(&self.manifests)
    }
}

/// Its kind.
pub fn kind(manifest: &Manifest) -> Kind {
    let name = manifest.0["kind"].as_str();
    let found = Kind::ALL.into_iter().find(|kind| Some(kind.name()) == name);
    found.expect("a kind that is watched")
}

fn decoded(manifest: &Manifest) -> Object {
    let kind = kind(manifest);
    let text = manifest.0.to_string();
    let object = decode_versioned(kind, &text, Rules::Stored).unwrap().object;
    assert!(!matches!(object, Object::Invalid(_)), "{object:?}");
    object
}

fn tenant(random: &mut Random, namespace: &str) -> Vec<Manifest> {
    let mut all = vec![manifest::service(namespace).namespace(namespace)];
    for number in 0..=random.below(3) {
        all.push(ingress(random, namespace, number));
    }
    all
}

/// With an age: those of `old` are older than those of `new`.
pub fn aged(random: &mut Random, namespace: &str, object: Manifest) -> Manifest {
    let year = if namespace == "old" { 2020 } else { 2024 } + random.below(3);
    // An object without an age is younger than all that have one.
    match namespace == "old" || random.percent(70) {
        true => object.created(&format!("{year}-01-01T00:00:00Z")),
        false => object,
    }
}

pub fn ingress(random: &mut Random, namespace: &str, number: usize) -> Manifest {
    let ingress = manifest::ingress(&format!("i{number}")).namespace(namespace);
    let mut ingress = aged(random, namespace, ingress);
    if random.percent(35) {
        let (key, value) = random.one(&ANNOTATIONS);
        ingress = ingress.annotate(key, value);
    }
    let backend = |random: &mut Random| {
        let name = if random.percent(90) {
            namespace
        } else {
            "gone"
        };
        json!({"service": {"name": name, "port": {"number": 80}}})
    };
    let rules: Vec<Value> = (0..=random.below(2))
        .map(|_| {
            let paths: Vec<Value> = (0..=random.below(3))
                .map(|_| {
                    let (path, path_type) = path(random);
                    json!({"path": path, "pathType": path_type, "backend": backend(random)})
                })
                .collect();
            let mut rule = json!({"http": {"paths": paths}});
            let host = random.one(&HOSTS);
            if !host.is_empty() {
                rule["host"] = host.into();
            }
            rule
        })
        .collect();
    ingress.0["spec"]["rules"] = rules.into();
    if random.percent(25) {
        ingress.0["spec"]["defaultBackend"] = backend(random);
    }
    for _ in 0..random.below(3) {
        let host = random.one(&HOSTS);
        let hosts: &[&str] = if host.is_empty() { &[] } else { &[host] };
        let secret = if random.percent(85) { "cert" } else { "gone" };
        ingress = ingress.tls(hosts, secret);
    }
    ingress
}

fn path(random: &mut Random) -> (&'static str, &'static str) {
    if random.percent(30) {
        let expressions = EXPRESSIONS.map(|(text, _)| text);
        return (random.one(&expressions), "ImplementationSpecific");
    }
    let types = ["Exact", "Prefix", "Prefix", "ImplementationSpecific"];
    (random.one(&TEXTS), random.one(&types))
}
