//! What a unit can read: facts, each with a name.
//!
//! An object is a set of facts. Whoever reads one is made again when it changes, and by nothing else: a Secret's new
//! bytes are another fact than the names in its certificate. What is absent, and a list that is empty, is a fact too.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hash};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use foldhash::quality::RandomState;

use crate::model::{Front, Host};
use crate::objects::{
    Annotations, Ingress, IngressBackend, IngressPath, Kind, NamespacedName, ObjectRef,
};

/// The name of a fact, as 64 bits of its hash: readers of a hundred thousand hosts fit into some megabytes. Two facts of
/// one name would have each other's readers made again, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FactId(u64);

impl FactId {
    /// The name of something, by its hash.
    pub fn of(named: &impl Hash) -> Self {
        // Nobody outside can know the keys, and so make two of one name. Nothing that is served depends on them.
        static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::default);
        Self(KEYS.hash_one(named))
    }

    /// The place in a table: it is a hash with keys already.
    #[must_use]
    pub const fn hash(self) -> u64 {
        self.0
    }

    /// For tables that would pad it to eight bytes.
    #[must_use]
    pub const fn halves(self) -> [u32; 2] {
        [(self.0 >> 32) as u32, self.0 as u32]
    }

    /// What [`Self::halves`] were made from.
    #[must_use]
    pub const fn from_halves([high, low]: [u32; 2]) -> Self {
        Self((high as u64) << 32 | low as u64)
    }
}

