//! The part of `metadata` that every kind shares.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::NamespacedName;

/// What is kept of an object's `metadata`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Namespace and name.
    pub name: NamespacedName,
    /// `uid`, which an Event about the object must carry; empty in manifests that name none.
    pub uid: Arc<str>,
    /// `creationTimestamp`: the older of two objects wins a conflict. `None` (manifests) counts as younger
    /// than any time, so that a given time wins over none.
    pub created: Option<jiff::Timestamp>,
    /// The annotations with a meaning to Isobath, and the names of other controllers' on an Ingress; all others are dropped
    /// while decoding.
    pub annotations: Annotations,
}

/// Annotations by key. Most objects have none and others one or two, for which a map would be an allocation of
/// eleven's size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations(Box<[(Arc<str>, Arc<str>)]>);

impl Annotations {
    /// The value of one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Arc<str>> {
        let place = self.0.binary_search_by(|(held, _)| (**held).cmp(key));
        Some(&self.0[place.ok()?].1)
    }

    /// All of them, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }
}

impl FromIterator<(Arc<str>, Arc<str>)> for Annotations {
    /// Of two values of one key the last holds, as in a map.
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Arc<str>)>>(entries: I) -> Self {
        let entries: BTreeMap<_, _> = entries.into_iter().collect();
        Self(entries.into_iter().collect())
    }
}

/// Whether an annotation is one of another ingress controller. Of these an Ingress keeps the name, without the value.
#[must_use]
pub fn is_of_other_controller(key: &str) -> bool {
    /// ingress-nginx, NGINX, Traefik, HAProxy's two, the controllers of AWS, Azure and Google, Kong.
    const PREFIXES: [&str; 9] = [
        "alb.ingress.kubernetes.io/",
        "appgw.ingress.kubernetes.io/",
        "haproxy-ingress.github.io/",
        "haproxy.org/",
        "konghq.com/",
        "networking.gke.io/",
        "nginx.ingress.kubernetes.io/",
        "nginx.org/",
        "traefik.ingress.kubernetes.io/",
    ];
    PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

impl Metadata {
    /// The value of one annotation.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(|value| &**value)
    }

    /// The order in which conflicts are decided: oldest first, then namespace and name.
    #[must_use]
    pub fn seniority(&self) -> (bool, Option<jiff::Timestamp>, NamespacedName) {
        (self.created.is_none(), self.created, self.name.clone())
    }
}
