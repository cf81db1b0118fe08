//! What one change costs on its way through the program, at 1,000 and at 10,000 hosts: the ratio of the two is I4.
//!
//! - `change`, `start`: the incremental core, from decoded objects to a snapshot;
//! - `decode`: decoding and validation, from JSON to an object;
//! - `push`: one stream, from a snapshot to the encoded response.
//!
//! `cargo bench --bench core` prints them; figures of different machines don't compare, ratios do.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "core/decode.rs"]
mod decode;
#[path = "figures/objects.rs"]
#[allow(dead_code, reason = "the figures use the rest of it")]
mod objects;
#[path = "core/push.rs"]
mod push;

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use isobath::build::{Builder, Config};
use isobath::objects::*;
use isobath::translate::Options;

/// As in the program: with glibc's, a first build would be half allocation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn builder() -> Builder {
    Builder::new(Config::of_manifests(Options::default()))
}

fn metadata(host: usize, name: String, annotations: &[(&str, &str)]) -> Metadata {
    Metadata {
        name: NamespacedName::new(format!("team-{}", host % 100), name),
        uid: format!("uid-{host}").into(),
        created: None,
        annotations: annotations
            .iter()
            .map(|(k, v)| (Arc::from(*k), Arc::from(*v)))
            .collect(),
    }
}

/// An Ingress with one host, TLS by one of `host / 5` Secrets, and a redirect from HTTP.
fn ingress(host: usize, path: &str) -> Object {
    let name: Arc<str> = format!("host-{host}.example.com").into();
    Object::Ingress(Arc::new(Ingress {
        metadata: metadata(
            host,
            format!("web-{host}"),
            &[("ingress.kubernetes.io/force-ssl-redirect", "true")],
        ),
        class_name: None,
        default_backend: None,
        tls: Box::new([IngressTls {
            hosts: Box::new([name.clone()]),
            secret_name: Some(format!("tls-{}", host % 100).into()),
        }]),
        rules: Box::new([IngressRule {
            host: Some(name),
            paths: Box::new([IngressPath {
                path: path.into(),
                path_type: PathType::Prefix,
                backend: IngressBackend::Service {
                    name: format!("web-{host}").into(),
                    port: ServiceBackendPort::Number(80),
                },
            }]),
        }]),
        load_balancer: Arc::default(),
        left_out: None,
    }))
}

fn service(host: usize) -> Object {
    Object::Service(Arc::new(Service {
        metadata: metadata(host, format!("web-{host}"), &[]),
        service_type: ServiceType::Endpoints,
        ports: Box::new([ServicePort {
            name: "http".into(),
            port: 80,
            app_protocol: None,
        }]),
        ip_families: Box::new([IpFamily::V4]),
        session_affinity: SessionAffinity::None,
        publish_not_ready_addresses: false,
        load_balancer: Arc::default(),
    }))
}

fn endpoint_slice(host: usize, last: u8) -> Object {
    let endpoints = (0..3).map(|index| Endpoint {
        address: IpAddr::from([10, 0, index, last]),
        ready: true,
        serving: true,
        terminating: false,
        zone: Some("a".into()),
    });
    Object::EndpointSlice(Arc::new(EndpointSlice {
        metadata: metadata(host, format!("web-{host}-abcde"), &[]),
        service: Some(format!("web-{host}").into()),
        address_type: AddressType::V4,
        ports: Box::new([EndpointPort {
            name: "http".into(),
            port: Some(8080),
        }]),
        endpoints: endpoints.collect(),
    }))
}

fn secret(namespace: usize, serial: usize) -> Object {
    Object::Secret(Arc::new(Secret {
        metadata: metadata(namespace, format!("tls-{namespace}"), &[]),
        certificate: Ok(Arc::new(TlsCertificate {
            chain: format!("{serial:01500}").into(),
            key: PrivateKeyPem::new(format!("{serial:0250}")),
            key_algorithm: KeyAlgorithm::Ecdsa,
            names: vec!["*.example.com".into()],
            common_name: None,
            not_before: jiff::Timestamp::UNIX_EPOCH,
            not_after: jiff::Timestamp::UNIX_EPOCH,
        })),
    }))
}

fn loaded(hosts: usize) -> Builder {
    loaded_on(1, hosts)
}

fn loaded_on(threads: usize, hosts: usize) -> Builder {
    let mut builder = builder().with_threads(threads);
    for host in 0..hosts {
        builder.apply(Event::Apply(service(host)));
        builder.apply(Event::Apply(endpoint_slice(host, 1)));
        builder.apply(Event::Apply(ingress(host, "/")));
    }
    for namespace in 0..100 {
        builder.apply(Event::Apply(secret(namespace, 0)));
    }
    builder.build();
    builder
}

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

criterion_group!(benches, change, wide, start, decode::decode, push::push);
criterion_main!(benches);
