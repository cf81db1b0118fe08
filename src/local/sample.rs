//! Paths that routes take: one for each pattern, and which route is the first to take it.

use std::fmt;

use envoy_types::pb::envoy::config::route::v3::RouteMatch;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use regex::{Regex, RegexSet, RegexSetBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};

/// What a route asks of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// The whole path.
    Exact(String),
    /// How it begins.
    Prefix(String),
    /// Its first elements.
    Elements(String),
    /// An expression for the whole path.
    Regex(String),
}

/// The longest sample of an expression.
const LONGEST: usize = 200;

impl Pattern {
    /// Of one of our own routes; `None` for what none of them has.
    #[must_use]
    pub fn of(matches: &RouteMatch) -> Option<Self> {
        match matches.path_specifier.as_ref()? {
            PathSpecifier::Path(path) => Some(Self::Exact(path.clone())),
            PathSpecifier::Prefix(prefix) => Some(Self::Prefix(prefix.clone())),
            PathSpecifier::PathSeparatedPrefix(prefix) => Some(Self::Elements(prefix.clone())),
            PathSpecifier::SafeRegex(regex) => Some(Self::Regex(regex.regex.clone())),
            _ => None,
        }
    }

    /// A path that it takes and that a URL can have as it stands.
    #[must_use]
    pub fn sample(&self) -> Option<String> {
        let path = match self {
            Self::Exact(path) | Self::Prefix(path) | Self::Elements(path) => path.clone(),
            Self::Regex(expression) => example(expression)?,
        };
        // `?` and `#` end a path, and Envoy resolves `.` and `..`, merges slashes and unescapes some escapes first.
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#%\\\"<>^`{|}".contains(&byte);
        let is_stable =
            !path.contains("//") && !path.split('/').any(|element| matches!(element, "." | ".."));
        (path.starts_with('/') && path.bytes().all(is_plain) && is_stable).then_some(path)
    }

    fn takes(&self, path: &str) -> bool {
        match self {
            Self::Exact(whole) => path == whole,
            Self::Prefix(prefix) => path.starts_with(prefix),
            Self::Elements(prefix) => path
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Self::Regex(expression) => {
                Regex::new(&whole(expression)).is_ok_and(|regex| regex.is_match(path))
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) | Self::Prefix(text) | Self::Elements(text) | Self::Regex(text) => {
                f.write_str(text)
            }
        }
    }
}

/// Patterns in the order in which they are tried.
pub struct Paths<'a> {
    patterns: Vec<&'a Pattern>,
    /// The expressions among them, with their positions.
    regexes: Option<(RegexSet, Vec<usize>)>,
}

impl<'a> Paths<'a> {
    /// Compiles the expressions once.
    pub fn new(patterns: impl Iterator<Item = &'a Pattern>) -> Self {
        let patterns: Vec<_> = patterns.collect();
        let expressions =
            patterns
                .iter()
                .enumerate()
                .filter_map(|(index, pattern)| match pattern {
                    Pattern::Regex(expression) => Some((index, whole(expression))),
                    _ => None,
                });
        let (positions, expressions): (Vec<_>, Vec<_>) = expressions.unzip();
        let set = RegexSetBuilder::new(expressions).build().ok();
        Self {
            regexes: set.map(|set| (set, positions)),
            patterns,
        }
    }

    /// The first pattern that takes a path. Without the compiled set (it is too large) expressions are tried one by one.
    #[must_use]
    pub fn first(&self, path: &str) -> Option<usize> {
        let Some((set, positions)) = &self.regexes else {
            return self.patterns.iter().position(|pattern| pattern.takes(path));
        };
        let regex = set
            .matches(path)
            .iter()
            .next()
            .and_then(|index| positions.get(index).copied());
        let is_literal = |pattern: &Pattern| !matches!(pattern, Pattern::Regex(_));
        let literal = self
            .patterns
            .iter()
            .position(|pattern| is_literal(pattern) && pattern.takes(path));
        match (regex, literal) {
            (Some(regex), Some(literal)) => Some(regex.min(literal)),
            (regex, literal) => regex.or(literal),
        }
    }
}

fn whole(expression: &str) -> String {
    format!("^(?:{expression})$")
}

