//! What stands before a route: in words, and where the request alone decides it.

use crate::build::describe;
use crate::envoy::request::Request;
use crate::model::Filters;

/// What may answer before the route does. Whether an address is let in is told by itself where the client's is known.
pub(super) fn guards(filters: &Filters, knows_client: bool) -> Vec<String> {
    let mut says = Vec::new();
    if filters.cors.is_some() {
        says.push("preflights of CORS are answered by Envoy".to_owned());
    }
    if !filters.local_rate_limits.is_empty() {
        says.push("429 beyond the local rate limit".to_owned());
    }
    if filters.addresses.is_some() && !knows_client {
        says.push("403 from addresses that are not allowed".to_owned());
    }
    if filters.jwt.is_some() {
        says.push("401 without the token that is asked for".to_owned());
    }
    if let Some(most) = filters.max_body {
        says.push(format!("413 for a body of more than {most} bytes"));
    }
    if let Some(asked) = &filters.authorization {
        says.extend(describe::authorization(asked));
    }
    if filters.global_rate_limit.is_some() {
        says.push("429 as the rate limit service says".to_owned());
    }
    says
}

/// Whether a browser asks whether it may ask: where a route has CORS, Envoy answers that before anything else is looked at.
pub(super) fn is_preflight(request: &Request) -> bool {
    let has = |name: &str| request.headers.iter().any(|(own, _)| own == name);
    request.method == "OPTIONS" && has("origin") && has("access-control-request-method")
}
