//! References into other namespaces.

use std::sync::Arc;

use crate::objects::gateway_api::GROUP;
use crate::translate::Input;

/// Whether objects of a kind of the Gateway API in a namespace may name this object: one of their own namespace, or one whose
/// namespace has a ReferenceGrant for it.
pub fn permits(
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
