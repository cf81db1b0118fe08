//! Builders of model values and of whole sets of resources.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use imbl::OrdMap;
use isobath::envoy::edge::Edge;
use isobath::envoy::route::TableOptions;
use isobath::envoy::{
    cluster, endpoint, filter_chain, listener, route, scope, secret, server_name,
};
use isobath::model::{
    Alpn, Certificate, ClientCertificates, Cluster, ClusterSettings, Discovery, EndpointAddress,
    Expression, Forward, HeaderMatch, HeaderModifier, HeaderName, HeaderPredicate, HeaderValue,
    Host, LoadAssignment, PathMatch, QueryMatch, QueryPredicate, Route, RouteAction, RouteMatch,
    StringMatch, TextMatch, TlsParameters, TlsServer, TrustBundle, Validity, VirtualHost,
    WeightedCluster,
};
use isobath::objects::{FieldRef, KeyAlgorithm, Kind, ObjectRef, PrivateKeyPem};
use isobath::xds::{Part, Resource, ResourceType};

use crate::ads::Resources;

/// The tables for clear text.
pub const CLEAR: TableOptions = TableOptions {
    tls: false,
    any_depth: false,
    ingress_metrics: true,
};

/// The tables for TLS.
pub const TLS: TableOptions = TableOptions { tls: true, ..CLEAR };

pub fn source(kind: Kind, name: &str) -> FieldRef {
    ObjectRef::new(kind, "web", name).into()
}

/// To one cluster, or with none to nobody.
pub fn forward(clusters: &[&str]) -> Forward {
    Forward {
        backends: clusters
            .iter()
            .map(|cluster| WeightedCluster::new(*cluster, 1))
            .collect(),
        service: Some("store".into()),
        timeout: None,
        retry: None,
        rewrite: None,
        options: None,
    }
}

pub fn route(path: PathMatch, action: RouteAction) -> Route {
    Route {
        matches: RouteMatch::path(path),
        action,
        request_headers: HeaderModifier::default(),
        response_headers: HeaderModifier::default(),
        filters: None,
        source: source(Kind::Ingress, "shop"),
    }
}

/// Changes of headers: what is set, and what is removed.
pub fn modifier(set: &[(&str, &str)], removed: &[&str]) -> HeaderModifier {
    let name = |text: &str| HeaderName::of_request(text).unwrap();
    let set = set.iter().map(|(text, value)| {
        let name = name(text);
        let value = HeaderValue::new(&name, *value).unwrap();
        (name, value)
    });
    HeaderModifier {
        set: set.collect(),
        remove: removed.iter().map(|text| name(text)).collect(),
    }
}

/// An expression that Envoy takes.
pub fn regex(text: &str) -> PathMatch {
    PathMatch::Regex(Expression::new(text).unwrap())
}

pub fn header(name: &str, value: HeaderPredicate) -> HeaderMatch {
    HeaderMatch {
        name: HeaderName::of_request(name).unwrap(),
        value,
    }
}

pub fn query(name: &str, value: QueryPredicate) -> QueryMatch {
    QueryMatch::new(name, value).unwrap()
}

/// A header with a value of this kind.
pub fn is(pattern: StringMatch) -> HeaderPredicate {
    HeaderPredicate::Is(TextMatch::of(pattern))
}

/// Every path to this cluster.
pub fn all_to(cluster: &str) -> Vec<Route> {
    vec![route(
        PathMatch::PathPrefix("/".into()),
        RouteAction::Forward(forward(&[cluster])),
    )]
}

pub fn virtual_host(host: &str, routes: Vec<Route>) -> VirtualHost {
    VirtualHost {
        host: Host::new(host),
        routes,
        client_check: None,
        filters: None,
    }
}

pub fn cluster_of(name: &str) -> Cluster {
    Cluster {
        name: name.into(),
        discovery: Discovery::Endpoints,
        settings: ClusterSettings::default(),
        source: Some(source(Kind::Service, name)),
    }
}

pub fn cluster_with(name: &str, settings: ClusterSettings) -> Cluster {
    Cluster {
        settings,
        ..cluster_of(name)
    }
}

