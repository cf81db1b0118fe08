//! Random HTTPProxies and ExtensionServices, of the same universe.

use std::sync::Arc;

use isobath::objects::http_proxy::*;
use isobath::objects::{ExtensionService, ExtensionServiceTarget, HttpProxy, Metadata, Object};
use proptest::prelude::*;
use proptest::sample::select;

use super::{HOSTS, NAMESPACES, SECRETS, SERVICES, metadata, uid};

const NAMES: [&str; 4] = ["root", "other", "child", "leaf"];
const EXTENSIONS: [&str; 2] = ["authz", "limits"];

fn head() -> impl Strategy<Value = Metadata> {
    let class = prop::collection::vec(
        select(
            &[
                ("projectcontour.io/ingress.class", "contour"),
                ("kubernetes.io/ingress.class", "other"),
                ("kubernetes.io/ingress.class", "isobath"),
            ][..],
        ),
        0..2,
    );
    let age = prop::option::of(0..3_i64);
    let name = (select(&NAMESPACES[..]), select(&NAMES[..]));
    (name, uid(), age, class).prop_map(|((namespace, name), uid, age, class)| {
        metadata(namespace, name, uid, age, &class)
    })
}

fn some(text: Option<&str>) -> Arc<str> {
    text.map(Arc::from).unwrap_or_default()
}

/// A Secret, at times of another namespace.
fn secret_name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(&SECRETS[..]).prop_map(str::to_owned),
        1 => select(&SECRETS[..]).prop_map(|name| format!("west/{name}")),
    ]
}

fn conditions() -> impl Strategy<Value = Box<[MatchCondition]>> {
    let path = prop_oneof![
        6 => select(&["/", "/a", "/a/b", "/c"][..]).prop_map(|prefix| MatchCondition {
            prefix: prefix.into(),
            ..MatchCondition::default()
        }),
        1 => Just(MatchCondition { exact: "/a".into(), ..MatchCondition::default() }),
        1 => select(&["/x[0-9]+", "/x[", "x"][..]).prop_map(|regex| MatchCondition {
            regex: regex.into(),
            ..MatchCondition::default()
        }),
    ];
    let value = select(&["1", "2"][..]);
    let header = (value, any::<bool>(), any::<bool>()).prop_map(|(value, is_exact, is_query)| {
        let value: Arc<str> = value.into();
        let (exact, contains) = match is_exact {
            true => (value, Arc::default()),
            false => (Arc::default(), value),
        };
        let mut condition = MatchCondition::default();
        match is_query {
            true => {
                condition.query_parameter = Some(Box::new(QueryParameterMatchCondition {
                    name: "q".into(),
                    exact,
                    contains,
                    ..QueryParameterMatchCondition::default()
                }));
            }
            false => {
                condition.header = Some(Box::new(HeaderMatchCondition {
                    name: "x-a".into(),
                    exact,
                    contains,
                    ..HeaderMatchCondition::default()
                }));
            }
        }
        condition
    });
    let path = prop::option::weighted(0.8, path);
    (prop::option::weighted(0.2, header), path)
        .prop_map(|(header, path)| header.into_iter().chain(path).collect())
}

fn service() -> impl Strategy<Value = Service> {
    let validation =
        (secret_name(), select(&["a.test", "b.test"][..])).prop_map(|(secret, name)| {
            Box::new(ServicePolicies {
                validation: Some(UpstreamValidation {
                    ca_secret: secret.into(),
                    subject_names: [name.into()].into(),
                }),
                ..ServicePolicies::default()
            })
        });
    (
        select(&SERVICES[..]),
        select(&[80, 80, 81_u16][..]),
        0..3_i64,
        prop::option::weighted(0.3, select(&["h2", "h2c", "tls"][..])),
        prop::bool::weighted(0.1),
        prop::option::weighted(0.2, validation),
    )
        .prop_map(|(name, port, weight, protocol, mirror, policies)| Service {
            name: name.into(),
            port,
            weight,
            protocol: protocol.map(Arc::from),
            mirror,
            policies,
        })
}

fn policies() -> impl Strategy<Value = Box<RoutePolicies>> {
    let strategy = select(&["", "Cookie", "WeightedLeastRequest", "Random"][..]);
    let response = prop::option::of(select(&["1s", "infinity", "s"][..]));
    let interval = prop::option::weighted(0.3, select(&[0, 5, -1_i64][..]));
    let replacement = prop::option::weighted(0.2, select(&["/new", "/"][..]));
    (strategy, response, interval, replacement, any::<bool>()).prop_map(
        |(strategy, response, interval, replacement, disabled)| {
            Box::new(RoutePolicies {
                load_balancer_policy: Some(LoadBalancerPolicy {
                    strategy: strategy.into(),
                    ..LoadBalancerPolicy::default()
                }),
                timeout_policy: response.map(|response| TimeoutPolicy {
                    response: response.into(),
                    ..TimeoutPolicy::default()
                }),
                health_check_policy: interval.map(|interval_seconds| HttpHealthCheckPolicy {
                    path: "/health".into(),
                    interval_seconds,
                    ..HttpHealthCheckPolicy::default()
                }),
                replace_prefix: replacement
                    .map(|replacement| (Arc::default(), replacement.into()))
                    .into_iter()
                    .collect(),
                auth_policy: disabled.then(|| AuthorizationPolicy {
                    disabled,
                    ..AuthorizationPolicy::default()
                }),
                ..RoutePolicies::default()
            })
        },
    )
}

