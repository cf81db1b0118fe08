//! The servers of a listener for TLS that tell what is unknown from what is misdirected, and the hosts that they name for it.
//!
//! Such a server's table names the hosts of all others on the port as long as these are few: beyond [`MOST`] of them it is as the others
//! are, for tables would come to the square of the hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::Host;

/// So many hosts of others are named in a table.
pub const MOST: usize = 128;

/// What is to be brought up to date in a table.
#[derive(Debug)]
enum Touched {
    /// What it says of these hosts.
    Of(BTreeSet<Host>),
    All,
}

/// What the table of a server is to say of others' hosts.
#[derive(Debug, PartialEq, Eq)]
pub enum Named {
    /// Nothing, as they are too many, or as it does not tell what is unknown.
    None,
    /// These are all that it names.
    All(Box<[Host]>),
    /// Whether it names each of these, which may not be as before; whatever else it names stays.
    Of(Box<[(Host, bool)]>),
}

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
    touched: BTreeMap<Arc<str>, Touched>,
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
                self.touched.insert(server.clone(), Touched::All);
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
        let touched = &mut self.touched;
        self.named.retain(|of, others| {
            match is_there && server != Some(of) {
                true => others.insert(host.clone()),
                false => others.remove(host),
            };
            let has_few = others.len() <= MOST;
            match has_few {
                true => touch(touched, of, host),
                false => _ = touched.insert(of.clone(), Touched::All),
            }
            has_few
        });
        // Of those that have few neighbours among many hosts there is no second one.
        let have_few = self.by_hosts.iter().rev();
        let have_few = have_few.take_while(|(hosts, _)| all.saturating_sub(*hosts) <= MOST);
        let new = have_few.filter(|(_, server)| !self.named.contains_key(server));
        new.map(|(_, server)| server.clone()).collect()
    }

    /// The server's table is to name these hosts of others.
    pub fn name(&mut self, server: Arc<str>, others: BTreeSet<Host>) {
        self.touched.insert(server.clone(), Touched::All);
        self.named.insert(server, others);
    }

    /// The server's table has another answer of its own for a host than before, or none any more.
    pub fn touch(&mut self, server: &Arc<str>, host: &Host) {
        if self.named.contains_key(server) {
            touch(&mut self.touched, server, host);
        }
    }

    /// The servers whose tables are to be brought up to date. A host that comes or goes is one host in the table of each.
    pub fn take_touched(&mut self) -> Vec<(Arc<str>, Named)> {
        let touched = std::mem::take(&mut self.touched).into_iter();
        let named = |server: &Arc<str>, touched: Touched| match (self.named.get(server), touched) {
            (None, _) => Named::None,
            (Some(others), Touched::All) => Named::All(others.iter().cloned().collect()),
            (Some(others), Touched::Of(hosts)) => {
                let hosts = hosts.into_iter();
                let hosts = hosts.map(|host| {
                    let is_named = others.contains(&host);
                    (host, is_named)
                });
                Named::Of(hosts.collect())
            }
        };
        touched
            .map(|(server, touched)| (server.clone(), named(&server, touched)))
            .collect()
    }
}

/// What a table says of a host is to be brought up to date.
fn touch(all: &mut BTreeMap<Arc<str>, Touched>, server: &Arc<str>, host: &Host) {
    let touched = all.entry(server.clone());
    let touched = touched.or_insert_with(|| Touched::Of(BTreeSet::new()));
    if let Touched::Of(hosts) = touched {
        hosts.insert(host.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One more host among many servers is one answer in the table of each, and not all that these say of each other.
    #[test]
    fn a_host_is_one_answer_in_each_table() {
        const SERVERS: usize = 100;
        let host = |number: usize| Host::new(format!("h{number}.test"));
        let server = |number: usize| Arc::from(format!("server-{number}"));
        let mut neighbours = Neighbours::default();
        let mut all = BTreeSet::new();
        for number in 0..SERVERS {
            all.insert(host(number));
            neighbours.count(&server(number), Some(1));
            let (host, server) = (host(number), server(number));
            for new in neighbours.follow(&host, (true, Some(&server)), all.len()) {
                let others = all.iter().filter(|other| **other != host);
                neighbours.name(new, others.cloned().collect());
            }
        }
        let size = |touched: &[(Arc<str>, Named)]| -> usize {
            let sizes = touched.iter().map(|(_, named)| match named {
                Named::None => 0,
                Named::All(hosts) => hosts.len(),
                Named::Of(hosts) => hosts.len(),
            });
            sizes.sum()
        };
        assert_eq!(size(&neighbours.take_touched()), SERVERS * (SERVERS - 1));
        let more = host(SERVERS);
        for is_there in [true, false] {
            neighbours.follow(&more, (is_there, None), SERVERS + usize::from(is_there));
            let touched = neighbours.take_touched();
            assert_eq!((touched.len(), size(&touched)), (SERVERS, SERVERS));
            let expected = Named::Of([(more.clone(), is_there)].into());
            assert!(touched.iter().all(|(_, named)| *named == expected));
        }
        // What a table has of its own for a host is its business alone.
        neighbours.touch(&server(7), &host(8));
        neighbours.touch(&"none".into(), &host(8));
        let expected = Named::Of([(host(8), true)].into());
        assert_eq!(neighbours.take_touched(), [(server(7), expected)]);
    }
}
