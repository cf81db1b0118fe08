//! `metadata`, and the fields that several kinds share.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::super::validate::{self, FieldError, Verdict, required};
use super::super::{
    Annotations, Kind, LoadBalancerAddress, Metadata, NamespacedName, ObjectRef,
    is_of_other_controller,
};
use super::json::{List, Struct, Text, TextMap, Whole};

/// `ObjectMeta`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct MetadataWire<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    uid: Text<'a>,
    #[serde(borrow)]
    resource_version: Text<'a>,
    generation: Whole,
    #[serde(borrow)]
    creation_timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    deletion_timestamp: Option<Text<'a>>,
    /// As they are written: few ask for them.
    #[serde(borrow)]
    owner_references: Option<&'a RawValue>,
    #[serde(borrow)]
    labels: TextMap<'a>,
    #[serde(borrow)]
    annotations: AnnotationsWire<'a>,
}

/// A `map[string]string` less the annotation in which kubectl keeps a copy of the object, and nobody else anything. It is
/// nearly half of what is written of many objects, and full of escapes: to read it costs more than all that is used.
#[derive(Debug, Default)]
struct AnnotationsWire<'a> {
    others: Vec<(Cow<'a, str>, Text<'a>)>,
    /// As it is written.
    last_applied: Option<&'a RawValue>,
}

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl<'de: 'a, 'a> Deserialize<'de> for AnnotationsWire<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor<'a>(PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for MapVisitor<'a> {
            type Value = AnnotationsWire<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut annotations = AnnotationsWire::default();
                while let Some(Text(key)) = map.next_key()? {
                    if key != LAST_APPLIED {
                        annotations.others.push((key, map.next_value()?));
                        continue;
                    }
                    let value: &RawValue = map.next_value()?;
                    if !value.get().starts_with(['"', 'n']) {
                        let found = Unexpected::Other("value that is no text");
                        return Err(A::Error::invalid_type(found, &"a string"));
                    }
                    annotations.last_applied = Some(value);
                }
                Ok(annotations)
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(AnnotationsWire::default())
            }
        }

        deserializer.deserialize_any(MapVisitor(PhantomData))
    }
}

impl AnnotationsWire<'_> {
    /// Whether keys and values are more bytes than so many.
    fn is_longer_than(&self, limit: usize) -> bool {
        let others = self.others.iter();
        let others: usize = others
            .map(|(key, value)| key.len() + value.as_str().len())
            .sum();
        let Some(last_applied) = self.last_applied.map(RawValue::get) else {
            return others > limit;
        };
        let others = others + LAST_APPLIED.len();
        // Written it is longer than it is.
        others + last_applied.len() > limit
            && serde_json::from_str::<Text<'_>>(last_applied)
                .is_ok_and(|value| others + value.as_str().len() > limit)
    }
}

