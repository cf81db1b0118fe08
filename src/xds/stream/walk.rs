//! Which snapshot a stream walks, and what waits for what.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use imbl::ordmap::DiffItem;

use super::Stream;
use crate::xds::message::Variant;
use crate::xds::refusal::Unit;
use crate::xds::removal::Users;
use crate::xds::{Reference, Resource, ResourceType, Snapshot};

/// What keeps a route from being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Obstacle {
    /// Nothing.
    None,
    /// An answer that a client gives at once, or a response that goes out in this very flush.
    Soon,
    /// The answer to CDS, which one cluster without endpoints holds for 15 s.
    Late,
}

/// What keeps tables from being all that they are to be, found once in a pass: thousands of scopes lead to one table.
pub(super) type TableObstacles = HashMap<Arc<str>, Obstacle>;

impl Stream {
    /// Takes the newest snapshot as target, unless a route of the present one is still on its way: otherwise a
    /// cluster that never rests would change what the route waits for again and again.
    pub(super) fn take_newest(&mut self, now: Instant) {
        if Arc::ptr_eq(&self.published, &self.newest.0) {
            return;
        }
        if self.keeps_target() {
            let since = *self.kept_since.get_or_insert(now);
            if now < since + self.timing.target_hold {
                self.refresh_endpoints();
                return;
            }
        }
        self.kept_since = None;
        let published = self.newest.0.clone();
        let before = std::mem::replace(&mut self.published, published.clone());
        let held = &self.channels[ResourceType::Scope as usize].held;
        let is_held = |name: &Arc<str>| held.contains(name);
        let orphaned = &mut self.orphaned_scopes;
        let new = orphaned.follow(&self.target, &before, &published, is_held);
        let old = std::mem::replace(&mut self.target, new.clone());
        self.note_moved_scopes(&old, &new);
        for resource_type in ResourceType::ALL {
            self.note_changes(resource_type, &old, &new);
        }
        // Assignments may have come from a snapshot between the two, and gone back since.
        let between = std::mem::replace(&mut self.endpoints, new.clone());
        if !Arc::ptr_eq(&between, &old) {
            self.note_changes(ResourceType::Endpoint, &between, &new);
        }
        self.unacknowledged.get_or_insert(self.newest.1);
    }

    /// What differs between two snapshots becomes due, at the cost of what differs.
    fn note_changes(&mut self, resource_type: ResourceType, old: &Snapshot, new: &Snapshot) {
        let channel = &mut self.channels[resource_type as usize];
        for (name, resource) in new.differences(old, resource_type) {
            let kept = match resource_type {
                ResourceType::Route => self.claimed_scopes.table(name),
                _ => None,
            };
            channel.refused.prune(name, kept.or(resource));
            if resource.is_some() {
                self.removals.cancel(resource_type, name);
                channel.pending_removals.remove(name);
                channel.unknown.remove(name);
                channel.nonexistent.remove(name);
                channel.changed(name);
            } else if !channel.held.contains(name) {
                // Who never answers is sent nothing: what comes and goes meanwhile must not add up. A client that named
                // it is still to be told.
                if !channel.subscription.names().contains(name) {
                    channel.due.remove(name);
                }
            } else if resource_type.is_used_by_none() {
                // It goes with the push.
                channel.changed(name);
            } else {
                self.removals.add((resource_type, name.clone()));
            }
        }
    }

    /// While a target is kept, assignments that the client already holds still follow the newest snapshot.
    fn refresh_endpoints(&mut self) {
        let newest = self.newest.0.clone();
        let old = std::mem::replace(&mut self.endpoints, newest.clone());
        let channel = &mut self.channels[ResourceType::Endpoint as usize];
        for (name, resource) in newest.differences(&old, ResourceType::Endpoint) {
            if resource.is_some()
                && channel.held.sent(name).is_some()
                && self.target.get(ResourceType::Endpoint, name).is_some()
            {
                channel.refused.prune(name, resource);
                channel.changed(name);
            }
        }
    }

