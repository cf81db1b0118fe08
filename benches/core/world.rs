//! A builder that holds the objects of so many hosts, and objects that change one of them.

use std::net::IpAddr;
use std::sync::Arc;

use isobath::build::{Builder, Config};
use isobath::objects::*;
use isobath::translate::Options;

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
pub fn ingress(host: usize, path: &str) -> Object {
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
            at: 0,
            name: "http".into(),
            port: 80,
            app_protocol: None,
        }]),
        udp_ports: [].into(),
        ip_families: Box::new([IpFamily::V4]),
        session_affinity: SessionAffinity::None,
        cluster_ip: None,
        publish_not_ready_addresses: false,
        kept: None,
        load_balancer: Arc::default(),
    }))
}

pub fn endpoint_slice(host: usize, last: u8) -> Object {
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
        udp_ports: [].into(),
        endpoints: endpoints.collect(),
    }))
}

pub fn secret(namespace: usize, serial: usize) -> Object {
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
        authorities: None,
        revocations: None,
        credentials: None,
        credentials_map: None,
    }))
}

pub fn loaded(hosts: usize) -> Builder {
    loaded_on(1, hosts)
}

pub fn loaded_on(threads: usize, hosts: usize) -> Builder {
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
