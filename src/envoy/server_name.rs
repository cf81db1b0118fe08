//! Which filter chain a TLS connection gets: by the name that its ClientHello asks for (SNI).
//!
//! The listener's `filter_chain_matcher` and not `filter_chain_match.server_names`, because names are then no part
//! of the chain: a host that is added to a certificate in use keeps every connection open.
//!
//! The matcher is one message, written in fragments that the receiver merges:
//!
//! - an exact map at the top, two entries for each host (with and without a dot at the end);
//! - its `on_no_match`: a list of suffixes, tried in the order of their fragments (longest first);
//! - that list's `on_no_match`: the chain for every name and for none, where there is one.
//!
//! Where a chain is for some addresses only, what stands for its name is one more matcher, of addresses: a connection of another
//! one has no chain, and no back end hears of it.
//!
//! Envoy lower-cases the name before it matches. A chain that is named here and is not there refuses the
//! connection, and does not spoil the listener (tested on Envoy 1.40), so a chain may be left out alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::extensions::matching::common_inputs::network::v3::ServerNameInput;
use envoy_types::pb::google::protobuf::StringValue;
use envoy_types::pb::xds::core::v3::TypedExtensionConfig;
use envoy_types::pb::xds::r#type::matcher::v3 as matcher;
use envoy_types::util::pack_any;
use matcher::matcher::{MatcherType, OnMatch, matcher_list, matcher_tree, on_match};
use prost::Message as _;

use super::encode::encoded_part;
use super::filters::address;
use crate::model::{AddressRules, Host};
use crate::xds::Part;

/// A name nobody can own (RFC 6761). An exact map must have an entry, and the map must always be there: a listener
/// with one chain and no matcher would serve that chain to every name.
const NOBODY: &str = "isobath.invalid";

/// No filter chain has this name.
const NO_CHAIN: &str = "";

/// Names have at most this many bytes.
const LONGEST_NAME: usize = 255;

/// The matcher without any host: every name is refused.
pub(super) fn root() -> matcher::Matcher {
    matcher::Matcher {
        matcher_type: Some(MatcherType::MatcherTree(matcher::matcher::MatcherTree {
            input: Some(input()),
            tree_type: Some(exact_map(NOBODY, &use_chain(NO_CHAIN))),
        })),
        ..Default::default()
    }
}

/// The fragment of the `https` listener by which the host's connections are refused, whatever wildcard is above it, in the
/// place of what [`server_name`] makes.
#[must_use]
pub fn refused(host: &Host) -> (Arc<str>, Part) {
    server_name(host, NO_CHAIN)
}

/// The fragment of the `https` listener that leads the host's connections to the filter chain of that name, and its
/// key among the listener's parts. A wildcard leads to the chain of its own name.
#[must_use]
pub fn server_name(host: &Host, chain: &str) -> (Arc<str>, Part) {
    leading(host, &use_chain(chain))
}

/// The same for a chain that is for some addresses only.
#[must_use]
pub fn of_addresses(host: &Host, chain: &str, rules: Option<&AddressRules>) -> (Arc<str>, Part) {
    let Some(rules) = rules.filter(|rules| address::has_some(rules)) else {
        return server_name(host, chain);
    };
    let Some(taken) = address::taken(rules) else {
        return refused(host);
    };
    let matchers = vec![matcher_list::FieldMatcher {
        predicate: Some(taken),
        on_match: Some(use_chain(chain)),
    }];
    let by_address = matcher::Matcher {
        matcher_type: Some(MatcherType::MatcherList(matcher::matcher::MatcherList {
            matchers,
        })),
        // Said, or a wider name would be tried.
        on_no_match: Some(Box::new(use_chain(NO_CHAIN))),
    };
    let to = OnMatch {
        on_match: Some(on_match::OnMatch::Matcher(Box::new(by_address))),
        ..Default::default()
    };
    leading(host, &to)
}

