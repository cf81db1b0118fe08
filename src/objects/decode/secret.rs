//! Secret (`ValidateSecret` of `pkg/apis/core/validation`).
//!
//! Its metadata decides whether it is an object; its content only whether there is a certificate in it. No
//! reason quotes a value, nor a key of `data`: a Secret that is written wrongly can have anything there.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::super::validate::{self, FieldError, Rules};
use super::super::{Kind, Object, Secret, TlsCertificate};
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

    fn check(self, _: Rules) -> Result<Object, FieldError> {
        let metadata = self.metadata.0.check(Kind::Secret)?;
        for (key, _) in &self.data.0 {
            validate::data_key("data", key)?;
        }
        Ok(Object::Secret(Arc::new(Secret {
            metadata,
            certificate: self.certificate().map(Arc::new).map_err(Arc::from),
        })))
    }
}

impl SecretWire<'_> {
    fn certificate(&self) -> Result<TlsCertificate, String> {
        if self.secret_type.as_str() != "kubernetes.io/tls" {
            return Err("its type is not kubernetes.io/tls".to_owned());
        }
        let chain = self.value("tls.crt")?;
        let key = self.value("tls.key")?;
        TlsCertificate::from_pem(&chain, &key)
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
