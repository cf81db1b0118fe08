//! What Envoys have made of a Gateway, or of a ListenerSet: `Programmed` holds once one of them has acknowledged the snapshot that
//! has it, and not while one of them refuses its listener.
//!
//! What was said to hold stays so: an Envoy that is slow, or that connects anew, takes nothing back. Only what is not yet said of
//! this generation waits. A status waits with it for [`HOLD`], so that in general one write says all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::cut;
use crate::model::verdict::{Delivery, GatewayApiFacts, WantedStatus};
use crate::objects::NamespacedName;
use crate::objects::gateway_api::{
    ConditionStatus, MOST_MESSAGE, NONE_PROGRAMMED, NOT_ACKNOWLEDGED, Status, StatusCondition,
};

/// For how long a status waits to be acknowledged, before it is written that it is not.
const HOLD: Duration = Duration::from_millis(500);

/// The condition.
const PROGRAMMED: &str = "Programmed";

/// What is known of acknowledgements, and who waits for one.
#[derive(Debug, Default)]
pub(super) struct Programmed {
    delivery: Delivery,
    /// The snapshot that has what the verdicts of now say.
    snapshot: u64,
    waiting: BTreeMap<NamespacedName, Waiting>,
}

/// What is not yet said to hold.
#[derive(Debug, PartialEq, Eq)]
struct Waiting {
    uid: Arc<str>,
    generation: i64,
    claims: BTreeSet<Claim>,
    /// The snapshot that has it.
    snapshot: u64,
    since: Instant,
}

/// Of what it is to be said: of the object (`None`), or of one of its listeners.
type Claim = Option<Arc<str>>;

impl Programmed {
    /// The verdicts of now are in this snapshot.
    pub(super) const fn follow(&mut self, snapshot: u64) {
        self.snapshot = snapshot;
    }

    /// Takes in how far Envoys are. Returns who has waited for it; `None` where it may concern any.
    pub(super) fn delivered(&mut self, delivery: &Delivery) -> Option<Vec<NamespacedName>> {
        let before = std::mem::replace(&mut self.delivery, delivery.clone());
        let is_of_any = before.refused_listeners != delivery.refused_listeners;
        // Once: what is told again at every acknowledgement would be written again before its time, where a write has failed.
        let waiting = self.waiting.iter();
        let has =
            waiting.filter(|(_, it)| !before.has(it.snapshot) && self.delivery.has(it.snapshot));
        (!is_of_any).then(|| has.map(|(name, _)| name.clone()).collect())
    }

    /// The object is gone, or none of ours any more.
    pub(super) fn forget(&mut self, name: &NamespacedName) {
        self.waiting.remove(name);
    }

    /// Enters what Envoys have made of it into a status. Returns until when it is to wait, if it is.
    pub(super) fn enter(
        &mut self,
        name: &NamespacedName,
        facts: &GatewayApiFacts,
        of_object: &WantedStatus,
        wanted: &mut Status,
        now: Instant,
    ) -> Option<Instant> {
        self.refuse(of_object, wanted);
        let claims = claims(wanted, &facts.seen);
        let Some(generation) = generation(wanted).filter(|_| !claims.is_empty()) else {
            self.waiting.remove(name);
            return None;
        };
        let known = self.waiting.get(name).filter(|known| {
            known.uid == facts.uid
                && known.generation == generation
                && claims.is_subset(&known.claims)
        });
        let (snapshot, since) = match known {
            Some(known) => (known.snapshot, known.since),
            None => {
                let waiting = Waiting {
                    uid: facts.uid.clone(),
                    generation,
                    claims: claims.clone(),
                    snapshot: self.snapshot,
                    since: now,
                };
                self.waiting.insert(name.clone(), waiting);
                (self.snapshot, now)
            }
        };
        if self.delivery.has(snapshot) {
            return None;
        }
        for claim in &claims {
            if let Some(condition) = condition_mut(wanted, claim.as_deref()) {
                condition.status = ConditionStatus::Unknown;
                condition.reason = "Pending".into();
                condition.message = NOT_ACKNOWLEDGED.into();
            }
        }
        Some(since + HOLD).filter(|until| now < *until)
    }

    /// What an Envoy refuses is not programmed.
    fn refuse(&self, of_object: &WantedStatus, wanted: &mut Status) {
        let refused = &*self.delivery.refused_listeners;
        if refused.is_empty() {
            return;
        }
        let places = of_object.places.iter();
        let places = places.filter_map(|(place, at)| Some((place, refused.get(place)?, *at)));
        let mut first = None;
        for (place, reason, at) in places {
            let Some(listener) = wanted.listeners.get_mut(at) else {
                continue;
            };
            let message = format!("an Envoy refuses the listener {place}: {reason}");
            if invalidate(&mut listener.conditions, &message) {
                first.get_or_insert(message);
            }
        }
        let mut listeners = wanted.listeners.iter();
        let is_left = listeners.any(|it| holds(&it.conditions).is_some());
        if let Some(message) = first.filter(|_| !is_left) {
            let message = format!("{NONE_PROGRAMMED}: {message}");
            invalidate(&mut wanted.conditions, &message);
        }
    }
}

/// That it is not programmed, if nothing else is in the way of it already.
fn invalidate(conditions: &mut [StatusCondition], message: &str) -> bool {
    let mut conditions = conditions.iter_mut();
    let condition = conditions.find(|it| is_programmed(it));
    let Some(condition) = condition else {
        return false;
    };
    condition.status = ConditionStatus::False;
    condition.reason = "Invalid".into();
    condition.message = cut(message, MOST_MESSAGE).into();
    true
}

fn is_programmed(condition: &StatusCondition) -> bool {
    &*condition.kind == PROGRAMMED && condition.status == ConditionStatus::True
}

/// The generation of which it is said to be programmed, if it is.
fn holds(conditions: &[StatusCondition]) -> Option<i64> {
    let mut conditions = conditions.iter();
    let condition = conditions.find(|it| is_programmed(it))?;
    Some(condition.observed_generation)
}

/// The generation that a status is about.
fn generation(status: &Status) -> Option<i64> {
    let first = status.conditions.first()?;
    Some(first.observed_generation)
}

fn condition_mut<'a>(
    status: &'a mut Status,
    listener: Option<&str>,
) -> Option<&'a mut StatusCondition> {
    let conditions = match listener {
        None => &mut status.conditions,
        Some(name) => {
            let mut listeners = status.listeners.iter_mut();
            &mut listeners.find(|it| &*it.name == name)?.conditions
        }
    };
    conditions.iter_mut().find(|it| is_programmed(it))
}

/// What is to be said and is not seen.
fn claims(wanted: &Status, seen: &Status) -> BTreeSet<Claim> {
    let is_news = |wanted: &[StatusCondition], seen: &[StatusCondition]| {
        let holds_for = holds(wanted);
        holds_for.is_some() && holds_for != holds(seen)
    };
    let mut claims = BTreeSet::new();
    if is_news(&wanted.conditions, &seen.conditions) {
        claims.insert(None);
    }
    let before: BTreeMap<_, _> = seen
        .listeners
        .iter()
        .map(|it| (&it.name, &*it.conditions))
        .collect();
    for listener in &wanted.listeners {
        let before = before.get(&listener.name).copied().unwrap_or_default();
        if is_news(&listener.conditions, before) {
            claims.insert(Some(listener.name.clone()));
        }
    }
    claims
}

#[cfg(test)]
mod tests;
