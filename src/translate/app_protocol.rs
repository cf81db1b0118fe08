//! `appProtocol` of a Service's port: the names that are in use for what Envoy can speak to a back end.

use crate::model::UpstreamProtocol;

/// What is spoken to a port of this `appProtocol`, `None` for a name that says nothing to us. Kubernetes' own names have a
/// prefix, the older ones (IANA's, Istio's, Traefik's) have none, and both are met in any case of letters.
#[must_use]
pub fn upstream_protocol(name: &str) -> Option<UpstreamProtocol> {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("kubernetes.io/").unwrap_or(&name) {
        // gRPC-Web is HTTP/1.1 or HTTP/2, and the first is always understood.
        "http" | "ws" | "grpc-web" => Some(UpstreamProtocol::Http1),
        "h2c" | "http2" | "grpc" => Some(UpstreamProtocol::H2c),
        "https" | "wss" => Some(UpstreamProtocol::Tls),
        "h2" | "grpcs" => Some(UpstreamProtocol::H2),
        _ => None,
    }
}

/// The names, for the message about one that is none of them.
pub const NAMES: &str = "http, ws, grpc-web, h2c, http2, grpc, https, wss, h2, grpcs";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_meaning_in_any_spelling() {
        let check = |name: &str, expected| assert_eq!(upstream_protocol(name), expected, "{name}");
        check("kubernetes.io/h2c", Some(UpstreamProtocol::H2c));
        check("HTTP2", Some(UpstreamProtocol::H2c));
        check("grpc", Some(UpstreamProtocol::H2c));
        check("HTTPS", Some(UpstreamProtocol::Tls));
        check("kubernetes.io/wss", Some(UpstreamProtocol::Tls));
        check("GRPCS", Some(UpstreamProtocol::H2));
        check("kubernetes.io/ws", Some(UpstreamProtocol::Http1));
        check("example.com/http", None);
        check("tcp", None);
        check("", None);
        for name in NAMES.split(", ") {
            assert!(upstream_protocol(name).is_some(), "{name}");
        }
    }
}