/// A fact of the store.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Fact<'a> {
    /// Which objects claim the host on a front, in the order of their age; of Ingresses those that are served.
    Claims(&'a Front, &'a Host),
    /// Which objects claim a listener, in the order of their age.
    Claimants(&'a str),
    /// What is spoken on a claimed listener.
    Spoken(&'a str),
    /// Whether a served Ingress names the host.
    Claimed(&'a Host),
    /// A served Ingress, all of it but its status.
    Ingress(&'a NamespacedName),
    /// What holds for all hosts of a served Ingress: [`Head`].
    IngressHead(&'a NamespacedName),
    /// What a served Ingress says of one host: [`At`]. Its rules without a host are those of `None`.
    IngressAt(&'a NamespacedName, Option<&'a str>),
    /// A served HTTPProxy, all of it but its status.
    HttpProxy(&'a NamespacedName),
    /// How many includes of an HTTPProxy there are in those of a namespace up to one of them: how often four can be doubled.
    Includes(&'a NamespacedName, &'a NamespacedName),
    /// An ExtensionService, all of it but its status.
    ExtensionService(&'a NamespacedName),
    /// A GatewayClass, all of it but its status.
    GatewayClass(&'a NamespacedName),
    /// A Gateway, all of it but its status.
    Gateway(&'a NamespacedName),
    /// The addresses in the status of a Gateway.
    GatewayAddresses(&'a NamespacedName),
    /// The Gateways that name an address, or have it by their status, in the order of their age.
    GatewaysAt(IpAddr),
    /// A ListenerSet, all of it but its status.
    ListenerSet(&'a NamespacedName),
    /// The ListenerSets that name a Gateway, in the order of their age.
    ListenerSets(&'a NamespacedName),
    /// A route of the Gateway API, all of it but its status.
    Route(&'a ObjectRef),
    /// What the ReferenceGrants of a namespace say.
    Grants(&'a str),
    /// A BackendTLSPolicy, all of it but its status.
    BackendTlsPolicy(&'a NamespacedName),
    /// Which BackendTLSPolicies are about a Service, in the order of their age, and about which of its ports.
    BackendTlsPolicies(&'a NamespacedName),
    /// Whether a BackendTLSPolicy is about a Service.
    Policed(&'a NamespacedName),
    /// The Gateways with routes to a Service that a policy is about.
    GatewaysReaching(&'a NamespacedName),
    /// Whether others can be verified with a ConfigMap, and its size: not its bytes.
    ConfigMapAuthorities(&'a NamespacedName),
    /// A ConfigMap, all of it.
    ConfigMap(&'a NamespacedName),
    /// The labels of a Namespace.
    NamespaceLabels(&'a NamespacedName),
    /// How many routes are attached to a listener of an object.
    AttachedRoutes(&'a ObjectRef, &'a str),
    /// A Service, all of it.
    Service(&'a NamespacedName),
    /// Whether a served Ingress or HTTPProxy names the Service as a back end.
    ServiceNamed(&'a NamespacedName),
    /// The EndpointSlices of a Service.
    EndpointSlices(&'a NamespacedName),
    /// What a certificate is for, and whether it can be used: not its bytes.
    SecretNames(&'a NamespacedName),
    /// Whether others can be verified with a Secret: not its bytes.
    Authorities(&'a NamespacedName),
    /// Whether a Secret says what is revoked: not its bytes.
    Revocations(&'a NamespacedName),
    /// Whether a Secret has passwords, as a file and by keys: not its bytes.
    Credentials(&'a NamespacedName),
    /// A Secret, all of it.
    Secret(&'a NamespacedName),
    /// One field of an object without a type.
    Field(&'a ObjectRef, &'a str),
    /// Whether a Secret's namespace gives it to another one.
    Delegated(&'a NamespacedName, &'a str),
}

impl<'a> Fact<'a> {
    pub(super) fn id(self) -> FactId {
        FactId::of(&self)
    }

    /// The object that it is a part of; `None` where several objects decide it.
    pub(super) const fn object(self) -> Option<(Kind, &'a NamespacedName)> {
        match self {
            Self::Ingress(name) | Self::IngressHead(name) | Self::IngressAt(name, _) => {
                Some((Kind::Ingress, name))
            }
            Self::Service(name) => Some((Kind::Service, name)),
            Self::HttpProxy(name) => Some((Kind::HttpProxy, name)),
            Self::ExtensionService(name) => Some((Kind::ExtensionService, name)),
            Self::SecretNames(name)
            | Self::Authorities(name)
            | Self::Revocations(name)
            | Self::Credentials(name)
            | Self::Secret(name) => Some((Kind::Secret, name)),
            Self::GatewayClass(name) => Some((Kind::GatewayClass, name)),
            Self::Gateway(name) | Self::GatewayAddresses(name) => Some((Kind::Gateway, name)),
            Self::BackendTlsPolicy(name) => Some((Kind::BackendTlsPolicy, name)),
            Self::ListenerSet(name) => Some((Kind::ListenerSet, name)),
            Self::NamespaceLabels(name) => Some((Kind::Namespace, name)),
            Self::ConfigMapAuthorities(name) | Self::ConfigMap(name) => {
                Some((Kind::ConfigMap, name))
            }
            Self::Field(object, _) | Self::Route(object) => Some((object.kind, &object.name)),
            Self::Claims(..)
            | Self::Claimants(_)
            | Self::Spoken(_)
            | Self::Claimed(_)
            | Self::Includes(..)
            | Self::ServiceNamed(_)
            | Self::EndpointSlices(_)
            | Self::GatewaysAt(_)
            | Self::Grants(_)
            | Self::BackendTlsPolicies(_)
            | Self::Policed(_)
            | Self::ListenerSets(_)
            | Self::GatewaysReaching(_)
            | Self::AttachedRoutes(..)
            | Self::Delegated(..) => None,
        }
    }
}

/// What holds for all hosts of an Ingress.
#[derive(Debug, PartialEq)]
pub(super) struct Head<'a> {
    annotations: &'a Annotations,
    default_backend: Option<&'a IngressBackend>,
    /// The Secrets of the TLS entries without hosts.
    tls_of_rules: Vec<Option<&'a Arc<str>>>,
    /// Whether a rule has a host for these.
    has_host: bool,
}

impl<'a> Head<'a> {
    pub(super) fn new(ingress: &'a Ingress) -> Self {
        let hostless = ingress.tls.iter().filter(|tls| tls.hosts.is_empty());
        Self {
            annotations: &ingress.metadata.annotations,
            default_backend: ingress.default_backend.as_ref(),
            tls_of_rules: hostless.map(|tls| tls.secret_name.as_ref()).collect(),
            has_host: ingress.rules.iter().any(|rule| rule.host.is_some()),
        }
    }
}

/// What an Ingress says of one host.
#[derive(Debug, Default, PartialEq)]
pub(super) struct At<'a> {
    /// The paths of each of its rules.
    rules: Vec<&'a [IngressPath]>,
    /// The TLS entries that name it: how many entries without hosts stand before each, and its Secret.
    tls: Vec<(usize, Option<&'a Arc<str>>)>,
}

/// What an Ingress says, by host.
pub(super) fn by_host(ingress: &Ingress) -> BTreeMap<Option<&str>, At<'_>> {
    let mut hosts: BTreeMap<Option<&str>, At<'_>> = BTreeMap::new();
    for rule in &ingress.rules {
        let at = hosts.entry(rule.host.as_deref()).or_default();
        at.rules.push(&rule.paths);
    }
    let mut hostless = 0;
    for tls in &ingress.tls {
        hostless += usize::from(tls.hosts.is_empty());
        for host in &tls.hosts {
            let at = hosts.entry(Some(host)).or_default();
            at.tls.push((hostless, tls.secret_name.as_ref()));
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::objects::{IngressRule, IngressTls, Metadata};

    /// Whatever is kept of an id is all of it, and ids are spread over a table.
    #[test]
    fn an_id_is_its_halves_and_its_place() {
        let ids: Vec<FactId> = (0..1000).map(|name| FactId::of(&name)).collect();
        assert!(ids.iter().all(|id| FactId::from_halves(id.halves()) == *id));
        let halves: BTreeSet<_> = ids.iter().map(|id| id.halves()).collect();
        let places: BTreeSet<_> = ids.iter().map(|id| FactId::hash(*id)).collect();
        assert_eq!((halves.len(), places.len()), (1000, 1000));
        assert_eq!(FactId::of(&7), ids[7]);
    }

    /// Facts of one object are told apart, and from those of another; which object decides a fact alone is known of each.
    #[test]
    fn each_fact_has_a_name_and_may_have_an_object() {
        let (web, other) = (
            NamespacedName::new("shop", "web"),
            NamespacedName::new("shop", "other"),
        );
        let third = NamespacedName::new("shop", "third");
        let host = Host::new("a.test");
        let of = |name| {
            [
                (Fact::Ingress(name), Some(Kind::Ingress)),
                (Fact::IngressHead(name), Some(Kind::Ingress)),
                (Fact::IngressAt(name, None), Some(Kind::Ingress)),
                (Fact::IngressAt(name, Some("a.test")), Some(Kind::Ingress)),
                (Fact::HttpProxy(name), Some(Kind::HttpProxy)),
                (Fact::Includes(name, &third), None),
                (Fact::Includes(&third, name), None),
                (Fact::ExtensionService(name), Some(Kind::ExtensionService)),
                (Fact::GatewayClass(name), Some(Kind::GatewayClass)),
                (Fact::Gateway(name), Some(Kind::Gateway)),
                (Fact::GatewayAddresses(name), Some(Kind::Gateway)),
                (Fact::NamespaceLabels(name), Some(Kind::Namespace)),
                (Fact::ConfigMapAuthorities(name), Some(Kind::ConfigMap)),
                (Fact::ConfigMap(name), Some(Kind::ConfigMap)),
                (Fact::BackendTlsPolicy(name), Some(Kind::BackendTlsPolicy)),
                (Fact::BackendTlsPolicies(name), None),
                (Fact::Policed(name), None),
                (Fact::ListenerSet(name), Some(Kind::ListenerSet)),
                (Fact::ListenerSets(name), None),
                (Fact::GatewaysReaching(name), None),
                (Fact::Service(name), Some(Kind::Service)),
                (Fact::ServiceNamed(name), None),
                (Fact::EndpointSlices(name), None),
                (Fact::SecretNames(name), Some(Kind::Secret)),
                (Fact::Authorities(name), Some(Kind::Secret)),
                (Fact::Revocations(name), Some(Kind::Secret)),
                (Fact::Credentials(name), Some(Kind::Secret)),
                (Fact::Secret(name), Some(Kind::Secret)),
                (Fact::Delegated(name, "shop"), None),
            ]
        };
        let mut ids = BTreeSet::from([
            Fact::Claims(&Front::Fleet, &host).id(),
            Fact::Claims(&Front::Listener("a.test".into()), &host).id(),
            Fact::Claimed(&host).id(),
            Fact::Claimants("a.test").id(),
            Fact::Spoken("a.test").id(),
            Fact::Grants("a.test").id(),
            Fact::GatewaysAt(IpAddr::from([0, 0, 0, 0])).id(),
        ]);
        for name in [&web, &other] {
            for (fact, kind) in of(name) {
                assert_eq!(fact.object(), kind.map(|kind| (kind, name)), "{fact:?}");
                assert!(ids.insert(fact.id()), "{fact:?} has another's name");
                assert!(!ids.insert(fact.id()));
            }
        }
        assert_eq!(Fact::Claims(&Front::Fleet, &host).object(), None);
        assert_eq!(Fact::Claimed(&host).object(), None);
    }

    /// A TLS entry stands among those without hosts, which are for the hosts of the rules: of two Secrets the first counts.
    #[test]
    fn a_host_is_in_rules_and_in_entries_after_others() {
        let rule = |host: Option<&str>| IngressRule {
            host: host.map(Arc::from),
            paths: Box::default(),
        };
        let tls = |hosts: &[&str], secret: &str| IngressTls {
            hosts: hosts.iter().map(|host| Arc::from(*host)).collect(),
            secret_name: Some(secret.into()),
        };
        let ingress = Ingress {
            metadata: Metadata {
                name: NamespacedName::new("shop", "web"),
                uid: "".into(),
                created: None,
                annotations: Annotations::default(),
            },
            class_name: None,
            default_backend: None,
            rules: [rule(Some("a.test")), rule(None), rule(Some("a.test"))].into(),
            tls: [
                tls(&["a.test"], "first"),
                tls(&[], "second"),
                tls(&[], "third"),
                tls(&["a.test", "b.test"], "fourth"),
            ]
            .into(),
            load_balancer: Arc::default(),
            left_out: None,
        };
        let found: Vec<(_, usize, Vec<(usize, &str)>)> = by_host(&ingress)
            .into_iter()
            .map(|(host, at)| {
                let tls = at
                    .tls
                    .iter()
                    .map(|(before, name)| (*before, name.map_or("", |name| &**name)));
                (host, at.rules.len(), tls.collect())
            })
            .collect();
        let expected = vec![
            (None, 1, vec![]),
            (Some("a.test"), 2, vec![(0, "first"), (2, "fourth")]),
            (Some("b.test"), 0, vec![(2, "fourth")]),
        ];
        assert_eq!(found, expected);
    }
}
