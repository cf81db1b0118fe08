//! What a language gives: which objects are its own, and what they come to.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::facts::Store;
use crate::model::verdict::{Statuses, WantedStatus};
use crate::model::{Claimable, Front, Host};
use crate::objects::{Kind, Object, ObjectRef, Problem};

use super::{HostUnit, Input, ListenerUnit, Prices};

/// A language in which objects say what is to be served. Each function is a unit's: it depends on nothing but what it reads,
/// and is asked again when that differs.
pub trait Language: fmt::Debug + Sync {
    /// The kinds of the objects that are its own.
    fn kinds(&self) -> &'static [Kind];

    /// The kinds of another language whose claims on its hosts it merges with its own. Such a host is made by this language, whoever
    /// of the two named it first.
    fn merges(&self) -> &'static [Kind] {
        &[]
    }

    /// Whether what its objects claim is made by [`Self::claims`]. Where an object alone decides it, and there are a hundred
    /// thousand, an index of the store is cheaper.
    fn makes_claims(&self) -> bool {
        true
    }

    /// The listeners and hosts that one of its objects claims. It may read what is derived below claims, and no claims.
    fn claims(&self, _: Input<'_>, _: &ObjectRef) -> BTreeSet<Claimable> {
        BTreeSet::new()
    }

    /// A listener whose oldest claim is in this language, and all who claim it.
    fn listener(&self, _: Input<'_>, _: &Arc<str>, _: &[ObjectRef]) -> ListenerUnit {
        ListenerUnit::default()
    }

    /// A host whose oldest claim on this front is in this language, and all who claim it.
    fn host(&self, input: Input<'_>, front: &Front, host: &Host, claims: &[ObjectRef]) -> HostUnit;

    /// What objects of one namespace would have in clear for a host that another language has. Asked are those of `claims`, of which
    /// each is in this language; of what comes of it challenges are served, and nothing else (`translate/challenges.rs`).
    fn losing(&self, _: Input<'_>, _: &Front, _: &Host, _: &[ObjectRef]) -> HostUnit {
        HostUnit::default()
    }

    /// What is wrong with one of its objects, whatever its listeners and hosts come to.
    fn problems(&self, _: Input<'_>, _: &ObjectRef) -> Vec<Problem> {
        Vec::new()
    }

    /// What the status of one of its objects is to be, where it is a status of conditions; `None` where it is not ours to write.
    fn status(&self, _: Input<'_>, _: &ObjectRef) -> Option<WantedStatus> {
        None
    }

    /// One of its objects without what is beyond its budget. What is left out is never kept.
    fn within_budget(&self, object: Object, _: Prices<'_>) -> Object {
        object
    }

    /// Enters into the verdicts what its writer has to know of one of its objects, or takes out what is gone.
    fn enter(&self, _: &Store, _: &ObjectRef, _: &mut Statuses) {}
}
