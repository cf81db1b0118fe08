//! The servers of a listener for TLS that tell what is unknown from what is misdirected, and the hosts that they name for it.
//!
//! Such a server's table names the hosts of all others on the port as long as these are few: beyond [`MOST`] of them it is as the others
//! are, for tables would come to the square of the hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::Host;

/// So many hosts of others are named in a table.
pub const MOST: usize = 128;

/// The servers that tell what is unknown.
#[derive(Debug, Default)]
pub struct Neighbours {
    /// Each with the number of its hosts.
    servers: BTreeMap<Arc<str>, usize>,
    /// The same, by that number.
    by_hosts: BTreeSet<(usize, Arc<str>)>,
    /// Of those with few neighbours, these.
    named: BTreeMap<Arc<str>, BTreeSet<Host>>,
    /// Those whose tables are to be brought up to date.
    touched: BTreeSet<Arc<str>>,
    /// The hosts of the listener that are closed.
    closed: BTreeSet<Host>,
}

impl Neighbours {
    /// The host is closed from now on, or not any more.
    pub fn close(&mut self, host: &Host, is_closed: bool) {
        match is_closed {
            true => self.closed.insert(host.clone()),
            false => self.closed.remove(host),
        };
    }

    /// The hosts that are closed.
    pub const fn closed(&self) -> &BTreeSet<Host> {
        &self.closed
    }

    /// A server has so many hosts; `None` for one that does not tell what is unknown, or is gone. Returns whether that is news.
    pub fn count(&mut self, server: &Arc<str>, hosts: Option<usize>) -> bool {
        let before = match hosts {
            Some(hosts) => self.servers.insert(server.clone(), hosts),
            None => self.servers.remove(server),
        };
        if before == hosts {
            return false;
        }
        if let Some(before) = before {
            self.by_hosts.remove(&(before, server.clone()));
        }
        match hosts {
            Some(hosts) => _ = self.by_hosts.insert((hosts, server.clone())),
            None if self.named.remove(server).is_some() => {
                self.touched.insert(server.clone());
            }
            None => {}
        }
        true
    }

    /// Whether no server tells what is unknown, nor has until now.
    pub fn is_empty(&self) -> bool {
        self.by_hosts.is_empty() && self.named.is_empty() && self.touched.is_empty()
    }

    /// A host is at another place than before: at this server, at none as it is closed, or nowhere. `all`: how many hosts are on the
    /// listener. Returns those servers that have few neighbours now, and did not: whoever asked is to say which ([`Self::name`]).
    pub fn follow(
        &mut self,
        host: &Host,
        (is_there, server): (bool, Option<&Arc<str>>),
        all: usize,
    ) -> Vec<Arc<str>> {
        // What a table has besides depends on others' hosts as well.
        self.touched.extend(self.named.keys().cloned());
        self.named.retain(|of, others| {
            match is_there && server != Some(of) {
                true => others.insert(host.clone()),
                false => others.remove(host),
            };
            others.len() <= MOST
        });
        // Of those that have few neighbours among many hosts there is no second one.
        let have_few = self.by_hosts.iter().rev();
        let have_few = have_few.take_while(|(hosts, _)| all.saturating_sub(*hosts) <= MOST);
        let new = have_few.filter(|(_, server)| !self.named.contains_key(server));
        new.map(|(_, server)| server.clone()).collect()
    }

    /// The server's table is to name these hosts of others.
    pub fn name(&mut self, server: Arc<str>, others: BTreeSet<Host>) {
        self.touched.insert(server.clone());
        self.named.insert(server, others);
    }

    /// The servers whose tables are to be brought up to date, and the hosts that each is to name; `None` for those that name none any
    /// more.
    pub fn take_touched(&mut self) -> Vec<(Arc<str>, Option<Vec<Host>>)> {
        let touched = std::mem::take(&mut self.touched).into_iter();
        let others = |server: &Arc<str>| {
            let others = self.named.get(server)?;
            Some(others.iter().cloned().collect())
        };
        touched
            .map(|server| (server.clone(), others(&server)))
            .collect()
    }
}
