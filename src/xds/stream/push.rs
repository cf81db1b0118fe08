//! What is sent: the next response of one type, and what has to follow it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use prost::Message;

use super::walk::{TableObstacles, altered_references};
use super::{Event, Stream};
use crate::xds::channel::{Due, Pending, digest};
use crate::xds::client::Client;
use crate::xds::message::{RefusalText, Response, Variant};
use crate::xds::refusal::{Refusal, Unit};
use crate::xds::report::RefusedUnit;
use crate::xds::wire::Named;
use crate::xds::{ELSEWHERE, Part, Resource, ResourceType, elsewhere};

/// Most steps of a search for bad units that need no answer, because the client refused these sets before.
const ROUNDS: usize = 10_000;

/// What is to go into a response.
#[derive(Default)]
struct Batch {
    resources: Vec<Arc<Resource>>,
    /// Those of them that may be new to the client, with what it had before: what they need has to follow.
    news: Vec<(Arc<Resource>, Option<Arc<Resource>>)>,
    removed: BTreeSet<Arc<str>>,
}

/// What a unit is part of.
enum Whole {
    /// The resource of the target.
    Base(Arc<Resource>),
    /// What is sent in the place of one that does not exist or was refused.
    Placeholder(Arc<Resource>),
}

impl Whole {
    fn resource(&self) -> &Arc<Resource> {
        let (Self::Base(resource) | Self::Placeholder(resource)) = self;
        resource
    }
}

/// The next step of a search for bad units.
enum Trial {
    /// There is no search, or it has just ended.
    None,
    /// A set to send.
    Batch(Batch),
    /// A set that waits for the clusters that it names.
    Waits,
}

impl Stream {
    /// The next response of a type, if it has one and the last one was answered.
    pub(super) fn push(&mut self, resource_type: ResourceType, now: Instant) -> Option<Response> {
        // Each round but the last leaves out a unit or splits a set, so that this ends.
        for _ in 0..ROUNDS {
            let channel = self.channel(resource_type);
            if channel.pending.is_some() || !channel.subscription.requested() {
                return None;
            }
            let batch = match self.trial(resource_type, now) {
                Trial::Batch(batch) => batch,
                Trial::Waits => return None,
                Trial::None => self.changes(resource_type, now)?,
            };
            if let Some(response) = self.send(resource_type, batch, now) {
                return Some(response);
            }
        }
        None
    }

    /// What is due and ready of a type.
    fn changes(&mut self, resource_type: ResourceType, now: Instant) -> Option<Batch> {
        let channel = self.channel(resource_type);
        if channel.is_served() && !channel.must_answer {
            return None;
        }
        let waits = match resource_type {
            ResourceType::Listener => self.listeners_wait(now),
            ResourceType::Route => self.tables_wait(now),
            _ => false,
        };
        if waits {
            return None;
        }
        let mut batch = Batch::default();
        let mut waiting = BTreeMap::new();
        let mut tables = TableObstacles::default();
        let due = std::mem::take(&mut self.channel_mut(resource_type).due);
        for (name, why) in due {
            if !self.channel(resource_type).subscription.covers(&name) {
                continue;
            }
            if !self.ready(resource_type, &name, now, &mut tables) {
                waiting.insert(name, why);
                continue;
            }
            if self.add_due(&mut batch, resource_type, &name, why) {
                waiting.insert(name, Due::Changed);
            }
        }
        let early = match resource_type {
            // The endpoints of a removed cluster go after it.
            ResourceType::Endpoint => !self
                .channel(ResourceType::Cluster)
                .pending_removals
                .is_empty(),
            ResourceType::Scope => !self.listeners_are_settled(),
            _ => false,
        };
        let channel = self.channel_mut(resource_type);
        channel.due = waiting;
        if !early {
            let pending_removals = std::mem::take(&mut channel.pending_removals);
            let sent: BTreeSet<&Arc<str>> = batch.resources.iter().map(|r| r.name()).collect();
            let gone = pending_removals.into_iter().chain(channel.unknown.take());
            batch
                .removed
                .extend(gone.filter(|name| !sent.contains(name)));
        }
        let nothing = batch.resources.is_empty() && batch.removed.is_empty();
        if nothing && !channel.must_answer {
            return None;
        }
        if self.variant == Variant::Sotw {
            if resource_type.has_wildcard() {
                // "The server must include the complete state of the world".
                batch.resources = self.world(resource_type);
            } else if batch.resources.is_empty() {
                // "The SotW protocol variants do not provide any explicit mechanism to determine when a requested
                // resource does not exist".
                let channel = self.channel_mut(resource_type);
                for name in &batch.removed {
                    channel.removed(name);
                }
                channel.must_answer = false;
                return None;
            }
        }
        Some(batch)
    }

