//! Up to which version each list-watch has brought its objects, for whoever asks whether a change has arrived.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::objects::Kind;

/// By kind, and namespace where namespaces are named. A cheap handle: every clone shows the same.
#[derive(Clone, Debug, Default)]
pub struct Versions(Arc<Mutex<Seen>>);

type Seen = BTreeMap<(Kind, Option<Arc<str>>), u64>;

impl Versions {
    /// What was sent has all changes up to this one.
    pub(super) fn note(&self, kind: Kind, namespace: Option<&Arc<str>>, version: u64) {
        // Nothing is called under this lock that could panic and leave it half done.
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert((kind, namespace.cloned()), version);
    }

    /// The version up to which the objects of a kind were sent, of this namespace; `None` where they are not read, or not yet.
    #[must_use]
    pub fn of(&self, kind: Kind, namespace: &str) -> Option<u64> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |namespace| seen.get(&(kind, namespace)).copied();
        of(Some(namespace.into())).or_else(|| of(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_its_own_or_that_of_all() {
        let versions = Versions::default();
        assert_eq!(versions.of(Kind::Ingress, "shop"), None);
        versions.note(Kind::Ingress, None, 7);
        versions.note(Kind::Secret, Some(&"shop".into()), 9);
        assert_eq!(versions.of(Kind::Ingress, "shop"), Some(7));
        assert_eq!(versions.of(Kind::Secret, "shop"), Some(9));
        assert_eq!(versions.of(Kind::Secret, "other"), None);
    }
}
