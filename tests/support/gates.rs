//! A kind to be thrown away whose hosts and clusters name all that SDS delivers: authorities, revocations, certificates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use isobath::model::*;
use isobath::objects::*;
use isobath::translate::*;

/// With the fields `fleet`, a host of the fleet; `secret`, with whose certificate TLS ends; `clients`, the Secret that vouches
/// for clients, and `revocations`, that says which no longer; `service`, whose port 80 gets the requests; `verify`, the Secret
/// that vouches for it, and `shows`, whose certificate it is shown.
pub const GATE: u8 = 2;

#[derive(Debug)]
pub struct Gates;

impl Language for Gates {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Untyped(GATE)]
    }

    fn claims(&self, input: Input<'_>, gate: &ObjectRef) -> BTreeSet<Claimable> {
        let host = input.reader().field(gate, "fleet").cloned();
        let claims = host.map(|host| Claimable::Host(Front::Fleet, Host::new(host)));
        claims.into_iter().collect()
    }

    fn host(&self, input: Input<'_>, _: &Front, host: &Host, claims: &[ObjectRef]) -> HostUnit {
        let gate = Gate(input, &claims[0]);
        let mut unit = HostUnit::default();
        let source = FieldRef::new(gate.1.clone(), Field::At("fleet".into()));
        let cluster = gate.cluster(&mut unit.clusters);
        let forward = Forward {
            backends: cluster
                .map(|name| WeightedCluster::new(name, 1))
                .into_iter()
                .collect(),
            ..Forward::default()
        };
        let routes = VirtualHost {
            host: host.clone(),
            routes: vec![Route {
                matches: RouteMatch::path(PathMatch::PathPrefix("/".into())),
                action: RouteAction::Forward(forward),
                request_headers: HeaderModifier::default(),
                response_headers: HeaderModifier::default(),
                filters: None,
                source: source.clone(),
            }],
            filters: None,
            client_check: None,
        };
        unit.http = Some(routes.clone());
        unit.https = gate.server(source, routes);
        unit
    }
}

/// A Gate as a unit reads it.
struct Gate<'a>(Input<'a>, &'a ObjectRef);

impl Gate<'_> {
    fn secret(&self, key: &str) -> Option<NamespacedName> {
        let name = self.0.reader().field(self.1, key)?.clone();
        Some(NamespacedName::new(self.1.name.namespace.clone(), name))
    }

    fn certificate(&self, key: &str) -> Option<NamespacedName> {
        let secret = self.secret(key)?;
        let usable = self.0.reader().certificate_names(&secret).is_ok();
        usable.then_some(secret)
    }

    /// The name of the authorities; none where they can't be used.
    fn bundle(&self, authorities: &str, revocations: &str) -> Option<Arc<str>> {
        let authorities = self.secret(authorities)?;
        let revocations = self.secret(revocations);
        self.0.reader().authorities(&authorities).ok()?;
        if let Some(revocations) = &revocations {
            self.0.reader().revocations(revocations).ok()?;
        }
        let key = TrustBundleKey {
            revocations,
            ..TrustBundleKey::of_secret(authorities)
        };
        Some(key.name())
    }

    fn server(&self, source: FieldRef, virtual_host: VirtualHost) -> Option<HttpsHost> {
        let secret = self.certificate("secret")?;
        let clients = match self.secret("clients") {
            None => None,
            // A guard that can't be honoured closes the host.
            Some(_) => Some(Box::new(ClientCertificates {
                is_required: true,
                verification: Some(ClientVerification {
                    authorities: self.bundle("clients", "revocations")?,
                    max_depth: None,
                    only_leaf_revocations: false,
                    accepts_untrusted: false,
                }),
                forwarded: None,
            })),
        };
        let parts = (TlsParameters::default(), Alpn::default());
        let names = vec![secret.to_string().into()];
        Some(HttpsHost {
            server: TlsServer::new(names, parts.0, parts.1, clients, source.clone()),
            secrets: BTreeSet::from([secret]),
            source,
            virtual_host,
            fallback: None,
        })
    }

    fn cluster(&self, clusters: &mut BTreeMap<Arc<str>, ClusterSource>) -> Option<Arc<str>> {
        let service = self.secret("service")?;
        let found = self.0.reader().service(&service)?;
        found.ports.iter().find(|port| port.port == 80)?;
        if found.service_type != ServiceType::Endpoints {
            return None;
        }
        let verification = match self.secret("verify") {
            None => None,
            Some(_) => Some(Verification {
                authorities: Authorities::Bundle(self.bundle("verify", "none")?),
                names: BTreeSet::new(),
            }),
        };
        let shown = self.certificate("shows");
        let settings = ClusterSettings {
            protocol: UpstreamProtocol::Tls,
            tls: UpstreamTls {
                verification,
                client_certificate: shown.map(|secret| secret.to_string().into()),
                ..UpstreamTls::default()
            },
            ..ClusterSettings::default()
        };
        let base = format!("{service}/80");
        let name = settings.cluster_name(base, &Discovery::Endpoints);
        let backend = BackendPort {
            service,
            port: 80,
            settings: Some(Arc::new(settings)),
        };
        clusters.insert(name.clone(), backend.into());
        Some(name)
    }
}
