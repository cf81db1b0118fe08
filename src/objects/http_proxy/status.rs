//! `status` of an HTTPProxy, which a status writer compares before it writes.

use std::sync::Arc;

use super::super::LoadBalancerAddress;

/// `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// `currentStatus`.
    pub current_status: Arc<str>,
    /// `description`.
    pub description: Arc<str>,
    /// The one of `conditions` whose `type` is `Valid`.
    pub valid: Option<ValidCondition>,
    /// `loadBalancer.ingress`.
    pub load_balancer: Arc<[LoadBalancerAddress]>,
}

/// `DetailedCondition` of type `Valid`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValidCondition {
    /// `status`: `True` or `False`.
    pub status: Arc<str>,
    /// `observedGeneration`.
    pub observed_generation: i64,
    /// `reason`.
    pub reason: Arc<str>,
    /// `message`.
    pub message: Arc<str>,
    /// `errors`.
    pub errors: Box<[SubCondition]>,
    /// `warnings`.
    pub warnings: Box<[SubCondition]>,
}

/// `SubCondition`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubCondition {
    /// `type`.
    pub kind: Arc<str>,
    /// `reason`.
    pub reason: Arc<str>,
    /// `message`.
    pub message: Arc<str>,
}
