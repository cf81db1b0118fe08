//! Several languages in one core: what objects of one that is only rehearsed claim, and what they can't take from others.

use std::collections::BTreeSet;
use std::sync::Arc;

use isobath::model::{Claimable, Front, Host};
use isobath::objects::{
    Event, KeyAlgorithm, Kind, Object, ObjectRef, PrivateKeyPem, Secret, TlsCertificate,
};
use isobath::translate::{HostUnit, Input, Language, Options};
use isobath::xds::ResourceType;

use crate::objects::metadata;
use crate::rehearsed::{self, CONFIG_MAP, OUTLET, Outlets};
use crate::{Builder, Config, builder, check_closed, dump, host};

/// How many lines it takes to add a kind, beside its objects, and without a change of what goes over kinds.
#[test]
fn a_kind_is_a_page_or_two() {
    let lines = include_str!("../support/rehearsed.rs").lines().count();
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
        authorities: None,
        revocations: None,
        credentials: None,
        credentials_map: None,
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
