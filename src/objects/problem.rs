//! What is wrong with one object, as data.

use std::cmp::Ordering;

use super::FieldRef;

/// One thing that is wrong with an object and that its owner can put right.
///
/// It spoils that object only. It ends as an Event on the object, in the metric
/// `isobath_object_problems{kind,namespace,reason}` and once in the log, so it must depend on the objects alone
/// (I1): no times, counters or host names, or the same problem would be told again and again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The object to which it is reported, and its field: the one whose owner can act, mostly the Ingress that names what
    /// is missing.
    pub source: FieldRef,
    /// A word in CamelCase, as the `reason` of an Event (at most 128 characters), for instance
    /// `ServiceNotFound`. It is a metric label: one of a small fixed set, never made from the object.
    pub reason: &'static str,
    /// One sentence for the object's owner. Never quotes a value of a Secret (I10).
    pub message: String,
    /// What it is in the object's status, for kinds whose status lists what is wrong.
    pub condition: Option<Condition>,
}

/// What a problem is in the status of an object, for kinds whose status lists what is wrong (HTTPProxy's `DetailedCondition`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Condition {
    /// The `type` in the list, for instance `TLSError`.
    pub condition_type: &'static str,
    /// Whether the object is valid all the same.
    pub is_warning: bool,
}

impl Problem {
    /// Builds the problem from its parts.
    pub fn new(
        source: impl Into<FieldRef>,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            source: source.into(),
            reason,
            message: message.into(),
            condition: None,
        }
    }

    /// The same as this in the object's status.
    #[must_use]
    pub const fn of_condition(mut self, condition: Condition) -> Self {
        self.condition = Some(condition);
        self
    }
}

impl Ord for Problem {
    /// By object, reason and sentence; last by field and condition.
    fn cmp(&self, other: &Self) -> Ordering {
        let object = self.source.object.cmp(&other.source.object);
        object
            .then_with(|| self.reason.cmp(other.reason))
            .then_with(|| self.message.cmp(&other.message))
            .then_with(|| self.source.field.cmp(&other.source.field))
            .then_with(|| self.condition.cmp(&other.condition))
    }
}

impl PartialOrd for Problem {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
