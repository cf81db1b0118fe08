//! Header policies of routes and services.
//!
//! A value is literal text, in which `%REQ(name)%` and a closed list of what Envoy knows stand for what they say. What a policy
//! says of its own object (`%CONTOUR_NAMESPACE%`, in a service's also `%CONTOUR_SERVICE_NAME%` and `%CONTOUR_SERVICE_PORT%`) is put
//! in here. Everything else between percent signs is text.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{
    DynamicValue, HeaderChange, HeaderMode, HeaderModifier, HeaderName, HeaderPart, HeaderValue,
    HostRewrite, PlainName, check_host,
};
use crate::objects::http_proxy::HeadersPolicy;

use super::condition::{Fault, Kind};

/// What a policy says of its own object.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// The namespace of the HTTPProxy.
    pub namespace: &'a str,
    /// Name and port of the service, in a service's policy. Of an Ingress's the port is not known.
    pub service: Option<(&'a str, Option<u16>)>,
}

/// A policy of requests or of answers, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// What is literal, and what is removed. `host` is the Host that the back end sees.
    pub literal: HeaderModifier,
    /// What Envoy puts together.
    pub dynamic: Vec<HeaderChange>,
    /// A header that the Host comes from.
    pub host: Option<HostRewrite>,
}

impl Headers {
    /// Whether it says what a header is.
    #[must_use]
    pub fn sets(&self, name: &str) -> bool {
        self.literal.set.contains_key(name)
            || self.dynamic.iter().any(|change| change.name() == name)
            || name == "host" && self.host.is_some()
    }

    /// The Host that back ends see, where that is text.
    #[must_use]
    pub fn host(&self) -> Option<&Arc<str>> {
        self.literal.set.get("host").map(HeaderValue::text)
    }

    /// Takes out of another policy what this one removes, and does not set itself.
    pub fn unset(&self, literal: &mut HeaderModifier, dynamic: &mut Vec<HeaderChange>) {
        let is_removed = |name: &str| self.literal.remove.contains(name) && !self.sets(name);
        literal.set.retain(|name, _| !is_removed(name.as_str()));
        dynamic.retain(|change| !is_removed(change.name()));
    }

    /// With what another policy says, where this one says nothing.
    pub fn add(&mut self, other: Self) {
        let literal = other.literal.set.into_iter();
        let literal: Vec<_> = literal
            .filter(|(name, _)| !self.sets(name.as_str()))
            .collect();
        let dynamic = other.dynamic.into_iter();
        let dynamic: Vec<_> = dynamic.filter(|change| !self.sets(change.name())).collect();
        if !self.sets("host") {
            self.host = other.host;
        }
        self.literal.set.extend(literal);
        self.dynamic.extend(dynamic);
        self.literal.remove.extend(other.literal.remove);
    }
}

/// Whose headers they are, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// A request's.
    Requests,
    /// An answer's.
    Responses,
}

impl Of {
    const fn text(self) -> &'static str {
        match self {
            Self::Requests => "request headers",
            Self::Responses => "response headers",
        }
    }
}

