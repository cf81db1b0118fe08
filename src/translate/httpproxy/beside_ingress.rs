//! An HTTPProxy and Ingresses on one host: one list of routes.
//!
//! On an equal match the HTTPProxy's route holds. Its TLS and what it asks of all routes of its host hold for all of it: by TLS who
//! is asked about requests, and the token that they must bring, too. It asks more of an Ingress's routes than the operator does, and
//! never less: these may be of another namespace. What it passes on, or closes, no Ingress opens. An Ingress without TLS is not on
//! HTTPS. Where the HTTPProxy is invalid and guards its host, the host is closed for the Ingresses as well: Contour serves them
//! without the guard.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::model::order;
use crate::model::{PathMatch, Route, RouteMatch, VirtualHost};
use crate::objects::{ObjectRef, Problem};
use crate::translate::{HostUnit, HttpsHost, reason};

use super::policies::Policies;
use super::root::Served;

/// Merges what Ingresses bring to the host into it.
pub fn merge(served: &mut Served, mut ingress: HostUnit) {
    served.unit.problems.append(&mut ingress.problems);
    if let Err(mut problems) = afford(served, &ingress) {
        served.unit.problems.append(&mut problems);
        return;
    }
    let mut closed = close_guarded(served, &mut ingress);
    served.unit.problems.append(&mut closed);
    let policies = &served.policies;
    if let Some(http) = ingress.http {
        let put_on = |route| policies.of_ingress(route);
        let own = served.unit.http.take();
        served.unit.http = Some(merged(policies, own, http, put_on));
    }
    // What the HTTPProxy passes on, or closes, is not ended here for others.
    let is_ended = !served.unit.is_forwarded() && !served.unit.is_closed;
    if let Some(https) = ingress.https.filter(|_| is_ended) {
        if policies.closes_ingresses() {
            let message = "its routes on the host of an HTTPProxy answer 503 by TLS: that names who is asked about requests, the operator names somebody else, and a route has one of them";
            let mut told = tell_owners(
                std::iter::once(&https.virtual_host),
                reason::AUTHORIZATION_CONFLICT,
                message,
            );
            served.unit.problems.append(&mut told);
        }
        let put_on = |route| policies.of_ingress_by_tls(route);
        served.unit.https = Some(match served.unit.https.take() {
            Some(own) => HttpsHost {
                virtual_host: VirtualHost {
                    client_check: own.virtual_host.client_check,
                    ..merged(policies, Some(own.virtual_host), https.virtual_host, put_on)
                },
                ..own
            },
            None => HttpsHost {
                virtual_host: merged(policies, None, https.virtual_host, put_on),
                ..https
            },
        });
    }
    served.unit.clusters.append(&mut ingress.clusters);
}

/// Closes routes of Ingresses that are guarded by what the HTTPProxy has another of: a route has one list of addresses, and a host
/// asks clients for certificates in one way.
fn close_guarded(served: &Served, ingress: &mut HostUnit) -> Vec<Problem> {
    let has_addresses = served.policies.addresses().is_some();
    let is_asked = |https: &HttpsHost| https.server.clients.is_some();
    let is_lost = served.unit.https.is_some() && ingress.https.as_ref().is_some_and(is_asked);
    let by_tls = ingress
        .https
        .iter_mut()
        .map(|it| (&mut it.virtual_host, is_lost));
    let hosts = ingress
        .http
        .iter_mut()
        .map(|host| (host, false))
        .chain(by_tls);
    let mut owners = BTreeSet::new();
    for (host, is_lost) in hosts {
        for route in &mut host.routes {
            let filters = route.filters.as_ref();
            let is_listed = filters.is_some_and(|it| it.addresses.is_some());
            if is_lost || (has_addresses && is_listed) {
                owners.insert(route.source.object.clone());
                route.close();
            }
        }
    }
    let message = "its routes on the host of an HTTPProxy are closed (503): that guards them in its own way by addresses or client certificates, and only one of two can be";
    owners
        .into_iter()
        .map(|owner| Problem::new(owner, reason::ROUTE_CLOSED, message))
        .collect()
}

/// What the HTTPProxy asks of all routes is put on those of Ingresses, too: where that is more than one object may come to, these
/// are left out, and their owners are told.
fn afford(served: &Served, ingress: &HostUnit) -> Result<(), Vec<Problem>> {
    let https = ingress.https.as_ref().map(|https| &https.virtual_host);
    let hosts = || ingress.http.iter().chain(https);
    let is_paid = |host: &VirtualHost| {
        let checked = served.policies.check_cost(&served.entries, &host.routes);
        checked.is_ok()
    };
    if hosts().all(is_paid) {
        return Ok(());
    }
    let message = "its routes on the host of an HTTPProxy are not served: with what that asks of each they would be more than one object may come to";
    Err(tell_owners(hosts(), reason::TOO_LARGE, message))
}

/// Tells whoever brings routes to these hosts.
fn tell_owners<'a>(
    hosts: impl Iterator<Item = &'a VirtualHost>,
    reason: &'static str,
    message: &str,
) -> Vec<Problem> {
    let routes = hosts.flat_map(|host| &host.routes);
    let owners: BTreeSet<&ObjectRef> = routes.map(|route| &route.source.object).collect();
    let owners = owners.into_iter();
    owners
        .map(|owner| Problem::new(owner.clone(), reason, message))
        .collect()
}

/// Both lists are in order already: the routes of Ingresses keep theirs.
fn merged(
    policies: &Policies,
    own: Option<VirtualHost>,
    mut ingress: VirtualHost,
    put_on: impl Fn(Route) -> Route,
) -> VirtualHost {
    let theirs = std::mem::take(&mut ingress.routes);
    let mut host = own.unwrap_or_else(|| {
        policies.share_with(&mut ingress);
        ingress
    });
    let taken: BTreeSet<RouteMatch> = host
        .routes
        .iter()
        .map(|route| comparable(&route.matches))
        .collect();
    // An Ingress says a path, whatever else its routes ask for that come of annotations: a path that the HTTPProxy has for all
    // requests is its own for all of them.
    let whole: BTreeSet<PathMatch> = taken
        .iter()
        .filter(|matches| matches.scheme.is_none() && matches.conditions.is_none())
        .map(|matches| matches.path.clone())
        .collect();
    let is_left = |route: &Route| {
        let matches = comparable(&route.matches);
        !taken.contains(&matches) && !whole.contains(&matches.path)
    };
    let theirs = theirs.into_iter().filter(is_left).map(put_on);
    let mut mine = std::mem::take(&mut host.routes).into_iter().peekable();
    for route in theirs {
        let is_first = |next: &Route| {
            order::compare_http_proxy(&next.matches, &route.matches) != Ordering::Greater
        };
        while let Some(next) = mine.next_if(is_first) {
            host.routes.push(next);
        }
        host.routes.push(route);
    }
    host.routes.extend(mine);
    host
}

/// The root is the same by elements and as text.
fn comparable(matches: &RouteMatch) -> RouteMatch {
    let mut matches = matches.clone();
    if matches.path == PathMatch::PathPrefix("/".into()) {
        matches.path = PathMatch::StringPrefix("/".into());
    }
    matches
}
