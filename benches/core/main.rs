//! What one change costs on its way through the program, at 1,000 and at 10,000 hosts: the ratio of the two is I4.
//!
//! - `change`, `start`: the incremental core, from decoded objects to a snapshot;
//! - `explain`: an answer to "who answers this URL?";
//! - `decode`: decoding and validation, from JSON to an object;
//! - `push`: one stream, from a snapshot to the encoded response.
//!
//! `cargo bench --bench core` prints them; figures of different machines don't compare, ratios do.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod decode;
mod push;
mod world;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use isobath::build::explain::Question;
use isobath::envoy::edge::Edge;
use isobath::envoy::request::Request;
use isobath::objects::{Event, Ingress, Object};

use world::{endpoint_slice, ingress, loaded, loaded_on, secret};

/// As in the program: with glibc's, a first build would be half allocation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn change(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("change");
    for hosts in [1_000, 10_000] {
        let mut builder = loaded(hosts);
        let mut serial = 0_usize;
        let mut bench = |name: &str, event: &dyn Fn(usize) -> Object| {
            group.bench_with_input(BenchmarkId::new(name, hosts), &hosts, |bencher, _| {
                bencher.iter(|| {
                    serial += 1;
                    builder.apply(Event::Apply(event(serial)));
                    black_box(builder.build())
                });
            });
        };
        bench("endpoints", &|serial| {
            endpoint_slice(500, u8::try_from(serial % 250).unwrap())
        });
        bench("path of a TLS host", &|serial| {
            ingress(500, &format!("/{serial}"))
        });
        bench("certificate", &|serial| secret(50, serial));
        bench("no-op", &|_| ingress(501, "/"));
    }
    group.finish();
}

/// One Ingress of very many hosts: what a change of it costs is to grow with their number and no faster.
fn wide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wide");
    group.sample_size(10);
    for hosts in [1_000, 10_000] {
        let all = (0..hosts).map(|host| ingress(host, "/"));
        let mut rules = Vec::new();
        let mut tls = Vec::new();
        for object in all {
            if let Object::Ingress(ingress) = object {
                rules.extend(ingress.rules.iter().cloned());
                tls.extend(ingress.tls.iter().cloned());
            }
        }
        let mut serial = 0;
        let mut builder = loaded(1);
        group.bench_with_input(BenchmarkId::new("ingress", hosts), &hosts, |bencher, _| {
            bencher.iter(|| {
                serial += 1;
                let name = format!("/{serial}");
                let Object::Ingress(one) = ingress(0, &name) else {
                    return false;
                };
                let mut wide = Ingress::clone(&one);
                wide.rules = one.rules.iter().chain(&rules).cloned().collect();
                wide.tls = one.tls.iter().chain(&tls).cloned().collect();
                builder.apply(Event::Apply(Object::Ingress(Arc::new(wide))));
                black_box(builder.build())
            });
        });
    }
    group.finish();
}

fn start(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("start");
    group.sample_size(10);
    for hosts in [1_000, 10_000] {
        for (name, threads) in [("all", 1), ("all on two threads", 2)] {
            group.bench_with_input(BenchmarkId::new(name, hosts), &hosts, |bencher, &hosts| {
                bencher.iter_with_large_drop(|| loaded_on(threads, hosts));
            });
        }
    }
    group.finish();
}

/// A host that is there, and one that is not, for which all names are looked at that may have been meant.
fn explain(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("explain");
    for hosts in [1_000, 10_000] {
        let builder = loaded(hosts);
        for (name, host) in [
            ("a host", "host-500.example.com"),
            ("nobody's", "host-5oo.example.com"),
        ] {
            let question = Question {
                request: Request {
                    tls: true,
                    method: "GET".to_owned(),
                    host: host.to_owned(),
                    path: "/".to_owned(),
                    headers: Vec::new(),
                },
                server_name: Some(host.to_owned()),
                from: None,
            };
            group.bench_with_input(BenchmarkId::new(name, hosts), &hosts, |bencher, _| {
                bencher.iter(|| black_box(builder.explain(&Edge::default(), &question)));
            });
        }
    }
    group.finish();
}

criterion_group!(
    benches,
    change,
    wide,
    start,
    explain,
    decode::decode,
    push::push
);
criterion_main!(benches);
