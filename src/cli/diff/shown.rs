//! What is shown of a difference, and what says where things stand.

use crate::build::Builder;
use crate::build::diff::Difference;
use crate::sources::manifests::Inspection;

/// A difference, and both states with the files that they are of; a cluster has none.
pub struct Shown<'a> {
    pub difference: &'a Difference,
    pub before: (&'a Builder, Option<&'a Inspection>),
    pub after: (&'a Builder, Option<&'a Inspection>),
}
