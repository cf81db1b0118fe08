//! What units read for the Gateway API.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::objects::gateway_api::{BackendRef, RouteHead};
use crate::objects::{
    BackendTlsPolicy, CaCertificates, ConfigMap, Gateway, GatewayClass, GrpcRoute, HttpRoute, Kind,
    ListenerSet, NamespacedName, ObjectRef, ReferenceGrant,
};

use super::super::fact::Fact;
use super::Reader;

impl<'a> Reader<'a> {
    /// One GatewayClass.
    #[must_use]
    pub fn gateway_class(self, name: &Arc<str>) -> Option<&'a Arc<GatewayClass>> {
        let name = NamespacedName::new("", name.clone());
        self.read(Fact::GatewayClass(&name));
        self.store.gateway_class(&name)
    }

    /// One Gateway, of whatever class.
    #[must_use]
    pub fn gateway(self, name: &NamespacedName) -> Option<&'a Arc<Gateway>> {
        self.read(Fact::Gateway(name));
        self.store.gateway(name)
    }

    /// The addresses in the status of a Gateway, by type and value.
    #[must_use]
    pub fn gateway_addresses(self, name: &NamespacedName) -> &'a [(Arc<str>, Arc<str>)] {
        self.read(Fact::GatewayAddresses(name));
        let gateway = self.store.gateway(name);
        gateway.map_or(&[], |gateway| &gateway.status.addresses)
    }

    /// The Gateways that name an address, or have it by their status, of whatever class, oldest first.
    #[must_use]
    pub fn gateways_at(self, address: IpAddr) -> Vec<NamespacedName> {
        self.read(Fact::GatewaysAt(address));
        self.store.gateways_at(address)
    }

    /// One ListenerSet.
    #[must_use]
    pub fn listener_set(self, name: &NamespacedName) -> Option<&'a Arc<ListenerSet>> {
        self.read(Fact::ListenerSet(name));
        self.store.listener_set(name)
    }

    /// The names of the ListenerSets that name a Gateway, oldest first.
    #[must_use]
    pub fn listener_sets(self, gateway: &NamespacedName) -> Vec<NamespacedName> {
        self.read(Fact::ListenerSets(gateway));
        self.store.listener_sets(gateway)
    }

    /// One HTTPRoute.
    #[must_use]
    pub fn http_route(self, route: &ObjectRef) -> Option<&'a Arc<HttpRoute>> {
        self.read(Fact::Route(route));
        self.store.http_route(&route.name)
    }

    /// One GRPCRoute.
    #[must_use]
    pub fn grpc_route(self, route: &ObjectRef) -> Option<&'a Arc<GrpcRoute>> {
        self.read(Fact::Route(route));
        self.store.grpc_route(&route.name)
    }

    /// What all routes of the Gateway API have, of one of whatever kind.
    #[must_use]
    pub fn route_head(self, route: &ObjectRef) -> Option<&'a RouteHead> {
        self.read(Fact::Route(route));
        self.store.route_head(route)
    }

    /// When a route was created.
    #[must_use]
    pub fn route_created(self, route: &ObjectRef) -> Option<jiff::Timestamp> {
        self.read(Fact::Route(route));
        self.store.metadata(route)?.created
    }

    /// The back ends of a route of what is not looked into; none of other kinds.
    #[must_use]
    pub fn opaque_backends(self, route: &ObjectRef) -> &'a [BackendRef] {
        self.read(Fact::Route(route));
        self.store.opaque_backends(route)
    }

    /// The ReferenceGrants of a namespace, by name.
    pub fn grants(
        self,
        namespace: &str,
    ) -> impl Iterator<Item = &'a Arc<ReferenceGrant>> + use<'a> {
        self.read(Fact::Grants(namespace));
        self.store.grants(namespace)
    }

    /// One BackendTLSPolicy, be it a wrong one.
    #[must_use]
    pub fn backend_tls_policy(self, name: &NamespacedName) -> Option<&'a Arc<BackendTlsPolicy>> {
        self.read(Fact::BackendTlsPolicy(name));
        self.store.backend_tls_policy(name)
    }

    /// Whether a BackendTLSPolicy is about a Service.
    #[must_use]
    pub fn is_policed(self, service: &NamespacedName) -> bool {
        self.read(Fact::Policed(service));
        self.store.is_policed(service)
    }

    /// The BackendTLSPolicies that are about a Service, oldest first, of which no more may be read than which ports they are
    /// about.
    #[must_use]
    pub fn backend_tls_policies(self, service: &NamespacedName) -> Vec<&'a Arc<BackendTlsPolicy>> {
        self.read(Fact::BackendTlsPolicies(service));
        self.store.backend_tls_policies(service)
    }

    /// The first Gateways with routes to a Service that a policy is about, as many as the status of a policy has room for.
    #[must_use]
    pub fn gateways_reaching(self, service: &NamespacedName) -> BTreeSet<ObjectRef> {
        self.read(Fact::GatewaysReaching(service));
        self.store.claimed.reaching(service)
    }

    /// Whether others can be verified with the `ca.crt` of a ConfigMap, and its size ([`CaCertificates::pieces`]). Other bytes of it are
    /// no news to whoever asks.
    ///
    /// # Errors
    ///
    /// `None` where there is no such ConfigMap; else one sentence on why it can't be used.
    pub fn config_map_authorities(self, name: &NamespacedName) -> Result<usize, Option<&'a str>> {
        self.read(Fact::ConfigMapAuthorities(name));
        if let Some(map) = self.store.config_map(name) {
            return map
                .authorities
                .as_ref()
                .map(CaCertificates::pieces)
                .map_err(|why| Some(&**why));
        }
        let object = ObjectRef {
            kind: Kind::ConfigMap,
            name: name.clone(),
        };
        let invalid = self.store.invalid(&object);
        Err(invalid.map(|invalid| &*invalid.reason))
    }

    /// One ConfigMap, all of it.
    #[must_use]
    pub fn config_map(self, name: &NamespacedName) -> Option<&'a Arc<ConfigMap>> {
        self.read(Fact::ConfigMap(name));
        self.store.config_map(name)
    }

    /// The labels of a Namespace; none where it is not known.
    #[must_use]
    pub fn namespace_labels(self, name: &Arc<str>) -> &'a [(Arc<str>, Arc<str>)] {
        let name = NamespacedName::new("", name.clone());
        self.read(Fact::NamespaceLabels(&name));
        self.store.labels_of(&name)
    }

    /// How many routes are attached to a listener of an object.
    #[must_use]
    pub fn attached_routes(self, parent: &ObjectRef, listener: &str) -> usize {
        self.read(Fact::AttachedRoutes(parent, listener));
        self.store.claimed.attached(parent, listener)
    }
}
