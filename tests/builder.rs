//! The invariants of the incremental core, over random histories: what comes out is a function of the objects
//! (I1), kept up to date as if built from nothing (I2), closed (I5), and quiet where nothing changed (I3).

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/objects.rs"]
mod objects;
#[path = "support/rehearsed.rs"]
mod rehearsed;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use isobath::build::{Builder, Config};
use isobath::model::{Claimable, Front, Host};
use isobath::objects::{
    Event, KeyAlgorithm, Kind, Object, ObjectRef, PrivateKeyPem, Secret, TlsCertificate, decode,
};
use isobath::translate::{HostOwnership, HostUnit, Input, Language, Options};
use isobath::xds::{ResourceType, Snapshot};
use objects::{
    HOSTS, NAMESPACES, SECRETS, SERVICES, cases, history_of, metadata, replay, secret, take_in,
};
use proptest::prelude::*;
use proptest::sample::select;
use rehearsed::{CONFIG_MAP, OUTLET, Outlets};
use serde_json::json;

fn builder(options: Options) -> Builder {
    Builder::new(Config::of_manifests(options)).with_language(&Outlets)
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
        1 => config_map(),
    ];
    history_of(object.boxed())
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

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn incremental_equals_from_scratch(
        history in history(),
        shuffle in any::<prop::sample::Index>(),
        allow_external_names in any::<bool>(),
        host_ownership in select(&[HostOwnership::Shared, HostOwnership::Namespace][..]),
    ) {
        let options = Options { allow_external_names, host_ownership, ..Options::default() };
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
    ) {
        let options = Options { host_ownership, ..Options::default() };
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
        check(&history, shuffle, &Options::default())?;
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

/// How many lines it takes to add a kind, beside its objects, and without a change of what goes over kinds.
#[test]
fn a_kind_is_a_page_or_two() {
    let lines = include_str!("support/rehearsed.rs").lines().count();
    assert!(lines < 150, "{lines}");
}

fn outlet_of(name: &str, age: i64, fields: &[(&str, &str)]) -> Event {
    let metadata = metadata("shop", name, "", Some(age), &[]);
    Event::Apply(rehearsed::object(OUTLET, metadata, fields))
}

/// An Outlet reads one key of a ConfigMap: another one is nobody's news.
#[test]
fn a_key_has_its_readers() {
    let config = |path, other| {
        let metadata = metadata("shop", "conf", "", None, &[]);
        let fields = [("path", path), ("other", other)];
        Event::Apply(rehearsed::object(CONFIG_MAP, metadata, &fields))
    };
    let mut builder = builder(Options::default());
    let mut check = |event, listeners, hosts, is_changed| {
        let before = builder.translated();
        builder.apply(event);
        assert_eq!(builder.build(), is_changed);
        let made = builder.translated();
        assert_eq!(made.listeners - before.listeners, listeners);
        assert_eq!(made.hosts - before.hosts, hosts);
    };
    check(config("/a", "1"), 0, 0, true);
    let listens = [
        ("listener", "outlet/1"),
        ("address", "127.0.0.1:81"),
        ("speaks", "http"),
    ];
    let with = |fields: &[(&'static str, &'static str)]| [&listens[..], fields].concat();
    let reads = [("host", "a.test"), ("config", "conf")];
    check(outlet_of("one", 0, &with(&reads)), 1, 1, true);
    let alone = outlet_of("two", 0, &[("fleet", "b.test")]);
    check(alone, 0, 1, true);
    check(config("/a", "2"), 0, 0, false);
    check(config("/b", "2"), 0, 1, true);
    // Its listener moves: its host does not care. It speaks something else: its host does.
    let moved = [("address", "127.0.0.1:82")];
    let moved = [&with(&reads)[..], &moved].concat();
    check(outlet_of("one", 0, &moved), 1, 0, true);
    let speaks = [&moved[..], &[("speaks", "tls")]].concat();
    check(outlet_of("one", 0, &speaks), 1, 1, true);
    let gone = ObjectRef::new(Kind::Untyped(OUTLET), "shop", "one");
    check(Event::Delete(gone), 1, 1, true);
}

/// A host of the fleet that two languages claim is the older claim's alone, the other one is told, and it takes over in one
/// snapshot.
#[test]
fn a_host_has_one_language() {
    let [ingress, service, slice] = host(1);
    let ingress_of = |event: &Event| match event {
        Event::Apply(object) => object.reference(),
        _ => unreachable!(),
    };
    let reference = ingress_of(&ingress);
    let outlet = |age| {
        let fields = [("fleet", "1.example.com"), ("service", "web-1")];
        outlet_of("one", age, &fields)
    };
    let served = |builder: &mut Builder, events: &[Event]| {
        for event in events {
            builder.apply(event.clone());
        }
        builder.build();
        let problems = builder.statuses().problems.keys();
        let told: Vec<String> = problems.map(ToString::to_string).collect();
        (dump(builder.snapshot()), told)
    };
    let new = || builder(Options::default());
    let outlet_alone = served(&mut new(), &[service.clone(), slice.clone(), outlet(0)]);
    assert_eq!(outlet_alone.1, Vec::<String>::new());
    // An Ingress of a manifest is younger than whatever has an age.
    let mut builder = new();
    let all = [ingress, service, slice, outlet(0)];
    let both = served(&mut builder, &all);
    assert_eq!(both.0, outlet_alone.0);
    assert_eq!(both.1, ["Ingress shop/web-1"]);
    let gone = ObjectRef::new(Kind::Untyped(OUTLET), "shop", "one");
    let ingress_alone = served(&mut builder, &[Event::Delete(gone)]);
    assert_ne!(ingress_alone.0, outlet_alone.0);
    assert_eq!(ingress_alone, served(&mut new(), &all[..3]));
    builder.apply(outlet(1));
    builder.apply(Event::Delete(reference));
    builder.build();
    assert_eq!(dump(builder.snapshot()), outlet_alone.0);
}

/// A Secret with a certificate.
fn secret_of(namespace: &str, name: &str) -> Event {
    let certificate = TlsCertificate {
        chain: "chain".into(),
        key: PrivateKeyPem::new("key".to_owned()),
        key_algorithm: KeyAlgorithm::Rsa,
        names: Vec::new(),
        common_name: None,
        not_before: jiff::Timestamp::UNIX_EPOCH,
        not_after: jiff::Timestamp::UNIX_EPOCH,
    };
    Event::Apply(Object::Secret(Arc::new(Secret {
        metadata: metadata(namespace, name, "", None, &[]),
        certificate: Ok(Arc::new(certificate)),
    })))
}

/// An Outlet of this namespace, with the Secret that it names.
fn outlet_with(namespace: &str, fields: &[(&str, &str)]) -> Vec<Event> {
    let outlet = metadata(namespace, "one", "", Some(0), &[]);
    let secret = fields.iter().find(|(key, _)| *key == "secret");
    let secret = secret.map(|(_, name)| secret_of(namespace, name));
    let outlet = Event::Apply(rehearsed::object(OUTLET, outlet, fields));
    secret.into_iter().chain([outlet]).collect()
}

/// What stands by its own name, beside the listeners and tables that all share.
fn named(events: impl IntoIterator<Item = Event>) -> Vec<(ResourceType, Arc<str>, bytes::Bytes)> {
    let mut builder = builder(Options::default());
    for event in events {
        builder.apply(event);
    }
    builder.build();
    check_closed(builder.snapshot());
    let is_own = |of: &ResourceType, name: &str| {
        *of == ResourceType::Extension || !["http", "https"].contains(&name)
    };
    let all = dump(builder.snapshot()).into_iter();
    all.filter(|(of, name, ..)| is_own(of, name))
        .map(|(of, name, _, bytes)| (of, name, bytes))
        .collect()
}

/// Whatever two objects name their listeners, hosts and Secrets: what comes of both is what comes of each.
#[test]
fn no_listener_takes_a_name_of_another() {
    let listens = |namespace, name, address, speaks, more: &[(&'static str, &'static str)]| {
        let fields = [
            ("listener", name),
            ("address", address),
            ("speaks", speaks),
            ("host", "a.test"),
        ];
        outlet_with(namespace, &[&fields[..], more].concat())
    };
    let fleet =
        |namespace, secret| outlet_with(namespace, &[("fleet", "b.test"), ("secret", secret)]);
    let (one, two) = ("127.0.0.1:81", "127.0.0.1:82");
    let own = [("secret", "own")];
    let cases = [
        // The scope of a host, and that of a server.
        (
            listens("west", "edge", one, "tls", &own),
            fleet("edge", "a.test"),
        ),
        // The one table of a listener for clear text, and that of a server.
        (
            listens("west", "shop/web", one, "http", &[]),
            fleet("shop", "web"),
        ),
        // The managers of all but wildcards, and of wildcards.
        (
            listens("west", "https-wildcard", one, "tls", &own),
            fleet("shop", "web"),
        ),
        (
            listens("west", "https-wildcard", one, "http", &[]),
            fleet("shop", "web"),
        ),
        (
            listens("west", "x", one, "tls", &own),
            listens("east", "x-wildcard", two, "tls", &own),
        ),
        (
            listens("west", "x", one, "tls", &own),
            listens("east", "x/a.test", two, "http", &[]),
        ),
    ];
    let shared = named([]);
    for (one, two) in cases {
        let both = named(one.iter().chain(&two).cloned());
        let [one, two] = [one, two].map(named);
        for of in [&one, &two] {
            assert!(of.len() > shared.len());
            let lost: Vec<_> = of.iter().filter(|it| !both.contains(it)).collect();
            assert!(lost.is_empty(), "{lost:?}");
            let lost: Vec<_> = shared.iter().filter(|it| !of.contains(it)).collect();
            assert!(lost.is_empty(), "{lost:?}");
        }
        assert_eq!(both.len(), one.len() + two.len() - shared.len());
    }
}

/// What is said of the only object with problems.
fn told(builder: &Builder) -> String {
    let problems = &builder.statuses().problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    format!("{problems:?}")
}

/// Names that nothing may be named after, and hosts of the listeners that are there whatever objects say.
#[test]
fn what_is_not_allowed_is_told() {
    for name in ["edge>http", "100%", "https"] {
        let mut builder = builder(Options::default());
        builder.build();
        let before = dump(builder.snapshot());
        let listens = [
            ("listener", name),
            ("address", "127.0.0.1:81"),
            ("speaks", "http"),
        ];
        builder.apply(outlet_of("one", 0, &listens));
        builder.build();
        assert!(told(&builder).contains("ListenerNotAllowed"), "{name}");
        assert_eq!(dump(builder.snapshot()), before, "{name}");
    }
    let mut builder = builder(Options::default());
    builder.apply(outlet_of(
        "one",
        0,
        &[("listener", "http"), ("host", "a.test")],
    ));
    builder.build();
    let told = told(&builder);
    let expected = "listener http has the hosts of Ingresses, and no host a.test of its own";
    assert!(told.contains(expected), "{told}");
}

/// A language that takes every host for another one.
#[derive(Debug)]
struct Confused;

impl Language for Confused {
    fn kinds(&self) -> &'static [Kind] {
        Outlets.kinds()
    }

    fn claims(&self, input: Input<'_>, outlet: &ObjectRef) -> BTreeSet<Claimable> {
        Outlets.claims(input, outlet)
    }

    fn host(&self, input: Input<'_>, front: &Front, _: &Host, claims: &[ObjectRef]) -> HostUnit {
        Outlets.host(input, front, &Host::new("1.example.com"), claims)
    }
}

/// Routes of another host are in the place of nobody's.
#[test]
fn a_host_has_its_own_routes() {
    let serve = |events: &[Event]| {
        let config = Config::of_manifests(Options::default());
        let mut builder = Builder::new(config).with_language(&Confused);
        for event in host(1).into_iter().chain(events.iter().cloned()) {
            builder.apply(event);
        }
        builder.build();
        builder
    };
    let alone = serve(&[secret_of("shop", "own")]);
    let fields = [("fleet", "b.test"), ("service", "web-1"), ("secret", "own")];
    let with = serve(&[secret_of("shop", "own"), outlet_of("one", 0, &fields)]);
    assert_eq!(dump(with.snapshot()), dump(alone.snapshot()));
    let problems = format!("{:?}", with.statuses().problems);
    let expected = "what it says of host b.test came to routes of host 1.example.com";
    assert!(problems.contains(expected), "{problems}");
}
