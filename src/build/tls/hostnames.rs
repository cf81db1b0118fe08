//! Of a listener for TLS: the hostnames that share its port, where each is served by itself, as those of a Gateway's listeners are.
//!
//! A request for a host of another hostname than its connection's is misdirected (421), and one for a host of none is unknown (404).
//! So each table names the hostnames of all others, in one virtual host. Beyond [`MOST`] hostnames whatever is not a table's own is
//! misdirected: tables would come to the square of their number.

use std::sync::Arc;

use super::{TlsListener, prefixed};
use crate::envoy::route;
use crate::model::Host;

/// So many hostnames are named in each other's tables.
const MOST: usize = 128;

/// The key of the part with the others' hostnames. No host has it.
const OTHERS: &str = ">misdirected";

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

    /// Puts what answers 421 into the table of a server.
    pub(super) fn put_misdirected(&mut self, server: &Arc<str>) {
        let others_key = prefixed(&self.prefix, OTHERS.into());
        let (any_key, any) = self.misdirected.clone();
        let is_own = |host: &Host| {
            let served = self.hosts.get(host);
            served.is_some_and(|served| served.server == *server)
        };
        let has_any = is_own(&Host::any());
        let hostnames = self.hostnames.as_deref();
        let few = hostnames.filter(|hostnames| hostnames.len() <= MOST);
        let others = few.and_then(|hostnames| {
            let others = hostnames.iter().filter(|host| !is_own(host));
            route::misdirected_all(others)
        });
        let Some(table) = self.servers.get_mut(server).map(|it| &mut it.table) else {
            return;
        };
        let before = table.clone();
        match others {
            Some(part) => _ = table.insert(others_key, Arc::new(part)),
            None => _ = table.remove(&others_key),
        }
        if !has_any {
            match few {
                None => _ = table.insert(any_key, any),
                Some(_) => _ = table.remove(&any_key),
            }
        }
        if *table != before {
            self.touched_tables.insert(server.clone());
        }
    }
}
