//! The table of a listener for clear text while it is kept up to date.
//!
//! Envoy makes all of a table again whenever anything in it changes: 25 µs for a host with one route (Envoy 1.40, CPU,
//! 4,000 hosts). The labels for [`crate::envoy::ingress_metrics`] are 10 of them, of which the first 5 are for having any; the
//! default retry is 4; name, time-out and buffer limit are less than 1 together. None can go without another answer. Labels are
//! read from metadata and from nothing else that can be split. A retry policy can be had by virtual host, by route, which is
//! no cheaper, and by cluster, where it would replace those of routes; by request header it forgets which endpoint failed.
//!
//! Sixteen tables instead of one, by a shard of the host that Envoy computes (`benches/figures/envoy/shards.rs`), take 11 ms of
//! Envoy for a new host at 10,000 and answer it after 13, where the table takes 279 and answers after 638, and cost 2 to 4 %
//! of a request (`make figures ARGS='envoy --ways table,shards,requests'`). Prefixes of the host by `%REQ(:AUTHORITY):2%`
//! cost 1 to 2 %, but hosts that are numbered, or begin with `www.`, share one. That is not built yet. What is to be shown for
//! it: a wildcard stands in every shard, so that one change of it is sixteen, in an order; the listener itself names the
//! table that it waits for ([`crate::envoy::manager`]), so it changes once more, under traffic; and a shard that is refused
//! leaves the others as they are.
//!
//! What is sent for a change is a table, too: some 400 bytes for each host with one route, of whatever language. Shards divide
//! that, and would divide the table of a TLS server (`build/tls.rs`), which has all hosts of a certificate or of a Gateway's
//! listener: a scope says which server a connection belongs to, and requests on it may be for any of its hosts. A table for each host
//! needs scopes that are found by the host as it is written, and has no place for wildcards (`deploy/README.md`).

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::envoy::edge::Edge;
use crate::envoy::route::{self, TableHead};
use crate::model::Host;
use crate::xds::{Part, Resource, ResourceType, Snapshot};

use super::parts::replace;

/// One table with the virtual hosts of all hosts.
#[derive(Debug)]
pub struct HttpListener {
    name: Arc<str>,
    head: TableHead,
    https_port: Option<u16>,
    table: OrdMap<Arc<str>, Arc<Part>>,
    /// The exact hosts that only redirect: one part of the table stands for all of them.
    redirects: OrdSet<Host>,
    touched: bool,
    touched_redirects: bool,
}

impl HttpListener {
    /// A listener without hosts, whose table has this name. Redirects lead to this port, or to the one that a client asked for.
    pub fn new(name: Arc<str>, edge: &Edge, https_port: Option<u16>) -> Self {
        Self {
            name,
            head: TableHead::http(edge),
            https_port,
            table: OrdMap::new(),
            redirects: OrdSet::new(),
            touched: true,
            touched_redirects: false,
        }
    }

    /// Puts the host's virtual host in the place of the one of `old_key`.
    pub fn set(&mut self, old_key: Option<&Arc<str>>, virtual_host: Option<(Arc<str>, Part)>) {
        self.touched |= replace(&mut self.table, old_key, virtual_host);
    }

    /// Whether the host redirects everything.
    pub fn set_redirect(&mut self, host: &Host, redirects: bool) {
        self.touched_redirects |= match redirects {
            true => self.redirects.insert(host.clone()).is_none(),
            false => self.redirects.remove(host).is_some(),
        };
    }

    /// Puts the table into the snapshot, where it differs; returns whether it does.
    pub fn publish(&mut self, snapshot: &mut Snapshot) -> bool {
        if std::mem::take(&mut self.touched_redirects) {
            let (key, part) = route::redirects(&self.redirects, self.https_port);
            let part = (!self.redirects.is_empty()).then(|| (key.clone(), part));
            self.touched |= replace(&mut self.table, Some(&key), part);
        }
        let is_touched = std::mem::take(&mut self.touched);
        if is_touched {
            let head = self.head.named(&self.name);
            let table = Resource::composite(self.name.clone(), head, self.table.clone());
            snapshot.follow(ResourceType::Route, table);
        }
        is_touched
    }
}
