//! What one client holds of one type. Nothing in here knows what should be held.

use std::sync::Arc;

use super::Resource;
use super::overlay::{Entry, Found, Overlay};
use super::refusal::Unit;

/// What the client holds of one resource.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// What it was sent last, and did not refuse.
    pub sent: Option<Arc<Resource>>,
    /// What it acknowledged last.
    pub accepted: Option<Arc<Resource>>,
    /// Whether the client says that it has some form of it from an earlier stream.
    pub brought: bool,
    /// The response that brought it when the client did not have it.
    pub since: u64,
    /// The last acknowledged response that contained it.
    pub acknowledged: u64,
    /// What it may have instead of what it acknowledged last.
    pub doubt: Doubt,
}

/// In what other form a client may have a resource: of a response that it refuses Envoy keeps what is good, and takes away
/// what is listed as removed (measured). What is acknowledged ends all doubt.
#[derive(Clone, Debug, Default)]
pub struct Doubt {
    /// The forms that refused responses had.
    forms: Vec<Arc<Resource>>,
    /// Whether there are others: it may not be there at all, or there were too many forms.
    others: bool,
}

impl Doubt {
    /// How many forms are remembered. That of the first refusal is in doubt until its bad unit is found; those of the search
    /// for it are few, unless much is bad.
    const FORMS: usize = 8;

    /// A response in which it had this form was refused.
    pub fn add(&mut self, form: &Arc<Resource>) {
        match self.forms.len() < Self::FORMS {
            true => self.forms.push(form.clone()),
            false => self.others = true,
        }
    }

    /// A response that takes it away was refused.
    pub fn add_removal(&mut self) {
        self.others = true;
    }

    /// The client refuses this unit: a form that has it was not taken.
    pub fn refute(&mut self, unit: &Unit) {
        self.forms.retain(|form| unit.part(form).is_none());
    }

    fn is_any(&self) -> bool {
        self.others || !self.forms.is_empty()
    }
}

/// What the client holds of all resources of one type, by name. To be [settled](Overlay::settle) when every response is
/// answered and nothing is due, so that what a resource needs was acknowledged after the resource came: which of two
/// responses was the earlier one is forgotten then.
pub type Holdings = Overlay<Held>;

impl Entry for Held {
    fn shared(resource: &Arc<Resource>, nonce: u64) -> Self {
        Self {
            sent: Some(resource.clone()),
            accepted: Some(resource.clone()),
            brought: false,
            since: 0,
            acknowledged: nonce,
            doubt: Doubt::default(),
        }
    }

    fn is_shared(&self, resource: &Resource) -> bool {
        let mut known = [&self.sent, &self.accepted].into_iter();
        known.all(|held| held.as_deref() == Some(resource)) && !self.doubt.is_any()
    }
}

impl Holdings {
    /// What the client was sent last of a resource.
    #[must_use]
    pub fn sent(&self, name: &str) -> Option<&Arc<Resource>> {
        match self.get(name)? {
            Found::Own(held) => held.sent.as_ref(),
            Found::Shared(resource, _) => Some(resource),
        }
    }

    /// What the client took last of a resource.
    #[must_use]
    pub fn accepted(&self, name: &str) -> Option<&Arc<Resource>> {
        match self.get(name)? {
            Found::Own(held) => held.accepted.as_ref(),
            Found::Shared(resource, _) => Some(resource),
        }
    }

    /// Whether the client has a resource in a form that nobody knows, which no response has replaced.
    #[must_use]
    pub fn is_unknown(&self, name: &str) -> bool {
        match self.get(name) {
            Some(Found::Own(held)) => {
                held.brought && held.sent.is_none() && held.accepted.is_none()
            }
            _ => false,
        }
    }

