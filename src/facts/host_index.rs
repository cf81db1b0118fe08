//! Where in an Ingress each of its hosts is named.
//!
//! An object of 1.5 MiB has ten thousand rules. If each host looked for its own among all of them, one tenant's
//! Ingress would hold up everybody's changes for seconds (I4).

use crate::model::Host;
use crate::objects::{Ingress, IngressRule, IngressTls};

/// With so few rules and TLS hosts a linear search is as fast as the index. Most Ingresses have one.
const FEW: usize = 16;

/// The rules of an Ingress for a host, those without a host for `None`. All are looked through without its [`HostIndex`].
pub fn rules<'a>(
    index: Option<&'a HostIndex>,
    ingress: &'a Ingress,
    host: Option<&str>,
) -> impl Iterator<Item = &'a IngressRule> + use<'a> {
    let (found, all) = match index {
        Some(index) => (Some(index.rules(ingress, host)), None),
        None => {
            let is_hosts = |rule: &&IngressRule| rule.host.as_deref() == host;
            let rules: Vec<_> = ingress.rules.iter().filter(is_hosts).collect();
            (None, Some(rules))
        }
    };
    let found = found.into_iter().flatten();
    found.chain(all.into_iter().flatten())
}

/// The TLS entries of an Ingress that name a host, as written, each with the number of those without hosts that stand
/// before it. All are looked through without its [`HostIndex`].
pub fn tls<'a>(
    index: Option<&HostIndex>,
    ingress: &'a Ingress,
    host: &Host,
) -> Vec<(usize, &'a IngressTls)> {
    if let Some(index) = index {
        return index.tls(ingress, host);
    }
    let names = |tls: &IngressTls| tls.hosts.iter().any(|named| **named == *host.as_str());
    let mut hostless = 0;
    let mut found = Vec::new();
    for tls in &ingress.tls {
        hostless += usize::from(tls.hosts.is_empty());
        if names(tls) {
            found.push((hostless, tls));
        }
    }
    found
}

/// Positions in `spec.rules` and `spec.tls` of one Ingress, sorted by host and then as written.
#[derive(Debug, Default)]
pub struct HostIndex {
    rules: Box<[usize]>,
    /// An entry and one of its hosts.
    tls: Box<[(usize, usize)]>,
    /// The TLS entries without hosts.
    hostless: Box<[usize]>,
}

impl HostIndex {
    /// Whether the Ingress is so long that looking up is faster than looking through.
    pub fn pays(ingress: &Ingress) -> bool {
        let tls_hosts = || ingress.tls.iter().map(|tls| tls.hosts.len());
        ingress.rules.len() + ingress.tls.len() + tls_hosts().sum::<usize>() > FEW
    }

    /// Looks through the Ingress once.
    pub fn new(ingress: &Ingress) -> Self {
        let mut rules: Box<[usize]> = (0..ingress.rules.len()).collect();
        rules.sort_by_key(|rule| host_of(ingress, *rule));
        let entries = ingress.tls.iter().enumerate();
        let mut tls: Box<[(usize, usize)]> = entries
            .flat_map(|(entry, tls)| (0..tls.hosts.len()).map(move |host| (entry, host)))
            .collect();
        tls.sort_by_key(|place| (tls_host(ingress, *place), *place));
        let hostless = ingress.tls.iter().enumerate();
        let hostless = hostless.filter(|(_, tls)| tls.hosts.is_empty());
        Self {
            rules,
            tls,
            hostless: hostless.map(|(entry, _)| entry).collect(),
        }
    }

