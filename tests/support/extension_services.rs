//! Random ExtensionServices, of the same universe.

use std::sync::Arc;

use isobath::objects::http_proxy::{LoadBalancerPolicy, TimeoutPolicy, UpstreamValidation};
use isobath::objects::{CircuitBreakerPolicy, ExtensionService, ExtensionServiceTarget, Object};
use proptest::prelude::*;
use proptest::sample::select;

use super::http_proxies::{EXTENSIONS, secret_name, text_of};
use super::{NAMESPACES, SERVICES, metadata, uid};

type Policies = (
    Option<LoadBalancerPolicy>,
    Option<TimeoutPolicy>,
    Option<CircuitBreakerPolicy>,
);

fn policies() -> impl Strategy<Value = Policies> {
    let strategy = select(&["RoundRobin", "Random", "Cookie", "WeightedLeastRequest"][..]);
    let balancing = strategy.prop_map(|strategy| LoadBalancerPolicy {
        strategy: strategy.into(),
        ..LoadBalancerPolicy::default()
    });
    let timeouts = (text_of(&["1s", "s"]), text_of(&["2s"]), text_of(&["3s"]));
    let timeouts = timeouts.prop_map(|(response, idle, idle_connection)| TimeoutPolicy {
        response,
        idle,
        idle_connection,
    });
    let breakers = (0..2_u32).prop_map(|max_connections| CircuitBreakerPolicy {
        max_connections,
        ..CircuitBreakerPolicy::default()
    });
    (
        prop::option::weighted(0.3, balancing),
        prop::option::weighted(0.3, timeouts),
        prop::option::weighted(0.3, breakers),
    )
}

pub fn extension_service() -> impl Strategy<Value = Object> {
    // Of three with these weights it may be that one has none, and the others the same.
    let service = prop_oneof![4 => select(&SERVICES[..2]), 1 => select(&SERVICES[..])];
    let port = prop_oneof![9 => Just(80), 1 => Just(81_u16)];
    let target =
        (service, port, 0..3_u32).prop_map(|(name, port, weight)| ExtensionServiceTarget {
            name: name.into(),
            port,
            weight,
        });
    (
        (select(&NAMESPACES[..]), select(&EXTENSIONS[..])),
        uid(),
        prop::collection::vec(target, 1..4),
        select(&["h2", "h2c"][..]),
        prop::option::weighted(0.1, secret_name()),
        policies(),
    )
        .prop_map(
            |((namespace, name), uid, services, protocol, secret, policies)| {
                let (load_balancer_policy, timeout_policy, circuit_breaker_policy) = policies;
                Object::ExtensionService(Arc::new(ExtensionService {
                    metadata: metadata(namespace, name, uid, None, &[]),
                    generation: 0,
                    services: services.into(),
                    validation: secret.map(|secret| UpstreamValidation {
                        ca_secret: secret.into(),
                        subject_names: ["a.test".into()].into(),
                    }),
                    protocol: protocol.into(),
                    load_balancer_policy,
                    timeout_policy,
                    circuit_breaker_policy,
                    valid: None,
                }))
            },
        )
}

/// Those that an operator names, of a Service that is there.
pub fn usable() -> impl Iterator<Item = Object> {
    EXTENSIONS.into_iter().map(|name| {
        let target = ExtensionServiceTarget {
            name: SERVICES[0].into(),
            port: 80,
            weight: 1,
        };
        Object::ExtensionService(Arc::new(ExtensionService {
            metadata: metadata(NAMESPACES[1], name, "", None, &[]),
            generation: 0,
            services: [target].into(),
            validation: None,
            protocol: "h2c".into(),
            load_balancer_policy: None,
            timeout_policy: None,
            circuit_breaker_policy: None,
            valid: None,
        }))
    })
}
