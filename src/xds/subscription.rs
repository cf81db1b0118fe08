//! What one client asked for of one type: names, the wildcard, and what a request changes about them.
//!
//! The rules are those of "How the client specifies what resources to return" and "Unsubscribing From Resources"
//! in Envoy's `xds_protocol.rst`; each branch names its sentence. Nothing in here knows what exists.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::OrdMap;

use super::overlay::{Entry, Overlay};
use super::{Resource, ResourceType};

/// The special name that subscribes to everything, for the types that have a wildcard.
const WILDCARD: &str = "*";

/// A name is subscribed to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subscribed;

impl Entry for Subscribed {
    fn shared(_: &Arc<Resource>, _: u64) -> Self {
        Self
    }

    fn is_shared(&self, _: &Resource) -> bool {
        true
    }
}

/// What a client is subscribed to, of one type on one stream.
#[derive(Clone, Debug)]
pub struct Subscription {
    resource_type: ResourceType,
    names: Overlay<Subscribed>,
    /// Length of all names, so that a stream can bound what it remembers.
    bytes: usize,
    wildcard: bool,
    requested: bool,
    /// Whether a request ever named something: from then on an empty list is an unsubscription.
    named: bool,
}

/// What a request changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Names to be answered, whether or not the client was sent them before.
    pub asked: Vec<Arc<str>>,
    /// Everything is to be answered.
    pub asked_all: bool,
    /// Names that the client no longer wants.
    pub dropped: Vec<Arc<str>>,
    /// Names that the client takes back, and that the wildcard covers all the same.
    pub unnamed: Vec<Arc<str>>,
    /// The wildcard is gone: all that is not named is no longer wanted.
    pub dropped_all: bool,
}

impl Subscription {
    /// No subscription yet.
    #[must_use]
    pub fn new(resource_type: ResourceType) -> Self {
        Self {
            resource_type,
            names: Overlay::default(),
            bytes: 0,
            wildcard: false,
            requested: false,
            named: false,
        }
    }

