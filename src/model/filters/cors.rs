//! Which pages of other origins may use a route (CORS, the Fetch standard).

use std::sync::Arc;
use std::time::Duration;

use crate::model::header::is_token_byte;
use crate::model::value_match::StringMatch;

/// Which pages may use a route, and how. An answer to an allowed origin names that origin, and one to any other says
/// nothing; no answer says `Vary: Origin`, which Envoy does not add.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cors {
    origins: Origins,
    methods: Arc<str>,
    headers: Arc<str>,
    exposed: Arc<str>,
    /// How long a browser may keep the answer to a preflight, to the second: none is left to it, zero is not at all.
    pub max_age: Option<Duration>,
    /// Whether requests may have credentials.
    pub allows_credentials: bool,
    /// Whether pages of public addresses may use it where its own is private.
    pub allows_private_network: bool,
    /// Whether the back end sees preflights of other origins, instead of an answer that allows nothing.
    pub forwards_other_preflights: bool,
}

/// Origins that are allowed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origins {
    /// All of them. Answers name the one that asks, so that credentials are possible.
    All,
    /// Any of these. None may match the text `*`, which to Envoy 1.40 is every origin.
    Like(Vec<StringMatch>),
}

impl Cors {
    /// These methods may be used and these headers sent from these origins, and these headers of answers may be read. `*`
    /// is all that is asked for; a list without any is not sent.
    ///
    /// # Errors
    ///
    /// One sentence where a name is none, or where more origins would be allowed than it says.
    pub fn new<'a>(
        origins: Origins,
        methods: impl IntoIterator<Item = &'a str>,
        headers: impl IntoIterator<Item = &'a str>,
        exposed: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, String> {
        if let Origins::Like(patterns) = &origins
            && let Some(pattern) = patterns.iter().find(|it| it.matches("*"))
        {
            let text = pattern.text();
            return Err(format!(
                "{text:?} takes the text `*`, by which Envoy would allow every origin"
            ));
        }
        Ok(Self {
            origins,
            methods: list(methods, "method")?,
            headers: list(headers, "header name")?,
            exposed: list(exposed, "header name")?,
            max_age: None,
            allows_credentials: false,
            allows_private_network: false,
            forwards_other_preflights: false,
        })
    }

    /// Who may.
    #[must_use]
    pub const fn origins(&self) -> &Origins {
        &self.origins
    }

    /// The methods, as the header has them.
    #[must_use]
    pub fn methods(&self) -> &str {
        &self.methods
    }

    /// The request's headers, as the header has them.
    #[must_use]
    pub fn headers(&self) -> &str {
        &self.headers
    }

    /// The answer's headers, as the header has them.
    #[must_use]
    pub fn exposed(&self) -> &str {
        &self.exposed
    }
}

fn list<'a>(names: impl IntoIterator<Item = &'a str>, what: &str) -> Result<Arc<str>, String> {
    let names: Vec<&str> = names.into_iter().collect();
    let is_token = |name: &&str| !name.is_empty() && name.bytes().all(is_token_byte);
    match names.iter().find(|name| !is_token(name)) {
        Some(name) => Err(format!("{name:?} is no {what} (RFC 9110, 5.6.2)")),
        None => Ok(names.join(",").into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Envoy asks each pattern whether it takes `*`, before it asks about the origin.
    #[test]
    fn no_pattern_opens_to_all() {
        let is_taken = |pattern: Result<StringMatch, String>| {
            let origins = Origins::Like(vec![StringMatch::exact("https://a"), pattern.unwrap()]);
            Cors::new(origins, [], [], []).is_ok()
        };
        assert!(!is_taken(Ok(StringMatch::exact("*"))));
        assert!(!is_taken(StringMatch::prefix("*")));
        assert!(!is_taken(StringMatch::suffix("*")));
        assert!(!is_taken(StringMatch::contains("*")));
        for (expression, expected) in [
            ("[^.]*", false),
            (".*", false),
            (r"a|\*", false),
            (r"https://[^.]*", true),
            (r"https://.*|\w+", true),
        ] {
            let plain = StringMatch::regex(expression);
            assert_eq!(is_taken(plain.clone()), expected, "{expression}");
            assert_eq!(is_taken(plain.unwrap().ignoring_case()), expected);
        }
    }

    #[test]
    fn names_are_tokens() {
        let cors = |methods: &[&str], headers: &[&str]| {
            let (methods, headers) = (methods.iter().copied(), headers.iter().copied());
            Cors::new(Origins::All, methods, headers, [])
        };
        let good = cors(&["GET", "PUT"], &["*"]).unwrap();
        assert_eq!((good.methods(), good.headers()), ("GET,PUT", "*"));
        assert!(cors(&[], &[]).unwrap().exposed().is_empty());
        for name in ["", "a b", "a,b", "a\r\nb", "\u{e4}"] {
            assert!(cors(&[name], &[]).is_err(), "{name:?}");
            assert!(cors(&[], &[name]).is_err(), "{name:?}");
        }
    }
}
