//! All languages at once, through to the bytes: HTTPProxies with what they include, delegations, ExtensionServices, Gateways and their
//! routes, beside Ingresses.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::config::route::v3::{RouteConfiguration, VirtualHost};
use isobath::build::{Builder, Config};
use isobath::model::{Cidr, Host};
use isobath::objects::gateway_api::{GatewayAddress, RouteHead, RouteNamespaces, Status};
use isobath::objects::{Event, Kind, Object};
use isobath::translate::{FleetPorts, GatewayOptions, HostOwnership, Options, PodPort, Transport};
use isobath::xds::{ResourceType, Snapshot};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use prost::Message;

use crate::objects::{cases, history_of, history_of_gateways, history_of_proxies, object, replay};
use crate::{ATTACKER, is_of};

/// An address that only Gateways of the attacker have.
const ELSEWHERE: &str = "127.9.0.200";

fn world() -> impl Strategy<Value = Vec<Object>> {
    let any = history_of(object().boxed());
    prop_oneof![1 => any.boxed(), 3 => history_of_proxies().boxed(), 2 => history_of_gateways().boxed()]
        .prop_map(|history| replay(&history).into_values().collect())
}

/// Whether an object of the victim names the other namespace: it is asked in then, as by an include or a reference.
fn asks_in(object: &Object) -> bool {
    let gives = matches!(
        object.reference().kind,
        Kind::TlsCertificateDelegation | Kind::ReferenceGrant | Kind::Namespace
    );
    !gives && format!("{object:?}").contains(&format!("\"{ATTACKER}"))
}

/// How Gateways of the two are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    /// Each by addresses of its own.
    Apart,
    /// By the fleet's ports, which all share with each other and with Ingresses. Whoever was there first has a port and a host, so
    /// the victim is.
    Together,
}

/// No Gateway asks for an address.
fn together(mut object: Object) -> Object {
    if let Object::Gateway(gateway) = &mut object {
        let gateway = std::sync::Arc::make_mut(gateway);
        gateway.addresses = Box::default();
        gateway.status = Status::default().into();
    }
    object
}

/// The hosts that objects of the Gateway API name.
fn named_by_gateways(objects: &[Object]) -> BTreeSet<Host> {
    let names =
        |head: &RouteHead| -> Vec<Host> { head.hostnames.iter().cloned().map(Host::new).collect() };
    let of = |object: &Object| -> Vec<Host> {
        match object {
            Object::Gateway(gateway) => {
                let listeners = gateway.listeners.iter();
                listeners
                    .filter_map(|it| it.hostname.clone())
                    .map(Host::new)
                    .collect()
            }
            Object::ListenerSet(set) => {
                let listeners = set.listeners.iter();
                listeners
                    .filter_map(|it| it.hostname.clone())
                    .map(Host::new)
                    .collect()
            }
            Object::HttpRoute(route) => names(&route.head),
            Object::GrpcRoute(route) => names(&route.head),
            _ => Vec::new(),
        }
    };
    objects.iter().flat_map(of).collect()
}

/// The victim's Gateways take routes and listeners of their own namespace.
fn kept_to_itself(mut object: Object) -> Object {
    match &mut object {
        Object::Gateway(gateway) => {
            let gateway = std::sync::Arc::make_mut(gateway);
            gateway.allowed_listeners = RouteNamespaces::Same;
            for listener in &mut gateway.listeners {
                listener.allowed_routes.namespaces = RouteNamespaces::Same;
            }
        }
        Object::ListenerSet(set) => {
            for listener in &mut std::sync::Arc::make_mut(set).listeners {
                listener.allowed_routes.namespaces = RouteNamespaces::Same;
            }
        }
        _ => {}
    }
    object
}

/// The attacker's Gateways have an address that is free: of two that name one, the older has it.
fn elsewhere(mut object: Object) -> Object {
    if let Object::Gateway(gateway) = &mut object {
        let gateway = std::sync::Arc::make_mut(gateway);
        gateway.addresses = [GatewayAddress {
            kind: "IPAddress".into(),
            value: ELSEWHERE.into(),
            has_routability: false,
        }]
        .into();
        gateway.status = Status::default().into();
    }
    object
}

fn older(mut object: Object) -> Object {
    if let Some(metadata) = object.metadata_mut() {
        let age = metadata.created.map_or(5, |age| age.as_second());
        metadata.created = Some(jiff::Timestamp::from_second(age - 10).unwrap());
    }
    object
}

