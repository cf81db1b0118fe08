//! Decoding: objects as an API server sends them, with everything in them that is not used.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use isobath::objects;

use crate::objects::{Endpoints, World, endpoint_slice, ingress, service};

pub fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    let objects = [
        (objects::Kind::Ingress, ingress(5, "/")),
        (objects::Kind::Service, service(5)),
        (
            objects::Kind::EndpointSlice,
            endpoint_slice(5, Endpoints::Serial(1)),
        ),
        (objects::Kind::Secret, World::new(0).secret(5, 0)),
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
