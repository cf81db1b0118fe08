//! What a host takes over from those above it: certificates of its wildcard, and the routes that answer for it on plain
//! HTTP.
//!
//! - The wildcard above a host covers it with its certificates, where it has none of its own.
//! - HTTPS serves what HTTP serves. A host with a certificate to which no Ingress brings routes is none on HTTP, where
//!   Envoy takes the wildcard above it, else a wildcard further up, which answers 404 for so deep a name, else `*`.
//!   Its table of HTTPS has only its own hosts, so it takes a copy of those routes.
//! - A copy is paid by who names the host: a stranger's routes in his hosts are his object's. Where nobody who names it
//!   can pay, it answers 404 and all of them are told.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::facts::ServedIngress;
use crate::model::{Host, Route};
use crate::objects::Problem;

use super::certificate::{self, Choice};
use super::table::{Asked, Table, paths_of};
use super::{BackendPort, Input, budget, reason};

/// The routes of a host as others take them over: those of HTTPS, which redirects nobody to itself.
#[derive(Debug, Default, Hash)]
pub struct Source {
    /// The routes.
    pub routes: Vec<Route>,
    /// The clusters that they name.
    pub clusters: BTreeMap<Arc<str>, BackendPort>,
    /// What one more copy of them costs.
    pub cost: u64,
}

/// The certificates that the wildcard above a host has for it.
pub fn choice(input: Input<'_>, host: &Host) -> Option<Arc<Option<Choice>>> {
    let wildcard = host.covering_wildcard()?;
    let is_named = input.reader.names_host(&wildcard);
    is_named.then(|| input.choice(&wildcard))
}

/// The certificates that a host has of its own.
pub fn own_choice(input: Input<'_>, host: &Host) -> Option<Choice> {
    let ingresses = input.reader.ingresses_of(host);
    // What is wrong with its Secrets is told by the host's own unit.
    certificate::choose(input, host, &ingresses, &mut Vec::new())
}

/// The routes of a host to which no Ingress brings any, though `ingresses` name it; none where it answers 404.
pub fn routes(
    input: Input<'_>,
    host: &Host,
    ingresses: &[ServedIngress<'_>],
    problems: &mut Vec<Problem>,
) -> Option<Arc<Source>> {
    let above = answering(input, host)?;
    let source = input.source(&above);
    let mut takers = ingresses.iter();
    if takers.any(|ingress| input.affords(ingress.name(), &above)) {
        return Some(source);
    }
    for ingress in ingresses {
        let message = format!(
            "the {} hosts under spec.tls that it has no routes for do not take over the {} routes of {above}: {}",
            input.account(ingress.name()).hosts(),
            source.routes.len(),
            budget::EXCEEDED,
        );
        problems.push(Problem::new(
            ingress.reference(),
            reason::TOO_LARGE,
            message,
        ));
    }
    None
}

/// The virtual host that answers for a host on plain HTTP, where that has none; none where the answer is 404 for it.
fn answering(input: Input<'_>, host: &Host) -> Option<Host> {
    let is_there = |above: &Host| input.reader.names_host(above) && input.is_on_http(above);
    let covering = host.covering_wildcard();
    if let Some(wildcard) = covering.as_ref().filter(|wildcard| is_there(wildcard)) {
        return Some(wildcard.clone());
    }
    // The longest suffix first, as Envoy looks; all of these are for names of fewer labels.
    let name = host.as_str().trim_start_matches("*.");
    let mut rest = name;
    while let Some((_, parent)) = rest.split_once('.') {
        rest = parent;
        let wildcard = Host::new(format!("*.{parent}"));
        if covering.as_ref() != Some(&wildcard) && is_there(&wildcard) {
            return None;
        }
    }
    Some(Host::any()).filter(is_there)
}

/// The routes of a host as those below it take them over. Problems and conflicts are told by its own unit.
pub fn source(input: Input<'_>, host: &Host) -> Source {
    let mut table = Table::new(input, host);
    table.merge(&input.reader.ingresses_of(host));
    let routes = table.virtual_host(Asked::ByHttps).routes;
    Source {
        cost: routes.iter().map(budget::route).sum(),
        routes,
        clusters: table.clusters,
    }
}

/// Whether a rule, or a default backend, brings the host into being on plain HTTP.
pub fn is_on_http(input: Input<'_>, host: &Host) -> bool {
    let ingresses = input.reader.ingresses_of(host);
    let mut ingresses = ingresses.into_iter();
    ingresses.any(|ingress| ingress.default_backend().is_some() || paths_of(input, ingress, host).0)
}
