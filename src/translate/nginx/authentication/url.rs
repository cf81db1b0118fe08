//! `auth-url`: who is asked, and for what.

use std::sync::Arc;

use crate::model::{RequestText, RequestTextPart, RequestVariable};
use crate::objects::NamespacedName;
use crate::translate::outside_name;

use super::super::value;

/// A URL, which may have variables.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AuthUrl {
    /// All of it.
    pub text: RequestText,
    /// Who answers for it.
    pub target: Target,
}

/// Who answers for a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A port of a Service.
    Service(NamespacedName, u16),
    /// Somebody outside.
    Outside,
    /// Whoever the request's own host is, outside.
    RequestHost,
}

/// Longest URL, in bytes: no server of names or of HTTP takes much more.
pub(super) const LONGEST: usize = 4096;

impl AuthUrl {
    /// Reads one of an Ingress of this namespace.
    ///
    /// # Errors
    ///
    /// What is wrong with it: the rest of a sentence.
    pub fn new(text: &str, namespace: &str) -> Result<Self, String> {
        let text = value::text(text, b"/-._~:,?&=$ {}")?;
        if text.contains(' ') {
            return Err("must not have a blank".into());
        }
        if text.len() > LONGEST {
            return Err(format!("must not have more than {LONGEST} bytes"));
        }
        let (is_tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err("must begin with http:// or https://".into()),
        };
        let authority = rest.split(['/', '?']).next().unwrap_or(rest);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => {
                let number = port.parse().ok().filter(|it: &u16| *it != 0);
                (
                    host,
                    number.ok_or("must have a number of a port behind the colon")?,
                )
            }
            None => (authority, if is_tls { 443 } else { 80 }),
        };
        let target = target(host, port, namespace)?;
        // The port behind a client's host is the client's: it would choose which one is asked.
        let named = match target {
            Target::RequestHost => text.replacen(host, "$host", 1),
            Target::Service(..) | Target::Outside => text.to_string(),
        };
        let whole = RequestText::new(&named)?;
        if is_tls && matches!(target, Target::Service(..)) {
            return Err(
                "asks a Service by TLS, which Isobath does not support yet: use http://".into(),
            );
        }
        Ok(Self {
            text: whole,
            target,
        })
    }
}

fn target(host: &str, port: u16, namespace: &str) -> Result<Target, String> {
    if host.contains('$') {
        let parts = RequestText::new(host)?;
        let is_host = |part: &RequestTextPart| {
            matches!(
                part,
                RequestTextPart::Variable(RequestVariable::Host | RequestVariable::HttpHost)
            )
        };
        // What else a client may say would let it choose who is asked.
        return match parts.parts() {
            [only] if is_host(only) => Ok(Target::RequestHost),
            _ => Err("must name a host, or $host as a whole".into()),
        };
    }
    let labels: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    let is_label = |it: &&str| {
        let is_letter = |it: u8| it.is_ascii_alphanumeric() || it == b'-';
        !it.is_empty() && it.len() <= 63 && it.bytes().all(is_letter)
    };
    // An address begins with a digit, in whatever form.
    let is_service = |name: &str| name.starts_with(|it: char| it.is_ascii_alphabetic());
    let service = |name: &str, of: &str| {
        Target::Service(NamespacedName::new(Arc::from(of), Arc::from(name)), port)
    };
    if labels.iter().all(is_label) {
        match labels[..] {
            [name] if is_service(name) && name != "localhost" => {
                return Ok(service(name, namespace));
            }
            [name, of, "svc"] | [name, of, "svc", "cluster", "local"] if is_service(name) => {
                return Ok(service(name, of));
            }
            [name, of] if of == namespace && is_service(name) => return Ok(service(name, of)),
            _ => {}
        }
    }
    match outside_name::check_name(host) {
        Ok(()) => Ok(Target::Outside),
        Err(what) => Err(format!(
            "names {host:?}, which {what}: name a Service (http://NAME.NAMESPACE.svc.cluster.local)"
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_services_and_the_outside_are_asked() {
        let service =
            |name: &str, of: &str, port| Some(Target::Service(NamespacedName::new(of, name), port));
        for (text, expected) in [
            (
                "http://auth.shop.svc.cluster.local/check",
                service("auth", "shop", 80),
            ),
            (
                "http://auth.other.svc:8080/check?a=$host",
                service("auth", "other", 8080),
            ),
            ("http://auth/", service("auth", "shop", 80)),
            ("http://auth.shop", service("auth", "shop", 80)),
            ("https://auth.example.com/check", Some(Target::Outside)),
            ("https://$host/oauth2/auth", Some(Target::RequestHost)),
            ("https://${http_host}:444/a", Some(Target::RequestHost)),
            ("https://auth.shop.svc", None),
            ("http://$arg_x/", None),
            ("http://$host.evil.test/", None),
            ("http://127.0.0.1:1/check", None),
            ("http://169.254.169.254/latest", None),
            ("http://0x7f000001/", None),
            ("http://2130706433/", None),
            ("http://localhost/", None),
            ("http://metadata.google.internal/", None),
            ("http://user@a.test/", None),
            ("http:///x", None),
            ("http://a.test:0/", None),
            ("http://a.test:x/", None),
            ("ftp://a.test/", None),
            ("a.test", None),
            ("http://a.test/ x", None),
            ("http://a.test/\"", None),
        ] {
            let found = AuthUrl::new(text, "shop").ok().map(|it| it.target);
            assert_eq!(found, expected, "{text}");
        }
        let long = format!("http://auth/{}", "a".repeat(LONGEST));
        assert!(AuthUrl::new(&long, "shop").is_err());
        let own = AuthUrl::new("https://$http_host/a?b=$http_host", "shop").unwrap();
        let expected = RequestText::new("https://$host/a?b=$http_host").unwrap();
        assert_eq!(own.text, expected);
    }
}
