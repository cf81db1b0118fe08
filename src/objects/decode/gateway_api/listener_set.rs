//! ListenerSet.

use std::sync::Arc;

use serde::Deserialize;

use super::super::super::validate::{FieldError, Rules};
use super::super::super::{Kind, ListenerSet, Object};
use super::super::json::{List, Struct, Text};
use super::super::metadata::MetadataWire;
use super::super::schema::{At, present};
use super::super::wire::Wire;
use super::gateway::{ListenerWire, listeners};
use super::reference::{ObjectWire, ParentWire, parent};
use super::status::{StatusWire, status};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct ListenerSetWire<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    metadata: Struct<MetadataWire<'a>>,
    #[serde(borrow)]
    spec: Option<Struct<SpecWire<'a>>>,
    status: Option<Struct<StatusWire>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SpecWire<'a> {
    parent_ref: Option<Struct<ObjectWire>>,
    #[serde(borrow)]
    listeners: Option<List<Struct<ListenerWire<'a>>>>,
}

impl<'a> Wire<'a> for ListenerSetWire<'a> {
    fn kind(&self) -> &str {
        self.kind.as_str()
    }

    fn metadata(&self) -> &MetadataWire<'a> {
        &self.metadata.0
    }

    fn check(self, _: Rules) -> Result<Object, FieldError> {
        let metadata = self.metadata.0.check(Kind::ListenerSet)?;
        let at = At::Top("spec");
        let Struct(spec) = present(at, self.spec)?;
        let Struct(named) = present(at.of("parentRef"), spec.parent_ref)?;
        let named = ParentWire {
            group: named.group,
            kind: named.kind,
            namespace: named.namespace,
            name: named.name,
            ..ParentWire::default()
        };
        Ok(Object::ListenerSet(Arc::new(ListenerSet {
            metadata,
            generation: self.metadata.0.generation(),
            parent: parent(at.of("parentRef"), named)?,
            listeners: listeners(at.of("listeners"), spec.listeners)?,
            status: status(self.status),
        })))
    }
}
