//! What clients get that ask for no name in TLS, or for one that nobody serves ([`crate::translate::Fallback`]): a chain without
//! a name, and a table of the hosts that have it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::OrdMap;

use crate::envoy::route::TableHead;
use crate::envoy::{filter_chain, scope};
use crate::model::{Host, TlsServer};
use crate::translate::Fallback as Wanted;
use crate::xds::{Part, Resource, ResourceType, Snapshot};

use super::parts::replace;
use super::used_secrets::SecretKey;

/// The hosts of a listener that have one, and what is there of it.
#[derive(Debug, Default)]
pub struct Fallback {
    /// By name; the first is served.
    servers: BTreeMap<Arc<str>, Server>,
    /// The hosts that want one: which, and their virtual host.
    hosts: BTreeMap<Host, (Arc<str>, Arc<Part>)>,
    /// The virtual hosts of those of the first.
    table: OrdMap<Arc<str>, Arc<Part>>,
    touched: bool,
    /// The name of the table that was published.
    published: Option<Arc<str>>,
}

#[derive(Debug)]
struct Server {
    model: TlsServer,
    secrets: BTreeSet<SecretKey>,
    hosts: usize,
}

impl Fallback {
    /// The host wants this from now on, with this virtual host. Returns whether another server is served than before.
    pub fn set(&mut self, host: &Host, wanted: Option<(Wanted, Arc<Part>)>) -> bool {
        if wanted.is_none() && !self.hosts.contains_key(host) {
            return false;
        }
        let before = self.first().cloned();
        let old = self.hosts.remove(host);
        if let Some((wanted, part)) = wanted {
            let name = wanted.server.name.clone();
            let server = self.servers.entry(name.clone()).or_insert(Server {
                secrets: SecretKey::of_server(&wanted.secrets, &wanted.server),
                model: wanted.server,
                hosts: 0,
            });
            server.hosts += 1;
            self.hosts.insert(host.clone(), (name, part));
        }
        if let Some((name, _)) = old
            && let Some(server) = self.servers.get_mut(&name)
        {
            server.hosts -= 1;
            if server.hosts == 0 {
                self.servers.remove(&name);
            }
        }
        self.first() != before.as_ref()
    }

    fn first(&self) -> Option<&Arc<str>> {
        self.servers.keys().next()
    }

    /// The server that is served.
    pub fn server(&self) -> Option<&TlsServer> {
        self.servers.values().next().map(|server| &server.model)
    }

    /// What SDS delivers for it.
    pub fn secrets(&self) -> BTreeSet<SecretKey> {
        let first = self.servers.values().next();
        first
            .map(|server| server.secrets.clone())
            .unwrap_or_default()
    }

    /// All hosts that want one.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.keys()
    }

    /// The virtual host of a host that has the one that is served.
    pub fn of(&self, host: &Host) -> Option<&Arc<Part>> {
        let (name, part) = self.hosts.get(host)?;
        (Some(name) == self.first()).then_some(part)
    }

    /// What the table has for a host.
    pub fn put(&mut self, key: &Arc<str>, part: Option<Arc<Part>>) {
        let part = part.map(|part| (key.clone(), Part::clone(&part)));
        self.touched |= replace(&mut self.table, Some(key), part);
    }

    /// Puts the table and its scopes into the snapshot, where they differ; returns whether they do. `prefix` is what the names
    /// of the listener's begin with.
    pub fn publish(&mut self, prefix: &str, head: &TableHead, snapshot: &mut Snapshot) -> bool {
        let name = self.first().map(|server| table(prefix, server));
        let moves = self.published != name;
        if !moves && !std::mem::take(&mut self.touched) {
            return false;
        }
        self.touched = false;
        let own: Arc<str> = format!("{prefix}{}", filter_chain::FALLBACK).into();
        if let Some(old) = self.published.take().filter(|_| moves) {
            for scope in [&own, &old] {
                snapshot.remove(ResourceType::Scope, scope);
            }
            snapshot.remove(ResourceType::Route, &old);
        }
        if let Some(name) = &name {
            for scope in [&own, name] {
                let scope = scope::scope(scope, name);
                snapshot.insert(ResourceType::Scope, Arc::new(scope));
            }
            let table = Resource::composite(name.clone(), head.named(name), self.table.clone());
            snapshot.follow(ResourceType::Route, table);
        }
        self.published = name;
        true
    }
}

/// The name of a server's table, and of the scope that brings it. No server of a host has it.
fn table(prefix: &str, server: &str) -> Arc<str> {
    format!("{prefix}{}{server}", filter_chain::FALLBACK).into()
}
