//! Values of annotations: text from outside into typed values, or one sentence on what is wrong.
//!
//! No value may become a format, a header of its own or an expression: every parser takes a closed set.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{HeaderModifier, HeaderName, HeaderValue, PathRewrite, Redirect, TlsVersion};

/// Longest value of any annotation that is looked at, in bytes.
const MAX_VALUE: usize = 4096;
/// Most headers that one annotation may name.
const MAX_HEADERS: usize = 32;

/// Headers that belong to the connection or that Envoy itself answers for.
pub(in crate::translate) const RESERVED_HEADERS: [&str; 10] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
];

/// Envoy's retry conditions, `retry_on` and `retry_grpc_on` of its router filter.
const RETRY_CONDITIONS: [&str; 16] = [
    "5xx",
    "cancelled",
    "connect-failure",
    "deadline-exceeded",
    "envoy-ratelimited",
    "gateway-error",
    "http3-post-connect-failure",
    "internal",
    "refused-stream",
    "reset",
    "reset-before-request",
    "resource-exhausted",
    "retriable-4xx",
    "retriable-headers",
    "retriable-status-codes",
    "unavailable",
];

/// `"true"` or `"false"`, as the Kubernetes annotations of this kind are written.
pub fn boolean(value: &str) -> Result<bool, String> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(r#"must be "true" or "false""#.into()),
    }
}

/// A positive number.
pub fn count(value: &str) -> Result<u32, String> {
    match value.parse() {
        Ok(0) | Err(_) => Err("must be a whole number from 1 to 4294967295".into()),
        Ok(number) => Ok(number),
    }
}

/// A duration as Go's `time.ParseDuration` reads it (`1m30s`, `250ms`, `1.5h`), or `infinity` for none.
pub fn timeout(value: &str) -> Result<Option<Duration>, String> {
    if matches!(value, "infinity" | "infinite") {
        return Ok(None);
    }
    let wrong = || r#"must be a duration such as "30s" or "1m30s", or "infinity""#.to_owned();
    let mut rest = value;
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        seconds += number
            * match &rest[..letters] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return Err(wrong()),
            };
        rest = &rest[letters..];
    }
    // Envoy measures in milliseconds; a year bounds what its arithmetic must bear.
    let milliseconds = (seconds * 1e3).round();
    if value.is_empty() || !(1.0..=31_536_000_000.0).contains(&milliseconds) {
        return Err(wrong());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in range, see above"
    )]
    let milliseconds = milliseconds as u64;
    Ok(Some(Duration::from_millis(milliseconds)))
}

/// A comma-separated list of Envoy's retry conditions, sorted.
pub fn retry_conditions(value: &str) -> Result<Vec<Arc<str>>, String> {
    let mut conditions = Vec::new();
    for condition in value
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        if !RETRY_CONDITIONS.contains(&condition) {
            return Err(format!(
                "must be a comma-separated list of {}",
                RETRY_CONDITIONS.join(", ")
            ));
        }
        conditions.push(Arc::from(condition));
    }
    conditions.sort();
    conditions.dedup();
    if conditions.is_empty() {
        return Err("must name at least one retry condition".into());
    }
    Ok(conditions)
}

/// Contour's `num-retries`: -1 for none, 0 for its default of one.
pub fn retries(value: &str) -> Result<u32, String> {
    match value.parse::<i32>() {
        Ok(-1) => Ok(0),
        Ok(0) => Ok(1),
        Ok(number @ 1..=100) => Ok(number.unsigned_abs()),
        _ => Err("must be a whole number from -1 to 100".into()),
    }
}

/// `1.2` or `1.3`.
pub fn tls_version(value: &str) -> Result<TlsVersion, String> {
    match value {
        "1.2" => Ok(TlsVersion::V1_2),
        "1.3" => Ok(TlsVersion::V1_3),
        _ => Err(r#"must be "1.2" or "1.3""#.into()),
    }
}

/// An absolute path without query, of the characters that RFC 3986 allows in one.
pub fn path(value: &str) -> Result<Arc<str>, String> {
    let is_valid = value.starts_with('/')
        && value.len() <= MAX_VALUE
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&byte));
    if is_valid {
        Ok(value.into())
    } else {
        Err("must be an absolute path without query".into())
    }
}

/// One header a line: `Name: value` sets it, `Name:` removes it.
pub fn headers(value: &str) -> Result<HeaderModifier, String> {
    if value.len() > MAX_VALUE {
        return Err(format!("must not be longer than {MAX_VALUE} bytes"));
    }
    let mut modifier = HeaderModifier::default();
    for line in value.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line
            .split_once(':')
            .ok_or(r#"must have one "Name: value" on each line"#)?;
        let name = header_name(name)?;
        let value = value.trim();
        // RFC 9110, section 5.5: visible characters, space and tab.
        if !value
            .bytes()
            .all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
        {
            return Err(format!("must have printable ASCII as the value of {name}"));
        }
        let is_new = !modifier.set.contains_key(&name) && !modifier.remove.contains(&name);
        if !is_new {
            return Err(format!("must not name {name} twice"));
        }
        if value.is_empty() {
            modifier.remove.insert(name);
        } else {
            let value =
                HeaderValue::new(&name, value).map_err(|why| format!("is refused: {why}"))?;
            modifier.set.insert(name, value);
        }
    }
    match modifier.set.len() + modifier.remove.len() {
        0 => Err("must name at least one header".into()),
        1..=MAX_HEADERS => Ok(modifier),
        _ => Err(format!("must not name more than {MAX_HEADERS} headers")),
    }
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    // RFC 9110, section 5.6.2: a token. A colon in front would be a pseudo-header.
    let name = HeaderName::new(name);
    let name = name.map_err(|_| "must have header names of RFC 9110 tokens only")?;
    let is_private = name.as_str().starts_with("x-envoy-") || name.is_private();
    if RESERVED_HEADERS.contains(&name.as_str()) || is_private {
        return Err(format!("must not change {name}"));
    }
    Ok(name)
}

