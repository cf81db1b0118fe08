//! Work follows the change (I4): which units a change has made again, counted. A unit that has not read what differs is not
//! made, however many there are.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "reads/explained.rs"]
mod explained;
#[path = "reads/gateways.rs"]
mod gateways;
#[path = "reads/http_proxies.rs"]
mod http_proxies;

use std::sync::Arc;

use bytes::Bytes;
use isobath::build::{Builder, Config};
use isobath::objects::{
    Event, KeyAlgorithm, Kind, Object, ObjectRef, PrivateKeyPem, Secret, TlsCertificate, decode,
};
use isobath::translate::{HostOwnership, Options};
use isobath::xds::{ResourceType, Snapshot};
use serde_json::{Value, json};

/// A builder that holds these objects.
fn builder(objects: impl IntoIterator<Item = Object>) -> Builder {
    builder_with(Options::default(), objects)
}

fn builder_with(options: Options, objects: impl IntoIterator<Item = Object>) -> Builder {
    let mut builder = Builder::new(Config::of_manifests(options));
    for object in objects {
        builder.apply(Event::Apply(object));
    }
    builder.build();
    builder
}

/// How many hosts, clusters, load assignments and certificates are made.
type Counts = [u64; 4];

const NOTHING: Counts = [0; 4];

fn check(builder: &mut Builder, what: &str, event: Event, expected: Counts) {
    check_listening(builder, what, event, expected, 0);
}

/// The same, and how many listeners that somebody claims.
fn check_listening(
    builder: &mut Builder,
    what: &str,
    event: Event,
    expected: Counts,
    listeners: u64,
) {
    let before = builder.translated();
    builder.apply(event);
    builder.build();
    let after = builder.translated();
    let made = [
        after.hosts - before.hosts,
        after.clusters - before.clusters,
        after.endpoints - before.endpoints,
        after.secrets - before.secrets,
    ];
    assert_eq!(made, expected, "{what}");
    assert_eq!(after.listeners - before.listeners, listeners, "{what}");
}

fn object(kind: Kind, namespace: &str, name: &str, rest: Value) -> Object {
    let mut object = rest;
    object["metadata"]["namespace"] = namespace.into();
    object["metadata"]["name"] = name.into();
    decode(kind, &object.to_string()).unwrap()
}

fn rule(host: &str, path: &str, service: &str) -> Value {
    json!({ "host": host, "http": { "paths": [{
        "path": path, "pathType": "Prefix", "backend": { "service": { "name": service, "port": { "number": 80 } } },
    }] } })
}

fn tls(host: &str, secret: &str) -> Value {
    json!({ "hosts": [host], "secretName": secret })
}

fn ingress(namespace: &str, name: &str, rules: Vec<Value>, tls: Vec<Value>) -> Object {
    let spec = json!({ "spec": { "rules": rules, "tls": tls } });
    object(Kind::Ingress, namespace, name, spec)
}

fn service(namespace: &str, name: &str, port: u16) -> Object {
    let spec = json!({ "spec": { "ports": [{ "port": port, "protocol": "TCP" }] } });
    object(Kind::Service, namespace, name, spec)
}

fn slice(namespace: &str, service: &str, address: &str) -> Object {
    let rest = json!({
        "metadata": { "labels": { "kubernetes.io/service-name": service } },
        "addressType": "IPv4",
        "ports": [{ "port": 8080, "protocol": "TCP" }],
        "endpoints": [{ "addresses": [address] }],
    });
    object(Kind::EndpointSlice, namespace, service, rest)
}

/// A Secret whose certificate names one host; its bytes say which one of several it is.
fn secret(namespace: &str, name: &str, host: &str, serial: u32) -> Object {
    let certificate = TlsCertificate {
        chain: format!("chain {serial}").into(),
        key: PrivateKeyPem::new(format!("key {serial}")),
        key_algorithm: KeyAlgorithm::Ecdsa,
        names: vec![host.into()],
        common_name: None,
        not_before: jiff::Timestamp::UNIX_EPOCH,
        not_after: jiff::Timestamp::UNIX_EPOCH,
    };
    Object::Secret(Arc::new(Secret {
        metadata: isobath::objects::Metadata {
            name: isobath::objects::NamespacedName::new(namespace, name),
            uid: "".into(),
            created: None,
            annotations: isobath::objects::Annotations::default(),
        },
        certificate: Ok(Arc::new(certificate)),
        authorities: None,
        revocations: None,
        credentials: None,
        credentials_map: None,
    }))
}

