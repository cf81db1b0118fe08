//! The rights that a control plane needs, as RBAC says them: what `isobath rbac` prints, and `isobath doctor` asks for.

use std::collections::BTreeMap;

use crate::objects::Kind;

/// Verbs on resources of one API group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The group; empty for the core group.
    pub group: &'static str,
    /// Plural names, with a subresource after a slash.
    pub resources: Vec<String>,
    /// What is done with them.
    pub verbs: &'static [&'static str],
}

/// What is read of these kinds.
#[must_use]
pub fn read(kinds: impl Iterator<Item = Kind>) -> Vec<Rule> {
    let named = kinds.map(|kind| (kind.group(), kind.plural().to_owned()));
    rules(named, &["list", "watch"])
}

/// What is written: the statuses of these kinds, those that have one, and Events.
#[must_use]
pub fn written(kinds: impl Iterator<Item = Kind> + Clone) -> Vec<Rule> {
    let kinds = kinds.filter(|kind| has_status(*kind));
    // Contour's have a status that is ours alone, and the others are looked at before they are written.
    let looked_at = kinds
        .clone()
        .filter(|kind| kind.group() != Kind::HttpProxy.group());
    let looked_at = looked_at.map(|kind| (kind.group(), kind.plural().to_owned()));
    let mut all = rules(looked_at, &["get"]);
    let statuses = kinds.map(|kind| (kind.group(), format!("{}/status", kind.plural())));
    all.extend(rules(statuses, &["patch"]));
    let events = [("events.k8s.io", "events".to_owned())];
    all.extend(rules(events.into_iter(), &["create", "patch"]));
    all
}

/// What is done with a Lease: to make it, which can't be told by its name, and to hold it.
#[must_use]
pub fn of_lease() -> [Rule; 2] {
    let rule = |verbs| Rule {
        group: "coordination.k8s.io",
        resources: vec!["leases".to_owned()],
        verbs,
    };
    [rule(&["create"]), rule(&["get", "update"])]
}

/// One rule a group.
fn rules(
    resources: impl Iterator<Item = (&'static str, String)>,
    verbs: &'static [&'static str],
) -> Vec<Rule> {
    let mut groups: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for (group, resource) in resources {
        groups.entry(group).or_default().push(resource);
    }
    let rules = groups.into_iter().map(|(group, resources)| Rule {
        group,
        resources,
        verbs,
    });
    rules.collect()
}

/// Whether Isobath writes the status of its objects.
const fn has_status(kind: Kind) -> bool {
    match kind {
        Kind::Ingress
        | Kind::HttpProxy
        | Kind::ExtensionService
        | Kind::GatewayClass
        | Kind::Gateway
        | Kind::ListenerSet
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::TlsRoute
        | Kind::TcpRoute
        | Kind::UdpRoute
        | Kind::BackendTlsPolicy => true,
        Kind::IngressClass
        | Kind::Service
        | Kind::EndpointSlice
        | Kind::Secret
        | Kind::TlsCertificateDelegation
        | Kind::ReferenceGrant
        | Kind::ConfigMap
        | Kind::Namespace
        | Kind::Untyped(_) => false,
    }
}