pub fn assignment(name: &str, addresses: &[SocketAddr]) -> LoadAssignment {
    let endpoints = addresses
        .iter()
        .map(|address| EndpointAddress {
            ip: address.ip(),
            port: address.port(),
            health_port: None,
            weight: None,
        })
        .collect();
    LoadAssignment {
        cluster: name.into(),
        localities: BTreeMap::from([("".into(), endpoints)]),
    }
}

pub fn tls_server(name: &str, certificates: &[&str]) -> TlsServer {
    TlsServer {
        name: name.into(),
        certificates: certificates.iter().map(|name| (*name).into()).collect(),
        parameters: TlsParameters::default(),
        alpn: Alpn::default(),
        clients: None,
        source: source(Kind::Ingress, "shop"),
    }
}

/// A self-signed certificate for these names.
pub fn certificate(name: &str, names: &[&str]) -> Certificate {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let pair = rcgen::generate_simple_self_signed(names).unwrap();
    Certificate {
        name: name.into(),
        chain: pair.cert.pem().into(),
        key: PrivateKeyPem::new(pair.signing_key.serialize_pem()),
        key_algorithm: KeyAlgorithm::Ecdsa,
        validity: Validity {
            not_before: jiff::Timestamp::UNIX_EPOCH,
            not_after: jiff::Timestamp::MAX,
        },
        source: source(Kind::Secret, name),
    }
}

/// A set of resources in the making, composed as the controller composes them.
pub struct World {
    https: OrdMap<Arc<str>, Arc<Part>>,
    tables: BTreeMap<String, OrdMap<Arc<str>, Arc<Part>>>,
    others: Resources,
}

impl World {
    /// Listeners on free ports of the loopback address, and an empty table for clear text.
    pub fn new() -> Self {
        Self {
            https: OrdMap::new(),
            tables: BTreeMap::from([(listener::HTTP.to_owned(), OrdMap::new())]),
            others: Resources::new(),
        }
    }

    /// A virtual host for clear text.
    pub fn http(self, host: &str, routes: Vec<Route>) -> Self {
        self.http_host(&virtual_host(host, routes))
    }

    pub fn http_host(mut self, host: &VirtualHost) -> Self {
        let (key, part) = route::virtual_host(host, CLEAR);
        let table = self.tables.get_mut(listener::HTTP).unwrap();
        table.insert(key, part.into());
        self
    }

    /// A TLS server with a certificate of its own, and its virtual hosts, each reached by its name.
    pub fn https(self, server: &str, hosts: &[(&str, &str)]) -> Self {
        self.https_for(server, hosts, None)
    }

    /// The same, which asks clients for a certificate.
    pub fn https_for(
        mut self,
        server: &str,
        hosts: &[(&str, &str)],
        clients: Option<ClientCertificates>,
    ) -> Self {
        let client_check = clients.as_ref().and_then(ClientCertificates::check);
        let names: Vec<&str> = hosts.iter().map(|(host, _)| *host).collect();
        let certificate = certificate(&format!("web/{server}"), &names);
        self.insert(ResourceType::Secret, &secret::secret(&certificate));
        let name: Arc<str> = server.into();
        self.insert(ResourceType::Scope, &scope::scope(&name, &name));
        let model = TlsServer {
            clients: clients.map(Box::new),
            ..tls_server(server, &[&certificate.name])
        };
        for host in &names {
            let host = Host::new(*host);
            let wildcard = host.is_wildcard().then_some(&host);
            let (key, part) = filter_chain::filter_chain(listener::HTTPS, &model, wildcard);
            self.https.insert(key, part.into());
        }
        let (key, part) = route::misdirected(&Host::any());
        let mut table = OrdMap::unit(key, part.into());
        for (host, cluster) in hosts {
            let host = VirtualHost {
                client_check,
                ..virtual_host(host, all_to(cluster))
            };
            let (key, part) = route::virtual_host(&host, TLS);
            table.insert(key, part.into());
        }
        self.tables.insert(server.to_owned(), table);
        names
            .iter()
            .fold(self, |world, host| world.server_name(host, server))
    }

