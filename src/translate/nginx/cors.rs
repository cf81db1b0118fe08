//! `enable-cors`: which pages of other origins may use a path.
//!
//! Not by Envoy's filter, which answers a preflight with 200, only where it asks for a method, and adds nothing to the answers of
//! guards. ingress-nginx answers every OPTIONS of an allowed origin with 204, before anything else is asked of it, and adds its
//! headers to all answers. So there are routes for it.

use std::sync::Arc;

use crate::model::{
    Conditions, DynamicValue, Expression, HeaderChange, HeaderMatch, HeaderMode, HeaderName,
    HeaderPart, HeaderPredicate, PlainName, StringMatch, TextMatch,
};

use super::reader::Reader;
use super::value;

/// What is said to other origins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CrossOrigin {
    /// The origins; none for all.
    origins: Option<Expression>,
    /// What answers to them have.
    pub headers: Vec<HeaderChange>,
}

const METHODS: &str = "GET, PUT, POST, DELETE, PATCH, OPTIONS";
const HEADERS: &str = "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization";
const MAX_AGE: i64 = 1_728_000;

/// Reads the family. Without an origin that is one, nothing is allowed.
pub fn read(reader: &mut Reader<'_>) -> Option<CrossOrigin> {
    let is_on = reader.boolean("enable-cors").unwrap_or(false);
    let credentials = reader.boolean("cors-allow-credentials").unwrap_or(true);
    let methods = reader.read("cors-allow-methods", methods);
    let headers = reader.read("cors-allow-headers", value::header_names);
    let exposed = reader.read("cors-expose-headers", value::header_names);
    let max_age = reader.read("cors-max-age", value::number);
    let origins = origins(reader);
    if !is_on {
        return None;
    }
    let origins = origins?;
    let joined = |names: &[Arc<str>]| names.join(",");
    let literal = |name: &str, text: &str| HeaderChange::literal(name, text, HeaderMode::Set).ok();
    let origin = match &origins {
        None => literal("access-control-allow-origin", "*"),
        Some(_) => PlainName::new("origin").ok().and_then(|name| {
            let value = vec![HeaderPart::Value(DynamicValue::Header(name))];
            HeaderChange::new("access-control-allow-origin", value, HeaderMode::Set).ok()
        }),
    };
    let methods = methods.as_deref().unwrap_or(METHODS);
    let headers = headers.map_or_else(|| HEADERS.to_owned(), |names| joined(&names));
    let max_age = max_age.unwrap_or(MAX_AGE).to_string();
    let said = [
        origin,
        credentials
            .then(|| literal("access-control-allow-credentials", "true"))
            .flatten(),
        literal("access-control-allow-methods", methods),
        literal("access-control-allow-headers", &headers),
        exposed.and_then(|names| literal("access-control-expose-headers", &joined(&names))),
        literal("access-control-max-age", &max_age),
    ];
    Some(CrossOrigin {
        origins,
        headers: said.into_iter().flatten().collect(),
    })
}

impl CrossOrigin {
    /// Which requests come from an origin that is allowed; none where all do.
    pub fn condition(&self) -> Option<HeaderMatch> {
        let expression = self.origins.clone()?;
        Some(HeaderMatch {
            name: HeaderName::new("origin").ok()?,
            value: HeaderPredicate::Is(TextMatch::of(StringMatch::Regex(expression))),
        })
    }

    /// Which requests are answered as preflights.
    pub fn preflight(&self) -> Option<Conditions> {
        let options = HeaderMatch::method("OPTIONS").ok()?;
        Some(Conditions {
            headers: self.condition().into_iter().chain([options]).collect(),
            ..Conditions::default()
        })
    }
}

fn methods(text: &str) -> Result<String, String> {
    let is_method = |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphabetic());
    let names = value::list(text)?;
    match names.iter().all(is_method) {
        true => Ok(names.join(", ")),
        false => Err("must be methods, by comma".into()),
    }
}

/// The origins: `None` where there is none that is one, `Some(None)` for all.
fn origins(reader: &mut Reader<'_>) -> Option<Option<Expression>> {
    const NAME: &str = "cors-allow-origin";
    if reader.get(NAME).is_none() {
        return Some(None);
    }
    let entries = reader.read(NAME, value::list)?;
    if entries.contains(&"*") {
        return Some(None);
    }
    let (good, bad): (Vec<&str>, Vec<&str>) = entries
        .into_iter()
        .partition(|entry| pattern(entry).is_some());
    if let Some(first) = bad.first() {
        let more = crate::translate::finding::more(bad.len() - 1);
        let first = crate::model::cut(first, 100);
        let message =
            format!("must have origins such as https://*.example.com, and {first:?}{more} is none");
        reader.tell(
            NAME,
            crate::translate::reason::ANNOTATION_NOT_VALID,
            format!(
                "an entry of annotation {}{NAME} is ignored: it {message}",
                super::annotations::PREFIX
            ),
        );
    }
    let patterns: Vec<String> = good.into_iter().filter_map(pattern).collect();
    if patterns.is_empty() {
        return None;
    }
    match Expression::ignoring_case(format!("(?:{})", patterns.join("|"))) {
        Ok(expression) => Some(Some(expression)),
        Err(why) => {
            reader.without_effect(NAME, &format!("together its entries are too much: {why}"));
            None
        }
    }
}

/// An expression for an origin, in which `*.` is one label.
fn pattern(origin: &str) -> Option<String> {
    let (scheme, host) = origin.split_once("://")?;
    let (label, rest) = match host.strip_prefix("*.") {
        Some(rest) => (r"[A-Za-z0-9_\-]+\.", rest),
        None => ("", host),
    };
    let (name, port) = match rest.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (rest, None),
    };
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|it| it.is_ascii_alphabetic());
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || b"-._".contains(&it));
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
    if !(is_scheme && is_name && is_port) {
        return None;
    }
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    Some(format!(
        "{scheme}://{label}{}{port}",
        name.replace('.', r"\.")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_whole_origins() {
        for (origin, value, expected) in [
            ("https://a.test", "https://a.test", true),
            ("https://a.test", "https://axtest", false),
            ("https://*.o.test", "https://a.o.test", true),
            ("https://*.o.test", "https://a.b.o.test", false),
            ("https://*.o.test", "https://o.test", false),
            ("http://o.test:8080", "http://o.test:8080", true),
            ("http://o.test", "http://o.test:8080", false),
        ] {
            let found = pattern(origin).and_then(|text| Expression::ignoring_case(text).ok());
            assert_eq!(
                found.map(|it| it.matches(value)),
                Some(expected),
                "{origin} {value}"
            );
        }
        for none in [
            "o.test",
            "bad value",
            "http://",
            "http://a b",
            "http://a.test/x",
            "http://a:b",
        ] {
            assert_eq!(pattern(none), None, "{none}");
        }
    }
}
