//! Random objects from a universe that is small enough for them to meet: same hosts, same Services, same Secrets.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::net::IpAddr;
use std::sync::Arc;

#[path = "extension_services.rs"]
mod extension_services;
#[path = "gateways.rs"]
mod gateways;
#[path = "histories.rs"]
mod histories;
#[path = "http_proxies.rs"]
mod http_proxies;

use extension_services::extension_service;
use gateways::{
    backend_tls_policy, gateway, gateway_class, grpc_route, http_route, listener_set, namespace,
    reference_grant, tcp_route, tls_route, udp_route,
};
#[allow(unused_imports, reason = "each test binary uses its part")]
pub use histories::{history_of, history_of_gateways, history_of_proxies, replay, take_in};
use http_proxies::http_proxy;
use isobath::objects::*;
use proptest::prelude::*;
use proptest::sample::select;

pub const HOSTS: [&str; 6] = [
    "a.test", "b.test", "*.test", "x.a.test", "*.a.test", "c.test",
];
pub const SERVICES: [&str; 3] = ["web", "api", "gone"];
pub const SECRETS: [&str; 3] = ["first", "second", "broken"];
pub const NAMESPACES: [&str; 2] = ["east", "west"];
const FAMILIES: [&[IpFamily]; 5] = [
    &[],
    &[IpFamily::V4],
    &[IpFamily::V6],
    &[IpFamily::V4, IpFamily::V6],
    &[IpFamily::V6, IpFamily::V4],
];

/// An object that was created anew under its name has another one; a manifest has none.
pub fn uid() -> impl Strategy<Value = &'static str> {
    select(&["", "1", "2"][..])
}

pub fn metadata(
    namespace: &str,
    name: &str,
    uid: &str,
    age: Option<i64>,
    annotations: &[(&str, &str)],
) -> Metadata {
    Metadata {
        name: NamespacedName::new(namespace, name),
        uid: uid.into(),
        created: age.map(|age| jiff::Timestamp::from_second(age).unwrap()),
        annotations: annotations
            .iter()
            .map(|(k, v)| (Arc::from(*k), Arc::from(*v)))
            .collect(),
    }
}

pub fn backend() -> impl Strategy<Value = IngressBackend> {
    let port = prop_oneof![
        4 => Just(ServiceBackendPort::Number(80)),
        1 => Just(ServiceBackendPort::Name("http".into())),
        1 => Just(ServiceBackendPort::Number(81)),
    ];
    prop_oneof![
        9 => (select(&SERVICES[..]), port).prop_map(|(name, port)| IngressBackend::Service { name: name.into(), port }),
        1 => Just(IngressBackend::Missing),
    ]
}

pub fn rule() -> impl Strategy<Value = IngressRule> {
    let path = (
        select(
            &[
                "/",
                "/a",
                "/a/b",
                "/a/",
                "/.well-known/acme-challenge/t",
                "/x[0-9]+",
                "/x[",
            ][..],
        ),
        select(
            &[
                PathType::Exact,
                PathType::Prefix,
                PathType::ImplementationSpecific,
            ][..],
        ),
        backend(),
    )
        .prop_map(|(path, path_type, backend)| IngressPath {
            path: path.into(),
            path_type,
            backend,
        });
    let host = prop_oneof![4 => select(&HOSTS[..]).prop_map(Some), 1 => Just(None)];
    (host, prop::collection::vec(path, 0..3)).prop_map(|(host, paths)| IngressRule {
        host: host.map(Arc::from),
        paths: paths.into(),
    })
}

