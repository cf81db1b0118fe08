//! A listener for TLS, its tables and their scopes while they are kept up to date.

mod closed;
mod depth;
mod hostnames;
mod nameless;
mod neighbours;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::OrdMap;

use crate::envoy::edge::Edge;
use crate::envoy::route::TableHead;
use crate::envoy::{filter_chain, route, scope, server_name};
use crate::facts::Index;
use crate::model::{Host, TlsServer};
use crate::xds::{Part, Resource, ResourceType, Snapshot};

use super::chains::Chains;
use super::fallback::Fallback;
use super::http3::Http3Listener;
use super::neighbours::Neighbours;
use super::parts::{replace, toggle};
pub use super::render::{RenderedForwarding, RenderedHttps, Served};
use super::used_secrets::SecretKey;

/// TLS servers by name with their hosts; a server without hosts is gone, with its chains, table, scopes and secrets.
#[derive(Debug)]
pub struct TlsListener {
    name: Arc<str>,
    /// What the names of its tables and scopes, and the keys of their parts, begin with.
    prefix: String,
    table_head: TableHead,
    /// What is in each table for all hosts that are none of its own.
    misdirected: (Arc<str>, Arc<Part>),
    head: Part,
    /// The hostnames that share the port, where each is served by itself.
    hostnames: Option<Arc<[Host]>>,
    /// Which tables tell what is unknown from what is misdirected, where hosts are not served by hostname.
    neighbours: Neighbours,
    /// Filter chains and the entries that choose one by SNI.
    chains: Chains,
    /// Those of its hosts that clients without a name get.
    fallback: Fallback,
    /// The same hosts over QUIC.
    http3: Option<Http3Listener>,
    /// What is not there over QUIC any more.
    withdrawn: Option<Http3Listener>,
    servers: BTreeMap<Arc<str>, Server>,
    hosts: BTreeMap<Host, ServedHost>,
    /// Wildcard → the hosts of `hosts` one label below it.
    below: Index<Host, Host>,
    /// Wildcard → the hosts below it that it must not answer for, though they are none of `hosts`.
    closed_below: Index<Host, Host>,
    /// The hosts of `closed_below` whose connections are refused, as a wildcard above them is served. The value are the tables
    /// with the part that answers 421 for the host ([`Self::answering`]).
    closed: BTreeMap<Host, Box<[Arc<str>]>>,
    /// Those of `hosts` that stand for names of any depth.
    deep: BTreeSet<Host>,
    /// Hosts whose connections are forwarded.
    forwarded: BTreeMap<Host, ForwardedHost>,
    /// How many servers and forwarded hosts use a certificate or a trust bundle.
    secrets: BTreeMap<SecretKey, usize>,
    touched_secrets: BTreeSet<SecretKey>,
    touched_tables: BTreeSet<Arc<str>>,
    /// Scopes and their tables; `None` for those that are gone.
    touched_scopes: BTreeMap<Arc<str>, Option<Arc<str>>>,
}

#[derive(Debug)]
struct Server {
    /// All of it, for when the listener is there over QUIC too.
    model: TlsServer,
    secrets: Box<[SecretKey]>,
    table: OrdMap<Arc<str>, Arc<Part>>,
    hosts: usize,
    /// Of its hosts those that share its chain: all but wildcards.
    exact: usize,
    /// Whether a host that nobody has is unknown on its connections (404).
    tells_unknown: bool,
    /// The keys of what its table says of others' hosts.
    named: BTreeSet<Arc<str>>,
}

#[derive(Debug)]
struct ForwardedHost {
    /// The keys of its chain and of the name that leads there.
    keys: [Arc<str>; 2],
    secrets: BTreeSet<SecretKey>,
}

#[derive(Debug)]
struct ServedHost {
    server: Arc<str>,
    /// The key of its filter chain among the listener's parts.
    chain_key: Arc<str>,
    server_name_key: Arc<str>,
    /// What it has in tables, by server and key: its routes in its own, and where another server has the wildcard
    /// above it, a part there: the wildcard's routes must not answer for it, and connections that were opened for it
    /// before it was named have the wildcard's table.
    parts: Vec<(Arc<str>, Arc<str>)>,
}

