//! A host on a listener: the routes of all that are attached there for it, in the order of the API.
//!
//! A name belongs to one listener, that with the narrowest hostname. Envoy finds the virtual host before the route, so that of a
//! name has the routes of every hostname that covers it: a request that none of the narrower ones takes goes on to the wider.
//! Such copies are on the account of the routes that name the host. A name that only routes of another listener say is no host of
//! its own: what covers it answers for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::order::{Created, Place, Ranked, gateway_api};
use crate::model::{
    ClientCertificates, Front, Host, Route, RouteAction, RouteMatch, TlsServer, VirtualHost,
};
use crate::objects::{Kind, ObjectRef, Problem};
use crate::translate::{HostUnit, HttpsHost, Input, budget, httpproxy, reason};

use super::attachment::hostname_for;
use super::effective::{BoundListener, Protocol};
use super::shown::Shown;
use super::{forwarded, hostname, place};

/// A route with its rank.
struct Entry {
    hostname: Host,
    place: Place,
    route: Route,
}

impl Ranked for Entry {
    fn hostname(&self) -> &Host {
        &self.hostname
    }

    fn matches(&self) -> &RouteMatch {
        &self.route.matches
    }

    fn place(&self) -> &Place {
        &self.place
    }
}

/// A host at a place, whose hosts are on a front.
pub fn host(input: Input<'_>, (front, name): (&Front, &Arc<str>), host: &Host) -> HostUnit {
    let mut unit = HostUnit {
        any_depth: true,
        ..HostUnit::default()
    };
    let hostname = input.hostname_of(name, host);
    let Some(hostname) = &*hostname else {
        return unit;
    };
    let listener = input.listener_at(name, hostname);
    let Some(listener) = &*listener else {
        return unit;
    };
    if !listener.is_programmed {
        if host == hostname {
            close(host, listener, &mut unit);
        }
        return unit;
    }
    if let Some(Protocol::Passthrough | Protocol::Tls) = listener.protocol {
        forwarded::forward(input, (front, name), listener, host, &mut unit);
        return unit;
    }
    let Some(routes) = routes(input, (front, name), listener, host, &mut unit) else {
        return unit;
    };
    let virtual_host = virtual_host(host.clone(), routes);
    match listener.protocol {
        Some(Protocol::Https) => {
            unit.tells_unknown = tells_unknown(input, name, listener);
            unit.https = Some(https(input, listener, virtual_host));
        }
        Some(Protocol::Http) => unit.http = Some(virtual_host),
        _ => {}
    }
    httpproxy::guard_host(input, &mut unit);
    unit
}

const fn virtual_host(host: Host, routes: Vec<Route>) -> VirtualHost {
    VirtualHost {
        host,
        routes,
        filters: None,
        client_check: None,
    }
}

/// No wildcard above a hostname that is not served answers for it: in clear it is unknown, and by TLS refused.
fn close(hostname: &Host, listener: &BoundListener, unit: &mut HostUnit) {
    if !listener.protocol.is_some_and(Protocol::is_by_name) {
        unit.http = Some(virtual_host(hostname.clone(), Vec::new()));
    }
    unit.is_closed = listener.protocol != Some(Protocol::Http);
}

/// Whether a request for a host that nobody has belongs to no other listener than its connection: to this one, which is for every
/// name, or to none as the Gateway has no such listener. Either way it is unknown, where at another one it would be misdirected.
fn tells_unknown(input: Input<'_>, name: &Arc<str>, listener: &BoundListener) -> bool {
    // At an address of its own the hostnames that share the port say so.
    let is_shared = place::Place::parse(name).is_some_and(|place| place.is_shared());
    is_shared && (listener.hostname.is_any() || input.hostname_of(name, &Host::any()).is_none())
}

fn https(input: Input<'_>, listener: &BoundListener, virtual_host: VirtualHost) -> HttpsHost {
    // A connection that was opened before clients had to show something has shown nothing.
    let virtual_host = VirtualHost {
        client_check: listener
            .clients
            .as_ref()
            .and_then(ClientCertificates::check),
        ..virtual_host
    };
    let source = listener.source();
    let secrets: BTreeSet<_> = listener.certificates.iter().cloned().collect();
    let certificates = secrets.iter().map(|name| name.to_string().into());
    // Each listener has a server of its own: a request for a host of another one is misdirected, whatever the certificate is.
    let ObjectRef { kind, name } = &listener.parent;
    let of_listener = format!("{kind}/{name}/{}", listener.name);
    HttpsHost {
        server: TlsServer::new(
            certificates.collect(),
            input.options.tls.of_any(),
            input.options.tls.alpn,
            listener.clients.clone().map(Box::new),
            source.clone(),
        )
        .of_listener(&of_listener),
        secrets,
        source,
        virtual_host,
        fallback: None,
    }
}

