//! Objects of the Gateway API in the store: one fact each, less its status.
//!
//! The addresses in the status of a Gateway are a fact of their own: whoever holds the lease writes them there before anybody
//! binds them, so that all replicas and restarts agree.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::objects::gateway_api::{BackendRef, MOST_ANCESTORS, RouteHead, Status};
use crate::objects::{
    Gateway, GatewayClass, GrpcRoute, HttpRoute, Kind, Namespace, NamespacedName, ObjectRef,
    ReferenceGrant, TcpRoute, TlsRoute, UdpRoute,
};

use super::changes::Changes;
use super::fact::Fact;
use super::{Indexed, Store};

impl Indexed for GatewayClass {
    fn replace(
        store: &mut Store,
        name: &NamespacedName,
        old: Option<Arc<Self>>,
        new: Option<Arc<Self>>,
        changes: &mut Changes,
    ) {
        changes.object::<Self>(name);
        if old.as_ref().map(|it| it.spec()) != new.as_ref().map(|it| it.spec()) {
            changes.fact(Fact::GatewayClass(name));
        }
        store.tables.put(name, new);
    }
}

/// The addresses that a Gateway names, or has.
fn addresses(gateway: &Gateway) -> BTreeSet<IpAddr> {
    let named = gateway.addresses.iter().map(|address| &address.value);
    let has = gateway.status.addresses.iter().map(|(_, value)| value);
    named
        .chain(has)
        .filter_map(|value| value.parse().ok())
        .collect()
}

impl Indexed for Gateway {
    fn replace(
        store: &mut Store,
        name: &NamespacedName,
        old: Option<Arc<Self>>,
        new: Option<Arc<Self>>,
        changes: &mut Changes,
    ) {
        changes.object::<Self>(name);
        if old.as_ref().map(|it| it.spec()) != new.as_ref().map(|it| it.spec()) {
            changes.fact(Fact::Gateway(name));
        }
        let has = |gateway: &Option<Arc<Self>>| -> Vec<_> {
            let gateway = gateway.iter();
            gateway
                .flat_map(|gateway| gateway.status.addresses.iter().cloned())
                .collect()
        };
        if has(&old) != has(&new) {
            changes.fact(Fact::GatewayAddresses(name));
        }
        let at = |gateway: &Option<Arc<Self>>| gateway.as_deref().map(addresses);
        let [left, named] = [at(&old), at(&new)].map(Option::unwrap_or_default);
        let age = |gateway: &Option<Arc<Self>>| gateway.as_ref().map(|it| it.metadata.created);
        let concerned: Vec<IpAddr> = match age(&old) == age(&new) {
            true => left.symmetric_difference(&named).copied().collect(),
            false => left.union(&named).copied().collect(),
        };
        store.gateways_by_address.refile(&left, &named, name);
        store.tables.put(name, new);
        for address in concerned {
            changes.fact(Fact::GatewaysAt(address));
        }
    }
}

macro_rules! routes {
    ($($kind:ident),*) => {$(
        impl Indexed for $kind {
            fn replace(
                store: &mut Store,
                name: &NamespacedName,
                old: Option<Arc<Self>>,
                new: Option<Arc<Self>>,
                changes: &mut Changes,
            ) {
                store.replace_route(
                    name,
                    (old, new),
                    |one: &Self, other| one.spec() == other.spec(),
                    changes,
                );
            }
        }
    )*};
}
routes!(HttpRoute, GrpcRoute, TlsRoute, TcpRoute, UdpRoute);

impl Indexed for ReferenceGrant {
    /// Nothing is said of a grant by itself, so its object is not named among those that differ.
    fn replace(
        store: &mut Store,
        name: &NamespacedName,
        old: Option<Arc<Self>>,
        new: Option<Arc<Self>>,
        changes: &mut Changes,
    ) {
        let said = |grant: &Option<Arc<Self>>| {
            let grant = grant.as_ref();
            grant.map(|grant| (grant.from.clone(), grant.to.clone()))
        };
        if said(&old) != said(&new) {
            changes.fact(Fact::Grants(&name.namespace));
        }
        match &new {
            Some(_) => {
                _ = store
                    .grants_by_namespace
                    .insert(name.namespace.clone(), name.clone())
            }
            None => _ = store.grants_by_namespace.remove(&name.namespace, name),
        }
        store.tables.put(name, new);
    }
}

impl Indexed for Namespace {
    /// Nothing is said of a Namespace by itself.
    fn replace(
        store: &mut Store,
        name: &NamespacedName,
        old: Option<Arc<Self>>,
        new: Option<Arc<Self>>,
        changes: &mut Changes,
    ) {
        let labels = |namespace: &Option<Arc<Self>>| {
            let namespace = namespace.as_ref();
            namespace.map(|it| it.labels.clone()).unwrap_or_default()
        };
        if labels(&old) != labels(&new) {
            changes.fact(Fact::NamespaceLabels(name));
        }
        store.tables.put(name, new);
    }
}

