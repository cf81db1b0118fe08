//! The invariants of the incremental core, over random histories: what comes out is a function of the objects
//! (I1), kept up to date as if built from nothing (I2), closed (I5), and quiet where nothing changed (I3).

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/gates.rs"]
mod gates;
#[path = "builder/languages.rs"]
mod languages;
#[path = "support/objects.rs"]
mod objects;
#[path = "builder/policies.rs"]
mod policies;
#[path = "support/rehearsed.rs"]
mod rehearsed;
#[path = "builder/trust.rs"]
mod trust;

use std::collections::BTreeMap;
use std::sync::Arc;

use gates::{GATE, Gates};
use isobath::build::{Builder, Config};
use isobath::model::Cidr;
use isobath::objects::http_proxy::{
    AuthorizationServer, ExtensionServiceReference, HeaderValue, HeadersPolicy,
};
use isobath::objects::{Event, Kind, NamespacedName, Object, ObjectRef, decode};
use isobath::translate::{
    FleetPorts, GatewayOptions, HeaderPolicies, HostOwnership, HttpProxyOptions, Options, PodPort,
    RateLimitService, Transport,
};
use isobath::xds::{ResourceType, Snapshot};
use objects::{
    HOSTS, NAMESPACES, SECRETS, SERVICES, cases, history_of, history_of_gateways,
    history_of_proxies, metadata, replay, secret, take_in,
};
use proptest::prelude::*;
use proptest::sample::select;
use rehearsed::{CONFIG_MAP, OUTLET, Outlets};
use serde_json::json;

/// Where Gateways can have addresses, or are reached by the ports of the fleet: two where Ingresses are, and others.
fn with_gateways(have_addresses: bool) -> Options {
    let addresses = have_addresses.then(|| Cidr::new("127.9.0.0/16").unwrap());
    let other = |port| PodPort::Other(([0, 0, 0, 0], port).into());
    let ports = [
        ((80, Transport::Tcp), PodPort::Http),
        ((443, Transport::Tcp), PodPort::Https),
        ((81, Transport::Tcp), other(9081)),
        ((82, Transport::Tcp), other(9082)),
        ((80, Transport::Udp), other(9080)),
    ];
    Options {
        gateway: GatewayOptions {
            addresses: addresses.into_iter().collect(),
            ports: FleetPorts::new(ports),
            services: None,
        },
        ..Options::default()
    }
}

/// What an operator may say of HTTPProxies: nothing, or whom to ask, who counts, and what is done to headers.
fn operator() -> impl Strategy<Value = Arc<HttpProxyOptions>> {
    let name = |name: &str| NamespacedName::new(NAMESPACES[1], name);
    let header = HeaderValue {
        name: "x-a".into(),
        value: "%REQ(x-b)% of %CONTOUR_SERVICE_NAME%".into(),
    };
    let everything = HttpProxyOptions {
        fallback_certificate: Some(name(SECRETS[0])),
        headers: HeaderPolicies {
            requests: HeadersPolicy {
                set: [header].into(),
                remove: ["x-b".into()].into(),
            },
            apply_to_ingress: true,
            ..HeaderPolicies::default()
        },
        global_authorization: Some(AuthorizationServer {
            extension_ref: ExtensionServiceReference {
                namespace: NAMESPACES[1].into(),
                name: "authz".into(),
                ..ExtensionServiceReference::default()
            },
            ..AuthorizationServer::default()
        }),
        rate_limit_service: Some(RateLimitService {
            extension: name("limits"),
            domain: "all".into(),
            fail_open: false,
            enable_x_ratelimit_headers: true,
            enable_resource_exhausted_code: false,
            default_policy: None,
        }),
        ..HttpProxyOptions::default()
    };
    select(vec![Arc::default(), Arc::new(everything)])
}

fn builder(options: Options) -> Builder {
    Builder::new(Config::of_manifests(options))
        .with_language(&Outlets)
        .with_language(&Gates)
}

/// A field of an Outlet; none at times.
fn field(
    key: &'static str,
    values: &'static [&'static str],
) -> impl Strategy<Value = Option<(&'static str, &'static str)>> {
    let value = select(values).prop_map(move |value| (key, value));
    prop::option::weighted(0.8, value)
}

