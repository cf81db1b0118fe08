//! ExtensionService: the schema of Contour's custom resource definition (1.33).

use std::sync::Arc;

use serde::Deserialize;

use super::super::extension_service::{CircuitBreakerPolicy, ExtensionServiceTarget};
use super::super::validate::{FieldError, Rules};
use super::super::{ExtensionService, Kind, Object};
use super::http_proxy::{
    ConditionWire, LoadBalancerWire, TimeoutWire, ValidationWire, load_balancer, port, timeout,
    validation,
};
use super::json::{Kept, List, Struct, Text, Whole};
use super::metadata::MetadataWire;
use super::schema::{At, each_of, not_empty, number, one_of, perhaps, present};
use super::wire::Wire;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ExtensionServiceWire<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    metadata: Struct<MetadataWire<'a>>,
    spec: Option<Struct<SpecWire>>,
    status: Option<Struct<StatusWire>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SpecWire {
    services: Option<List<Struct<TargetWire>>>,
    validation: Option<Struct<ValidationWire>>,
    protocol: Option<Kept>,
    load_balancer_policy: Option<Struct<LoadBalancerWire>>,
    timeout_policy: Option<Struct<TimeoutWire>>,
    protocol_version: Option<Kept>,
    circuit_breaker_policy: Option<Struct<CircuitBreakerWire>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TargetWire {
    name: Option<Kept>,
    port: Option<Whole>,
    weight: Option<Whole>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CircuitBreakerWire {
    max_connections: Option<Whole>,
    max_pending_requests: Option<Whole>,
    max_requests: Option<Whole>,
    max_retries: Option<Whole>,
    per_host_max_connections: Option<Whole>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StatusWire {
    conditions: Option<List<Struct<ConditionWire>>>,
}

impl<'a> Wire<'a> for ExtensionServiceWire<'a> {
    fn kind(&self) -> &str {
        self.kind.as_str()
    }

    fn metadata(&self) -> &MetadataWire<'a> {
        &self.metadata.0
    }

    fn check(self, _: Rules) -> Result<Object, FieldError> {
        let metadata = self.metadata.0.check(Kind::ExtensionService)?;
        let at = At::Top("spec");
        // The schema asks for no `spec`; but for services, where there is one.
        if let Some(Struct(spec)) = &self.spec {
            present(at.of("services"), spec.services.as_ref())?;
        }
        let Struct(spec) = self.spec.unwrap_or_default();
        not_empty(at.of("services"), &spec.services)?;
        one_of(at.of("protocolVersion"), spec.protocol_version, &["v3"])?;
        let protocol = one_of(at.of("protocol"), spec.protocol, &["h2", "h2c"])?;
        let balancing = at.of("loadBalancerPolicy");
        let breaker = at.of("circuitBreakerPolicy");
        let conditions = self.status.and_then(|Struct(status)| status.conditions);
        Ok(Object::ExtensionService(Arc::new(ExtensionService {
            generation: self.metadata.0.generation(),
            metadata,
            services: each_of(at.of("services"), spec.services, target)?,
            validation: perhaps(at.of("validation"), spec.validation, validation)?,
            protocol: protocol.unwrap_or_else(|| "h2".into()),
            load_balancer_policy: perhaps(balancing, spec.load_balancer_policy, load_balancer)?,
            timeout_policy: perhaps(at.of("timeoutPolicy"), spec.timeout_policy, timeout)?,
            circuit_breaker_policy: perhaps(breaker, spec.circuit_breaker_policy, circuit_breaker)?,
            valid: ConditionWire::valid(conditions).map(Arc::new),
        })))
    }
}

fn target(at: At<'_>, wire: TargetWire) -> Result<ExtensionServiceTarget, FieldError> {
    let Kept(name) = present(at.of("name"), wire.name)?;
    let number_of_port = present(at.of("port"), wire.port)?;
    Ok(ExtensionServiceTarget {
        name,
        port: port(at.of("port"), Some(number_of_port))?,
        weight: count(at.of("weight"), wire.weight)?,
    })
}

fn circuit_breaker(
    at: At<'_>,
    wire: CircuitBreakerWire,
) -> Result<CircuitBreakerPolicy, FieldError> {
    Ok(CircuitBreakerPolicy {
        max_connections: count(at.of("maxConnections"), wire.max_connections)?,
        max_pending_requests: count(at.of("maxPendingRequests"), wire.max_pending_requests)?,
        max_requests: count(at.of("maxRequests"), wire.max_requests)?,
        max_retries: count(at.of("maxRetries"), wire.max_retries)?,
        per_host_max_connections: count(
            at.of("perHostMaxConnections"),
            wire.per_host_max_connections,
        )?,
    })
}

/// What a Go `uint32` and the format of the schema's field both have; 0 where it says nothing.
fn count(at: At<'_>, field: Option<Whole>) -> Result<u32, FieldError> {
    Ok(number(at, field, 0, i32::MAX.unsigned_abs())?.unwrap_or_default())
}
