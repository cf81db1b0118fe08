//! Names and hashes of passwords: the lines of an htpasswd file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// Names and hashes of passwords. They can be copied into a secret's bytes, compared and looked up, and in no other way seen: the
/// `Debug` says how many there are (I10). Their memory is wiped with the last copy.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials(Arc<Users>);

#[derive(PartialEq, Eq)]
struct Users {
    hashes: BTreeMap<String, Zeroizing<String>>,
    /// How many there are whose hash nobody can check, or may: they can't log in.
    unusable: usize,
}

/// How a hash is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKind {
    /// `$2y$`, `$2a$`, `$2b$`.
    Bcrypt,
    /// `$apr1$`.
    Apr1,
    /// `$1$`.
    Md5Crypt,
    /// `$5$`.
    Sha256Crypt,
    /// `$6$`.
    Sha512Crypt,
    /// `{SHA}`.
    Sha,
    /// `{SSHA}`.
    SaltedSha,
    /// `{PLAIN}`: none.
    Plain,
}

impl HashKind {
    /// The most that bcrypt may cost: 14 is a second of a core.
    pub const MAX_BCRYPT_COST: u32 = 14;
    /// The most rounds of `$5$` and `$6$`: a second of a core.
    pub const MAX_ROUNDS: u32 = 500_000;

    /// Which of them a hash is; `None` for one that nobody can check, or that costs more than it may.
    #[must_use]
    pub fn of(hash: &str) -> Option<Self> {
        const PREFIXES: [(&str, HashKind); 10] = [
            ("$2y$", HashKind::Bcrypt),
            ("$2a$", HashKind::Bcrypt),
            ("$2b$", HashKind::Bcrypt),
            ("$apr1$", HashKind::Apr1),
            ("$1$", HashKind::Md5Crypt),
            ("$5$", HashKind::Sha256Crypt),
            ("$6$", HashKind::Sha512Crypt),
            ("{SHA}", HashKind::Sha),
            ("{SSHA}", HashKind::SaltedSha),
            ("{PLAIN}", HashKind::Plain),
        ];
        let (rest, kind) = PREFIXES
            .iter()
            .find_map(|(prefix, kind)| Some((hash.strip_prefix(prefix)?, *kind)))?;
        let is_bounded = match kind {
            Self::Bcrypt => {
                let cost = rest.split('$').next().and_then(|cost| cost.parse().ok());
                cost.is_some_and(|cost: u32| (4..=Self::MAX_BCRYPT_COST).contains(&cost))
            }
            Self::Sha256Crypt | Self::Sha512Crypt => match rest.strip_prefix("rounds=") {
                None => true,
                Some(rounds) => {
                    let rounds = rounds.split('$').next().and_then(|it| it.parse().ok());
                    rounds.is_some_and(|rounds: u32| (1000..=Self::MAX_ROUNDS).contains(&rounds))
                }
            },
            _ => true,
        };
        is_bounded.then_some(kind)
    }
}

impl Credentials {
    /// Most names of one.
    const MOST: usize = 10_000;
    /// Longest hash, in bytes.
    const LONGEST: usize = 512;

