//! Of a listener for TLS: the hosts that are there and not served, and that no wildcard above them may answer for.

use std::sync::Arc;

use super::TlsListener;
use crate::envoy::server_name;
use crate::model::Host;

impl TlsListener {
    /// Keeps the wildcards above the host from answering for it, whoever serves them now.
    pub(super) fn close(&mut self, host: &Host) {
        let mut is_refused = false;
        for wildcard in self.above(host) {
            is_refused |= self.hosts.contains_key(&wildcard);
            self.closed_below.insert(wildcard, host.clone());
        }
        let parts = self.misdirect(host, None).into_iter();
        let tables = parts.map(|(server, _)| server).collect();
        self.refuse(host, is_refused.then_some(tables));
    }

    /// The host is not closed any more.
    pub(super) fn open(&mut self, host: &Host) {
        for wildcard in self.above(host) {
            self.closed_below.remove(&wildcard, host);
        }
        self.refuse(host, None);
    }

    /// The wildcards that would answer for a host that is not there; one may stand for all names.
    pub(super) fn above(&self, host: &Host) -> Vec<Host> {
        let every = Some(Host::any()).filter(|any| any != host);
        host.wildcards_above().chain(every).collect()
    }

    /// Whether connections for the host are refused, and the tables that have its part.
    pub(super) fn refuse(&mut self, host: &Host, refused: Option<Box<[Arc<str>]>>) {
        let old = self.closed.remove(host);
        if old == refused {
            self.closed.extend(old.map(|tables| (host.clone(), tables)));
            return;
        }
        // The name of one that is forwarded leads to its chain.
        if !self.forwarded.contains_key(host) {
            let (key, part) = server_name::refused(host);
            match &refused {
                Some(_) => {
                    self.chains.put((key, part));
                    if let Some(http3) = &mut self.http3 {
                        http3.refuse(host);
                    }
                }
                None => self.remove_chain(&key),
            }
        }
        let tables = refused.as_deref().unwrap_or_default();
        let old = old.iter().flatten().filter(|old| !tables.contains(old));
        let old: Vec<_> = old.map(|old| (old.clone(), self.key(host))).collect();
        self.remove_parts(host, &old, &[]);
        self.closed
            .extend(refused.map(|tables| (host.clone(), tables)));
    }
}