impl Store {
    /// A route is one fact, but for its status.
    fn replace_route<T: Indexed>(
        &mut self,
        name: &NamespacedName,
        (old, new): (Option<Arc<T>>, Option<Arc<T>>),
        is_same: impl Fn(&T, &T) -> bool,
        changes: &mut Changes,
    ) {
        changes.object::<T>(name);
        let both = old.as_deref().zip(new.as_deref());
        if !both.is_some_and(|(old, new)| is_same(old, new)) {
            let (kind, name) = (T::KIND, name.clone());
            changes.fact(Fact::Route(&ObjectRef { kind, name }));
        }
        self.tables.put(name, new);
    }

    /// One GatewayClass, of whatever controller.
    #[must_use]
    pub fn gateway_class(&self, name: &NamespacedName) -> Option<&Arc<GatewayClass>> {
        self.tables.of().get(name)
    }

    /// One Gateway, of whatever class.
    #[must_use]
    pub fn gateway(&self, name: &NamespacedName) -> Option<&Arc<Gateway>> {
        self.tables.of().get(name)
    }

    /// One HTTPRoute.
    #[must_use]
    pub fn http_route(&self, name: &NamespacedName) -> Option<&Arc<HttpRoute>> {
        self.tables.of().get(name)
    }

    /// One GRPCRoute.
    #[must_use]
    pub fn grpc_route(&self, name: &NamespacedName) -> Option<&Arc<GrpcRoute>> {
        self.tables.of().get(name)
    }

    /// One TLSRoute.
    #[must_use]
    pub fn tls_route(&self, name: &NamespacedName) -> Option<&Arc<TlsRoute>> {
        self.tables.of().get(name)
    }

    /// One TCPRoute.
    #[must_use]
    pub fn tcp_route(&self, name: &NamespacedName) -> Option<&Arc<TcpRoute>> {
        self.tables.of().get(name)
    }

    /// One UDPRoute.
    #[must_use]
    pub fn udp_route(&self, name: &NamespacedName) -> Option<&Arc<UdpRoute>> {
        self.tables.of().get(name)
    }

    /// What all routes have, of one of whatever kind.
    pub(super) fn route_head(&self, route: &ObjectRef) -> Option<&RouteHead> {
        let name = &route.name;
        match route.kind {
            Kind::HttpRoute => Some(&self.http_route(name)?.head),
            Kind::GrpcRoute => Some(&self.grpc_route(name)?.head),
            Kind::TlsRoute => Some(&self.tls_route(name)?.head),
            Kind::TcpRoute => Some(&self.tcp_route(name)?.head),
            Kind::UdpRoute => Some(&self.udp_route(name)?.head),
            _ => None,
        }
    }

    /// The back ends of a route of what is not looked into.
    pub(super) fn opaque_backends(&self, route: &ObjectRef) -> &[BackendRef] {
        let name = &route.name;
        let backends = match route.kind {
            Kind::TlsRoute => self.tls_route(name).map(|route| &*route.backends),
            Kind::TcpRoute => self.tcp_route(name).map(|route| &*route.backends),
            Kind::UdpRoute => self.udp_route(name).map(|route| &*route.backends),
            _ => None,
        };
        backends.unwrap_or_default()
    }

    /// What is ours of the status of an object of the Gateway API.
    #[must_use]
    pub fn gateway_status(&self, object: &ObjectRef) -> Option<&Arc<Status>> {
        let name = &object.name;
        match object.kind {
            Kind::GatewayClass => Some(&self.gateway_class(name)?.status),
            Kind::Gateway => Some(&self.gateway(name)?.status),
            Kind::ListenerSet => Some(&self.listener_set(name)?.status),
            Kind::BackendTlsPolicy => Some(&self.backend_tls_policy(name)?.status),
            _ => Some(&self.route_head(object)?.status),
        }
    }

    /// How many entries of ours the status of a policy has room for, besides those of others; `None` for what is no policy.
    #[must_use]
    pub fn room_in_status(&self, object: &ObjectRef) -> Option<usize> {
        if object.kind != Kind::BackendTlsPolicy {
            return None;
        }
        let others = self.backend_tls_policy(&object.name)?.others;
        Some(MOST_ANCESTORS.saturating_sub(others))
    }

    /// The Gateways that name an address, or have it by their status, oldest first.
    pub(super) fn gateways_at(&self, address: IpAddr) -> Vec<NamespacedName> {
        let names = self.gateways_by_address.get(&address);
        let mut gateways: Vec<_> = names.filter_map(|name| self.gateway(name)).collect();
        gateways.sort_by_cached_key(|gateway| gateway.metadata.seniority());
        let gateways = gateways.into_iter();
        gateways
            .map(|gateway| gateway.metadata.name.clone())
            .collect()
    }

    /// The ReferenceGrants of a namespace, by name.
    pub(super) fn grants<'a>(
        &'a self,
        namespace: &str,
    ) -> impl Iterator<Item = &'a Arc<ReferenceGrant>> + use<'a> {
        let names: Vec<_> = self.grants_by_namespace.get(namespace).collect();
        let names = names.into_iter();
        names.filter_map(|name| self.tables.of().get(name))
    }

    /// The labels of a Namespace; none where it is not known.
    pub(super) fn labels_of(&self, name: &NamespacedName) -> &[(Arc<str>, Arc<str>)] {
        let namespace = self.tables.of::<Namespace>().get(name);
        namespace.map_or(&[], |namespace| &namespace.labels)
    }
}
