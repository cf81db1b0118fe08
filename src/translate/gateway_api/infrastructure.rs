//! What is kept for a Gateway: a Service that bears what it says of its infrastructure, and where it has one of its own, that.

use crate::model::verdict::Infrastructure;
use crate::objects::gateway_api::Gateway;
use crate::translate::Input;

use super::gateway::EffectiveGateway;
use super::load_balancer::load_balancer;
use super::service::{Found, found};
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
    let there = found(input, gateway, &service);
    let has_services = matches!(there, Found::Kept(..)) && has_service;
    let names = [Some(&service), load_balancer.as_ref().map(|it| &it.service)];
    let names = names.into_iter().flatten();
    let in_the_way =
        names.filter(|name| matches!(found(input, gateway, name), Found::Ending | Found::Foreign));
    Infrastructure {
        in_the_way: in_the_way.cloned().collect(),
        service,
        labels: gateway.infrastructure.labels.clone(),
        annotations: gateway.infrastructure.annotations.clone(),
        has_services,
        is_there: has_services && has_slices,
        load_balancer,
    }
}