/// Reads a policy.
///
/// # Errors
///
/// Contour's words, or a sentence of the model where only Envoy would refuse it.
pub fn headers(
    policy: Option<&HeadersPolicy>,
    of: Of,
    kind: Kind,
    own: Own<'_>,
) -> Result<Headers, Fault> {
    let mut headers = Headers::default();
    let Some(policy) = policy else {
        return Ok(headers);
    };
    let fault = |message: String| Fault::new(kind, message);
    let mut names = BTreeSet::new();
    for header in &policy.set {
        let canonical = canonical(&header.name);
        let name = HeaderName::new(&header.name).map_err(|why| {
            fault(format!(
                "invalid set header {canonical:?}: {why} on {}",
                of.text()
            ))
        })?;
        if name.as_str() == "host" {
            if of == Of::Responses {
                let message = "rewriting \"Host\" header is not supported on response headers";
                return Err(fault(message.to_owned()));
            }
            set_host(&mut headers, &header.value, own).map_err(fault)?;
            continue;
        }
        if !names.insert(name.clone()) {
            return Err(fault(format!(
                "duplicate header addition: {canonical:?} on {}",
                of.text()
            )));
        }
        name.check_framing().map_err(fault)?;
        let parts = parts(&header.value, own);
        match literal(&parts) {
            Some(text) => {
                // Checked as the change that it would be.
                HeaderChange::literal(name.as_str(), &text, HeaderMode::Set).map_err(fault)?;
                let value = HeaderValue::new(&name, text).map_err(fault)?;
                headers.literal.set.insert(name, value);
            }
            None => {
                let change = HeaderChange::new(name.as_str(), parts, HeaderMode::Set);
                headers.dynamic.push(change.map_err(fault)?);
            }
        }
    }
    for removed in &policy.remove {
        let name = HeaderName::new(removed).map_err(|why| {
            fault(format!(
                "invalid remove header {:?}: {why} on {}",
                canonical(removed),
                of.text()
            ))
        })?;
        if name.as_str() == "host" {
            let message = format!("removing \"Host\" is not possible on {}", of.text());
            return Err(fault(message));
        }
        name.check_framing().map_err(fault)?;
        if !headers.literal.remove.insert(name) {
            return Err(fault(format!(
                "duplicate header removal: {:?} on {}",
                canonical(removed),
                of.text()
            )));
        }
    }
    Ok(headers)
}

/// The Host that the back end sees: a header's value, or this text. An empty one is no rewrite.
fn set_host(headers: &mut Headers, value: &str, own: Own<'_>) -> Result<(), String> {
    let parts = parts(value, own);
    headers.host = None;
    headers.literal.set.remove("host");
    if let [HeaderPart::Value(DynamicValue::Header(name))] = &parts[..] {
        headers.host = Some(HostRewrite::Header(HeaderName::new(name.as_str())?));
        return Ok(());
    }
    let Some(text) = literal(&parts) else {
        return Err(format!(
            "rewriting \"Host\" to {value:?} is not supported: it is text, or one %REQ(name)%"
        ));
    };
    check_host(&text)?;
    if !text.is_empty() {
        let name = HeaderName::host();
        let value = HeaderValue::new(&name, text)?;
        headers.literal.set.insert(name, value);
    }
    Ok(())
}

/// The text, where there is nothing but text.
fn literal(parts: &[HeaderPart]) -> Option<Arc<str>> {
    match parts {
        [] => Some("".into()),
        [HeaderPart::Text(text)] => Some(text.clone()),
        _ => None,
    }
}

