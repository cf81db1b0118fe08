//! Which clients are let in, by the subject of the certificate that they have shown.

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::rbac::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::Rbac;
use envoy_types::pb::envoy::extensions::matching::common_inputs::ssl::v3::SubjectInput;
use envoy_types::pb::xds::core::v3::TypedExtensionConfig as XdsExtension;
use envoy_types::pb::xds::r#type::matcher::v3 as matcher;
use envoy_types::util::pack_any;
use matcher::matcher::matcher_list::{FieldMatcher, Predicate, predicate};
use matcher::matcher::on_match::OnMatch as Then;
use matcher::matcher::{MatcherList, MatcherType, OnMatch};
use pb::rbac::Action;
use predicate::single_predicate::Matcher as Value;
use predicate::{MatchType, SinglePredicate};

use super::super::http_filter::in_chain;
use crate::model::Expression;

/// Lets those in whose subject is like this, and no others.
pub(super) fn filter(subject: &Expression) -> TypedExtensionConfig {
    let like = matcher::StringMatcher {
        match_pattern: Some(matcher::string_matcher::MatchPattern::SafeRegex(
            matcher::RegexMatcher {
                engine_type: Some(matcher::regex_matcher::EngineType::GoogleRe2(
                    matcher::regex_matcher::GoogleRe2 {},
                )),
                regex: subject.as_str().to_owned(),
            },
        )),
        ..Default::default()
    };
    let predicate = Predicate {
        match_type: Some(MatchType::SinglePredicate(SinglePredicate {
            input: Some(XdsExtension {
                name: "subject".to_owned(),
                typed_config: Some(pack_any(SubjectInput {})),
            }),
            matcher: Some(Value::ValueMatch(like)),
        })),
    };
    let allowed = FieldMatcher {
        predicate: Some(predicate),
        on_match: Some(then("allowed", Action::Allow)),
    };
    let config = Rbac {
        matcher: Some(matcher::Matcher {
            on_no_match: Some(Box::new(then("others", Action::Deny))),
            matcher_type: Some(MatcherType::MatcherList(MatcherList {
                matchers: vec![allowed],
            })),
        }),
        ..Default::default()
    };
    in_chain("client-subject", config)
}

fn then(name: &str, action: Action) -> OnMatch {
    OnMatch {
        on_match: Some(Then::Action(XdsExtension {
            name: "action".to_owned(),
            typed_config: Some(pack_any(pb::Action {
                name: name.to_owned(),
                action: action.into(),
            })),
        })),
        ..Default::default()
    }
}
