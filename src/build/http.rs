//! The table of a listener for clear text while it is kept up to date.

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
    /// A listener without hosts. Redirects lead to this port, or to the one that a client asked for.
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
