//! Random HTTPProxies, of the same universe.

use std::sync::Arc;

#[path = "proxy_policies.rs"]
mod proxy_policies;

use isobath::objects::http_proxy::*;
use isobath::objects::{HttpProxy, Metadata, Object};
use proptest::prelude::*;
use proptest::sample::select;

use super::{HOSTS, NAMESPACES, SECRETS, SERVICES, metadata, uid};
use proxy_policies as policy;

const NAMES: [&str; 4] = ["root", "other", "child", "leaf"];
pub const EXTENSIONS: [&str; 2] = ["authz", "limits"];

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

/// Either of few texts; none at times.
pub fn text_of(values: &'static [&'static str]) -> impl Strategy<Value = Arc<str>> {
    prop::option::of(select(values)).prop_map(some)
}

/// A Secret, at times of another namespace.
pub fn secret_name() -> impl Strategy<Value = String> {
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
        1 => policy::mostly(&["/x[0-9]+"], &["/x[", "x"]).prop_map(|regex| MatchCondition {
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

fn service() -> BoxedStrategy<Service> {
    let validation =
        (secret_name(), select(&["a.test", "b.test"][..])).prop_map(|(secret, name)| {
            UpstreamValidation {
                ca_secret: secret.into(),
                subject_names: [name.into()].into(),
            }
        });
    let policies = (
        prop::option::of(validation),
        select(&[0, 0, 81_u16][..]),
        prop::option::weighted(0.2, policy::headers_policy()),
        prop::option::weighted(0.2, policy::headers_policy()),
        prop::option::weighted(0.2, policy::cookies()),
        prop::option::weighted(0.2, policy::slow_start()),
    );
    let policies = policies.prop_map(
        |(validation, health_port, requests, responses, cookies, slow_start_policy)| {
            Box::new(ServicePolicies {
                health_port,
                validation,
                request_headers_policy: requests,
                response_headers_policy: responses,
                cookie_rewrite_policies: cookies.unwrap_or_default(),
                slow_start_policy,
            })
        },
    );
    (
        select(&SERVICES[..]),
        select(&[80, 80, 81_u16][..]),
        0..3_i64,
        prop::option::weighted(0.3, select(&["h2", "h2c", "tls"][..])),
        prop::bool::weighted(0.1),
        prop::option::weighted(0.4, policies),
    )
        .prop_map(|(name, port, weight, protocol, mirror, policies)| Service {
            name: name.into(),
            port,
            weight,
            protocol: protocol.map(Arc::from),
            mirror,
            policies,
        })
        .boxed()
}

/// What says where requests go, and how.
fn balancing() -> BoxedStrategy<RoutePolicies> {
    let strategy = select(
        &[
            "",
            "Cookie",
            "WeightedLeastRequest",
            "Random",
            "RequestHash",
        ][..],
    );
    let timeout = prop::option::of(policy::mostly(&["1s", "infinity"], &["s"])).prop_map(some);
    let timeouts = (timeout, text_of(&["2s"]), text_of(&["3s"]));
    let interval = prop_oneof![20 => select(&[0, 5_i64][..]), 1 => Just(-1)];
    let interval = prop::option::weighted(0.3, interval);
    let replacement = (select(&["", "/a"][..]), select(&["/new", "/"][..]));
    (
        prop::option::of((strategy, policy::hashes())),
        prop::option::of(timeouts),
        interval,
        prop::collection::vec(replacement, 0..2),
        prop::option::weighted(0.3, policy::retries()),
        prop::option::weighted(0.2, policy::internal_redirect()),
    )
        .prop_map(
            |(balancing, timeouts, interval, replacements, retry_policy, internal)| RoutePolicies {
                load_balancer_policy: balancing.map(|(strategy, hashes)| LoadBalancerPolicy {
                    strategy: strategy.into(),
                    request_hash_policies: hashes,
                }),
                timeout_policy: timeouts.map(|(response, idle, idle_connection)| TimeoutPolicy {
                    response,
                    idle,
                    idle_connection,
                }),
                health_check_policy: interval.map(|interval_seconds| HttpHealthCheckPolicy {
                    path: "/health".into(),
                    interval_seconds,
                    ..HttpHealthCheckPolicy::default()
                }),
                replace_prefix: replacements
                    .into_iter()
                    .map(|(prefix, replacement)| (prefix.into(), replacement.into()))
                    .collect(),
                retry_policy,
                internal_redirect_policy: internal,
                ..RoutePolicies::default()
            },
        )
        .boxed()
}

/// What says who may come, and what is done to requests and answers.
fn policies() -> BoxedStrategy<Box<RoutePolicies>> {
    let guards = (
        prop::option::weighted(0.3, policy::authorization()),
        prop::option::weighted(0.2, policy::verification()),
        prop::option::weighted(0.2, policy::ip_filters()),
        prop::option::weighted(0.05, policy::ip_filters()),
        prop::option::weighted(0.3, policy::rate_limits()),
    );
    let headers = (
        prop::option::weighted(0.3, policy::headers_policy()),
        prop::option::weighted(0.3, policy::headers_policy()),
        prop::option::weighted(0.2, policy::cookies()),
    );
    (balancing(), guards, headers)
        .prop_map(|(balancing, guards, headers)| {
            let (auth_policy, jwt, denied, allowed, rate_limit_policy) = guards;
            let (request_headers_policy, response_headers_policy, cookies) = headers;
            Box::new(RoutePolicies {
                auth_policy,
                jwt_verification_policy: jwt,
                ip_deny_policy: denied.unwrap_or_default(),
                ip_allow_policy: allowed.unwrap_or_default(),
                rate_limit_policy,
                request_headers_policy,
                response_headers_policy,
                cookie_rewrite_policies: cookies.unwrap_or_default(),
                ..balancing
            })
        })
        .boxed()
}

/// Instead of services mostly; beside them, it is told.
fn answer() -> BoxedStrategy<(RoutePolicies, bool)> {
    let redirect = policy::redirect().prop_map(|it| RoutePolicies {
        request_redirect_policy: Some(it),
        ..RoutePolicies::default()
    });
    let direct = policy::direct_response().prop_map(|it| RoutePolicies {
        direct_response_policy: Some(it),
        ..RoutePolicies::default()
    });
    (prop_oneof![redirect, direct], prop::bool::weighted(0.1)).boxed()
}

fn route() -> BoxedStrategy<Route> {
    (
        conditions(),
        prop_oneof![1 => Just(Vec::new()), 20 => prop::collection::vec(service(), 1..3)],
        (any::<bool>(), prop::bool::weighted(0.2)),
        prop::option::weighted(0.4, policies()),
        prop::option::weighted(0.2, answer()),
    )
        .prop_map(
            |(conditions, mut services, (websockets, permit_insecure), mut policies, answer)| {
                if let Some((answer, has_services)) = answer {
                    if !has_services {
                        services.clear();
                    }
                    let policies = policies.get_or_insert_default();
                    policies.request_redirect_policy = answer.request_redirect_policy;
                    policies.direct_response_policy = answer.direct_response_policy;
                }
                Route {
                    conditions,
                    services: services.into(),
                    enable_websockets: websockets,
                    permit_insecure,
                    policies,
                }
            },
        )
        .boxed()
}

fn include() -> BoxedStrategy<Include> {
    let namespace = prop::option::weighted(0.3, select(&NAMESPACES[..]));
    // Roots too, and oneself: both are told.
    (select(&NAMES[..]), namespace, conditions())
        .prop_map(|(name, namespace, conditions)| Include {
            name: name.into(),
            namespace: some(namespace),
            conditions,
        })
        .boxed()
}

fn tls() -> BoxedStrategy<Tls> {
    let forwarded = any::<[bool; 2]>().prop_map(|[subject, chain]| ClientCertificateDetails {
        subject,
        chain,
        ..ClientCertificateDetails::default()
    });
    let clients = (
        prop::option::weighted(0.8, secret_name()),
        prop::option::weighted(0.1, secret_name()),
        prop::bool::weighted(0.3),
        prop::option::weighted(0.3, forwarded),
        any::<[bool; 2]>(),
    )
        .prop_map(
            |(authorities, revocations, skip, forwarded, [leaf, optional])| DownstreamValidation {
                ca_secret: some(authorities.as_deref()),
                crl_secret: some(revocations.as_deref()),
                skip_client_cert_validation: skip,
                forward_client_certificate: forwarded,
                crl_only_verify_leaf_cert: leaf,
                optional_client_certificate: optional,
            },
        );
    (
        prop::option::weighted(0.9, secret_name()),
        prop::bool::weighted(0.2),
        prop::option::weighted(0.3, clients),
        prop::option::weighted(0.2, select(&["1.2", "1.3"][..])),
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |(secret, passthrough, client_validation, least, fallback)| Tls {
                secret_name: some(secret.as_deref()),
                minimum_protocol_version: some(least),
                passthrough,
                client_validation,
                enable_fallback_certificate: fallback,
                ..Tls::default()
            },
        )
        .boxed()
}

fn virtual_host() -> BoxedStrategy<Box<VirtualHost>> {
    let extension = select(&["", EXTENSIONS[0], EXTENSIONS[0], EXTENSIONS[1]][..]);
    let authorization = (
        extension,
        prop::option::weighted(0.3, select(&NAMESPACES[..])),
        prop::option::of(policy::authorization()),
        any::<bool>(),
        prop::option::weighted(0.3, policy::buffer()),
        prop::option::of(policy::mostly(&["1s"], &["s"])).prop_map(some),
    );
    let authorization = authorization.prop_map(
        |(name, namespace, auth_policy, fail_open, with_request_body, response_timeout)| {
            AuthorizationServer {
                extension_ref: ExtensionServiceReference {
                    name: name.into(),
                    namespace: some(namespace),
                    ..ExtensionServiceReference::default()
                },
                auth_policy,
                response_timeout,
                fail_open,
                with_request_body,
            }
        },
    );
    let all = (
        prop::option::weighted(0.3, policy::cors()),
        prop::option::weighted(0.2, policy::rate_limits()),
        prop::option::weighted(0.3, policy::jwt_providers()),
    );
    (
        select(&HOSTS[..]),
        prop::option::weighted(0.5, tls()),
        prop::option::weighted(0.2, authorization),
        prop::option::weighted(0.2, policy::ip_filters()),
        all,
    )
        .prop_map(
            |(fqdn, tls, authorization, denied, (cors_policy, rate_limit_policy, providers))| {
                Box::new(VirtualHost {
                    fqdn: fqdn.into(),
                    tls,
                    authorization,
                    cors_policy,
                    rate_limit_policy,
                    jwt_providers: providers.unwrap_or_default(),
                    ip_deny_policy: denied.unwrap_or_default(),
                    ip_allow_policy: Box::default(),
                })
            },
        )
        .boxed()
}

fn tcp_proxy() -> BoxedStrategy<Box<TcpProxy>> {
    let include = select(&NAMES[..]).prop_map(|name| (Arc::from(name), Arc::default()));
    let checks = Just(TcpHealthCheckPolicy {
        interval_seconds: 5,
        ..TcpHealthCheckPolicy::default()
    });
    (
        prop::collection::vec(service(), 0..2),
        prop::option::weighted(0.3, include),
        prop::option::weighted(0.3, checks),
    )
        .prop_map(|(services, include, health_check_policy)| {
            Box::new(TcpProxy {
                services: services.into(),
                include,
                health_check_policy,
                ..TcpProxy::default()
            })
        })
        .boxed()
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
