//! `default-backend` and `custom-http-errors`: who answers where the back end of a path has no endpoint, or answers with an error.

use std::sync::Arc;

use crate::model::{DynamicValue, HeaderChange, HeaderMode, HeaderPart, PlainName};

use super::reader::Reader;
use super::value;

/// What an Ingress says of errors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Errors {
    /// A Service of the Ingress's namespace.
    pub default_backend: Option<Arc<str>>,
    /// The statuses whose answers that Service gives.
    pub statuses: Vec<u16>,
}

/// Who asks a default back end, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The namespace of the Ingress.
    pub namespace: &'a str,
    /// Its name.
    pub ingress: &'a str,
    /// The Service that the path has.
    pub service: &'a str,
    /// Its port, as it is written.
    pub port: &'a str,
}

/// Reads the family.
pub fn read(reader: &mut Reader<'_>) -> Errors {
    let default_backend = reader.read("default-backend", service);
    let statuses = reader.read("custom-http-errors", statuses);
    let passes = reader.boolean("disable-proxy-intercept-errors");
    let statuses = statuses.filter(|_| {
        let why = match (&default_backend, passes) {
            (_, Some(true)) => "disable-proxy-intercept-errors is true",
            (None, _) => "there is no default-backend, and answers stay as they are",
            (Some(_), _) => return true,
        };
        reader.without_effect("custom-http-errors", why);
        false
    });
    Errors {
        default_backend,
        statuses: statuses.unwrap_or_default(),
    }
}

/// The name of a Service.
fn service(text: &str) -> Result<Arc<str>, String> {
    let is_byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match text.len() <= 63 && text.bytes().all(is_byte) && !text.starts_with('-') {
        true => Ok(text.into()),
        false => Err("must be the name of a Service of this namespace".into()),
    }
}

fn statuses(text: &str) -> Result<Vec<u16>, String> {
    let statuses = value::list(text)?.into_iter().map(|entry| {
        let status = entry.parse::<u16>().ok();
        status
            .filter(|status| (400..600).contains(status))
            .ok_or_else(|| "must be statuses from 400 to 599, by comma".to_owned())
    });
    let mut statuses = statuses.collect::<Result<Vec<u16>, String>>()?;
    statuses.sort_unstable();
    statuses.dedup();
    Ok(statuses)
}

/// What a default back end is told: of an error its status, else that nobody was there.
pub fn told(asker: &Asker<'_>, of_error: bool) -> Vec<HeaderChange> {
    let literal = |name: &str, value: &str| HeaderChange::literal(name, value, HeaderMode::Set);
    let said = |name: &str, value: DynamicValue| {
        HeaderChange::new(name, vec![HeaderPart::Value(value)], HeaderMode::Set)
    };
    let code = match of_error {
        true => said("x-code", DynamicValue::Status),
        false => literal("x-code", "503"),
    };
    let format = PlainName::new("accept").map(DynamicValue::Header);
    let format = format.and_then(|accept| said("x-format", accept));
    [
        code,
        format,
        said("x-original-uri", DynamicValue::Path),
        literal("x-namespace", asker.namespace),
        literal("x-ingress-name", asker.ingress),
        literal("x-service-name", asker.service),
        literal("x-service-port", asker.port),
    ]
    .into_iter()
    .filter_map(Result::ok)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_errors() {
        for (text, expected) in [
            ("404,503", Some(&[404, 503][..])),
            (" 500, 404 ,500", Some(&[404, 500])),
            ("200", None),
            ("abc", None),
            ("", None),
            ("99999", None),
        ] {
            assert_eq!(statuses(text).ok().as_deref(), expected, "{text}");
        }
        assert!(service("Bad_Name").is_err());
        assert!(service("errors").is_ok());
    }
}
