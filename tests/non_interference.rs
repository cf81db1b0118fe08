//! One tenant can't touch another: whatever is added in one namespace, the units of another come out the same,
//! but for the hosts that both name, where the stated rules decide: `tests/soak/tenants.rs` holds those to them.
//! Where hosts belong to namespaces, also these come out the same.
//!
//! Here units of Ingresses; `non_interference/languages.rs` has all languages, through to the bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "non_interference/languages.rs"]
mod languages;
#[path = "support/objects.rs"]
mod objects;

use std::collections::{BTreeMap, BTreeSet};

use isobath::facts::{Changes, ClassSelection, Log, Reader, ServedIngress, Store};
use isobath::model::{Host, TlsServer};
use isobath::objects::{Event, Ingress, NamespacedName, Object};
use isobath::translate::{self, HostOwnership, HostUnit, Input, Memo, Options, reason};
use objects::{cases, object};
use proptest::prelude::*;

const ATTACKER: &str = "east";
const VICTIM: &str = "west";

fn store(objects: &[Object]) -> Store {
    let mut store = Store::new(ClassSelection {
        names: Default::default(),
        manifests: true,
    });
    let mut changes = Changes::unread();
    for object in objects {
        store.apply(Event::Apply(object.clone()), &mut changes);
    }
    store
}

fn is_of(object: &Object, namespace: &str) -> bool {
    *object.reference().name.namespace == *namespace
}

/// The hosts that the objects name, and those that their wildcards cover.
fn reach(objects: &[Object]) -> impl Fn(&Host) -> bool {
    let named: BTreeSet<Host> = objects
        .iter()
        .filter_map(|object| match object {
            Object::Ingress(ingress) => Some(isobath::facts::hosts(ingress)),
            _ => None,
        })
        .flatten()
        .collect();
    move |host| {
        named.contains(host)
            || host
                .covering_wildcard()
                .is_some_and(|wildcard| named.contains(&wildcard))
    }
}

/// Whether the objects have rules for hosts that nobody names, or a wildcard at any height above the host.
fn answers(objects: &[Object]) -> impl Fn(&Host) -> bool {
    let named: BTreeSet<Host> = objects
        .iter()
        .filter_map(|object| match object {
            Object::Ingress(ingress) => Some(isobath::facts::hosts(ingress)),
            _ => None,
        })
        .flatten()
        .collect();
    move |host| {
        named.iter().any(|above| {
            let suffix = above.wildcard_suffix();
            above.is_any() || suffix.is_some_and(|suffix| host.as_str().ends_with(suffix))
        })
    }
}

proptest! {
    #![proptest_config(cases(30_000))]

    #[test]
    fn a_namespace_can_not_touch_another(
        there in prop::collection::vec(object(), 1..8),
        added in prop::collection::vec(object(), 1..5),
    ) {
        let options = Options { allow_external_names: true, ..Options::default() };
        let there: Vec<Object> = there.into_iter().filter(|object| !is_of(object, ATTACKER)).collect();
        let added: Vec<Object> = added.into_iter().filter(|object| is_of(object, ATTACKER)).collect();
        let (before_store, after_store) = (store(&there), store(&[&there[..], &added[..]].concat()));
        let (memos, log) = ([Memo::default(), Memo::default()], Log::default());
        let before = Input::new(&before_store, &options, &memos[0], &log);
        let after = Input::new(&after_store, &options, &memos[1], &log);
        let (is_shared, is_answered) = (reach(&added), answers(&added));
        for host in before_store.hosts() {
            let unit = translate::host(before, host);
            // HTTPS serves what HTTP serves: a host that is none there takes over what others bring for all.
            let is_open = unit.http.is_none() && is_answered(host);
            if is_shared(host) || is_open {
                continue;
            }
            prop_assert_eq!(&unit, &translate::host(after, host), "host {}", host);
            same_clusters(&unit, before, after)?;
        }
        // A certificate of another namespace serves nobody here who was not given it by its own namespace.
        for host in after_store.hosts() {
            let unit = translate::host(after, host);
            for secret in unit.https.iter().flat_map(|https| &https.secrets) {
                prop_assert!(may_use(&after_store, secret, &unit), "host {} has {}", host, secret);
            }
        }
    }

}

