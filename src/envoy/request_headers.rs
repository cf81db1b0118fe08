//! What Envoy itself writes into every request on its way to a back end, besides `X-Forwarded-For` and `-Proto`.
//!
//! It is said once for a whole table. The values are formats and expressions (CEL) that Envoy evaluates for each
//! request: constants of this file and numbers, never anything of an object. Routes come later and win.

use core::header_value_option::HeaderAppendAction::{AddIfAbsent, OverwriteIfExistsOrAdd};
use envoy_types::pb::envoy::config::core::v3 as core;

use super::edge::Edge;
use super::header::formatted;

/// Whether the request may be sent again after its connection ended without an answer: it is idempotent (RFC 9110,
/// 9.2.2) and has no body. The back end may have closed an idle connection in the moment of the request; it may also have
/// done the work, so a POST is never among them.
///
/// Retry policies can't ask for the method, but the router takes further conditions from this header, which it removes.
/// Clients can't set it: Envoy removes theirs, as no address is internal.
const REPEATABLE: &str = "request.method in ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'] && \
    !('content-length' in request.headers && request.headers['content-length'] != '0') ? 'reset' : ''";

/// The headers to set, in the order in which they are written.
pub(super) fn added(edge: &Edge) -> Vec<core::HeaderValueOption> {
    // What is there by now, a proxy that is believed has said of the request that it got: see `client_headers`.
    let told = AddIfAbsent;
    let mut headers = vec![
        formatted(
            "x-envoy-retry-on",
            expression(REPEATABLE),
            OverwriteIfExistsOrAdd,
        ),
        formatted("x-forwarded-host", "%REQ(:AUTHORITY)%".to_owned(), told),
        formatted("x-forwarded-port", expression(&port(edge)), told),
    ];
    if edge.real_ip {
        let address = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%".to_owned();
        headers.push(formatted("x-real-ip", address, OverwriteIfExistsOrAdd));
    }
    headers
}

/// The port that the client asked for, as its Host says; the port that Envoy listens on is seldom the one outside.
fn port(edge: &Edge) -> String {
    let https = edge.https_port.unwrap_or(443);
    format!(
        "request.host.matches(':[0-9]+$') ? re.extract(request.host, ':([0-9]+)$', r'\\1') : \
         request.headers['x-forwarded-proto'] == 'https' ? '{https}' : '80'"
    )
}

fn expression(text: &str) -> String {
    format!("%CEL({text})%")
}