pub fn ingress() -> impl Strategy<Value = Object> {
    let tls = (
        prop::collection::vec(select(&HOSTS[..]), 0..3),
        prop::option::weighted(0.9, select(&SECRETS[..])),
    )
        .prop_map(|(hosts, secret)| IngressTls {
            hosts: hosts.into_iter().map(Arc::from).collect(),
            secret_name: secret.map(Arc::from),
        });
    let annotations = prop::collection::vec(
        select(
            &[
                ("nginx.ingress.kubernetes.io/ssl-redirect", "false"),
                ("nginx.ingress.kubernetes.io/use-regex", "true"),
                ("nginx.ingress.kubernetes.io/rewrite-target", "/new"),
                (
                    "nginx.ingress.kubernetes.io/rewrite-target",
                    "https://a.test/$1",
                ),
                ("nginx.ingress.kubernetes.io/app-root", "/root"),
                (
                    "nginx.ingress.kubernetes.io/whitelist-source-range",
                    "10.0.0.0/8",
                ),
                ("nginx.ingress.kubernetes.io/auth-tls-secret", "east/ca"),
                ("nginx.ingress.kubernetes.io/canary", "true"),
                (
                    "nginx.ingress.kubernetes.io/server-alias",
                    "a.test,alias.test,*.wild.test",
                ),
                ("nginx.ingress.kubernetes.io/from-to-www-redirect", "true"),
                ("nginx.ingress.kubernetes.io/default-backend", "web"),
                ("nginx.ingress.kubernetes.io/custom-http-errors", "404,503"),
                ("nginx.ingress.kubernetes.io/ssl-passthrough", "true"),
                ("nginx.ingress.kubernetes.io/service-upstream", "true"),
                ("nginx.ingress.kubernetes.io/auth-tls-match-cn", "CN=a"),
                ("isobath.dev/nginx-compat", "strict"),
                ("ingress.kubernetes.io/force-ssl-redirect", "true"),
                ("kubernetes.io/ingress.allow-http", "false"),
                ("projectcontour.io/tls-minimum-protocol-version", "1.3"),
                ("isobath.dev/rewrite-prefix", "/new"),
                ("projectcontour.io/tls-cert-namespace", "west"),
                ("kubernetes.io/ingress.class", "other"),
                ("kubernetes.io/ingress.class", "isobath"),
            ][..],
        ),
        0..4,
    );
    let metadata = (
        select(&NAMESPACES[..]),
        select(&["one", "two", "three"][..]),
        uid(),
        prop::option::of(0..3_i64),
        annotations,
    )
        .prop_map(|(namespace, name, uid, age, annotations)| {
            metadata(namespace, name, uid, age, &annotations)
        });
    (
        metadata,
        prop::option::weighted(0.2, select(&["isobath", "other"][..])),
        prop::option::weighted(0.2, backend()),
        prop::collection::vec(tls, 0..3),
        prop::collection::vec(rule(), 0..3),
        addresses(),
    )
        .prop_map(
            |(metadata, class, default_backend, tls, rules, load_balancer)| {
                Object::Ingress(Arc::new(Ingress {
                    metadata,
                    class_name: class.map(Arc::from),
                    default_backend,
                    tls: tls.into(),
                    rules: rules.into(),
                    load_balancer,
                    left_out: None,
                }))
            },
        )
}

fn addresses() -> impl Strategy<Value = Arc<[LoadBalancerAddress]>> {
    let address = prop_oneof![
        Just(LoadBalancerAddress::Ip("192.0.2.1".into())),
        Just(LoadBalancerAddress::Hostname("lb.test".into())),
    ];
    prop::option::weighted(0.2, address).prop_map(|address| address.into_iter().collect())
}

pub fn service() -> impl Strategy<Value = Object> {
    let annotations = prop::collection::vec(
        select(
            &[
                ("projectcontour.io/max-connections", "5"),
                ("projectcontour.io/max-requests", "5"),
                ("projectcontour.io/max-requests", "50"),
                ("projectcontour.io/upstream-protocol.tls", "80"),
                ("projectcontour.io/upstream-protocol.h2", "http,443"),
            ][..],
        ),
        0..3,
    );
    let metadata = (
        select(&NAMESPACES[..]),
        select(&SERVICES[..2]),
        uid(),
        annotations,
    )
        .prop_map(|(namespace, name, uid, annotations)| {
            metadata(namespace, name, uid, None, &annotations)
        });
    // Names of the outside, and one that is never allowed.
    let outside = select(&["one.example.com", "two.example.com", "localhost"][..]);
    let service_type = prop_oneof![
        4 => Just(ServiceType::Endpoints),
        1 => outside.prop_map(|name| ServiceType::ExternalName(name.into())),
    ];
    (
        metadata,
        service_type,
        ports(),
        select(&FAMILIES[..]),
        any::<bool>(),
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |(metadata, service_type, ports, families, affinity, not_ready)| {
                Object::Service(Arc::new(Service {
                    metadata,
                    service_type,
                    // The same numbers under the same names, of UDP: as many as the family says.
                    udp_ports: ports.iter().take(families.len()).cloned().collect(),
                    ports: ports.into(),
                    ip_families: families.into(),
                    session_affinity: if affinity {
                        SessionAffinity::ClientIp
                    } else {
                        SessionAffinity::None
                    },
                    cluster_ip: not_ready.then(|| std::net::IpAddr::from([10, 96, 0, 7])),
                    publish_not_ready_addresses: not_ready,
                    kept: None,
                    load_balancer: Arc::default(),
                }))
            },
        )
}

/// Port 80 under one name or another, and sometimes 81 beside it.
fn ports() -> impl Strategy<Value = Vec<ServicePort>> {
    let first = (
        select(&["http", "", "other"][..]),
        select(&[None, Some("kubernetes.io/h2c")][..]),
    );
    (first, prop::bool::weighted(0.2)).prop_map(|((name, app_protocol), has_second)| {
        let port = |name: &str, port: u16, app_protocol: Option<&str>| ServicePort {
            at: u32::from(port == 81),
            name: name.into(),
            port,
            app_protocol: app_protocol.map(Arc::from),
        };
        let second = has_second.then(|| port("second", 81, None));
        let first = port(name, 80, app_protocol);
        [first].into_iter().chain(second).collect()
    })
}

