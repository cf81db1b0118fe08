//! Of a listener for TLS: the hostnames that share its port, where each is served by itself, as those of a Gateway's listeners are.
//!
//! A request for a host of another hostname than its connection's is misdirected (421), and one for a host of none is unknown (404).
//! So each table names the hostnames of all others, each in a part of its own. Beyond [`MOST`] hostnames whatever is not a table's own is
//! misdirected: tables would come to the square of their number.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Server, TlsListener, prefixed};
use crate::build::neighbours::MOST;
use crate::envoy::route;
use crate::model::Host;
use crate::xds::elsewhere;

impl TlsListener {
    /// These hostnames share the port from now on; `None` where hosts are not served by hostname. A listener has them, or has
    /// none, before its first host, and all its life.
    pub fn set_hostnames(&mut self, hostnames: Option<Arc<[Host]>>) {
        if self.hostnames == hostnames {
            return;
        }
        self.hostnames = hostnames;
        let servers: Vec<Arc<str>> = self.servers.keys().cloned().collect();
        for server in servers {
            self.put_misdirected(&server);
        }
    }

    /// Whether hosts are served by hostname.
    pub(super) const fn has_hostnames(&self) -> bool {
        self.hostnames.is_some()
    }

    /// A host of a hostname is in another table than before.
    pub(super) fn follow_hostname(&mut self, host: &Host, servers: [Option<&Arc<str>>; 2]) {
        let hostnames = self.hostnames.as_ref();
        if hostnames.is_some_and(|hostnames| hostnames.contains(host)) {
            for server in servers.into_iter().flatten() {
                self.put_misdirected(server);
            }
        }
    }

    /// Puts what answers 421 for the hostnames of others into the table of a server.
    pub(super) fn put_misdirected(&mut self, server: &Arc<str>) {
        let hostnames = self.hostnames.clone();
        let few = hostnames.filter(|hostnames| hostnames.len() <= MOST);
        self.put_others(server, few.as_deref());
    }

    /// Has the table of a server answer 421 for these hosts, where it has nothing else for them; for all others without any.
    pub(super) fn put_others(&mut self, server: &Arc<str>, others: Option<&[Host]>) {
        let (any_key, any) = self.misdirected.clone();
        let every = self.hosts.get(&Host::any());
        let has_every = every.is_some_and(|served| served.server == *server);
        let prefix = &self.prefix;
        let Some(Server { table, named, .. }) = self.servers.get_mut(server) else {
            return;
        };
        let before = table.clone();
        if !has_every {
            table.remove(&any_key);
        }
        let mut keys = BTreeSet::new();
        for host in others.into_iter().flatten() {
            let own = prefixed(prefix, host.shared());
            if table.contains_key(&own) {
                continue;
            }
            let key = elsewhere(&own);
            if !named.contains(&key) {
                table.insert(key.clone(), Arc::new(route::misdirected_elsewhere(host)));
            }
            keys.insert(key);
        }
        for gone in named.difference(&keys) {
            table.remove(gone);
        }
        *named = keys;
        if !has_every && others.is_none() {
            table.insert(any_key, any);
        }
        if *table != before {
            self.touched_tables.insert(server.clone());
        }
    }

    /// The same for one host, which is among these or not, of a table that has all the others already.
    pub(super) fn put_other(&mut self, server: &Arc<str>, host: &Host, is_named: bool) {
        let own = prefixed(&self.prefix, host.shared());
        let served = self.hosts.get(host);
        let is_its_own = served.is_some_and(|served| served.server == *server);
        let Some(Server { table, named, .. }) = self.servers.get_mut(server) else {
            return;
        };
        // What answers for all others is not there where some are named.
        let answered_all = host.is_any() && !is_its_own && table.remove(&own).is_some();
        let key = elsewhere(&own);
        let differs = if is_named && !table.contains_key(&own) {
            let is_new = named.insert(key.clone());
            if is_new {
                table.insert(key, Arc::new(route::misdirected_elsewhere(host)));
            }
            is_new
        } else {
            table.remove(&key);
            named.remove(&key)
        };
        if differs || answered_all {
            self.touched_tables.insert(server.clone());
        }
    }
}
