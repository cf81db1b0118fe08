//! Values of ingress-nginx's annotations: text from outside into typed values, or one sentence on what is wrong.
//!
//! The classes of text are ingress-nginx's own, so that what it refuses is refused here. None has a quote, a semicolon or a line's end.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{AddressSource, Cidr, CipherSuite};

/// Longest value that is looked at, in bytes.
const MAX_VALUE: usize = 4096;
/// Most entries of a list that is looked at.
pub const MAX_ENTRIES: usize = 256;

/// Go's `ParseBool`.
pub fn boolean(value: &str) -> Result<bool, String> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(r#"must be "true" or "false""#.into()),
    }
}

/// A whole number, as Go's `Atoi` reads it.
pub fn number(value: &str) -> Result<i64, String> {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| value.parse::<i64>().ok()).flatten();
    number.ok_or_else(|| "must be a whole number".into())
}

/// A whole number, at least 0, where more than Envoy can count is as much as it can.
pub fn count(value: &str) -> Result<u32, String> {
    match number(value)? {
        negative if negative < 0 => Err("must be a whole number, at least 0".into()),
        number => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
    }
}

/// Seconds.
pub fn seconds(value: &str) -> Result<Duration, String> {
    /// A year: it bounds what Envoy's arithmetic must bear.
    const MOST: i64 = 31_536_000;
    match number(value) {
        Ok(seconds @ 1..=MOST) => Ok(Duration::from_secs(seconds.unsigned_abs())),
        _ => Err(r#"must be a number of seconds, without a unit ("60")"#.into()),
    }
}

/// Bytes, with `k`, `m` or `g` behind them; none for 0, which is no limit.
pub fn size(value: &str) -> Result<Option<NonZeroU64>, String> {
    let wrong = || r#"must be a number of bytes such as "8m", without fraction"#.to_owned();
    let lower = value.to_ascii_lowercase();
    let (digits, shift) = match lower.as_bytes().last() {
        Some(b'k') => (&lower[..lower.len() - 1], 10),
        Some(b'm') => (&lower[..lower.len() - 1], 20),
        Some(b'g') => (&lower[..lower.len() - 1], 30),
        _ => (&*lower, 0),
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let bytes = is_number.then(|| digits.parse::<u64>().ok()).flatten();
    let bytes = bytes.and_then(|bytes| bytes.checked_mul(1 << shift));
    bytes.map(NonZeroU64::new).ok_or_else(wrong)
}

fn of_class(value: &str, others: &[u8]) -> bool {
    value.len() <= MAX_VALUE
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

/// Letters, digits and these.
pub fn text(value: &str, others: &[u8]) -> Result<Arc<str>, String> {
    match of_class(value, others) {
        true => Ok(value.into()),
        false => {
            let others = String::from_utf8_lossy(others);
            Err(format!("must have letters, digits and {others:?} only"))
        }
    }
}

/// Letters, digits and `/-._~:`.
pub fn basic(value: &str) -> Result<Arc<str>, String> {
    match of_class(value, b"/-._~:") {
        true => Ok(value.into()),
        false => Err("must have letters, digits and /-._~: only".into()),
    }
}

/// The same, and `,?&=`.
pub fn url(value: &str) -> Result<Arc<str>, String> {
    match of_class(value, b"/-._~:,?&=") {
        true => Ok(value.into()),
        false => Err("must have letters, digits and /-._~:,?&= only".into()),
    }
}

/// A path with `$1` and the like in it.
pub fn path_with_groups(value: &str) -> Result<Arc<str>, String> {
    match of_class(value, b"/-._~:$") {
        true => Ok(value.into()),
        false => Err("must have letters, digits and /-._~:$ only".into()),
    }
}

/// An expression.
pub fn expression(value: &str) -> Result<Arc<str>, String> {
    match of_class(value, b"/-._~:^$[](){}*+?|&=\\") {
        true => Ok(value.into()),
        false => Err(r"must have letters, digits and /-._~:^$[](){}*+?|&=\ only".into()),
    }
}

/// Names of headers, by comma.
pub fn header_names(value: &str) -> Result<Vec<Arc<str>>, String> {
    if !of_class(value, b"-_, *") {
        return Err("must be names of headers, by comma".into());
    }
    let names = list(value)?.into_iter().map(Arc::from);
    Ok(names.collect())
}

/// The entries of a list, without blanks around them.
pub fn list(value: &str) -> Result<Vec<&str>, String> {
    let entries = value.split(',').map(str::trim);
    let entries: Vec<&str> = entries.filter(|entry| !entry.is_empty()).collect();
    match entries.len() {
        0 => Err("must have an entry".into()),
        1..=MAX_ENTRIES => Ok(entries),
        _ => Err(format!("must not have more than {MAX_ENTRIES} entries")),
    }
}

/// Addresses of clients.
pub fn addresses(value: &str) -> Result<Vec<(AddressSource, Cidr)>, String> {
    let ranges = list(value)?.into_iter();
    let ranges = ranges.map(|range| Ok((AddressSource::Client, Cidr::new(range)?)));
    ranges
        .collect::<Result<_, String>>()
        .map_err(|why| format!("has an entry that is none: {why}"))
}

/// Cipher suites of TLS 1.2, as OpenSSL lists them, and how many of the list Envoy does not have. Those of TLS 1.3 are not for
/// this list to choose, there as here.
pub fn cipher_suites(value: &str) -> Result<(Vec<CipherSuite>, usize), String> {
    if !of_class(value, b":,-_+!@= ") {
        return Err("must be names of cipher suites, by colon".into());
    }
    let words = value.split([':', ',', ' ']);
    let words = words.filter(|word| !word.is_empty() && !word.starts_with("TLS_"));
    let (mut suites, mut others) = (Vec::new(), 0);
    for word in words.take(MAX_ENTRIES) {
        match CipherSuite::new(word) {
            Ok(suite) if suites.contains(&suite) => {}
            Ok(suite) => suites.push(suite),
            Err(_) => others += 1,
        }
    }
    match suites.is_empty() {
        true => Err("has no cipher suite of TLS 1.2 that Envoy has".into()),
        false => Ok((suites, others)),
    }
}

/// One of these words.
pub fn word<'a>(value: &str, words: &[&'a str]) -> Result<&'a str, String> {
    let found = words.iter().find(|word| word.eq_ignore_ascii_case(value));
    found
        .copied()
        .ok_or_else(|| format!("must be one of {}", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_as_ingress_nginx_reads_them() {
        for (value, expected) in [
            ("1", Some(true)),
            ("F", Some(false)),
            ("yes", None),
            ("", None),
        ] {
            assert_eq!(boolean(value).ok(), expected, "{value:?}");
        }
        for (value, expected) in [
            ("8m", Some(8 << 20)),
            ("1G", Some(1 << 30)),
            ("10", Some(10)),
            ("1.5m", None),
            ("1b", None),
            ("zz", None),
            ("m", None),
            ("99999999999999999999g", None),
            ("17179869184g", None),
        ] {
            let got = size(value).ok().flatten().map(NonZeroU64::get);
            assert_eq!(got, expected, "{value:?}");
        }
        assert_eq!(size("0"), Ok(None));
        for (value, expected) in [
            ("5", Some(5)),
            ("5s", None),
            ("0", None),
            ("-1", None),
            ("+7", Some(7)),
            ("--7", None),
        ] {
            assert_eq!(
                seconds(value).ok().map(|it| it.as_secs()),
                expected,
                "{value:?}"
            );
        }
        assert!(url("https://a.test/x?a=1&b=2").is_ok());
        for wrong in ["/a b", "/a;b", "/a\"", "/a\n", "/a%20", "/\u{e4}"] {
            assert!(
                url(wrong).is_err() && path_with_groups(wrong).is_err(),
                "{wrong:?}"
            );
            assert!(expression(wrong).is_err(), "{wrong:?}");
        }
        assert!(addresses("10.0.0.0/8, ::1").is_ok());
        for wrong in ["", ",", "bad", "10.0.0.0/8,bad", "10.0.0.0/33"] {
            assert!(addresses(wrong).is_err(), "{wrong:?}");
        }
    }
}
