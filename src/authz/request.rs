//! The request that is asked about, as Envoy tells it.

use std::collections::HashMap;
use std::net::IpAddr;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use envoy_types::pb::envoy::service::auth::v3::CheckRequest;
use zeroize::Zeroizing;

/// A request of a client.
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its path, with the query.
    pub path: String,
    /// `Host`, as the client writes it.
    pub host: String,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Whose it is.
    pub client: Option<IpAddr>,
    headers: HashMap<String, String>,
}

impl Request {
    /// Of a call, with the guard that its route tells.
    #[must_use]
    pub fn of(call: CheckRequest, client: Option<IpAddr>, guard: &str) -> Option<(Self, String)> {
        let mut attributes = call.attributes?;
        let guard = attributes.context_extensions.remove(guard)?;
        let http = attributes.request?.http?;
        let headers = http.headers;
        let told = headers.get("x-forwarded-proto").map(String::as_str);
        let scheme = match told.unwrap_or(&http.scheme) {
            "https" => "https",
            _ => "http",
        };
        let request = Self {
            method: http.method,
            path: http.path,
            host: http.host,
            scheme,
            client,
            headers,
        };
        Some((request, guard))
    }

    /// The value of a header; several are joined by comma.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// All headers, by names in lower case, pseudo-headers included.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.headers.iter();
        all.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// `Host` without port, in lower case.
    pub fn name(&self) -> String {
        let host = match self.host.strip_prefix('[') {
            // An address of IPv6.
            Some(_) => self.host.split_inclusive(']').next().unwrap_or_default(),
            None => self.host.split(':').next().unwrap_or_default(),
        };
        host.to_ascii_lowercase()
    }

    /// Path and query, apart.
    pub fn path_and_query(&self) -> (&str, &str) {
        self.path.split_once('?').unwrap_or((&self.path, ""))
    }

    /// A cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let pairs = self.header("cookie")?.split(';');
        let mut pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
        pairs
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }

    /// A parameter of the query, as it is written.
    pub fn argument(&self, name: &str) -> Option<&str> {
        let pairs = self.path_and_query().1.split('&');
        let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let found = pairs.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    /// Name and password of `Authorization: Basic`.
    pub fn credentials(&self) -> Option<(String, Zeroizing<Vec<u8>>)> {
        /// Longest header that is looked at.
        const LONGEST: usize = 4096;
        /// nginx takes it with padding and without.
        const ENGINE: GeneralPurpose = GeneralPurpose::new(
            &STANDARD,
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        let header = self.header("authorization")?;
        let (scheme, encoded) = header.split_once(' ')?;
        if header.len() > LONGEST || !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = Zeroizing::new(ENGINE.decode(encoded.trim()).ok()?);
        let colon = pair.iter().position(|byte| *byte == b':')?;
        let name = std::str::from_utf8(&pair[..colon]).ok()?.to_owned();
        Some((name, Zeroizing::new(pair[colon + 1..].to_vec())))
    }
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]

    use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
    use envoy_types::pb::envoy::service::auth::v3::attribute_context::{
        HttpRequest, Request as Called,
    };

    use super::*;

    /// A call about `GET http://HOST PATH` with these headers, of a route with this guard.
    pub fn call(host: &str, path: &str, headers: &[(&str, &str)], guard: &str) -> CheckRequest {
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let http = HttpRequest {
            method: "GET".to_owned(),
            path: path.to_owned(),
            host: host.to_owned(),
            scheme: "http".to_owned(),
            headers: headers.collect(),
            ..Default::default()
        };
        CheckRequest {
            attributes: Some(AttributeContext {
                request: Some(Called {
                    http: Some(http),
                    ..Default::default()
                }),
                context_extensions: HashMap::from([("guard".to_owned(), guard.to_owned())]),
                ..Default::default()
            }),
        }
    }

    /// The request of such a call.
    pub fn request(host: &str, path: &str, headers: &[(&str, &str)]) -> Request {
        let client = Some([192, 0, 2, 7].into());
        let call = call(host, path, headers, "x");
        Request::of(call, client, "guard").unwrap().0
    }

    #[test]
    fn a_request_is_taken_apart() {
        let headers = [
            ("cookie", "a=1; b=2=3;c"),
            ("x-forwarded-proto", "https"),
            ("authorization", "basic YTpzZWM6cmV0"),
        ];
        let asked = request("A.test:8080", "/x?p=1&Q=%20&r", &headers);
        assert_eq!((&*asked.name(), asked.scheme), ("a.test", "https"));
        assert_eq!(asked.path_and_query(), ("/x", "p=1&Q=%20&r"));
        assert_eq!(asked.cookie("b"), Some("2=3"));
        assert_eq!((asked.cookie("c"), asked.cookie("d")), (None, None));
        assert_eq!(asked.argument("q"), Some("%20"));
        assert_eq!((asked.argument("r"), asked.argument("s")), (Some(""), None));
        let (name, password) = asked.credentials().unwrap();
        assert_eq!((&*name, &password[..]), ("a", &b"sec:ret"[..]));
        assert_eq!(request("[::1]:80", "/", &[]).name(), "[::1]");
        for wrong in [
            "Basic",
            "Basic ",
            "Basic YQ==",
            "Bearer YTpi",
            "Basic !!",
            "Basic /zph",
        ] {
            let asked = request("a.test", "/", &[("authorization", wrong)]);
            assert!(asked.credentials().is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_call_without_guard_is_none() {
        assert!(Request::of(CheckRequest::default(), None, "guard").is_none());
        assert!(Request::of(call("a", "/", &[], "x"), None, "other").is_none());
    }
}
