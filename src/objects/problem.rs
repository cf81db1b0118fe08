//! What is wrong with one object, as data.

use super::ObjectRef;

/// One thing that is wrong with an object and that its owner can put right.
///
/// It spoils that object only. It ends as an Event on the object, in the metric
/// `isobath_object_problems{kind,namespace,reason}` and once in the log, so it must depend on the objects alone
/// (I1): no times, counters or host names, or the same problem would be told again and again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    /// The object to which it is reported: the one whose owner can act, mostly the Ingress that names what is
    /// missing.
    pub object: ObjectRef,
    /// A word in CamelCase, as the `reason` of an Event (at most 128 characters), for instance
    /// `ServiceNotFound`. It is a metric label: one of a small fixed set, never made from the object.
    pub reason: &'static str,
    /// One sentence for the object's owner. Never quotes a value of a Secret (I10).
    pub message: String,
}

impl Problem {
    /// Builds the problem from its parts.
    pub fn new(object: ObjectRef, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            object,
            reason,
            message: message.into(),
        }
    }
}
