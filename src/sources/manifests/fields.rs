//! Fields that an object's kind does not have.
//!
//! An API server drops them in silence and kubectl refuses them, so in manifests they are told. What fields there are
//! is known from k8s-openapi's types: each asks for its struct by the names of all of its fields, and here somebody
//! listens. No value is looked at, and none of a Secret's is even there.

use std::cell::RefCell;
use std::fmt;

use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserialize, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Map, Value};

use crate::objects::Kind;

/// What the fields of [`Kind`]'s objects are taken from, for messages.
const VERSION: &str = "Kubernetes 1.33";

/// So many are told of one object.
const MOST: usize = 5;

/// A field that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnknownField {
    /// Its path, the field's own name last.
    pub(super) path: Path,
    /// What has no such field, for instance `IngressRule`.
    pub(super) of: &'static str,
    /// What to write instead, where that can be guessed.
    pub(super) instead: Option<String>,
}

/// The path of a value in an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(pub(super) Vec<Step>);

/// One step of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a list, counted from 0.
    Index(usize),
}

impl Path {
    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The path that a sentence about a field begins with: `spec.rules[0].host: …`.
    pub(super) fn of_sentence(text: &str) -> Option<Self> {
        let (path, _) = text.split_once(": ")?;
        let mut steps = Vec::new();
        for word in path.split('.') {
            let mut parts = word.split('[');
            let key = parts.next()?;
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '/';
            if key.is_empty() || !key.chars().all(is_name) {
                return None;
            }
            steps.push(Step::Key(key.to_owned()));
            for index in parts {
                steps.push(Step::Index(index.strip_suffix(']')?.parse().ok()?));
            }
        }
        Some(Self(steps))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if index == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for UnknownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, of, instead } = self;
        write!(
            f,
            "{path} is ignored: {of} has no such field in {VERSION}, and kubectl refuses it"
        )?;
        match instead {
            Some(instead) => write!(f, "; it is {instead}"),
            None => Ok(()),
        }
    }
}

/// The fields of an object that its kind does not have, the first [`MOST`] of them. Values of a Secret are taken out of
/// `object` for as long as it is looked at.
pub(super) fn unknown(kind: Kind, object: &mut Map<String, Value>) -> Vec<UnknownField> {
    const VALUES: [&str; 2] = ["data", "stringData"];
    let hidden = match kind {
        Kind::Secret => VALUES.map(|name| object.remove(name)),
        _ => [None, None],
    };
    let found = RefCell::default();
    let fields = Fields {
        object,
        path: Path::default(),
        found: &found,
    };
    // What else is wrong with the object is said when it is decoded.
    let _ = match kind {
        Kind::IngressClass => IngressClass::deserialize(fields).map(drop),
        Kind::Ingress => Ingress::deserialize(fields).map(drop),
        Kind::Service => Service::deserialize(fields).map(drop),
        Kind::EndpointSlice => EndpointSlice::deserialize(fields).map(drop),
        Kind::Secret => Secret::deserialize(fields).map(drop),
        Kind::TlsCertificateDelegation => Delegation::deserialize(fields).map(drop),
        Kind::Untyped(_) => Ok(()),
    };
    for (name, value) in VALUES.into_iter().zip(hidden) {
        object.extend(value.map(|value| (name.to_owned(), value)));
    }
    found.into_inner()
}

/// Contour's custom resource, of which k8s-openapi knows nothing.
#[derive(serde::Deserialize)]
#[serde(rename = "TLSCertificateDelegation", rename_all = "camelCase")]
#[allow(dead_code)]
struct Delegation {
    api_version: Option<String>,
    kind: Option<String>,
    metadata: Option<ObjectMeta>,
    spec: Option<DelegationSpec>,
    status: Option<serde::de::IgnoredAny>,
}

#[derive(serde::Deserialize)]
#[serde(rename = "TLSCertificateDelegationSpec")]
#[allow(dead_code)]
struct DelegationSpec {
    delegations: Option<Vec<CertificateDelegation>>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
struct CertificateDelegation {
    secret_name: Option<String>,
    target_namespaces: Option<Vec<String>>,
}

/// Hands out an object, and keeps what nobody asks for.
struct Fields<'a> {
    object: &'a Map<String, Value>,
    path: Path,
    found: &'a RefCell<Vec<UnknownField>>,
}

/// Any value on the way.
struct Node<'a> {
    value: &'a Value,
    path: Path,
    found: &'a RefCell<Vec<UnknownField>>,
}

impl<'a> Fields<'a> {
    fn entries<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let Self {
            object,
            path,
            found,
        } = self;
        let entries = object.iter().map(|(key, value)| {
            let path = path.with(Step::Key(key.clone()));
            (key.as_str(), Node { value, path, found })
        });
        visitor.visit_map(MapDeserializer::new(entries))
    }
}

