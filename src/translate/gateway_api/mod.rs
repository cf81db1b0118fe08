//! The Gateway API as a [`Language`]: GatewayClass, Gateway, ListenerSet, HTTPRoute, GRPCRoute, TLSRoute, TCPRoute,
//! UDPRoute, ReferenceGrant and BackendTLSPolicy.
//!
//! | unit | reads | comes to |
//! |---|---|---|
//! | [`gateway`]: a Gateway | its class, Secrets, ConfigMaps, grants, who else names its addresses | its addresses and listeners, with what is wrong |
//! | [`bind`]: a place ([`place`]) | the Gateway that has it | the listeners there, by their hostnames |
//! | [`backend_tls`]: a policy | its ConfigMaps | how the Services that it is about are spoken to |
//! | [`rules`]: a route | Services with their policies, grants | its routes and clusters, for each certificate that is shown to back ends |
//! | [`parent`]: a Gateway or a ListenerSet | the Gateway | the listeners that it brings |
//! | [`attachment`]: a route | its parents, labels of its namespace | the listeners that it is attached to, and for which names |
//! | [`virtual_host`]: a host at a place | what is there, and the routes that are attached there for it or for a name that covers it | a virtual host |
//!
//! A Gateway claims its addresses and ports and the hostnames of its listeners; a route claims the names that it has in common with
//! each. How many routes are attached to a listener is counted by their claims. A place is an address and port of a Gateway's own, or
//! what a Gateway has at a port of the fleet, where others are as well ([`fleet`]), or a port of a Service of its own ([`service`]).
//!
//! # Decided where the specification leaves it open
//!
//! - A Gateway has addresses of its own ([`GatewayOptions::addresses`]), or is reached as Ingresses are. Of two that name an address it is whose status has it, and else the older's.
//! - Two listeners of one Gateway that can't stand beside each other are both not served. One of a ListenerSet that comes too late
//!   has nothing on the port.
//! - A route of a ListenerSet that is not accepted has no matching parent.
//! - A regular expression as a path comes after exact paths and before prefixes ([`crate::model::order`]).
//! - An HTTPRoute and a GRPCRoute may have one hostname; calls of gRPC are tried first.
//! - What is asked for that is not served closes the route or the listener, and says so: nothing is skipped.
//! - A BackendTLSPolicy that can't be honoured closes its ports: requests are answered 500, as where there is no Service. So does
//!   one that is wrong as a whole, as far as its targets can be read.
//! - A name of `subjectAltNames` that begins with `*` is none that a certificate can be compared with: the policy can't be honoured.
//! - Of clients' certificates (`spec.tls.frontend`) authorities are in ConfigMaps. Back ends are not told what was shown.
//! - A certificate that back ends are to be shown (`spec.tls.backend`), and that can't be used, closes what is spoken to by TLS.
//! - The status of a BackendTLSPolicy has the first of its Gateways by name, as many as there is room for; it holds for all of them.
//! - A Service of type ExternalName is one that does not exist, unless the operator allows them.

mod ancestors;
mod attachment;
mod authorities;
mod backend_tls;
mod backends;
mod bind;
mod certificates;
mod conflicts;
mod context;
mod cors;
mod duration;
mod effective;
mod fault;
mod features;
mod fleet;
mod forwarded;
mod frontend;
mod gateway;
mod grants;
mod headers;
mod holder;
mod hostname;
mod infrastructure;
mod listener;
mod load_balancer;
mod matches;
mod options;
mod parent;
mod place;
mod ports;
mod rules;
mod service;
mod service_name;
mod shown;
mod status;
mod virtual_host;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::verdict::WantedStatus;
use crate::model::{Claimable, Front, Host};
use crate::objects::{Kind, ObjectRef, Problem};

use super::language::Language;
use super::{HostUnit, Input, ListenerUnit};

pub use attachment::Attachment;
pub use backend_tls::{BackendTls, Policies};
pub use bind::Bind;
pub use effective::{BoundListener, Transport};
pub use fault::Fault;
pub use fleet::{SharedListener, owner as port_owner};
pub use gateway::EffectiveGateway;
pub use holder::{Holder, SharedHost};
pub use hostname::covers;
pub use options::{FleetPorts, GatewayOptions, GatewayServices, PodPort};
pub use parent::EffectiveParent;
pub use rules::RouteRules;
pub use shown::Shown;

/// Gateways and their routes.
#[derive(Debug)]
pub struct GatewayApiLanguage;

impl Language for GatewayApiLanguage {
    fn kinds(&self) -> &'static [Kind] {
        &[
            Kind::GatewayClass,
            Kind::Gateway,
            Kind::ListenerSet,
            Kind::HttpRoute,
            Kind::GrpcRoute,
            Kind::TlsRoute,
            Kind::TcpRoute,
            Kind::UdpRoute,
            Kind::BackendTlsPolicy,
        ]
    }

    fn claims(&self, input: Input<'_>, object: &ObjectRef) -> BTreeSet<Claimable> {
        match object.kind {
            Kind::Gateway => input.gateway(&object.name).claims(input, &object.name),
            Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::TlsRoute
            | Kind::TcpRoute
            | Kind::UdpRoute => {
                let attachment = input.attachment(object);
                match status::route_fault(input, object, &attachment) {
                    None => {
                        let mut claims = attachment.claims(input);
                        for shown in attachment.shown() {
                            let rules = input.route_rules(object, &shown);
                            claims.extend(rules.reached(input, &attachment));
                        }
                        claims
                    }
                    Some(_) => BTreeSet::new(),
                }
            }
            _ => BTreeSet::new(),
        }
    }

    fn listener(&self, input: Input<'_>, name: &Arc<str>, claims: &[ObjectRef]) -> ListenerUnit {
        let of_fleet = fleet::listener(input, name, claims);
        of_fleet.unwrap_or_else(|| input.bind(name).unit(input, name, claims))
    }

    fn host(&self, input: Input<'_>, front: &Front, host: &Host, claims: &[ObjectRef]) -> HostUnit {
        match front {
            Front::Listener(name) if !FleetPorts::is_name(name) => {
                virtual_host::host(input, (front, name), host)
            }
            _ => fleet::host(input, front, host, claims),
        }
    }

    fn losing(
        &self,
        input: Input<'_>,
        front: &Front,
        host: &Host,
        claims: &[ObjectRef],
    ) -> HostUnit {
        fleet::routes_in_clear(input, front, host, claims)
    }

    fn problems(&self, input: Input<'_>, object: &ObjectRef) -> Vec<Problem> {
        status::problems(input, object)
    }

    fn status(&self, input: Input<'_>, object: &ObjectRef) -> Option<WantedStatus> {
        match object.kind {
            Kind::GatewayClass => status::of_class(input, object),
            Kind::Gateway => status::of_gateway(input, object),
            Kind::ListenerSet => status::of_listener_set(input, object),
            Kind::BackendTlsPolicy => status::of_policy(input, object),
            _ => status::of_route(input, object),
        }
    }
}
