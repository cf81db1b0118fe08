//! References into other namespaces.

use std::sync::Arc;

use crate::objects::NamespacedName;
use crate::objects::gateway_api::{GROUP, ObjectReference};
use crate::translate::Input;

use super::fault::Fault;

/// Whether objects of a kind of the Gateway API in a namespace may name this object: one of their own namespace, or one whose
/// namespace has a ReferenceGrant for it.
fn permits(
    input: Input<'_>,
    (kind, namespace): (&str, &str),
    (target_kind, target_namespace, name): (&str, &Arc<str>, &str),
) -> bool {
    if namespace == &**target_namespace {
        return true;
    }
    let from = (GROUP, kind, namespace);
    // Secrets, ConfigMaps and Services are of the core group.
    let to = ("", target_kind, name);
    let mut grants = input.reader.grants(target_namespace);
    grants.any(|grant| grant.permits(from, to))
}

/// The namespace of what a reference names, and whether it may.
pub fn permitted(
    input: Input<'_>,
    (kind, namespace): (&str, &Arc<str>),
    reference: &ObjectReference,
) -> Result<NamespacedName, Fault> {
    let target = reference.namespace.as_ref().unwrap_or(namespace);
    let to = (&*reference.kind, target, &*reference.name);
    if permits(input, (kind, namespace), to) {
        return Ok(NamespacedName::new(target.clone(), reference.name.clone()));
    }
    let message = format!(
        "{} {target}/{} is of another namespace, which has no ReferenceGrant for it",
        reference.kind, reference.name
    );
    Err(Fault::new("RefNotPermitted", message))
}