    /// The target's resource of this name, whether the client refused it or not.
    pub(super) fn base(&self, resource_type: ResourceType, name: &str) -> Option<&Arc<Resource>> {
        let resource = self.target.get(resource_type, name)?;
        match resource_type {
            ResourceType::Endpoint => self.endpoints.get(resource_type, name),
            ResourceType::Route => self.claimed_scopes.table(name),
            _ => None,
        }
        .or(Some(resource))
    }

    /// Whether a route, or a scope, that can be sent before long is still unsent, or what waits for it.
    fn keeps_target(&self) -> bool {
        let [listeners, scopes] =
            [ResourceType::Listener, ResourceType::Scope].map(|of| self.channel(of));
        if !(listeners.due.is_empty() && scopes.due.is_empty()) && self.scopes_move(None) {
            return true;
        }
        let routes = self.channel(ResourceType::Route);
        if routes.pending.is_some() || routes.containment.is_some() {
            return routes.due.keys().any(|name| !self.only_loses(name));
        }
        routes
            .due
            .keys()
            .any(|name| self.obstacle(name, None) != Obstacle::Late && !self.only_loses(name))
    }

    /// Whether a resource may be sent. A route waits until every cluster that it newly names is there, with endpoints
    /// acknowledged.
    pub(super) fn ready(
        &self,
        resource_type: ResourceType,
        name: &Arc<str>,
        now: Instant,
        tables: &mut TableObstacles,
    ) -> bool {
        let obstacle = match resource_type {
            ResourceType::Route => self.obstacle(name, Some(now)),
            ResourceType::Scope => self.scope_obstacle(name, Some(now), tables),
            _ => Obstacle::None,
        };
        obstacle == Obstacle::None
    }

    /// The same for units of route tables, on their way a second time.
    pub(super) fn units_ready(
        &self,
        resource_type: ResourceType,
        units: &[Unit],
        now: Instant,
    ) -> bool {
        resource_type != ResourceType::Route
            || units.iter().all(|unit| {
                let route = self.base(resource_type, &unit.name);
                let part = route.and_then(|route| unit.part(route));
                part.is_none_or(|part| {
                    part.references
                        .iter()
                        .filter(|reference| reference.resource_type == ResourceType::Cluster)
                        .all(|reference| {
                            self.cluster_obstacle(&reference.name, Some(now)) == Obstacle::None
                        })
                })
            })
    }

    pub(super) fn obstacle(&self, name: &str, now: Option<Instant>) -> Obstacle {
        let Some(route) = self.base(ResourceType::Route, name) else {
            return Obstacle::None;
        };
        let sent = self.channel(ResourceType::Route).held.sent(name);
        let mut worst = Obstacle::None;
        altered_references(route, sent.map(|sent| &**sent), |reference| {
            if reference.resource_type == ResourceType::Cluster && worst != Obstacle::Late {
                worst = worst.max(self.cluster_obstacle(&reference.name, now));
            }
        });
        worst
    }

    fn cluster_obstacle(&self, name: &Arc<str>, now: Option<Instant>) -> Obstacle {
        let clusters = self.channel(ResourceType::Cluster);
        // A client that does not want the cluster cannot be waited for, and neither can a cluster that does not
        // exist or that the client refuses: its routes answer 503.
        let Some(cluster) = self.base(ResourceType::Cluster, name) else {
            return Obstacle::None;
        };
        if !clusters.subscription.covers(name) {
            return Obstacle::None;
        }
        // One that is refused now may have been taken in an earlier form, and be kept as such.
        if clusters.refused.whole(cluster) && clusters.held.sent(name).is_none() {
            return Obstacle::None;
        }
        let Some(since) = clusters.held.since(name) else {
            return if clusters.pending.is_some() {
                Obstacle::Late
            } else {
                Obstacle::Soon
            };
        };
        let endpoints = self.channel(ResourceType::Endpoint);
        if !endpoints.subscription.requested() {
            let uses = cluster
                .references()
                .any(|reference| reference.resource_type == ResourceType::Endpoint);
            return match (now, self.endpoints_deadline()) {
                (Some(now), Some(deadline)) if deadline <= now => Obstacle::None,
                _ if uses => Obstacle::Soon,
                _ => Obstacle::None,
            };
        }
        let settled = cluster
            .references()
            .filter(|reference| reference.resource_type == ResourceType::Endpoint)
            .all(|reference| {
                let refused = self
                    .base(ResourceType::Endpoint, &reference.name)
                    .is_some_and(|assignment| endpoints.refused.whole(assignment));
                refused
                    || endpoints
                        .held
                        .acknowledged(&reference.name)
                        .is_some_and(|acknowledged| acknowledged > since)
            });
        if settled {
            Obstacle::None
        } else {
            Obstacle::Soon
        }
    }

