//! Conditions on the values of headers and query parameters.

use std::sync::Arc;

use super::header::HeaderName;
use super::regex::Expression;

/// A condition on a header. Of one that comes on several lines any line's value is enough, and none may have what is
/// negated; a list on one line is one text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderMatch {
    /// Its name, or a pseudo header's.
    pub name: HeaderName,
    /// What its value must be.
    pub value: HeaderPredicate,
}

/// What a header must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeaderPredicate {
    /// There, with such a value.
    Is(TextMatch),
    /// There, whatever it is.
    Present,
    /// Not there.
    Absent,
}

/// What a header's value must be. A header that is missing has no value, so neither a condition nor its opposite takes
/// it, unless it counts as empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TextMatch {
    /// The text.
    pub pattern: StringMatch,
    /// Whether it must not be that.
    pub negated: bool,
    /// Whether a missing header counts as an empty one.
    pub missing_is_empty: bool,
}

impl TextMatch {
    /// There, and this.
    #[must_use]
    pub const fn of(pattern: StringMatch) -> Self {
        Self {
            pattern,
            negated: false,
            missing_is_empty: false,
        }
    }
}

/// A condition on a query parameter. Of one that comes several times the first counts. Its name is compared as it stands,
/// and its value as the client has escaped it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryMatch {
    /// Its name.
    pub name: Arc<str>,
    /// What its value must be.
    pub value: QueryPredicate,
}

/// What a query parameter must be. Envoy 1.40 knows no opposite of a text for them, and no language asks for one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueryPredicate {
    /// There, with such a value.
    Is(StringMatch),
    /// There, whatever it is.
    Present,
    /// Not there.
    Absent,
}

impl QueryMatch {
    /// Longest name that Envoy takes.
    const MAX_NAME: usize = 1024;

    /// A condition on the parameter of that name.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse the name.
    pub fn new(name: &str, value: QueryPredicate) -> Result<Self, String> {
        if name.is_empty() || name.len() > Self::MAX_NAME {
            let most = Self::MAX_NAME;
            return Err(format!(
                "the name of a query parameter has from 1 to {most} bytes"
            ));
        }
        Ok(Self {
            name: name.into(),
            value,
        })
    }
}

/// A text. The order of the variants is Contour's order of routes that differ in nothing else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StringMatch {
    /// Exactly this.
    Exact(Text),
    /// A whole match of this expression, which says by itself how case counts.
    Regex(Expression),
    /// Begins with this.
    Prefix(Text),
    /// Ends with this.
    Suffix(Text),
    /// Has this in it.
    Contains(Text),
}

/// A text to compare with, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text {
    text: Arc<str>,
    ignores_case: bool,
}

impl Text {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether upper and lower case of ASCII are one.
    #[must_use]
    pub const fn ignores_case(&self) -> bool {
        self.ignores_case
    }
}

impl StringMatch {
    /// Exactly this.
    #[must_use]
    pub fn exact(text: &str) -> Self {
        Self::Exact(Text {
            text: text.into(),
            ignores_case: false,
        })
    }

    /// A text that begins with this.
    ///
    /// # Errors
    ///
    /// One sentence where it is empty, which Envoy refuses (every text begins with nothing).
    pub fn prefix(text: &str) -> Result<Self, String> {
        part(text).map(Self::Prefix)
    }

    /// A text that ends with this.
    ///
    /// # Errors
    ///
    /// As [`Self::prefix`].
    pub fn suffix(text: &str) -> Result<Self, String> {
        part(text).map(Self::Suffix)
    }

    /// A text that has this in it.
    ///
    /// # Errors
    ///
    /// As [`Self::prefix`].
    pub fn contains(text: &str) -> Result<Self, String> {
        part(text).map(Self::Contains)
    }

    /// A text of which this matches the whole.
    ///
    /// # Errors
    ///
    /// As [`Expression::new`].
    pub fn regex(text: &str) -> Result<Self, String> {
        Expression::new(text).map(Self::Regex)
    }

    /// The same where upper and lower case are one.
    ///
    /// # Errors
    ///
    /// As [`Expression::ignoring_case`].
    pub fn ignoring_case(self) -> Result<Self, String> {
        let folded = |text: Text| Text {
            ignores_case: true,
            ..text
        };
        Ok(match self {
            Self::Exact(text) => Self::Exact(folded(text)),
            Self::Prefix(text) => Self::Prefix(folded(text)),
            Self::Suffix(text) => Self::Suffix(folded(text)),
            Self::Contains(text) => Self::Contains(folded(text)),
            Self::Regex(expression) => Self::Regex(Expression::ignoring_case(expression.as_str())?),
        })
    }

    /// Whether it takes this text.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let folded = |text: &Text, value: &str| match text.ignores_case() {
            true => (
                text.as_str().to_ascii_lowercase(),
                value.to_ascii_lowercase(),
            ),
            false => (text.as_str().to_owned(), value.to_owned()),
        };
        let compared = |text, by: fn(&str, &str) -> bool| {
            let (text, value) = folded(text, value);
            by(&value, &text)
        };
        match self {
            Self::Exact(text) => compared(text, |value, text| value == text),
            Self::Prefix(text) => compared(text, |value, text| value.starts_with(text)),
            Self::Suffix(text) => compared(text, |value, text| value.ends_with(text)),
            Self::Contains(text) => compared(text, |value, text| value.contains(text)),
            Self::Regex(expression) => expression.matches(value),
        }
    }

    /// What was written.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Prefix(text) | Self::Suffix(text) | Self::Contains(text) => {
                text.as_str()
            }
            Self::Regex(expression) => expression.as_str(),
        }
    }
}

fn part(text: &str) -> Result<Text, String> {
    if text.is_empty() {
        return Err("the text to look for is empty".into());
    }
    Ok(Text {
        text: text.into(),
        ignores_case: false,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_envoy_would_refuse_is_refused() {
        assert!(StringMatch::prefix("").is_err());
        assert!(StringMatch::suffix("").is_err());
        assert!(StringMatch::contains("").is_err());
        assert!(StringMatch::regex("(").is_err());
        for (name, is_taken) in [("", false), ("q", true), (&"q".repeat(1025), false)] {
            let got = QueryMatch::new(name, QueryPredicate::Present);
            assert_eq!(got.is_ok(), is_taken, "{name:?}");
        }
    }

    #[test]
    fn texts_are_taken_or_not() {
        let kinds = |text| {
            [
                StringMatch::exact(text),
                StringMatch::prefix(text).unwrap(),
                StringMatch::suffix(text).unwrap(),
                StringMatch::contains(text).unwrap(),
                StringMatch::regex(text).unwrap(),
            ]
        };
        for (value, expected) in [
            ("aB", [true; 5]),
            ("aBc", [false, true, false, true, false]),
            ("caB", [false, false, true, true, false]),
            ("ab", [false; 5]),
        ] {
            assert_eq!(kinds("aB").map(|it| it.matches(value)), expected, "{value}");
        }
        let folded = kinds("aB").map(|it| it.ignoring_case().unwrap());
        assert_eq!(folded.map(|it| it.matches("Ab")), [true; 5]);
    }

    #[test]
    fn case_is_ignored_by_every_kind() {
        for kind in [
            StringMatch::exact("aB"),
            StringMatch::prefix("aB").unwrap(),
            StringMatch::suffix("aB").unwrap(),
            StringMatch::contains("aB").unwrap(),
            StringMatch::regex("aB").unwrap(),
        ] {
            let folded = kind.clone().ignoring_case().unwrap();
            assert_ne!(folded, kind);
            assert_eq!(folded.text(), kind.text());
        }
    }
}
