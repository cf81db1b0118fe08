//! Work follows the change (I4): which units a change has made again, counted. A unit that has not read what differs is not
//! made, however many there are.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::Arc;

use bytes::Bytes;
use isobath::build::{Builder, Config};
use isobath::model::Cidr;
use isobath::objects::{
    Event, KeyAlgorithm, Kind, Object, ObjectRef, PrivateKeyPem, Secret, TlsCertificate, decode,
};
use isobath::translate::{GatewayOptions, HostOwnership, Options};
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

fn of_gateways() -> Options {
    Options {
        gateway: GatewayOptions {
            addresses: [Cidr::new("127.9.0.0/16").unwrap()].into(),
        },
        ..Options::default()
    }
}

/// A listener of a Gateway that is edited is news to its own hosts, and to nobody else's on the port.
#[test]
fn a_listener_is_its_own_hosts_business() {
    const ROUTES: u64 = 50;
    let of = |name: &str, certificate: &str| {
        json!({ "name": name, "port": 443, "protocol": "HTTPS", "hostname": format!("{name}.test"),
                "tls": { "certificateRefs": [{ "name": certificate }] } })
    };
    let gateway = |listeners: Vec<Value>| {
        let addresses = json!([{ "value": "127.9.0.1" }]);
        let spec = json!({ "gatewayClassName": "isobath", "addresses": addresses, "listeners": listeners });
        object(Kind::Gateway, "shop", "edge", json!({ "spec": spec }))
    };
    let route = |number: u64| {
        let name = ["one", "two"][number as usize % 2];
        let spec = json!({
            "parentRefs": [{ "name": "edge" }],
            "hostnames": [format!("{number}.{name}.test")],
            "rules": [{ "backendRefs": [{ "name": "web", "port": 80 }] }],
        });
        object(
            Kind::HttpRoute,
            "shop",
            &format!("route-{number}"),
            json!({ "spec": spec }),
        )
    };
    let class = json!({ "spec": { "controllerName": "isobath.dev/gateway-controller" } });
    let objects = [
        object(Kind::GatewayClass, "", "isobath", class),
        service("shop", "web", 80),
        secret("shop", "first", "*.one.test", 0),
        secret("shop", "second", "*.two.test", 0),
        gateway(vec![of("*.one", "first"), of("*.two", "second")]),
    ];
    let routes = (0..ROUTES).map(route);
    let builder = &mut builder_with(of_gateways(), objects.into_iter().chain(routes));
    let edited = gateway(vec![of("*.one", "first"), of("*.two", "first")]);
    check_listening(
        builder,
        "another certificate of one listener: its hosts, and its hostname",
        Event::Apply(edited),
        [ROUTES / 2 + 1, 0, 0, 0],
        1,
    );
    let mut closer = of("*.two", "first");
    closer["allowedRoutes"] = json!({ "kinds": [{ "kind": "HTTPRoute" }] });
    check(
        builder,
        "who may attach to one of them",
        Event::Apply(gateway(vec![of("*.one", "first"), closer])),
        NOTHING,
    );
    let more = gateway(vec![
        of("*.one", "first"),
        of("*.two", "first"),
        of("*.three", "second"),
    ]);
    check_listening(
        builder,
        "one listener more: its hostname",
        Event::Apply(more),
        [1, 0, 0, 1],
        1,
    );
    let narrower = vec![
        of("*.one", "first"),
        of("*.two", "first"),
        of("7.two", "second"),
    ];
    check_listening(
        builder,
        "one of a host of another listener",
        Event::Apply(gateway(narrower)),
        [2, 0, 0, 0],
        1,
    );
}

const AUTHORITY: &str = include_str!("envoy/authority.pem");
const ANOTHER: &str = include_str!("data/certificates/p256.crt");

fn config_map(name: &str, data: Value) -> Object {
    object(Kind::ConfigMap, "shop", name, json!({ "data": data }))
}

fn policy(name: &str, service: &str, section: Option<&str>) -> Object {
    let spec = json!({
        "targetRefs": [{ "group": "", "kind": "Service", "name": service, "sectionName": section }],
        "validation": {
            "caCertificateRefs": [{ "group": "", "kind": "ConfigMap", "name": "ca" }],
            "hostname": "web.internal",
        },
    });
    object(
        Kind::BackendTlsPolicy,
        "shop",
        name,
        json!({ "spec": spec }),
    )
}

/// A Service with a port of TCP and one of UDP.
fn two_ports(name: &str, udp: u16) -> Object {
    let ports = json!([
        { "name": "http", "port": 80 }, { "name": "dns", "port": udp, "protocol": "UDP" },
    ]);
    object(
        Kind::Service,
        "shop",
        name,
        json!({ "spec": { "ports": ports } }),
    )
}

fn route(kind: Kind, name: &str, hostnames: Value, to: &str, port: u16) -> Object {
    let spec = json!({
        "parentRefs": [{ "name": "edge" }], "hostnames": hostnames,
        "rules": [{ "backendRefs": [{ "name": to, "port": port }] }],
    });
    object(kind, "shop", name, json!({ "spec": spec }))
}

