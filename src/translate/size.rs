//! What one Ingress may grow to.
//!
//! The API server bounds an object's bytes, but two things in it are products: rules without a host times the hosts
//! that only its TLS entries name, and annotations that each of its routes repeats times its routes. A megabyte could
//! become gigabytes here and in every Envoy, and one tenant would take down all nodes. What the API server's own limit
//! already bounds is never left out; only what multiplies is.

use crate::k8s::Ingress;
use crate::model::{HeaderModifier, PathRewrite, Redirect};

use super::policy::IngressPolicy;

/// Most routes that are copied to hosts without rules of their own. An object of the 1.5 MB that etcd takes has about
/// as many paths.
pub const MAX_COPIES: usize = 20_000;

/// Most bytes of annotations in all routes of one Ingress together.
pub const MAX_REPEATED: usize = 8 << 20;

/// Whether these hosts may each have these paths.
#[must_use]
pub const fn may_copy(hosts: usize, paths: usize) -> bool {
    hosts.saturating_mul(paths) <= MAX_COPIES
}

/// How many hosts the TLS entries name, the ones that they name twice included.
pub fn tls_hosts(ingress: &Ingress) -> usize {
    ingress.tls.iter().map(|tls| tls.hosts.len()).sum()
}

/// How many paths hold for every host of the Ingress that has no rule.
pub fn hostless_paths(ingress: &Ingress) -> usize {
    let rules = ingress.rules.iter().filter(|rule| rule.host.is_none());
    rules.map(|rule| rule.paths.len()).sum()
}

/// Whether all routes of the Ingress may repeat what its annotations say.
pub fn may_repeat(ingress: &Ingress, policy: &IngressPolicy) -> bool {
    let each = repeated(policy);
    each == 0 || each.saturating_mul(routes(ingress)) <= MAX_REPEATED
}

/// An upper bound of the routes that the Ingress brings.
fn routes(ingress: &Ingress) -> usize {
    let paths: usize = ingress.rules.iter().map(|rule| rule.paths.len()).sum();
    let copies = tls_hosts(ingress).saturating_mul(hostless_paths(ingress));
    let defaults = ingress.rules.len() + tls_hosts(ingress) + 1;
    paths + copies.min(MAX_COPIES) + defaults
}

/// Bytes of text that every route repeats.
fn repeated(policy: &IngressPolicy) -> usize {
    let of_headers = |headers: &HeaderModifier| {
        let set = headers
            .set
            .iter()
            .map(|(name, value)| name.len() + value.len());
        set.chain(headers.remove.iter().map(|name| name.len()))
            .sum::<usize>()
    };
    let redirect = policy.redirect.as_ref().map_or(0, of_redirect);
    let rewrite = policy.rewrite_prefix.as_ref().map_or(0, |path| path.len());
    of_headers(&policy.request_headers) + of_headers(&policy.response_headers) + redirect + rewrite
}

fn of_redirect(redirect: &Redirect) -> usize {
    let path = match &redirect.path {
        Some(PathRewrite::ReplacePrefix(path) | PathRewrite::ReplaceFullPath(path)) => path.len(),
        None => 0,
    };
    path + redirect.hostname.as_ref().map_or(0, |name| name.len())
}