fn route() -> impl Strategy<Value = Route> {
    (
        conditions(),
        prop::collection::vec(service(), 0..3),
        prop::bool::weighted(0.2),
        prop::option::weighted(0.3, policies()),
    )
        .prop_map(|(conditions, services, permit_insecure, policies)| Route {
            conditions,
            services: services.into(),
            enable_websockets: false,
            permit_insecure,
            policies,
        })
}

fn include() -> impl Strategy<Value = Include> {
    let namespace = prop::option::weighted(0.3, select(&NAMESPACES[..]));
    // Roots too, and oneself: both are told.
    (select(&NAMES[..]), namespace, conditions()).prop_map(|(name, namespace, conditions)| {
        Include {
            name: name.into(),
            namespace: some(namespace),
            conditions,
        }
    })
}

fn tls() -> impl Strategy<Value = Tls> {
    let clients = (
        prop::option::weighted(0.8, secret_name()),
        prop::option::weighted(0.3, secret_name()),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(authorities, revocations, skip)| DownstreamValidation {
            ca_secret: some(authorities.as_deref()),
            crl_secret: some(revocations.as_deref()),
            skip_client_cert_validation: skip,
            ..DownstreamValidation::default()
        });
    (
        prop::option::weighted(0.9, secret_name()),
        prop::bool::weighted(0.2),
        prop::option::weighted(0.3, clients),
        prop::option::weighted(0.2, select(&["1.2", "1.3"][..])),
    )
        .prop_map(|(secret, passthrough, client_validation, least)| Tls {
            secret_name: some(secret.as_deref()),
            minimum_protocol_version: some(least),
            passthrough,
            client_validation,
            ..Tls::default()
        })
}

fn virtual_host() -> impl Strategy<Value = Box<VirtualHost>> {
    let authorization = select(&EXTENSIONS[..]).prop_map(|name| AuthorizationServer {
        extension_ref: ExtensionServiceReference {
            name: name.into(),
            ..ExtensionServiceReference::default()
        },
        ..AuthorizationServer::default()
    });
    let denied = select(&["10.0.0.0/8", "nowhere"][..]).prop_map(|cidr| IpFilterPolicy {
        source: IpFilterSource::Remote,
        cidr: cidr.into(),
    });
    (
        select(&HOSTS[..]),
        prop::option::weighted(0.5, tls()),
        prop::option::weighted(0.2, authorization),
        prop::option::weighted(0.2, denied),
    )
        .prop_map(|(fqdn, tls, authorization, denied)| {
            Box::new(VirtualHost {
                fqdn: fqdn.into(),
                tls,
                authorization,
                ip_deny_policy: denied.into_iter().collect(),
                ..VirtualHost::default()
            })
        })
}

fn tcp_proxy() -> impl Strategy<Value = Box<TcpProxy>> {
    let include = select(&NAMES[..]).prop_map(|name| (Arc::from(name), Arc::default()));
    (
        prop::collection::vec(service(), 0..2),
        prop::option::weighted(0.3, include),
    )
        .prop_map(|(services, include)| {
            Box::new(TcpProxy {
                services: services.into(),
                include,
                ..TcpProxy::default()
            })
        })
}

fn status() -> impl Strategy<Value = Arc<Status>> {
    select(&["", "valid", "invalid"][..]).prop_map(|current_status| {
        Arc::new(Status {
            current_status: current_status.into(),
            ..Status::default()
        })
    })
}

pub fn http_proxy() -> impl Strategy<Value = Object> {
    (
        head(),
        prop::option::weighted(0.2, select(&["isobath", "other", "contour"][..])),
        prop::option::weighted(0.5, virtual_host()),
        prop::collection::vec(route(), 0..3),
        prop::collection::vec(include(), 0..3),
        prop::option::weighted(0.1, tcp_proxy()),
        status(),
    )
        .prop_map(
            |(metadata, class, virtual_host, routes, includes, tcp_proxy, status)| {
                Object::HttpProxy(Arc::new(HttpProxy {
                    metadata,
                    class_name: class.map(Arc::from),
                    virtual_host,
                    routes: routes.into(),
                    includes: includes.into(),
                    tcp_proxy,
                    wrong: None,
                    generation: 0,
                    status,
                }))
            },
        )
}

pub fn extension_service() -> impl Strategy<Value = Object> {
    // Of three with these weights it may be that one has none, and the others the same.
    let target = (select(&SERVICES[..]), select(&[80, 81_u16][..]), 0..3_u32).prop_map(
        |(name, port, weight)| ExtensionServiceTarget {
            name: name.into(),
            port,
            weight,
        },
    );
    (
        (select(&NAMESPACES[..]), select(&EXTENSIONS[..])),
        uid(),
        prop::collection::vec(target, 1..4),
        select(&["h2", "h2c"][..]),
        prop::option::weighted(0.2, secret_name()),
    )
        .prop_map(|((namespace, name), uid, services, protocol, secret)| {
            Object::ExtensionService(Arc::new(ExtensionService {
                metadata: metadata(namespace, name, uid, None, &[]),
                generation: 0,
                services: services.into(),
                validation: secret.map(|secret| UpstreamValidation {
                    ca_secret: secret.into(),
                    subject_names: ["a.test".into()].into(),
                }),
                protocol: protocol.into(),
                load_balancer_policy: None,
                timeout_policy: None,
                circuit_breaker_policy: None,
                valid: None,
            }))
        })
}
