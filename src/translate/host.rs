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
//!   those that answer for it on HTTP ([`super::above`]): the wildcard's above it, or those of rules without a host.
//! - A host that only redirects to HTTPS redirects every path, those that HTTPS answers 404 included.
//! - Where a proxy in front says by which scheme a client asked, that takes the place of the listener: both have the
//!   same routes, and those that are for one scheme say so.
//! - A wildcard's certificate covers the exact hosts below it that bring none themselves.
//! - A name too deep for the wildcard above it is nobody's: 404, and not the rules without a host. Envoy finds the host
//!   before the path, so those rules would have to be copied into the virtual host of every wildcard: one tenant's
//!   thousand paths times another's thousand wildcards, in everybody's table.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::facts::ServedIngress;
use crate::model::{Host, RouteAction, VirtualHost};
use crate::objects::{Kind, ObjectRef, Problem};

use super::above;
use super::table::{Asked, Table};
use super::{HostUnit, HttpsHost, Input, certificate, reason};

/// Translates one host. A host that nobody names any more comes out empty.
#[must_use]
pub fn host(input: Input<'_>, host: &Host) -> HostUnit {
    let ingresses = input.reader.ingresses_of(host);
    if ingresses.is_empty() {
        return HostUnit::default();
    }
    let mut table = Table::new(input, host);
    table.merge(&ingresses);
    let mut problems = std::mem::take(&mut table.problems);
    let choice = if host.is_any() {
        None
    } else {
        choose(input, host, &ingresses, &mut problems)
    };
    if choice.is_none() && !input.options.scheme_is_told {
        table.report_redirects_to_nowhere(&mut problems);
    }
    let http = table.is_named.then(|| table.virtual_host(Asked::ByHttp));
    let https = choice.map(|choice| {
        let virtual_host = if table.is_named {
            table.virtual_host(Asked::ByHttps)
        } else {
            let source = above::routes(input, host, &ingresses, &mut problems).unwrap_or_default();
            table.clusters = source.clusters.clone();
            VirtualHost {
                host: host.clone(),
                routes: source.routes.clone(),
            }
        };
        HttpsHost {
            server: choice.server,
            secrets: choice.secrets,
            virtual_host,
        }
    });
    let mut clusters = table.clusters;
    let used: BTreeSet<Arc<str>> = http
        .iter()
        .chain(https.iter().map(|https| &https.virtual_host))
        .flat_map(clusters_of)
        .collect();
    clusters.retain(|name, _| used.contains(name));
    HostUnit {
        http,
        https,
        clusters,
        problems,
    }
}

/// The clusters that a route of the host names. Where HTTP only redirects and there is no HTTPS, none does.
fn clusters_of(host: &VirtualHost) -> impl Iterator<Item = Arc<str>> {
    host.routes
        .iter()
        .filter_map(|route| match &route.action {
            RouteAction::Forward(forward) => Some(&forward.backends),
            RouteAction::Redirect(_) | RouteAction::DirectResponse(_) => None,
        })
        .flatten()
        .map(|backend| backend.cluster.clone())
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
        .take_while(|name| name.namespace != own.ingress.namespace)
        .map(|name| &*name.namespace)
        .collect();
    if older.is_empty() {
        return Some(own);
    }
    let Some(above) = above().filter(|above| older.contains(&*above.ingress.namespace)) else {
        return Some(own);
    };
    let message = format!(
        "host {host} is served with {} of Ingress {}, whose namespace named the host first",
        above.server.name, above.ingress
    );
    let object = ObjectRef {
        kind: Kind::Ingress,
        name: own.ingress,
    };
    problems.push(Problem::new(object, reason::TLS_HOST_CONFLICT, message));
    Some(above)
}
