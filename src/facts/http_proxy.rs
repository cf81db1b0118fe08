//! HTTPProxies in the store: one fact each, the class under which they are filed, the Services that they name, and what they
//! include.
//!
//! What they claim is found by units ([`super::claims`]), as it takes others to know it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::objects::{HttpProxy, NamespacedName};

use super::changes::Changes;
use super::class::class_of_proxy;
use super::fact::Fact;
use super::{Indexed, Store};

/// The Services that an HTTPProxy sends requests or connections to.
fn services(proxy: &HttpProxy) -> BTreeSet<NamespacedName> {
    let of_routes = proxy.routes.iter().flat_map(|route| &route.services);
    let of_tcp = proxy.tcp_proxy.iter().flat_map(|tcp| &tcp.services);
    let namespace = &proxy.metadata.name.namespace;
    of_routes
        .chain(of_tcp)
        .map(|service| NamespacedName::new(namespace.clone(), service.name.clone()))
        .collect()
}

impl Indexed for HttpProxy {
    fn replace(
        store: &mut Store,
        name: &NamespacedName,
        old: Option<Arc<Self>>,
        new: Option<Arc<Self>>,
        changes: &mut Changes,
    ) {
        changes.object::<Self>(name);
        let status_only = matches!((&old, &new), (Some(old), Some(new)) if old.same_spec(new));
        if !status_only {
            let (old, new) = (old.as_deref(), new.as_deref());
            let (old_class, new_class) = (old.map(class_of_proxy), new.map(class_of_proxy));
            if old_class != new_class {
                if let Some(class) = old_class {
                    store.proxies_by_class.remove(&class, name);
                }
                if let Some(class) = new_class {
                    store.proxies_by_class.insert(class, name.clone());
                }
            }
            let old = old.filter(|old| store.serves_http_proxy(old));
            let new = new.filter(|new| store.serves_http_proxy(new));
            store.serve_http_proxy(old, new, changes);
        }
        store.tables.put(name, new);
    }
}

impl Store {
    /// How many includes of `child` there are in the namespace of `includer` from the oldest to that one.
    pub(super) fn includes_until(&self, child: &NamespacedName, includer: &NamespacedName) -> u32 {
        let age = self.http_proxy(includer).map(|it| it.metadata.seniority());
        age.map_or(0, |age| self.includers.doublings(child, &age))
    }

    /// Files a served HTTPProxy under what it names, in the place of what it named when it was `old`.
    pub(super) fn serve_http_proxy(
        &mut self,
        old: Option<&HttpProxy>,
        new: Option<&HttpProxy>,
        changes: &mut Changes,
    ) {
        let Some(proxy) = old.or(new) else {
            return;
        };
        changes.fact(Fact::HttpProxy(&proxy.metadata.name));
        let (left, named) = (
            old.map(services).unwrap_or_default(),
            new.map(services).unwrap_or_default(),
        );
        self.named_services.replace(&left, &named, changes);
        self.includers.replace(old, new, changes);
    }
}