fn leading(host: &Host, to: &OnMatch) -> (Arc<str>, Part) {
    let (key, matchers) = if host.is_any() {
        ("name/*/~".into(), vec![any(to)])
    } else if let Some(suffix) = host.wildcard_suffix() {
        // Longer suffixes have smaller numbers, so the more special one is tried first.
        let order = LONGEST_NAME.saturating_sub(suffix.len());
        (
            format!("name/*/{order:03}{suffix}"),
            vec![wildcard(suffix, to)],
        )
    } else {
        let names = [host.to_string(), with_dot(host.as_str())];
        // A map of the generated type has a random order, so each entry is a fragment of its own.
        let matchers = names.map(|name| exact(&name, to));
        (format!("name/{host}"), matchers.into())
    };
    let fragments = matchers.into_iter().flat_map(|matcher| {
        let fragment = Listener {
            filter_chain_matcher: Some(matcher),
            ..Default::default()
        };
        fragment.encode_to_vec()
    });
    let bytes: Vec<u8> = fragments.collect();
    (
        key.into(),
        encoded_part(bytes, BTreeSet::new(), BTreeSet::new()),
    )
}

/// The name as an absolute one. A ClientHello must not hold it so (RFC 6066, section 3), and programs that hand the
/// host of their URL to OpenSSL do send it (Python's): they get what the Host of that request is served by.
pub(super) fn with_dot(name: &str) -> String {
    format!("{name}.")
}

fn exact(host: &str, to: &OnMatch) -> matcher::Matcher {
    matcher::Matcher {
        matcher_type: Some(MatcherType::MatcherTree(matcher::matcher::MatcherTree {
            input: None,
            tree_type: Some(exact_map(host, to)),
        })),
        ..Default::default()
    }
}

fn exact_map(host: &str, to: &OnMatch) -> matcher_tree::TreeType {
    matcher_tree::TreeType::ExactMatchMap(matcher_tree::MatchMap {
        map: [(host.to_owned(), to.clone())].into(),
    })
}

/// The suffix matches deeper names as well, and an empty label: the certificate may be shown to anybody, and the
/// virtual host answers such names with 421.
fn wildcard(suffix: &str, to: &OnMatch) -> matcher::Matcher {
    let either = [suffix.to_owned(), with_dot(suffix)].map(|suffix| matcher_list::Predicate {
        match_type: Some(matcher_list::predicate::MatchType::SinglePredicate(
            ends_with(suffix),
        )),
    });
    let predicate =
        matcher_list::predicate::MatchType::OrMatcher(matcher_list::predicate::PredicateList {
            predicate: either.into(),
        });
    else_try(matcher::Matcher {
        matcher_type: Some(MatcherType::MatcherList(matcher::matcher::MatcherList {
            matchers: vec![matcher_list::FieldMatcher {
                predicate: Some(matcher_list::Predicate {
                    match_type: Some(predicate),
                }),
                on_match: Some(to.clone()),
            }],
        })),
        ..Default::default()
    })
}

fn ends_with(suffix: String) -> matcher_list::predicate::SinglePredicate {
    let suffix = matcher::StringMatcher {
        match_pattern: Some(matcher::string_matcher::MatchPattern::Suffix(suffix)),
        ignore_case: true,
    };
    matcher_list::predicate::SinglePredicate {
        input: Some(input()),
        matcher: Some(matcher_list::predicate::single_predicate::Matcher::ValueMatch(suffix)),
    }
}

fn any(to: &OnMatch) -> matcher::Matcher {
    else_try(matcher::Matcher {
        on_no_match: Some(Box::new(to.clone())),
        ..Default::default()
    })
}

fn else_try(next: matcher::Matcher) -> matcher::Matcher {
    matcher::Matcher {
        on_no_match: Some(Box::new(OnMatch {
            on_match: Some(on_match::OnMatch::Matcher(Box::new(next))),
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn use_chain(name: &str) -> OnMatch {
    OnMatch {
        on_match: Some(on_match::OnMatch::Action(TypedExtensionConfig {
            name: "filter-chain-name".to_owned(),
            typed_config: Some(pack_any(StringValue {
                value: name.to_owned(),
            })),
        })),
        ..Default::default()
    }
}

fn input() -> TypedExtensionConfig {
    TypedExtensionConfig {
        name: "server-name".to_owned(),
        typed_config: Some(pack_any(ServerNameInput::default())),
    }
}