/// `[STATUS ]TARGET`: the status is 301, 302 (where it is missing), 303, 307 or 308; the target is
/// `http(s)://host[:port][/path]` or `/path`. Path and query stay where the target has none.
pub fn redirect(value: &str) -> Result<Redirect, String> {
    let (status, target) = match value.trim().split_once(' ') {
        None => (302, value.trim()),
        Some((status, target)) => match status {
            "301" => (301, target.trim()),
            "302" => (302, target.trim()),
            "303" => (303, target.trim()),
            "307" => (307, target.trim()),
            "308" => (308, target.trim()),
            _ => {
                return Err("must begin with 301, 302, 303, 307 or 308, or with its target".into());
            }
        },
    };
    let mut redirect = Redirect {
        status,
        ..Redirect::default()
    };
    if target.starts_with('/') {
        redirect.path = Some(PathRewrite::ReplaceFullPath(path(target)?));
        return Ok(redirect);
    }
    let (scheme, rest) = if let Some(rest) = target.strip_prefix("https://") {
        ("https", rest)
    } else if let Some(rest) = target.strip_prefix("http://") {
        ("http", rest)
    } else {
        return Err(r#"must have a target such as "https://example.com/path" or "/path""#.into());
    };
    redirect.scheme = Some(scheme);
    let (authority, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (hostname, port) = match authority.split_once(':') {
        None => (authority, None),
        Some((hostname, port)) => (hostname, Some(port)),
    };
    redirect.hostname = Some(dns_name(hostname)?);
    if let Some(port) = port {
        let port = port.parse().ok().filter(|port| *port > 0);
        redirect.port = Some(port.ok_or("must have a port from 1 to 65535")?);
    }
    if !rest.is_empty() {
        redirect.path = Some(PathRewrite::ReplaceFullPath(path(rest)?));
    }
    Ok(redirect)
}

/// A DNS name of RFC 1123 in lower case.
pub fn dns_name(value: &str) -> Result<Arc<str>, String> {
    let name = value.to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if name.len() <= 253 && name.split('.').all(is_label) {
        Ok(name.into())
    } else {
        Err("must be a DNS name".into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::type_complexity)]
    use super::*;

    #[test]
    fn timeouts_are_go_durations() {
        let check = |value: &str, expected: Option<Option<u64>>| {
            let got = timeout(value).ok();
            let expected = expected.map(|some| some.map(Duration::from_millis));
            assert_eq!(got, expected, "{value:?}");
        };
        check("30s", Some(Some(30_000)));
        check("1m30s", Some(Some(90_000)));
        check("1.5h", Some(Some(5_400_000)));
        check("250ms", Some(Some(250)));
        check("infinity", Some(None));
        for wrong in [
            "",
            "s",
            "5",
            "-1s",
            "1 s",
            "1d",
            "0s",
            "1e9h",
            "99999999h",
            "NaNs",
            ".s",
            "1..2s",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn headers_are_names_and_literal_values() {
        let modifier = headers("X-Team: 100%\nServer:\n").expect("valid");
        assert_eq!(
            modifier.set.get("x-team").map(|value| &**value),
            Some("100%")
        );
        assert!(modifier.remove.contains("server"));
        for wrong in [
            "",
            "X-A",
            ":path: /",
            "Host: a",
            "Content-Length: 1",
            "X-A: \u{7f}",
            "X-A: ä",
            "X A: b",
            "X-A: 1\nx-a: 2",
            "X-Envoy-Retry-On: 5xx",
            "X-Isobath-Scope: b.example.com",
            "X-Isobath-Server-Name:",
        ] {
            assert!(headers(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn redirects_have_a_status_and_a_target() {
        let check = |value: &str,
                     expected: Option<(
            u16,
            Option<&str>,
            Option<&str>,
            Option<u16>,
            Option<&str>,
        )>| {
            let got = redirect(value).ok();
            let got = got.as_ref().map(|redirect| {
                let path = match &redirect.path {
                    Some(PathRewrite::ReplaceFullPath(path)) => Some(&**path),
                    _ => None,
                };
                (
                    redirect.status,
                    redirect.scheme,
                    redirect.hostname.as_deref(),
                    redirect.port,
                    path,
                )
            });
            assert_eq!(got, expected, "{value:?}");
        };
        check("/new", Some((302, None, None, None, Some("/new"))));
        check(
            "301 https://Example.com",
            Some((301, Some("https"), Some("example.com"), None, None)),
        );
        check(
            "308 http://a.b:8080/c",
            Some((308, Some("http"), Some("a.b"), Some(8080), Some("/c"))),
        );
        for wrong in [
            "",
            "300 /a",
            "ftp://a",
            "https://",
            "https://a b",
            "https://a:0",
            "https://a/\u{e4}",
            "/a?b",
            "301",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn retries_follow_contour() {
        let check = |value: &str, expected: Option<u32>| {
            assert_eq!(retries(value).ok(), expected, "{value:?}")
        };
        check("-1", Some(0));
        check("0", Some(1));
        check("7", Some(7));
        check("-2", None);
        check("many", None);
        assert!(retry_conditions("5xx,gateway-error").is_ok());
        assert!(retry_conditions("5xx,%REQ(a)%").is_err());
    }
}
