//! What a request means: an answer to a response, a change of the subscription, or both.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::claimed_scopes::ClaimedScopes;
use super::{Event, Stream};
use crate::xds::ResourceType;
use crate::xds::channel::{Channel, Pending};
use crate::xds::held::Doubt;
use crate::xds::message::{Ask, RefusalText, Request, Variant};
use crate::xds::names::Names;
use crate::xds::refusal::{Containment, Unit};
use crate::xds::report::Rejected;
use crate::xds::subscription::Change;

/// What ends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// On an aggregated stream every request says which type it is about.
    #[error("a request on an aggregated stream needs a type_url")]
    NoType,
    /// More names than a stream may hold.
    #[error("more resource names than one stream may subscribe to")]
    TooManyNames,
}

impl Stream {
    /// Most names of one stream, of all types: several times the 50,000 that one type may well have.
    pub const NAMES: usize = 250_000;
    /// Most bytes of these names.
    pub const NAME_BYTES: usize = 32 << 20;

    /// Takes a request.
    ///
    /// # Errors
    ///
    /// If the stream has to end because of it.
    pub fn request(&mut self, request: Request, now: Instant) -> Result<(), Violation> {
        if request.type_url.is_empty() {
            return Err(Violation::NoType);
        }
        // "Only the first request on a stream is guaranteed to carry the node identifier", and it never changes.
        if self.client.is_none() {
            self.client = request.client;
        }
        // Types that Isobath does not serve stay unanswered: they may be asked for by a client that can do more.
        let Some(resource_type) = ResourceType::from_type_url(&request.type_url) else {
            return Ok(());
        };
        let channel = self.channel(resource_type);
        let first = !channel.subscription.requested();
        let nonce: Option<u64> = request.nonce.parse().ok();
        let refused = request.refusal.is_some();

        // "The nonce is valid only in the context of an individual xDS stream": what a first request carries is
        // of another stream.
        let answers = !first
            && nonce.is_some()
            && nonce == channel.pending.as_ref().map(|pending| pending.nonce);
        let mut renewal = false;
        if self.variant == Variant::Sotw && !answers && channel.last_nonce > 0 && !first {
            if nonce != Some(channel.last_nonce) {
                // "The management server should not send a DiscoveryResponse for any DiscoveryRequest that has a
                // stale nonce": the answer to the newer response will carry the names again. If the older one was
                // answered before, this is no answer but a renewed interest, which that answer would not show.
                if nonce == Some(channel.answered)
                    && !refused
                    && let Ask::Sotw { names, .. } = request.ask
                {
                    let channel = self.channel_mut(resource_type);
                    for name in &names {
                        if channel.subscription.names().contains(name) {
                            channel.renewed.insert(name.as_str().into());
                        }
                    }
                }
                return Ok(());
            }
            // Each response has one answer: another request with its nonce asks again for what it names, unless
            // it repeats a refusal.
            renewal = !refused;
        }

        let on_its_way = self.on_its_way(resource_type, &request.ask);
        if answers {
            match &request.refusal {
                Some(text) => self.refuse(resource_type, text),
                None => self.acknowledge(resource_type, now),
            }
        }
        self.ask(resource_type, request.ask, first, renewal, now);
        for name in on_its_way {
            self.keep(resource_type, name);
        }

        self.check_bounds()
    }

    /// Names that the client had let go of and asks for again while the response that has them is not answered: it may take
    /// them from that response. In the state of the world an answer comes with the names of its moment.
    fn on_its_way(&self, resource_type: ResourceType, ask: &Ask) -> Vec<Arc<str>> {
        let channel = self.channel(resource_type);
        let (Some(pending), Ask::Delta { subscribe, .. }) = (&channel.pending, ask) else {
            return Vec::new();
        };
        let of_name = |name: &String| {
            // They are in the order of their names.
            let found = pending
                .resources
                .binary_search_by(|resource| (**resource.name()).cmp(name));
            found.ok().and_then(|index| pending.resources.get(index))
        };
        let found = subscribe.iter().filter_map(of_name);
        found
            .map(|resource| resource.name().clone())
            .filter(|name| !channel.held.contains(name))
            .collect()
    }

