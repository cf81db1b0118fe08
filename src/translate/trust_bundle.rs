//! Trust bundles: which objects one is made from, as its name tells.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::model::TrustBundle;
use crate::objects::{CaCertificates, Field, Kind, NamespacedName, ObjectRef};

use super::{Input, source};

/// What a trust bundle is made from. There is one for each pair that is named, and its name tells both, so that whoever has
/// the name knows what it is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustBundleKey {
    /// What has the authorities.
    pub authorities: AuthoritiesOf,
    /// The Secret whose `crl.pem` says what they have revoked.
    pub revocations: Option<NamespacedName>,
}

/// The objects whose `ca.crt` has authorities.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthoritiesOf {
    /// A Secret.
    Secret(NamespacedName),
    /// ConfigMaps, at least one: what all of them have.
    ConfigMaps(BTreeSet<NamespacedName>),
}

/// What a name begins with: the name of a certificate has one slash, and that of a bundle more.
const PREFIX: &str = "authorities/";

/// What follows where ConfigMaps have them. A Secret of a namespace of this name has one slash less behind it.
const CONFIG_MAPS: &str = "configmaps/";

/// What stands between two ConfigMaps. No name has it.
const AND: char = '+';

/// What stands between the two Secrets. It is a word of its own between slashes: a Secret may have this name, and a namespace.
const REVOCATIONS: &str = "revocations";

impl TrustBundleKey {
    /// What a Secret has.
    #[must_use]
    pub const fn of_secret(name: NamespacedName) -> Self {
        Self {
            authorities: AuthoritiesOf::Secret(name),
            revocations: None,
        }
    }

    /// What these ConfigMaps have, at least one.
    #[must_use]
    pub const fn of_config_maps(names: BTreeSet<NamespacedName>) -> Self {
        Self {
            authorities: AuthoritiesOf::ConfigMaps(names),
            revocations: None,
        }
    }

    /// The name of the bundle in the model and on the wire.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        self.to_string().into()
    }

    /// What the bundle of this name is made from; `None` for what is no bundle's name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(PREFIX)?;
        let maps = rest.strip_prefix(CONFIG_MAPS);
        let maps = maps.map(|names| names.split(AND).map(object).collect::<Option<_>>());
        if let Some(Some(names)) = maps {
            return Some(Self::of_config_maps(names));
        }
        let secret = |namespace: &str, name: &str| object(&format!("{namespace}/{name}"));
        let mut words = rest.splitn(6, '/');
        let words: [Option<&str>; 6] = std::array::from_fn(|_| words.next());
        let (authorities, revocations) = match words {
            [Some(namespace), Some(name), None, ..] => (secret(namespace, name)?, None),
            [
                Some(namespace),
                Some(name),
                Some(REVOCATIONS),
                Some(of_lists),
                Some(lists),
                None,
            ] => (secret(namespace, name)?, Some(secret(of_lists, lists)?)),
            _ => return None,
        };
        Some(Self {
            authorities: AuthoritiesOf::Secret(authorities),
            revocations,
        })
    }

    /// The objects that it is made from.
    pub fn objects(&self) -> impl Iterator<Item = ObjectRef> + use<> {
        let of = |kind| {
            move |name: &NamespacedName| ObjectRef {
                kind,
                name: name.clone(),
            }
        };
        let authorities: Vec<ObjectRef> = match &self.authorities {
            AuthoritiesOf::Secret(name) => vec![of(Kind::Secret)(name)],
            AuthoritiesOf::ConfigMaps(names) => names.iter().map(of(Kind::ConfigMap)).collect(),
        };
        let revocations = self.revocations.as_ref().map(of(Kind::Secret));
        authorities.into_iter().chain(revocations)
    }
}

/// `namespace/name`.
fn object(text: &str) -> Option<NamespacedName> {
    let (namespace, name) = text.split_once('/')?;
    let is_name = !namespace.is_empty() && !name.is_empty() && !name.contains('/');
    is_name.then(|| NamespacedName::new(namespace, name))
}