fn deleted(object: &Object) -> Event {
    Event::Delete(object.reference())
}

const HOSTS: usize = 2000;

fn host(number: usize) -> String {
    format!("{number}.shop.test")
}

/// One Ingress of two thousand rules, each with a Service and a Secret.
fn large(edit: impl Fn(&mut Vec<Value>, &mut Vec<Value>)) -> Object {
    let mut rules: Vec<_> = (0..HOSTS)
        .map(|number| rule(&host(number), "/", &format!("web-{}", number % 100)))
        .collect();
    let mut entries: Vec<_> = (0..HOSTS)
        .map(|number| tls(&host(number), &format!("tls-{number}")))
        .collect();
    edit(&mut rules, &mut entries);
    ingress("shop", "large", rules, entries)
}

fn large_world() -> Vec<Object> {
    let services = (0..100).map(|number| service("shop", &format!("web-{number}"), 80));
    let secrets =
        (0..HOSTS).map(|number| secret("shop", &format!("tls-{number}"), &host(number), 0));
    let mut objects: Vec<_> = services.chain(secrets).collect();
    objects.push(large(|_, _| {}));
    objects
}

#[test]
fn one_of_two_thousand_rules_is_one_host() {
    let builder = &mut builder(large_world());
    let secret = |serial| secret("shop", "tls-7", &host(7), serial);
    check(
        builder,
        "its certificate is renewed",
        Event::Apply(secret(1)),
        [0, 0, 0, 1],
    );
    check(
        builder,
        "its Secret is deleted",
        deleted(&secret(1)),
        [1, 0, 0, 0],
    );
    check(
        builder,
        "and is there again",
        Event::Apply(secret(2)),
        [1, 0, 0, 1],
    );
    let edited = large(|rules, _| rules[7] = rule(&host(7), "/new", "web-7"));
    check(
        builder,
        "its path is edited",
        Event::Apply(edited),
        [1, 0, 0, 0],
    );
    let added = large(|rules, _| {
        rules[7] = rule(&host(7), "/new", "web-7");
        rules.insert(0, rule("first.shop.test", "/", "web-1"));
    });
    check(
        builder,
        "a rule is added before all others",
        Event::Apply(added),
        [1, 0, 0, 0],
    );
    let added = large(|rules, entries| {
        rules[7] = rule(&host(7), "/new", "web-7");
        rules.insert(0, rule("first.shop.test", "/", "web-1"));
        entries.insert(0, tls("first.shop.test", "tls-7"));
    });
    check(
        builder,
        "and gets a certificate",
        Event::Apply(added),
        [1, 0, 0, 0],
    );
    check(
        builder,
        "the rule goes",
        Event::Apply(large(|_, _| {})),
        [2, 0, 0, 0],
    );
    // What holds for all of its hosts is everybody's.
    let mut annotated = large(|_, _| {});
    if let Object::Ingress(ingress) = &mut annotated {
        let annotation = ("isobath.dev/response-headers".into(), "x-a: 1".into());
        Arc::make_mut(ingress).metadata.annotations = [annotation].into_iter().collect();
    }
    let all = HOSTS as u64;
    check(
        builder,
        "it is annotated",
        Event::Apply(annotated),
        [all, 0, 0, 0],
    );
}

