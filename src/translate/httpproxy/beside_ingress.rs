//! An HTTPProxy and Ingresses on one host: one list of routes.
//!
//! On an equal match the HTTPProxy's route holds. Its TLS and what it asks of all routes of its host hold for all of it. An Ingress
//! without TLS is not on HTTPS. Where the HTTPProxy is invalid and guards its host, the host is closed for the Ingresses as well:
//! Contour serves them without the guard.

use std::collections::BTreeSet;

use crate::model::order::{self, Created, Place, Ranked};
use crate::model::{Host, Route, RouteMatch, VirtualHost};
use crate::translate::{HostUnit, HttpsHost};

use super::policies::Policies;
use super::root::Served;

/// Merges what Ingresses bring to the host into it.
pub fn merge(served: &mut Served, ingress: HostUnit) {
    let HostUnit {
        http,
        https,
        clusters,
        problems,
        ..
    } = ingress;
    let policies = &served.policies;
    if let Some(http) = http {
        let own = served.unit.http.take();
        served.unit.http = Some(merged(policies, own, http));
    }
    if let Some(mut https) = https
        && served.unit.passthrough.is_none()
    {
        let own = served.unit.https.take();
        let of_tls = |it: &HttpsHost| (it.server.clone(), it.secrets.clone(), it.source.clone());
        let (server, secrets, source) = of_tls(own.as_ref().unwrap_or(&https));
        let fallback = own.as_ref().and_then(|own| own.fallback.clone());
        let check = own.as_ref().and_then(|own| own.virtual_host.client_check);
        let own = own.map(|own| own.virtual_host);
        https.virtual_host = VirtualHost {
            client_check: check,
            ..merged(policies, own, https.virtual_host)
        };
        served.unit.https = Some(HttpsHost {
            server,
            secrets,
            source,
            virtual_host: https.virtual_host,
            fallback,
        });
        served.unit.is_closed = false;
    }
    served.unit.clusters.extend(clusters);
    served.unit.problems.extend(problems);
}

/// Both lists are in order already: the routes of Ingresses keep theirs.
fn merged(policies: &Policies, own: Option<VirtualHost>, mut ingress: VirtualHost) -> VirtualHost {
    let theirs = std::mem::take(&mut ingress.routes);
    let mut host = match own {
        Some(own) => own,
        None => {
            policies.share_with(&mut ingress);
            ingress
        }
    };
    let taken: BTreeSet<RouteMatch> = host
        .routes
        .iter()
        .map(|route| comparable(&route.matches))
        .collect();
    let theirs = theirs
        .into_iter()
        .filter(|route| !taken.contains(&comparable(&route.matches)))
        .map(|route| policies.of_ingress(route));
    let mut mine = std::mem::take(&mut host.routes).into_iter().peekable();
    for route in theirs {
        while let Some(next) = mine.next_if(|next| !is_before(&route, next)) {
            host.routes.push(next);
        }
        host.routes.push(route);
    }
    host.routes.extend(mine);
    host
}

/// The root is the same by elements and as text.
fn comparable(matches: &RouteMatch) -> RouteMatch {
    use crate::model::PathMatch;
    let mut matches = matches.clone();
    if matches.path == PathMatch::PathPrefix("/".into()) {
        matches.path = PathMatch::StringPrefix("/".into());
    }
    matches
}

/// Whether a route of an Ingress stands before one of an HTTPProxy.
fn is_before(ingress: &Route, proxy: &Route) -> bool {
    let mut both = [Compared::new(proxy, 0), Compared::new(ingress, 1)];
    order::http_proxy(&mut both);
    both[0].place.index.0 == 1
}

struct Compared<'a> {
    route: &'a Route,
    host: Host,
    place: Place,
}

impl<'a> Compared<'a> {
    fn new(route: &'a Route, index: u32) -> Self {
        Self {
            route,
            host: Host::any(),
            place: Place {
                created: Created::Unknown,
                namespace: "".into(),
                name: "".into(),
                index: (index, 0),
            },
        }
    }
}

impl Ranked for Compared<'_> {
    fn hostname(&self) -> &Host {
        &self.host
    }

    fn matches(&self) -> &RouteMatch {
        &self.route.matches
    }

    fn place(&self) -> &Place {
        &self.place
    }
}
