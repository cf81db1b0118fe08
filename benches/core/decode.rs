//! Decoding: objects as an API server sends them, with everything in them that is not used.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use isobath::objects::{self, Kind};

use json::{Endpoints, World, endpoint_slice, ingress, service};

#[path = "../figures/objects.rs"]
#[allow(dead_code, reason = "the figures use the rest of it")]
mod json;

pub fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    let objects = [
        (Kind::Ingress, ingress(5, "/")),
        (Kind::Service, service(5)),
        (Kind::EndpointSlice, endpoint_slice(5, Endpoints::Serial(1))),
        (Kind::Secret, World::new(0).secret(5, 0)),
    ];
    for (kind, object) in objects {
        let json = object.json.to_string();
        group.throughput(Throughput::Bytes(json.len() as u64));
        let id = BenchmarkId::from_parameter(kind);
        group.bench_function(id, |bencher| {
            bencher.iter(|| objects::decode(kind, black_box(&json)).unwrap());
        });
    }
    group.finish();
}
