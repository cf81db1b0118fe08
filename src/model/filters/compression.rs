//! Answers that are made smaller on their way to clients that can read that.

use std::collections::BTreeSet;
use std::sync::Arc;

/// How answers are compressed. What an answer is compressed by already, and what a client does not accept, stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Compression {
    algorithms: Vec<Algorithm>,
    content_types: BTreeSet<Arc<str>>,
    /// Answers that say that they are shorter stay as they are.
    pub min_length: u32,
}

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
    /// `gzip`.
    Gzip,
}

impl Compression {
    /// What compresses well. Pictures, films and archives are compressed as they are.
    pub const CONTENT_TYPES: [&str; 10] = [
        "application/javascript",
        "application/json",
        "application/wasm",
        "application/xhtml+xml",
        "application/xml",
        "image/svg+xml",
        "text/css",
        "text/html",
        "text/plain",
        "text/xml",
    ];

    /// By these, the first that the client likes as much as any other; answers of these types, whatever follows a `;`.
    ///
    /// # Errors
    ///
    /// One sentence where it would compress nothing, or a type is none.
    pub fn new(algorithms: &[Algorithm], content_types: &[&str]) -> Result<Self, String> {
        let mut seen = BTreeSet::new();
        let once = algorithms
            .iter()
            .filter(|algorithm| seen.insert(**algorithm));
        let algorithms: Vec<Algorithm> = once.copied().collect();
        if algorithms.is_empty() {
            return Err("compression names no algorithm".into());
        }
        if content_types.is_empty() {
            return Err("compression names no content type".into());
        }
        let is_type = |name: &&str| {
            let bytes = |text: &str| {
                let is_byte =
                    |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
                !text.is_empty() && text.bytes().all(is_byte)
            };
            name.split_once('/')
                .is_some_and(|(kind, rest)| bytes(kind) && bytes(rest))
        };
        if let Some(wrong) = content_types.iter().find(|name| !is_type(name)) {
            return Err(format!("{wrong:?} is no content type (RFC 6838, 4.2)"));
        }
        Ok(Self {
            algorithms,
            content_types: content_types
                .iter()
                .map(|name| name.to_ascii_lowercase().into())
                .collect(),
            min_length: 1024,
        })
    }

    /// By which, the best first.
    #[must_use]
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// Of which types answers are compressed, in lower case.
    #[must_use]
    pub const fn content_types(&self) -> &BTreeSet<Arc<str>> {
        &self.content_types
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn it_compresses_something_by_something() {
        let all = Compression::CONTENT_TYPES;
        let twice = [Algorithm::Gzip, Algorithm::Brotli, Algorithm::Gzip];
        let of = Compression::new(&twice, &all).unwrap();
        assert_eq!(of.algorithms(), [Algorithm::Gzip, Algorithm::Brotli]);
        assert!(Compression::new(&[], &all).is_err());
        assert!(Compression::new(&twice, &[]).is_err());
        for wrong in [
            "",
            "text",
            "text/",
            "/html",
            "text/html; charset=utf-8",
            "text/*",
            "a/b/c",
        ] {
            assert!(Compression::new(&twice, &[wrong]).is_err(), "{wrong:?}");
        }
    }
}