    /// Adds what is due under a name to the batch. Returns whether more of it has to be sent later.
    fn add_due(
        &self,
        batch: &mut Batch,
        resource_type: ResourceType,
        name: &Arc<str>,
        why: Due,
    ) -> bool {
        let held = &self.channel(resource_type).held;
        let sent = held.sent(name);
        if sent.is_none() && self.keeps_its_own(resource_type, name) {
            return false;
        }
        let Some(wanted) = self.wanted(resource_type, name) else {
            // "This tells the client to remove the resource from its local cache", and answers a client that asked for
            // something that does not exist.
            if sent.is_some() || why == Due::Asked || self.may_be_there(resource_type, name) {
                batch.removed.insert(name.clone());
            }
            return false;
        };
        let for_now = match resource_type {
            ResourceType::Route => self.with_what_it_loses(name, &wanted),
            _ => None,
        };
        let is_for_now = for_now.is_some();
        let resource = for_now.unwrap_or(wanted);
        let changed = sent.is_none_or(|sent| sent.version() != resource.version());
        let must_be_sent = why == Due::Asked || held.is_doubted(name);
        if changed || must_be_sent {
            let before = sent.filter(|_| !must_be_sent).cloned();
            batch.news.push((resource.clone(), before));
            batch.resources.push(resource);
        }
        is_for_now
    }

    /// Whether the client, which says that it has a resource, is to go on with what it has, whatever that is: what uses it
    /// is not replaced yet, or what was to replace it was refused.
    fn keeps_its_own(&self, resource_type: ResourceType, name: &Arc<str>) -> bool {
        let channel = self.channel(resource_type);
        let is_refused = || {
            self.base(resource_type, name)
                .is_some_and(|resource| channel.refused.whole(resource))
        };
        self.removals.contains(resource_type, name)
            || (channel.held.is_unknown(name) && is_refused())
    }

    /// Whether a resource that does not exist may be the client's all the same: it brought it along, or was sent it in a
    /// response that it refused for something else. Of such a response Envoy keeps what is good.
    fn may_be_there(&self, resource_type: ResourceType, name: &Arc<str>) -> bool {
        self.base(resource_type, name).is_none() && self.channel(resource_type).held.contains(name)
    }

    /// Everything that the client should have of a type with wildcard.
    fn world(&self, resource_type: ResourceType) -> Vec<Arc<Resource>> {
        let channel = self.channel(resource_type);
        let names: BTreeSet<&Arc<str>> = if channel.subscription.wildcard() {
            let target = self.target.resources(resource_type).keys();
            target.chain(channel.held.names()).collect()
        } else {
            channel.subscription.names().names().collect()
        };
        names
            .into_iter()
            .filter_map(|name| match channel.held.sent(name) {
                // What is still due waits for something.
                Some(sent) if channel.due.contains_key(name) => Some(sent.clone()),
                _ => self.wanted(resource_type, name),
            })
            .collect()
    }

    /// What the client should have under this name: the resource less what it refused.
    pub(super) fn wanted(
        &self,
        resource_type: ResourceType,
        name: &Arc<str>,
    ) -> Option<Arc<Resource>> {
        let channel = self.channel(resource_type);
        let Some(resource) = self.base(resource_type, name) else {
            if self.removals.contains(resource_type, name) {
                return channel.held.sent(name).cloned();
            }
            return placeholder(resource_type, name)
                .filter(|placeholder| !channel.refused.whole(placeholder));
        };
        if channel.refused.whole(resource) {
            // What it took before it keeps; else it is answered as if the resource did not exist, so that it does
            // not wait for it.
            return channel
                .held
                .accepted(name)
                .filter(|accepted| !channel.refused.whole(accepted))
                .cloned()
                .or_else(|| placeholder(resource_type, name))
                .filter(|resource| !channel.refused.whole(resource));
        }
        let rest = channel.refused.rest(resource);
        Some(rest.unwrap_or_else(|| resource.clone()))
    }

    /// What a unit is part of: the target's resource of its name, or a placeholder. `None` if it is
    /// part of neither any more.
    fn whole_of(&self, resource_type: ResourceType, unit: &Unit) -> Option<Whole> {
        let base = self.base(resource_type, &unit.name);
        if let Some(base) = base
            && unit.part(base).is_some()
        {
            return Some(Whole::Base(base.clone()));
        }
        let is_needed = base.is_none_or(|base| self.channel(resource_type).refused.whole(base));
        placeholder(resource_type, &unit.name)
            .filter(|placeholder| is_needed && unit.part(placeholder).is_some())
            .map(Whole::Placeholder)
    }