    /// Whether the client has sent any request for this type.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.requested
    }

    /// Whether the client wants everything.
    #[must_use]
    pub fn wildcard(&self) -> bool {
        self.wildcard
    }

    /// The names asked for.
    #[must_use]
    pub fn names(&self) -> &Overlay<Subscribed> {
        &self.names
    }

    /// Length of all names, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the client wants the resource of this name.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// A request of the incremental variant.
    pub fn delta(&mut self, subscribe: &[String], unsubscribe: &[String]) -> Change {
        let mut change = Change::default();
        let first = !std::mem::replace(&mut self.requested, true);
        // "if the client [...] in incremental, [has] never sent a request [...] with a non-empty
        // resource_names_subscribe field, the server should treat that identically to [...] "*"".
        // Only a first request can be meant so: later ones with empty lists are acknowledgements.
        if first && subscribe.is_empty() && self.resource_type.has_wildcard() {
            self.wildcard = true;
            change.asked_all = true;
        }
        self.named |= !subscribe.is_empty();
        for name in subscribe {
            if name == WILDCARD {
                // A type without wildcard has no resource of this name, and must never hand out everything.
                if self.resource_type.has_wildcard() {
                    self.wildcard = true;
                    change.asked_all = true;
                }
                continue;
            }
            let name = self.insert(name);
            // "the server must resend any newly requested resources, even if it previously sent those":
            // also for a name that is already subscribed, which a client repeats only if it forgot the resource.
            change.asked.push(name);
        }
        for name in unsubscribe {
            if name == WILDCARD {
                // "Server interprets this as unsubscribing to "*" and continuing the existing subscription to "A"".
                change.dropped_all |= std::mem::take(&mut self.wildcard);
                continue;
            }
            let name: Arc<str> = name.as_str().into();
            self.remove(&name);
            if self.wildcard {
                change.unnamed.push(name);
            } else {
                change.dropped.push(name);
            }
        }
        change
    }

    /// A request of the state-of-the-world variant: the names are the whole subscription.
    pub fn sotw(&mut self, names: &[String]) -> Change {
        let mut change = Change::default();
        self.requested = true;
        self.named |= !names.is_empty();
        // "in SotW, all requests on the stream for that resource type have had an empty resource_names field":
        // the wildcard of old; once anything was named, an empty list unsubscribes from all.
        let everything = if names.is_empty() {
            !self.named
        } else {
            names.iter().any(|name| name == WILDCARD)
        };
        let wildcard = everything && self.resource_type.has_wildcard();
        change.asked_all = wildcard && !self.wildcard;
        change.dropped_all = self.wildcard && !wildcard;
        self.wildcard = wildcard;

        let wanted: BTreeSet<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| *name != WILDCARD)
            .collect();
        for name in &wanted {
            if !self.names.contains(name) {
                let name = self.insert(name);
                change.asked.push(name);
            }
        }
        // It has all that is wanted by now. If that is all it has, nothing is gone: so it is with every
        // acknowledgement, which repeats all names.
        if self.names.len() > wanted.len() {
            let gone: Vec<Arc<str>> = self
                .names
                .names()
                .filter(|name| !wanted.contains(&***name))
                .cloned()
                .collect();
            for name in gone {
                self.remove(&name);
                match wildcard {
                    true => change.unnamed.push(name),
                    false => change.dropped.push(name),
                }
            }
        }
        change
    }

    /// The names that are those of resources are kept once for all clients.
    pub fn settle(&mut self, target: &OrdMap<Arc<str>, Arc<Resource>>) {
        self.names.settle(target, 0);
    }

    fn insert(&mut self, name: &str) -> Arc<str> {
        let name: Arc<str> = name.into();
        if !self.names.contains(&name) {
            self.bytes += name.len();
            self.names.get_or_insert(&name);
        }
        name
    }

    fn remove(&mut self, name: &Arc<str>) {
        if self.names.remove(name).is_some() {
            self.bytes -= name.len();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    /// Lines of `+name` / `-name` (delta) or `=name,name` (state of the world); after each the subscription.
    fn check(resource_type: ResourceType, steps: &[(&str, &str)]) {
        let mut subscription = Subscription::new(resource_type);
        for (request, expected) in steps {
            if let Some(names) = request.strip_prefix('=') {
                let names: Vec<String> = names
                    .split(',')
                    .filter(|name| !name.is_empty())
                    .map(String::from)
                    .collect();
                subscription.sotw(&names);
            } else {
                let of = |sign: char| -> Vec<String> {
                    request
                        .split_whitespace()
                        .filter_map(|name| name.strip_prefix(sign))
                        .map(String::from)
                        .collect()
                };
                subscription.delta(&of('+'), &of('-'));
            }
            let mut held: Vec<&str> = subscription.names().names().map(|name| &**name).collect();
            held.sort_unstable();
            if subscription.wildcard() {
                held.insert(0, "*");
            }
            assert_eq!(held.join(","), *expected, "after {request:?} of {steps:?}");
            let bytes: usize = subscription.names().names().map(|name| name.len()).sum();
            assert_eq!(subscription.bytes(), bytes);
        }
    }

    /// the two examples of the specification, word for word.
    #[test]
    fn examples_of_the_specification() {
        for resource_type in [ResourceType::Listener, ResourceType::Cluster] {
            check(
                resource_type,
                &[("=", "*"), ("=*,A", "*,A"), ("=A", "A"), ("=", "")],
            );
            check(
                resource_type,
                &[("", "*"), ("+A", "*,A"), ("-*", "A"), ("-A", ""), ("", "")],
            );
        }
    }

    /// nothing but names for the types that have no wildcard.
    #[test]
    fn no_wildcard_for_routes_endpoints_and_secrets() {
        for resource_type in [
            ResourceType::Route,
            ResourceType::Endpoint,
            ResourceType::Secret,
        ] {
            check(resource_type, &[("=", ""), ("=*", ""), ("=*,a", "a")]);
            check(resource_type, &[("", ""), ("+*", ""), ("+* +a", "a")]);
        }
    }

    #[test]
    fn names_first_are_no_wildcard() {
        check(ResourceType::Cluster, &[("+A", "A"), ("", "A"), ("-A", "")]);
        check(ResourceType::Cluster, &[("=A", "A"), ("=", "")]);
    }

    ///
    #[test]
    fn what_is_to_be_answered() {
        let mut subscription = Subscription::new(ResourceType::Cluster);
        assert!(subscription.delta(&["*".into(), "a".into()], &[]).asked_all);
        assert_eq!(subscription.delta(&["a".into()], &[]).asked, ["a".into()]);
        let covered = subscription.delta(&[], &["a".into()]);
        assert_eq!(
            covered.unnamed,
            ["a".into()],
            "the wildcard still covers it"
        );
        assert!(covered.dropped.is_empty());
        assert!(subscription.delta(&[], &["*".into()]).dropped_all);
    }
}