    /// Reads the lines of a file: `name:hash`, and whatever follows another colon is a comment, as nginx has it. Of two of a name
    /// the first counts.
    ///
    /// # Errors
    ///
    /// One sentence that quotes nothing.
    pub fn from_htpasswd(key: &str, text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|_| format!("its {key} is no UTF-8"))?;
        let lines = text.lines().map(str::trim_end);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let users = lines.filter_map(|line| {
            let (name, rest) = line.split_once(':')?;
            Some((name, rest.split(':').next().unwrap_or(rest)))
        });
        Self::new(users).map_err(|why| format!("its {key} {why}"))
    }

    /// Of names and hashes.
    ///
    /// # Errors
    ///
    /// The rest of a sentence that quotes nothing.
    pub fn new<'a>(users: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, String> {
        let mut all = Users {
            hashes: BTreeMap::new(),
            unusable: 0,
        };
        // A later line of a name counts for nothing, be the first one usable or not: it may be how somebody is locked out.
        let mut seen = BTreeSet::new();
        for (name, hash) in users {
            if name.is_empty() || !seen.insert(name) {
                continue;
            }
            if hash.len() > Self::LONGEST || HashKind::of(hash).is_none() {
                all.unusable += 1;
                continue;
            }
            if seen.len() > Self::MOST {
                return Err(format!("has more than {} names", Self::MOST));
            }
            let hash = Zeroizing::new(hash.to_owned());
            all.hashes.insert(name.to_owned(), hash);
        }
        match all.hashes.is_empty() {
            true => Err(
                "has no line name:hash with a hash by bcrypt, apr1, MD5, SHA-1, SHA-256 or SHA-512"
                    .into(),
            ),
            false => Ok(Self(Arc::new(all))),
        }
    }

    /// The hash of a name.
    #[must_use]
    pub fn hash(&self, name: &str) -> Option<&str> {
        self.0.hashes.get(name).map(|hash| hash.as_str())
    }

    /// How many names can't log in, as nobody can check their hash.
    #[must_use]
    pub fn unusable(&self) -> usize {
        self.0.unusable
    }

    /// The lines, for the one place that encodes them for SDS.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let length = |(name, hash): (&String, &Zeroizing<String>)| name.len() + hash.len() + 2;
        // In one piece: what a string leaves behind as it grows is not wiped.
        let mut lines = Zeroizing::new(String::with_capacity(
            self.0.hashes.iter().map(length).sum(),
        ));
        for (name, hash) in &self.0.hashes {
            lines.push_str(name);
            lines.push(':');
            lines.push_str(hash);
            lines.push('\n');
        }
        lines
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, redacted)", self.0.hashes.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn lines_are_read_as_nginx_reads_them() {
        let text = b"# comment\na:{SHA}x\na:{PLAIN}other\nc:!locked\nc:{PLAIN}old\n\nb:$apr1$x$y:comment\r\nraw:secret\nno line\n:x\n";
        let found = Credentials::from_htpasswd("auth", text).unwrap();
        assert_eq!(found.hash("a"), Some("{SHA}x"));
        assert_eq!(found.hash("b"), Some("$apr1$x$y"));
        assert_eq!((found.hash("raw"), found.hash("")), (None, None));
        assert_eq!(found.hash("c"), None);
        assert_eq!(found.unusable(), 2);
        assert_eq!(found.expose().as_str(), "a:{SHA}x\nb:$apr1$x$y\n");
        let again = Credentials::from_htpasswd("auth", found.expose().as_bytes()).unwrap();
        assert_eq!(again.expose(), found.expose());
        let shown = format!("{found:?}");
        assert!(!shown.contains("SHA"), "{shown}");
        for none in ["", "raw:secret", "no line", "\u{0}"] {
            let why = Credentials::from_htpasswd("auth", none.as_bytes()).unwrap_err();
            assert!(why.starts_with("its auth has no line"), "{why}");
        }
        assert!(Credentials::from_htpasswd("auth", b"\xff:x").is_err());
    }

    #[test]
    fn what_a_hash_costs_is_bounded() {
        for (hash, expected) in [
            ("$2y$05$x", Some(HashKind::Bcrypt)),
            ("$2b$14$x", Some(HashKind::Bcrypt)),
            ("$2y$15$x", None),
            ("$2y$03$x", None),
            ("$2y$x", None),
            ("$6$salt$x", Some(HashKind::Sha512Crypt)),
            ("$5$rounds=500000$salt$x", Some(HashKind::Sha256Crypt)),
            ("$5$rounds=500001$salt$x", None),
            ("$6$rounds=1$salt$x", None),
            ("$y$j9T$x", None),
            ("abJnggxhB/yWI", None),
            ("", None),
        ] {
            assert_eq!(HashKind::of(hash), expected, "{hash}");
        }
    }
}
