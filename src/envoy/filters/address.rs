//! Which addresses are let in.

use envoy_types::pb::envoy::config::core::v3::{CidrRange, TypedExtensionConfig};
use envoy_types::pb::envoy::config::listener::v3::{Filter, filter::ConfigType};
use envoy_types::pb::envoy::config::rbac::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::Rbac;
use envoy_types::pb::envoy::extensions::filters::network::rbac::v3 as network;
use envoy_types::pb::envoy::extensions::matching::common_inputs::network::v3 as inputs;
use envoy_types::pb::envoy::extensions::matching::input_matchers::ip::v3::Ip;
use envoy_types::pb::xds::core::v3::TypedExtensionConfig as XdsExtension;
use envoy_types::pb::xds::r#type::matcher::v3 as matcher;
use envoy_types::util::pack_any;
use matcher::matcher::matcher_list::{Predicate, predicate};
use pb::principal::{Identifier, Set};
use pb::rbac::Action;
use predicate::MatchType;

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

/// The same for connections that are forwarded: the filter of their chain that closes those of others. It waits for the first
/// bytes of a client, and what a back end says first would be out by then, so new connections are asked before they have a
/// chain ([`taken`]). It is for the chain's sake: where rules change, it is another one, and connections from before drain.
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

/// Whether there is anybody to refuse.
pub(in crate::envoy) fn has_some(rules: &AddressRules) -> bool {
    rules.allowed().is_some() || !rules.denied().is_empty()
}

/// The connections that are let in; `None` where none are, or nobody is refused.
pub(in crate::envoy) fn taken(rules: &AddressRules) -> Option<Predicate> {
    let others = any_of(rules.denied()).map(|denied| MatchType::NotMatcher(Box::new(denied)));
    let others = others.map(matching);
    let Some(allowed) = rules.allowed() else {
        return others;
    };
    let mut both: Vec<_> = [any_of(allowed)?].into_iter().chain(others).collect();
    Some(match both.len() {
        1 => both.remove(0),
        _ => matching(MatchType::AndMatcher(predicate::PredicateList {
            predicate: both,
        })),
    })
}

fn any_of(ranges: &[(AddressSource, Cidr)]) -> Option<Predicate> {
    let sources = [AddressSource::Peer, AddressSource::Client].into_iter();
    let mut each: Vec<_> = sources
        .filter_map(|source| of_source(source, ranges))
        .collect();
    match each.len() {
        0 | 1 => each.pop(),
        _ => Some(matching(MatchType::OrMatcher(predicate::PredicateList {
            predicate: each,
        }))),
    }
}

fn of_source(source: AddressSource, ranges: &[(AddressSource, Cidr)]) -> Option<Predicate> {
    let of_it = ranges.iter().filter(|(of, _)| *of == source);
    let cidr_ranges: Vec<_> = of_it.map(|(_, range)| cidr(range)).collect();
    if cidr_ranges.is_empty() {
        return None;
    }
    let input = match source {
        AddressSource::Peer => pack_any(inputs::DirectSourceIpInput {}),
        AddressSource::Client => pack_any(inputs::SourceIpInput {}),
    };
    let any_of = Ip {
        cidr_ranges,
        stat_prefix: "addresses".to_owned(),
    };
    let extension = |name: &str, config| XdsExtension {
        name: name.to_owned(),
        typed_config: Some(config),
    };
    Some(matching(MatchType::SinglePredicate(
        predicate::SinglePredicate {
            input: Some(extension("address", input)),
            matcher: Some(predicate::single_predicate::Matcher::CustomMatch(
                extension("ranges", pack_any(any_of)),
            )),
        },
    )))
}

const fn matching(match_type: MatchType) -> Predicate {
    Predicate {
        match_type: Some(match_type),
    }
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
    let range = cidr(range);
    of(match source {
        AddressSource::Peer => Identifier::DirectRemoteIp(range),
        AddressSource::Client => Identifier::RemoteIp(range),
    })
}

fn cidr(range: &Cidr) -> CidrRange {
    CidrRange {
        address_prefix: range.address().to_string(),
        prefix_len: u32_value(range.prefix().into()),
    }
}

const fn of(identifier: Identifier) -> pb::Principal {
    pb::Principal {
        identifier: Some(identifier),
    }
}
