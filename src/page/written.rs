//! What stands in several answers, as JSON.

use serde_json::{Value, json};

use crate::build::diff::Detail;
use crate::objects::{FieldRef, ObjectRef, Problem};

/// An object.
pub fn object(object: &ObjectRef) -> Value {
    json!({
        "kind": object.kind.name(),
        "namespace": &*object.name.namespace,
        "name": &*object.name.name,
    })
}

/// A problem. Published ones have the path of their field.
pub fn problem(problem: &Problem) -> Value {
    json!({
        "object": object(&problem.source.object),
        "field": path(&problem.source),
        "reason": problem.reason,
        "message": problem.message,
    })
}

fn path(field: &FieldRef) -> Option<String> {
    field.field.path(None)
}

/// A setting.
pub fn detail(detail: &Detail) -> Value {
    json!({
        "about": detail.about,
        "says": detail.after,
        "guard": detail.is_guard,
    })
}
