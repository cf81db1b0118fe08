//! Decoding and validation: one JSON object, as LIST items and WATCH events carry it, becomes an [`Object`].
//!
//! It is decoded straight into slim types: fields that Isobath does not use are skipped, never kept and
//! never checked. What is used is checked by the rules of the API server ([`Rules`]), for both
//! sources alike. Whatever is wrong with an object, [`decode`] answers with an object: [`Object::Invalid`]
//! takes its place, as data. Only where not even a name can be found there is nothing to put in a place.
//!
//! Nothing in here may ever quote a value of a Secret.

mod config_map;
mod endpoint_slice;
mod extension_service;
mod gateway_api;
mod http_proxy;
mod ingress;
mod json;
mod metadata;
mod schema;
mod secret;
mod service;
mod wire;
mod wires;

use std::sync::Arc;

use serde::Deserialize;

pub use self::http_proxy::global_rate_limit_policy;
use self::json::{PerhapsStruct, PerhapsText};
use self::wire::Wire;
use super::validate::{FieldError, Rules};
use super::{Invalid, Kind, Object, ObjectRef, for_each_kind};

/// Decodes an object of an API server: [`decode_versioned`] by [`Rules::Stored`], less the version.
///
/// # Errors
///
/// [`Undecodable`] when the text is no JSON object with a `metadata.name`.
pub fn decode(kind: Kind, json: &str) -> Result<Object, Undecodable> {
    decode_versioned(kind, json, Rules::Stored).map(|decoded| decoded.object)
}

/// Decodes an object of the given kind, whatever its own `kind` says (the items of a list have none).
///
/// # Errors
///
/// [`Undecodable`] when the text is no JSON object with a `metadata.name`.
pub fn decode_versioned(kind: Kind, json: &str, rules: Rules) -> Result<Decoded, Undecodable> {
    macro_rules! decoded {
        ($($(#[$doc:meta])* $kind:ident: $api_version:literal, $name:literal, $plural:literal,
            $scope:ident, $presence:ident, $table:ident, $wire:ty;)*) => {
            match kind {
                $(Kind::$kind => read::<$wire>(kind, json, rules),)*
                Kind::Untyped(_) => Err(FieldError("its kind has no type".to_owned())),
            }
        };
    }
    macro_rules! closed {
        ($($(#[$doc:meta])* $kind:ident: $api_version:literal, $name:literal, $plural:literal,
            $scope:ident, $presence:ident, $table:ident, $wire:ty;)*) => {
            |reference: &ObjectRef, reason: &str| match kind {
                $(Kind::$kind => <$wire as Wire<'_>>::closed(json, reference, reason),)*
                Kind::Untyped(_) => None,
            }
        };
    }
    let decoded = for_each_kind!(decoded);
    decoded.or_else(|FieldError(reason)| {
        let Head {
            reference,
            resource_version,
        } = head(kind, json)?;
        let reason = shorten(reason);
        let closed = for_each_kind!(closed);
        let object = closed(&reference, &reason);
        Ok(Decoded {
            object: object
                .unwrap_or_else(|| Object::Invalid(Arc::new(Invalid { reference, reason }))),
            resource_version,
            says_kind: false,
        })
    })
}

/// Finds name and version of an object and looks at nothing else.
fn head(kind: Kind, json: &str) -> Result<Head, Undecodable> {
    let wire = loose(json)?;
    let name = wire
        .name
        .0
        .filter(|name| !name.is_empty())
        .ok_or(Undecodable::Nameless)?;
    let namespace = match wire.namespace.0 {
        Some(namespace) if kind.is_namespaced() => namespace,
        _ => String::new(),
    };
    Ok(Head {
        reference: ObjectRef::new(kind, namespace, name),
        resource_version: wire.resource_version.0.filter(|text| !text.is_empty()),
    })
}

/// What [`decode_versioned`] finds.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The object, valid or not.
    pub object: Object,
    /// `metadata.resourceVersion`, opaque; `None` where it has none.
    pub resource_version: Option<String>,
    /// Whether a valid object says itself that it is of the kind as which it was decoded.
    pub says_kind: bool,
}

/// What [`head`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Head {
    reference: ObjectRef,
    /// `metadata.resourceVersion`, opaque; `None` where it has none.
    resource_version: Option<String>,
}

/// Why there is not even an [`Object::Invalid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// It is no JSON text, or no object.
    #[error("it is not a JSON object (line {line}, column {column})")]
    NotAnObject {
        /// Where, counted from 1.
        line: usize,
        /// Where, counted from 1.
        column: usize,
    },
    /// It has no `metadata.name`.
    #[error("it has no metadata.name")]
    Nameless,
}

