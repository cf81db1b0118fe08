//! Names of trust bundles: what each is made from.

use std::sync::Arc;

use crate::objects::NamespacedName;

/// What a [`crate::model::TrustBundle`] is made from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustBundleKey {
    /// The Secret with the authorities, as `ca.crt`.
    pub authorities: NamespacedName,
    /// The Secret with the lists of revoked certificates, as `crl.pem`.
    pub revocations: Option<NamespacedName>,
}

/// What stands before the name of a Secret: a certificate's name is that of a Secret alone.
const AUTHORITIES: &str = "ca:";
const REVOCATIONS: &str = "+crl:";

impl TrustBundleKey {
    /// Of these Secrets.
    #[must_use]
    pub const fn new(authorities: NamespacedName, revocations: Option<NamespacedName>) -> Self {
        Self {
            authorities,
            revocations,
        }
    }

    /// The bundle's name, which tells the key: neither namespaces nor names of Secrets have a `+`, `:` or `/`.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        let authorities = &self.authorities;
        match &self.revocations {
            None => format!("{AUTHORITIES}{authorities}").into(),
            Some(revocations) => {
                format!("{AUTHORITIES}{authorities}{REVOCATIONS}{revocations}").into()
            }
        }
    }

    /// Reads [`Self::name`] back; `None` for what is no such name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(AUTHORITIES)?;
        let (authorities, revocations) = match rest.split_once(REVOCATIONS) {
            Some((authorities, revocations)) => (authorities, Some(revocations)),
            None => (rest, None),
        };
        let secret = |text: &str| {
            let (namespace, name) = text.split_once('/')?;
            Some(NamespacedName::new(namespace, name))
        };
        Some(Self {
            authorities: secret(authorities)?,
            revocations: match revocations {
                None => None,
                Some(text) => Some(secret(text)?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_key() {
        let secret = |name: &str| NamespacedName::new("certs", name);
        for (revocations, expected) in [
            (None, "ca:certs/ca"),
            (Some(secret("crl")), "ca:certs/ca+crl:certs/crl"),
        ] {
            let key = TrustBundleKey::new(secret("ca"), revocations);
            assert_eq!(*key.name(), *expected);
            assert_eq!(TrustBundleKey::from_name(&key.name()), Some(key));
        }
        for name in ["certs/ca", "ca:ca", "ca:certs/ca+crl:crl", ""] {
            assert_eq!(TrustBundleKey::from_name(name), None, "{name:?}");
        }
    }
}