/// One more Ingress on a listener is one host, cluster and load assignment, one part of its table and a piece of what is sent
/// of it, however many there are.
#[test]
fn one_more_among_ten_thousand_is_what_it_is_among_a_hundred() {
    let objects = |number: usize| {
        let (name, host) = (format!("web-{number}"), format!("{number}.shop.test"));
        let rules = vec![rule(&host, "/", &name)];
        [
            service("shop", &name, 80),
            slice("shop", &name, "10.0.0.1"),
            ingress("shop", &name, rules, Vec::new()),
        ]
    };
    for count in [100, 10_000] {
        let builder = &mut builder((0..count).flat_map(objects));
        let before = builder.snapshot().clone();
        let table = |snapshot: &Snapshot| snapshot.get(ResourceType::Route, "http").cloned();
        // Somebody is sent it.
        let old = table(&before).unwrap();
        let all = old.pieces().count();
        let [service, slice, ingress] = objects(count).map(Event::Apply);
        check(builder, "a Service that nobody names", service, NOTHING);
        check(builder, "its endpoints", slice, NOTHING);
        check(builder, "its Ingress", ingress, [1, 1, 1, 0]);
        let after = builder.snapshot();
        for of in ResourceType::ALL {
            let differ = before.resources(of).diff(after.resources(of)).count();
            let expected = match of {
                ResourceType::Cluster | ResourceType::Endpoint | ResourceType::Route => 1,
                _ => 0,
            };
            assert_eq!(differ, expected, "{of} of {count}");
        }
        let new = table(after).unwrap();
        assert_eq!(old.parts().diff(new.parts()).count(), 1, "{count}");
        let is_old = |piece: &&Bytes| old.pieces().any(|old| old.as_ptr() == piece.as_ptr());
        let kept = new.pieces().filter(is_old).count();
        assert_eq!(kept + 1, all, "{count}");
    }
}

/// Two namespaces: one has a wildcard with rules and a certificate, the other hosts below it.
fn wildcard_world() -> Vec<Object> {
    vec![
        service("west", "web", 80),
        service("east", "web", 80),
        slice("east", "web", "10.0.0.1"),
        secret("west", "wild", "*.apps.test", 0),
        secret("east", "own", "own.apps.test", 0),
        secret("east", "bare", "bare.apps.test", 0),
        wildcard("wild", "/"),
        ingress(
            "east",
            "apps",
            vec![
                rule("own.apps.test", "/", "web"),
                rule("inherits.apps.test", "/", "web"),
                rule("elsewhere.test", "/", "web"),
            ],
            vec![tls("own.apps.test", "own"), tls("bare.apps.test", "bare")],
        ),
    ]
}

fn wildcard(secret: &str, path: &str) -> Object {
    let rules = vec![rule("*.apps.test", path, "web")];
    ingress("west", "wild", rules, vec![tls("*.apps.test", secret)])
}

#[test]
fn who_inherits_is_made_with_what_it_inherits() {
    let builder = &mut builder(wildcard_world());
    let renewed = secret("west", "wild", "*.apps.test", 1);
    check(
        builder,
        "the wildcard's certificate is renewed",
        Event::Apply(renewed),
        [0, 0, 0, 1],
    );
    // The wildcard itself, and the host that has no routes of its own.
    let edited = wildcard("wild", "/new");
    check(
        builder,
        "the wildcard's routes change",
        Event::Apply(edited),
        [2, 0, 0, 0],
    );
    // The wildcard itself, and the host that has no certificate of its own; both are 404 under the other names.
    let gone = deleted(&secret("west", "wild", "", 0));
    check(
        builder,
        "the wildcard's certificate goes",
        gone,
        [2, 0, 0, 0],
    );
    let back = secret("west", "wild", "*.apps.test", 2);
    check(builder, "and comes back", Event::Apply(back), [2, 0, 0, 1]);
    // A list of one more: the wildcard is its owner's still.
    let more = ingress(
        "east",
        "more",
        vec![rule("*.apps.test", "/more", "web")],
        Vec::new(),
    );
    check(
        builder,
        "another adds a path to it",
        Event::Apply(more.clone()),
        [2, 0, 0, 0],
    );
    check(builder, "and takes it away", deleted(&more), [2, 0, 0, 0]);
    let whole = deleted(&wildcard("wild", "/"));
    check(builder, "the wildcard goes", whole, [3, 0, 0, 0]);
}

#[test]
fn a_claim_that_loses_is_nobody_elses_news() {
    let options = Options {
        host_ownership: HostOwnership::Namespace,
        ..Options::default()
    };
    let builder = &mut builder_with(options, wildcard_world());
    // Nothing is inherited from another's wildcard.
    let edited = wildcard("wild", "/new");
    check(
        builder,
        "the wildcard's routes change",
        Event::Apply(edited),
        [1, 0, 0, 0],
    );
    let more = ingress(
        "zone",
        "more",
        vec![rule("*.apps.test", "/more", "web")],
        Vec::new(),
    );
    check(
        builder,
        "another claims it",
        Event::Apply(more),
        [1, 0, 0, 0],
    );
    // The wildcard itself, and those that have asked whose it is.
    let whole = deleted(&wildcard("wild", "/"));
    check(builder, "its owner goes", whole, [3, 0, 0, 0]);
}

