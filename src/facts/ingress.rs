//! What an Ingress refers to: the keys under which the store files it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::Host;
use crate::objects::{Ingress, IngressBackend, NamespacedName};

/// The hosts that an Ingress names: those of its rules and of its TLS entries, and `*` for a default backend.
#[must_use]
pub fn hosts(ingress: &Ingress) -> BTreeSet<Host> {
    let rules = ingress.rules.iter().map(|rule| match &rule.host {
        Some(host) => Host::new(host.clone()),
        None => Host::any(),
    });
    let tls = ingress
        .tls
        .iter()
        .flat_map(|tls| tls.hosts.iter().cloned().map(Host::new));
    let default = ingress.default_backend.iter().map(|_| Host::any());
    rules.chain(tls).chain(default).collect()
}

/// The Services that an Ingress sends requests to.
#[must_use]
pub fn services(ingress: &Ingress) -> BTreeSet<NamespacedName> {
    let paths = ingress.rules.iter().flat_map(|rule| &rule.paths);
    paths
        .map(|path| &path.backend)
        .chain(&ingress.default_backend)
        .filter_map(|backend| match backend {
            IngressBackend::Service { name, .. } => Some(NamespacedName::new(
                ingress.metadata.name.namespace.clone(),
                name.clone(),
            )),
            IngressBackend::Resource { .. } | IngressBackend::Missing => None,
        })
        .collect()
}

/// Where the Secret of a TLS entry is: `namespace/name` as Contour reads it, else the namespace of the
/// annotation `projectcontour.io/tls-cert-namespace`, else the Ingress's own.
#[must_use]
pub fn secret_reference(ingress: &Ingress, secret_name: &Arc<str>) -> NamespacedName {
    if let Some((namespace, name)) = secret_name.split_once('/') {
        return NamespacedName::new(namespace, name);
    }
    let namespace = ingress
        .metadata
        .annotations
        .get("projectcontour.io/tls-cert-namespace")
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or(&ingress.metadata.name.namespace);
    NamespacedName::new(namespace.clone(), secret_name.clone())
}
