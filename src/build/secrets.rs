//! What SDS delivers: certificates and trust bundles, while a listener or a cluster names them, and passwords, while a route does.

use crate::envoy::secret;
use crate::objects::{Kind, NamespacedName, ObjectRef};
use crate::translate::{CredentialsKey, Memo, TrustBundleKey};
use crate::xds::ResourceType;

use super::unit::Unit;
use super::used_secrets::SecretKey;
use super::{Builder, Work};

impl Builder {
    /// Builds what is named, and removes what no longer is.
    pub(super) fn build_secrets(&mut self, work: &mut Work, memo: &Memo) {
        let touched = self.listeners.count_secrets().take_touched();
        work.units.extend(touched.into_iter().map(Unit::from));
        let names: Vec<NamespacedName> = work.units.take(|unit| match unit {
            Unit::Secret(name) => Ok(name),
            other => Err(other),
        });
        for name in names {
            self.build_certificate(name, work, memo);
        }
        let keys: Vec<TrustBundleKey> = work.units.take(|unit| match unit {
            Unit::TrustBundle(key) => Ok(*key),
            other => Err(other),
        });
        for key in keys {
            self.build_trust_bundle(key, work, memo);
        }
        let keys: Vec<CredentialsKey> = work.units.take(|unit| match unit {
            Unit::Credentials(key) => Ok(*key),
            other => Err(other),
        });
        for key in keys {
            self.build_credentials(key, work, memo);
        }
    }

    fn build_credentials(&mut self, key: CredentialsKey, work: &mut Work, memo: &Memo) {
        let unit = Unit::Credentials(Box::new(key.clone()));
        let used = SecretKey::Credentials(key.clone());
        let file = if self.listeners.used_secrets().contains(&used) {
            let (file, reads) = self.renderer(memo).credentials(&key);
            self.record(&unit, reads);
            file
        } else {
            self.forget(&unit);
            None
        };
        work.changed |= match file {
            None => {
                self.release_owner(key.object());
                self.snapshot.remove(ResourceType::Secret, &key.name())
            }
            Some(file) => {
                self.translated.secrets += 1;
                self.record_owner(key.object());
                self.put(ResourceType::Secret, secret::credentials(&file))
            }
        };
    }

    fn build_certificate(&mut self, name: NamespacedName, work: &mut Work, memo: &Memo) {
        let resource = name.to_string();
        let unit = Unit::Secret(name.clone());
        let key = SecretKey::Certificate(name.clone());
        let certificate = if self.listeners.used_secrets().contains(&key) {
            let (certificate, reads) = self.renderer(memo).certificate(&name);
            self.record(&unit, reads);
            certificate
        } else {
            self.forget(&unit);
            None
        };
        work.changed |= match certificate {
            None => {
                self.statuses.certificates.remove(&name);
                self.release_owner(owner(name));
                self.snapshot.remove(ResourceType::Secret, &resource)
            }
            Some(certificate) => {
                self.translated.secrets += 1;
                let validity = certificate.validity;
                self.statuses.certificates.insert(name.clone(), validity);
                self.record_owner(owner(name));
                self.put(ResourceType::Secret, secret::secret(&certificate))
            }
        };
    }

    fn build_trust_bundle(&mut self, key: TrustBundleKey, work: &mut Work, memo: &Memo) {
        let name = key.name();
        let unit = Unit::TrustBundle(Box::new(key.clone()));
        let bundle = if self
            .listeners
            .used_secrets()
            .contains(&SecretKey::Bundle(key.clone()))
        {
            let (bundle, reads) = self.renderer(memo).trust_bundle(&key);
            self.record(&unit, reads);
            bundle
        } else {
            self.forget(&unit);
            None
        };
        work.changed |= match bundle {
            None => {
                for object in key.objects() {
                    self.release_owner(object);
                }
                self.snapshot.remove(ResourceType::Secret, &name)
            }
            Some(bundle) => {
                self.translated.secrets += 1;
                for object in key.objects() {
                    self.record_owner(object);
                }
                self.put(ResourceType::Secret, secret::trust_bundle(&bundle))
            }
        };
    }

    /// One thing less is made of an object.
    fn release_owner(&mut self, object: ObjectRef) {
        if !self.listeners.used_secrets().uses_object(&object) {
            self.statuses.owners.remove(&object);
        }
    }
}

fn owner(name: NamespacedName) -> ObjectRef {
    ObjectRef {
        kind: Kind::Secret,
        name,
    }
}
