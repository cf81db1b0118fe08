//! One stream that holds everything, and one assignment that differs: from the snapshot to the encoded response and
//! back to its acknowledgement.

use std::sync::Arc;
use std::time::Instant;

use criterion::{BatchSize, BenchmarkId, Criterion};
use isobath::objects::Event;
use isobath::xds::delta::Delta;
use isobath::xds::message::Protocol as _;
use isobath::xds::stream::{Stream, Timing};
use isobath::xds::{Ask, Request, ResourceType, Response, Snapshot, Variant};

use crate::world::{endpoint_slice, loaded};

pub fn push(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("push");
    for hosts in [1_000, 10_000] {
        let mut builder = loaded(hosts);
        let mut snapshots = [1, 2].map(|last| {
            builder.apply(Event::Apply(endpoint_slice(500, last)));
            builder.build();
            Arc::new(builder.snapshot().clone())
        });
        let mut stream = subscribed(&snapshots[1]);
        group.bench_function(BenchmarkId::new("endpoints", hosts), |bencher| {
            bencher.iter_batched(
                || {
                    snapshots.reverse();
                    snapshots[1].clone()
                },
                |snapshot| {
                    let now = Instant::now();
                    stream.publish(snapshot, now);
                    let response = stream.poll(now).unwrap();
                    acknowledge(&mut stream, &response, now);
                    Delta::encode(&response, "bench")
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// A stream that has been sent and has acknowledged all resources of the snapshot.
fn subscribed(snapshot: &Arc<Snapshot>) -> Stream {
    let now = Instant::now();
    let mut stream = Stream::new(Variant::Delta, Timing::default(), snapshot.clone(), now);
    for resource_type in ResourceType::ALL {
        let names = snapshot.resources(resource_type).keys();
        let subscribe = match resource_type.has_wildcard() {
            true => Vec::new(),
            false => names.map(ToString::to_string).collect(),
        };
        let request = Request {
            type_url: resource_type.type_url().to_owned(),
            ask: Ask::Delta {
                subscribe,
                unsubscribe: Vec::new(),
                claimed: std::collections::BTreeMap::new(),
            },
            ..Request::default()
        };
        stream.request(request, now).unwrap();
    }
    while let Some(response) = stream.poll(now) {
        acknowledge(&mut stream, &response, now);
    }
    stream
}

fn acknowledge(stream: &mut Stream, response: &Response, now: Instant) {
    let request = Request {
        type_url: response.resource_type.type_url().to_owned(),
        nonce: response.nonce.to_string(),
        ask: Ask::Delta {
            subscribe: Vec::new(),
            unsubscribe: Vec::new(),
            claimed: std::collections::BTreeMap::new(),
        },
        ..Request::default()
    };
    stream.request(request, now).unwrap();
}