/// A value in its parts.
fn parts(value: &str, own: Own<'_>) -> Vec<HeaderPart> {
    let mut parts: Vec<HeaderPart> = Vec::new();
    let mut text = String::new();
    let mut rest = value;
    while let Some(start) = rest.find('%') {
        let (before, from) = rest.split_at(start);
        text.push_str(before);
        let command = from[1..].find('%').map(|end| &from[1..=end]);
        match command.and_then(|command| Some((known(command, own)?, command.len() + 2))) {
            Some((Known::Text(own), length)) => {
                text.push_str(&own);
                rest = &from[length..];
            }
            Some((Known::Value(value), length)) => {
                if !text.is_empty() {
                    parts.push(HeaderPart::Text(std::mem::take(&mut text).into()));
                }
                parts.push(HeaderPart::Value(value));
                rest = &from[length..];
            }
            None => {
                text.push('%');
                rest = &from[1..];
            }
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(HeaderPart::Text(text.into()));
    }
    parts
}

enum Known {
    Text(String),
    Value(DynamicValue),
}

/// What stands between two percent signs, where that means something.
fn known(command: &str, own: Own<'_>) -> Option<Known> {
    let own = match command {
        "CONTOUR_NAMESPACE" => Some(own.namespace.to_owned()),
        "CONTOUR_SERVICE_NAME" => own.service.map(|(name, _)| name.to_owned()),
        "CONTOUR_SERVICE_PORT" => own.service.and_then(|(_, port)| Some(port?.to_string())),
        _ => None,
    };
    if let Some(text) = own {
        return Some(Known::Text(text));
    }
    if let Some(rest) = command.strip_prefix("REQ(") {
        return header_of_request(rest).map(Known::Value);
    }
    Some(Known::Value(match command {
        "DOWNSTREAM_LOCAL_ADDRESS" => DynamicValue::ListenerAddressAndPort,
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => DynamicValue::ListenerAddress,
        "DOWNSTREAM_LOCAL_PORT" => DynamicValue::ListenerPort,
        "DOWNSTREAM_LOCAL_SUBJECT" => DynamicValue::ServerSubject,
        "DOWNSTREAM_LOCAL_URI_SAN" => DynamicValue::ServerUris,
        "DOWNSTREAM_PEER_CERT" => DynamicValue::ClientCertificate,
        "DOWNSTREAM_PEER_CERT_V_END" => DynamicValue::ClientCertificateEnd,
        "DOWNSTREAM_PEER_CERT_V_START" => DynamicValue::ClientCertificateStart,
        "DOWNSTREAM_PEER_FINGERPRINT_1" => DynamicValue::ClientFingerprintSha1,
        "DOWNSTREAM_PEER_FINGERPRINT_256" => DynamicValue::ClientFingerprint,
        "DOWNSTREAM_PEER_ISSUER" => DynamicValue::ClientIssuer,
        "DOWNSTREAM_PEER_SERIAL" => DynamicValue::ClientSerial,
        "DOWNSTREAM_PEER_SUBJECT" => DynamicValue::ClientSubject,
        "DOWNSTREAM_PEER_URI_SAN" => DynamicValue::ClientUris,
        "DOWNSTREAM_REMOTE_ADDRESS" => DynamicValue::ClientAddressAndPort,
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => DynamicValue::ClientAddress,
        "DOWNSTREAM_TLS_CIPHER" => DynamicValue::TlsCipher,
        "DOWNSTREAM_TLS_SESSION_ID" => DynamicValue::TlsSessionId,
        "DOWNSTREAM_TLS_VERSION" => DynamicValue::TlsVersion,
        "HOSTNAME" => DynamicValue::Hostname,
        "PROTOCOL" => DynamicValue::Protocol,
        "RESPONSE_CODE_DETAILS" => DynamicValue::ResponseCodeDetails,
        "RESPONSE_FLAGS" => DynamicValue::ResponseFlags,
        "UPSTREAM_REMOTE_ADDRESS" => DynamicValue::EndpointAddress,
        _ => return None,
    }))
}

/// `name)`, `name?other)` or either with `:length` behind it.
fn header_of_request(rest: &str) -> Option<DynamicValue> {
    let (names, most) = rest.split_once(')')?;
    let most = match most {
        "" => None,
        most => Some(most.strip_prefix(':')?.parse().ok()?),
    };
    let (name, other) = match names.split_once('?') {
        Some((name, other)) => (name, Some(PlainName::new(other).ok()?)),
        None => (names, None),
    };
    let name = PlainName::new(name).ok()?;
    Some(match (other, most) {
        (None, None) => DynamicValue::Header(name),
        (other, most) => DynamicValue::HeaderOr(name, other, most),
    })
}

/// A header's name as Go writes it, which Contour's messages have.
pub(super) fn canonical(name: &str) -> String {
    // As it is, where it is none.
    if HeaderName::new(name).is_err() {
        return name.to_owned();
    }
    let mut upper = true;
    name.chars()
        .map(|it| {
            let letter = match upper {
                true => it.to_ascii_uppercase(),
                false => it.to_ascii_lowercase(),
            };
            upper = it == '-';
            letter
        })
        .collect()
}
