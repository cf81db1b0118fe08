//! Objects whose lists multiply: each list of an Ingress beside each other one, and the lists of several objects that
//! meet. All of them are a tenant's; beside them stand a neighbour's Ingresses, whose routes the tenant's hosts take over.

use std::fmt::Write as _;
use std::sync::Arc;

use super::proxies;

use isobath::objects::private_key::KeyAlgorithm;
use isobath::objects::{
    Kind, Metadata, NamespacedName, Object, PrivateKeyPem, Rules, Secret, TlsCertificate,
    decode_versioned,
};

/// A list of an Ingress that can grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    /// Rules with a host each.
    Hosts,
    /// Rules with a wildcard each.
    Wildcards,
    /// Paths of one host.
    Paths,
    /// Paths of one host that are expressions of a thousand instructions.
    Expressions,
    /// Paths of a rule without a host.
    Hostless,
    /// Such paths that are expressions.
    HostlessExpressions,
    /// Entries of `tls` without hosts, of Secrets that do not exist.
    Entries,
    /// Entries of `tls` without anything.
    EmptyEntries,
    /// Entries of `tls` that name one host, of Secrets that do not exist.
    Naming,
    /// Hosts under `tls` only, below the neighbour's wildcard.
    Below,
    /// Hosts under `tls` only, below nobody's.
    Strangers,
    /// Wildcards under `tls` only.
    WildcardsUnderTls,
    /// Text that every route repeats. It has a limit of its own: 4 KiB for each of two annotations.
    Headers,
}

impl List {
    pub const ALL: [Self; 13] = [
        Self::Hosts,
        Self::Wildcards,
        Self::Paths,
        Self::Expressions,
        Self::Hostless,
        Self::HostlessExpressions,
        Self::Entries,
        Self::EmptyEntries,
        Self::Naming,
        Self::Below,
        Self::Strangers,
        Self::WildcardsUnderTls,
        Self::Headers,
    ];
}

/// The objects of one case.
pub struct Shape {
    pub name: String,
    pub objects: Vec<Object>,
    /// Of them all, as JSON.
    pub bytes: usize,
    /// The largest of the tenant's objects, and of which kind it is.
    pub largest: (Kind, String),
}

/// A host of the tenant that every Ingress has as the first.
pub const OWN: &str = "own.m.test";
/// A host of the neighbour.
pub const NEIGHBOUR: &str = "shop.neighbour.test";

const OWN_RULE: &str = r#"{"host":"own.m.test","http":{"paths":[{"path":"/","pathType":"Prefix","backend":{"service":{"name":"web","port":{"number":80}}}}]}}"#;

/// Elements of a list, with commas, until they have so many bytes.
pub fn elements(bytes: usize, element: impl Fn(usize) -> String) -> String {
    at_most(usize::MAX, bytes, element)
}

pub fn at_most(count: usize, bytes: usize, element: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for index in 0..count {
        let next = element(index);
        if text.len() + next.len() + 1 > bytes {
            break;
        }
        if index > 0 {
            text.push(',');
        }
        text.push_str(&next);
    }
    text
}

fn path(path: &str, path_type: &str) -> String {
    format!(
        r#"{{"path":"{path}","pathType":"{path_type}","backend":{{"service":{{"name":"web","port":{{"number":80}}}}}}}}"#
    )
}

fn paths(bytes: usize) -> String {
    elements(bytes, |index| path(&format!("/{index}"), "Exact"))
}

fn expressions(bytes: usize) -> String {
    elements(bytes, |index| {
        path(&format!("/{index}[a]{{990}}"), "ImplementationSpecific")
    })
}

