//! Secret (`ValidateSecret` of `pkg/apis/core/validation`).
//!
//! Its metadata decides whether it is an object; its content only what there is in it for TLS. No reason quotes a value, nor
//! a key of `data` that is none of ours: a Secret that is written wrongly can have anything there.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::super::validate::{self, FieldError, Rules};
use super::super::{
    CaCertificates, Credentials, HashKind, Kind, Object, ObjectRef, RevocationLists, Secret,
    TlsCertificate,
};
use super::json::{Struct, Text, TextMap};
use super::metadata::MetadataWire;
use super::wire::Wire;

/// No `Debug`: it holds a key.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct SecretWire<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    metadata: Struct<MetadataWire<'a>>,
    #[serde(borrow, rename = "type")]
    secret_type: Text<'a>,
    #[serde(borrow)]
    data: TextMap<'a>,
}

impl<'a> Wire<'a> for SecretWire<'a> {
    const SECRET: bool = true;

    fn kind(&self) -> &str {
        self.kind.as_str()
    }

    fn metadata(&self) -> &MetadataWire<'a> {
        &self.metadata.0
    }

    fn check(self, rules: Rules) -> Result<Object, FieldError> {
        let metadata = self.metadata.0.check(Kind::Secret)?;
        for (key, _) in &self.data.0 {
            validate::data_key("data", key)?;
        }
        // Of manifests it is told what an Ingress names in vain. In an API server there are many Secrets for others.
        if rules == Rules::Stored && !self.is_used() {
            return Ok(Object::Unused(ObjectRef {
                kind: Kind::Secret,
                name: metadata.name,
            }));
        }
        Ok(Object::Secret(Arc::new(Secret {
            metadata,
            certificate: self.certificate().map(Arc::new).map_err(Arc::from),
            authorities: self.part("ca.crt", CaCertificates::from_pem),
            revocations: self.part("crl.pem", RevocationLists::from_pem),
            credentials: self.part("auth", Credentials::from_htpasswd),
            credentials_map: self.credentials_map(),
        })))
    }
}

impl SecretWire<'_> {
    fn has(&self, key: &str) -> bool {
        self.data.0.iter().any(|(candidate, _)| candidate == key)
    }

    /// Whether anybody may name it.
    fn is_used(&self) -> bool {
        const USED: [&str; 5] = ["tls.crt", "tls.key", "ca.crt", "crl.pem", "auth"];
        match self.secret_type.as_str() {
            "kubernetes.io/tls" => true,
            "Opaque" | "" => {
                USED.into_iter().any(|key| self.has(key)) || self.hashes().next().is_some()
            }
            _ => false,
        }
    }

    /// The values that are the hash of a password, by their keys. Of others nothing is kept.
    fn hashes(&self) -> impl Iterator<Item = (&str, Zeroizing<String>)> {
        /// A hash in base64.
        const LONGEST: usize = 700;
        let is_opaque = matches!(self.secret_type.as_str(), "Opaque" | "");
        let short = self.data.0.iter().filter(move |(key, text)| {
            is_opaque && *key != "auth" && text.as_str().len() <= LONGEST
        });
        short.filter_map(|(key, text)| {
            let bytes = Zeroizing::new(STANDARD.decode(text.as_str()).ok()?);
            let hash = std::str::from_utf8(&bytes).ok()?.trim();
            HashKind::of(hash)?;
            let key: &str = key;
            Some((key, Zeroizing::new(hash.to_owned())))
        })
    }

    fn credentials_map(&self) -> Option<Result<Credentials, Arc<str>>> {
        let hashes: Vec<(&str, Zeroizing<String>)> = self.hashes().collect();
        if hashes.is_empty() {
            return None;
        }
        let hashes = hashes.iter().map(|(name, hash)| (*name, hash.as_str()));
        let found = Credentials::new(hashes).map_err(|why| format!("its data {why}"));
        Some(found.map_err(Arc::from))
    }

    fn certificate(&self) -> Result<TlsCertificate, String> {
        let types = ["kubernetes.io/tls", "Opaque", ""];
        if !types.contains(&self.secret_type.as_str()) {
            return Err("its type is neither kubernetes.io/tls nor Opaque".to_owned());
        }
        let chain = self.value("tls.crt")?;
        let key = self.value("tls.key")?;
        TlsCertificate::from_pem(&chain, &key)
    }

    /// What is under a key, if it is there.
    fn part<T>(
        &self,
        key: &str,
        from_pem: impl FnOnce(&str, &[u8]) -> Result<T, String>,
    ) -> Option<Result<T, Arc<str>>> {
        if !self.is_used() || !self.has(key) {
            return None;
        }
        let part = self.value(key).and_then(|bytes| from_pem(key, &bytes));
        Some(part.map_err(Arc::from))
    }

    fn value(&self, key: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        // The API server's limit on all of a Secret's data, here on the one value.
        const LIMIT: usize = 1024 * 1024;
        let mut entries = self.data.0.iter();
        let (_, text) = entries
            .find(|(candidate, _)| candidate == key)
            .ok_or_else(|| format!("it has no {key}"))?;
        let mut text = Zeroizing::new(text.as_str().to_owned());
        // Go's decoder skips line ends.
        text.retain(|letter| !matches!(letter, '\r' | '\n'));
        if text.is_empty() {
            return Err(format!("its {key} is empty"));
        }
        if text.len() > LIMIT / 3 * 4 {
            return Err(format!("its {key} is larger than 1 MiB"));
        }
        STANDARD
            .decode(text.as_bytes())
            .map(Zeroizing::new)
            .map_err(|_| format!("its {key} is not base64"))
    }
}