/// The routes that are attached to the listener for a host; `None` where none of them names it, and neither does the listener.
fn routes(
    input: Input<'_>,
    (front, name): (&Front, &Arc<str>),
    listener: &BoundListener,
    host: &Host,
    unit: &mut HostUnit,
) -> Option<Vec<Route>> {
    let mut seen = BTreeSet::new();
    let mut entries = Vec::new();
    let mut own: Vec<ObjectRef> = Vec::new();
    let (mut copied, mut allowance) = (0_u64, 0_u64);
    // Nothing is attached for more than the listener is for.
    let covering = hostname::covering(host).into_iter();
    for covering in covering.take_while(|it| hostname::covers(&listener.hostname, it)) {
        for route in input.reader.claimants(front, &covering) {
            let is_route = matches!(route.kind, Kind::HttpRoute | Kind::GrpcRoute);
            if !is_route || !seen.insert(route.clone()) {
                continue;
            }
            let attachment = input.attachment(&route);
            if !attachment.serves(name, listener, host) {
                continue;
            }
            let rules = input.route_rules(&route, &listener.shown);
            let hosts = attachment.hosts.max(1);
            if covering == *host {
                let left = budget::BASE.saturating_sub(rules.at(hosts));
                allowance = allowance.max(left / hosts);
                own.push(route.clone());
            } else {
                // Of a wildcard or of every name itself there is nobody to pay: it is bounded by its own routes.
                copied = copied.saturating_add(rules.cost);
                if copied > allowance {
                    tell_left_out(host, &own, &mut unit.problems);
                    return Some(finish(input, (name, listener), entries, unit));
                }
            }
            add(input, (&route, &listener.shown), host, &mut entries);
        }
        if covering == *host && own.is_empty() && *host != listener.hostname {
            return None;
        }
    }
    Some(finish(input, (name, listener), entries, unit))
}

fn tell_left_out(host: &Host, own: &[ObjectRef], problems: &mut Vec<Problem>) {
    for route in own {
        let message = format!(
            "host {host} does not go on to all routes of the wildcards above it: {}",
            budget::EXCEEDED
        );
        problems.push(Problem::new(route.clone(), reason::TOO_LARGE, message));
    }
}

fn add(
    input: Input<'_>,
    (object, shown): (&ObjectRef, &Shown),
    host: &Host,
    entries: &mut Vec<Entry>,
) {
    let Some(head) = input.reader.route_head(object) else {
        return;
    };
    let Some(hostname) = hostname_for(head, host) else {
        return;
    };
    let created = input.reader.route_created(object);
    for (rule, of_rule, route) in &input.route_rules(object, shown).routes {
        entries.push(Entry {
            hostname: hostname.clone(),
            place: Place {
                created: created.map_or(Created::Unknown, Created::At),
                namespace: object.name.namespace.clone(),
                name: object.name.name.clone(),
                index: (*rule, *of_rule),
            },
            route: route.clone(),
        });
    }
}

fn finish(
    input: Input<'_>,
    (name, listener): (&str, &BoundListener),
    mut entries: Vec<Entry>,
    unit: &mut HostUnit,
) -> Vec<Route> {
    gateway_api(&mut entries);
    // Where clients reach the fleet's HTTPS, as the operator says; at an address of its own the listener's port is what they use.
    let is_shared = place::Place::parse(name).is_some_and(|place| place.is_shared());
    let https_port = input.options.https_port.filter(|_| is_shared);
    let routes: Vec<Route> = entries
        .into_iter()
        .map(|entry| on_listener(entry.route, listener, https_port))
        .collect();
    let objects: BTreeSet<&ObjectRef> = routes.iter().map(|it| &it.source.object).collect();
    for object in objects {
        let rules = input.route_rules(object, &listener.shown);
        let clusters = rules.clusters.iter();
        unit.clusters
            .extend(clusters.map(|(name, source)| (name.clone(), source.clone())));
    }
    let used: BTreeSet<_> = routes.iter().flat_map(Route::clusters).cloned().collect();
    unit.clusters.retain(|name, _| used.contains(name));
    routes
}

/// A redirect without a port leads to that of its scheme, or where it names none to the listener's. What a scheme has by itself is
/// left out.
fn on_listener(mut route: Route, listener: &BoundListener, https_port: Option<u16>) -> Route {
    let RouteAction::Redirect(redirect) = &mut route.action else {
        return route;
    };
    let own = match listener.protocol {
        Some(Protocol::Https) => "https",
        _ => "http",
    };
    let usual = |scheme: &str| match scheme {
        "https" => 443,
        _ => 80,
    };
    let scheme = redirect.scheme.unwrap_or(own);
    let port = redirect.port.unwrap_or(match redirect.scheme {
        Some("https") => https_port.unwrap_or(443),
        Some(scheme) => usual(scheme),
        None => listener.port,
    });
    // Where clients name the listener's port in the Host it must be replaced.
    let is_left_out = port == usual(scheme) && listener.port == usual(own);
    redirect.port = (!is_left_out).then_some(port);
    route
}