/// The hosts that objects name for all clients, in whatever language.
fn named(objects: &[Object]) -> BTreeSet<Host> {
    let of = |object: &Object| match object {
        Object::Ingress(ingress) => isobath::facts::hosts(ingress),
        Object::HttpProxy(proxy) => {
            let root = proxy.virtual_host.iter();
            root.map(|root| Host::new(root.fqdn.clone())).collect()
        }
        _ => BTreeSet::new(),
    };
    objects.iter().flat_map(of).collect()
}

fn build(objects: &[Object], host_ownership: HostOwnership, reached: Reached) -> Builder {
    let gateway = match reached {
        Reached::Apart => GatewayOptions {
            addresses: [Cidr::new("127.9.0.0/16").unwrap()].into(),
            ..GatewayOptions::default()
        },
        Reached::Together => {
            let other = |port| PodPort::Other(([0, 0, 0, 0], port).into());
            let ports = [
                (80, PodPort::Http),
                (443, PodPort::Https),
                (8080, other(8081)),
                (8443, other(8444)),
            ];
            GatewayOptions {
                ports: FleetPorts::new(ports.map(|(port, pod)| ((port, Transport::Tcp), pod))),
                ..GatewayOptions::default()
            }
        }
    };
    let mut builder = Builder::new(Config::of_manifests(Options {
        allow_external_names: true,
        host_ownership,
        gateway,
        ..Options::default()
    }));
    for object in objects {
        builder.apply(Event::Apply(object.clone()));
    }
    builder.build();
    builder
}

/// What each name comes to in each table. Hosts that only redirect are one virtual host.
fn answers(snapshot: &Snapshot) -> BTreeMap<(String, String), VirtualHost> {
    let tables = snapshot.resources(ResourceType::Route).values();
    let tables = tables.map(|table| RouteConfiguration::decode(table.bytes()).unwrap());
    let of = |table: RouteConfiguration| {
        let name = table.name;
        table.virtual_hosts.into_iter().flat_map(move |host| {
            let anonymous = VirtualHost {
                name: String::new(),
                domains: Vec::new(),
                ..host.clone()
            };
            let name = name.clone();
            let domains = host.domains.into_iter();
            domains.map(move |domain| ((name.clone(), domain), anonymous.clone()))
        })
    };
    tables.flat_map(of).collect()
}

/// Clusters, endpoints and certificates are what they were, as far as they are there.
fn same_by_name(before: &Snapshot, after: &Snapshot) -> Result<(), TestCaseError> {
    for of in [
        ResourceType::Cluster,
        ResourceType::Endpoint,
        ResourceType::Secret,
    ] {
        for resource in before.resources(of).values() {
            if let Some(now) = after.get(of, resource.name()) {
                let name = resource.name();
                prop_assert_eq!(now.bytes(), resource.bytes(), "{} {}", of, name);
            }
        }
    }
    Ok(())
}

/// Whether it is a table of the fleet's listener without TLS.
fn is_in_clear(table: &str) -> bool {
    table == "http" || table.starts_with("http/")
}

/// What has been compared, so that comparing nothing is noticed.
#[derive(Default)]
struct Compared {
    /// Names of the victim in tables.
    names: Cell<usize>,
    /// Those that an HTTPProxy brings, and a Gateway.
    proxies: Cell<usize>,
    gateways: Cell<usize>,
    /// Those that the attacker names as well.
    contested: Cell<usize>,
}

fn add(count: &Cell<usize>, is_so: bool) {
    count.set(count.get() + usize::from(is_so));
}

