//! `projectcontour.io/v1alpha1` ExtensionService, less what Isobath does not use.

use std::fmt;
use std::sync::Arc;

use super::http_proxy::{LoadBalancerPolicy, TimeoutPolicy, UpstreamValidation, ValidCondition};
use super::{Kind, Metadata, ObjectRef};

/// An ExtensionService: Services of its namespace that answer Envoy's own questions by gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionService {
    /// Name and age.
    pub metadata: Metadata,
    /// `metadata.generation`, which says in a status what it is about. Nothing that is served depends on it.
    pub generation: i64,
    /// `spec.services`; at least one, where there is a `spec`.
    pub services: Box<[ExtensionServiceTarget]>,
    /// `spec.validation`.
    pub validation: Option<UpstreamValidation>,
    /// `spec.protocol`: `h2` or `h2c`; by default `h2`.
    pub protocol: Arc<str>,
    /// `spec.loadBalancerPolicy`.
    pub load_balancer_policy: Option<LoadBalancerPolicy>,
    /// `spec.timeoutPolicy`.
    pub timeout_policy: Option<TimeoutPolicy>,
    /// `spec.circuitBreakerPolicy`.
    pub circuit_breaker_policy: Option<CircuitBreakerPolicy>,
    /// The one of `status.conditions` whose `type` is `Valid`. No route depends on it.
    pub valid: Option<Arc<ValidCondition>>,
}

impl ExtensionService {
    /// Which object it is.
    #[must_use]
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            kind: Kind::ExtensionService,
            name: self.metadata.name.clone(),
        }
    }

    /// Whether both are the same but for their status, which nothing that is served depends on.
    #[must_use]
    pub fn same_spec(&self, other: &Self) -> bool {
        self.spec() == other.spec()
    }

    /// All of it but the status.
    #[must_use]
    pub fn spec(&self) -> impl PartialEq + fmt::Debug {
        let Self {
            metadata,
            generation: _,
            services,
            validation,
            protocol,
            load_balancer_policy,
            timeout_policy,
            circuit_breaker_policy,
            valid: _,
        } = self;
        let policies = (load_balancer_policy, timeout_policy, circuit_breaker_policy);
        (metadata, services, validation, protocol, policies)
    }
}

/// `ExtensionServiceTarget`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionServiceTarget {
    /// `name`.
    pub name: Arc<str>,
    /// `port`.
    pub port: u16,
    /// `weight`.
    pub weight: u32,
}

/// `CircuitBreakers`; 0 where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CircuitBreakerPolicy {
    /// `maxConnections`.
    pub max_connections: u32,
    /// `maxPendingRequests`.
    pub max_pending_requests: u32,
    /// `maxRequests`.
    pub max_requests: u32,
    /// `maxRetries`.
    pub max_retries: u32,
    /// `perHostMaxConnections`.
    pub per_host_max_connections: u32,
}
