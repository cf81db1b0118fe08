//! Of a listener for TLS that several share: the tables in which a name that nobody has is unknown (404). In others whatever is not a
//! table's own is misdirected (421).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Served, TlsListener};
use crate::build::neighbours::Named;
use crate::model::Host;

/// What a host is on the listener, as far as others have to know.
#[derive(PartialEq, Eq)]
enum Place {
    Nowhere,
    /// Nothing is answered for it.
    Closed,
    Served {
        server: Arc<str>,
        is_deep: bool,
    },
}

impl Place {
    const fn server(&self) -> Option<&Arc<str>> {
        match self {
            Self::Served { server, .. } => Some(server),
            Self::Nowhere | Self::Closed => None,
        }
    }
}

impl TlsListener {
    /// Serves the host like this from now on.
    pub fn set(&mut self, host: &Host, served: Served) {
        let before = self.place(host);
        let is_closed = matches!(served, Served::Closed);
        self.neighbours.close(host, is_closed);
        self.serve(host, served);
        let now = self.place(host);
        let mut differs = before != now;
        for server in [before.server(), now.server()].into_iter().flatten() {
            let telling = self.servers.get(server).filter(|it| it.tells_unknown);
            let hosts = telling.map(|it| it.hosts);
            differs |= self.neighbours.count(server, hosts);
        }
        if differs && !self.has_hostnames() && !self.neighbours.is_empty() {
            self.follow_neighbours(host, &now);
        }
    }

    fn place(&self, host: &Host) -> Place {
        if let Some(served) = self.hosts.get(host) {
            return Place::Served {
                server: served.server.clone(),
                is_deep: self.deep.contains(host),
            };
        }
        let is_closed =
            self.forwarded.contains_key(host) || self.neighbours.closed().contains(host);
        match is_closed {
            true => Place::Closed,
            false => Place::Nowhere,
        }
    }

    /// A host is at another place than before.
    fn follow_neighbours(&mut self, host: &Host, place: &Place) {
        let closed = self.neighbours.closed().len();
        let all = self.hosts.len() + self.forwarded.len() + closed;
        let place = (*place != Place::Nowhere, place.server());
        for server in self.neighbours.follow(host, place, all) {
            let others = self.hosts.iter().filter(|(_, it)| it.server != server);
            let others = others.map(|(host, _)| host);
            let others = others.chain(self.forwarded.keys());
            let others = others.chain(self.neighbours.closed());
            let others: BTreeSet<Host> = others.cloned().collect();
            self.neighbours.name(server, others);
        }
    }

    /// Brings the tables up to date that name their neighbours, or have.
    pub(super) fn put_neighbours(&mut self) {
        for (server, named) in self.neighbours.take_touched() {
            match named {
                Named::None => self.put_others(&server, None),
                Named::All(others) => self.put_others(&server, Some(&others)),
                Named::Of(hosts) => {
                    for (host, is_named) in hosts {
                        self.put_other(&server, &host, is_named);
                    }
                }
            }
        }
    }
}