pub fn endpoint_slice() -> impl Strategy<Value = Object> {
    let conditions = (any::<bool>(), any::<bool>(), any::<bool>());
    let zone = select(&[None, Some("zone-a"), Some("zone-b")][..]);
    let endpoint = (1..5_u8, conditions, zone);
    let port = (
        select(&["http", "", "second"][..]),
        prop::option::weighted(0.9, select(&[8080, 8081_u16][..])),
    )
        .prop_map(|(name, port)| EndpointPort {
            name: name.into(),
            port,
        });
    let metadata = (
        select(&NAMESPACES[..]),
        select(&["s1", "s2", "s3"][..]),
        uid(),
    )
        .prop_map(|(namespace, name, uid)| metadata(namespace, name, uid, None, &[]));
    (
        metadata,
        prop::option::weighted(0.9, select(&SERVICES[..2])),
        select(&[AddressType::V4, AddressType::V6][..]),
        prop::collection::vec(port, 1..3),
        prop::collection::vec(endpoint, 0..3),
    )
        .prop_map(|(metadata, service, address_type, ports, endpoints)| {
            let address = |last: u8| match address_type {
                AddressType::V6 => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()]),
                _ => IpAddr::from([10, 0, 0, last]),
            };
            let endpoints =
                endpoints
                    .into_iter()
                    .map(|(last, (ready, serving, terminating), zone)| Endpoint {
                        address: address(last),
                        ready,
                        serving,
                        terminating,
                        zone: zone.map(Arc::from),
                    });
            Object::EndpointSlice(Arc::new(EndpointSlice {
                metadata,
                service: service.map(Arc::from),
                address_type,
                udp_ports: ports.iter().skip(1).cloned().collect(),
                ports: ports.into(),
                endpoints: endpoints.collect(),
            }))
        })
}

pub fn secret() -> impl Strategy<Value = Object> {
    (
        select(&NAMESPACES[..]),
        select(&SECRETS[..]),
        uid(),
        0..3_u8,
        any::<bool>(),
        0..2_u8,
    )
        .prop_map(|(namespace, name, uid, serial, is_rsa, names)| {
            let certificate = TlsCertificate {
                chain: format!("chain {serial}").into(),
                key: PrivateKeyPem::new(format!("key {serial}")),
                // Whoever renews a certificate may take another kind of key.
                key_algorithm: if is_rsa {
                    KeyAlgorithm::Rsa
                } else {
                    KeyAlgorithm::Ecdsa
                },
                names: HOSTS
                    .iter()
                    .take(usize::from(names) * 3)
                    .map(|host| Arc::from(*host))
                    .collect(),
                common_name: (names == 0).then(|| HOSTS[0].into()),
                not_before: jiff::Timestamp::UNIX_EPOCH,
                not_after: jiff::Timestamp::UNIX_EPOCH,
            };
            let is_broken = name == "broken" && serial > 0;
            let authorities = (serial > 0).then(|| authorities(is_rsa)).flatten();
            Object::Secret(Arc::new(Secret {
                metadata: metadata(namespace, name, uid, None, &[]),
                certificate: if is_broken {
                    Err("broken".into())
                } else {
                    Ok(Arc::new(certificate))
                },
                authorities: match is_broken {
                    true => Some(Err("broken".into())),
                    false => authorities.map(Ok),
                },
                revocations: (serial > 1).then(|| Err("broken".into())),
                credentials: None,
                credentials_map: None,
            }))
        })
}

pub fn config_map() -> impl Strategy<Value = Object> {
    let which = prop_oneof![4 => 0..2_u8, 1 => Just(2)];
    (select(&NAMESPACES[..]), select(&SECRETS[..]), uid(), which).prop_map(
        |(namespace, name, uid, which)| {
            let authorities = match which {
                2 => None,
                which => authorities(which == 0),
            };
            Object::ConfigMap(Arc::new(ConfigMap {
                metadata: metadata(namespace, name, uid, None, &[]),
                authorities: authorities.ok_or_else(|| "broken".into()),
                nginx: settings(which),
            }))
        },
    )
}

/// What ingress-nginx reads of one: something, something wrong, nothing.
fn settings(which: u8) -> Option<NginxData> {
    let entries = |entries: &[(&str, &str)]| {
        let entries = entries.iter();
        entries
            .map(|(key, value)| (Arc::from(*key), Some(Arc::from(*value))))
            .collect()
    };
    match which {
        0 => Some(entries(&[
            ("proxy-body-size", "8m"),
            ("whitelist-source-range", "10.0.0.0/8"),
            ("http-redirect-code", "301"),
        ])),
        1 => Some(entries(&[
            ("denylist-source-range", "bad"),
            ("global-auth-url", "http://web.one.svc/"),
        ])),
        _ => None,
    }
}

