//! `mirror-target`: who gets a copy of each request.
//!
//! ingress-nginx copies to any URL. Here it is a Service of the Ingress's namespace and nobody else, so that no object has the proxy
//! ask inside addresses for it; and the copy has the path of the request, as `$request_uri` says.

use std::sync::Arc;

use crate::model::{ClusterSettings, UpstreamProtocol};
use crate::objects::{IngressBackend, ServiceBackendPort};

use super::reader::Reader;
use super::value;

/// Who gets copies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MirrorTarget {
    service: Arc<str>,
    port: u16,
    is_tls: bool,
}

/// Reads the family.
pub fn read(reader: &mut Reader<'_>) -> Option<MirrorTarget> {
    let namespace = reader.namespace();
    let words = ["on", "off"];
    let body = reader.read("mirror-request-body", |text| value::word(text, &words));
    if body == Some("off") {
        reader.without_effect("mirror-request-body", "a copy has the body of the request");
    }
    reader.read("mirror-target", |text| target(text, namespace))
}

fn target(text: &str, namespace: &str) -> Result<MirrorTarget, String> {
    let text = value::expression(text)?;
    let wrong = || {
        format!(
            "must be http:// and a Service of namespace {namespace}, perhaps a port, and $request_uri or nothing"
        )
    };
    let (is_tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => return Err(wrong()),
    };
    let authority = rest.strip_suffix("$request_uri").unwrap_or(rest);
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
        None => (authority, if is_tls { 443 } else { 80 }),
    };
    let is_label = |it: &str| {
        !it.is_empty()
            && it
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || it == b'-')
    };
    let labels: Vec<&str> = host.split('.').collect();
    let service = match labels[..] {
        [service]
        | [service, _]
        | [service, _, "svc"]
        | [service, _, "svc", "cluster", "local"] => service,
        _ => return Err(wrong()),
    };
    let is_own = labels.get(1).is_none_or(|of| *of == namespace);
    if !is_own || !is_label(service) || port == 0 {
        return Err(wrong());
    }
    Ok(MirrorTarget {
        service: service.into(),
        port,
        is_tls,
    })
}

impl MirrorTarget {
    /// As a back end.
    #[must_use]
    pub fn backend(&self) -> IngressBackend {
        IngressBackend::Service {
            name: self.service.clone(),
            port: ServiceBackendPort::Number(self.port),
        }
    }

    /// How it is spoken to.
    #[must_use]
    pub fn settings(&self, base: ClusterSettings) -> ClusterSettings {
        ClusterSettings {
            protocol: match self.is_tls {
                true => UpstreamProtocol::Tls,
                false => base.protocol,
            },
            ..base
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_services_of_the_namespace_get_copies() {
        for (text, expected) in [
            ("http://copy$request_uri", Some(("copy", 80))),
            ("https://copy.shop", Some(("copy", 443))),
            (
                "http://copy.shop.svc.cluster.local:8080$request_uri",
                Some(("copy", 8080)),
            ),
            ("http://copy.other", None),
            ("http://copy/path$request_uri", None),
            ("http://169.254.169.254", None),
            ("http://a.b.c.d", None),
            ("http://", None),
            ("http://copy:0", None),
            ("http://copy:99999", None),
            ("copy", None),
            ("ftp://copy", None),
        ] {
            let found = target(text, "shop").ok();
            let found = found.as_ref().map(|it| (&*it.service, it.port));
            assert_eq!(found, expected, "{text}");
        }
    }
}