    /// The rules for a host, those without a host for `None`.
    pub fn rules<'a>(
        &'a self,
        ingress: &'a Ingress,
        host: Option<&str>,
    ) -> impl Iterator<Item = &'a IngressRule> + use<'a> {
        let first = self
            .rules
            .partition_point(|rule| host_of(ingress, *rule) < host);
        let rules = &self.rules[first..];
        let count = rules.partition_point(|rule| host_of(ingress, *rule) == host);
        rules[..count]
            .iter()
            .filter_map(|rule| ingress.rules.get(*rule))
    }

    /// The TLS entries that name a host, as written, each with the number of those without hosts before it.
    pub fn tls<'a>(&self, ingress: &'a Ingress, host: &Host) -> Vec<(usize, &'a IngressTls)> {
        let name = host.as_str();
        let first = self
            .tls
            .partition_point(|place| tls_host(ingress, *place) < name);
        let mut entries: Vec<usize> = self.tls[first..]
            .iter()
            .take_while(|place| tls_host(ingress, **place) == name)
            .map(|(entry, _)| *entry)
            .collect();
        // One that names a host twice.
        entries.dedup();
        let before = |entry| self.hostless.partition_point(|hostless| *hostless < entry);
        let entry = |entry| Some((before(entry), ingress.tls.get(entry)?));
        entries.into_iter().filter_map(entry).collect()
    }
}

fn host_of(ingress: &Ingress, rule: usize) -> Option<&str> {
    ingress.rules.get(rule)?.host.as_deref()
}

fn tls_host(ingress: &Ingress, (entry, host): (usize, usize)) -> &str {
    let tls = ingress.tls.get(entry);
    tls.and_then(|tls| tls.hosts.get(host))
        .map_or("", |host| host)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::objects::{Annotations, Metadata, NamespacedName};

    const HOSTS: [&str; 4] = ["a.test", "*.test", "b.a.test", "a.tes"];

    fn ingress() -> impl Strategy<Value = Ingress> {
        let host = || select(&HOSTS[..]).prop_map(Arc::<str>::from);
        let rule = prop::option::of(host()).prop_map(|host| IngressRule {
            host,
            paths: Box::default(),
        });
        let tls = prop::collection::vec(host(), 0..4).prop_map(|hosts| IngressTls {
            hosts: hosts.into(),
            secret_name: None,
        });
        let rules = prop::collection::vec(rule, 0..8);
        (rules, prop::collection::vec(tls, 0..6)).prop_map(|(rules, tls)| Ingress {
            metadata: Metadata {
                name: NamespacedName::new("default", "web"),
                uid: "".into(),
                created: None,
                annotations: Annotations::default(),
            },
            class_name: None,
            default_backend: None,
            tls: tls.into(),
            rules: rules.into(),
            load_balancer: Arc::default(),
            left_out: None,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// As whoever looks through all of it would find, in the same order.
        #[test]
        fn all_of_a_host_is_found(ingress in ingress()) {
            let index = HostIndex::new(&ingress);
            for host in HOSTS.into_iter().map(Some).chain([None, Some("z.test")]) {
                let is_hosts = |rule: &&IngressRule| rule.host.as_deref() == host;
                let rules: Vec<_> = ingress.rules.iter().filter(is_hosts).map(std::ptr::from_ref).collect();
                let found: Vec<_> = index.rules(&ingress, host).map(std::ptr::from_ref).collect();
                prop_assert_eq!(&found, &rules);
                let seen: Vec<_> = super::rules(None, &ingress, host).map(std::ptr::from_ref).collect();
                prop_assert_eq!(&seen, &rules);
                let Some(name) = host else { continue };
                let entries = ingress.tls.iter().enumerate();
                let names = |(at, tls): (usize, &_)| {
                    let before = ingress.tls[..at].iter().filter(|tls| tls.hosts.is_empty());
                    let tls: &IngressTls = tls;
                    let is_named = tls.hosts.iter().any(|host| **host == *name);
                    is_named.then(|| (before.count(), std::ptr::from_ref(tls)))
                };
                let entries: Vec<_> = entries.filter_map(names).collect();
                let at = |found: Vec<(usize, &IngressTls)>| -> Vec<_> {
                    let found = found.into_iter();
                    found.map(|(before, tls)| (before, std::ptr::from_ref(tls))).collect()
                };
                prop_assert_eq!(&at(index.tls(&ingress, &Host::new(name))), &entries);
                prop_assert_eq!(&at(super::tls(None, &ingress, &Host::new(name))), &entries);
            }
        }
    }
}
