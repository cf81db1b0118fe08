//! Which requests the admin address answers: those of programs in the pod or behind a port-forward, and none that a proxy
//! passed on or a web page made.
//!
//! The admin address is on loopback, which is Envoy's too: whoever owns a name that an ExternalName Service leads to can
//! let it point there. And a person forwards it to a laptop (`kubectl port-forward`), where any page in the browser may
//! ask for it, under a name of its own that leads to 127.0.0.1 (DNS rebinding). So what a proxy has forwarded is
//! refused, and so is every Host that is a name of somebody's, and every page of another site.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");
const CROSS_ORIGIN_OPENER_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-opener-policy");

/// Refuses what a proxy forwards. Envoy writes `x-forwarded-for` on every request from outside, and no annotation can
/// take it away; others say `Via` or `Forwarded`. Nobody who is in the pod writes any of them.
pub(super) async fn refuse_forwarded(request: Request, next: Next) -> Response {
    if request.headers().keys().any(is_of_a_proxy) {
        return forbidden("these pages are not for requests that a proxy forwards");
    }
    next.run(request).await
}

/// Refuses what is asked of another host than this one, or by a page of another site. The state is the bound address.
pub(super) async fn refuse_foreign(
    State(bound): State<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if !asks_for_this_host(request.uri(), request.headers(), bound.ip()) {
        return forbidden("these pages are for a Host of localhost or a loopback address");
    }
    if !comes_from_this_site(request.headers(), bound.ip()) {
        return forbidden(
            "these pages are not for pages of other sites: enter their address yourself",
        );
    }
    next.run(request).await
}

/// Tells browsers to keep nothing of an answer, to take it for what it says it is, and to let no page of another site have it. It
/// may load and run nothing, unless it says itself what; the flame graph is a picture that is moved by its own script.
pub(super) async fn fence(request: Request, next: Next) -> Response {
    let is_profile = request.uri().path().starts_with("/debug/pprof/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
        (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !is_profile && !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        headers.insert(header::CONTENT_SECURITY_POLICY, nothing);
    }
    response
}

fn forbidden(why: &str) -> Response {
    (StatusCode::FORBIDDEN, format!("{why}\n")).into_response()
}

fn is_of_a_proxy(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-forwarded-")
        || name.starts_with("x-envoy-")
        || matches!(name, "forwarded" | "via" | "x-real-ip")
}

/// HTTP/2 has the host in the URI, HTTP/1.1 in the header; whoever sends both must mean this host by both.
fn asks_for_this_host(uri: &Uri, headers: &HeaderMap, bound: IpAddr) -> bool {
    let hosts = headers.get_all(header::HOST);
    let hosts = hosts
        .into_iter()
        .map(|host| host.to_str().unwrap_or_default());
    let mut hosts: Vec<&str> = hosts.collect();
    hosts.extend(uri.authority().map(Authority::as_str));
    !hosts.is_empty() && hosts.iter().all(|host| is_this_host(host, bound))
}

/// Browsers say where a request comes from, other clients say nothing.
fn comes_from_this_site(headers: &HeaderMap, bound: IpAddr) -> bool {
    let is_own_origin = |origin: &str| {
        let authority = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| is_this_host(authority, bound))
    };
    let is_own_site = |site: &str| matches!(site, "none" | "same-origin");
    let mut origins = headers.get_all(header::ORIGIN).into_iter();
    let mut sites = headers.get_all("sec-fetch-site").into_iter();
    origins.all(|origin| origin.to_str().is_ok_and(is_own_origin))
        && sites.all(|site| site.to_str().is_ok_and(is_own_site))
}

/// Whether the host of `host[:port]` is this machine by a name or address that nobody else can have. Where the flag
/// names another address than loopback, that one as well, and any address where it names all: rebinding takes a name.
fn is_this_host(authority: &str, bound: IpAddr) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else {
        return false;
    };
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<IpAddr>() {
        Ok(address) => {
            let address = address.to_canonical();
            address.is_loopback() || address == bound.to_canonical() || bound.is_unspecified()
        }
        Err(_) => host
            .strip_suffix('.')
            .unwrap_or(host)
            .eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn hosts_are_of_this_machine() {
        let check = |bound: &str, host: &str, expected| {
            let bound = bound.parse().unwrap();
            assert_eq!(is_this_host(host, bound), expected, "{host} on {bound}");
        };
        for host in [
            "localhost",
            "localhost:6060",
            "LocalHost.:6060",
            "127.0.0.1",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:6060",
            "[::ffff:127.0.0.1]",
        ] {
            check("127.0.0.1", host, true);
        }
        for host in [
            "",
            "evil.test",
            "evil.test:6060",
            "localhost.evil.test",
            "127.0.0.1.evil.test",
            "127.0.0.1@evil.test",
            "evil.test@127.0.0.1",
            "127.1",
            "0x7f000001",
            "10.0.0.1",
            "[2001:db8::1]",
            "localhost/evil.test",
            "isobath.isobath.svc",
        ] {
            check("127.0.0.1", host, false);
        }
        check("10.0.0.1", "10.0.0.1:6060", true);
        check("10.0.0.1", "10.0.0.2:6060", false);
        check("10.0.0.1", "evil.test", false);
        check("0.0.0.0", "10.0.0.2:6060", true);
        check("::", "[2001:db8::1]:6060", true);
        check("0.0.0.0", "evil.test", false);
    }
}
