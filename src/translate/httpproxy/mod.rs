//! HTTPProxy as a [`Language`]: Contour's own resource, field by field.
//!
//! A root (with `spec.virtualhost`) claims its host; other HTTPProxies are served below roots that include them. One host is one unit,
//! which reads every proxy of its tree: a leaf that changes makes the roots again that include it, and nothing else.
//!
//! # Decided where Contour leaves it to chance, or is wrong
//!
//! Eighteen points, before the code was written:
//!
//! 1. *What is on.* The kinds are read where their definitions are installed. Served are proxies of a class of ours, as Ingresses are;
//!    without `--ingress-class` also those that name no class.
//! 2. *Several roots of one host.* The oldest is served, and the others are told in Contour's words (Contour serves none of them, so
//!    that anybody takes anybody down).
//! 3. *A bad route* ends its proxy and what that includes, as in Contour: its status says so, and people read that.
//! 4. *Guards.* Where Contour serves what it calls invalid, the host is closed: `clientValidation` without an authority, a list of
//!    addresses with a bad range, an Ingress beside an invalid proxy that guards its host. `permitInsecure` opens a route in clear only
//!    where nothing is asked by TLS that is not in clear (a token, an authorizer of the host's own, a client certificate): else such
//!    requests are redirected to HTTPS, as without it, and the owner is warned. Addresses and rate limits are asked of in clear too.
//! 5. *Valid, and yet refused by Envoy*: an error of the object, with a reason of our own beside Contour's type.
//! 6. *The order of routes* is total ([`crate::model::order`]), and Contour's wherever that is one. Equal conditions are equal in
//!    whatever order they are written: the later holds.
//! 7. *Defaults of a route* are Contour's: 15 s for the response, no retries, WebSocket only where it is enabled, and the route's
//!    headers before the service's. What a listener does is ours: paths are normalised, a trailing dot of a host is none, redirects to
//!    HTTPS are of every path where there is a route for every path. A retry count of -1 is none, as documented.
//! 8. *Compression* is off. What is answered from secrets and input together would leak by its length.
//! 9. *Filters* that a proxy uses are in every manager from the first, disabled, and come with its routes: no listener changes
//!    ([`crate::envoy`]). Providers of tokens, too.
//! 10. *Keys of tokens* are fetched by Envoy, of names of the outside only, as those of ExternalName Services; never of addresses.
//! 11. *An ExtensionService* of another namespace is taken without its owner's word, as in Contour. Its cluster is one for all of its
//!     Services, by weight.
//! 12. *Global rate limits* are the operator's flags; a policy without a service is a warning.
//! 13. *Clients' certificates* are a part of the TLS server. Hosts of one certificate that ask for other authorities are other servers,
//!     and a request that comes over the wrong one is 421. Authorities and revocations come by SDS.
//! 14. *What the operator configures* is a flag each. Contour's file is converted once (`isobath migrate`), and never watched.
//! 15. *Cookies* are rewritten by a script that is the same for all, with the policies as its data. The order of attributes is fixed.
//! 16. *Clusters* have names that tell every setting ([`crate::model`]): no two routes share one by chance.
//! 17. *Bounds.* Includes are bounded in depth, and all that a proxy multiplies in its budget, before it is made. A missing include
//!     answers 502 where its requests are, however deep it is nested. Replaced prefixes never double a slash, and `/api/` does not take
//!     `/apix`. Addresses hold for redirects and direct responses of a route, too.
//! 18. *Statuses* are written by the lease holder, one patch for what changed of an object.

mod authorization;
mod balancing;
mod beside_ingress;
mod client_certificate;
mod condition;
mod conditions;
mod context;
mod cookies;
mod duration;
mod extension_service;
mod filters;
mod global_rate_limit;
mod headers;
mod jwt;
mod operator;
mod options;
mod policies;
mod rewrite;
mod root;
mod route;
mod services;
mod tcp;
mod tls;
mod tree;
mod upstream_validation;
mod written;

use std::collections::BTreeSet;

use crate::model::{Claimable, Front, Host};
use crate::objects::{Kind, ObjectRef, Problem};

use super::condition::{host_conflict, host_kept};
use super::finding::more;
use super::language::Language;
use super::{HostUnit, Input, host, ownership};

pub use operator::{check, guard_host, on_ingress};
pub use options::{HeaderPolicies, HttpProxyOptions, RateLimitService};

use condition::{Fault, Faults};
use context::Context;

/// HTTPProxies, on the listeners of the fleet.
#[derive(Debug)]
pub struct HttpProxyLanguage;

impl Language for HttpProxyLanguage {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::HttpProxy, Kind::ExtensionService]
    }

    fn merges(&self) -> &'static [Kind] {
        &[Kind::Ingress]
    }

    fn claims(&self, input: Input<'_>, object: &ObjectRef) -> BTreeSet<Claimable> {
        if object.kind != Kind::HttpProxy {
            return BTreeSet::new();
        }
        let proxy = input.reader.http_proxy(&object.name);
        let written = proxy.and_then(|proxy| proxy.virtual_host.as_ref());
        let named = written.filter(|written| !written.fqdn.is_empty());
        let hosts =
            named.map(|written| Claimable::Host(Front::Fleet, Host::new(written.fqdn.clone())));
        hosts.into_iter().collect()
    }

    fn host(&self, input: Input<'_>, _: &Front, host: &Host, claims: &[ObjectRef]) -> HostUnit {
        let mut unit = host_unit(input, host, claims);
        ownership::close(input, host, &mut unit);
        unit
    }

    fn problems(&self, input: Input<'_>, object: &ObjectRef) -> Vec<Problem> {
        let mut faults = Faults::default();
        if object.kind == Kind::ExtensionService {
            return extension_problems(input, object);
        }
        let proxy = input.reader.http_proxy(&object.name);
        if let Some(why) = proxy.and_then(|proxy| proxy.wrong.as_deref()) {
            faults.error(object, "", Fault::new(condition::OBJECT_NOT_VALID, why));
        }
        if let Some(written) = proxy.and_then(|proxy| proxy.virtual_host.as_ref())
            && written.fqdn.is_empty()
        {
            let message = "Spec.VirtualHost.Fqdn must be specified";
            let fault = Fault::new(condition::FQDN_NOT_SPECIFIED, message);
            faults.error(object, "spec.virtualhost.fqdn", fault);
        }
        faults.0
    }
}