    /// A virtual host in the table of a server, in the place of the one that is there.
    pub fn https_host(mut self, server: &str, host: &VirtualHost) -> Self {
        let (key, part) = route::virtual_host(host, TLS);
        let table = self.tables.get_mut(server).unwrap();
        table.insert(key, part.into());
        self
    }

    /// A host that a server does not serve, though a wildcard of its table would take it.
    pub fn misdirected(mut self, server: &str, host: &str) -> Self {
        let (key, part) = route::misdirected(&Host::new(host));
        let table = self.tables.get_mut(server).unwrap();
        table.insert(key, part.into());
        self
    }

    /// A host that another server serves than this one, whose wildcard takes connections for it too.
    pub fn for_own_name(mut self, server: &str, host: &VirtualHost) -> Self {
        let (key, part) = route::virtual_host(host, TLS);
        let part = route::for_own_name(&host.host, &part).unwrap();
        let table = self.tables.get_mut(server).unwrap();
        table.insert(key, part.into());
        self
    }

    /// A server name that leads to a chain, be it there or not.
    pub fn server_name(mut self, host: &str, server: &str) -> Self {
        let host = Host::new(host);
        if self.tables.contains_key(server) {
            for key in scope::names(listener::HTTPS, &host) {
                self.insert(ResourceType::Scope, &scope::scope(&key, &server.into()));
            }
        }
        let chain = if host.is_wildcard() {
            host.as_str()
        } else {
            server
        };
        let (key, part) = server_name::server_name(&host, chain);
        self.https.insert(key, part.into());
        self
    }

    /// A cluster with these endpoints.
    pub fn cluster(self, name: &str, addresses: &[SocketAddr]) -> Self {
        self.cluster_with(&cluster_of(name), addresses)
    }

    /// Authorities by whom certificates are verified.
    pub fn bundle(mut self, bundle: &TrustBundle) -> Self {
        self.insert(ResourceType::Secret, &secret::trust_bundle(bundle));
        self
    }

    /// A certificate that is not a TLS server's.
    pub fn certificate(mut self, certificate: &Certificate) -> Self {
        self.insert(ResourceType::Secret, &secret::secret(certificate));
        self
    }

    pub fn cluster_with(mut self, model: &Cluster, addresses: &[SocketAddr]) -> Self {
        self.insert(ResourceType::Cluster, &cluster::cluster(model));
        let assignment = assignment(&model.name, addresses);
        self.insert(
            ResourceType::Endpoint,
            &endpoint::load_assignment(&assignment),
        );
        self
    }

    /// All of it as the server sends it.
    pub fn resources(&self) -> Resources {
        let config = config();
        let mut world = Self {
            https: self.https.clone(),
            tables: BTreeMap::new(),
            others: self.others.clone(),
        };
        for manager in managers(&config.edge) {
            world.insert(ResourceType::Extension, &manager);
        }
        let [http, https] = config.built_in();
        let http = listener::listener(&http, &config.edge);
        world.insert(ResourceType::Listener, &http);
        world.insert(ResourceType::Listener, &listener::stats(&config));
        let https = Resource::composite(
            listener::HTTPS.into(),
            listener::head(&https, &config.edge),
            self.https.clone(),
        );
        world.insert(ResourceType::Listener, &https);
        for (name, parts) in &self.tables {
            let head = match name == listener::HTTP {
                true => route::TableHead::http(&config.edge),
                false => route::TableHead::https(&config.edge),
            };
            let head = head.named(name);
            let table = Resource::composite(name.as_str().into(), head, parts.clone());
            world.insert(ResourceType::Route, &table);
        }
        world.others
    }

    fn insert(&mut self, resource_type: ResourceType, resource: &Resource) {
        let key = (resource_type, resource.name().to_string());
        self.others.insert(key, resource.bytes());
    }
}

/// The managers of the listeners that Ingresses are served on.
pub fn managers(edge: &Edge) -> Vec<Resource> {
    let listeners = config().built_in();
    let managers = listeners.iter();
    managers
        .flat_map(|listener| listener::managers(listener, edge))
        .collect()
}

/// Free ports of the loopback address.
pub fn config() -> listener::Config {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    listener::Config {
        http: free,
        https: free,
        stats: free,
        edge: Edge::default(),
    }
}
