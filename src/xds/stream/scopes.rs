//! Make before break, where requests choose their table by a scope: a table grows, then scopes move to it, then the table
//! that they left shrinks; connections are led to a new scope when it is there, and a scope goes when nothing leads to it.
//!
//! - A client asks for a table when a scope names it, and takes the scope at once: its requests are 404 until the table
//!   comes (Envoy 1.40). So one scope for each table has the table's own name, and no request: it waits for nothing, and
//!   brings the table. Every other scope waits until the client has all that its table is to have.
//! - What leaves a table stays in it while scopes are on their way: they may be what leads elsewhere. What the table says of others'
//!   hosts ([`ELSEWHERE`]) is left out meanwhile where it is about what stays.
//! - A listener waits while scopes move, as what is new in it may lead to a scope that is new.
//! - A client that came without anything opens its listeners when it has all of it, so nothing waits there.

use std::sync::Arc;
use std::time::Instant;

use imbl::ordmap::DiffItem;

use super::Stream;
use super::claimed_scopes::table_of;
use super::walk::{Obstacle, TableObstacles, altered_references};
use crate::xds::message::Variant;
use crate::xds::{ELSEWHERE, Resource, ResourceType, Snapshot, elsewhere};

impl Stream {
    /// Whether a scope is on its way to the client that can be sent before long.
    pub(super) fn scopes_move(&self, now: Option<Instant>) -> bool {
        let mut tables = TableObstacles::default();
        self.has_scopes_due(|name| self.scope_obstacle(name, now, &mut tables) != Obstacle::Late)
    }

    fn has_scopes_due(&self, which: impl FnMut(&Arc<str>) -> bool) -> bool {
        let scopes = self.channel(ResourceType::Scope);
        let is_there = |name: &&Arc<str>| self.base(ResourceType::Scope, name).is_some();
        let is_open = scopes.pending.is_some() || scopes.containment.is_some();
        is_open || scopes.due.keys().filter(is_there).any(which)
    }

    /// Whether all that is due of a table is that it loses something.
    pub(super) fn only_loses(&self, name: &Arc<str>) -> bool {
        let sent = self.channel(ResourceType::Route).held.sent(name);
        let wanted = self.wanted(ResourceType::Route, name);
        matches!((sent, wanted), (Some(sent), Some(wanted)) if has_all(sent, &wanted))
    }

    /// Whether listeners wait for scopes, or for the client to ask for them: one that came back asks for all types in one
    /// breath.
    pub(super) fn listeners_wait(&self, now: Instant) -> bool {
        let will_ask = self.scopes_deadline().is_some_and(|until| now < until);
        will_ask || self.scopes_move(Some(now))
    }

    /// Whether tables wait for what a client that came back says of its scopes.
    pub(super) fn tables_wait(&self, now: Instant) -> bool {
        let is_told = self.variant == Variant::Delta;
        is_told && self.scopes_deadline().is_some_and(|until| now < until)
    }

    /// A client that came back, and was not sent a table yet, has scopes that led there until now.
    pub(super) fn note_moved_scopes(&mut self, old: &Snapshot, new: &Snapshot) {
        if self.resumed.is_some() && self.variant == Variant::Delta {
            for (name, scope) in new.differences(old, ResourceType::Scope) {
                let scopes = self.channel(ResourceType::Scope);
                let taken = scopes.held.accepted(name).and_then(|scope| table_of(scope));
                let taken = taken.cloned();
                let before = old.get(ResourceType::Scope, name);
                let before = before.and_then(|scope| table_of(scope));
                let Some(table) = taken.as_ref().or(before) else {
                    continue;
                };
                let is_sent = self.channel(ResourceType::Route).held.sent(table).is_some();
                if taken.is_some() && scope.and_then(|scope| table_of(scope)) == taken.as_ref() {
                    self.claimed_scopes.is_in_place(name);
                } else if !is_sent {
                    self.claimed_scopes.moved(name, taken.as_ref(), table);
                }
            }
        }
        self.follow_claimed_scopes();
    }

    /// The tables that claimed scopes lead to are those of the target.
    pub(super) fn follow_claimed_scopes(&mut self) {
        for name in self.claimed_scopes.follow(&self.target) {
            let table = self.base(ResourceType::Route, &name).cloned();
            let tables = self.channel_mut(ResourceType::Route);
            tables.refused.prune(&name, table.as_ref());
            tables.changed(&name);
        }
    }

    /// Until when a client that came back may still ask for scopes; `None` if it has asked, or if there is none.
    pub(super) fn scopes_deadline(&self) -> Option<Instant> {
        let is_asked = self.channel(ResourceType::Scope).subscription.requested();
        let is_any = !self.target.resources(ResourceType::Scope).is_empty();
        let since = self.resumed.filter(|_| is_any && !is_asked)?;
        // Who answers has asked for all that it asks for in the first breath, which thousands of names make a long one.
        let wait = match self.answers().has_answered {
            true => self.timing.endpoints,
            false => self.timing.users,
        };
        Some(since + wait)
    }