    /// Whether the client may have another form of a resource than the one that it acknowledged last.
    #[must_use]
    pub fn is_doubted(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Found::Own(held)) if held.doubt.is_any())
    }

    /// The response since which the client has a resource without interruption, or an earlier one.
    #[must_use]
    pub fn since(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Found::Own(held) => held.sent.as_ref().map(|_| held.since),
            Found::Shared(..) => Some(0),
        }
    }

    /// The last acknowledged response that contained a resource, or a later one.
    #[must_use]
    pub fn acknowledged(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Found::Own(held) => Some(held.acknowledged),
            Found::Shared(_, nonce) => Some(nonce),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use imbl::OrdMap;

    use super::*;
    use crate::xds::Part;

    fn form(bytes: &str) -> Arc<Resource> {
        let part = Part {
            bytes: bytes.as_bytes().into(),
            references: Arc::new([]),
            owners: Arc::new([]),
        };
        Arc::new(Resource::whole("a".into(), part))
    }

    fn unit(form: &Arc<Resource>) -> Unit {
        Unit::new_in(form, None).remove(0)
    }

    /// Holdings whose entry of `a` is this one.
    fn holding(held: &Held) -> Holdings {
        let mut holdings = Holdings::default();
        *holdings.get_or_insert(&"a".into()) = held.clone();
        holdings
    }

    /// Holdings of which the snapshot stands for `a` since response 7, unless it differs.
    fn settled(held: &Held, snapshot: &Arc<Resource>) -> Holdings {
        let mut holdings = holding(held);
        let target = OrdMap::from_iter([(Arc::from("a"), snapshot.clone())]);
        holdings.settle(&target, 7);
        holdings
    }

    /// As many forms as are remembered can each be refuted. Of more nobody knows what they were, and so it is of a removal,
    /// until something is acknowledged.
    #[test]
    fn doubt_ends_with_the_last_form_unless_there_were_others() {
        let is_doubted = |doubt: &Doubt| {
            let held = Held {
                doubt: doubt.clone(),
                ..Held::default()
            };
            holding(&held).is_doubted("a")
        };
        for (count, remains) in [(1, false), (Doubt::FORMS, false), (Doubt::FORMS + 1, true)] {
            let forms: Vec<_> = (0..count).map(|n| form(&format!("{n};"))).collect();
            let mut doubt = Doubt::default();
            assert!(!is_doubted(&doubt));
            for form in &forms {
                doubt.add(form);
                assert!(is_doubted(&doubt));
            }
            doubt.refute(&unit(&form("another;")));
            for form in &forms {
                assert!(is_doubted(&doubt), "{form:?} of {count}");
                doubt.refute(&unit(form));
            }
            assert_eq!(is_doubted(&doubt), remains, "{count}");
        }
        let mut doubt = Doubt::default();
        doubt.add_removal();
        doubt.refute(&unit(&form("1;")));
        assert!(is_doubted(&doubt));
    }

    /// What a client was sent and has taken without a doubt is the snapshot's own; all else is its own.
    #[test]
    fn what_the_snapshot_can_stand_for() {
        let (now, old) = (form("1;"), form("0;"));
        let taken = Held {
            sent: Some(now.clone()),
            accepted: Some(now.clone()),
            since: 3,
            acknowledged: 4,
            ..Held::default()
        };
        let holdings = settled(&taken, &now);
        assert!(matches!(holdings.get("a"), Some(Found::Shared(_, 7))));
        assert!(Arc::ptr_eq(holdings.sent("a").unwrap(), &now));
        assert!(Arc::ptr_eq(holdings.accepted("a").unwrap(), &now));
        assert_eq!(
            (holdings.since("a"), holdings.acknowledged("a")),
            (Some(0), Some(7))
        );
        assert!(!holdings.is_doubted("a") && !holdings.is_unknown("a"));
        // Taken out again it says the same.
        let Held {
            sent,
            accepted,
            brought,
            acknowledged,
            ..
        } = holdings.clone().remove(&"a".into()).unwrap();
        assert!(
            [sent, accepted]
                .iter()
                .all(|of| of.as_ref().is_some_and(|of| Arc::ptr_eq(of, &now)))
        );
        assert_eq!((brought, acknowledged), (false, 7));

        let mut doubted = taken.clone();
        doubted.doubt.add(&old);
        for own in [
            doubted,
            Held {
                sent: Some(old.clone()),
                ..taken.clone()
            },
            Held {
                accepted: Some(old.clone()),
                ..taken.clone()
            },
            Held {
                accepted: None,
                ..taken.clone()
            },
        ] {
            let holdings = settled(&own, &now);
            assert!(matches!(holdings.get("a"), Some(Found::Own(_))), "{own:?}");
            let same = |one: Option<&Arc<Resource>>, other: &Option<Arc<Resource>>| {
                one.map(|one| one.bytes()) == other.as_ref().map(|other| other.bytes())
            };
            assert!(same(holdings.sent("a"), &own.sent));
            assert!(same(holdings.accepted("a"), &own.accepted));
            assert_eq!(
                (holdings.since("a"), holdings.acknowledged("a")),
                (Some(3), Some(4))
            );
        }
    }

    /// Only a form that no response of this stream has replaced is one that nobody knows.
    #[test]
    fn what_is_brought_is_unknown_until_it_is_replaced() {
        let now = form("1;");
        let unknown = |brought, sent: bool, accepted: bool| {
            let held = Held {
                sent: sent.then(|| now.clone()),
                accepted: accepted.then(|| now.clone()),
                brought,
                ..Held::default()
            };
            holding(&held).is_unknown("a")
        };
        assert!(unknown(true, false, false));
        for (brought, sent, accepted) in [
            (false, false, false),
            (true, true, false),
            (true, false, true),
            (true, true, true),
            (false, true, true),
        ] {
            assert!(
                !unknown(brought, sent, accepted),
                "{brought} {sent} {accepted}"
            );
        }
    }

    /// Nothing is held of another name, and nothing is since when that was not sent.
    #[test]
    fn what_is_not_held() {
        let brought = Held {
            brought: true,
            since: 3,
            ..Held::default()
        };
        let holdings = holding(&brought);
        assert!(holdings.sent("a").is_none() && holdings.accepted("a").is_none());
        assert_eq!(holdings.since("a"), None);
        assert!(holdings.sent("b").is_none() && holdings.accepted("b").is_none());
        assert_eq!(
            (holdings.since("b"), holdings.acknowledged("b")),
            (None, None)
        );
        assert!(!holdings.is_unknown("b") && !holdings.is_doubted("b"));
    }
}