impl MetadataWire<'_> {
    pub(super) fn resource_version(&self) -> Option<String> {
        let version = self.resource_version.as_str();
        (!version.is_empty()).then(|| version.to_owned())
    }

    /// `metadata.generation`, which the API server counts; 0 in manifests.
    pub(super) fn generation(&self) -> i64 {
        i64::try_from(self.generation.0).unwrap_or_default()
    }

    /// Whether it is being deleted.
    pub(super) fn is_ending(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    /// The `uid` of each of its owners; of what is no list of owners none.
    pub(super) fn owners(&self) -> Box<[Arc<str>]> {
        #[derive(Deserialize)]
        struct OwnerWire<'a> {
            #[serde(borrow, default)]
            uid: Text<'a>,
        }
        let written = self.owner_references.map(RawValue::get);
        let owners = written.and_then(|text| serde_json::from_str::<Vec<OwnerWire<'_>>>(text).ok());
        let owners = owners.unwrap_or_default().into_iter();
        owners.map(|owner| Arc::from(owner.uid.as_str())).collect()
    }

    /// The value of a label.
    pub(super) fn label(&self, key: &str) -> Option<Arc<str>> {
        let mut labels = self.labels.0.iter();
        let (_, value) = labels.find(|(candidate, _)| candidate == key)?;
        Some(Arc::from(value.as_str()))
    }

    /// All labels, sorted; of two of one key the last holds.
    pub(super) fn labels(&self) -> Box<[(Arc<str>, Arc<str>)]> {
        let labels = self.labels.0.iter();
        let labels: BTreeMap<Arc<str>, Arc<str>> = labels
            .map(|(key, value)| (Arc::from(&**key), Arc::from(value.as_str())))
            .collect();
        labels.into_iter().collect()
    }

    /// `ValidateObjectMeta`, on what is read of it.
    pub(super) fn check(&self, kind: Kind) -> Result<Metadata, FieldError> {
        let name = self.name.as_str();
        if name.is_empty() {
            let why = "name or generateName is required";
            return Err(required("metadata.name", why));
        }
        if kind == Kind::Service {
            validate::dns_label("metadata.name", name)?;
        } else {
            validate::dns_subdomain("metadata.name", name)?;
        }
        // The API server drops the namespace of a cluster-scoped object.
        let namespace = if kind.is_namespaced() {
            let namespace = self.namespace.as_str();
            if namespace.is_empty() {
                return Err(required("metadata.namespace", ""));
            }
            validate::dns_label("metadata.namespace", namespace)?;
            namespace
        } else {
            ""
        };
        for (key, value) in &self.labels.0 {
            validate::qualified_name("metadata.labels", key)?;
            validate::label_value("metadata.labels", value.as_str())?;
        }
        self.check_annotations()?;
        Ok(Metadata {
            name: NamespacedName::new(namespace, name),
            uid: Arc::from(self.uid.as_str()),
            created: self.created()?,
            annotations: self.kept_annotations(kind),
        })
    }

    /// `ValidateAnnotations`.
    fn check_annotations(&self) -> Verdict {
        const LIMIT: usize = 256 * 1024;
        for (key, _) in &self.annotations.others {
            if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
                validate::qualified_name("metadata.annotations", &key.to_ascii_lowercase())?;
            } else {
                validate::qualified_name("metadata.annotations", key)?;
            }
        }
        if self.annotations.is_longer_than(LIMIT) {
            let reason =
                format!("metadata.annotations: Too long: may not be more than {LIMIT} bytes");
            return Err(FieldError(reason));
        }
        Ok(())
    }

    fn kept_annotations(&self, kind: Kind) -> Annotations {
        /// Prefixes of the keys that mean something to Isobath.
        const KEPT: [&str; 5] = [
            "ingress.kubernetes.io/",
            "ingressclass.kubernetes.io/",
            "isobath.dev/",
            "kubernetes.io/ingress.",
            "projectcontour.io/",
        ];
        /// What cert-manager writes on its solvers for ingress-nginx: everybody is let in, as without it.
        const EVERYBODY: &str = "0.0.0.0/0,::/0";
        /// Of an Ingress, as its class may ask for them. Snippets are never read, and long.
        const OF_INGRESSES: &str = "nginx.ingress.kubernetes.io/";
        const SNIPPET: &str = "-snippet";
        let kept = |key: &str| KEPT.iter().any(|prefix| key.starts_with(prefix));
        let entries = self.annotations.others.iter().filter_map(
            |(key, value)| -> Option<(Arc<str>, Arc<str>)> {
                let value = value.as_str();
                let is_read = kind == Kind::Ingress
                    && key.starts_with(OF_INGRESSES)
                    && !key.ends_with(SNIPPET);
                if kept(key) || (is_read && value != EVERYBODY) {
                    return Some((Arc::from(&**key), Arc::from(value)));
                }
                // Of another controller's the name is enough to tell that it has no effect.
                let is_told = kind == Kind::Ingress && is_of_other_controller(key);
                (is_told && value != EVERYBODY).then(|| (Arc::from(&**key), Arc::default()))
            },
        );
        entries.collect()
    }

    fn created(&self) -> Result<Option<jiff::Timestamp>, FieldError> {
        let text = self.creation_timestamp.as_ref();
        text.map(|text| validate::time("metadata.creationTimestamp", text.as_str()))
            .transpose()
    }
}

/// Metadata and generation of an object that is otherwise wrong, as far as they can be read.
pub(super) fn of_wrong(json: &str, reference: &ObjectRef) -> (Metadata, i64) {
    let known = serde_json::from_str::<Struct<MetadataOnlyWire<'_>>>(json).ok();
    let known = known.map(|Struct(it)| it.metadata.0);
    let checked = known.as_ref().and_then(|it| it.check(reference.kind).ok());
    let metadata = checked.unwrap_or_else(|| Metadata {
        name: reference.name.clone(),
        uid: "".into(),
        created: None,
        annotations: Annotations::default(),
    });
    (metadata, known.map_or(0, |known| known.generation()))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MetadataOnlyWire<'a> {
    #[serde(borrow)]
    metadata: Struct<MetadataWire<'a>>,
}

/// `status` of an Ingress or a Service. The API server checks it on its own path, so nothing is checked here.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct StatusWire<'a> {
    #[serde(borrow)]
    load_balancer: Struct<LoadBalancerWire<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LoadBalancerWire<'a> {
    #[serde(borrow)]
    ingress: List<Struct<AddressWire<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AddressWire<'a> {
    #[serde(borrow)]
    ip: Text<'a>,
    #[serde(borrow)]
    hostname: Text<'a>,
}

impl StatusWire<'_> {
    /// The addresses.
    pub(super) fn addresses(&self) -> Arc<[LoadBalancerAddress]> {
        self.load_balancer.0.addresses()
    }
}

impl LoadBalancerWire<'_> {
    /// The addresses; of an entry with both, the `ip` first.
    pub(super) fn addresses(&self) -> Arc<[LoadBalancerAddress]> {
        let mut addresses = Vec::new();
        for Struct(entry) in &self.ingress.0 {
            if !entry.ip.is_empty() {
                addresses.push(LoadBalancerAddress::Ip(Arc::from(entry.ip.as_str())));
            }
            if !entry.hostname.is_empty() {
                let hostname = Arc::from(entry.hostname.as_str());
                addresses.push(LoadBalancerAddress::Hostname(hostname));
            }
        }
        if addresses.is_empty() {
            return Arc::default();
        }
        addresses.into()
    }
}