impl<'de> Deserializer<'de> for Fields<'de> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        of: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        for key in self.object.keys() {
            let mut found = self.found.borrow_mut();
            if !fields.contains(&key.as_str()) && found.len() < MOST {
                found.push(UnknownField {
                    path: self.path.with(Step::Key(key.clone())),
                    of,
                    instead: instead(of, key, fields),
                });
            }
        }
        self.entries(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.entries(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Self { value, path, found } = self;
        match value {
            Value::Object(object) => Fields {
                object,
                path,
                found,
            }
            .entries(visitor),
            Value::Array(items) => {
                let items = items.iter().enumerate().map(|(index, value)| {
                    let path = path.with(Step::Index(index));
                    Node { value, path, found }
                });
                visitor.visit_seq(SeqDeserializer::new(items))
            }
            _ => value.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        of: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Self { value, path, found } = self;
        match value {
            Value::Object(object) => Fields {
                object,
                path,
                found,
            }
            .deserialize_struct(of, fields, visitor),
            _ => value.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for Node<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// What was meant: a field of the API before `networking.k8s.io/v1`, or one that is spelt nearly so.
fn instead(of: &str, key: &str, fields: &[&str]) -> Option<String> {
    match (of, key) {
        ("IngressBackend", "serviceName") => {
            return Some("service.name since networking.k8s.io/v1".to_owned());
        }
        ("IngressBackend", "servicePort") => {
            let ports = "service.port.number, or service.port.name, since networking.k8s.io/v1";
            return Some(ports.to_owned());
        }
        ("IngressSpec", "backend") => {
            return Some("defaultBackend since networking.k8s.io/v1".to_owned());
        }
        _ => {}
    }
    nearest(key, fields.iter().copied()).map(|field| format!("perhaps {field}"))
}

/// The one of `words` that `word` is spelt nearly like: two slips at most, and less than half of it.
pub(super) fn nearest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_ascii_lowercase();
    words
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&lower, &candidate.to_ascii_lowercase());
            (distance, candidate)
        })
        .filter(|(distance, candidate)| *distance <= 2 && distance * 2 < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use serde_json::json;

    use super::*;

    fn check(kind: Kind, object: Value, expected: &[&str]) {
        let Value::Object(mut map) = object.clone() else {
            panic!("{object}")
        };
        let found: Vec<_> = unknown(kind, &mut map)
            .iter()
            .map(|field| {
                field
                    .to_string()
                    .replace(&format!(" in {VERSION}, and kubectl refuses it"), "")
            })
            .collect();
        assert_eq!(found, expected);
        assert_eq!(Value::Object(map), object, "it is as it was");
    }

    #[test]
    fn what_a_kind_does_not_have_is_named_with_its_path() {
        let backend = json!({"serviceName": "web", "servicePort": 80});
        check(
            Kind::Ingress,
            json!({
                "apiVersion": "networking.k8s.io/v1",
                "kind": "Ingress",
                "metadata": {"name": "a", "labels": {"any": "thing"}, "annotation": {}},
                "spec": {
                    "backend": {},
                    "rules": [{"host": "a"}, {"hosts": ["a"], "http": {"paths": [{"backend": backend}]}}],
                },
            }),
            &[
                "metadata.annotation is ignored: ObjectMeta has no such field; it is perhaps annotations",
                "spec.backend is ignored: IngressSpec has no such field; it is defaultBackend since networking.k8s.io/v1",
                "spec.rules[1].hosts is ignored: IngressRule has no such field; it is perhaps host",
                "spec.rules[1].http.paths[0].backend.serviceName is ignored: IngressBackend has no such field; it is service.name since networking.k8s.io/v1",
                "spec.rules[1].http.paths[0].backend.servicePort is ignored: IngressBackend has no such field; it is service.port.number, or service.port.name, since networking.k8s.io/v1",
            ],
        );
        check(
            Kind::Service,
            json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80, "targetPort": "http", "appProtocol": null, "colour": 1}]}, "status": {}}),
            &["spec.ports[0].colour is ignored: ServicePort has no such field"],
        );
        check(
            Kind::EndpointSlice,
            json!({"addressType": "IPv4", "endpoints": [{"adresses": []}], "ports": []}),
            &[
                "endpoints[0].adresses is ignored: Endpoint has no such field; it is perhaps addresses",
            ],
        );
        check(
            Kind::TlsCertificateDelegation,
            json!({"spec": {"delegations": [{"secretName": "a", "targetNamespace": ["*"]}]}}),
            &[
                "spec.delegations[0].targetNamespace is ignored: CertificateDelegation has no such field; it is perhaps targetNamespaces",
            ],
        );
        check(
            Kind::IngressClass,
            json!({"spec": {"controller": "a/b", "parameters": {"kind": "K", "name": "n"}}}),
            &[],
        );
    }

    #[test]
    fn a_secrets_values_are_not_looked_at() {
        check(
            Kind::Secret,
            json!({"metadata": {"name": "a"}, "data": {"x": 1}, "stringData": {"y": "z"}, "typ": "Opaque"}),
            &["typ is ignored: Secret has no such field; it is perhaps type"],
        );
    }

    #[test]
    fn an_object_of_any_shape_is_looked_at_as_far_as_it_goes() {
        check(
            Kind::Ingress,
            json!({"spec": 3, "x": 1}),
            &["x is ignored: Ingress has no such field"],
        );
        check(
            Kind::Ingress,
            json!({"metadata": {"name": 3}, "spec": {"rules": {}}}),
            &[],
        );
        let many: Map<_, _> = (0..100)
            .map(|n| (format!("field-{n}"), Value::Null))
            .collect();
        assert_eq!(unknown(Kind::Ingress, &mut many.clone()).len(), MOST);
    }

    #[test]
    fn sentences_begin_with_paths() {
        let path = |text: &str| Path::of_sentence(text).map(|path| path.to_string());
        for (text, expected) in [
            (
                "spec.rules[0].http.paths[12].path: Invalid value",
                Some("spec.rules[0].http.paths[12].path"),
            ),
            (
                "metadata.annotations.x: invalid type",
                Some("metadata.annotations.x"),
            ),
            ("no path at all", None),
            ("a text with spaces: no", None),
            ("spec.rules[x]: no", None),
        ] {
            assert_eq!(path(text).as_deref(), expected, "{text}");
        }
    }
}
