//! Who answers in the place of a path's back end: `default-backend` where that has no endpoint, and for the errors of
//! `custom-http-errors`.

use std::sync::Arc;

use crate::facts::ServedIngress;
use crate::model::{
    BackendPage, ErrorPages, Forward, HeaderChange, Page, PathRewrite, WeightedCluster,
};
use crate::objects::{Field, IngressBackend, NamespacedName, ServiceBackendPort};
use crate::translate::nginx::{self, Asker};
use crate::translate::policy::IngressPolicy;
use crate::translate::{ClusterSource, backend};

use super::{Table, service_of};

/// What stands in the place of a path's back end.
#[derive(Default)]
pub struct Substitute {
    /// Where requests go instead, with what that is told.
    pub instead: Option<(IngressBackend, Vec<HeaderChange>)>,
    /// What is answered in the place of errors.
    pub pages: Option<Box<ErrorPages>>,
}

impl<'a> Table<'a> {
    /// What an Ingress has in the place of a back end.
    pub(super) fn substitute(
        &mut self,
        ingress: ServedIngress<'a>,
        policy: &IngressPolicy,
        (field, backend): (&Field, &IngressBackend),
    ) -> Substitute {
        let Some(nginx) = policy.nginx.as_deref() else {
            return Substitute::default();
        };
        let Some(default) = self.default_backend(ingress, nginx) else {
            return Substitute::default();
        };
        let port = match backend {
            IngressBackend::Service { port, .. } => match port {
                ServiceBackendPort::Name(name) => name.to_string(),
                ServiceBackendPort::Number(number) => number.to_string(),
                ServiceBackendPort::Missing => String::new(),
            },
            IngressBackend::Resource { .. } | IngressBackend::Missing => String::new(),
        };
        let service = service_of(backend);
        let asker = Asker {
            namespace: &ingress.name().namespace,
            ingress: &ingress.name().name,
            service: service.as_deref().unwrap_or_default(),
            port: &port,
        };
        let mut substitute = Substitute::default();
        if !self.has_endpoints(ingress, nginx, (field, backend)) {
            substitute.instead = Some((default.clone(), nginx::told(&asker, false)));
        }
        if !nginx.errors.statuses.is_empty()
            && let Some(resolved) = self.resolve(ingress, policy, field, &default)
        {
            let page = Page::Backend(BackendPage {
                to: Forward {
                    backends: vec![WeightedCluster::new(resolved.cluster, 1)],
                    service: service_of(&default),
                    rewrite: Some(PathRewrite::ReplaceFullPath("/".into())),
                    ..Forward::default()
                },
                keeps_status: false,
                told: nginx::told(&asker, true),
            });
            let mut pages = ErrorPages::default();
            if pages.add(&nginx.errors.statuses, page).is_ok() {
                substitute.pages = Some(Box::new(pages));
            }
        }
        substitute
    }

    /// The default back end of an Ingress, by the first port of its Service, while that has endpoints.
    fn default_backend(
        &self,
        ingress: ServedIngress<'_>,
        nginx: &nginx::Policy,
    ) -> Option<IngressBackend> {
        let name = nginx.errors.default_backend.as_ref()?;
        let namespace = ingress.name().namespace.clone();
        let service = NamespacedName::new(namespace, name.clone());
        let port = self.input.reader().service(&service)?.ports.first()?.port;
        let is_there = self.input.has_endpoints(&service, port);
        is_there.then(|| IngressBackend::Service {
            name: name.clone(),
            port: ServiceBackendPort::Number(port),
        })
    }

    /// Whether anybody is there for a back end. What keeps it from being one is told.
    fn has_endpoints(
        &mut self,
        ingress: ServedIngress<'_>,
        nginx: &nginx::Policy,
        (field, backend): (&Field, &IngressBackend),
    ) -> bool {
        match backend::resolve(self.input, &ingress.name().namespace, backend) {
            Ok(resolved) => nginx.upstream.is_by_service_address() || self.is_ready(&resolved.port),
            Err((reason, message)) => {
                self.report(ingress, field.clone(), reason, message);
                false
            }
        }
    }

    /// Whether a cluster of a Service's port has endpoints.
    pub(super) fn is_ready(&self, source: &ClusterSource) -> bool {
        match source {
            ClusterSource::Port(port) => self.input.has_endpoints(&port.service, port.port),
            ClusterSource::Ports(_) | ClusterSource::Shares(_) | ClusterSource::Name(_) => true,
        }
    }

    /// The same of a cluster of this table, by its name.
    pub(super) fn is_cluster_ready(&self, cluster: &Arc<str>) -> bool {
        let source = self.clusters.get(cluster);
        source.is_none_or(|source| self.is_ready(source))
    }
}