/// An Ingress in which each of these lists has so many bytes.
fn ingress(name: &str, lists: &[(List, usize)]) -> String {
    let mut rules = vec![OWN_RULE.to_owned()];
    let mut tls = vec![r#"{"hosts":["own.m.test"],"secretName":"tls"}"#.to_owned()];
    let mut annotations = String::new();
    let host = |host: &str, paths: String| format!(r#"{{{host}"http":{{"paths":[{paths}]}}}}"#);
    let entry = |hosts: String| format!(r#"{{"hosts":[{hosts}],"secretName":"tls"}}"#);
    for (list, bytes) in lists.iter().copied() {
        match list {
            List::Hosts => rules.push(elements(bytes, |i| format!(r#"{{"host":"h{i}.m.test"}}"#))),
            List::Wildcards => {
                rules.push(elements(bytes, |i| format!(r#"{{"host":"*.w{i}.test"}}"#)));
            }
            List::Paths => rules.push(host(r#""host":"own.m.test","#, paths(bytes))),
            List::Expressions => rules.push(host(r#""host":"own.m.test","#, expressions(bytes))),
            List::Hostless => rules.push(host("", paths(bytes))),
            List::HostlessExpressions => rules.push(host("", expressions(bytes))),
            List::Entries => tls.push(elements(bytes, |i| format!(r#"{{"secretName":"s{i}"}}"#))),
            List::EmptyEntries => tls.push(elements(bytes, |_| "{}".to_owned())),
            List::Naming => tls.push(elements(bytes, |i| {
                format!(r#"{{"hosts":["own.m.test"],"secretName":"s{i}"}}"#)
            })),
            List::Below => tls.push(entry(elements(bytes, |i| format!(r#""t{i}.m.test""#)))),
            List::Strangers => tls.push(entry(elements(bytes, |i| format!(r#""t{i}.n{i}.test""#)))),
            List::WildcardsUnderTls => {
                tls.push(entry(elements(bytes, |i| format!(r#""*.u{i}.test""#))));
            }
            List::Headers => {
                let value = "a".repeat((bytes / 2).min(4000));
                let _ = write!(
                    annotations,
                    r#""isobath.dev/request-headers":"x-a: {value}","isobath.dev/response-headers":"x-a: {value}""#
                );
            }
        }
    }
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"tenant","annotations":{{{annotations}}}}},"spec":{{"tls":[{}],"rules":[{}]}}}}"#,
        tls.join(","),
        rules.join(",")
    )
}

pub fn decoded(kind: Kind, text: &str) -> Object {
    let object = decode_versioned(kind, text, Rules::Stored).unwrap().object;
    assert!(!matches!(object, Object::Invalid(_)), "{object:?}");
    object
}

fn shape(name: String, ingress: String, others: Vec<(Kind, String)>) -> Shape {
    let texts = others.iter().map(|(_, text)| text.len()).sum::<usize>();
    let others = others.iter().map(|(kind, text)| decoded(*kind, text));
    Shape {
        name,
        bytes: texts + ingress.len(),
        objects: others
            .chain([
                decoded(Kind::Ingress, &ingress),
                secret("tenant", "tls", KeyAlgorithm::Ecdsa, ["own.m.test".into()]),
            ])
            .collect(),
        largest: (Kind::Ingress, ingress),
    }
}

/// A Secret as decoding makes it. What it makes of keys has tests of its own.
pub fn secret(
    namespace: &str,
    name: &str,
    key_algorithm: KeyAlgorithm,
    names: impl IntoIterator<Item = Arc<str>>,
) -> Object {
    Object::Secret(Arc::new(Secret {
        metadata: Metadata {
            name: NamespacedName::new(namespace, name),
            uid: "1".into(),
            created: None,
            annotations: Default::default(),
        },
        certificate: Ok(Arc::new(TlsCertificate {
            chain: "chain".into(),
            key: PrivateKeyPem::new("key".to_owned()),
            key_algorithm,
            names: names.into_iter().collect(),
            common_name: None,
            not_before: jiff::Timestamp::UNIX_EPOCH,
            not_after: jiff::Timestamp::UNIX_EPOCH,
        })),
        authorities: None,
        revocations: None,
        credentials: None,
        credentials_map: None,
    }))
}

/// What is there before the tenant comes: a wildcard and rules without a host, both with long annotations, and a host.
pub fn neighbour() -> Vec<Object> {
    let headers = format!("x-n: {}", "n".repeat(2000));
    let ingress = |name: &str, host: &str, count: usize| {
        let paths: Vec<_> = (0..count)
            .map(|i| path(&format!("/{i}"), "Exact"))
            .collect();
        format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"neighbour","annotations":{{"isobath.dev/request-headers":"{headers}"}}}},"spec":{{"rules":[{{{host}"http":{{"paths":[{}]}}}}]}}}}"#,
            paths.join(",")
        )
    };
    [
        ingress("wildcard", r#""host":"*.m.test","#, 40),
        ingress("any", "", 60),
        ingress("shop", r#""host":"shop.neighbour.test","#, 3),
    ]
    .iter()
    .map(|text| decoded(Kind::Ingress, text))
    .collect()
}

/// How many cases there are.
pub fn count() -> usize {
    pairs().len() + OTHERS.len() + proxies::SHAPES.len()
}

/// How many of them are of Ingresses; those of HTTPProxies come after them.
pub fn of_ingresses() -> usize {
    pairs().len() + OTHERS.len()
}

/// One case, of about so many bytes for each of its objects.
pub fn at(index: usize, bytes: usize) -> Shape {
    let pairs = pairs();
    match pairs.get(index) {
        Some((one, other)) => {
            let lists = [(*one, bytes / 2), (*other, bytes / 2)];
            let lists = if one == other {
                &lists[..1]
            } else {
                &lists[..]
            };
            let name = format!("{one:?} x {other:?}");
            shape(name, ingress("product", lists), Vec::new())
        }
        None => {
            let mut others = OTHERS.iter().chain(proxies::SHAPES);
            let make = others.nth(index - pairs.len());
            make.expect("one of count()")(bytes)
        }
    }
}

fn pairs() -> Vec<(List, List)> {
    let mut pairs = Vec::new();
    for one in List::ALL {
        pairs.extend(
            List::ALL
                .iter()
                .filter(|other| one <= **other)
                .map(|other| (one, *other)),
        );
    }
    pairs
}

pub type Make = fn(usize) -> Shape;

/// Lists of several objects that meet.
const OTHERS: &[Make] = &[
    ports_and_names,
    ports_and_endpoints,
    names_and_hosts,
    targets_and_hosts,
    delegations_and_secrets,
    entries_and_hosts_below,
    secrets_of_two_kinds,
    hosts_and_defaults,
];

fn backends(bytes: usize) -> String {
    let paths = elements(bytes, |i| {
        format!(
            r#"{{"path":"/{i}","pathType":"Exact","backend":{{"service":{{"name":"web","port":{{"name":"p{i}"}}}}}}}}"#
        )
    });
    format!(
        r#"{{"metadata":{{"name":"product","namespace":"tenant"}},"spec":{{"rules":[{OWN_RULE},{{"host":"own.m.test","http":{{"paths":[{paths}]}}}}]}}}}"#
    )
}

fn service(bytes: usize, annotations: &str) -> String {
    let ports = elements(bytes, |i| {
        format!(r#"{{"name":"p{i}","port":{}}}"#, i % 65_535 + 1)
    });
    format!(
        r#"{{"metadata":{{"name":"web","namespace":"tenant","annotations":{{{annotations}}}}},"spec":{{"ports":[{ports}]}}}}"#
    )
}

/// One Service with many ports, and annotations that name many, of which some are there.
fn ports_and_names(bytes: usize) -> Shape {
    let mut names = String::new();
    for index in 0.. {
        if names.len() > bytes.min(200_000) {
            break;
        }
        let _ = write!(names, "q{index},p{index},");
    }
    let annotation = format!(r#""projectcontour.io/upstream-protocol.h2c":"{names}""#);
    let service = service(bytes, &annotation);
    let others = vec![(Kind::Service, service)];
    shape("ports x annotation x paths".into(), backends(bytes), others)
}

fn ports_and_endpoints(bytes: usize) -> Shape {
    let slice = |number: usize| {
        // As many as a slice may have.
        let ports = at_most(20_000, bytes / 2, |i| {
            format!(r#"{{"name":"p{i}","port":8080}}"#)
        });
        let endpoints = at_most(1000, bytes / 2, |i| {
            let (high, low) = (i / 250, i % 250 + 1);
            format!(r#"{{"addresses":["10.{number}.{high}.{low}"]}}"#)
        });
        format!(
            r#"{{"metadata":{{"name":"web-{number}","namespace":"tenant","labels":{{"kubernetes.io/service-name":"web"}}}},"addressType":"IPv4","ports":[{ports}],"endpoints":[{endpoints}]}}"#
        )
    };
    let mut others = vec![(Kind::Service, service(bytes, ""))];
    others.extend((0..3).map(|number| (Kind::EndpointSlice, slice(number))));
    shape("ports x endpoints x paths".into(), backends(bytes), others)
}

/// A certificate with many names, for many hosts that it does not name.
fn names_and_hosts(bytes: usize) -> Shape {
    let lists = [(List::Hosts, bytes / 2), (List::Entries, 100)];
    let mut shape = shape(
        "names x hosts".into(),
        ingress("product", &lists),
        Vec::new(),
    );
    // A name takes its length and two bytes, and four thirds of that in base64.
    let names = (0..bytes / 20).map(|index| Arc::from(format!("n{index:07}.test")));
    let names: std::collections::BTreeSet<Arc<str>> = names.collect();
    shape
        .objects
        .push(secret("tenant", "s0", KeyAlgorithm::Rsa, names));
    shape.bytes += bytes;
    shape
}

fn delegated_hosts(name: &str, hosts: usize, delegations: Vec<String>) -> Shape {
    let tls = elements(hosts, |i| {
        format!(
            r#"{{"hosts":["t{i}.m.test"],"secretName":"certs/s{}"}}"#,
            i % 1000
        )
    });
    let ingress = format!(
        r#"{{"metadata":{{"name":"product","namespace":"tenant"}},"spec":{{"tls":[{tls}],"rules":[{OWN_RULE}]}}}}"#
    );
    let delegations = delegations.into_iter();
    let others = delegations.map(|text| (Kind::TlsCertificateDelegation, text));
    shape(name.into(), ingress, others.collect())
}

/// One delegation to many namespaces, of which the tenant's is none.
fn targets_and_hosts(bytes: usize) -> Shape {
    let targets = elements(bytes, |i| format!(r#""n{i}""#));
    let delegation = format!(
        r#"{{"metadata":{{"name":"all","namespace":"certs"}},"spec":{{"delegations":[{{"secretName":"s0","targetNamespaces":[{targets}]}}]}}}}"#
    );
    delegated_hosts("targets x hosts", bytes, vec![delegation])
}

/// Many delegations of one namespace, of many Secrets each.
fn delegations_and_secrets(bytes: usize) -> Shape {
    let delegations = (0..8).map(|number| {
        let secrets = elements(bytes / 8, |i| {
            format!(r#"{{"secretName":"s{i}","targetNamespaces":["n{number}","tenant"]}}"#)
        });
        format!(
            r#"{{"metadata":{{"name":"d{number}","namespace":"certs"}},"spec":{{"delegations":[{secrets}]}}}}"#
        )
    });
    delegated_hosts("delegations x hosts", bytes, delegations.collect())
}

/// Many entries for one wildcard, and another Ingress's hosts below it that have no certificate.
fn entries_and_hosts_below(bytes: usize) -> Shape {
    let tls = elements(bytes, |i| {
        format!(r#"{{"hosts":["*.m.test"],"secretName":"s{i}"}}"#)
    });
    let above = format!(
        r#"{{"metadata":{{"name":"above","namespace":"tenant"}},"spec":{{"tls":[{tls}],"rules":[{{"host":"*.m.test"}}]}}}}"#
    );
    let below = ingress("product", &[(List::Hosts, bytes)]);
    let others = vec![(Kind::Ingress, above)];
    shape("entries of a wildcard x hosts below".into(), below, others)
}

/// Hosts that have one Secret of each kind, each host another two of them.
fn secrets_of_two_kinds(bytes: usize) -> Shape {
    /// Of each kind; a Secret has two kilobytes at least.
    const SECRET: usize = 2000;
    let count = (bytes / 2 / SECRET).clamp(2, 300);
    let tls: Vec<String> = (0..2)
        .flat_map(|kind| (0..count).map(move |secret| (kind, secret)))
        .map(|(kind, secret)| {
            let hosts = elements(bytes / count / 3, |i| {
                let (one, other) = if kind == 0 { (secret, i) } else { (i, secret) };
                format!(r#""t{one}x{other}.m.test""#)
            });
            format!(r#"{{"hosts":[{hosts}],"secretName":"k{kind}s{secret}"}}"#)
        })
        .collect();
    let ingress = format!(
        r#"{{"metadata":{{"name":"product","namespace":"tenant"}},"spec":{{"tls":[{}],"rules":[{OWN_RULE}]}}}}"#,
        tls.join(",")
    );
    let mut shape = shape("Secrets of two kinds x hosts".into(), ingress, Vec::new());
    for secret_of in 0..count {
        for (kind, algorithm) in [KeyAlgorithm::Rsa, KeyAlgorithm::Ecdsa]
            .into_iter()
            .enumerate()
        {
            let name = format!("k{kind}s{secret_of}");
            shape
                .objects
                .push(secret("tenant", &name, algorithm, ["*.m.test".into()]));
        }
    }
    shape.bytes += 2 * count * SECRET;
    shape
}

/// A default backend is a route of every host, with what the annotations repeat.
fn hosts_and_defaults(bytes: usize) -> Shape {
    // The annotations, their names and the default backend stand beside the lists.
    let half = bytes.saturating_sub(9000) / 2;
    let lists = [
        (List::Hosts, half),
        (List::Below, half),
        (List::Headers, 8000),
    ];
    let ingress = ingress("product", &lists).replace(
        r#""spec":{"#,
        r#""spec":{"defaultBackend":{"service":{"name":"web","port":{"number":80}}},"#,
    );
    shape(
        "hosts x default backend x annotation".into(),
        ingress,
        Vec::new(),
    )
}
