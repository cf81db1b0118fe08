//! Header changes of routes.

use envoy_types::pb::envoy::config::core::v3 as core;

use crate::model::HeaderModifier;

/// Headers to set, replacing what is there. `host` and pseudo headers are not among them: Envoy refuses a whole
/// table over those (the route action sets the host).
pub(super) fn to_add(modifier: &HeaderModifier) -> Vec<core::HeaderValueOption> {
    modifier
        .set
        .iter()
        .filter(|(name, _)| is_ordinary(name))
        .map(|(name, value)| core::HeaderValueOption {
            header: Some(core::HeaderValue {
                key: name.to_string(),
                value: literal(value),
                ..Default::default()
            }),
            append_action: core::header_value_option::HeaderAppendAction::OverwriteIfExistsOrAdd
                .into(),
            keep_empty_value: true,
            ..Default::default()
        })
        .collect()
}

/// Headers to remove.
pub(super) fn to_remove(modifier: &HeaderModifier) -> Vec<String> {
    modifier
        .remove
        .iter()
        .filter(|name| is_ordinary(name))
        .map(|name| name.to_string())
        .collect()
}

/// The value of `host` that a request is to have, where one is set.
pub(super) fn host(modifier: &HeaderModifier) -> Option<String> {
    modifier.set.get("host").map(|value| value.to_string())
}

fn is_ordinary(name: &str) -> bool {
    !name.starts_with(':') && !name.eq_ignore_ascii_case("host")
}

/// Envoy reads a header's value as a format in which `%` begins a command; `%%` is the sign itself.
fn literal(value: &str) -> String {
    value.replace('%', "%%")
}
