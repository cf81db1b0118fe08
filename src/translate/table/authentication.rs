//! What the authorizer asks of the requests of a host, by the Ingresses that say so.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::facts::ServedIngress;
use crate::model::UpstreamProtocol;
use crate::objects::NamespacedName;
use crate::translate::nginx::{self, Authentication, Resolved};
use crate::translate::policy::IngressPolicy;
use crate::translate::{ClusterSource, backend};

use super::Table;

impl<'a> Table<'a> {
    /// Has the paths of each Ingress ask what it says; where that can't be asked, closes them.
    pub(super) fn authenticate(
        &mut self,
        ingresses: &[ServedIngress<'a>],
        policies: &[Arc<IngressPolicy>],
    ) {
        let mut asking: BTreeMap<&NamespacedName, Option<Arc<Resolved>>> = BTreeMap::new();
        for (ingress, policy) in ingresses.iter().zip(policies) {
            let Some(policy) = policy.nginx.as_deref().filter(|it| it.canary.is_none()) else {
                continue;
            };
            let Some(authentication) = &policy.authentication else {
                continue;
            };
            let resolved = match self.asked(*ingress, policy, authentication) {
                Ok(resolved) => Some(Arc::new(resolved)),
                Err((name, why)) => {
                    self.report_closed(*ingress, name, &why);
                    None
                }
            };
            asking.insert(ingress.name(), resolved);
        }
        if asking.is_empty() {
            return;
        }
        for entry in &mut self.entries {
            match asking.get(entry.ingress.name()) {
                None => {}
                Some(None) => entry.nginx.is_closed |= !entry.is_acme(),
                Some(Some(resolved)) => entry.nginx.authentication = Some(resolved.clone()),
            }
        }
    }

    /// What is asked.
    ///
    /// # Errors
    ///
    /// The annotation whose guard can't be honoured, and why.
    fn asked(
        &mut self,
        ingress: ServedIngress<'_>,
        policy: &nginx::Policy,
        authentication: &Authentication,
    ) -> Result<Resolved, (&'static str, String)> {
        authentication.check_credentials(self.input.reader())?;
        let cluster = match authentication.service() {
            None => None,
            Some((name, port)) => {
                let namespace = &ingress.name().namespace;
                let services = &self.input.options.auth_services;
                if name.namespace != *namespace && !services.contains(name) {
                    let why = format!(
                        "Service {name} is of another namespace, and the operator does not let all ask it (--auth-services {name})"
                    );
                    return Err(("auth-url", why));
                }
                let change = |base| crate::model::ClusterSettings {
                    protocol: UpstreamProtocol::default(),
                    ..base
                };
                let found = backend::resolve_with(self.input, &name.namespace, &port, change);
                let found = found.map_err(|(_, why)| ("auth-url", why))?;
                if !self.is_assigned(&found.port) {
                    let why =
                        format!("Service {name} is of type ExternalName, which nobody is asked by");
                    return Err(("auth-url", why));
                }
                self.clusters.insert(found.cluster.clone(), found.port);
                Some(found.cluster)
            }
        };
        let resolved = authentication.resolved(cluster, policy.addresses.as_ref());
        resolved.ok_or_else(|| ("auth-url", "it can't be asked".to_owned()))
    }

    /// Whether the endpoints of a cluster come by EDS.
    fn is_assigned(&self, source: &ClusterSource) -> bool {
        let cluster = crate::translate::cluster(self.input, source);
        cluster.is_some_and(|it| matches!(it.discovery, crate::model::Discovery::Endpoints))
    }
}
