//! Which field of an object says something.

use std::sync::Arc;

use super::{Ingress, ObjectRef};

/// A field of an object.
///
/// What stands in a list of an Ingress is named by its host, and counted among what is said of this host. So it stays the
/// same when rules for other hosts come and go before it, and whoever has read the rules for one host alone need not be made
/// again. [`Field::path`] finds its place in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The object as a whole.
    #[default]
    Whole,
    /// The field of this path.
    At(Arc<str>),
    /// `metadata.annotations[KEY]`.
    Annotation(Arc<str>),
    /// Where an Ingress names the host first: a rule or a TLS entry; for `*` a rule without a host, or the default back end.
    Host(Arc<str>),
    /// `spec.defaultBackend` of an Ingress.
    DefaultBackend,
    /// `spec.rules[].http.paths[]` of an Ingress.
    Path {
        /// The host of the rule, `None` for a rule without one.
        host: Option<Arc<str>>,
        /// Which of the rules for this host.
        rule: u32,
        /// Which of its paths.
        path: u32,
    },
    /// `spec.tls[]` of an Ingress.
    Tls {
        /// A host that the entry names, `None` for an entry without hosts.
        host: Option<Arc<str>>,
        /// Which of the entries that name this host.
        entry: u32,
    },
    /// `spec.ports[]` of a Service.
    Port(u32),
    /// `data` of a Secret.
    Data,
}

impl Field {
    /// A path of an Ingress, by its places in the lists.
    #[must_use]
    pub fn of_path(ingress: &Ingress, rule: usize, path: usize) -> Self {
        let host = |rule: usize| ingress.rules.get(rule).and_then(|rule| rule.host.as_ref());
        let before = (0..rule).filter(|before| host(*before) == host(rule));
        Self::Path {
            host: host(rule).cloned(),
            rule: as_place(before.count()),
            path: as_place(path),
        }
    }

    /// A TLS entry of an Ingress, by its place in the list.
    #[must_use]
    pub fn of_tls(ingress: &Ingress, entry: usize) -> Self {
        let (before, rest) = ingress.tls.split_at(entry.min(ingress.tls.len()));
        let host = rest.first().and_then(|tls| tls.hosts.first());
        let before = before.iter().filter(|tls| names(&tls.hosts, host));
        Self::Tls {
            host: host.cloned(),
            entry: as_place(before.count()),
        }
    }

    /// Its path as the API server writes it, such as `spec.rules[3].http.paths[0]`; `ingress` is the object that it is a
    /// field of, where that is an Ingress. `None` for the whole object, and for what the object does not say (any more).
    #[must_use]
    pub fn path(&self, ingress: Option<&Ingress>) -> Option<String> {
        match self {
            Self::Whole => None,
            Self::At(path) => Some(path.to_string()),
            Self::Annotation(key) => Some(format!("metadata.annotations[{key}]")),
            Self::Host(host) => named(ingress?, host),
            Self::DefaultBackend => Some("spec.defaultBackend".to_owned()),
            Self::Path { host, rule, path } => {
                let rule = nth_rule(ingress?, host.as_deref(), *rule)?;
                Some(format!("spec.rules[{rule}].http.paths[{path}]"))
            }
            Self::Tls { host, entry } => {
                let mut entries = ingress?.tls.iter().enumerate();
                let mut named = entries
                    .by_ref()
                    .filter(|(_, tls)| names(&tls.hosts, host.as_ref()));
                let (entry, _) = named.nth(usize::try_from(*entry).ok()?)?;
                Some(format!("spec.tls[{entry}]"))
            }
            Self::Port(at) => Some(format!("spec.ports[{at}]")),
            Self::Data => Some("data".to_owned()),
        }
    }
}

/// A place in a list. An object has less than two million bytes.
pub fn as_place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn nth_rule(ingress: &Ingress, host: Option<&str>, nth: u32) -> Option<usize> {
    let rules = ingress.rules.iter().enumerate();
    let mut of_host = rules.filter(|(_, rule)| rule.host.as_deref() == host);
    Some(of_host.nth(usize::try_from(nth).ok()?)?.0)
}

/// Whether a TLS entry with these hosts names the host, or names none where it is `None`.
fn names(hosts: &[Arc<str>], host: Option<&Arc<str>>) -> bool {
    host.map_or(hosts.is_empty(), |host| hosts.contains(host))
}

fn named(ingress: &Ingress, host: &str) -> Option<String> {
    if host == "*" {
        return match nth_rule(ingress, None, 0) {
            Some(rule) => Some(format!("spec.rules[{rule}]")),
            None => Some("spec.defaultBackend".to_owned()),
        };
    }
    if let Some(rule) = nth_rule(ingress, Some(host), 0) {
        return Some(format!("spec.rules[{rule}].host"));
    }
    let mut entries = ingress.tls.iter().enumerate();
    entries.find_map(|(entry, tls)| {
        let place = tls.hosts.iter().position(|named| **named == *host)?;
        Some(format!("spec.tls[{entry}].hosts[{place}]"))
    })
}

/// Where something comes from: an object, and which of its fields says it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldRef {
    /// The object: it labels statistics and access logs, and is named when Envoy refuses what is made of it.
    pub object: ObjectRef,
    /// The field.
    pub field: Field,
}

impl FieldRef {
    /// A field of an object.
    #[must_use]
    pub const fn new(object: ObjectRef, field: Field) -> Self {
        Self { object, field }
    }
}

impl From<ObjectRef> for FieldRef {
    fn from(object: ObjectRef) -> Self {
        Self::new(object, Field::Whole)
    }
}
