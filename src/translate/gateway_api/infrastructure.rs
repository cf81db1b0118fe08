//! What is kept for a Gateway: a Service that bears what it says of its infrastructure, and where it has one of its own, that.

use crate::model::verdict::Infrastructure;
use crate::objects::gateway_api::Gateway;
use crate::objects::{NamespacedName, Service};
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
    let (load_balancer, [has_service, has_slices]) = match load_balancer(input, gateway, made) {
        Some((wanted, has)) => (Some(wanted), has),
        None => (None, [true; 2]),
    };
    let service = service_name(name);
    let there = NamespacedName::new(name.namespace.clone(), service.clone());
    let there = input.reader.service(&there);
    let is_ending = |it: &Service| it.kept.as_ref().is_some_and(|kept| kept.is_ending);
    let has_services = there.is_some_and(|it| !is_ending(it)) && has_service;
    Infrastructure {
        service,
        labels: gateway.infrastructure.labels.clone(),
        annotations: gateway.infrastructure.annotations.clone(),
        has_services,
        is_there: has_services && has_slices,
        load_balancer,
    }
}