/// Few names, so that one is claimed by several, some of them built in.
fn outlet() -> impl Strategy<Value = Object> {
    let fields = (
        field("listener", &["outlet/1", "outlet/2", "https"]),
        field("address", &["127.0.0.1:81", "[::1]:82", "nowhere"]),
        field("speaks", &["http", "tls", "tls", "tcp", "udp"]),
        field("host", &HOSTS),
        field("fleet", &HOSTS),
        field("service", &SERVICES),
        field("secret", &SECRETS),
        field("config", &["conf", "none"]),
    );
    let age = prop::option::of(0..3_i64);
    let name = (select(&NAMESPACES[..]), select(&["one", "two"][..]), age);
    (name, fields).prop_map(|((namespace, name, age), fields)| {
        let (a, b, c, d, e, f, g, h) = fields;
        let fields: Vec<_> = [a, b, c, d, e, f, g, h].into_iter().flatten().collect();
        rehearsed::object(OUTLET, metadata(namespace, name, "", age, &[]), &fields)
    })
}

fn gate() -> impl Strategy<Value = Object> {
    let fields = (
        field("fleet", &HOSTS),
        field("secret", &SECRETS),
        field("clients", &SECRETS),
        prop::option::weighted(0.2, select(&SECRETS[..])),
        field("service", &SERVICES),
        field("verify", &SECRETS),
        field("shows", &SECRETS),
    );
    let age = prop::option::of(0..3_i64);
    let name = (select(&NAMESPACES[..]), select(&["one", "two"][..]), age);
    (name, fields).prop_map(|((namespace, name, age), fields)| {
        let (a, b, c, revocations, d, e, f) = fields;
        let revocations = revocations.map(|name| ("revocations", name));
        let fields: Vec<_> = [a, b, c, revocations, d, e, f]
            .into_iter()
            .flatten()
            .collect();
        rehearsed::object(GATE, metadata(namespace, name, "", age, &[]), &fields)
    })
}

fn config_map() -> impl Strategy<Value = Object> {
    let fields = (field("path", &["/", "/x"]), field("other", &["1", "2"]));
    (select(&NAMESPACES[..]), fields).prop_map(|(namespace, (path, other))| {
        let fields: Vec<_> = [path, other].into_iter().flatten().collect();
        let metadata = metadata(namespace, "conf", "", None, &[]);
        rehearsed::object(CONFIG_MAP, metadata, &fields)
    })
}

/// Events of all kinds, the one that is to be thrown away among them.
fn history() -> impl Strategy<Value = Vec<(Event, bool)>> {
    let object = prop_oneof![
        5 => objects::object(),
        2 => outlet(),
        2 => gate(),
        1 => config_map(),
    ];
    prop_oneof![
        2 => history_of(object.boxed()),
        1 => history_of_proxies(),
        1 => history_of_gateways(),
    ]
}

fn dump(snapshot: &Snapshot) -> Vec<(ResourceType, Arc<str>, Arc<str>, bytes::Bytes)> {
    let resources = ResourceType::ALL.into_iter().flat_map(|resource_type| {
        let resources = snapshot.resources(resource_type).values();
        resources.map(move |resource| {
            (
                resource_type,
                resource.name().clone(),
                resource.version().clone(),
                resource.bytes(),
            )
        })
    });
    resources.collect()
}

fn check_closed(snapshot: &Snapshot) {
    for resource_type in ResourceType::ALL {
        for resource in snapshot.resources(resource_type).values() {
            for reference in resource.references() {
                assert!(
                    snapshot
                        .get(reference.resource_type, &reference.name)
                        .is_some(),
                    "{} {} names {} {}, which is not there",
                    resource_type,
                    resource.name(),
                    reference.resource_type,
                    reference.name
                );
            }
        }
    }
}

/// Plays a history, with builds in it, and compares the end with what the objects that are left come to at once.
fn check(
    history: &[(Event, bool)],
    shuffle: prop::sample::Index,
    options: &Options,
) -> Result<(), TestCaseError> {
    let mut incremental = builder(options.clone());
    for (event, build) in history {
        incremental.apply(event.clone());
        if *build {
            incremental.build();
            check_closed(incremental.snapshot());
        }
    }
    incremental.build();
    check_closed(incremental.snapshot());

    let mut objects: Vec<_> = replay(history).into_values().collect();
    let middle = if objects.is_empty() {
        0
    } else {
        shuffle.index(objects.len())
    };
    objects.rotate_left(middle);
    let mut scratch = builder(options.clone());
    for object in objects.iter().rev() {
        scratch.apply(Event::Apply(object.clone()));
    }
    scratch.build();

    prop_assert_eq!(dump(incremental.snapshot()), dump(scratch.snapshot()));
    prop_assert_eq!(incremental.statuses(), scratch.statuses());

    // Nothing new: nothing translated, nothing different.
    let translated = scratch.translated();
    for object in objects {
        scratch.apply(Event::Apply(object));
    }
    prop_assert!(!scratch.build());
    prop_assert_eq!(scratch.translated(), translated);
    Ok(())
}

