//! Namespaces, and the selectors of labels.

use std::sync::Arc;

use serde::Deserialize;

use super::super::super::gateway_api::{LabelRequirement, LabelSelector, SelectorOperator};
use super::super::super::validate::{FieldError, Rules};
use super::super::super::{Kind, Namespace, Object};
use super::super::json::{Kept, List, Struct, Text, TextMap};
use super::super::metadata::MetadataWire;
use super::super::schema::{At, each_of, present, texts};
use super::super::wire::Wire;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct NamespaceWire<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    metadata: Struct<MetadataWire<'a>>,
}

impl<'a> Wire<'a> for NamespaceWire<'a> {
    fn kind(&self) -> &str {
        self.kind.as_str()
    }

    fn metadata(&self) -> &MetadataWire<'a> {
        &self.metadata.0
    }

    fn check(self, _: Rules) -> Result<Object, FieldError> {
        let metadata = self.metadata.0.check(Kind::Namespace)?;
        Ok(Object::Namespace(Arc::new(Namespace {
            metadata,
            labels: self.metadata.0.labels(),
        })))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SelectorWire<'a> {
    #[serde(borrow)]
    match_labels: TextMap<'a>,
    match_expressions: Option<List<Struct<RequirementWire>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RequirementWire {
    key: Option<Kept>,
    operator: Option<Kept>,
    values: Option<List<Kept>>,
}

pub(super) fn selector(at: At<'_>, wire: SelectorWire<'_>) -> Result<LabelSelector, FieldError> {
    let expressions = at.of("matchExpressions");
    Ok(LabelSelector {
        labels: pairs(&wire.match_labels),
        expressions: each_of(expressions, wire.match_expressions, requirement)?,
    })
}

fn requirement(at: At<'_>, wire: RequirementWire) -> Result<LabelRequirement, FieldError> {
    let Kept(key) = present(at.of("key"), wire.key)?;
    let Kept(operator) = present(at.of("operator"), wire.operator)?;
    let operator = match &*operator {
        "In" => SelectorOperator::In,
        "NotIn" => SelectorOperator::NotIn,
        "Exists" => SelectorOperator::Exists,
        "DoesNotExist" => SelectorOperator::DoesNotExist,
        // The schema takes any text.
        _ => SelectorOperator::Other(operator),
    };
    Ok(LabelRequirement {
        key,
        operator,
        values: texts(wire.values),
    })
}

/// A map of texts, sorted; of two of one key the last holds.
pub(super) fn pairs(map: &TextMap<'_>) -> Box<[(Arc<str>, Arc<str>)]> {
    let pairs = map.0.iter();
    let pairs: std::collections::BTreeMap<Arc<str>, Arc<str>> = pairs
        .map(|(key, value)| (Arc::from(&**key), Arc::from(value.as_str())))
        .collect();
    pairs.into_iter().collect()
}
