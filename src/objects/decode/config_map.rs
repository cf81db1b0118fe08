//! ConfigMap (`ValidateConfigMap` of `pkg/apis/core/validation`).
//!
//! A cluster has many that are no business of ours, some of them large: of those that have neither `ca.crt` nor a key of ingress-nginx's
//! nothing is kept.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;

use super::super::validate::{self, FieldError, Rules};
use super::super::{
    CaCertificates, ConfigMap, Kind, LONGEST_SETTING, NGINX_KEYS, NginxData, Object, ObjectRef,
};
use super::json::{Struct, Text, TextMap};
use super::metadata::MetadataWire;
use super::wire::Wire;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConfigMapWire<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    metadata: Struct<MetadataWire<'a>>,
    #[serde(borrow)]
    data: TextMap<'a>,
}

impl<'a> Wire<'a> for ConfigMapWire<'a> {
    fn kind(&self) -> &str {
        self.kind.as_str()
    }

    fn metadata(&self) -> &MetadataWire<'a> {
        &self.metadata.0
    }

    fn check(self, rules: Rules) -> Result<Object, FieldError> {
        const KEY: &str = "ca.crt";
        let metadata = self.metadata.0.check(Kind::ConfigMap)?;
        for (key, _) in &self.data.0 {
            validate::data_key("data", key)?;
        }
        let nginx = self.nginx();
        let mut entries = self.data.0.iter();
        let found = entries.find(|(key, _)| key == KEY);
        let authorities = match found {
            Some((_, text)) => CaCertificates::from_pem(KEY, text.as_str().as_bytes()),
            // Of manifests it is told what a policy names in vain.
            None if rules == Rules::Stored && nginx.is_none() => {
                return Ok(Object::Unused(ObjectRef {
                    kind: Kind::ConfigMap,
                    name: metadata.name,
                }));
            }
            None => Err(format!("it has no {KEY}")),
        };
        Ok(Object::ConfigMap(Arc::new(ConfigMap {
            metadata,
            authorities: authorities.map_err(Arc::from),
            nginx,
        })))
    }
}

impl ConfigMapWire<'_> {
    /// What ingress-nginx reads; one without any key is as good to it.
    fn nginx(&self) -> Option<NginxData> {
        let entries = &self.data.0;
        let is_its = entries.iter().any(|(key, _)| NGINX_KEYS.contains(&&**key));
        let kept = |(key, text): &(Cow<'_, str>, Text<'_>)| {
            let text = text.as_str();
            let is_kept = text.len() <= LONGEST_SETTING && !key.ends_with("-snippet");
            (Arc::from(&**key), is_kept.then(|| Arc::from(text)))
        };
        (is_its || entries.is_empty()).then(|| entries.iter().map(kept).collect())
    }
}
