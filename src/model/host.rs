//! Host names, as virtual hosts have them.

use std::fmt;
use std::sync::Arc;

/// A lower-case host name without port: exact (`a.example.com`), for one label (`*.example.com`), or for every
/// host (`*`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Arc<str>);

impl Host {
    /// The host of rules that name none.
    #[must_use]
    pub fn any() -> Self {
        Self("*".into())
    }

    /// Takes a name that was validated and lower-cased when its object was decoded.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    /// Whether it is `*`.
    #[must_use]
    pub fn is_any(&self) -> bool {
        &*self.0 == "*"
    }

    /// Whether it stands for names that nobody names: `*.example.com` or `*`.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with('*')
    }

    /// For `*.example.com` the part after the star, `.example.com`.
    #[must_use]
    pub fn wildcard_suffix(&self) -> Option<&str> {
        if self.is_any() {
            None
        } else {
            self.0.strip_prefix('*')
        }
    }

    /// For an exact host of two or more labels the wildcard that covers it: `*.example.com` for `a.example.com`.
    #[must_use]
    pub fn covering_wildcard(&self) -> Option<Self> {
        if self.0.starts_with('*') {
            return None;
        }
        let (_, parent) = self.0.split_once('.')?;
        Some(Self(format!("*.{parent}").into()))
    }

    /// The wildcards whose suffix the host has, the longest first. Envoy tries them in this order; all but
    /// [`Self::covering_wildcard`] are for names of fewer labels.
    pub fn wildcards_above(&self) -> impl Iterator<Item = Self> {
        let name = self.0.trim_start_matches("*.");
        let dots = name.match_indices('.');
        dots.map(|(dot, _)| Self(format!("*{}", &name[dot..]).into()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
