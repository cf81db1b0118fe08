//! Of a listener for TLS: the tables that would answer for a host of another server, over a connection for a wildcard above it.
//!
//! A wildcard of an Ingress is for one label, so that only the one right above a host would. One of a Gateway stands for names of any
//! depth, `*` among them. Where there is none of these, no host costs more than a look into an empty set; where one comes or
//! goes, all hosts below it are looked at.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::TlsListener;
use crate::model::Host;

impl TlsListener {
    /// The servers of other hosts in whose tables the host would be found, if it is none of `server`'s.
    pub(super) fn answering(&self, host: &Host, server: Option<&Arc<str>>) -> Vec<Arc<str>> {
        if self.has_hostnames() {
            return Vec::new();
        }
        let mut above: BTreeSet<Host> = host.covering_wildcard().into_iter().collect();
        if !self.deep.is_empty() {
            let deep = self.above(host).into_iter();
            above.extend(deep.filter(|it| self.deep.contains(it)));
        }
        let served = above.iter().filter_map(|it| self.hosts.get(it));
        let servers: BTreeSet<Arc<str>> = served.map(|it| it.server.clone()).collect();
        let others = servers.into_iter();
        others.filter(|other| Some(other) != server).collect()
    }

    /// The hosts below a wildcard, however deep.
    pub(super) fn deep_below(&self, wildcard: &Host) -> Vec<Host> {
        let suffix = wildcard.wildcard_suffix().unwrap_or_default();
        let hosts = self.hosts.keys();
        let below = hosts.filter(|host| *host != wildcard && host.as_str().ends_with(suffix));
        below.cloned().collect()
    }
}