/// ingress-nginx's own ConfigMap, where one is read: mostly one that is not there.
fn named_config_map(is_read: bool) -> Option<NamespacedName> {
    is_read.then(|| NamespacedName::new(NAMESPACES[0], SECRETS[0]))
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn incremental_equals_from_scratch(
        history in history(),
        shuffle in any::<prop::sample::Index>(),
        allow_external_names in any::<bool>(),
        host_ownership in select(&[HostOwnership::Shared, HostOwnership::Namespace][..]),
        http_proxy in operator(),
        have_addresses in any::<bool>(),
    ) {
        let gateways = with_gateways(have_addresses);
        let nginx_configmap = named_config_map(have_addresses);
        let options =
            Options { allow_external_names, host_ownership, http_proxy, nginx_configmap, ..gateways };
        check(&history, shuffle, &options)?;
    }
}

/// Plays a history one object at a time: of two in one build the second may undo what the first has changed. A list is
/// what is gone, and then what it has.
fn one_by_one(history: Vec<(Event, bool)>) -> Vec<Event> {
    let mut known: BTreeMap<ObjectRef, Object> = BTreeMap::new();
    let mut single = Vec::new();
    for (event, _) in history {
        let mut after = known.clone();
        take_in(&mut after, event.clone());
        let gone = known.keys().filter(|known| !after.contains_key(*known));
        single.extend(gone.cloned().map(Event::Delete));
        let differs = after
            .iter()
            .filter(|(reference, object)| known.get(*reference) != Some(object));
        single.extend(differs.map(|(_, object)| Event::Apply(object.clone())));
        known = after;
    }
    single
}

