//! The invariants of the incremental core, over random histories: what comes out is a function of the objects
//! (I1), kept up to date as if built from nothing (I2), closed (I5), and quiet where nothing changed (I3).

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/objects.rs"]
mod objects;

use std::sync::Arc;

use isobath::builder::{Builder, Config};
use isobath::envoy::listener;
use isobath::k8s::{Event, Kind, decode};
use isobath::store::ClassSelection;
use isobath::translate::Options;
use isobath::xds::{ResourceType, Snapshot};
use objects::{cases, replay, step};
use proptest::prelude::*;
use serde_json::json;

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
        let mut builder = builder().with_threads(threads);
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
