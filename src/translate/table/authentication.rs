//! What the authorizer asks of the requests of a host, by the Ingresses that say so.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::facts::ServedIngress;
use crate::model::UpstreamProtocol;
use crate::objects::{Field, HashKind, NamespacedName};
use crate::translate::nginx::{self, Authentication, Resolved};
use crate::translate::policy::IngressPolicy;
use crate::translate::{ClusterSource, backend, reason};

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
        let unusable = authentication.check_credentials(self.input.reader())?;
        if let Some((secret, count)) = unusable {
            let who = match count {
                1 => "1 name".to_owned(),
                _ => format!("{count} names"),
            };
            let message = format!(
                "{who} of Secret {secret} can't log in: the hash is none by bcrypt (of a cost of {} at most), apr1, MD5, SHA-1, SHA-256 or SHA-512; make another with htpasswd -B",
                HashKind::MAX_BCRYPT_COST
            );
            let field = Field::Annotation(format!("{}auth-secret", nginx::PREFIX).into());
            self.report(ingress, field, reason::ANNOTATION_NOT_VALID, message);
        }
        let host = self.alias.as_ref().unwrap_or(&self.host);
        if authentication.asks_the_request_host() && host.is_wildcard() {
            let why = format!(
                "{host} stands for many hosts, so that a client would choose who is asked: name the host in auth-url"
            );
            return Err(("auth-url", why));
        }
        let cluster = match authentication.service() {
            None => None,
            Some((name, port)) => {
                let namespace = &ingress.name().namespace;
                let services = &self.input.options.auth_services;
                let is_allowed = authentication.is_global || services.contains(name);
                if name.namespace != *namespace && !is_allowed {
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
