//! What is said to an Ingress whose class does not ask for the dialect.

use crate::objects::{Field, Metadata};
use crate::translate::finding::{Finding, more};
use crate::translate::reason;

use super::annotations::{self, PREFIX};

/// So many annotations are named, and the others counted.
const NAMED: usize = 16;

/// Whether there are annotations of the dialect.
#[must_use]
pub fn has_some(metadata: &Metadata) -> bool {
    names(metadata).next().is_some()
}

/// The names of the annotations that say something.
fn names(metadata: &Metadata) -> impl Iterator<Item = &str> {
    let all = metadata.annotations.iter();
    all.filter_map(|(key, _)| key.strip_prefix(PREFIX))
}

/// That the annotations have no effect, those first that keep requests out.
#[must_use]
pub fn without_dialect(metadata: &Metadata) -> Vec<Finding> {
    let is_guard = |name: &&str| annotations::find(name).is_some_and(|it| it.is_guard);
    let (guards, others): (Vec<&str>, Vec<&str>) = names(metadata).partition(is_guard);
    let tell = |names: Vec<&str>, what: &str| {
        let first = *names.first()?;
        let named = names.iter().take(NAMED).copied().collect::<Vec<_>>();
        let rest = match names.len().saturating_sub(NAMED) {
            0 => String::new(),
            rest => more(rest),
        };
        let message = format!(
            "annotations {}{rest} of {PREFIX} {what}: the class of this Ingress does not ask for the dialect of ingress-nginx",
            named.join(", ")
        );
        let field = Field::Annotation(format!("{PREFIX}{first}").into());
        Some((field, reason::ANNOTATION_UNKNOWN, message))
    };
    let guards = tell(guards, "keep nobody out");
    let others = tell(others, "have no effect");
    guards.into_iter().chain(others).collect()
}
