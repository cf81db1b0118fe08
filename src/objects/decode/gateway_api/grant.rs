//! ReferenceGrant.

use std::sync::Arc;

use serde::Deserialize;

use super::super::super::gateway_api::{GrantFrom, GrantTo};
use super::super::super::validate::{FieldError, Rules};
use super::super::super::{Kind, Object, ReferenceGrant};
use super::super::json::{Kept, List, Struct, Text};
use super::super::metadata::MetadataWire;
use super::super::schema::{At, each_of, not_empty, present, some};
use super::super::wire::Wire;
use super::super::wires::wires;
use super::reference::said;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct ReferenceGrantWire<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    metadata: Struct<MetadataWire<'a>>,
    spec: Option<Struct<SpecWire>>,
}

wires! {
    struct SpecWire {
        from: List<Struct<FromWire>>,
        to: List<Struct<ToWire>>,
    }

    struct FromWire {
        group: Kept,
        kind: Kept,
        namespace: Kept,
    }

    struct ToWire {
        group: Kept,
        kind: Kept,
        name: Kept,
    }
}

impl<'a> Wire<'a> for ReferenceGrantWire<'a> {
    fn kind(&self) -> &str {
        self.kind.as_str()
    }

    fn metadata(&self) -> &MetadataWire<'a> {
        &self.metadata.0
    }

    fn check(self, _: Rules) -> Result<Object, FieldError> {
        let metadata = self.metadata.0.check(Kind::ReferenceGrant)?;
        let at = At::Top("spec");
        // The schema asks for no `spec`; but for both lists, where there is one.
        if let Some(Struct(spec)) = &self.spec {
            present(at.of("from"), spec.from.as_ref())?;
            present(at.of("to"), spec.to.as_ref())?;
        }
        let Struct(spec) = self.spec.unwrap_or_default();
        not_empty(at.of("from"), &spec.from)?;
        not_empty(at.of("to"), &spec.to)?;
        Ok(Object::ReferenceGrant(Arc::new(ReferenceGrant {
            metadata,
            from: each_of(at.of("from"), spec.from, from)?,
            to: each_of(at.of("to"), spec.to, to)?,
        })))
    }
}

fn from(at: At<'_>, wire: FromWire) -> Result<GrantFrom, FieldError> {
    let Kept(group) = present(at.of("group"), wire.group)?;
    let kind = present(at.of("kind"), wire.kind)?;
    let namespace = present(at.of("namespace"), wire.namespace)?;
    Ok(GrantFrom {
        group,
        kind: some(at.of("kind"), Some(kind))?,
        namespace: some(at.of("namespace"), Some(namespace))?,
    })
}

fn to(at: At<'_>, wire: ToWire) -> Result<GrantTo, FieldError> {
    let Kept(group) = present(at.of("group"), wire.group)?;
    let kind = present(at.of("kind"), wire.kind)?;
    Ok(GrantTo {
        group,
        kind: some(at.of("kind"), Some(kind))?,
        name: said(at.of("name"), wire.name)?,
    })
}
