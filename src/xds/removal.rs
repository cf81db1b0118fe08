//! When a resource that is gone may be taken from a client: make before break, the breaking half.
//!
//! A cluster, its endpoints, a route table or a secret that left the snapshot stays with the client until what used
//! it has been replaced and acknowledged, and for a grace period more: a request that a filter holds, or that is
//! retried, was routed by the old table and still needs its cluster (measured: 767 answers 503 without, 0 with).

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ResourceType;

/// A resource by type and name.
pub type Name = (ResourceType, Arc<str>);

/// The last responses that may have replaced a user of a resource that is to be removed.
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
    /// Those whose users may not all be replaced yet.
    in_use: BTreeSet<Name>,
    /// Those whose users' replacements are sent, but not acknowledged.
    awaiting_ack: Option<AwaitingAck>,
    /// Those whose users' replacements are acknowledged, with the end of their grace period.
    in_grace: VecDeque<(Instant, BTreeSet<Name>)>,
}

/// Resources that are removed together, and the responses whose acknowledgement they wait for.
#[derive(Debug)]
struct AwaitingAck {
    names: BTreeSet<Name>,
    users: Users,
    /// Whether these are the responses of the second round.
    last: bool,
}

impl Removals {
    /// A resource left the target.
    pub fn add(&mut self, name: Name) {
        if self.names.insert(name.clone()) {
            self.in_use.insert(name);
        }
    }

    /// It is back in the target, or the client does not want it any more.
    pub fn cancel(&mut self, resource_type: ResourceType, name: &Arc<str>) {
        if !self.names.is_empty() {
            // The stages keep it until they are due: `names` alone decides then.
            let name = (resource_type, name.clone());
            if self.names.remove(&name) {
                self.in_use.remove(&name);
                if let Some(awaiting_ack) = &mut self.awaiting_ack {
                    awaiting_ack.names.remove(&name);
                }
                for (_, in_grace) in &mut self.in_grace {
                    in_grace.remove(&name);
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
        if self.awaiting_ack.is_none()
            && !self.in_use.is_empty()
            && let Some(users) = sent
        {
            self.awaiting_ack = Some(AwaitingAck {
                names: std::mem::take(&mut self.in_use),
                users,
                last: false,
            });
        }
        // A listener that is replaced may name other tables, which the client asks for when it has taken the listener:
        // until they are there too, it goes on with the old ones. So there are two rounds, the second of which takes no
        // time where nothing was asked for.
        if let Some(awaiting_ack) = &mut self.awaiting_ack
            && !awaiting_ack.last
            && acknowledged(awaiting_ack.users)
            && let Some(users) = sent
        {
            awaiting_ack.users = users;
            awaiting_ack.last = true;
        }
        if let Some(awaiting_ack) = self
            .awaiting_ack
            .take_if(|awaiting_ack| awaiting_ack.last && acknowledged(awaiting_ack.users))
        {
            self.in_grace.push_back((now + grace, awaiting_ack.names));
        }
        let mut due = Vec::new();
        while self.in_grace.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, names)) = self.in_grace.pop_front() else {
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
        self.in_grace.front().map(|(at, _)| *at)
    }

    /// Whether nothing is to be removed.
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
        removals.add(cluster("a"));
        assert!(removals.advance(start, GRACE, None, |_| true).is_empty());
        assert_eq!(removals.deadline(), None);
        assert!(
            removals
                .advance(start, GRACE, Some(USERS), |_| false)
                .is_empty()
        );
        assert_eq!(removals.deadline(), None);
        // Later ones put the first off once, and no more.
        removals.add(cluster("b"));
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
        removals.add(cluster("a"));
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
        removals.add(cluster("a"));
        removals.advance(start, GRACE, Some(USERS), |_| true);
        removals.cancel(ResourceType::Cluster, &"a".into());
        // It leaves again: the old time does not count.
        removals.add(cluster("a"));
        assert!(
            removals
                .advance(start + GRACE, GRACE, None, |_| true)
                .is_empty()
        );
        assert!(removals.contains(ResourceType::Cluster, &"a".into()));
    }
}
