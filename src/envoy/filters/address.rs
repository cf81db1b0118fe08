//! Which addresses are let in.

use envoy_types::pb::envoy::config::core::v3::{CidrRange, TypedExtensionConfig};
use envoy_types::pb::envoy::config::listener::v3::{Filter, filter::ConfigType};
use envoy_types::pb::envoy::config::rbac::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::Rbac;
use envoy_types::pb::envoy::extensions::filters::network::rbac::v3 as network;
use envoy_types::util::pack_any;
use pb::principal::{Identifier, Set};
use pb::rbac::Action;

use super::super::encode::u32_value;
use super::super::http_filter::in_chain;
use crate::model::{AddressRules, AddressSource, Cidr};

/// The filter, where there is anything to refuse.
pub(super) fn filter(rules: &AddressRules) -> Option<TypedExtensionConfig> {
    let config = Rbac {
        rules: Some(refusing(rules)?),
        ..Default::default()
    };
    Some(in_chain("addresses", config))
}

/// The same for connections that are forwarded: the filter of their chain that closes those of others.
pub(in crate::envoy) fn of_connections(rules: &AddressRules) -> Option<Filter> {
    let config = network::Rbac {
        rules: Some(refusing(rules)?),
        stat_prefix: "addresses".to_owned(),
        ..Default::default()
    };
    Some(Filter {
        name: "envoy.filters.network.rbac".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack_any(config))),
    })
}

fn refusing(rules: &AddressRules) -> Option<pb::Rbac> {
    let denied: Vec<_> = rules.denied().iter().map(principal).collect();
    let (action, principals) = match rules.allowed() {
        None if denied.is_empty() => return None,
        None => (Action::Deny, denied),
        Some(allowed) => (Action::Allow, but_not(allowed, denied)),
    };
    // Without a policy that allows anything nothing is.
    let policies = (!principals.is_empty()).then(|| {
        let policy = pb::Policy {
            permissions: vec![pb::Permission {
                rule: Some(pb::permission::Rule::Any(true)),
            }],
            principals,
            ..Default::default()
        };
        ("addresses".to_owned(), policy)
    });
    Some(pb::Rbac {
        action: action.into(),
        policies: policies.into_iter().collect(),
        ..Default::default()
    })
}

/// Any of these, and none of those.
fn but_not(allowed: &[(AddressSource, Cidr)], denied: Vec<pb::Principal>) -> Vec<pb::Principal> {
    let allowed: Vec<_> = allowed.iter().map(principal).collect();
    if allowed.is_empty() || denied.is_empty() {
        return allowed;
    }
    let any = |ids| of(Identifier::OrIds(Set { ids }));
    let none = of(Identifier::NotId(Box::new(any(denied))));
    vec![of(Identifier::AndIds(Set {
        ids: vec![any(allowed), none],
    }))]
}

fn principal((source, range): &(AddressSource, Cidr)) -> pb::Principal {
    let range = CidrRange {
        address_prefix: range.address().to_string(),
        prefix_len: u32_value(range.prefix().into()),
    };
    of(match source {
        AddressSource::Peer => Identifier::DirectRemoteIp(range),
        AddressSource::Client => Identifier::RemoteIp(range),
    })
}

const fn of(identifier: Identifier) -> pb::Principal {
    pb::Principal {
        identifier: Some(identifier),
    }
}
