//! Of a listener for TLS: the tables that would answer for a host of another server, over a connection for a wildcard above it.
//!
//! A wildcard of an Ingress is for one label, so that only the one right above a host would. One of a Gateway stands for names of any
//! depth, `*` among them. Where there is none of these, no host costs more than a look into an empty set; where one comes or
//! goes, all hosts below it are looked at.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::TlsListener;
use crate::model::Host;

/// A table in which a host of another server would be found.
pub(super) struct Answering {
    /// Its server.
    pub(super) table: Arc<str>,
    /// Whether it is that of the wildcard right above the host.
    pub(super) is_nearest: bool,
}

impl TlsListener {
    /// The servers of other hosts in whose tables the host would be found, if it is none of `server`'s.
    pub(super) fn answering(&self, host: &Host, server: Option<&Arc<str>>) -> Vec<Answering> {
        if self.has_hostnames() {
            return Vec::new();
        }
        let server_of = |wildcard: &Host| Some(self.hosts.get(wildcard)?.server.clone());
        let nearest = host.covering_wildcard();
        let nearest = nearest.as_ref().and_then(server_of);
        let mut servers: BTreeSet<Arc<str>> = nearest.iter().cloned().collect();
        if !self.deep.is_empty() {
            let mut deep = self.above(host);
            deep.retain(|it| self.deep.contains(it));
            servers.extend(deep.iter().filter_map(server_of));
        }
        let others = servers.into_iter().filter(|other| Some(other) != server);
        others
            .map(|table| Answering {
                is_nearest: Some(&table) == nearest.as_ref(),
                table,
            })
            .collect()
    }

    /// The hosts below a wildcard, however deep.
    pub(super) fn deep_below(&self, wildcard: &Host) -> Vec<Host> {
        let suffix = wildcard.wildcard_suffix().unwrap_or_default();
        let hosts = self.hosts.keys();
        let below = hosts.filter(|host| *host != wildcard && host.as_str().ends_with(suffix));
        below.cloned().collect()
    }
}