    /// The next set of a search for bad units.
    fn trial(&mut self, resource_type: ResourceType, now: Instant) -> Trial {
        let Some(mut containment) = self.channel_mut(resource_type).containment.take() else {
            return Trial::None;
        };
        loop {
            let mut found = Vec::new();
            let next = containment.next(
                |unit| self.alive(resource_type, unit),
                |unit, reason| found.push((unit, reason)),
            );
            let units = next.map(|trial| trial.units.clone());
            for (unit, reason) in found {
                self.leave_out(resource_type, &unit, reason);
            }
            let Some(units) = units else {
                // All bad ones are found. What was taken, what is left out and what has changed meanwhile come
                // together again by the ordinary way.
                let is_whole = self.variant == Variant::Sotw;
                let channel = self.channel_mut(resource_type);
                for name in containment.take_carried().keys() {
                    channel.asked(name);
                }
                // A client that came back with a world and has taken none here goes on with that one, whatever is gone
                // of it: it is told what there is, even if that is nothing.
                channel.must_answer |=
                    is_whole && channel.brought && channel.acknowledged_at.is_none();
                return Trial::None;
            };
            if !units.iter().all(|unit| self.alive(resource_type, unit)) {
                // A resource whose head was just found bad takes its parts along, and a set that waited may have
                // changed.
                containment.skipped();
                continue;
            }
            if !self.units_ready(resource_type, &units, now) {
                self.channel_mut(resource_type).containment = Some(containment);
                return Trial::Waits;
            }
            let batch = self.trial_batch(resource_type, &units, containment.take_carried());
            if batch.resources.is_empty() {
                let channel = self.channel_mut(resource_type);
                channel.pending_removals.extend(batch.removed);
                containment.skipped();
                continue;
            }
            self.channel_mut(resource_type).containment = Some(containment);
            return Trial::Batch(batch);
        }
    }

    /// The units of a trial on top of what the client has taken.
    fn trial_batch(
        &mut self,
        resource_type: ResourceType,
        units: &[Unit],
        carried: BTreeMap<Arc<str>, Arc<Resource>>,
    ) -> Batch {
        let mut composed = carried;
        for of_one in units.chunk_by(|a, b| a.name == b.name) {
            let Some(name) = of_one.first().map(|unit| &unit.name) else {
                continue;
            };
            if let Some(resource) = self.compose(resource_type, name, of_one) {
                composed.insert(name.clone(), resource);
            }
        }
        let channel = self.channel_mut(resource_type);
        composed.retain(|name, _| channel.subscription.covers(name));
        let news = composed
            .values()
            .map(|resource| {
                let before = channel.held.sent(resource.name()).cloned();
                (resource.clone(), before)
            })
            .collect();
        let removed: BTreeSet<Arc<str>> = std::mem::take(&mut channel.pending_removals)
            .into_iter()
            .filter(|name| !composed.contains_key(name))
            .collect();
        let full = self.variant == Variant::Sotw && resource_type.has_wildcard();
        let resources = if full && !composed.is_empty() {
            let held = &self.channel(resource_type).held;
            for name in held.names() {
                if let Some(accepted) = held.accepted(name)
                    && !removed.contains(name)
                {
                    composed
                        .entry(name.clone())
                        .or_insert_with(|| accepted.clone());
                }
            }
            composed.into_values().collect()
        } else {
            composed.into_values().collect()
        };
        Batch {
            resources,
            news,
            removed,
        }
    }

    fn compose(
        &self,
        resource_type: ResourceType,
        name: &Arc<str>,
        units: &[Unit],
    ) -> Option<Arc<Resource>> {
        let accepted = self.channel(resource_type).held.accepted(name);
        let mut head = accepted.map(|accepted| accepted.head().clone());
        let mut parts = accepted
            .map(|accepted| accepted.parts().clone())
            .unwrap_or_default();
        for unit in units {
            let whole = self.whole_of(resource_type, unit)?;
            if let Whole::Placeholder(_) = whole {
                parts.clear();
            }
            match &unit.key {
                None => head = Some(whole.resource().head().clone()),
                Some(key) => {
                    let of_here = key.strip_suffix(ELSEWHERE);
                    // What is said of a thing that is elsewhere gives way to the thing, as long as that is here.
                    let gives_way = of_here.is_some_and(|here| parts.contains_key(here));
                    if let Some(part) = whole.resource().parts().get(key)
                        && !gives_way
                    {
                        parts.remove(&elsewhere(key));
                        parts.insert(key.clone(), part.clone());
                    }
                }
            }
        }
        let composed = Resource::composite(name.clone(), head?, parts);
        Some(Arc::new(match accepted {
            Some(accepted) => composed.after(accepted),
            None => composed,
        }))
    }

    /// Whether a unit is still what the client should have.
    fn alive(&self, resource_type: ResourceType, unit: &Unit) -> bool {
        let channel = self.channel(resource_type);
        channel.subscription.covers(&unit.name)
            && self
                .whole_of(resource_type, unit)
                .is_some_and(|whole| !channel.refused.whole(whole.resource()))
    }