impl TlsListener {
    /// A listener without hosts.
    pub fn new(name: Arc<str>, head: Part, edge: &Edge) -> Self {
        let mut chains = Chains::default();
        chains.touch();
        let prefix = scope::prefix(&name);
        let (any, misdirected) = route::misdirected(&Host::any());
        Self {
            misdirected: (prefixed(&prefix, any), Arc::new(misdirected)),
            prefix,
            name,
            table_head: TableHead::https(edge),
            head,
            hostnames: None,
            neighbours: Neighbours::default(),
            chains,
            fallback: Fallback::default(),
            http3: None,
            withdrawn: None,
            servers: BTreeMap::new(),
            hosts: BTreeMap::new(),
            below: Index::default(),
            closed_below: Index::default(),
            closed: BTreeMap::new(),
            deep: BTreeSet::new(),
            forwarded: BTreeMap::new(),
            secrets: BTreeMap::new(),
            touched_secrets: BTreeSet::new(),
            touched_tables: BTreeSet::new(),
            touched_scopes: BTreeMap::new(),
        }
    }

    /// It has this head from now on.
    pub fn set_head(&mut self, head: Part) {
        self.head = head;
        self.chains.touch();
    }

    /// Its hosts are there over QUIC from now on, or not any more.
    pub fn set_http3(&mut self, mut http3: Option<Http3Listener>) {
        if let Some(http3) = &mut http3 {
            for (host, state) in &self.hosts {
                if let Some(server) = self.servers.get(&state.server) {
                    http3.serve(host, &server.model);
                }
            }
            for host in self.closed_hosts() {
                http3.refuse(host);
            }
        }
        if http3.is_some() || self.http3.is_some() {
            self.touched_tables.extend(self.servers.keys().cloned());
        }
        self.withdrawn = std::mem::replace(&mut self.http3, http3);
    }

    /// Serves no host any more. Returns the secrets that were in use.
    pub fn clear(&mut self) -> Vec<SecretKey> {
        let used = self.secrets.keys().cloned().collect();
        let served = self.hosts.keys();
        let hosts: BTreeSet<Host> = served.chain(self.closed_hosts()).cloned().collect();
        for host in hosts {
            self.set(&host, Served::No);
        }
        used
    }

    fn closed_hosts(&self) -> impl Iterator<Item = &Host> {
        self.closed.keys().chain(self.forwarded.keys())
    }

    fn serve(&mut self, host: &Host, served: Served) {
        if let Served::Forwarded(forwarding) = served {
            if !self.forwarded.contains_key(host) {
                self.set_unit(host, None, true);
            }
            self.forward(host, forwarding);
            self.follow_fallback(host, None);
            return;
        }
        if let Some(old) = self.forwarded.remove(host) {
            for key in &old.keys {
                self.remove_chain(key);
            }
            self.count_secrets(&old.secrets, false);
            self.open(host);
        }
        let is_closed = matches!(served, Served::Closed);
        let mut unit = match served {
            Served::Terminated(unit) => Some(unit),
            Served::No | Served::Closed | Served::Forwarded(_) => None,
        };
        let fallback = unit.as_mut().and_then(|unit| {
            let wanted = unit.fallback.take()?;
            Some((*wanted, Arc::new(unit.virtual_host.1.clone())))
        });
        self.set_unit(host, unit, is_closed);
        self.follow_fallback(host, fallback);
    }

