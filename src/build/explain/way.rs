//! What Envoy needs for an answer, by the names that it knows it by: what it refuses of these is on the way.

use std::sync::Arc;

use crate::envoy::{filter_chain, manager, route, server_name};
use crate::model::{Host, Listener, Route, RouteAction, VirtualHost};
use crate::translate::HttpsHost;
use crate::xds::{RefusedUnit, ResourceType};

/// A resource, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    /// The type of the resource.
    pub resource_type: ResourceType,
    /// The resource.
    pub resource: Arc<str>,
    /// The part of it; `None` where it has none.
    pub part: Option<Arc<str>>,
}

impl Unit {
    fn whole(resource_type: ResourceType, resource: impl Into<Arc<str>>) -> Self {
        Self {
            resource_type,
            resource: resource.into(),
            part: None,
        }
    }

    fn part(resource_type: ResourceType, resource: impl Into<Arc<str>>, part: Arc<str>) -> Self {
        Self {
            part: Some(part),
            ..Self::whole(resource_type, resource)
        }
    }

    /// A cluster that is asked about the request.
    pub(super) fn cluster(name: &Arc<str>) -> Self {
        Self::whole(ResourceType::Cluster, name.clone())
    }

    /// Whether this can't be as it should be where Envoy refuses that.
    #[must_use]
    pub fn lacks(&self, refused: &RefusedUnit) -> bool {
        self.resource_type == refused.resource_type
            && self.resource == refused.resource
            && (refused.part.is_none() || refused.part == self.part)
    }
}

/// The fleet's listener and its managers.
pub(super) fn of_listener(tls: bool) -> Vec<Unit> {
    let (listener, managers) = match tls {
        true => (Listener::HTTPS, manager::names(Listener::HTTPS).to_vec()),
        false => (Listener::HTTP, vec![manager::in_clear(Listener::HTTP)]),
    };
    let managers = managers.into_iter();
    let managers = managers.map(|name| Unit::whole(ResourceType::Extension, name));
    let listener = Unit::whole(ResourceType::Listener, listener);
    std::iter::once(listener).chain(managers).collect()
}

/// What ends the client's TLS: the chain, the names that lead there, the certificates, and the scope of its routes.
pub(super) fn of_server(host: &Host, https: &HttpsHost) -> Vec<Unit> {
    let (names, _) = server_name::server_name(host, &https.server.name);
    let parts = [
        filter_chain::key(&https.server.name),
        filter_chain::key(host.as_str()),
        names,
    ];
    let parts = parts.map(|key| Unit::part(ResourceType::Listener, Listener::HTTPS, key));
    let certificates = https.server.certificates.iter();
    let certificates = certificates.map(|name| Unit::whole(ResourceType::Secret, name.clone()));
    let scope = Unit::whole(ResourceType::Scope, host.shared());
    parts
        .into_iter()
        .chain(certificates)
        .chain([scope])
        .collect()
}

/// The virtual host in its table: that of a TLS server, or that of clear text.
pub(super) fn of_virtual_host(
    host: &Host,
    server: Option<&HttpsHost>,
    virtual_host: &VirtualHost,
) -> Unit {
    let table = match server {
        Some(https) => https.server.name.clone(),
        None => manager::in_clear(Listener::HTTP),
    };
    let is_redirect = |route: &Route| matches!(route.action, RouteAction::Redirect(_));
    // What redirects everything in clear may be a part with all others that do.
    let key = match server.is_none() && virtual_host.routes.iter().all(is_redirect) {
        true => route::REDIRECTS.into(),
        false => host.shared(),
    };
    Unit::part(ResourceType::Route, table, key)
}

/// Where the request goes.
pub(super) fn of_cluster(name: &Arc<str>) -> [Unit; 2] {
    [ResourceType::Cluster, ResourceType::Endpoint].map(|of| Unit::whole(of, name.clone()))
}
