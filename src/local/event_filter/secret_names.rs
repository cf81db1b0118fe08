//! The Secrets that objects name for TLS, and the hosts that they name them for.

use std::sync::Arc;

use crate::objects::{HttpProxy, Ingress, NamespacedName};

/// The Secret of a root's host, which another namespace may have (whether that one lends it is for the translation to say).
pub(super) fn proxy_secret(proxy: &HttpProxy) -> Option<NamespacedName> {
    let tls = proxy.virtual_host.as_ref()?.tls.as_ref()?;
    let own = || (&*proxy.metadata.name.namespace, &*tls.secret_name);
    let (namespace, name) = tls.secret_name.split_once('/').unwrap_or_else(own);
    (!tls.passthrough && !name.is_empty()).then(|| NamespacedName::new(namespace, name))
}

/// The host of a root.
pub(super) fn proxy_host(proxy: &HttpProxy) -> Option<Arc<str>> {
    let fqdn = &proxy.virtual_host.as_ref()?.fqdn;
    (!fqdn.trim().is_empty()).then(|| fqdn.clone())
}

/// The Secrets that an Ingress names, in its own namespace; those of other namespaces stay missing.
pub(super) fn tls_secrets(ingress: &Ingress) -> impl Iterator<Item = NamespacedName> {
    let namespace = &ingress.metadata.name.namespace;
    ingress
        .tls
        .iter()
        .filter_map(|tls| tls.secret_name.as_ref())
        .filter(|name| !name.contains('/'))
        .map(|name| NamespacedName::new(namespace.clone(), name.clone()))
}

/// The hosts for which an Ingress names this Secret; those of its rules where `tls` names none.
pub(super) fn tls_hosts(ingress: &Ingress, secret: &str) -> Vec<Arc<str>> {
    let entries = ingress
        .tls
        .iter()
        .filter(|tls| tls.secret_name.as_deref() == Some(secret));
    entries
        .flat_map(|tls| {
            if tls.hosts.is_empty() {
                ingress
                    .rules
                    .iter()
                    .filter_map(|rule| rule.host.clone())
                    .collect()
            } else {
                tls.hosts.clone()
            }
        })
        .collect()
}
