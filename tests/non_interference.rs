//! One tenant can't touch another: whatever is added in one namespace, the units of another come out the same,
//! but for the hosts that both name, where the stated rules decide (S-26, S-13): `tests/soak/tenants.rs` holds those to them.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/objects.rs"]
mod objects;

use std::collections::{BTreeMap, BTreeSet};

use isobath::facts::{Changes, ClassSelection, Log, Reader, Store};
use isobath::model::{Host, TlsServer};
use isobath::objects::{Event, NamespacedName, Object};
use isobath::translate::{self, Input, Memo, Options};
use objects::{cases, object};
use proptest::prelude::*;

const ATTACKER: &str = "east";

fn store(objects: &[Object]) -> Store {
    let mut store = Store::new(ClassSelection {
        name: None,
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
    #![proptest_config(cases(100_000))]

    #[test]
    fn a_namespace_can_not_touch_another(
        there in prop::collection::vec(object(), 1..8),
        added in prop::collection::vec(object(), 1..5),
    ) {
        let options = Options { allow_external_names: true, ..Options::default() };
        let there: Vec<Object> = there.into_iter().filter(|object| !is_of(object, ATTACKER)).collect();
        let added: Vec<Object> = added.into_iter().filter(|object| is_of(object, ATTACKER)).collect();
        let before_store = store(&there);
        let after_store = store(&[&there[..], &added[..]].concat());
        let (memos, log) = ([Memo::default(), Memo::default()], Log::default());
        let (before, after) = (
            Input::new(&before_store, &options, &memos[0], &log),
            Input::new(&after_store, &options, &memos[1], &log),
        );
        let (is_shared, is_answered) = (reach(&added), answers(&added));
        for host in before_store.hosts() {
            let unit = translate::host(before, host);
            // HTTPS serves what HTTP serves: a host that is none there takes over what others bring for all.
            let is_open = unit.http.is_none() && is_answered(host);
            if is_shared(host) || is_open {
                continue;
            }
            prop_assert_eq!(&unit, &translate::host(after, host), "host {}", host);
            for (name, backend) in &unit.clusters {
                prop_assert_eq!(translate::cluster(before, backend), translate::cluster(after, backend));
                prop_assert_eq!(
                    translate::endpoints(before, name, backend),
                    translate::endpoints(after, name, backend)
                );
            }
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
    #![proptest_config(cases(5_000))]

    /// Whatever the objects are, now or later: a name says everything about what it names (S-14). Else one tenant's
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
                settings,
                owner,
            } = &https.server;
            let meaning = format!(
                "{certificates:?} {settings:?} {owner:?} {:?}",
                https.secrets
            );
            add(format!("server {name}"), meaning)?;
        }
    }
    Ok(())
}

/// Whether an Ingress that names the host, or the wildcard above it, may use the Secret.
fn may_use(store: &Store, secret: &NamespacedName, unit: &translate::HostUnit) -> bool {
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
