//! Looks for the fields of an object that its kind does not have, by the types of k8s-openapi.
//!
//! Each of them asks for its struct by the names of all of its fields, and here somebody listens.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Map, Value};

use crate::objects::slips;

/// What the fields are taken from, for messages.
pub(super) const VERSION: &str = "Kubernetes 1.33";

/// So many are told of one object.
pub(super) const MOST: usize = 5;

/// A field that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnknownField {
    /// Its path, the field's own name last.
    pub(super) path: Path,
    /// What has no such field, for instance `IngressRule`.
    pub(super) of: &'static str,
    /// What to write instead, where that can be guessed.
    pub(super) instead: Option<String>,
    /// What the fields of its kind are taken from.
    pub(super) version: &'static str,
}

impl UnknownField {
    /// One more, unless there are [`MOST`] of them.
    pub(super) fn tell(
        found: &RefCell<Vec<Self>>,
        path: Path,
        of: &'static str,
        fields: &[&str],
        version: &'static str,
    ) {
        let mut found = found.borrow_mut();
        if found.len() < MOST {
            let instead = match path.0.last() {
                Some(Step::Key(key)) => instead(of, key, fields),
                _ => None,
            };
            found.push(Self {
                path,
                of,
                instead,
                version,
            });
        }
    }
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
    pub(super) fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The path of a field as problems of objects name it: `metadata.annotations[a.b/c]`, `spec.rules[0].host`.
    pub(super) fn of_field(text: &str) -> Self {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix('[') {
                let (step, after) = inside.split_once(']').unwrap_or((inside, ""));
                steps.push(match step.parse() {
                    Ok(index) => Step::Index(index),
                    Err(_) => Step::Key(step.to_owned()),
                });
                rest = after;
                continue;
            }
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end > 0 {
                steps.push(Step::Key(rest[..end].to_owned()));
            } else if !rest.starts_with('[') {
                // Two dots: no path has them, and what follows is none.
                break;
            }
            rest = &rest[end..];
        }
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
        let Self {
            path,
            of,
            instead,
            version,
        } = self;
        write!(
            f,
            "{path} is ignored: {of} has no such field in {version}, and kubectl refuses it"
        )?;
        match instead {
            Some(instead) => write!(f, "; it is {instead}"),
            None => Ok(()),
        }
    }
}

/// Hands out an object, and keeps what nobody asks for.
pub(super) struct Fields<'a> {
    pub(super) object: &'a Map<String, Value>,
    pub(super) path: Path,
    pub(super) found: &'a RefCell<Vec<UnknownField>>,
}

/// Any value on the way.
pub(super) struct Node<'a> {
    pub(super) value: &'a Value,
    pub(super) path: Path,
    pub(super) found: &'a RefCell<Vec<UnknownField>>,
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
            if !fields.contains(&key.as_str()) {
                let path = self.path.with(Step::Key(key.clone()));
                UnknownField::tell(self.found, path, of, fields, VERSION);
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

/// The one of `words` that `word` is spelt nearly like.
pub(super) fn nearest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    words
        .filter_map(|candidate| Some((slips(word, candidate)?, candidate)))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_paths() {
        let key = |name: &str| Step::Key(name.to_owned());
        for (text, expected) in [
            ("", vec![]),
            ("spec", vec![key("spec")]),
            (
                "spec.rules[0].http.paths[12]",
                vec![
                    key("spec"),
                    key("rules"),
                    Step::Index(0),
                    key("http"),
                    key("paths"),
                    Step::Index(12),
                ],
            ),
            (
                "metadata.annotations[isobath.dev/a.b]",
                vec![key("metadata"), key("annotations"), key("isobath.dev/a.b")],
            ),
            ("a[0][1]", vec![key("a"), Step::Index(0), Step::Index(1)]),
            ("a..b", vec![key("a")]),
            ("a[", vec![key("a"), key("")]),
        ] {
            assert_eq!(Path::of_field(text).0, expected, "{text}");
        }
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
