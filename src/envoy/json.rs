//! Any resource as readable JSON: for `isobath xds`, debug pages and golden files.
//!
//! Names and enums as in Envoy's own documentation, `Any` unpacked, keys sorted, and private keys never shown. The names
//! come from `descriptors.bin.gz`: the part of envoy-types' descriptor set that describes what Isobath serves and what
//! that can hold. A test (`tests/envoy/descriptors.rs`) makes it again and compares.

use std::io::Read;
use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::{Value, json};

static DESCRIPTORS: &[u8] = include_bytes!("descriptors.bin.gz");

/// Read once, when first needed.
static POOL: LazyLock<Result<DescriptorPool, String>> = LazyLock::new(|| {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(DESCRIPTORS)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    DescriptorPool::decode(bytes.as_slice()).map_err(|error| error.to_string())
});

/// What stands in the place of a secret.
const REDACTED: &str = "[redacted]";

/// Fields that hold secrets, or may hold them, in the messages of `envoy.extensions.transport_sockets.tls.v3`.
const SECRET_FIELDS: [&str; 6] = [
    "generic_secret",
    "password",
    "pkcs12",
    "private_key",
    "private_key_provider",
    "session_ticket_keys",
];

/// The message of this type URL, with its type as `@type`. Bytes that can't be read, and types that Isobath does not
/// know, become an object that says so (`unreadable`) and shows none of the bytes.
#[must_use]
pub fn readable(type_url: &str, bytes: &[u8]) -> Value {
    match decode(type_url, bytes) {
        Ok(mut value) => {
            redact(&mut value);
            if let Value::Object(fields) = &mut value {
                fields.insert("@type".to_owned(), type_url.into());
            }
            value
        }
        Err(reason) => json!({"@type": type_url, "length": bytes.len(), "unreadable": reason}),
    }
}

fn decode(type_url: &str, bytes: &[u8]) -> Result<Value, String> {
    let name = type_url.rsplit('/').next().unwrap_or_default();
    let descriptor = POOL
        .as_ref()?
        .get_message_by_name(name)
        .ok_or_else(|| format!("unknown type {name}"))?;
    let message = DynamicMessage::decode(descriptor, bytes).map_err(|error| error.to_string())?;
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .stringify_64_bit_integers(false);
    message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|error| error.to_string())
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if SECRET_FIELDS.contains(&name.as_str()) {
                    *field = REDACTED.into();
                } else {
                    redact(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