    /// What the client may have all the same: if it does not exist any more, it leaves when what uses it is replaced.
    fn keep(&mut self, resource_type: ResourceType, name: Arc<str>) {
        if !self.channel(resource_type).subscription.covers(&name) {
            return;
        }
        if self.target.get(resource_type, &name).is_none() {
            self.leave(resource_type, name);
        } else {
            // What replaces it may be refused, or leave before it is sent.
            let channel = self.channel_mut(resource_type);
            channel.held.get_or_insert(&name).brought = true;
        }
    }

    /// A name that the client has, or may have, and that does not exist.
    fn leave(&mut self, resource_type: ResourceType, name: Arc<str>) {
        let channel = self.channel_mut(resource_type);
        channel.due.remove(&name);
        channel.nonexistent.insert(name.clone());
        // It may come back and go again before the client is sent anything of this type.
        channel.held.get_or_insert(&name).brought = true;
        if resource_type.is_used_by_none() {
            channel.pending_removals.insert(name);
        } else {
            self.removals.add((resource_type, name));
        }
    }

    /// How many names are remembered that need not exist, because the client named them, and their length.
    #[must_use]
    pub fn nonexistent(&self) -> (usize, usize) {
        let of_channel =
            |channel: &'_ Channel| [&channel.nonexistent, &channel.unknown].map(Names::size);
        let sizes = self.channels.iter().flat_map(of_channel);
        let sizes = sizes.chain([self.claimed_scopes.size()]);
        sizes.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// The same once this request is taken, or more.
    #[must_use]
    pub fn nonexistent_with(&self, request: &Request) -> (usize, usize) {
        let (mut names, mut bytes) = self.nonexistent();
        let Some(resource_type) = ResourceType::from_type_url(&request.type_url) else {
            return (names, bytes);
        };
        if let (ResourceType::Scope, Ask::Delta { claimed, .. }) = (resource_type, &request.ask) {
            let claimed = ClaimedScopes::size_of(claimed, &self.target);
            names += claimed.0;
            bytes += claimed.1;
        }
        let nonexistent = &self.channel(resource_type).nonexistent;
        for name in request.ask.names() {
            if !nonexistent.contains(name) && self.target.get(resource_type, name).is_none() {
                names += 1;
                bytes += name.len();
            }
        }
        (names, bytes)
    }

    /// What is remembered for the client because it named it: what it subscribes to, what it is to be told does not
    /// exist, and what it brought along.
    fn check_bounds(&self) -> Result<(), Violation> {
        let of_all = |of: fn(&Channel) -> (usize, usize)| {
            self.channels
                .iter()
                .map(of)
                .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        };
        let kinds = [
            of_all(|channel| {
                let names = channel.subscription.names().len();
                (names, channel.subscription.bytes())
            }),
            of_all(|channel| channel.unknown.size()),
            self.claimed,
        ];
        let is_bounded = |(names, bytes)| names <= Self::NAMES && bytes <= Self::NAME_BYTES;
        match kinds.into_iter().all(is_bounded) {
            true => Ok(()),
            false => Err(Violation::TooManyNames),
        }
    }

    /// The subscription's part of a request.
    fn ask(
        &mut self,
        resource_type: ResourceType,
        ask: Ask,
        first: bool,
        renewal: bool,
        now: Instant,
    ) {
        let channel = &mut self.channels[resource_type as usize];
        let (mut change, claimed, resumes) = match ask {
            Ask::Delta {
                subscribe,
                unsubscribe,
                claimed,
            } => {
                let change = channel.subscription.delta(&subscribe, &unsubscribe);
                let resumes = !claimed.is_empty();
                (change, claimed, resumes)
            }
            Ask::Sotw { names, resumes } => {
                let change = channel.subscription.sotw(&names);
                // What it has of the types with a wildcard, which it does not name, it does not tell.
                let named = resumes && !resource_type.has_wildcard();
                let names = if named { names } else { Vec::new() };
                let claimed = names.into_iter().map(|name| (name, String::new()));
                (change, claimed.collect(), resumes)
            }
        };
        if renewal && change == Change::default() {
            change.asked = channel.subscription.names().names().cloned().collect();
            change.asked_all = channel.subscription.wildcard();
        }
        for name in &change.dropped {
            channel.drop_name(name);
        }
        if change.dropped_all {
            change.dropped.extend(channel.drop_unnamed());
        }
        for name in &change.dropped {
            self.removals.cancel(resource_type, name);
        }
        self.take_back(resource_type, &change.unnamed);
        let target = self.target.resources(resource_type);
        let channel = &mut self.channels[resource_type as usize];
        // A refused placeholder is not remembered longer than the name that it was sent for.
        for name in change.dropped.iter().chain(&change.unnamed) {
            if !target.contains_key(name) {
                channel.refused.prune(name, None);
            }
        }
        for name in &change.asked {
            channel.asked(name);
            let is_kept =
                channel.subscription.names().contains(name) || channel.due.contains_key(name);
            if !target.contains_key(name) && is_kept {
                channel.nonexistent.insert(name.clone());
            }
        }
        if change.asked_all {
            // Also when there is nothing: the client's first fetch ends with the answer.
            channel.must_answer = true;
            let held: Vec<Arc<str>> = channel.held.names().cloned().collect();
            for name in target.keys().chain(&held) {
                channel.asked(name);
            }
        }
        if first {
            if resumes {
                channel.brought = true;
                self.resumed.get_or_insert(now);
            }
            self.claim(resource_type, claimed);
        }
    }

    /// Names that the client takes back, and that the wildcard covers all the same.
    fn take_back(&mut self, resource_type: ResourceType, names: &[Arc<str>]) {
        let target = self.target.resources(resource_type);
        let channel = &mut self.channels[resource_type as usize];
        for name in names {
            channel.renewed.remove(name);
            if target.contains_key(name) || channel.held.contains(name) {
                // The client deletes what it unsubscribes from, though the wildcard still covers it: it is to be told
                // again. In the state of the world all is told each time.
                if self.variant == Variant::Delta {
                    channel.asked(name);
                }
            } else {
                channel.due.remove(name);
                channel.pending_removals.remove(name);
                channel.nonexistent.remove(name);
                if self.variant == Variant::Delta {
                    channel.unknown.insert(name.clone());
                }
            }
        }
    }

    /// What a client brings along from an earlier stream is believed in two things only. Names that do not exist have to
    /// be taken from it, when what uses them is replaced: its routes are those of the earlier stream too. And its scopes
    /// lead to the tables that they say ([`ClaimedScopes`]). Names that exist are sent in full. This includes a client that
    /// does not name them now, and routes and endpoints: unlike a client that waits, it has some, and goes on with them.
    fn claim(&mut self, resource_type: ResourceType, claimed: BTreeMap<String, String>) {
        if resource_type == ResourceType::Scope && self.variant == Variant::Delta {
            self.target = self.orphaned_scopes.claim(claimed.iter(), &self.target);
            for name in self.orphaned_scopes.names() {
                self.channels[resource_type as usize].asked(name);
            }
            self.claimed_scopes = ClaimedScopes::new(&claimed, &self.target);
            self.follow_claimed_scopes();
        }
        let target = self.target.clone();
        let target = target.resources(resource_type);
        for name in claimed.into_keys() {
            let channel = self.channel_mut(resource_type);
            if let Some((name, _)) = target.get_key_value(&*name) {
                // Should it leave before it is sent, the client has it all the same.
                if channel.subscription.covers(name) {
                    channel.held.get_or_insert(name).brought = true;
                }
                continue;
            }
            self.claimed.0 += 1;
            self.claimed.1 += name.len();
            self.leave(resource_type, name.into());
        }
    }

    /// The pending response was taken.
    fn acknowledge(&mut self, resource_type: ResourceType, now: Instant) {
        let channel = &mut self.channels[resource_type as usize];
        let Some(pending) = channel.pending.take() else {
            return;
        };
        channel.answered = pending.nonce;
        let mut leads_elsewhere = false;
        for resource in &pending.resources {
            leads_elsewhere |= resource_type == ResourceType::Scope
                && self.claimed_scopes.taken(resource, &self.target);
            if let Some(held) = channel.held.get_mut(resource.name()) {
                held.accepted = Some(resource.clone());
                held.acknowledged = pending.nonce;
                held.doubt = Doubt::default();
            }
            channel.renewed.remove(resource.name());
        }
        channel.acknowledged_version = Some(pending.version);
        channel.rejected = None;
        channel.acknowledged_at = Some(now);
        if let Some(containment) = &mut channel.containment {
            containment.acknowledged();
        }
        for name in std::mem::take(&mut channel.renewed) {
            channel.asked(&name);
        }
        if leads_elsewhere {
            self.follow_claimed_scopes();
        }
        self.events.push(Event::Acknowledged {
            resource_type,
            after: now.saturating_duration_since(pending.at),
        });
    }

    /// The pending response was refused.
    fn refuse(&mut self, resource_type: ResourceType, text: &RefusalText) {
        let channel = &mut self.channels[resource_type as usize];
        let Some(pending) = channel.pending.take() else {
            return;
        };
        channel.answered = pending.nonce;
        for name in std::mem::take(&mut channel.renewed) {
            channel.asked(&name);
        }
        let (version, reason) = (pending.version.clone(), text.quote(resource_type));
        channel.rejected = Some(Rejected {
            version: version.clone(),
            reason: reason.clone(),
        });
        self.contain(resource_type, pending, text);
        self.events.push(Event::ResponseRefused {
            resource_type,
            version,
            reason,
        });
    }

    /// Nothing in a refused response counts as taken, though the client may have taken some of it ([`Doubt`]), and the search
    /// for the bad part of it begins or goes on.
    pub(super) fn contain(
        &mut self,
        resource_type: ResourceType,
        refused: Pending,
        text: &RefusalText,
    ) {
        let channel = &mut self.channels[resource_type as usize];
        let quote = text.quote(resource_type);
        if !refused.resources.is_empty() {
            channel.refused_sets.insert(refused.digest, quote.clone());
        }
        let mut suspects = Vec::new();
        let mut carried = BTreeMap::new();
        // Each set of a whole world brings along what is not in question.
        let partial = self.variant == Variant::Delta || !resource_type.has_wildcard();
        let mut reduced = Vec::new();
        for resource in &refused.resources {
            let Some(held) = channel.held.get_mut(resource.name()) else {
                // Not wanted any more, but it may be what was bad.
                suspects.extend(Unit::new_in(resource, None));
                continue;
            };
            held.sent = held.accepted.clone();
            if held.accepted.as_deref() != Some(&**resource) {
                held.doubt.add(resource);
            }
            let units = Unit::new_in(resource, held.accepted.as_deref());
            if units.is_empty() {
                reduced.push(resource.name().clone());
                if partial {
                    carried.insert(resource.name().clone(), resource.clone());
                }
            }
            suspects.extend(units);
        }
        // Less than the client took cannot be bad, but it was not taken either.
        if channel.containment.is_some() || !suspects.is_empty() {
            for name in reduced {
                channel.changed(&name);
            }
        }
        // A removal alone that is refused is not repeated; else it goes with what is sent next.
        let repeat = channel.containment.is_some() || !suspects.is_empty();
        for (name, held) in refused.removed {
            if channel.subscription.covers(&name)
                && let Some(mut held) = held
                && !channel.held.contains(&name)
            {
                held.doubt.add_removal();
                *channel.held.get_or_insert(&name) = held;
            }
            if self.target.get(resource_type, &name).is_some() {
                channel.changed(&name);
                continue;
            }
            if repeat || channel.held.contains(&name) {
                channel.nonexistent.insert(name.clone());
            }
            if repeat {
                channel.pending_removals.insert(name);
            }
        }
        if let Some(containment) = &mut channel.containment {
            containment.refused(text, quote, carried);
        } else if !suspects.is_empty() {
            for unit in &suspects {
                channel.changed(&unit.name);
            }
            channel.containment = Some(Containment::new(suspects, carried, text, quote));
        }
    }
}
