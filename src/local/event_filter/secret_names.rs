//! The Secrets that objects name for TLS, and the hosts that they name them for.

use std::sync::Arc;

use crate::objects::gateway_api::Listener;
use crate::objects::{Gateway, HttpProxy, Ingress, NamespacedName};

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

/// The Secrets that a Gateway names, in its own namespace; those of other namespaces need a grant, and stay missing.
pub(super) fn gateway_secrets(gateway: &Gateway) -> impl Iterator<Item = NamespacedName> {
    let listeners = gateway.listeners.iter();
    listeners.flat_map(|listener| listener_secrets(gateway, listener))
}

/// The hosts for which a Gateway names this Secret. A listener for every name has those that a machine by itself has.
pub(super) fn gateway_hosts(gateway: &Gateway, secret: &NamespacedName) -> Vec<Arc<str>> {
    let listeners = gateway.listeners.iter();
    let naming = listeners.filter(|it| listener_secrets(gateway, it).any(|name| name == *secret));
    let hosts = naming.flat_map(|listener| match &listener.hostname {
        Some(hostname) => vec![hostname.clone()],
        None => vec!["localhost".into(), "*.localhost".into()],
    });
    hosts.collect()
}

fn listener_secrets(
    gateway: &Gateway,
    listener: &Listener,
) -> impl Iterator<Item = NamespacedName> {
    let namespace = gateway.metadata.name.namespace.clone();
    let tls = listener.tls.iter().filter(|tls| !tls.passes_through);
    let references = tls.flat_map(|tls| &tls.certificates);
    let own = references.filter({
        let namespace = namespace.clone();
        move |it| {
            let is_secret = it.group.is_empty() && &*it.kind == "Secret";
            is_secret && it.namespace.as_ref().is_none_or(|of| *of == namespace)
        }
    });
    own.map(move |it| NamespacedName::new(namespace.clone(), it.name.clone()))
}