fn read<'a, W: Wire<'a>>(kind: Kind, json: &'a str, rules: Rules) -> Result<Decoded, FieldError> {
    let json::Struct(wire) = serde_json::from_str::<json::Struct<W>>(json)
        .map_err(|error| misshapen::<W>(json, &error))?;
    let resource_version = wire.metadata().resource_version();
    let says_kind = wire.kind() == kind.name();
    Ok(Decoded {
        object: wire.check(rules)?,
        resource_version,
        says_kind,
    })
}

/// Decodes a second time for the path of the field, which costs too much to keep track of each time.
fn misshapen<'a, W: Wire<'a>>(json: &'a str, error: &serde_json::Error) -> FieldError {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let path = match serde_path_to_error::deserialize::<_, json::Struct<W>>(&mut deserializer) {
        Ok(_) => String::new(),
        Err(error) => error.path().to_string(),
    };
    if W::SECRET {
        // Neither the message nor the path: both can hold what was meant to be a value.
        let field = ["metadata", "data", "type"]
            .into_iter()
            .find(|field| path.starts_with(field));
        return FieldError(match field {
            Some(field) => format!(
                "{field}: a value has the wrong type; text that YAML reads as a number or a boolean stands in quotes"
            ),
            None => "the object does not have the shape of a v1 Secret".to_owned(),
        });
    }
    // serde_json's position counts within one line of compact JSON that nobody has seen.
    let message = error.to_string();
    let message = message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(message, _)| message);
    let remedy = remedy(&path, message);
    FieldError(if path.is_empty() || path == "." {
        message.to_owned()
    } else {
        format!("{path}: {message}{remedy}")
    })
}

/// What to do about a value of another type, where YAML makes one out of what everybody writes once.
fn remedy(path: &str, message: &str) -> &'static str {
    let Some((found, expected)) = message
        .strip_prefix("invalid type: ")
        .and_then(|types| types.rsplit_once(", expected "))
    else {
        return "";
    };
    let is_scalar = ["boolean", "integer", "floating"]
        .iter()
        .any(|kind| found.starts_with(kind));
    match expected {
        "a string" if is_scalar => "; put it in quotes",
        "a 32-bit integer" | "a whole number" if found.starts_with("string") => {
            "; leave the quotes out"
        }
        "an object" if path.ends_with("service.port") => "; a port has a `number` or a `name`",
        _ => "",
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LooseWire {
    metadata: PerhapsStruct<LooseMetadata>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LooseMetadata {
    name: PerhapsText,
    namespace: PerhapsText,
    resource_version: PerhapsText,
}

fn loose(json: &str) -> Result<LooseMetadata, Undecodable> {
    serde_json::from_str::<json::Struct<LooseWire>>(json)
        .map(|json::Struct(wire)| wire.metadata.0)
        .map_err(|error| Undecodable::NotAnObject {
            line: error.line(),
            column: error.column(),
        })
}

/// A reason ends up in logs, status and Events, and must not be as long as the object it is about.
fn shorten(reason: String) -> String {
    const LIMIT: usize = 600;
    match reason.char_indices().nth(LIMIT) {
        None => reason,
        Some((end, _)) => format!("{}…", &reason[..end]),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