    /// When it may matter that a client has not asked for the tables of its scopes; `None` if nothing waits for that.
    pub(super) fn tables_deadline(&self) -> Option<Instant> {
        let is_waiting = !self.channel(ResourceType::Scope).due.is_empty();
        is_waiting.then(|| self.tables_until()).flatten()
    }

    /// Until when a client that has taken scopes may still ask for their tables.
    fn tables_until(&self) -> Option<Instant> {
        let scopes = self.channel(ResourceType::Scope);
        let taken = scopes.acknowledged_at?;
        scopes
            .pending
            .is_none()
            .then(|| taken + self.timing.endpoints)
    }

    /// What keeps a scope from being sent, or from being taken away.
    pub(super) fn scope_obstacle(
        &self,
        name: &Arc<str>,
        now: Option<Instant>,
        tables: &mut TableObstacles,
    ) -> Obstacle {
        let Some(scope) = self.base(ResourceType::Scope, name) else {
            return match self.listeners_are_settled() {
                true => Obstacle::None,
                false => Obstacle::Soon,
            };
        };
        let scopes = self.channel(ResourceType::Scope);
        if scopes.acknowledged_at.is_none() && !scopes.brought {
            return Obstacle::None;
        }
        let mut worst = Obstacle::None;
        let sent = scopes.held.sent(name);
        altered_references(scope, sent.map(|sent| &**sent), |reference| {
            let brings_it = reference.name == *name;
            if reference.resource_type == ResourceType::Route && !brings_it {
                let table = tables.entry(reference.name.clone());
                let obstacle = table.or_insert_with_key(|name| self.table_obstacle(name, now));
                worst = worst.max(*obstacle);
            }
        });
        worst
    }

    /// Whether nothing of a listener is on its way.
    pub(super) fn listeners_are_settled(&self) -> bool {
        let listeners = self.channel(ResourceType::Listener);
        let is_open = listeners.pending.is_some() || listeners.containment.is_some();
        !is_open && listeners.due.is_empty()
    }

    /// What keeps a table from being all that it is to be.
    fn table_obstacle(&self, name: &Arc<str>, now: Option<Instant>) -> Obstacle {
        let tables = self.channel(ResourceType::Route);
        let Some(wanted) = self.wanted(ResourceType::Route, name) else {
            return Obstacle::None;
        };
        let scopes = self.channel(ResourceType::Scope);
        let brings = self.base(ResourceType::Scope, name);
        let brings = brings.filter(|brings| !scopes.refused.whole(brings));
        let is_taken = scopes.held.accepted(name).is_some();
        if brings.is_some() && !is_taken {
            // A client that has the table for another scope may be about to let go of it.
            return Obstacle::Soon;
        }
        if !tables.subscription.covers(name) {
            if brings.is_none() {
                return Obstacle::None;
            }
            let is_late = match (now, self.tables_until()) {
                (Some(now), Some(deadline)) => deadline <= now,
                _ => false,
            };
            // In the state of the world it asks with its next answer.
            let will_ask = self.variant == Variant::Sotw && tables.pending.is_some();
            return match (is_late, will_ask) {
                (true, false) => Obstacle::None,
                (true, true) => Obstacle::Late,
                (false, _) => Obstacle::Soon,
            };
        }
        match tables.held.accepted(name) {
            Some(accepted) if has_all(accepted, &wanted) => Obstacle::None,
            _ => self.obstacle(name, now).max(Obstacle::Soon),
        }
    }

    /// A table with what it loses, while scopes may still lead to that.
    pub(super) fn with_what_it_loses(
        &self,
        name: &Arc<str>,
        wanted: &Arc<Resource>,
    ) -> Option<Arc<Resource>> {
        let sent = self.channel(ResourceType::Route).held.sent(name)?;
        // Tables that no scope brings are not chosen by scopes.
        self.base(ResourceType::Scope, name)?;
        let lost = sent.parts().diff(wanted.parts());
        let lost = lost.filter_map(|difference| match difference {
            DiffItem::Remove(key, part) if !is_elsewhere(key) => Some((key.clone(), part.clone())),
            _ => None,
        });
        let mut lost = lost.peekable();
        lost.peek()?;
        if !self.has_scopes_due(|_| true) {
            return None;
        }
        let mut parts = wanted.parts().clone();
        let lost: Vec<_> = lost.collect();
        for (key, _) in &lost {
            // It is still here.
            parts.remove(&elsewhere(key));
        }
        parts.extend(lost);
        let name = wanted.name().clone();
        let kept = Resource::composite(name, wanted.head().clone(), parts);
        Some(Arc::new(kept.after(sent)))
    }
}

/// Whether a resource has everything of another one with the same bytes, whatever both say of what is elsewhere.
fn has_all(resource: &Resource, of: &Resource) -> bool {
    let mut differences = resource.parts().diff(of.parts());
    resource.head().bytes == of.head().bytes
        && differences.all(|difference| match difference {
            DiffItem::Remove(..) => true,
            DiffItem::Add(key, _) | DiffItem::Update { new: (key, _), .. } => is_elsewhere(key),
        })
}

fn is_elsewhere(key: &str) -> bool {
    key.ends_with(ELSEWHERE)
}