proptest! {
    #![proptest_config(cases(20_000))]

    /// Where hosts belong to namespaces, whatever the other one has: paths, expressions, challenges, wildcards, certificates,
    /// default back ends, rules without a host, annotations.
    #[test]
    fn a_host_is_its_owners_alone(
        there in prop::collection::vec(object(), 1..8),
        added in prop::collection::vec(object(), 1..8),
        is_older in prop::bool::weighted(0.7),
    ) {
        let options = Options {
            allow_external_names: true,
            host_ownership: HostOwnership::Namespace,
            ..Options::default()
        };
        let there = there.into_iter().filter(|object| !is_of(object, ATTACKER));
        let there: Vec<Object> = there.map(|object| if is_older { aged(object) } else { object }).collect();
        let added: Vec<Object> = added.into_iter().filter(|object| is_of(object, ATTACKER)).collect();
        let (before_store, after_store) = (store(&there), store(&[&there[..], &added[..]].concat()));
        let (memos, log) = ([Memo::default(), Memo::default()], Log::default());
        let before = Input::new(&before_store, &options, &memos[0], &log);
        let after = Input::new(&after_store, &options, &memos[1], &log);
        let mut lost = Vec::new();
        let mut kept = Vec::new();
        for host in after_store.hosts() {
            let (owner, is_claimed) = owner(&after_store, host, VICTIM);
            let unit = translate::host(after, host);
            is_of_one(&after_store, &owner, host, &unit)?;
            match owner == VICTIM {
                true => kept.push((host, unit)),
                false if is_claimed => lost.push(host),
                false => {}
            }
        }
        prop_assert!(!is_older || lost.is_empty(), "{:?}", lost);
        for (host, mut unit) in kept {
            // What it could have of a host above it that is not its owner's, whose claim there is younger.
            if lost.iter().any(|lost| is_above(lost, host)) {
                continue;
            }
            // An owner is told of what others ask for, and of its own other names that are none.
            let mut alone = translate::host(before, host);
            for unit in [&mut alone, &mut unit] {
                unit.problems
                    .retain(|problem| problem.reason != reason::HOST_CONFLICT);
            }
            prop_assert_eq!(&alone, &unit, "host {}", host);
            same_clusters(&unit, before, after)?;
        }
    }
}

/// Whether the clusters of a host are the same, and their endpoints.
fn same_clusters(
    unit: &HostUnit,
    before: Input<'_>,
    after: Input<'_>,
) -> Result<(), TestCaseError> {
    for (name, backend) in &unit.clusters {
        let clusters = [before, after].map(|input| translate::cluster(input, backend));
        prop_assert_eq!(&clusters[0], &clusters[1]);
        let endpoints = [before, after].map(|input| translate::endpoints(input, name, backend));
        prop_assert_eq!(&endpoints[0], &endpoints[1]);
    }
    Ok(())
}

/// Older than all that are not.
fn aged(object: Object) -> Object {
    let Object::Ingress(ingress) = object else {
        return object;
    };
    let mut ingress = Ingress::clone(&ingress);
    let age = ingress.metadata.created.map_or(5, |age| age.as_second());
    ingress.metadata.created = Some(jiff::Timestamp::from_second(age - 10).unwrap());
    Object::Ingress(ingress.into())
}

/// The namespace of the oldest claim, and whether the other namespace has one.
fn owner(store: &Store, host: &Host, other: &str) -> (String, bool) {
    let log = Log::default();
    let claims = Reader::new(store, &log).ingresses_of(host);
    let namespace = |ingress: &ServedIngress<'_>| ingress.name().namespace.to_string();
    let owner = claims.first().map(namespace).unwrap();
    let is_claimed = claims.iter().any(|ingress| namespace(ingress) == other);
    (owner, is_claimed)
}

fn is_above(above: &Host, host: &Host) -> bool {
    let suffix = above.wildcard_suffix();
    above.is_any() || suffix.is_some_and(|suffix| above != host && host.as_str().ends_with(suffix))
}