/// Rules change places: nothing is made and nothing sent, and what is told of one of them is told where it stands now.
#[test]
fn a_rule_that_moves_makes_nothing() {
    let rules = || {
        let missing = rule("b.test", "/", "missing");
        vec![rule("a.test", "/", "web"), missing]
    };
    let moved = |rules| ingress("shop", "moved", rules, vec![tls("a.test", "gone")]);
    let builder = &mut builder([service("shop", "web", 80), moved(rules())]);
    let paths = |builder: &Builder| -> Vec<String> {
        let problems = builder.statuses().problems.values();
        let problems = problems.flat_map(|of| &*of.problems);
        problems
            .map(|problem| problem.source.field.path(None).unwrap())
            .collect()
    };
    let in_tls = "spec.tls[0]";
    assert_eq!(paths(builder), [in_tls, "spec.rules[1].http.paths[0]"]);
    let turned = moved(rules().into_iter().rev().collect());
    let before = builder.translated();
    builder.apply(Event::Apply(turned));
    assert!(!builder.build(), "nothing is sent");
    assert_eq!(builder.translated(), before);
    assert_eq!(paths(builder), [in_tls, "spec.rules[0].http.paths[0]"]);
}

#[test]
fn what_was_not_read_makes_nothing() {
    let builder = &mut builder(wildcard_world());
    let moved = slice("east", "web", "10.0.0.2");
    check(
        builder,
        "an endpoint moves",
        Event::Apply(moved),
        [0, 0, 1, 0],
    );
    let unused = slice("west", "other", "10.0.0.2");
    check(
        builder,
        "endpoints of nobody",
        Event::Apply(unused),
        NOTHING,
    );
    check(
        builder,
        "a Service of nobody",
        Event::Apply(service("west", "other", 80)),
        NOTHING,
    );
    check(
        builder,
        "a Secret of nobody",
        Event::Apply(secret("west", "other", "a.test", 0)),
        NOTHING,
    );
    let delegated = json!({ "spec": { "delegations": [{ "secretName": "own", "targetNamespaces": ["west"] }] } });
    let delegated = object(Kind::TlsCertificateDelegation, "east", "all", delegated);
    check(
        builder,
        "a delegation that nobody needs",
        Event::Apply(delegated),
        NOTHING,
    );
    let class = json!({ "spec": { "controller": "example.com/other" } });
    let class = object(Kind::IngressClass, "", "other", class);
    check(
        builder,
        "a class of another controller",
        Event::Apply(class),
        NOTHING,
    );
    let mut status = wildcard("wild", "/");
    if let Object::Ingress(ingress) = &mut status {
        let address = isobath::objects::LoadBalancerAddress::Ip("192.0.2.1".into());
        Arc::make_mut(ingress).load_balancer = Arc::from([address]);
    }
    check(
        builder,
        "an address in a status",
        Event::Apply(status),
        NOTHING,
    );
    let ports = json!([
        { "name": "http", "port": 80, "protocol": "TCP" },
        { "name": "admin", "port": 81, "protocol": "TCP" },
    ]);
    let ports = json!({ "spec": { "ports": ports } });
    let with_two_ports = object(Kind::Service, "east", "web", ports);
    check(
        builder,
        "a Service that three hosts name",
        Event::Apply(with_two_ports),
        [3, 1, 1, 0],
    );
    let reference = ObjectRef::new(Kind::Ingress, "east", "unknown");
    check(
        builder,
        "the end of what was never there",
        Event::Delete(reference),
        NOTHING,
    );
}

#[test]
fn reads_go_with_their_units() {
    let mut builder = builder(Vec::new());
    let objects: Vec<_> = wildcard_world().into_iter().chain(large_world()).collect();
    let (nothing, _) = builder.reads();
    for object in &objects {
        builder.apply(Event::Apply(object.clone()));
    }
    builder.build();
    assert!(builder.reads().0 > 6 * HOSTS);
    for object in &objects {
        builder.apply(deleted(object));
    }
    builder.build();
    assert_eq!(builder.reads().0, nothing);
}
