//! What TLS may use: versions, cipher suites, groups.

/// What may be used, of either side. By default what is safe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsParameters {
    /// Versions.
    pub versions: TlsSettings,
    /// For TLS 1.2, the best first; empty for our own choice. TLS 1.3 has only good ones and no choice.
    pub cipher_suites: Vec<CipherSuite>,
    /// Groups of the key exchange, the best first; empty for Envoy's own choice.
    pub groups: Vec<Group>,
}

/// Versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TlsSettings {
    /// The lowest version.
    pub minimum: TlsVersion,
    /// The highest version.
    pub maximum: TlsVersion,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            minimum: TlsVersion::V1_2,
            maximum: TlsVersion::V1_3,
        }
    }
}

/// A version of TLS that is still safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

macro_rules! names {
    ($(#[$doc:meta])* $type:ident, $what:literal, $names:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(&'static str);

        impl $type {
            const NAMES: &[&str] = &$names;

            /// By its name.
            ///
            /// # Errors
            ///
            /// One sentence where Envoy does not have it, and would refuse the whole listener or cluster.
            pub fn new(name: &str) -> Result<Self, String> {
                let found = Self::NAMES.iter().find(|known| **known == name);
                let known = Self::NAMES.join(", ");
                found.map(|name| Self(name)).ok_or_else(|| {
                    format!(concat!("{:?} is no ", $what, " of Envoy's; it has {}"), name, known)
                })
            }

            /// All of them.
            pub fn all() -> impl Iterator<Item = Self> {
                Self::NAMES.iter().map(|name| Self(name))
            }

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                self.0
            }
        }
    };
}

names! {
    /// A cipher suite of TLS 1.2, by BoringSSL's name. Those with a key exchange without forward secrecy are there because old
    /// clients and back ends have nothing else: who wants them asks for them.
    CipherSuite, "cipher suite", [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA",
        "ECDHE-RSA-AES256-SHA",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "AES128-SHA",
        "AES256-SHA",
    ]
}

names! {
    /// A group of the key exchange, by BoringSSL's name.
    Group, "group", ["X25519MLKEM768", "X25519", "P-256", "P-384", "P-521"]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_envoy_lacks_is_refused_with_what_it_has() {
        for suite in CipherSuite::all() {
            assert_eq!(CipherSuite::new(suite.as_str()).unwrap(), suite);
        }
        let refused = CipherSuite::new("DES-CBC3-SHA").unwrap_err();
        assert!(
            refused.starts_with("\"DES-CBC3-SHA\" is no cipher suite of Envoy's; it has ECDHE-")
        );
        assert!(Group::new("p-256").is_err());
        assert!(Group::new("P-256").is_ok());
    }
}
