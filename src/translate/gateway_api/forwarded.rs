//! A host on a listener for TLS whose connections are forwarded: as they are, or without their TLS.
//!
//! There are no requests to be guarded: the operator's authorizer is asked about none of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Front, Host, TcpServer};
use crate::objects::{Field, FieldRef, Problem};
use crate::translate::{HostUnit, Input, Passthrough, TcpHost};

use super::bind::opaque_route;
use super::effective::{BoundListener, Protocol};
use super::hostname;
use super::rules::RouteRules;

/// Leads the connections of a host to the route with the narrowest hostname, and of several to the oldest. Without one they are
/// refused. A name that neither the listener nor a route of its says is no host of its own.
pub fn forward(
    input: Input<'_>,
    (front, name): (&Front, &Arc<str>),
    listener: &BoundListener,
    host: &Host,
    unit: &mut HostUnit,
) {
    unit.is_closed = *host == listener.hostname;
    let covering = hostname::covering(host).into_iter();
    for covering in covering.take_while(|it| hostname::covers(&listener.hostname, it)) {
        let claims = input.reader.claimants(front, &covering);
        let Some(route) = opaque_route(input, (name, listener), host, &claims) else {
            if covering == *host && *host != listener.hostname {
                return;
            }
            continue;
        };
        let rules = input.route_rules(route, &listener.shown);
        let source = FieldRef::new(route.clone(), Field::At("spec.rules[0]".into()));
        unit.is_closed = false;
        if listener.protocol == Some(Protocol::Passthrough) {
            unit.clusters = rules.clusters_of(&rules.forwarding);
            unit.passthrough = Some(Passthrough {
                forwarding: rules.forwarding.clone(),
                source,
            });
            return;
        }
        unit.clusters = rules.clusters_of(&rules.ended);
        match ended_here(input, listener, &rules, source) {
            Ok(tcp) => unit.tcp = Some(tcp),
            Err(why) => {
                unit.is_closed = true;
                let problem = Problem::new(route.clone(), "UnsupportedValue", why);
                unit.problems.push(problem);
            }
        }
        return;
    }
}

fn ended_here(
    input: Input<'_>,
    listener: &BoundListener,
    rules: &RouteRules,
    source: FieldRef,
) -> Result<TcpHost, String> {
    let secrets: BTreeSet<_> = listener.certificates.iter().cloned().collect();
    let server = TcpServer::new(
        secrets.iter().map(|name| name.to_string().into()).collect(),
        input.options.tls.of_any(),
        None,
        listener.source(),
        rules.ended.clone(),
    );
    Ok(TcpHost {
        server: server?,
        secrets,
        source,
    })
}
