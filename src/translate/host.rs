//! One host: its routes over all Ingresses that name it, and the certificates it is served with.
//!
//! The rules, each with a golden case:
//!
//! - Ingresses of any namespace that name the host are merged. Where two want the same path the older has it,
//!   then the one whose `namespace/name` sorts first; the other is told, and its other paths are served. Between
//!   namespaces prefixes of one text are the same path, whatever their types.
//! - The order of the routes is that of [`super::order`]: of two namespaces that share the host the younger one's regular
//!   expressions take what the older one's paths leave. Both are told.
//! - A path that is kept from plain HTTP answers 404 there, whatever other path would take its requests.
//! - A host that an Ingress names under `tls` only takes that Ingress's rules without a host: they hold for all
//!   of its hosts. A default backend comes last on every host that its Ingress names, and on `*`.
//! - HTTPS serves what HTTP serves, less the redirects. A host with a certificate and no routes of its own takes over
//!   those that answer for it on HTTP ([`super::above`]): the wildcard's above it, or those of rules without a host. Where clients
//!   can't be asked for what its own Ingresses ask of them, those answer 503.
//! - A host that only redirects to HTTPS redirects every path, those that HTTPS answers 404 included.
//! - Where a proxy in front says by which scheme a client asked, that takes the place of the listener: both have the
//!   same routes, and those that are for one scheme say so.
//! - A wildcard's certificate covers the exact hosts below it that bring none themselves.
//! - Where hosts belong to namespaces ([`super::ownership`]), all of this is among the Ingresses of the owner's namespace.
//! - A name too deep for the wildcard above it is nobody's: 404, and not the rules without a host. Envoy finds the host
//!   before the path, so those rules would have to be copied into the virtual host of every wildcard: one tenant's
//!   thousand paths times another's thousand wildcards, in everybody's table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::facts::ServedIngress;
use crate::model::{Host, Route, RouteAction, VirtualHost};
use crate::objects::Problem;

use super::above::{self, Source};
use super::ownership::{Claims, HostOwnership};
use super::table::{Asked, Table};
use super::{
    ClusterSource, HostUnit, HttpsHost, Input, certificate, httpproxy, other_name, reason,
};

/// Translates one host. A host that nobody names any more comes out empty.
#[must_use]
pub fn host(input: Input<'_>, host: &Host) -> HostUnit {
    let claims = Claims::of(input, host);
    let ingresses = &claims.ingresses;
    if ingresses.is_empty() && claims.otherwise.is_empty() {
        return HostUnit::default();
    }
    let mut table = Table::new(input, host);
    table.merge(ingresses);
    let mut problems = std::mem::take(&mut table.problems);
    claims.report(host, &mut problems);
    if !table.is_named && !claims.otherwise.is_empty() {
        let guards = table.is_closed || table.asks_on_routes || table.clients.is_some();
        let by = claims.guards_other_name(input, host).filter(|_| guards);
        let mut unit = match by {
            None => other_name::host(input, host, &claims),
            Some(by) => other_name::close(input, host, &claims, by),
        };
        unit.problems.append(&mut problems);
        httpproxy::on_ingress(input, &mut unit);
        return unit;
    }
    for ingress in &claims.otherwise {
        if let Some(winner) = ingresses.first() {
            let why = format!("Ingress {} names it", winner.name());
            problems.extend(other_name::lost(input, *ingress, host, &why));
        }
    }
    let choice = if host.is_any() {
        None
    } else {
        choose(input, host, ingresses, &mut problems)
    };
    if choice.is_none() && !input.options.scheme_is_told {
        table.report_redirects_to_nowhere(&mut problems);
    }
    let is_passed = table.passthrough.is_some();
    let is_closed = choice.is_none() && !host.is_any() && is_owned(input) && !is_passed;
    let clients = table.clients.clone();
    let has_tls = choice.is_some();
    let (http, https, mut clusters) = tables(input, &table, ingresses, has_tls, &mut problems);
    let passed = table.passthrough.iter();
    let passed = passed.flat_map(|(passed, _)| &passed.forwarding.shares);
    let passed = passed.map(|share| share.cluster.clone());
    let used = http.iter().chain(&https).flat_map(clusters_of);
    let used: BTreeSet<Arc<str>> = used.chain(passed).collect();
    clusters.retain(|name, _| used.contains(name));
    let https = choice.zip(https).map(|(choice, virtual_host)| HttpsHost {
        server: match clients {
            None => choice.server,
            Some(clients) => choice.server.asking(clients),
        },
        secrets: choice.secrets,
        source: choice.source,
        virtual_host,
        fallback: None,
    });
    let (passthrough, addresses) = match table.passthrough {
        Some((passthrough, addresses)) => (Some(passthrough), addresses),
        None => (None, None),
    };
    let https = https.filter(|_| passthrough.is_none());
    let mut unit = HostUnit {
        passthrough,
        addresses,
        http,
        https,
        is_closed,
        clusters,
        problems,
        ..HostUnit::default()
    };
    httpproxy::on_ingress(input, &mut unit);
    unit
}

