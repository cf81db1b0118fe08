//! Which Secrets SDS delivers: those that a listener or a cluster names, counted.
//!
//! So a private key is in a snapshot while a host is served with it, or a cluster that one uses shows it, and no longer (I10).

use std::collections::{BTreeMap, BTreeSet};

use crate::model::TlsServer;
use crate::objects::{Kind, NamespacedName, ObjectRef};
use crate::translate::{CredentialsKey, TrustBundleKey};

use super::parts::toggle;

/// Something that SDS delivers, by what it is made from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretKey {
    /// The certificate of a Secret.
    Certificate(NamespacedName),
    /// Authorities.
    Bundle(TrustBundleKey),
    /// Passwords.
    Credentials(CredentialsKey),
}

impl SecretKey {
    /// What has this name on the wire; `None` for a name that no unit makes.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        if let Some(bundle) = TrustBundleKey::of_name(name) {
            return Some(Self::Bundle(bundle));
        }
        if let Some(credentials) = CredentialsKey::of_name(name) {
            return Some(Self::Credentials(credentials));
        }
        let (namespace, name) = name.split_once('/')?;
        Some(Self::Certificate(NamespacedName::new(namespace, name)))
    }

    /// What SDS delivers for a TLS server: the certificates of these Secrets, and the authorities that vouch for clients.
    #[must_use]
    pub fn of_server(secrets: &BTreeSet<NamespacedName>, server: &TlsServer) -> BTreeSet<Self> {
        let certificates = secrets.iter().cloned().map(Self::Certificate);
        let clients = server.clients.as_ref();
        let verification = clients.and_then(|clients| clients.verification.as_ref());
        let bundle = verification.and_then(|it| Self::of_name(&it.authorities));
        certificates.chain(bundle).collect()
    }
}

/// How many listeners and clusters name each.
#[derive(Debug, Default)]
pub struct UsedSecrets {
    users: BTreeMap<SecretKey, usize>,
    /// How many bundles and passwords that are named are made of an object.
    of_bundles: BTreeMap<ObjectRef, usize>,
    touched: BTreeSet<SecretKey>,
}

impl UsedSecrets {
    /// One more names it, or one fewer.
    pub fn count(&mut self, secret: SecretKey, uses: bool) {
        let count = self.users.entry(secret.clone()).or_default();
        let was_used = *count > 0;
        *count = match uses {
            true => *count + 1,
            false => count.saturating_sub(1),
        };
        let is_used = *count > 0;
        if !is_used {
            self.users.remove(&secret);
        }
        if was_used != is_used {
            self.count_objects(&secret, is_used);
            toggle(&mut self.touched, &secret);
        }
    }

    fn count_objects(&mut self, secret: &SecretKey, is_used: bool) {
        let objects: Vec<ObjectRef> = match secret {
            SecretKey::Certificate(_) => return,
            SecretKey::Bundle(bundle) => bundle.objects().collect(),
            SecretKey::Credentials(credentials) => vec![credentials.object()],
        };
        for object in objects {
            let count = self.of_bundles.entry(object.clone()).or_default();
            *count = match is_used {
                true => *count + 1,
                false => count.saturating_sub(1),
            };
            if *count == 0 {
                self.of_bundles.remove(&object);
            }
        }
    }

    /// One that named `old` names `new` now. What is named as before is not touched.
    pub fn replace(&mut self, old: &[SecretKey], new: &[SecretKey]) {
        for secret in new {
            self.count(secret.clone(), true);
        }
        for secret in old {
            self.count(secret.clone(), false);
        }
    }

    /// Whether anybody names it.
    #[must_use]
    pub fn contains(&self, secret: &SecretKey) -> bool {
        self.users.contains_key(secret)
    }

    /// Whether anything is made of the object, as what others are known by.
    #[must_use]
    pub fn uses_object(&self, object: &ObjectRef) -> bool {
        let is_certificate = object.kind == Kind::Secret
            && self.contains(&SecretKey::Certificate(object.name.clone()));
        is_certificate || self.of_bundles.contains_key(object)
    }

    /// Those that came into use or fell out of it since the last call.
    pub fn take_touched(&mut self) -> BTreeSet<SecretKey> {
        std::mem::take(&mut self.touched)
    }

    /// Makes its maps as small as they can be.
    pub fn pack(&mut self) {
        self.users = std::mem::take(&mut self.users).into_iter().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_by_several_stays_until_the_last_one() {
        let secret = NamespacedName::new("ns", "ca");
        let bundle = |revocations: Option<&str>| {
            SecretKey::Bundle(TrustBundleKey {
                revocations: revocations.map(|name| NamespacedName::new("ns", name)),
                ..TrustBundleKey::of_secret(secret.clone())
            })
        };
        let certificate = SecretKey::Certificate(secret.clone());
        let mut used = UsedSecrets::default();
        let object = |name: &str| ObjectRef::new(Kind::Secret, "ns", name);
        let (of_secret, lists) = (object("ca"), object("crl"));
        assert!(!used.uses_object(&of_secret));
        used.count(bundle(Some("crl")), true);
        assert!(used.uses_object(&lists));
        used.replace(&[], &[bundle(None), certificate.clone()]);
        used.replace(&[bundle(None)], &[bundle(None)]);
        assert_eq!(used.take_touched().len(), 3);
        used.replace(&[bundle(Some("crl"))], &[bundle(None)]);
        assert_eq!(used.take_touched(), BTreeSet::from([bundle(Some("crl"))]));
        assert!(!used.uses_object(&lists));
        used.count(bundle(None), false);
        assert!(used.contains(&bundle(None)) && used.take_touched().is_empty());
        used.count(certificate.clone(), false);
        assert!(used.uses_object(&of_secret) && !used.contains(&certificate));
        used.count(bundle(None), false);
        assert!(!used.uses_object(&of_secret));
        // Away and back again before anybody looked.
        used.count(certificate.clone(), true);
        used.take_touched();
        used.count(certificate.clone(), false);
        used.count(certificate, true);
        assert!(used.take_touched().is_empty());
        for name in ["ns/ca", "authorities/ns/ca"] {
            assert!(SecretKey::of_name(name).is_some());
        }
        assert_eq!(SecretKey::of_name("ca"), None);
    }
}