/// One of two sets of authorities.
fn authorities(is_first: bool) -> Option<CaCertificates> {
    const PAIRS: [&str; 2] = [
        include_str!("../data/certificates/p256.crt"),
        include_str!("../data/certificates/ed25519.crt"),
    ];
    CaCertificates::from_pem("ca.crt", PAIRS[usize::from(is_first)].as_bytes()).ok()
}

pub fn ingress_class() -> impl Strategy<Value = Object> {
    (
        select(&["isobath", "other"][..]),
        uid(),
        any::<bool>(),
        any::<bool>(),
        prop::option::of(select(&["ingress-nginx", "contour"][..])),
    )
        .prop_map(|(name, uid, ours, is_default, dialect)| {
            let dialect = dialect.map(|dialect| ("isobath.dev/dialect", dialect));
            let annotations: Vec<_> = dialect.into_iter().collect();
            Object::IngressClass(Arc::new(IngressClass {
                metadata: metadata("", name, uid, None, &annotations),
                controller: if ours {
                    "isobath.dev/ingress-controller"
                } else {
                    "example.com/other"
                }
                .into(),
                is_default,
            }))
        })
}

/// Two that can say the same.
pub fn delegation() -> impl Strategy<Value = Object> {
    (
        select(&["all", "some"][..]),
        uid(),
        select(&["second", "first"][..]),
        select(&["*", "east"][..]),
    )
        .prop_map(|(name, uid, secret, target)| {
            Object::TlsCertificateDelegation(Arc::new(TlsCertificateDelegation {
                metadata: metadata("west", name, uid, None, &[]),
                delegations: vec![(secret.into(), vec![target.into()])],
            }))
        })
}

/// An object of the kind. Whoever adds a kind says here what is random about it.
fn valid(kind: Kind) -> BoxedStrategy<Object> {
    match kind {
        Kind::IngressClass => ingress_class().boxed(),
        Kind::Ingress => ingress().boxed(),
        Kind::Service => service().boxed(),
        Kind::EndpointSlice => endpoint_slice().boxed(),
        Kind::Secret => secret().boxed(),
        Kind::TlsCertificateDelegation => delegation().boxed(),
        Kind::HttpProxy => http_proxy().boxed(),
        Kind::ExtensionService => extension_service().boxed(),
        Kind::GatewayClass => gateway_class().boxed(),
        Kind::Gateway => gateway().boxed(),
        Kind::ListenerSet => listener_set().boxed(),
        Kind::HttpRoute => http_route().boxed(),
        Kind::GrpcRoute => grpc_route().boxed(),
        Kind::TlsRoute => tls_route().boxed(),
        Kind::TcpRoute => tcp_route().boxed(),
        Kind::UdpRoute => udp_route().boxed(),
        Kind::ReferenceGrant => reference_grant().boxed(),
        Kind::BackendTlsPolicy => backend_tls_policy().boxed(),
        Kind::ConfigMap => config_map().boxed(),
        Kind::Namespace => namespace().boxed(),
        Kind::Untyped(_) => unreachable!("it has no row"),
    }
}

/// How often objects of the kind are drawn.
const fn weight(kind: Kind) -> u32 {
    match kind {
        Kind::Ingress => 8,
        Kind::Service | Kind::EndpointSlice | Kind::Secret => 4,
        Kind::HttpProxy | Kind::Gateway | Kind::HttpRoute => 6,
        Kind::GatewayClass
        | Kind::ListenerSet
        | Kind::ReferenceGrant
        | Kind::GrpcRoute
        | Kind::TlsRoute
        | Kind::TcpRoute
        | Kind::UdpRoute
        | Kind::Namespace => 2,
        Kind::BackendTlsPolicy | Kind::ConfigMap => 2,
        Kind::IngressClass
        | Kind::TlsCertificateDelegation
        | Kind::ExtensionService
        | Kind::Untyped(_) => 1,
    }
}

/// An object of the kind, at times one that is wrong as a whole in the place of a valid one.
pub fn of_kind(kind: Kind) -> impl Strategy<Value = Object> {
    let invalid = (valid(kind), 0..2_u8).prop_map(|(object, serial)| {
        Object::Invalid(Arc::new(Invalid {
            reference: object.reference(),
            reason: format!("spec: wrong {serial}"),
        }))
    });
    prop_oneof![16 => valid(kind), 1 => invalid]
}

pub fn object() -> impl Strategy<Value = Object> {
    let kinds = Kind::ALL.map(|kind| (weight(kind), of_kind(kind).boxed()));
    prop::strategy::Union::new_weighted(kinds.to_vec())
}

/// Another number of cases comes from proptest's own environment variable.
pub fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(default),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