/// Whether all that a host comes to is of one namespace, and it is apart from all others: nobody's wildcard answers for it.
fn is_of_one(
    store: &Store,
    namespace: &str,
    host: &Host,
    unit: &HostUnit,
) -> Result<(), TestCaseError> {
    let tables = unit.http.iter();
    let tables = tables.chain(unit.https.iter().map(|https| &https.virtual_host));
    for route in tables.flat_map(|table| &table.routes) {
        prop_assert_eq!(
            &*route.source.object.name.namespace,
            namespace,
            "host {}",
            host
        );
    }
    for backend in unit.clusters.values() {
        let service = backend.service().map(|service| &*service.namespace);
        prop_assert_eq!(service, Some(namespace), "host {}", host);
    }
    let log = Log::default();
    let reader = Reader::new(store, &log);
    for secret in unit.https.iter().flat_map(|https| &https.secrets) {
        prop_assert!(
            reader.is_delegated(secret, namespace),
            "host {} has {}",
            host,
            secret
        );
    }
    for problem in &unit.problems {
        let is_owners = *problem.source.object.name.namespace == *namespace;
        prop_assert!(
            is_owners || problem.reason == reason::HOST_CONFLICT,
            "{:?}",
            problem
        );
    }
    // Another name of a host that its Ingress does not have is nobody's, and its owner is told.
    let mut claims = reader.ingresses_of(host).into_iter();
    let mut told = unit.problems.iter().map(|problem| problem.reason);
    if claims.all(|ingress| ingress.names_otherwise(host))
        && told.any(|reason| reason == reason::HOST_CONFLICT)
        && unit.http.is_none()
        && unit.https.is_none()
    {
        return Ok(());
    }
    // By HTTP the wildcard above it may answer where that is the owner's; by HTTPS the host is served, or nobody is.
    let is_own = |wildcard: Host| owner(store, &wildcard, "").0 == namespace;
    let wildcard = host
        .covering_wildcard()
        .filter(|wildcard| store.names_host(wildcard));
    prop_assert!(
        unit.http.is_some() || wildcard.is_some_and(is_own),
        "host {}",
        host
    );
    prop_assert_eq!(unit.is_closed, unit.https.is_none() && !host.is_any());
    Ok(())
}

proptest! {
    #![proptest_config(cases(5_000))]

    /// Whatever the objects are, now or later: a name says everything about what it names. Else one tenant's
    /// settings would hold for another's, or old ones for new ones.
    #[test]
    fn a_name_has_one_meaning(
        now in prop::collection::vec(object(), 1..12),
        later in prop::collection::vec(object(), 1..12),
    ) {
        let mut names = BTreeMap::new();
        named(&now, &mut names)?;
        named(&later, &mut names)?;
    }
}

/// Clusters and TLS servers of all units, by name: a name that stands for two different ones panics.
fn named(objects: &[Object], names: &mut BTreeMap<String, String>) -> Result<(), TestCaseError> {
    let options = Options {
        allow_external_names: true,
        ..Options::default()
    };
    let store = store(objects);
    let (memo, log) = (Memo::default(), Log::default());
    let input = Input::new(&store, &options, &memo, &log);
    let mut add = |name: String, value: String| {
        let first = names.entry(name.clone()).or_insert_with(|| value.clone());
        prop_assert_eq!(&*first, &value, "{} has two meanings", name);
        Ok(())
    };
    for host in store.hosts() {
        let unit = translate::host(input, host);
        for (name, backend) in &unit.clusters {
            let cluster =
                translate::cluster(input, backend).expect("a cluster that is named exists");
            add(format!("cluster {name}"), format!("{cluster:?}"))?;
        }
        if let Some(https) = &unit.https {
            let TlsServer {
                name,
                certificates,
                parameters,
                alpn,
                clients,
                source,
            } = &https.server;
            let meaning = format!(
                "{certificates:?} {parameters:?} {alpn:?} {clients:?} {source:?} {:?}",
                https.secrets
            );
            add(format!("server {name}"), meaning)?;
        }
    }
    Ok(())
}

/// Whether an Ingress that names the host, or the wildcard above it, may use the Secret.
fn may_use(store: &Store, secret: &NamespacedName, unit: &HostUnit) -> bool {
    let host = &unit.https.as_ref().unwrap().virtual_host.host;
    let wildcard = host.covering_wildcard();
    let log = Log::default();
    let reader = Reader::new(store, &log);
    let of_wildcard = wildcard
        .iter()
        .flat_map(|wildcard| reader.ingresses_of(wildcard));
    let mut ingresses = reader.ingresses_of(host).into_iter().chain(of_wildcard);
    ingresses.any(|ingress| reader.is_delegated(secret, &ingress.name().namespace))
}
