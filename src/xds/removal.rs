//! When a resource that is gone may be taken from a client: make before break, the breaking half.
//!
//! A cluster, its endpoints, a route table or a secret that left the snapshot stays with the client until what used
//! it has been replaced and acknowledged, and for a grace period more: a request that a filter holds, or that is
//! retried, was routed by the old table and still needs its cluster (`toolbox.md`: 767 answers 503 without, 0 with).

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ResourceType;

/// A resource by type and name.
pub type Name = (ResourceType, Arc<str>);

/// The last responses that may have replaced a user of a leaving resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Users {
    /// Nonce of the last ECDS response.
    pub extensions: u64,
    /// Nonce of the last LDS response.
    pub listeners: u64,
    /// Nonce of the last RDS response.
    pub routes: u64,
    /// Nonce of the last SRDS response.
    pub scopes: u64,
}

/// What is to be taken from one client, and when.
#[derive(Debug, Default)]
pub struct Removals {
    /// Every name in any of the stages below.
    names: BTreeSet<Name>,
    /// Their users may not all be replaced yet.
    leaving: BTreeSet<Name>,
    /// The users' replacements are sent, but not acknowledged.
    parting: Option<Parting>,
    /// Acknowledged: each waits for its time.
    graced: VecDeque<(Instant, BTreeSet<Name>)>,
}

/// What leaves together, and the responses whose acknowledgement it waits for.
#[derive(Debug)]
struct Parting {
    names: BTreeSet<Name>,
    users: Users,
    /// Whether these are the last ones.
    last: bool,
}

impl Removals {
    /// A resource left the target.
    pub fn leave(&mut self, name: Name) {
        if self.names.insert(name.clone()) {
            self.leaving.insert(name);
        }
    }

    /// It is back in the target, or the client does not want it any more.
    pub fn cancel(&mut self, resource_type: ResourceType, name: &Arc<str>) {
        if !self.names.is_empty() {
            // The stages keep it until they are due: `names` alone decides then.
            let name = (resource_type, name.clone());
            if self.names.remove(&name) {
                self.leaving.remove(&name);
                if let Some(parting) = &mut self.parting {
                    parting.names.remove(&name);
                }
                for (_, graced) in &mut self.graced {
                    graced.remove(&name);
                }
            }
        }
    }

    /// Whether the resource is gone from the target and still the client's.
    #[must_use]
    pub fn contains(&self, resource_type: ResourceType, name: &Arc<str>) -> bool {
        !self.names.is_empty() && self.names.contains(&(resource_type, name.clone()))
    }

    /// Goes on: `sent` is there once every replacement of what uses others is on the wire, `acknowledged`
    /// tells whether these responses were answered. Returns what is due.
    pub fn advance(
        &mut self,
        now: Instant,
        grace: Duration,
        sent: Option<Users>,
        acknowledged: impl Fn(Users) -> bool,
    ) -> Vec<Name> {
        // One batch waits for acknowledgements at a time, so that later changes cannot put it off for ever.
        if self.parting.is_none()
            && !self.leaving.is_empty()
            && let Some(users) = sent
        {
            self.parting = Some(Parting {
                names: std::mem::take(&mut self.leaving),
                users,
                last: false,
            });
        }
        // A listener that is replaced may name other tables, which the client asks for when it has taken the listener:
        // until they are there too, it goes on with the old ones. So there are two rounds, the second of which takes no
        // time where nothing was asked for.
        if let Some(parting) = &mut self.parting
            && !parting.last
            && acknowledged(parting.users)
            && let Some(users) = sent
        {
            parting.users = users;
            parting.last = true;
        }
        if let Some(parting) = self
            .parting
            .take_if(|parting| parting.last && acknowledged(parting.users))
        {
            self.graced.push_back((now + grace, parting.names));
        }
        let mut due = Vec::new();
        while self.graced.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, names)) = self.graced.pop_front() else {
                break;
            };
            for name in names {
                if self.names.remove(&name) {
                    due.push(name);
                }
            }
        }
        due
    }

    /// When the next of them is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.graced.front().map(|(at, _)| *at)
    }

    /// Whether nothing is leaving.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    const GRACE: Duration = Duration::from_secs(1);
    const USERS: Users = Users {
        extensions: 3,
        listeners: 1,
        routes: 2,
        scopes: 4,
    };

    fn cluster(name: &str) -> Name {
        (ResourceType::Cluster, name.into())
    }

    #[test]
    fn waits_for_replacement_acknowledgement_and_grace() {
        let start = Instant::now();
        let mut removals = Removals::default();
        assert!(removals.is_empty());
        removals.leave(cluster("a"));
        assert!(removals.advance(start, GRACE, None, |_| true).is_empty());
        assert_eq!(removals.deadline(), None);
        assert!(
            removals
                .advance(start, GRACE, Some(USERS), |_| false)
                .is_empty()
        );
        assert_eq!(removals.deadline(), None);
        // Later ones put the first off once, and no more.
        removals.leave(cluster("b"));
        let users = |routes| Users { routes, ..USERS };
        let later = users(9);
        for (sent, acknowledged, deadline) in [
            (users(5), USERS, None),
            (users(7), users(7), None),
            (later, users(5), Some(start + GRACE)),
        ] {
            let due = removals.advance(start, GRACE, Some(sent), |users| users == acknowledged);
            assert!(due.is_empty());
            assert_eq!(removals.deadline(), deadline);
        }
        assert!(removals.contains(ResourceType::Cluster, &"a".into()));
        let due = removals.advance(start + GRACE, GRACE, Some(later), |_| false);
        assert_eq!(due, [cluster("a")]);
        assert!(!removals.contains(ResourceType::Cluster, &"a".into()));
        assert!(!removals.is_empty());
    }

    /// A new listener's tables are asked for when it is taken, and sent after that.
    #[test]
    fn waits_for_what_a_new_listener_names() {
        let start = Instant::now();
        let mut removals = Removals::default();
        removals.leave(cluster("a"));
        let advance = |removals: &mut Removals, sent, acknowledged| {
            assert!(
                removals
                    .advance(start, GRACE, sent, |users| users.routes <= acknowledged)
                    .is_empty()
            );
            removals.deadline()
        };
        assert_eq!(advance(&mut removals, Some(USERS), 0), None);
        // The listener is taken, and the table is due: it waits for its clusters.
        assert_eq!(advance(&mut removals, None, USERS.routes), None);
        let table = Users { routes: 3, ..USERS };
        assert_eq!(advance(&mut removals, Some(table), USERS.routes), None);
        assert_eq!(
            advance(&mut removals, Some(table), table.routes),
            Some(start + GRACE)
        );
    }

    #[test]
    fn what_comes_back_is_not_removed() {
        let start = Instant::now();
        let mut removals = Removals::default();
        removals.leave(cluster("a"));
        removals.advance(start, GRACE, Some(USERS), |_| true);
        removals.cancel(ResourceType::Cluster, &"a".into());
        // It leaves again: the old time does not count.
        removals.leave(cluster("a"));
        assert!(
            removals
                .advance(start + GRACE, GRACE, None, |_| true)
                .is_empty()
        );
        assert!(removals.contains(ResourceType::Cluster, &"a".into()));
    }
}
