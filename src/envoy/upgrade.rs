//! Which offers to change the protocol Envoy is to ignore: all but those that the operator names.
//!
//! Envoy takes matchers of what to ignore and none of what to keep, and RE2 can't say "not this word", so the expression
//! is the complement of the words, spelled out letter by letter. It must never hold anything of an object: the words
//! are the operator's flags, and each letter is quoted.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use matcher::string_matcher::MatchPattern;

use super::string_matcher::regex;

/// Matches one token of an `Upgrade` header that is none of these, case aside.
pub(super) fn none_of(words: &[String]) -> matcher::StringMatcher {
    let mut root = Node::default();
    for word in words {
        root.insert(&word.to_ascii_lowercase());
    }
    matcher::StringMatcher {
        match_pattern: Some(MatchPattern::SafeRegex(regex(&format!(
            "(?is){}",
            root.complement()
        )))),
        ..Default::default()
    }
}

/// The words by their letters.
#[derive(Default)]
struct Node {
    is_word: bool,
    next: BTreeMap<char, Node>,
}

impl Node {
    fn insert(&mut self, word: &str) {
        let end = word
            .chars()
            .fold(self, |node, letter| node.next.entry(letter).or_default());
        end.is_word = true;
    }

    /// What may follow here for the whole to be none of the words.
    fn complement(&self) -> String {
        let letters: String = self.next.keys().map(|letter| quoted(*letter)).collect();
        let mut ways = vec![match letters.is_empty() {
            true => ".+".to_owned(),
            false => format!("[^{letters}].*"),
        }];
        let further = self.next.iter();
        ways.extend(further.map(|(letter, node)| quoted(*letter) + &node.complement()));
        if !self.is_word {
            ways.push(String::new());
        }
        format!("(?:{})", ways.join("|"))
    }
}

fn quoted(letter: char) -> String {
    if letter.is_ascii_alphanumeric() {
        letter.to_string()
    } else {
        format!("\\x{{{:x}}}", u32::from(letter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That the expressions mean this to Envoy is shown by `tests/e2e/requests.rs`.
    #[test]
    fn a_complement_is_spelled_out_letter_by_letter() {
        for (words, want) in [
            (&[][..], "(?is)(?:.+|)"),
            (&["aB"], "(?is)(?:[^a].*|a(?:[^b].*|b(?:.+)|)|)"),
            (
                &["a", "a/"],
                r"(?is)(?:[^a].*|a(?:[^\x{2f}].*|\x{2f}(?:.+))|)",
            ),
        ] {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            let expected = Some(MatchPattern::SafeRegex(regex(want)));
            assert_eq!(none_of(&words).match_pattern, expected, "{words:?}");
        }
    }
}
