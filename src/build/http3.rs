//! What a listener for TLS is over QUIC, while it is kept up to date ([`crate::envoy::http3`]).

use std::net::SocketAddr;
use std::sync::Arc;

use crate::envoy::edge::Edge;
use crate::envoy::route::TableHead;
use crate::envoy::{filter_chain, http3, server_name};
use crate::model::{Host, Http3, TlsServer};
use crate::xds::{Part, Resource, ResourceType, Snapshot};

use super::chains::Chains;

/// A listener over QUIC, with the keys of the one over TCP. It is there while it has a chain.
#[derive(Debug)]
pub struct Http3Listener {
    name: Arc<str>,
    head: Part,
    table_head: TableHead,
    manager: http3::Manager,
    chains: Chains,
}

impl Http3Listener {
    /// The listener without hosts, beside the one of that name over TCP. `None` where these flags allow none.
    pub fn new(of: &Arc<str>, address: SocketAddr, http3: Http3, edge: &Edge) -> Option<Self> {
        Some(Self {
            name: http3::name(of),
            head: http3::head(of, address, edge)?,
            table_head: TableHead::with_http3(edge, http3),
            manager: http3::Manager::new(of, edge),
            chains: Chains::default(),
        })
    }

    /// The head of the tables of servers that are there over QUIC.
    pub const fn table_head(&self) -> &TableHead {
        &self.table_head
    }

    /// The host is this server's, which may be for TCP only.
    pub fn serve(&mut self, host: &Host, server: &TlsServer) {
        let wildcard = host.is_wildcard().then_some(host);
        let name = wildcard.map_or(&*server.name, Host::as_str);
        if !server.is_for_http3() {
            self.chains.remove(&filter_chain::key(name));
            self.refuse(host);
            return;
        }
        self.chains
            .put(http3::filter_chain(&self.manager, server, wildcard));
        self.chains.put(server_name::server_name(host, name));
    }

    /// Connections for the host are refused, whatever wildcard is above it.
    pub fn refuse(&mut self, host: &Host) {
        self.chains.put(server_name::refused(host));
    }

    /// What has this key is gone.
    pub fn remove(&mut self, key: &str) {
        self.chains.remove(key);
    }

    /// Puts the listener into the snapshot, where it differs; returns whether it does.
    pub fn publish(&mut self, snapshot: &mut Snapshot) -> bool {
        let is_touched = self.chains.take_touched();
        if is_touched && !self.chains.has_chains() {
            self.withdraw(snapshot);
        } else if is_touched {
            let (name, head) = (self.name.clone(), self.head.clone());
            let listener = Resource::composite(name, head, self.chains.parts());
            snapshot.follow(ResourceType::Listener, listener);
        }
        is_touched
    }

    /// Takes it out of the snapshot.
    pub fn withdraw(&self, snapshot: &mut Snapshot) {
        snapshot.remove(ResourceType::Listener, &self.name);
    }
}