    fn leave_out(&mut self, resource_type: ResourceType, unit: &Unit, reason: Arc<str>) {
        // What an Envoy that is too old says about a listener that it does not understand helps nobody.
        let too_old = self.client.as_ref().and_then(Client::too_old);
        let reason = match too_old.filter(|_| resource_type == ResourceType::Listener) {
            Some(too_old) => too_old.into(),
            None => reason,
        };
        let Some(whole) = self.whole_of(resource_type, unit) else {
            return;
        };
        let Some(part) = unit.part(whole.resource()) else {
            return;
        };
        let owners = part.owners.clone();
        let channel = self.channel_mut(resource_type);
        if let Some(held) = channel.held.get_mut(&unit.name) {
            held.doubt.refute(unit);
        }
        channel.refused.insert(
            unit,
            whole.resource(),
            Refusal {
                reason: reason.clone(),
                owners: owners.clone(),
            },
        );
        // A client that was sent nothing under this name may wait for an answer.
        if channel.held.sent(&unit.name).is_none()
            && channel.subscription.names().contains(&unit.name)
        {
            channel.asked(&unit.name);
        } else {
            channel.changed(&unit.name);
        }
        self.events.push(Event::UnitRefused(RefusedUnit {
            resource_type,
            resource: unit.name.clone(),
            part: unit.key.clone(),
            owners,
            reason,
        }));
    }

    /// Makes the response, unless the client has refused the very same set before: then its answer is known.
    fn send(
        &mut self,
        resource_type: ResourceType,
        batch: Batch,
        now: Instant,
    ) -> Option<Response> {
        let digest = digest(&batch.resources);
        let version: Arc<str> = format!("{digest:016x}").into();
        self.nonce += 1;
        let nonce = self.nonce;
        // The state of the world has no field for removals.
        let listed = match self.variant {
            Variant::Delta => batch.removed.iter().cloned().collect(),
            Variant::Sotw => Vec::new(),
        };
        let channel = self.channel_mut(resource_type);
        channel.must_answer = false;
        let removed = batch
            .removed
            .into_iter()
            .map(|name| {
                let held = channel.removed(&name);
                (name, held)
            })
            .collect();
        for resource in &batch.resources {
            let held = channel.held.get_or_insert(resource.name());
            if held.sent.replace(resource.clone()).is_none() {
                held.since = nonce;
            }
        }
        let pending = Pending {
            nonce,
            at: now,
            version: version.clone(),
            resources: batch.resources.clone(),
            removed,
            digest,
        };
        if !batch.resources.is_empty()
            && let Some(reason) = channel.refused_sets.get(digest)
        {
            let text = RefusalText::new(reason);
            self.contain(resource_type, pending, &text);
            return None;
        }
        channel.last_nonce = nonce;
        channel.sent_version = Some(version.clone());
        channel.pending = Some(pending);
        self.follow(resource_type, &batch.news);
        Some(Response {
            resource_type,
            nonce,
            version,
            resources: batch.resources,
            removed: listed,
        })
    }

    /// What new or altered parts need is sent again: Envoy makes new subscriptions for it that it may not put on
    /// the wire, and waits (a changed cluster whose endpoints are not sent again stalls for 15 s: measured).
    fn follow(
        &mut self,
        resource_type: ResourceType,
        news: &[(Arc<Resource>, Option<Arc<Resource>>)],
    ) {
        for (new, old) in news {
            let channels = &mut self.channels;
            let mut ask = |needed: ResourceType, name: &Arc<str>| {
                // An extension comes before the listener that names it, and again after it.
                let is_named =
                    resource_type == ResourceType::Listener && needed == ResourceType::Extension;
                if needed > resource_type || is_named {
                    channels[needed as usize].asked(name);
                }
            };
            altered_references(new, old.as_deref(), |reference| {
                ask(reference.resource_type, &reference.name);
            });
        }
    }
}

/// The placeholder for a resource that does not exist. Envoy opens no port while it waits for a route table or for
/// endpoints, and a removal ends that wait for endpoints only: both are answered with an empty one. This is all
/// that is known here of any resource's contents: the name is field 1 of `RouteConfiguration` and of
/// `ClusterLoadAssignment` alike.
fn placeholder(resource_type: ResourceType, name: &Arc<str>) -> Option<Arc<Resource>> {
    if !matches!(resource_type, ResourceType::Route | ResourceType::Endpoint) {
        return None;
    }
    let named = Named {
        name: name.to_string(),
    };
    Some(Arc::new(Resource::whole(
        name.clone(),
        Part {
            bytes: named.encode_to_vec().into(),
            references: Arc::new([]),
            owners: Arc::new([]),
        },
    )))
}
