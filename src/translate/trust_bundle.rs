//! Trust bundles: which Secrets one is made from, as its name tells.

use std::fmt;
use std::sync::Arc;

use crate::model::TrustBundle;
use crate::objects::{Field, Kind, NamespacedName};

use super::{Input, source};

/// What a trust bundle is made from. There is one for each pair that is named, and its name tells both, so that whoever has
/// the name knows what it is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustBundleKey {
    /// The Secret whose `ca.crt` has the authorities.
    pub authorities: NamespacedName,
    /// The Secret whose `crl.pem` says what they have revoked.
    pub revocations: Option<NamespacedName>,
}

/// What a name begins with: the name of a certificate has one slash, and that of a bundle two or five.
const PREFIX: &str = "authorities";

/// What stands between the two Secrets.
const REVOCATIONS: &str = "revocations";

impl TrustBundleKey {
    /// The name of the bundle in the model and on the wire.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        self.to_string().into()
    }

    /// What the bundle of this name is made from; `None` for what is no bundle's name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let words: Vec<&str> = name.split('/').collect();
        match *words {
            [PREFIX, namespace, name] => Some(Self {
                authorities: NamespacedName::new(namespace, name),
                revocations: None,
            }),
            [PREFIX, namespace, name, REVOCATIONS, of, list] => Some(Self {
                authorities: NamespacedName::new(namespace, name),
                revocations: Some(NamespacedName::new(of, list)),
            }),
            _ => None,
        }
    }
}

impl fmt::Display for TrustBundleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}/{}", self.authorities)?;
        match &self.revocations {
            Some(revocations) => write!(f, "/{REVOCATIONS}/{revocations}"),
            None => Ok(()),
        }
    }
}

/// A trust bundle, `None` where a Secret is missing, or what it is to have is missing or broken. Whoever names one reads that
/// too, so none is left without.
#[must_use]
pub fn trust_bundle(input: Input<'_>, key: &TrustBundleKey) -> Option<TrustBundle> {
    let authorities = input.reader.secret(&key.authorities)?;
    let revocations = match &key.revocations {
        None => None,
        Some(name) => Some(input.reader.secret(name)?.check_revocations().ok()?.clone()),
    };
    Some(TrustBundle {
        name: key.name(),
        certificates: authorities.check_authorities().ok()?.clone(),
        revocations,
        source: source(Kind::Secret, &key.authorities, Field::Data),
        revocations_source: key
            .revocations
            .as_ref()
            .map(|name| source(Kind::Secret, name, Field::Data)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_what_a_bundle_is_of() {
        let secret = |name: &str| NamespacedName::new("ns", name);
        for (revocations, expected) in [
            (None, "authorities/ns/ca"),
            (Some(secret("crl")), "authorities/ns/ca/revocations/ns/crl"),
        ] {
            let key = TrustBundleKey {
                authorities: secret("ca"),
                revocations,
            };
            assert_eq!(&*key.name(), expected);
            assert_eq!(TrustBundleKey::of_name(expected), Some(key));
        }
        for name in [
            "",
            "ns/ca",
            "authorities/ca",
            "authorities/ns/ca/x/ns/crl",
            "other/ns/ca",
        ] {
            assert_eq!(TrustBundleKey::of_name(name), None, "{name}");
        }
    }
}
