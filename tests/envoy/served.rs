//! The fleet's listener for TLS with hosts on it, kept as a builder keeps it, and all that Envoy needs for it.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};

use isobath::build::listeners::Listeners;
use isobath::build::tls::{RenderedHttps, Served};
use isobath::build::used_secrets::SecretKey;
use isobath::envoy::edge::Edge;
use isobath::envoy::{cluster, endpoint, listener, route, secret};
use isobath::model::{Certificate, Host, Listener, TlsServer, TrustBundle, VirtualHost};
use isobath::objects::NamespacedName;
use isobath::translate::Fallback;
use isobath::xds::{Resource, ResourceType, Snapshot};

use crate::ads::Resources;
use crate::fixture::{TLS, assignment, cluster_of, config};
use crate::port::Port;

/// It has the same port of TCP and of UDP.
pub struct Fleet {
    listeners: Listeners,
    snapshot: Snapshot,
    others: Resources,
    edge: Edge,
    pub https: SocketAddr,
    _port: Port,
}

impl Fleet {
    pub fn new(edge: Edge) -> Self {
        let port = free();
        let mut fleet = Self {
            listeners: Listeners::new(&edge, None),
            snapshot: Snapshot::default(),
            others: Resources::new(),
            edge: edge.clone(),
            https: port.address(),
            _port: port,
        };
        let stats = listener::stats(&config());
        fleet.insert(ResourceType::Listener, &stats);
        fleet.declare(edge.http3);
        fleet
    }

    /// Has its listeners, with HTTP/3 or without.
    pub fn declare(&mut self, http3: bool) {
        let config = listener::Config {
            https: self.https,
            edge: Edge {
                http3,
                ..self.edge.clone()
            },
            ..config()
        };
        for listener in config.built_in() {
            self.listeners.declare(listener);
        }
    }

    pub fn certificate(&mut self, certificate: &Certificate) {
        self.insert(ResourceType::Secret, &secret::secret(certificate));
    }

    pub fn bundle(&mut self, bundle: &TrustBundle) {
        self.insert(ResourceType::Secret, &secret::trust_bundle(bundle));
    }

    pub fn cluster(&mut self, name: &str, address: SocketAddr) {
        let model = cluster_of(name);
        self.insert(ResourceType::Cluster, &cluster::cluster(&model));
        let assignment = assignment(name, &[address]);
        let endpoints = endpoint::load_assignment(&assignment);
        self.insert(ResourceType::Endpoint, &endpoints);
    }

    /// The host ends TLS, with these routes.
    pub fn serve(&mut self, host: &VirtualHost, server: &TlsServer) {
        let served = rendered(host, server);
        self.set(&host.host, Served::Terminated(served));
    }

    /// The same, and for clients that ask for no name by this server.
    pub fn serve_nameless(&mut self, host: &VirtualHost, server: &TlsServer, by: &TlsServer) {
        let mut served = rendered(host, server);
        let fallback = rendered(host, by);
        served.fallback = Some(Box::new(Fallback {
            server: fallback.server,
            secrets: certificates(by),
        }));
        self.set(&host.host, Served::Terminated(served));
    }

    pub fn set(&mut self, host: &Host, served: Served) {
        let tls = self.listeners.tls(Listener::HTTPS).unwrap();
        tls.set(host, served);
    }

    /// All of it as it is now.
    pub fn resources(&mut self) -> Resources {
        self.listeners.count_secrets().take_touched();
        self.listeners.publish(&mut self.snapshot);
        let mut all = resources_of(&self.snapshot);
        all.extend(self.others.clone());
        all
    }

    fn insert(&mut self, of: ResourceType, resource: &Resource) {
        let key = (of, resource.name().to_string());
        self.others.insert(key, resource.bytes());
    }
}

/// The Secrets of its certificates.
fn certificates(server: &TlsServer) -> BTreeSet<NamespacedName> {
    let names = server.certificates.iter();
    let secrets = names.filter_map(|name| {
        let (namespace, name) = name.split_once('/')?;
        Some(NamespacedName::new(namespace, name))
    });
    secrets.collect()
}

/// What the builder makes of a host.
pub fn rendered(host: &VirtualHost, server: &TlsServer) -> RenderedHttps {
    RenderedHttps {
        server: server.clone(),
        secrets: SecretKey::of_server(&certificates(server), server),
        virtual_host: route::virtual_host(host, TLS),
        any_depth: false,
        tells_unknown: false,
        fallback: None,
    }
}

/// All resources of a snapshot.
pub fn resources_of(snapshot: &Snapshot) -> Resources {
    let mut all = Resources::new();
    for of in ResourceType::ALL {
        for (name, resource) in snapshot.resources(of) {
            all.insert((of, name.to_string()), resource.bytes());
        }
    }
    all
}

/// A port of the loopback address that is free over TCP and over UDP.
fn free() -> Port {
    let mut held = Vec::new();
    for _ in 0..100 {
        let port = Port::take();
        if UdpSocket::bind(port.address()).is_ok() {
            return port;
        }
        held.push(port);
    }
    panic!("no port is free over both");
}
