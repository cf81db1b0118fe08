//! The hash of a fact's value: for the audit of what is made again (`build/audit.rs`), never for a build.

use std::fmt::Debug;

use crate::model::Claimable;
use crate::objects::{CaCertificates, Credentials, Kind, NamespacedName, ObjectRef};

use super::Store;
use super::fact::{Fact, FactId, Head, by_host};

impl Store {
    /// Equal values have equal hashes. The key of a Secret is left out: a key is never copied.
    pub(super) fn value(&self, fact: Fact<'_>) -> FactId {
        match fact {
            Fact::Claims(front, host) => {
                let claim = Claimable::Host(front.clone(), host.clone());
                text(&self.claimants(&claim))
            }
            Fact::Claimants(listener) => {
                text(&self.claimants(&Claimable::Listener(listener.into())))
            }
            Fact::Spoken(listener) => text(&self.claimed.spoken(listener)),
            Fact::Field(object, key) => text(&self.field(object, key)),
            Fact::Claimed(host) => text(&self.names_host(host)),
            Fact::Ingress(name) => {
                let ingress = self.ingress(name).filter(|ingress| self.serves(ingress));
                text(&ingress.map(|ingress| (ingress.spec(), self.dialect(ingress))))
            }
            Fact::IngressHead(name) => {
                let ingress = self.ingress(name).filter(|ingress| self.serves(ingress));
                text(&ingress.map(|ingress| (Head::new(ingress), self.dialect(ingress))))
            }
            Fact::IngressAt(name, host) => {
                let ingress = self.ingress(name).filter(|ingress| self.serves(ingress));
                text(&ingress.and_then(|ingress| by_host(ingress).remove(&host)))
            }
            Fact::HttpProxy(name) => {
                let proxy = self.http_proxy(name);
                let served = proxy.filter(|proxy| self.serves_http_proxy(proxy));
                text(&served.map(|proxy| proxy.spec()))
            }
            Fact::Includes(child, includer) => text(&self.includes_until(child, includer)),
            Fact::ExtensionService(name) => {
                text(&self.extension_service(name).map(|service| service.spec()))
            }
            Fact::GatewayClass(_)
            | Fact::Gateway(_)
            | Fact::GatewayAddresses(_)
            | Fact::GatewaysAt(_)
            | Fact::Route(_)
            | Fact::Grants(_)
            | Fact::BackendTlsPolicy(_)
            | Fact::BackendTlsPolicies(_)
            | Fact::Policed(_)
            | Fact::ListenerSet(_)
            | Fact::ListenerSets(_)
            | Fact::GatewaysReaching(_)
            | Fact::ConfigMapAuthorities(_)
            | Fact::ConfigMap(_)
            | Fact::NamespaceLabels(_)
            | Fact::AttachedRoutes(..) => self.value_of_gateway_api(fact),
            Fact::Service(name) => text(&(
                self.service(name),
                self.invalid(&reference(Kind::Service, name)),
            )),
            Fact::ServiceNamed(name) => text(&self.is_service_named(name)),
            Fact::EndpointSlices(service) => {
                text(&self.endpoint_slices(service).collect::<Vec<_>>())
            }
            Fact::SecretNames(_)
            | Fact::Authorities(_)
            | Fact::Revocations(_)
            | Fact::Credentials(_)
            | Fact::Secret(_) => self.value_of_secret(fact),
            Fact::Delegated(secret, target) => text(&self.delegated.says(secret, target)),
        }
    }

    /// The same of what is read of a Secret.
    fn value_of_secret(&self, fact: Fact<'_>) -> FactId {
        match fact {
            Fact::SecretNames(name) => {
                let secret = self.secret(name).map(|secret| {
                    let certificate = secret.certificate.as_ref();
                    certificate.map(|of| (&of.names, &of.common_name, of.key_algorithm))
                });
                text(&(secret, self.invalid(&reference(Kind::Secret, name))))
            }
            Fact::Authorities(name) => {
                let secret = self.secret(name);
                let usable = secret.map(|secret| secret.check_authorities().map(drop));
                text(&(usable, self.invalid(&reference(Kind::Secret, name))))
            }
            Fact::Revocations(name) => {
                let secret = self.secret(name);
                let usable = secret.map(|secret| secret.check_revocations().map(drop));
                text(&(usable, self.invalid(&reference(Kind::Secret, name))))
            }
            Fact::Credentials(name) => {
                let secret = self.secret(name);
                let usable = secret.map(|secret| {
                    [false, true].map(|is_map| {
                        let checked = secret.check_credentials(is_map);
                        checked.map(Credentials::unusable)
                    })
                });
                text(&(usable, self.invalid(&reference(Kind::Secret, name))))
            }
            Fact::Secret(name) => text(&self.secret(name)),
            _ => text(&()),
        }
    }

    /// The same of what is read for the Gateway API alone.
    fn value_of_gateway_api(&self, fact: Fact<'_>) -> FactId {
        match fact {
            Fact::GatewayClass(name) => text(&self.gateway_class(name).map(|it| it.spec())),
            Fact::Gateway(name) => text(&self.gateway(name).map(|it| it.spec())),
            Fact::GatewayAddresses(name) => {
                text(&self.gateway(name).map(|it| &it.status.addresses))
            }
            Fact::GatewaysAt(address) => text(&self.gateways_at(address)),
            Fact::Route(route) => match route.kind {
                Kind::TlsRoute => text(&self.tls_route(&route.name).map(|it| it.spec())),
                Kind::TcpRoute => text(&self.tcp_route(&route.name).map(|it| it.spec())),
                Kind::UdpRoute => text(&self.udp_route(&route.name).map(|it| it.spec())),
                Kind::GrpcRoute => text(&self.grpc_route(&route.name).map(|it| it.spec())),
                _ => text(&self.http_route(&route.name).map(|it| it.spec())),
            },
            Fact::Grants(namespace) => text(&self.grants(namespace).collect::<Vec<_>>()),
            Fact::BackendTlsPolicy(name) => {
                text(&self.backend_tls_policy(name).map(|it| it.spec()))
            }
            Fact::BackendTlsPolicies(service) => {
                let policies = self.backend_tls_policies(service).into_iter();
                let said = policies.map(|it| (it.metadata.seniority(), &it.targets));
                text(&said.collect::<Vec<_>>())
            }
            Fact::ListenerSet(name) => text(&self.listener_set(name).map(|it| it.spec())),
            Fact::ListenerSets(gateway) => text(&self.listener_sets(gateway)),
            Fact::Policed(service) => text(&self.is_policed(service)),
            Fact::GatewaysReaching(service) => text(&self.claimed.reaching(service)),
            Fact::ConfigMapAuthorities(name) => {
                let found = self
                    .config_map(name)
                    .map(|it| it.authorities.as_ref().map(CaCertificates::pieces));
                text(&(found, self.invalid(&reference(Kind::ConfigMap, name))))
            }
            Fact::ConfigMap(name) => text(&self.config_map(name)),
            Fact::NamespaceLabels(name) => text(&self.labels_of(name)),
            Fact::AttachedRoutes(parent, listener) => {
                text(&self.claimed.attached(parent, listener))
            }
            _ => text(&()),
        }
    }
}

fn reference(kind: Kind, name: &NamespacedName) -> ObjectRef {
    ObjectRef {
        kind,
        name: name.clone(),
    }
}

fn text(value: &dyn Debug) -> FactId {
    FactId::of(&format!("{value:?}"))
}