proptest! {
    #![proptest_config(cases(10_000))]

    /// Work follows the change (I4): of all units that an event has made again, each has read a fact that differs.
    #[test]
    fn no_unit_is_made_for_nothing(
        history in history(),
        host_ownership in select(&[HostOwnership::Shared, HostOwnership::Namespace][..]),
        http_proxy in operator(),
        have_addresses in any::<bool>(),
    ) {
        let gateways = with_gateways(have_addresses);
        let nginx_configmap = named_config_map(have_addresses);
        let options = Options {
            host_ownership,
            http_proxy,
            nginx_configmap,
            allow_external_names: true,
            ..gateways
        };
        let mut builder = builder(options).with_audit();
        for event in one_by_one(history) {
            builder.apply(event.clone());
            builder.build();
            prop_assert_eq!(builder.made_for_nothing(), Vec::<String>::new(), "{:?}", event);
        }
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    /// The Secrets of one host come, go and are renewed, with keys of one kind or the other: what whole histories meet
    /// too seldom.
    #[test]
    fn rotations_of_one_host(
        secrets in prop::collection::vec((secret(), any::<bool>()), 1..8),
        shuffle in any::<prop::sample::Index>(),
    ) {
        let tls = |secret| json!({ "hosts": ["a.test"], "secretName": secret });
        let backend = json!({ "service": { "name": "web", "port": { "number": 80 } } });
        let ingress = json!({
            "metadata": { "name": "one", "namespace": NAMESPACES[0] },
            "spec": { "defaultBackend": backend, "tls": SECRETS.map(tls) },
        });
        let ingress = decode(Kind::Ingress, &ingress.to_string()).unwrap();
        let rotations = secrets
            .into_iter()
            .map(|(secret, build)| (Event::Apply(secret), build));
        let history: Vec<_> = [(Event::Apply(ingress), true)].into_iter().chain(rotations).collect();
        check(&history, shuffle, &with_gateways(true))?;
    }
}

/// Two namespaces claim a host and the wildcard above it: when the older one goes, or comes back, one build makes all of it
/// the other's, and tells nobody any more.
#[test]
fn the_next_owner_takes_over_in_one_snapshot() {
    let claim = |namespace: &str, year: u16| {
        let backend = json!({ "service": { "name": "web", "port": { "number": 80 } } });
        let paths = json!({ "paths": [{ "path": "/", "pathType": "Prefix", "backend": backend }] });
        let ingress = json!({
            "metadata": {
                "name": "one",
                "namespace": namespace,
                "creationTimestamp": format!("{year}-01-01T00:00:00Z"),
            },
            "spec": {
                "rules": [{ "host": "a.test", "http": paths }, { "host": "*.test", "http": paths }],
                "tls": [{ "hosts": ["*.test"], "secretName": "first" }],
            },
        });
        let service = json!({
            "metadata": { "name": "web", "namespace": namespace },
            "spec": { "ports": [{ "port": 80, "protocol": "TCP" }] },
        });
        let objects = [(Kind::Ingress, ingress), (Kind::Service, service)];
        objects.map(|(kind, object)| decode(kind, &object.to_string()).unwrap())
    };
    let build = |builder: &mut Builder, events: Vec<Event>| {
        for event in events {
            builder.apply(event);
        }
        builder.build();
        (
            dump(builder.snapshot()),
            builder.statuses().problems.clone(),
        )
    };
    let options = Options {
        host_ownership: HostOwnership::Namespace,
        ..Options::default()
    };
    let (old, new) = (claim("west", 2020), claim("east", 2024));
    let all = |objects: &[Object]| {
        objects
            .iter()
            .cloned()
            .map(Event::Apply)
            .collect::<Vec<_>>()
    };
    let of_old = build(&mut builder(options.clone()), all(&old));
    let of_new = build(&mut builder(options.clone()), all(&new));
    let builder = &mut builder(options);
    let both = build(builder, all(&[old.clone(), new].concat()));
    assert_eq!(both.0, of_old.0, "nothing of the younger one is served");
    let told: Vec<_> = both.1.keys().map(ToString::to_string).collect();
    assert_eq!(told, ["Ingress east/one", "Ingress west/one"]);
    let left = build(builder, vec![Event::Delete(old[0].reference())]);
    assert_eq!(left, of_new);
    assert_eq!(build(builder, all(&old[..1])), both);
}

/// A host with a Service, an EndpointSlice and a Secret that is not there.
fn host(number: usize) -> [Event; 3] {
    let metadata = |labels: serde_json::Value| json!({ "name": format!("web-{number}"), "namespace": "shop", "labels": labels });
    let backend =
        json!({ "service": { "name": format!("web-{number}"), "port": { "number": 80 } } });
    let ingress = json!({
        "metadata": metadata(json!({})),
        "spec": {
            "rules": [{
                "host": format!("{number}.example.com"),
                "http": { "paths": [{ "path": "/", "pathType": "Prefix", "backend": backend }] },
            }],
            "tls": [{ "hosts": [format!("{number}.example.com")], "secretName": "missing" }],
        },
    });
    let service = json!({
        "metadata": metadata(json!({})),
        "spec": { "ports": [{ "port": 80, "protocol": "TCP" }] },
    });
    let slice = json!({
        "metadata": metadata(json!({ "kubernetes.io/service-name": format!("web-{number}") })),
        "addressType": "IPv4",
        "ports": [{ "port": 8080, "protocol": "TCP" }],
        "endpoints": [{ "addresses": [format!("10.0.{}.{}", number / 250, number % 250 + 1)] }],
    });
    [
        (Kind::Ingress, ingress),
        (Kind::Service, service),
        (Kind::EndpointSlice, slice),
    ]
    .map(|(kind, object)| Event::Apply(decode(kind, &object.to_string()).unwrap()))
}

/// Many units are made on several threads.
#[test]
fn threads_make_no_difference() {
    let built = |threads: usize| {
        let mut builder = builder(Options::default()).with_threads(threads);
        for event in (0..1500).flat_map(host) {
            builder.apply(event);
        }
        builder.build();
        builder
    };
    let alone = built(1);
    assert_eq!(alone.translated().endpoints, 1500);
    check_closed(alone.snapshot());
    for threads in [2, 3, 5] {
        let together = built(threads);
        assert_eq!(dump(alone.snapshot()), dump(together.snapshot()));
        assert_eq!(alone.statuses(), together.statuses());
        assert_eq!(alone.translated(), together.translated());
    }
}
