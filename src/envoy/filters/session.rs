//! Sessions that stay with an endpoint.

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::extensions::filters::http::stateful_session::v3::StatefulSession;
use envoy_types::pb::envoy::extensions::http::stateful_session as states;
use envoy_types::pb::envoy::r#type::http::v3::{Cookie, CookieAttribute};
use states::cookie::v3::CookieBasedSessionState;
use states::header::v3::HeaderBasedSessionState;

use super::super::encode::duration;
use super::super::http_filter::in_chain;
use crate::model::{HashCookie, SessionKey, SessionPersistence};

/// The filter. Envoy finds what keeps the state by its name, and not by its type (1.40).
pub(super) fn filter(session: &SessionPersistence) -> TypedExtensionConfig {
    let state = match &session.key {
        SessionKey::Cookie(of) => {
            let cookie = Some(cookie(of.cookie()));
            in_chain(
                "envoy.http.stateful_session.cookie",
                CookieBasedSessionState { cookie },
            )
        }
        SessionKey::Header(name) => in_chain(
            "envoy.http.stateful_session.header",
            HeaderBasedSessionState {
                name: name.to_string(),
            },
        ),
    };
    let filter = StatefulSession {
        session_state: Some(state),
        strict: session.is_strict,
        ..Default::default()
    };
    in_chain("session", filter)
}

/// A life of zero is the client's session.
fn cookie(cookie: &HashCookie) -> Cookie {
    let plain = Cookie {
        name: cookie.name().to_owned(),
        ..Default::default()
    };
    let Some(set) = cookie.set() else {
        return plain;
    };
    // Envoy adds that one itself.
    let others = set.attributes().iter();
    let others = others.filter(|(name, _)| !name.eq_ignore_ascii_case("HttpOnly"));
    Cookie {
        ttl: duration(set.ttl().unwrap_or_default()),
        path: set.path().to_owned(),
        attributes: others
            .map(|(name, value)| CookieAttribute {
                name: name.to_string(),
                value: value.to_string(),
            })
            .collect(),
        ..plain
    }
}