fn extension_problems(input: Input<'_>, object: &ObjectRef) -> Vec<Problem> {
    let mut context = Context::new(input);
    let Some(service) = input.reader.extension_service(&object.name) else {
        return Vec::new();
    };
    for warning in extension_service::ignored(service) {
        context.faults.warning(object, "spec", warning);
    }
    if let Err(fault) = extension_service::extension(&context, service) {
        context.faults.error(object, "spec", fault);
    }
    context.faults.0
}

fn host_unit(input: Input<'_>, host: &Host, claims: &[ObjectRef]) -> HostUnit {
    let mut context = Context::new(input);
    let owner = input.owner(host);
    let is_owned = |claim: &&ObjectRef| {
        owner
            .as_ref()
            .is_none_or(|owner| *owner == claim.name.namespace)
    };
    let roots = claims.iter().filter(|claim| claim.kind == Kind::HttpProxy);
    let (owned, lost): (Vec<_>, Vec<_>) = roots.partition(is_owned);
    tell_lost(&mut context, host, claims, &lost);
    tell_duplicates(&mut context, host, &owned);
    let ingresses = || host::host(input, host);
    let root = owned
        .first()
        .and_then(|root| input.reader.http_proxy(&root.name));
    let Some((root, written)) = root.and_then(|root| Some((root, root.virtual_host.as_ref()?)))
    else {
        let mut unit = ingresses();
        unit.problems.append(&mut context.faults.0);
        return unit;
    };
    let of_ingresses = claims.iter().filter(|claim| claim.kind == Kind::Ingress);
    let (owned_ingresses, lost_ingresses): (Vec<_>, Vec<_>) = of_ingresses.partition(is_owned);
    if root.wrong.is_some() {
        tell_lost(&mut context, host, claims, &lost_ingresses);
        return HostUnit {
            is_closed: true,
            problems: context.faults.0,
            ..HostUnit::default()
        };
    }
    let has_ingresses = !owned_ingresses.is_empty();
    // Where Ingresses are served here, they tell their own losers.
    let mut is_told = has_ingresses;
    let served = root::serve(&mut context, host, root, written).unwrap_or_else(|fault| {
        context.faults.error(&root.reference(), "spec", fault);
        None
    });
    let mut unit = match served {
        Some(mut served) => {
            if has_ingresses {
                beside_ingress::merge(&mut served, ingresses());
            }
            served.unit
        }
        None => {
            // What it has reached by then is no orphan, as in Contour.
            context.clusters.clear();
            match has_ingresses && !root::has_guards(input, root, written) {
                true => ingresses(),
                false => {
                    is_told = false;
                    HostUnit {
                        is_closed: true,
                        ..HostUnit::default()
                    }
                }
            }
        }
    };
    if !is_told {
        tell_lost(&mut context, host, claims, &lost_ingresses);
    }
    unit.clusters.append(&mut context.clusters);
    unit.reached = context.reached;
    unit.problems.append(&mut context.faults.0);
    keep_used(&mut unit);
    unit
}

/// What loses to the namespace that has the host: each is told of the oldest claim, and that one of the first of them.
fn tell_lost(context: &mut Context<'_>, host: &Host, claims: &[ObjectRef], lost: &[&ObjectRef]) {
    let (Some(owner), Some(first)) = (claims.first(), lost.first()) else {
        return;
    };
    for loser in lost {
        let message = format!(
            "host {host} belongs to the namespace of {owner}, which named it first: nothing that this object says of it is served"
        );
        context.faults.0.push(host_conflict(loser, message));
    }
    let message = format!(
        "host {host} belongs to this namespace: nothing is served that {first}{} of another namespace says of it",
        more(lost.len() - 1)
    );
    context.faults.0.push(host_kept(owner, message));
}

/// The oldest root is served.
fn tell_duplicates(context: &mut Context<'_>, host: &Host, roots: &[&ObjectRef]) {
    let Some((winner, losers)) = roots.split_first() else {
        return;
    };
    for loser in losers {
        // Contour names them all. With these two, a root that comes or goes changes no other's status but where the winner differs.
        let (one, other) = match winner.name < loser.name {
            true => (&winner.name, &loser.name),
            false => (&loser.name, &winner.name),
        };
        let message = format!("fqdn \"{host}\" is used in multiple HTTPProxies: {one}, {other}");
        let fault = Fault::new(condition::DUPLICATE_VHOST, message);
        context.faults.error(loser, "spec.virtualhost.fqdn", fault);
    }
}

/// Clusters that no route names any more, as redirects took their place, are none of the host's.
fn keep_used(unit: &mut HostUnit) {
    let mut used = BTreeSet::new();
    if let Some(http) = &unit.http {
        used.extend(http.clusters().cloned());
    }
    if let Some(https) = &unit.https {
        used.extend(https.virtual_host.clusters().cloned());
    }
    if let Some(forwarding) = unit.forwarding() {
        used.extend(forwarding.shares.iter().map(|share| share.cluster.clone()));
    }
    unit.clusters.retain(|name, _| used.contains(name));
}