/// What is forwarded as it is, what comes out of TLS that ends here, datagrams, and requests, to Services of which policies say
/// how they are spoken to.
fn forwarding_world() -> Vec<Object> {
    let certificate = json!({ "certificateRefs": [{ "name": "cert" }] });
    let listeners = json!([
        { "name": "http", "port": 80, "protocol": "HTTP" },
        { "name": "through", "port": 443, "protocol": "TLS", "hostname": "*.through.test", "tls": { "mode": "Passthrough" } },
        { "name": "ends", "port": 443, "protocol": "TLS", "hostname": "*.ends.test", "tls": certificate },
        { "name": "dns", "port": 53, "protocol": "UDP" },
    ]);
    let spec = json!({
        "gatewayClassName": "isobath", "addresses": [{ "value": "127.9.0.1" }], "listeners": listeners,
    });
    let class = json!({ "spec": { "controllerName": "isobath.dev/gateway-controller" } });
    vec![
        object(Kind::GatewayClass, "", "isobath", class),
        object(Kind::Gateway, "shop", "edge", json!({ "spec": spec })),
        secret("shop", "cert", "*.ends.test", 0),
        two_ports("web", 53),
        two_ports("other", 53),
        slice("shop", "web", "10.0.0.1"),
        config_map("ca", json!({ "ca.crt": AUTHORITY })),
        route(
            Kind::TlsRoute,
            "tls",
            json!(["a.through.test", "a.ends.test"]),
            "web",
            80,
        ),
        route(Kind::UdpRoute, "dns", json!(null), "web", 53),
        route(Kind::HttpRoute, "http", json!(["a.test"]), "web", 80),
    ]
}

#[test]
fn what_is_forwarded_is_made_with_what_it_reads() {
    let builder = &mut builder_with(of_gateways(), forwarding_world());
    // Clusters: what is forwarded, what comes out of TLS and requests share that of TCP; that of UDP is another.
    let moved = Event::Apply(slice("shop", "web", "10.0.0.2"));
    check(builder, "its endpoints move", moved, [0, 0, 2, 0]);
    let unrelated = Event::Apply(policy("unrelated", "other", None));
    check(builder, "a policy of another Service", unrelated, NOTHING);
    let of_port = Event::Apply(policy("of-port", "web", Some("dns")));
    check(
        builder,
        "one for a port that is not spoken to",
        of_port,
        NOTHING,
    );
    // By TLS: what comes out of TLS, and requests. What goes through as it is is of the same route, and comes to what it was.
    let spoken = Event::Apply(policy("spoken", "web", None));
    check(builder, "one for all of its ports", spoken, [3, 2, 2, 1]);
    let younger = Event::Apply(policy("younger", "web", None));
    check(
        builder,
        "a second one, which does not hold",
        younger,
        NOTHING,
    );
    let gone = config_map("ca", json!({}));
    check(
        builder,
        "its authority goes",
        Event::Apply(gone),
        [3, 0, 0, 0],
    );
    let back = config_map("ca", json!({ "ca.crt": AUTHORITY }));
    check(builder, "and comes back", Event::Apply(back), [3, 2, 2, 1]);
    let twice = config_map("ca", json!({ "ca.crt": format!("{AUTHORITY}{ANOTHER}") }));
    check(
        builder,
        "other bytes of it",
        Event::Apply(twice),
        [0, 0, 0, 1],
    );
    let nobodys = config_map("nobodys", json!({ "ca.crt": AUTHORITY }));
    check(
        builder,
        "a ConfigMap of nobody",
        Event::Apply(nobodys),
        NOTHING,
    );
    let weighed = route(
        Kind::TlsRoute,
        "tls",
        json!(["a.through.test", "a.ends.test"]),
        "other",
        80,
    );
    check(
        builder,
        "another back end by TLS",
        Event::Apply(weighed),
        [2, 2, 2, 0],
    );
    let elsewhere = route(Kind::UdpRoute, "dns", json!(null), "other", 53);
    check_listening(
        builder,
        "another for datagrams",
        Event::Apply(elsewhere),
        [0, 1, 1, 0],
        1,
    );
    // Its two clusters of TCP have read the Service, and that of UDP is gone.
    let port = Event::Apply(two_ports("other", 54));
    check_listening(
        builder,
        "a port of UDP that is another now",
        port,
        [0, 2, 2, 0],
        1,
    );
}

/// Of many routes through a Gateway to a Service that a policy is about, only the first and the last are news to the policy, and none
/// of them to the Gateway.
#[test]
fn ways_to_a_service_are_news_once() {
    let mut builder = Builder::new(Config::of_manifests(of_gateways())).with_audit();
    for object in forwarding_world() {
        builder.apply(Event::Apply(object));
    }
    builder.apply(Event::Apply(policy("spoken", "web", None)));
    builder.build();
    let _ = builder.made_for_nothing();
    let to = |name: &str, to: &str| {
        route(
            Kind::HttpRoute,
            name,
            json!([format!("{name}.test")]),
            to,
            80,
        )
    };
    let steps = [
        Event::Apply(to("second", "web")),
        Event::Apply(to("third", "other")),
        // It is attached as before, and leads to the Service now.
        Event::Apply(to("third", "web")),
        Event::Apply(to("third", "other")),
        deleted(&to("second", "web")),
    ];
    for step in steps {
        builder.apply(step.clone());
        builder.build();
        assert_eq!(builder.made_for_nothing(), Vec::<String>::new(), "{step:?}");
    }
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