fn check(
    all: Vec<Object>,
    (ownership, reached): (HostOwnership, Reached),
    compared: &Compared,
) -> Result<(), TestCaseError> {
    let is_owned = ownership == HostOwnership::Namespace;
    let (added, there): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|object| is_of(object, ATTACKER));
    let there = there.into_iter().filter(|object| !asks_in(object));
    let there = there.map(kept_to_itself);
    let is_together = reached == Reached::Together;
    let there: Vec<Object> = match is_owned || is_together {
        true => there.map(older).collect(),
        false => there.collect(),
    };
    let added = added.into_iter();
    let (there, added): (Vec<Object>, Vec<Object>) = match reached {
        Reached::Apart => (there, added.map(elsewhere).collect()),
        Reached::Together => {
            let there = there.into_iter().map(together);
            (there.collect(), added.map(together).collect())
        }
    };
    let before = build(&there, ownership, reached);
    let after = build(&[&there[..], &added[..]].concat(), ownership, reached);
    same_by_name(before.snapshot(), after.snapshot())?;
    let theirs = named(&added);
    let is_named = |host: &Host| {
        let above = host.covering_wildcard();
        theirs.contains(host) || above.is_some_and(|above| theirs.contains(&above))
    };
    let is_answered = |host: &Host| theirs.iter().any(|above| crate::is_above(above, host));
    let claimed: BTreeSet<Host> = theirs
        .iter()
        .cloned()
        .chain(named_by_gateways(&added))
        .collect();
    let (was, is) = (answers(before.snapshot()), answers(after.snapshot()));
    let in_clear: BTreeSet<&str> = was
        .keys()
        .filter(|(table, _)| is_in_clear(table))
        .map(|(_, domain)| domain.as_str())
        .collect();
    let ours = named(&there);
    let by_gateways = match is_together {
        true => named_by_gateways(&there),
        false => BTreeSet::new(),
    };
    for ((table, domain), host) in &was {
        let name = Host::new(domain.clone());
        // In a table of a TLS server `*` is whoever is misdirected.
        let is_misdirected = name.is_any() && !is_in_clear(table);
        let is_of_fleet = ours.contains(&name) && !table.contains("127.9.") && !is_misdirected;
        let is_open = !in_clear.contains(domain.as_str()) && is_answered(&name);
        let is_contested = is_of_fleet && (is_named(&name) || is_open);
        // Of the host of an older Gateway nothing that is said later is served, by whomever.
        let is_of_gateway = by_gateways.contains(&name) && !is_misdirected && !is_of_fleet;
        if is_contested && !is_owned {
            continue;
        }
        // What nobody names is answered by whoever answers for all.
        if !is_of_fleet && !is_of_gateway && !table.contains("127.9.") {
            continue;
        }
        let text = format!("{host:?}");
        add(&compared.names, true);
        add(&compared.proxies, text.contains("HTTPProxy"));
        add(
            &compared.gateways,
            is_of_gateway || table.contains("127.9."),
        );
        let is_claimed = is_of_gateway && claimed.contains(&name);
        add(&compared.contested, is_contested || is_claimed);
        let now = is.get(&(table.clone(), domain.clone()));
        prop_assert_eq!(
            now,
            Some(host),
            "{} of table {}, where the other names {:?}",
            domain,
            table,
            theirs
        );
    }
    // Nothing is told of who is not concerned.
    let is_apart = !is_together
        && ours
            .iter()
            .all(|host| !is_named(host) && !is_answered(host))
        && theirs
            .iter()
            .all(|host| !ours.iter().any(|above| crate::is_above(above, host)));
    if is_apart {
        for (object, problems) in &before.statuses().problems {
            let now = after.statuses().problems.get(object);
            prop_assert_eq!(now, Some(problems), "what is told of {}", object);
        }
    }
    Ok(())
}

fn run(ownership: HostOwnership, reached: Reached) -> (Compared, usize) {
    let compared = Compared::default();
    let config = cases(2000);
    let count = config.cases as usize;
    let mut runner = TestRunner::new(config);
    let checked = runner.run(&world(), |all| check(all, (ownership, reached), &compared));
    if let Err(error) = checked {
        panic!("{error}");
    }
    let Compared {
        names,
        proxies,
        gateways,
        contested,
    } = &compared;
    println!(
        "{} names of {count} pairs: {} of HTTPProxies, {} of Gateways, {} contested",
        names.get(),
        proxies.get(),
        gateways.get(),
        contested.get()
    );
    (compared, count)
}

/// Whatever the other namespace brings, names that it does not name answer as before.
#[test]
fn nobody_else_is_touched() {
    let (compared, count) = run(HostOwnership::Shared, Reached::Apart);
    assert!(compared.proxies.get() * 50 > count);
    assert!(compared.gateways.get() * 50 > count);
}

/// Where hosts belong to namespaces, so do those that it names later.
#[test]
fn an_owner_keeps_all_of_its_hosts() {
    let (compared, count) = run(HostOwnership::Namespace, Reached::Apart);
    assert!(compared.proxies.get() * 50 > count);
    assert!(compared.contested.get() * 50 > count);
}

/// Gateways that share ports with those of others, and with Ingresses, keep what they had.
#[test]
fn who_shares_ports_keeps_what_it_has() {
    for ownership in [HostOwnership::Shared, HostOwnership::Namespace] {
        let (compared, count) = run(ownership, Reached::Together);
        assert!(compared.gateways.get() * 50 > count);
        assert!(compared.contested.get() * 400 > count);
    }
}
