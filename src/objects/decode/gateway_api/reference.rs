//! References to other objects.

use std::sync::Arc;

use super::super::super::gateway_api::{
    BackendRef, GROUP, ObjectReference, ParametersReference, ParentReference,
};
use super::super::super::validate::FieldError;
use super::super::json::{Kept, Whole};
use super::super::schema::{At, number, present, some};
use super::super::wires::wires;

wires! {
    struct ObjectWire {
        group: Kept,
        kind: Kept,
        name: Kept,
        namespace: Kept,
    }

    struct ParentWire {
        group: Kept,
        kind: Kept,
        namespace: Kept,
        name: Kept,
        section_name: Kept,
        port: Whole,
    }

    struct BackendWire {
        group: Kept,
        kind: Kept,
        name: Kept,
        namespace: Kept,
        port: Whole,
        weight: Whole,
    }
}

/// What is said, or else this.
fn or(field: Option<Kept>, default: &str) -> Arc<str> {
    field.map_or_else(|| default.into(), |Kept(text)| text)
}

/// A name that has to be there.
pub(super) fn name(at: At<'_>, field: Option<Kept>) -> Result<Arc<str>, FieldError> {
    let name = present(at.of("name"), field)?;
    some(at.of("name"), Some(name))
}

/// A text that is not blank, where there is one.
pub(super) fn said(at: At<'_>, field: Option<Kept>) -> Result<Option<Arc<str>>, FieldError> {
    let is_said = field.is_some();
    Ok(Some(some(at, field)?).filter(|_| is_said))
}

/// A port, where there is one.
pub(super) fn port(at: At<'_>, field: Option<Whole>) -> Result<Option<u16>, FieldError> {
    number(at, field, 1, u16::MAX)
}

/// A Secret, or what else the default is.
pub(super) fn object(
    at: At<'_>,
    wire: ObjectWire,
    kind: &str,
) -> Result<ObjectReference, FieldError> {
    Ok(ObjectReference {
        group: or(wire.group, ""),
        kind: or(wire.kind, kind),
        name: name(at, wire.name)?,
        namespace: said(at.of("namespace"), wire.namespace)?,
    })
}

pub(super) fn parameters(at: At<'_>, wire: ObjectWire) -> Result<ParametersReference, FieldError> {
    let Kept(group) = present(at.of("group"), wire.group)?;
    let kind = present(at.of("kind"), wire.kind)?;
    Ok(ParametersReference {
        group,
        kind: some(at.of("kind"), Some(kind))?,
        name: name(at, wire.name)?,
    })
}

pub(super) fn parent(at: At<'_>, wire: ParentWire) -> Result<ParentReference, FieldError> {
    Ok(ParentReference {
        group: or(wire.group, GROUP),
        kind: or(wire.kind, "Gateway"),
        namespace: said(at.of("namespace"), wire.namespace)?,
        name: name(at, wire.name)?,
        section_name: said(at.of("sectionName"), wire.section_name)?,
        port: port(at.of("port"), wire.port)?,
    })
}

pub(super) fn backend(at: At<'_>, wire: BackendWire) -> Result<BackendRef, FieldError> {
    const MOST: u32 = 1_000_000;
    let weight = number(at.of("weight"), wire.weight, 0, MOST)?;
    let port = port(at.of("port"), wire.port)?;
    let named = ObjectWire {
        group: wire.group,
        kind: wire.kind,
        name: wire.name,
        namespace: wire.namespace,
    };
    Ok(BackendRef {
        object: object(at, named, "Service")?,
        port,
        weight: weight.unwrap_or(1),
    })
}