    /// Until when a client that has taken its clusters may still ask for their endpoints; `None` if it has asked, or
    /// has not taken them yet.
    pub(super) fn endpoints_deadline(&self) -> Option<Instant> {
        let endpoints = self.channel(ResourceType::Endpoint);
        let clusters = self.channel(ResourceType::Cluster);
        if endpoints.subscription.requested() || clusters.pending.is_some() {
            return None;
        }
        Some(clusters.acknowledged_at? + self.timing.endpoints)
    }

    /// Resources whose users were replaced long enough ago become pending removals.
    pub(super) fn advance_removals(&mut self, now: Instant) {
        if self.removals.is_empty() {
            return;
        }
        let users = [
            ResourceType::Extension,
            ResourceType::Listener,
            ResourceType::Route,
            ResourceType::Scope,
        ]
        .map(|of| self.channel(of));
        let all_sent = users
            .iter()
            .all(|channel| channel.due.is_empty() && channel.containment.is_none());
        let [extensions, listeners, routes, scopes] = users.map(|channel| channel.last_nonce);
        let all_asked = self.users_deadline().is_none_or(|deadline| deadline <= now);
        let users = (all_sent && all_asked).then_some(Users {
            extensions,
            listeners,
            routes,
            scopes,
        });
        let due = self
            .removals
            .advance(now, self.timing.grace, users, |users| {
                [
                    (ResourceType::Extension, users.extensions),
                    (ResourceType::Listener, users.listeners),
                    (ResourceType::Route, users.routes),
                    (ResourceType::Scope, users.scopes),
                ]
                .into_iter()
                .all(|(of, nonce)| self.channels[of as usize].answered(nonce))
            });
        for (resource_type, name) in due {
            let sotw = self.variant == Variant::Sotw;
            let channel = self.channel_mut(resource_type);
            if !channel.held.contains(&name) {
                continue;
            }
            channel.due.remove(&name);
            if sotw && channel.held.sent(&name).is_none() {
                // There is no field to say so, and perhaps it only waits for it.
                channel.removed(&name);
                channel.asked(&name);
            } else {
                channel.pending_removals.insert(name);
            }
        }
    }

    /// Until when a client that brought something along may still ask for the listeners and routes that use it; `None`
    /// if it has asked, or if it brought nothing.
    pub(super) fn users_deadline(&self) -> Option<Instant> {
        let asked = [ResourceType::Listener, ResourceType::Route]
            .iter()
            .all(|of| self.channel(*of).subscription.requested());
        let since = self.resumed.filter(|_| !asked)?;
        Some(since + self.timing.users)
    }
}

/// The references of those parts of `new` that `old` does not have with the same bytes.
pub(super) fn altered_references(
    new: &Resource,
    old: Option<&Resource>,
    mut take: impl FnMut(&Reference),
) {
    let Some(old) = old else {
        new.references().for_each(take);
        return;
    };
    if old.head().bytes != new.head().bytes {
        new.head().references.iter().for_each(&mut take);
    }
    for difference in old.parts().diff(new.parts()) {
        if let DiffItem::Add(_, part) | DiffItem::Update { new: (_, part), .. } = difference {
            part.references.iter().for_each(&mut take);
        }
    }
}
