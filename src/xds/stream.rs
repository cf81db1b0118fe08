//! One client's stream: requests, snapshots and time go in, responses come out. A state machine without IO or clock.
//!
//! The stream walks one target snapshot through the types in the order of a push, then takes the newest one; only
//! endpoint assignments that the client already holds may come from newer ones meanwhile (I6). At most one response
//! per type is unanswered; while it is, changes gather. What the client says it holds is believed in one thing: what
//! does not exist any more is taken from it, after its users as always (I6).
//!
//! - `request.rs`: what a request means;
//! - `walk.rs`: which snapshot is walked, and what waits for what;
//! - `scopes.rs`: what waits for scopes, and what scopes wait for;
//! - `claimed_scopes.rs`: the scopes of a client that comes back;
//! - `orphaned_scopes.rs`: the scopes of hosts that are gone, for connections that were opened for them;
//! - `push.rs`: what is sent;
//! - `acknowledged.rs`: up to which snapshot all is acknowledged.

mod acknowledged;
mod claimed_scopes;
mod orphaned_scopes;
mod push;
mod request;
mod scopes;
mod walk;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::channel::Channel;
use super::client::Client;
use super::message::{Response, Variant};
use super::refusal::Refusal;
use super::removal::Removals;
use super::report::{LeftOut, Missing, RefusedUnit, StreamReport, TypeReport};
use super::{ResourceType, Snapshot};
use acknowledged::Mark;
use claimed_scopes::ClaimedScopes;
use orphaned_scopes::OrphanedScopes;

pub use orphaned_scopes::FALLBACK_SCOPE;

pub use request::Violation;

/// How long a stream waits, where it waits for time.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between the acknowledgement of the routes and the removal of the clusters that they no longer name. Requests
    /// that a filter holds, or that are retried, are still routed by the old table.
    pub grace: Duration,
    /// How long a route that cannot be sent yet holds the stream at its target snapshot.
    pub target_hold: Duration,
    /// How long after its clusters a client may take to ask for their endpoints, before it counts as one that does
    /// not use EDS. Envoy asks in the same breath, except when a reconnect finds it without any endpoints.
    pub endpoints: Duration,
    /// How long a client that brought something along from an earlier stream may take to ask for listeners and routes,
    /// before it counts as one that has none. Envoy asks in one breath, which thousands of names make a long one.
    pub users: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(1),
            target_hold: Duration::from_secs(2),
            endpoints: Duration::from_secs(1),
            users: Duration::from_secs(15),
        }
    }
}

/// Something worth a metric or a log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A response was acknowledged this long after it was sent.
    Acknowledged {
        /// Its type.
        resource_type: ResourceType,
        /// From sent to acknowledged.
        after: Duration,
    },
    /// A response was refused as a whole or in part.
    ResponseRefused {
        /// Its type.
        resource_type: ResourceType,
        /// Its version.
        version: Arc<str>,
        /// What the client said, bounded; a fixed text for secrets.
        reason: Arc<str>,
    },
    /// A unit was found to be the reason of a refusal, and is left out.
    UnitRefused(RefusedUnit),
    /// All of a snapshot that concerns the client is acknowledged, this long after the snapshot was published.
    SnapshotAcknowledged {
        /// From published to acknowledged.
        after: Duration,
    },
}

/// What a client has answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Whether it has answered any response.
    pub has_answered: bool,
    /// When the oldest response was sent that it has not answered.
    pub owes_since: Option<Instant>,
}

