//! What a host takes over from those above it: certificates of its wildcard, and the routes that answer for it on plain
//! HTTP.
//!
//! - The wildcard above a host covers it with its certificates, where it has none of its own.
//! - HTTPS serves what HTTP serves. A host with a certificate to which no Ingress brings routes is none on HTTP, where
//!   Envoy takes the wildcard above it, else a wildcard further up, which answers 404 for so deep a name, else `*`.
//!   Its table of HTTPS has only its own hosts, so it takes a copy of those routes.
//! - Where a host belongs to a namespace, it takes over from hosts of the same namespace only, as if there were no others
//!   ([`super::ownership`]). So that Envoy does not choose another namespace's wildcard, the host then has a virtual host of
//!   its own on HTTP: with a copy of the routes of `*`, or without routes, which is 404.
//! - What another language says of a host besides (an HTTPProxy, which guards it) would not hold for a copy of its Ingresses' routes:
//!   nothing is taken over from there, and the hosts below answer 404 by TLS.
//! - A copy counts against the budget ([`super::budget`]) of an Ingress that names the host that gets it, not of the one that
//!   wrote the routes. Where none of these has enough left, the host answers 404 and all of them are told.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::facts::ServedIngress;
use crate::model::{Front, Host, Route};
use crate::objects::{Field, Kind, ObjectRef, Problem};

use super::certificate::{self, Choice};
use super::ownership::{self, Claims, HostOwnership};
use super::table::{Asked, Table, paths_of};
use super::{ClusterSource, Input, budget, reason};

/// The routes of a host as others take them over: those of HTTPS, which redirects nobody to itself.
#[derive(Debug, Default, Hash)]
pub struct Source {
    /// The routes.
    pub routes: Vec<Route>,
    /// Those of HTTP, where they are taken over too: of `*`, where hosts belong to namespaces.
    pub http: Vec<Route>,
    /// The clusters that they name.
    pub clusters: BTreeMap<Arc<str>, ClusterSource>,
    /// What one more copy of them costs.
    pub cost: u64,
}

/// The certificates that the wildcard above a host has for it.
pub fn choice(input: Input<'_>, host: &Host) -> Option<Arc<Option<Choice>>> {
    let wildcard = host.covering_wildcard()?;
    let is_open =
        input.reader.names_host(&wildcard) && ownership::is_open_to(input, &wildcard, host);
    is_open.then(|| input.choice(&wildcard))
}

/// The certificates that a host has of its own.
pub fn own_choice(input: Input<'_>, host: &Host) -> Option<Choice> {
    let claims = Claims::of(input, host);
    // What is wrong with its Secrets is told by the host's own unit.
    certificate::choose(input, host, &claims.ingresses, &mut Vec::new())
}

/// Whose routes answer for a host on plain HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnHttp {
    /// Nobody's.
    Nobody,
    /// Those of Ingresses alone.
    Ingresses,
    /// An object of another language names it too.
    Others,
}

/// The routes of the host above another one to which no Ingress brings any, though `ingresses` name it; none where that
/// is too much, or where they are not of Ingresses alone.
pub fn routes(
    input: Input<'_>,
    host: &Host,
    above: &Host,
    ingresses: &[ServedIngress<'_>],
    problems: &mut Vec<Problem>,
) -> Option<Arc<Source>> {
    if input.on_http(above) == OnHttp::Others {
        for ingress in ingresses {
            let message = format!(
                "host {host}, which it brings no routes to, takes over none of {above}: not only Ingresses name that, and what else is asked of its requests would not hold here"
            );
            let source = ingress.field(Field::Host(host.shared()));
            problems.push(Problem::new(source, reason::HOST_CONFLICT, message));
        }
        return None;
    }
    let source = input.source(above);
    let mut takers = ingresses.iter();
    if takers.any(|ingress| input.affords(ingress.name(), above)) {
        return Some(source);
    }
    for ingress in ingresses {
        let message = format!(
            "the {} hosts under spec.tls that it has no routes for do not take over the {} routes of {above}: {}",
            input.account(ingress.name()).hosts(),
            source.routes.len(),
            budget::EXCEEDED,
        );
        let field = Field::Host(host.shared());
        problems.push(Problem::new(
            ingress.field(field),
            reason::TOO_LARGE,
            message,
        ));
    }
    None
}

/// The virtual host that answers for a host on plain HTTP, where that has none; none where the answer is 404 for it.
pub fn answering(input: Input<'_>, host: &Host) -> Option<Host> {
    let is_there = |above: &Host| {
        ownership::is_open_to(input, above, host) && input.on_http(above) != OnHttp::Nobody
    };
    if let Some(wildcard) = host.wildcards_above().find(is_there) {
        let is_covering = host.covering_wildcard().as_ref() == Some(&wildcard);
        return is_covering.then_some(wildcard);
    }
    Some(Host::any()).filter(is_there)
}

/// The routes of a host as those below it take them over. Problems and conflicts are told by its own unit.
pub fn source(input: Input<'_>, host: &Host) -> Source {
    let mut table = Table::new(input, host);
    table.merge(&Claims::of(input, host).ingresses);
    table.close_copies();
    let routes = table.virtual_host(Asked::ByHttps).routes;
    let is_copied = host.is_any() && input.options.host_ownership == HostOwnership::Namespace;
    let http = is_copied.then(|| table.virtual_host(Asked::ByHttp).routes);
    let http = http.unwrap_or_default();
    Source {
        cost: routes.iter().chain(&http).map(budget::route).sum(),
        routes,
        http,
        clusters: table.clusters,
    }
}

/// Whether a rule, or a default backend, brings the host into being on plain HTTP, or an object of another language may. Of what
/// belongs to a namespace others serve nothing, in whatever language.
pub fn on_http(input: Input<'_>, host: &Host) -> OnHttp {
    let owner = input.owner(host);
    let is_served = |claim: &ObjectRef| owner.as_ref().is_none_or(|it| *it == claim.name.namespace);
    let claimants = input.reader.claimants(&Front::Fleet, host);
    let mut claimants = claimants.iter().filter(|claim| is_served(claim));
    // Where an Ingress is the oldest, what is neither one nor merges with them has lost, and takes nothing away.
    let is_of_others = claimants
        .next()
        .is_some_and(|claim| claim.kind != Kind::Ingress);
    if is_of_others || claimants.any(|claim| claim.kind == Kind::HttpProxy) {
        return OnHttp::Others;
    }
    let mut ingresses = Claims::of(input, host).ingresses.into_iter();
    let is_there = ingresses
        .any(|ingress| ingress.default_backend().is_some() || paths_of(input, ingress, host).0);
    match is_there {
        true => OnHttp::Ingresses,
        false => OnHttp::Nobody,
    }
}
