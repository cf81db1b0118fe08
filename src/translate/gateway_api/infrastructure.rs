//! What is kept for a Gateway: a Service that bears what it says of its infrastructure, and where it has one of its own, that.

use crate::model::verdict::Infrastructure;
use crate::objects::NamespacedName;
use crate::objects::gateway_api::Gateway;
use crate::translate::Input;

use super::gateway::EffectiveGateway;
use super::load_balancer::load_balancer;
use super::service_name::service_name;

/// What it bears, and whether it is there.
pub fn infrastructure(
    input: Input<'_>,
    gateway: &Gateway,
    made: &EffectiveGateway,
) -> Infrastructure {
    let name = &gateway.metadata.name;
    let (load_balancer, has_all) = match load_balancer(input, gateway, made) {
        Some((wanted, is_there)) => (Some(wanted), is_there),
        None => (None, true),
    };
    let service = service_name(name);
    let there = NamespacedName::new(name.namespace.clone(), service.clone());
    Infrastructure {
        service,
        labels: gateway.infrastructure.labels.clone(),
        annotations: gateway.infrastructure.annotations.clone(),
        is_there: input.reader.service(&there).is_some() && has_all,
        load_balancer,
    }
}