/// One client's stream.
#[derive(Debug)]
pub struct Stream {
    variant: Variant,
    timing: Timing,
    channels: [Channel; ResourceType::ALL.len()],
    /// The snapshot that is walked, with the client's orphaned scopes.
    target: Arc<Snapshot>,
    /// The same as it was published.
    published: Arc<Snapshot>,
    /// The newest snapshot, and when it was published.
    newest: (Arc<Snapshot>, Instant),
    /// Where endpoint assignments come from: the target, or a newer one.
    endpoints: Arc<Snapshot>,
    /// Since when the newest snapshot waits for the target's routes.
    kept_since: Option<Instant>,
    /// When the target was published, until all of it is acknowledged.
    unacknowledged: Option<Instant>,
    mark: Mark,
    removals: Removals,
    claimed_scopes: ClaimedScopes,
    orphaned_scopes: OrphanedScopes,
    /// Since when the client says that it brought something along from an earlier stream.
    resumed: Option<Instant>,
    /// How many names it brought along that do not exist, and their length.
    claimed: (usize, usize),
    /// The last nonce, of all types.
    nonce: u64,
    client: Option<Client>,
    events: Vec<Event>,
}

impl Stream {
    /// A new stream, whose first target is this snapshot.
    #[must_use]
    pub fn new(
        variant: Variant,
        timing: Timing,
        snapshot: Arc<Snapshot>,
        published: Instant,
    ) -> Self {
        Self {
            variant,
            timing,
            channels: ResourceType::ALL.map(Channel::new),
            target: snapshot.clone(),
            published: snapshot.clone(),
            newest: (snapshot.clone(), published),
            endpoints: snapshot,
            kept_since: None,
            unacknowledged: None,
            mark: Mark::default(),
            removals: Removals::default(),
            claimed_scopes: ClaimedScopes::default(),
            orphaned_scopes: OrphanedScopes::default(),
            resumed: None,
            claimed: (0, 0),
            nonce: 0,
            client: None,
            events: Vec::new(),
        }
    }

    /// A newer snapshot.
    pub fn publish(&mut self, snapshot: Arc<Snapshot>, published: Instant) {
        self.newest = (snapshot, published);
    }

    /// The next response to send now, if any. To be called until there is none, after every input and at every
    /// [`deadline`](Self::deadline).
    pub fn poll(&mut self, now: Instant) -> Option<Response> {
        // What turns out to need no response may be what a newer snapshot waited for, and then what a removal of that
        // snapshot waited for: hence three times.
        for _ in 0..3 {
            // Before the newest snapshot brings what has to be sent first: where there is always one, the users of what
            // leaves would never all be sent.
            self.advance_removals(now);
            self.take_newest(now);
            self.advance_removals(now);
            let response = ResourceType::ALL
                .into_iter()
                .find_map(|resource_type| self.push(resource_type, now));
            if response.is_some() {
                return response;
            }
        }
        self.note_acknowledged(now);
        // Who has asked for no listener has acknowledged none by saying nothing.
        if self.follows() {
            self.mark.advance(self.target.number(), &self.channels);
        }
        None
    }

