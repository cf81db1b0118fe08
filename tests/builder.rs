//! The invariants of the incremental core, over random histories: what comes out is a function of the objects
//! (I1), kept up to date as if built from nothing (I2), closed (I5), and quiet where nothing changed (I3).

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/objects.rs"]
mod objects;

use std::sync::Arc;

use isobath::builder::{Builder, Config};
use isobath::envoy::listener;
use isobath::k8s::Event;
use isobath::store::ClassSelection;
use isobath::translate::Options;
use isobath::xds::{ResourceType, Snapshot};
use objects::{cases, replay, step};
use proptest::prelude::*;

fn builder() -> Builder {
    Builder::new(Config {
        classes: ClassSelection {
            name: None,
            manifests: true,
        },
        options: Options::default(),
        listeners: listener::Config {
            http: "0.0.0.0:8080".parse().unwrap(),
            https: "0.0.0.0:8443".parse().unwrap(),
            stats: "0.0.0.0:8002".parse().unwrap(),
            edge: Default::default(),
        },
    })
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

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn incremental_equals_from_scratch(
        history in prop::collection::vec(step(), 1..14),
        shuffle in any::<prop::sample::Index>(),
    ) {
        let mut incremental = builder();
        for (event, build) in history.clone() {
            incremental.apply(event);
            if build {
                incremental.build();
                check_closed(incremental.snapshot());
            }
        }
        incremental.build();
        check_closed(incremental.snapshot());

        let mut objects: Vec<_> = replay(&history).into_values().collect();
        let middle = if objects.is_empty() { 0 } else { shuffle.index(objects.len()) };
        objects.rotate_left(middle);
        let mut scratch = builder();
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
    }
}
