//! Of a listener for TLS: the hosts that clients without a name get.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::TlsListener;
use crate::envoy::{filter_chain, route, server_name};
use crate::model::Host;
use crate::translate::Fallback;
use crate::xds::Part;

impl TlsListener {
    /// What clients get that ask for no name, now that the host wants this of it.
    pub(super) fn follow_fallback(&mut self, host: &Host, wanted: Option<(Fallback, Arc<Part>)>) {
        if wanted.is_none() && self.fallback.server().is_none() {
            return;
        }
        let secrets = self.fallback.secrets();
        let was_there = self.fallback.of(host).is_some();
        let is_another = self.fallback.set(host, wanted);
        let mut differ = BTreeSet::from([host.clone()]);
        if is_another {
            differ.extend(self.fallback.hosts().cloned());
            let now = self.fallback.secrets();
            self.count_secrets(&secrets, false);
            self.count_secrets(&now, true);
        }
        let wildcards = differ.iter().filter(|host| host.is_wildcard());
        if is_another || was_there != self.fallback.of(host).is_some() {
            let below =
                wildcards.flat_map(|it| self.below.get(it).chain(self.closed_below.get(it)));
            let below: Vec<Host> = below.cloned().collect();
            differ.extend(below);
        }
        for host in differ {
            let part = self.in_fallback(&host);
            self.fallback.put(&self.key(&host), part);
        }
        self.lead_to_fallback(is_another);
    }

    /// What the host is for clients that ask for no name: another host's wildcard must not answer for it.
    fn in_fallback(&self, host: &Host) -> Option<Arc<Part>> {
        if let Some(part) = self.fallback.of(host) {
            return Some(part.clone());
        }
        let is_there = self.hosts.contains_key(host)
            || self.closed.contains_key(host)
            || self.forwarded.contains_key(host);
        // A wildcard answers 421 to deeper names by itself.
        let above = host.covering_wildcard().filter(|_| is_there);
        let is_covered = above.is_some_and(|it| self.fallback.of(&it).is_some());
        is_covered.then(|| Arc::new(route::misdirected(host).1))
    }

    /// Connections for no name that is served get the fallback, unless a host stands for every name.
    fn lead_to_fallback(&mut self, is_another: bool) {
        let any = Host::any();
        let server_name = server_name::server_name(&any, filter_chain::FALLBACK);
        let is_free = !self.hosts.contains_key(&any) && !self.forwarded.contains_key(&any);
        let server = self.fallback.server();
        if is_another {
            match server {
                Some(server) => self.chains.put(filter_chain::fallback(&self.name, server)),
                None => self
                    .chains
                    .remove(&filter_chain::key(filter_chain::FALLBACK)),
            }
        }
        match (is_free, self.fallback.server().is_some()) {
            (false, _) => {}
            (true, true) => self.chains.put(server_name),
            (true, false) => self.chains.remove(&server_name.0),
        }
    }
}
