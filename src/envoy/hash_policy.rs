//! What of a request chooses the endpoint.

use std::time::Duration;

use envoy_types::pb::envoy::config::route::v3 as pb;
use pb::route_action::HashPolicy as HashPolicyPb;
use pb::route_action::hash_policy::{
    ConnectionProperties, Cookie, CookieAttribute, Header, PolicySpecifier, QueryParameter,
};

use super::encode::duration;
use crate::model::{HashCookie, HashKey, HashPolicy};

/// None where there is nothing to hash: Envoy refuses a table over a parameter without a name.
pub(super) fn hash_policy(policy: &HashPolicy) -> Option<HashPolicyPb> {
    if matches!(&policy.key, HashKey::Query(name) if name.is_empty()) {
        return None;
    }
    Some(HashPolicyPb {
        terminal: policy.terminal,
        policy_specifier: Some(match &policy.key {
            HashKey::SourceIp => {
                PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip: true })
            }
            HashKey::Header(name) => PolicySpecifier::Header(Header {
                header_name: name.to_string(),
                ..Default::default()
            }),
            HashKey::Query(name) => PolicySpecifier::QueryParameter(QueryParameter {
                name: name.to_string(),
            }),
            HashKey::Cookie(of) => PolicySpecifier::Cookie(cookie(of)),
        }),
    })
}

/// With a time to live Envoy sets the cookie where it is missing: zero is for the client's session.
fn cookie(cookie: &HashCookie) -> Cookie {
    let plain = Cookie {
        name: cookie.name().to_owned(),
        ..Default::default()
    };
    let Some(set) = cookie.set() else {
        return plain;
    };
    let attributes = set.attributes().iter();
    Cookie {
        ttl: duration(set.ttl().unwrap_or(Duration::ZERO)),
        path: set.path().to_owned(),
        attributes: attributes
            .map(|(name, value)| CookieAttribute {
                name: name.to_string(),
                value: value.to_string(),
            })
            .collect(),
        ..plain
    }
}
