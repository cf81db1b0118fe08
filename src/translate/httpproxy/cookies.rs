//! `cookieRewritePolicies` of routes and services.

use std::collections::BTreeSet;

use crate::model::{AttributeRewrite, CookieRewrite, CookieRewrites, SameSite};
use crate::objects::http_proxy::CookieRewritePolicy;

use super::condition::{Fault, Kind};

/// Reads policies; `of` says whose they are. Those of a service come first where both are about a cookie.
///
/// # Errors
///
/// Contour's words, or a sentence of the model where only Envoy could not do it.
pub fn rewrites(
    policies: &[CookieRewritePolicy],
    kind: Kind,
    of: &str,
) -> Result<Vec<CookieRewrite>, Fault> {
    let fault = |why: String| Fault::new(kind, format!("{why} on {of} cookie rewrite rules"));
    let mut names = BTreeSet::new();
    let mut rewrites = Vec::new();
    for policy in policies {
        let name = &policy.name;
        if !names.insert(name) {
            let why = format!("duplicate cookie rewrite rule for cookie {name:?}");
            return Err(fault(why));
        }
        let mut rewrite = CookieRewrite::of(name).map_err(fault)?;
        if let Some(path) = &policy.path_rewrite {
            let path = AttributeRewrite::Set(path.clone());
            rewrite = rewrite.path(path).map_err(fault)?;
        }
        if let Some(domain) = &policy.domain_rewrite {
            let domain = AttributeRewrite::Set(domain.clone());
            rewrite = rewrite.domain(domain).map_err(fault)?;
        }
        rewrite.secure = policy.secure;
        rewrite.same_site = match policy.same_site.as_deref() {
            None => None,
            Some("Strict") => Some(SameSite::Strict),
            Some("Lax") => Some(SameSite::Lax),
            Some("None") => Some(SameSite::None),
            Some(other) => return Err(fault(format!("{other:?} is no SameSite"))),
        };
        if rewrite == CookieRewrite::of(name).map_err(fault)? {
            let why = format!("no attributes rewritten for cookie {name:?}");
            return Err(fault(why));
        }
        rewrites.push(rewrite);
    }
    Ok(rewrites)
}

/// All of these, in this order.
///
/// # Errors
///
/// Where there are too many.
pub fn all(rewrites: Vec<CookieRewrite>, kind: Kind) -> Result<CookieRewrites, Fault> {
    CookieRewrites::new(rewrites).map_err(|why| Fault::new(kind, why))
}