/// A text that an expression matches as a whole: the least of everything, letters and digits where there is a choice.
fn example(expression: &str) -> Option<String> {
    let hir = regex_syntax::parse(expression).ok()?;
    let mut text = Vec::new();
    write(&hir, &mut text)?;
    let text = String::from_utf8(text).ok()?;
    let regex = Regex::new(&whole(expression)).ok()?;
    regex.is_match(&text).then_some(text)
}

fn write(hir: &Hir, text: &mut Vec<u8>) -> Option<()> {
    if text.len() > LONGEST {
        return None;
    }
    match hir.kind() {
        // An anchor may hold; whether it does is seen in the end.
        HirKind::Empty | HirKind::Look(_) => Some(()),
        HirKind::Literal(literal) => {
            text.extend_from_slice(&literal.0);
            Some(())
        }
        HirKind::Class(class) => {
            text.push(letter(class)?);
            Some(())
        }
        // One rather than none where both will do: `/.*` is better shown by `/a` than by a bare slash.
        HirKind::Repetition(repetition) => {
            let least = repetition.min.max(u32::from(repetition.max != Some(0)));
            (0..least).try_for_each(|_| write(&repetition.sub, text))
        }
        HirKind::Capture(capture) => write(&capture.sub, text),
        HirKind::Concat(all) => all.iter().try_for_each(|one| write(one, text)),
        HirKind::Alternation(either) => write(either.first()?, text),
    }
}

/// A letter of a class that stands in a path as it is.
fn letter(class: &Class) -> Option<u8> {
    let has = |byte: u8| match class {
        Class::Unicode(class) => class
            .iter()
            .any(|range| (range.start()..=range.end()).contains(&char::from(byte))),
        Class::Bytes(class) => class
            .iter()
            .any(|range| (range.start()..=range.end()).contains(&byte)),
    };
    let ranges = (b'a'..=b'z').chain(b'0'..=b'9').chain(b'A'..=b'Z');
    ranges.chain(*b"-_.~/+=@:,").find(|byte| has(*byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn expressions_have_examples() {
        for (expression, expected) in [
            ("/api/v[0-9]+", Some("/api/v0")),
            ("/(foo|bar)/.*", Some("/foo/a")),
            ("/x(?:y)?z{2,3}", Some("/xyzz")),
            ("/[^/]+/edit", Some("/a/edit")),
            ("^/a$", Some("/a")),
            ("/\\d{3}", Some("/000")),
            ("/a\\b\\B", None),
            ("relative", None),
            ("/a\\?b", None),
            ("/(", None),
            ("/a{1000}", None),
        ] {
            let sample = Pattern::Regex(expression.to_owned()).sample();
            assert_eq!(sample.as_deref(), expected, "{expression}");
        }
    }

    #[test]
    fn literals_are_their_own() {
        for (path, expected) in [
            ("/", true),
            ("/a/b~c$d'e(f)*;g=h&i", true),
            ("/ä", false),
            ("/a b", false),
            ("/a%20", false),
            ("/a?b", false),
            ("/{a}", false),
            ("/a//b", false),
            ("/a/../b", false),
        ] {
            let sample = Pattern::Prefix(path.to_owned()).sample();
            assert_eq!(sample.as_deref(), expected.then_some(path), "{path}");
        }
    }

    #[test]
    fn the_first_that_takes_a_path() {
        let patterns = [
            Pattern::Exact("/a".to_owned()),
            Pattern::Regex("/b[0-9]".to_owned()),
            Pattern::Elements("/b".to_owned()),
            Pattern::Regex("/c.*".to_owned()),
            Pattern::Prefix("/".to_owned()),
        ];
        let paths = Paths::new(patterns.iter());
        let without_set = Paths {
            patterns: patterns.iter().collect(),
            regexes: None,
        };
        for (path, expected) in [
            ("/a", 0),
            ("/a/x", 4),
            ("/b1", 1),
            ("/b12", 4),
            ("/b/1", 2),
            ("/b", 2),
            ("/cd", 3),
            ("/", 4),
        ] {
            assert_eq!(paths.first(path), Some(expected), "{path}");
            assert_eq!(without_set.first(path), Some(expected), "{path}");
        }
        assert_eq!(paths.first("x"), None);
    }
}