    /// When `poll` may have something to send without any other input.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        [
            self.removals.deadline(),
            self.kept_since.map(|since| since + self.timing.target_hold),
            self.endpoints_deadline(),
            self.users_deadline(),
            self.scopes_deadline(),
            self.tables_deadline(),
        ]
        .into_iter()
        .flatten()
        .filter(|deadline| *deadline > now)
        .min()
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Whether the client has asked for listeners.
    #[must_use]
    pub fn follows(&self) -> bool {
        let listeners = self.channel(ResourceType::Listener);
        listeners.subscription.requested()
    }

    /// The number of the newest snapshot of which the client has acknowledged all, but endpoints, which come and go without what
    /// leads to them; 0 for none.
    #[must_use]
    pub const fn acknowledged(&self) -> u64 {
        self.mark.acknowledged()
    }

    /// What the client has answered by now.
    #[must_use]
    pub fn answers(&self) -> Answers {
        let pending = self
            .channels
            .iter()
            .filter_map(|channel| channel.pending.as_ref());
        Answers {
            has_answered: self.channels.iter().any(|channel| channel.answered > 0),
            owes_since: pending.map(|pending| pending.at).min(),
        }
    }

    /// The client as the first request introduced it.
    #[must_use]
    pub fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// The listeners, and the extensions that listeners name, that the client has refused and has no earlier form of: it
    /// serves nothing on them.
    #[must_use]
    pub fn missing(&self) -> BTreeSet<Missing> {
        let of_type = |of| {
            let channel = self.channel(of);
            // One that it brought along it may have in an earlier form.
            let is_missing =
                |name: &Arc<str>| !channel.brought && channel.held.accepted(name).is_none();
            let refused = channel.refused.whole_ones();
            let refused = refused.filter(move |(name, _)| is_missing(name));
            refused.map(move |(name, refusal)| Missing {
                resource_type: of,
                name: name.clone(),
                reason: refusal.reason.clone(),
            })
        };
        let refused = [ResourceType::Extension, ResourceType::Listener].into_iter();
        refused.flat_map(of_type).collect()
    }

    /// What `/debug/xds` shows.
    #[must_use]
    pub fn report(&self) -> StreamReport {
        StreamReport {
            variant: self.variant.as_str(),
            node: self.client.as_ref().map(|client| client.id.clone()),
            envoy: self
                .client
                .as_ref()
                .and_then(|client| client.envoy)
                .map(|version| version.to_string()),
            is_busy: false,
            acknowledged: self.acknowledged(),
            types: self
                .channels
                .iter()
                .filter(|channel| channel.subscription.requested())
                .map(|channel| TypeReport {
                    resource_type: channel.resource_type.service(),
                    wildcard: channel.subscription.wildcard(),
                    names: channel.subscription.names().len(),
                    held: channel.held.len(),
                    waiting: channel.waiting(),
                    sent: channel.last_nonce,
                    sent_version: channel.sent_version.clone(),
                    acknowledged_version: channel.acknowledged_version.clone(),
                    pending_version: channel.pending.as_ref().map(|p| p.version.clone()),
                    rejected: channel.rejected.clone(),
                    containing: channel.containment.is_some(),
                })
                .collect(),
            refused: self.refused(),
        }
    }

    /// What has changed of the units that are left out on this stream since this was called last, at the cost of what has.
    #[must_use]
    pub fn take_refused(&mut self) -> Vec<LeftOut> {
        let mut changes = Vec::new();
        for channel in &mut self.channels {
            let of = channel.resource_type;
            let changed = channel.refused.take_changes().into_iter();
            changes.extend(changed.map(|change| LeftOut {
                unit: refused_unit(of, &change.name, change.key.as_ref(), &change.refusal),
                is_left_out: change.is_left_out,
            }));
        }
        changes
    }

    /// The units that are left out on this stream.
    #[must_use]
    pub fn refused(&self) -> BTreeSet<RefusedUnit> {
        let of_channel = |channel: &'_ Channel| {
            let of = channel.resource_type;
            let refused = channel.refused.iter();
            let units = refused.map(|(name, key, refusal)| refused_unit(of, name, key, refusal));
            units.collect::<Vec<_>>()
        };
        self.channels.iter().flat_map(of_channel).collect()
    }

    fn channel(&self, resource_type: ResourceType) -> &Channel {
        &self.channels[resource_type as usize]
    }

    fn channel_mut(&mut self, resource_type: ResourceType) -> &mut Channel {
        &mut self.channels[resource_type as usize]
    }

    /// All that was to be sent is sent and answered.
    fn note_acknowledged(&mut self, now: Instant) {
        let quiet = self.channels.iter().all(|channel| {
            channel.pending.is_none() && channel.is_served() && channel.containment.is_none()
        });
        if !quiet {
            return;
        }
        if let Some(published) = self.unacknowledged.take() {
            self.events.push(Event::SnapshotAcknowledged {
                after: now.saturating_duration_since(published),
            });
        }
        for channel in &mut self.channels {
            let target = self.target.resources(channel.resource_type);
            channel.held.settle(target, self.nonce);
            channel.subscription.settle(target);
        }
    }
}

fn refused_unit(
    resource_type: ResourceType,
    name: &Arc<str>,
    key: Option<&Arc<str>>,
    refusal: &Refusal,
) -> RefusedUnit {
    RefusedUnit {
        resource_type,
        resource: name.clone(),
        part: key.cloned(),
        owners: refusal.owners.clone(),
        reason: refusal.reason.clone(),
    }
}

#[cfg(test)]
mod tests;