impl fmt::Display for TrustBundleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        match &self.authorities {
            AuthoritiesOf::Secret(name) => write!(f, "{name}")?,
            AuthoritiesOf::ConfigMaps(names) => {
                f.write_str(CONFIG_MAPS)?;
                for (place, name) in names.iter().enumerate() {
                    if place > 0 {
                        write!(f, "{AND}")?;
                    }
                    write!(f, "{name}")?;
                }
            }
        }
        match &self.revocations {
            Some(revocations) => write!(f, "/{REVOCATIONS}/{revocations}"),
            None => Ok(()),
        }
    }
}

/// A trust bundle, `None` where an object is missing, or what it is to have is missing or broken. Whoever names one reads that
/// too, so none is left without.
#[must_use]
pub fn trust_bundle(input: Input<'_>, key: &TrustBundleKey) -> Option<TrustBundle> {
    let revocations = match &key.revocations {
        None => None,
        Some(name) => Some(input.reader.secret(name)?.check_revocations().ok()?.clone()),
    };
    let first = key.objects().next()?;
    Some(TrustBundle {
        name: key.name(),
        certificates: certificates(input, &key.authorities)?,
        revocations,
        source: source(first.kind, &first.name, Field::Data),
        revocations_source: key
            .revocations
            .as_ref()
            .map(|name| source(Kind::Secret, name, Field::Data)),
    })
}

fn certificates(input: Input<'_>, of: &AuthoritiesOf) -> Option<CaCertificates> {
    match of {
        AuthoritiesOf::Secret(name) => {
            let secret = input.reader.secret(name)?;
            secret.check_authorities().ok().cloned()
        }
        AuthoritiesOf::ConfigMaps(names) => {
            let mut all: Option<CaCertificates> = None;
            for name in names {
                let of_map = input.reader.config_map(name)?.authorities.as_ref().ok()?;
                all = Some(match all {
                    None => of_map.clone(),
                    Some(all) => all.and(of_map),
                });
            }
            all
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_what_a_bundle_is_of() {
        let secret = |name: &str| NamespacedName::new("ns", name);
        let maps = |names: &[&str]| {
            let names = names.iter().map(|name| NamespacedName::new("ns", *name));
            TrustBundleKey::of_config_maps(names.collect())
        };
        let revoking = TrustBundleKey {
            revocations: Some(secret("crl")),
            ..TrustBundleKey::of_secret(secret("ca"))
        };
        let named_so = NamespacedName::new("configmaps", "ca");
        let revoking_of = |namespace: &str, name: &str, lists: NamespacedName| TrustBundleKey {
            revocations: Some(lists),
            ..TrustBundleKey::of_secret(NamespacedName::new(namespace, name))
        };
        let word = "revocations";
        for (key, expected) in [
            (TrustBundleKey::of_secret(secret("ca")), "authorities/ns/ca"),
            (revoking, "authorities/ns/ca/revocations/ns/crl"),
            (maps(&["ca"]), "authorities/configmaps/ns/ca"),
            (maps(&["b", "a"]), "authorities/configmaps/ns/a+ns/b"),
            (
                TrustBundleKey::of_secret(named_so),
                "authorities/configmaps/ca",
            ),
            (
                TrustBundleKey::of_secret(secret(word)),
                "authorities/ns/revocations",
            ),
            (maps(&[word]), "authorities/configmaps/ns/revocations"),
            (
                revoking_of("ns", word, secret("crl")),
                "authorities/ns/revocations/revocations/ns/crl",
            ),
            (
                revoking_of(word, word, NamespacedName::new(word, word)),
                "authorities/revocations/revocations/revocations/revocations/revocations",
            ),
            (
                revoking_of("configmaps", word, secret(word)),
                "authorities/configmaps/revocations/revocations/ns/revocations",
            ),
        ] {
            assert_eq!(&*key.name(), expected);
            assert_eq!(TrustBundleKey::of_name(expected), Some(key));
        }
        for name in [
            "",
            "ns/ca",
            "authorities/ca",
            "authorities/ns/ca/x/ns/crl",
            "authorities/ns/ca/revocations/ns/crl/more",
            "authorities/ns//revocations/ns/crl",
            "other/ns/ca",
        ] {
            assert_eq!(TrustBundleKey::of_name(name), None, "{name}");
        }
    }
}