    /// A server begins to use these Secrets, or ends.
    fn count_secrets<'a>(
        &mut self,
        secrets: impl IntoIterator<Item = &'a SecretKey>,
        begins: bool,
    ) {
        for secret in secrets {
            let users = self.secrets.entry(secret.clone()).or_default();
            let was_used = *users > 0;
            *users = match begins {
                true => *users + 1,
                false => users.saturating_sub(1),
            };
            let is_used = *users > 0;
            if !is_used {
                self.secrets.remove(secret);
            }
            if was_used != is_used {
                toggle(&mut self.touched_secrets, secret);
            }
        }
    }

    /// Leads the host's connections to a chain that forwards them, in the place of being refused.
    fn forward(&mut self, host: &Host, forwarding: RenderedForwarding) {
        let (name, key, part) = forwarding.chain;
        let addresses = forwarding.addresses.as_ref();
        let server_name = server_name::of_addresses(host, &name, addresses);
        let keys = [key.clone(), server_name.0.clone()];
        self.chains.put((key.clone(), part));
        self.chains.put(server_name);
        if let Some(http3) = &mut self.http3 {
            http3.refuse(host);
        }
        let secrets = forwarding.secrets;
        self.count_secrets(&secrets, true);
        let old = self
            .forwarded
            .insert(host.clone(), ForwardedHost { keys, secrets });
        if let Some(ForwardedHost { keys, secrets }) = old {
            // Its TLS ends here now, or does not any more.
            let [old, _] = keys;
            if old != key {
                self.remove_chain(&old);
            }
            self.count_secrets(&secrets, false);
        }
    }

    /// A chain, or a name that leads to one, is gone.
    fn remove_chain(&mut self, key: &str) {
        self.chains.remove(key);
        if let Some(http3) = &mut self.http3 {
            http3.remove(key);
        }
    }

    /// Where the host is not served, a closed one is kept from the wildcards above.
    fn set_unit(&mut self, host: &Host, unit: Option<RenderedHttps>, is_closed: bool) {
        if !is_closed {
            self.open(host);
        }
        let old = self.hosts.remove(host);
        let was_deep = self.deep.remove(host);
        if let Some(unit) = unit {
            if unit.any_depth && host.is_wildcard() {
                self.deep.insert(host.clone());
            }
            self.enter(host, unit, old.as_ref());
        }
        let is_deep = self.deep.contains(host);
        if let Some(old) = &old {
            self.leave(host, old);
        }
        let server = self.hosts.get(host).map(|host| host.server.clone());
        if let Some(wildcard) = host.covering_wildcard() {
            match (&old, &server) {
                (None, Some(_)) => {
                    self.below.insert(wildcard, host.clone());
                }
                (Some(_), None) => {
                    self.below.remove(&wildcard, host);
                }
                _ => {}
            }
        }
        let before = old.map(|old| old.server);
        self.follow_hostname(host, [before.as_ref(), server.as_ref()]);
        if before != server {
            for name in scope::names(&self.name, host) {
                self.touched_scopes.insert(name, server.clone());
            }
        }
        if before != server || was_deep != is_deep {
            let below: Vec<Host> = match (was_deep || is_deep) && !self.has_hostnames() {
                true => self.deep_below(host),
                false => self.below.get(host).cloned().collect(),
            };
            for host in below {
                self.follow(&host);
            }
            let closed: Vec<Host> = self.closed_below.get(host).cloned().collect();
            for host in closed {
                self.close(&host);
            }
        }
        if is_closed {
            self.close(host);
        }
    }

    /// The wildcard above the host is of another server than before.
    fn follow(&mut self, host: &Host) {
        let Some(state) = self.hosts.get(host) else {
            return;
        };
        let (server, old) = (state.server.clone(), state.parts.clone());
        let mut parts: Vec<_> = old.iter().take(1).cloned().collect();
        parts.extend(self.misdirect(host, Some(&server)));
        self.remove_parts(host, &old, &parts);
        if let Some(state) = self.hosts.get_mut(host) {
            state.parts = parts;
        }
    }

    /// Takes parts of a host out of the tables, but for those that are there to stay.
    fn remove_parts(
        &mut self,
        host: &Host,
        parts: &[(Arc<str>, Arc<str>)],
        stay: &[(Arc<str>, Arc<str>)],
    ) {
        for part in parts.iter().filter(|part| !stay.contains(part)) {
            let (table, key) = part;
            if let Some(server) = self.servers.get_mut(table)
                && server.table.remove(key).is_some()
            {
                // What was a host's is what answers for all others again.
                let (any, misdirected) = &self.misdirected;
                if key == any && self.hostnames.is_none() {
                    server.table.insert(any.clone(), misdirected.clone());
                }
                self.touched_tables.insert(table.clone());
                self.neighbours.touch(table, host);
            }
        }
    }

    /// Makes its maps as small as they can be.
    pub fn pack(&mut self) {
        self.hosts = std::mem::take(&mut self.hosts).into_iter().collect();
        self.below.pack();
        self.servers = std::mem::take(&mut self.servers).into_iter().collect();
        self.secrets = std::mem::take(&mut self.secrets).into_iter().collect();
    }

    /// Whether a served host needs the secret.
    pub fn uses(&self, secret: &SecretKey) -> bool {
        self.secrets.contains_key(secret)
    }

    /// The secrets that came into use or fell out of it since the last call.
    pub fn take_touched_secrets(&mut self) -> BTreeSet<SecretKey> {
        std::mem::take(&mut self.touched_secrets)
    }

    /// Puts listener, tables and scopes into the snapshot, where they differ; returns whether any does.
    pub fn publish(&mut self, snapshot: &mut Snapshot) -> bool {
        self.put_neighbours();
        let tables = std::mem::take(&mut self.touched_tables);
        let scopes = std::mem::take(&mut self.touched_scopes);
        let mut changed = !tables.is_empty() || !scopes.is_empty();
        for (name, table) in scopes {
            match table {
                None => {
                    snapshot.remove(ResourceType::Scope, &name);
                }
                Some(table) => {
                    let scope = scope::scope(&name, &table);
                    snapshot.insert(ResourceType::Scope, Arc::new(scope));
                }
            }
        }
        for name in tables {
            match self.servers.get(&name) {
                None => {
                    snapshot.remove(ResourceType::Route, &name);
                }
                Some(server) => {
                    let over_quic = self.http3.as_ref();
                    let over_quic = over_quic.filter(|_| server.model.is_for_http3());
                    let head = over_quic.map_or(&self.table_head, Http3Listener::table_head);
                    let head = head.named(&name);
                    let table = Resource::composite(name, head, server.table.clone());
                    snapshot.follow(ResourceType::Route, table);
                }
            }
        }
        changed |= self
            .fallback
            .publish(&self.prefix, &self.table_head, snapshot);
        if self.chains.take_touched() {
            changed = true;
            let (name, head) = (self.name.clone(), self.head.clone());
            let listener = Resource::composite(name, head, self.chains.parts());
            snapshot.follow(ResourceType::Listener, listener);
        }
        if let Some(withdrawn) = self.withdrawn.take() {
            changed = true;
            withdrawn.withdraw(snapshot);
        }
        if let Some(http3) = &mut self.http3 {
            changed |= http3.publish(snapshot);
        }
        changed
    }

    /// The key of a host's part in tables, and the name of its scope.
    fn key(&self, host: &Host) -> Arc<str> {
        prefixed(&self.prefix, host.shared())
    }

    fn enter(&mut self, host: &Host, unit: RenderedHttps, old: Option<&ServedHost>) {
        let name = &prefixed(&self.prefix, unit.server.name.clone());
        let key = self.key(host);
        let mut is_new = false;
        let server = self.servers.entry(name.clone()).or_insert_with(|| {
            self.touched_tables.insert(name.clone());
            self.touched_scopes.insert(name.clone(), Some(name.clone()));
            is_new = true;
            let (any, misdirected) = self.misdirected.clone();
            Server {
                model: unit.server.clone(),
                secrets: unit.secrets.iter().cloned().collect(),
                table: OrdMap::unit(any, misdirected),
                hosts: 0,
                exact: 0,
                tells_unknown: false,
                named: BTreeSet::new(),
            }
        });
        server.hosts += 1;
        server.tells_unknown = unit.tells_unknown;
        server.exact += usize::from(!host.is_wildcard());
        let virtual_host = (key.clone(), unit.virtual_host.1);
        if replace(&mut server.table, None, Some(virtual_host)) {
            self.touched_tables.insert(name.clone());
        }
        if is_new {
            self.count_secrets(&unit.secrets, true);
        }
        // They say which server a host has, and nothing else of either.
        let (chain_key, server_name_key) = match old.filter(|old| old.server == *name) {
            Some(old) => (old.chain_key.clone(), old.server_name_key.clone()),
            None => {
                let (chain, name) = match host.is_wildcard() {
                    true => (Some(host), host.as_str()),
                    false => (None, &*unit.server.name),
                };
                let chain = filter_chain::filter_chain(&self.name, &unit.server, chain);
                let server_name = server_name::server_name(host, name);
                let keys = (chain.0.clone(), server_name.0.clone());
                self.chains.put(chain);
                self.chains.put(server_name);
                if let Some(http3) = &mut self.http3 {
                    http3.serve(host, &unit.server);
                }
                keys
            }
        };
        let mut parts = vec![(name.clone(), key)];
        parts.extend(self.misdirect(host, Some(name)));
        let state = ServedHost {
            server: name.clone(),
            chain_key,
            server_name_key,
            parts,
        };
        self.hosts.insert(host.clone(), state);
        if is_new && self.has_hostnames() {
            self.put_misdirected(name);
        }
    }

    /// Answers 421 for the host in the tables of the wildcards above it, where these are other servers' than its own. In that of the
    /// wildcard right above it, connections that were opened for this very host have its routes. The others have no copy of
    /// these: wildcards of any depth may be as many as the host has labels.
    fn misdirect(&mut self, host: &Host, server: Option<&Arc<str>>) -> Vec<(Arc<str>, Arc<str>)> {
        let answering = self.answering(host, server);
        if answering.is_empty() {
            return Vec::new();
        }
        let key = self.key(host);
        let mut parts = Vec::new();
        for above in answering {
            let own = server.filter(|_| above.is_nearest);
            let own = own.and_then(|server| self.servers.get(server)?.table.get(&key));
            let part = match own.and_then(|own| route::for_own_name(host, own)) {
                Some(part) => part,
                None => route::misdirected(host).1,
            };
            let Some(server) = self.servers.get_mut(&above.table) else {
                continue;
            };
            if replace(&mut server.table, None, Some((key.clone(), part))) {
                self.touched_tables.insert(above.table.clone());
                self.neighbours.touch(&above.table, host);
            }
            parts.push((above.table, key.clone()));
        }
        parts
    }

    /// Removes what the host was before; `self.hosts` already has what it is now, if anything.
    fn leave(&mut self, host: &Host, old: &ServedHost) {
        let now = self.hosts.get(host);
        let is_served = now.is_some();
        let leads_elsewhere = now.is_some_and(|now| now.server_name_key == old.server_name_key);
        let stay = now.map(|now| now.parts.clone()).unwrap_or_default();
        if !leads_elsewhere {
            self.remove_chain(&old.server_name_key);
        }
        self.remove_parts(host, &old.parts, &stay);
        let Some(server) = self.servers.get_mut(&old.server) else {
            return;
        };
        server.hosts -= 1;
        server.exact -= usize::from(!host.is_wildcard());
        let keeps_chain = match host.is_wildcard() {
            true => is_served,
            false => server.exact > 0,
        };
        let is_used = server.hosts > 0;
        if !keeps_chain {
            self.remove_chain(&old.chain_key);
        }
        if is_used {
            return;
        }
        if let Some(server) = self.servers.remove(&old.server) {
            self.touched_tables.insert(old.server.clone());
            self.touched_scopes.insert(old.server.clone(), None);
            self.count_secrets(&server.secrets, false);
        }
    }
}

/// What has this name on a listener.
fn prefixed(prefix: &str, name: Arc<str>) -> Arc<str> {
    match prefix.is_empty() {
        true => name,
        false => format!("{prefix}{name}").into(),
    }
}
