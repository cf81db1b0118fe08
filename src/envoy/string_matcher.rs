//! Matchers of texts: what the model says of a text in Envoy's words.
//!
//! Envoy takes a table with an expression only if RE2 compiles it, so all of an object's come as [`Expression`]s, which
//! were checked. What is written around them here are constants.

use envoy_types::pb::envoy::r#type::matcher::v3 as pb;
use pb::StringMatcher;
use pb::string_matcher::MatchPattern;

use crate::model::{Expression, StringMatch, Text};

/// What the model says of a text.
pub(super) fn string_matcher(pattern: &StringMatch) -> StringMatcher {
    let of_text = |pattern: fn(String) -> MatchPattern, text: &Text| StringMatcher {
        match_pattern: Some(pattern(text.as_str().to_owned())),
        ignore_case: text.ignores_case(),
    };
    match pattern {
        StringMatch::Exact(text) => of_text(MatchPattern::Exact, text),
        StringMatch::Prefix(text) => of_text(MatchPattern::Prefix, text),
        StringMatch::Suffix(text) => of_text(MatchPattern::Suffix, text),
        StringMatch::Contains(text) => of_text(MatchPattern::Contains, text),
        StringMatch::Regex(expression) => StringMatcher {
            match_pattern: Some(MatchPattern::SafeRegex(whole(expression))),
            ..Default::default()
        },
    }
}

/// Exactly this text.
pub(super) fn exact(value: &str) -> StringMatcher {
    StringMatcher {
        match_pattern: Some(MatchPattern::Exact(value.to_owned())),
        ..Default::default()
    }
}

/// An expression of ours for the whole text.
pub(super) fn regex_matcher(expression: String) -> StringMatcher {
    StringMatcher {
        match_pattern: Some(MatchPattern::SafeRegex(regex(&expression))),
        ..Default::default()
    }
}

/// An RE2 expression for the whole value.
pub(super) fn regex(expression: &str) -> pb::RegexMatcher {
    pb::RegexMatcher {
        regex: expression.to_owned(),
        ..Default::default()
    }
}

/// An expression for the whole of a text. Envoy matches whole texts only.
pub(super) fn whole(expression: &Expression) -> pb::RegexMatcher {
    let case = case(expression);
    regex(&format!("{case}{}", expression.as_str()))
}

/// An expression for the beginning of a text, whatever follows.
pub(super) fn from_the_beginning(expression: &Expression) -> pb::RegexMatcher {
    let case = case(expression);
    regex(&format!("{case}(?:{}).*", expression.as_str()))
}

const fn case(expression: &Expression) -> &'static str {
    if expression.ignores_case() {
        "(?i)"
    } else {
        ""
    }
}