/// What a host has in clear and by TLS, of its own or taken over, with the clusters of both.
fn tables(
    input: Input<'_>,
    table: &Table<'_>,
    ingresses: &[ServedIngress<'_>],
    has_tls: bool,
    problems: &mut Vec<Problem>,
) -> (
    Option<VirtualHost>,
    Option<VirtualHost>,
    BTreeMap<Arc<str>, ClusterSource>,
) {
    if table.is_named {
        let http = table.virtual_host(Asked::ByHttp);
        let https = has_tls.then(|| table.virtual_host(Asked::ByHttps));
        return (Some(http), https, table.clusters.clone());
    }
    let host = table.name();
    let of_host = |routes: Vec<Route>| VirtualHost {
        host: host.clone(),
        routes,
        client_check: None,
        filters: None,
    };
    let (http, source) = taken_over(input, host, ingresses, has_tls, problems);
    // A guard that its own Ingress puts on the host, and that can't be honoured.
    let answered = |routes: Vec<Route>| match table.is_closed || table.asks_on_routes {
        true => of_host(routes.into_iter().map(closed).collect()),
        false => of_host(routes),
    };
    let clients = table.clients.as_ref();
    let https = has_tls.then(|| VirtualHost {
        client_check: clients.and_then(|clients| clients.check()),
        ..answered(source.routes.clone())
    });
    (http.map(answered), https, source.clusters.clone())
}

/// What the Ingresses of a namespace would have in clear for a host that another language has.
#[must_use]
pub fn losing(input: Input<'_>, host: &Host, namespace: &str) -> HostUnit {
    let mut ingresses = input.reader.ingresses_of(host);
    ingresses.retain(|ingress| *ingress.name().namespace == *namespace);
    let mut table = Table::new(input, host);
    table.merge(&ingresses);
    HostUnit {
        http: Some(table.virtual_host(Asked::ByHttp)),
        clusters: table.clusters,
        ..HostUnit::default()
    }
}

/// The same, that nobody gets through.
fn closed(route: Route) -> Route {
    route.answered(RouteAction::status(503))
}

fn is_owned(input: Input<'_>) -> bool {
    input.options.host_ownership == HostOwnership::Namespace
}

/// What answers for a host to which no Ingress brings routes: its own on HTTP, if it must have any there, and what it takes
/// over.
fn taken_over(
    input: Input<'_>,
    host: &Host,
    ingresses: &[ServedIngress<'_>],
    is_on_https: bool,
    problems: &mut Vec<Problem>,
) -> (Option<Vec<Route>>, Arc<Source>) {
    let is_owned = is_owned(input);
    let above = (is_owned || is_on_https)
        .then(|| above::answering(input, host))
        .flatten();
    // Nobody comes between a host and the wildcard above it. Between a host and `*` another's wildcard may.
    let is_own_on_http = is_owned && above.as_ref().is_none_or(Host::is_any);
    let source = above
        .filter(|_| is_on_https || is_own_on_http)
        .and_then(|above| above::routes(input, host, &above, ingresses, problems))
        .unwrap_or_default();
    let http = is_own_on_http.then(|| source.http.clone());
    (http, source)
}

/// The clusters that a route of the host names. Where HTTP only redirects and there is no HTTPS, none does.
fn clusters_of(host: &VirtualHost) -> impl Iterator<Item = Arc<str>> {
    host.clusters().cloned()
}

fn choose(
    input: Input<'_>,
    host: &Host,
    ingresses: &[ServedIngress<'_>],
    problems: &mut Vec<Problem>,
) -> Option<certificate::Choice> {
    let above = || above::choice(input, host)?.as_ref().clone();
    let Some(own) = certificate::choose(input, host, ingresses, problems) else {
        return above();
    };
    // A host that an older namespace covers by its own wildcard stays covered by it.
    let older: BTreeSet<&str> = ingresses
        .iter()
        .map(|ingress| ingress.name())
        .take_while(|name| name.namespace != own.source.object.name.namespace)
        .map(|name| &*name.namespace)
        .collect();
    if older.is_empty() {
        return Some(own);
    }
    let Some(above) = above().filter(|above| older.contains(&*above.source.object.name.namespace))
    else {
        return Some(own);
    };
    let message = format!(
        "host {host} is served with {} of Ingress {}, whose namespace named the host first",
        above.server.name, above.source.object.name
    );
    problems.push(Problem::new(own.source, reason::TLS_HOST_CONFLICT, message));
    Some(above)
}
