//! Header changes of routes.

use envoy_types::pb::envoy::config::core::v3 as core;

use core::header_value_option::HeaderAppendAction;

use crate::model::{
    DynamicValue, HeaderChange, HeaderMode, HeaderModifier, HeaderName, HeaderPart,
};

/// Headers to set, replacing what is there. `host` and pseudo headers are not among them: Envoy refuses a whole
/// table over those (the route action sets the host). Neither are private ones, whoever made the modifier.
pub(super) fn to_add(modifier: &HeaderModifier) -> Vec<core::HeaderValueOption> {
    modifier
        .set
        .iter()
        .filter(|(name, _)| is_ordinary(name.as_str()))
        .map(|(name, value)| set(name.as_str(), value))
        .collect()
}

/// A header with this literal value, and no other of its name.
pub(super) fn set(name: &str, value: &str) -> core::HeaderValueOption {
    core::HeaderValueOption {
        keep_empty_value: true,
        ..formatted(
            name,
            literal(value),
            HeaderAppendAction::OverwriteIfExistsOrAdd,
        )
    }
}

/// A header whose value is a format of Envoy's. What comes out empty is not added, and leaves what is there.
pub(super) fn formatted(
    name: &str,
    value: String,
    action: HeaderAppendAction,
) -> core::HeaderValueOption {
    core::HeaderValueOption {
        header: Some(core::HeaderValue {
            key: name.to_owned(),
            value,
            ..Default::default()
        }),
        append_action: action.into(),
        ..Default::default()
    }
}

/// A change whose value Envoy fills in. One that replaces does so with nothing too: else a client whose connection has no
/// such value could write it by itself.
pub(super) fn change(change: &HeaderChange) -> core::HeaderValueOption {
    change_as(change, |_| None)
}

/// The same, with other formats for some values.
pub(super) fn change_as(
    change: &HeaderChange,
    format: fn(&DynamicValue) -> Option<String>,
) -> core::HeaderValueOption {
    let action = match change.mode() {
        HeaderMode::Set => HeaderAppendAction::OverwriteIfExistsOrAdd,
        HeaderMode::Add => HeaderAppendAction::AppendIfExistsOrAdd,
        HeaderMode::SetIfAbsent => HeaderAppendAction::AddIfAbsent,
    };
    let value = change.value().iter().map(|part| match part {
        HeaderPart::Text(text) => literal(text),
        HeaderPart::Value(value) => format(value).unwrap_or_else(|| format_of(value)),
    });
    core::HeaderValueOption {
        keep_empty_value: change.mode() == HeaderMode::Set,
        ..formatted(change.name(), value.collect(), action)
    }
}

/// The one place that writes commands of Envoy's formats for objects. A name in one is [`crate::model::PlainName`].
fn format_of(value: &DynamicValue) -> String {
    let command = match value {
        DynamicValue::ClientAddress => "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        DynamicValue::PeerAddress => "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
        DynamicValue::ListenerPort => "%DOWNSTREAM_LOCAL_PORT%",
        DynamicValue::Host => "%REQ(:AUTHORITY)%",
        DynamicValue::Path => "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
        DynamicValue::Method => "%REQ(:METHOD)%",
        DynamicValue::Scheme => "%REQ(:SCHEME)%",
        DynamicValue::Protocol => "%PROTOCOL%",
        DynamicValue::RequestId => "%REQ(X-REQUEST-ID)%",
        DynamicValue::StartTime => "%START_TIME(%s.%3f)%",
        DynamicValue::Header(name) => return format!("%REQ({})%", name.as_str()),
        DynamicValue::HeaderOr(name, other, most) => {
            let other = other.as_ref().map(|other| format!("?{}", other.as_str()));
            let most = most.map(|most| format!(":{most}"));
            let (other, most) = (other.unwrap_or_default(), most.unwrap_or_default());
            return format!("%REQ({}{other}){most}%", name.as_str());
        }
        DynamicValue::ClientAddressAndPort => "%DOWNSTREAM_REMOTE_ADDRESS%",
        DynamicValue::ListenerAddressAndPort => "%DOWNSTREAM_LOCAL_ADDRESS%",
        DynamicValue::ListenerAddress => "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%",
        DynamicValue::ClientFingerprintSha1 => "%DOWNSTREAM_PEER_FINGERPRINT_1%",
        DynamicValue::ClientCertificateStart => "%DOWNSTREAM_PEER_CERT_V_START%",
        DynamicValue::ClientCertificateEnd => "%DOWNSTREAM_PEER_CERT_V_END%",
        DynamicValue::ClientUris => "%DOWNSTREAM_PEER_URI_SAN%",
        DynamicValue::ServerUris => "%DOWNSTREAM_LOCAL_URI_SAN%",
        DynamicValue::ServerSubject => "%DOWNSTREAM_LOCAL_SUBJECT%",
        DynamicValue::TlsSessionId => "%DOWNSTREAM_TLS_SESSION_ID%",
        DynamicValue::Hostname => "%HOSTNAME%",
        DynamicValue::ResponseCodeDetails => "%RESPONSE_CODE_DETAILS%",
        DynamicValue::ServerName => "%REQUESTED_SERVER_NAME%",
        DynamicValue::TlsVersion => "%DOWNSTREAM_TLS_VERSION%",
        DynamicValue::TlsCipher => "%DOWNSTREAM_TLS_CIPHER%",
        DynamicValue::ClientCertificate => "%DOWNSTREAM_PEER_CERT%",
        DynamicValue::ClientSubject => "%DOWNSTREAM_PEER_SUBJECT%",
        DynamicValue::ClientIssuer => "%DOWNSTREAM_PEER_ISSUER%",
        DynamicValue::ClientSerial => "%DOWNSTREAM_PEER_SERIAL%",
        DynamicValue::ClientFingerprint => "%DOWNSTREAM_PEER_FINGERPRINT_256%",
        DynamicValue::EndpointAddress => "%UPSTREAM_REMOTE_ADDRESS%",
        DynamicValue::ResponseFlags => "%RESPONSE_FLAGS%",
        DynamicValue::Status => "%RESPONSE_CODE%",
    };
    command.to_owned()
}

/// Headers to remove.
pub(super) fn to_remove(modifier: &HeaderModifier) -> Vec<String> {
    modifier
        .remove
        .iter()
        .filter(|name| is_ordinary(name.as_str()))
        .map(HeaderName::to_string)
        .collect()
}

/// The value of `host` that a request is to have, where one is set.
pub(super) fn host(modifier: &HeaderModifier) -> Option<String> {
    modifier.set.get("host").map(|value| value.to_string())
}

fn is_ordinary(name: &str) -> bool {
    !name.starts_with(':')
        && !name.eq_ignore_ascii_case("host")
        && !name.starts_with(HeaderName::PRIVATE)
}

/// Envoy reads a header's value as a format in which `%` begins a command; `%%` is the sign itself.
pub(super) fn literal(value: &str) -> String {
    value.replace('%', "%%")
}
