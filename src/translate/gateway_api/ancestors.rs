//! The Gateways through which routes lead to the Services that a BackendTLSPolicy is about, and what the policy comes to at each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::objects::gateway_api::{BackendTlsPolicy, MOST_ANCESTORS};
use crate::objects::{NamespacedName, ObjectRef};
use crate::translate::Input;

use super::fault::Fault;

/// What a policy comes to at one Gateway.
#[derive(Debug)]
pub struct Ancestor {
    /// The Gateway.
    pub gateway: ObjectRef,
    /// Why it holds there for nothing, whatever it says.
    pub fault: Option<Fault>,
}

/// What becomes of one target.
enum Held {
    /// The policy holds for it.
    ByIt,
    /// Another one does, or there is no such thing.
    Not(Fault),
}

/// The first Gateways of a policy, by name: as many as its status has room for. Each Service is read once.
pub fn ancestors(input: Input<'_>, policy: &BackendTlsPolicy) -> Vec<Ancestor> {
    let namespace = &policy.metadata.name.namespace;
    let mut sections: BTreeMap<&Arc<str>, BTreeSet<Option<&Arc<str>>>> = BTreeMap::new();
    for target in &policy.targets {
        if let Some(service) = target.service() {
            let sections = sections.entry(service).or_default();
            sections.insert(target.section_name.as_ref());
        }
    }
    let mut ways: Vec<(BTreeSet<ObjectRef>, Vec<Held>)> = Vec::new();
    for (name, sections) in sections {
        let service = NamespacedName::new(namespace.clone(), name.clone());
        let gateways = input.reader.gateways_reaching(&service);
        if !gateways.is_empty() {
            ways.push((gateways, held(input, policy, &service, sections)));
        }
    }
    let gateways: BTreeSet<&ObjectRef> = ways.iter().flat_map(|(gateways, _)| gateways).collect();
    let gateways = gateways.into_iter().take(MOST_ANCESTORS);
    let ancestors = gateways.map(|gateway| {
        let through = ways.iter().filter(|(of, _)| of.contains(gateway));
        Ancestor {
            gateway: gateway.clone(),
            fault: fault(through.flat_map(|(_, held)| held))
                .or_else(|| not_spoken_to(input, &gateway.name)),
        }
    });
    ancestors.collect()
}

/// Why nobody is spoken to by TLS through a Gateway, whatever a policy says.
fn not_spoken_to(input: Input<'_>, gateway: &NamespacedName) -> Option<Fault> {
    let gateway_of = input.gateway(gateway);
    gateway_of.client_certificate_fault.as_ref().map(|_| {
        let message = format!(
            "no Service is spoken to by TLS through Gateway {gateway}: its spec.tls.backend.clientCertificateRef can't be used"
        );
        Fault::new("Invalid", message)
    })
}

/// What becomes of the targets of a policy that are of one Service.
fn held(
    input: Input<'_>,
    policy: &BackendTlsPolicy,
    name: &NamespacedName,
    sections: BTreeSet<Option<&Arc<str>>>,
) -> Vec<Held> {
    let not_found = |message: String| Held::Not(Fault::new("TargetNotFound", message));
    let Some(service) = input.reader.service(name) else {
        return vec![not_found(format!("Service {name} does not exist"))];
    };
    let ports: BTreeSet<&Arc<str>> = service.ports.iter().map(|port| &port.name).collect();
    let sections = sections.into_iter().map(|section| {
        if let Some(port) = section.filter(|port| !ports.contains(port)) {
            return not_found(format!("Service {name} has no port of TCP named {port}"));
        }
        match &*input.policy(name, section) {
            Some(other) if *other != policy.metadata.name => {
                let message = format!(
                    "BackendTLSPolicy {other}, which is older or of the first name, holds for Service {name}"
                );
                Held::Not(Fault::new("Conflicted", message))
            }
            _ => Held::ByIt,
        }
    });
    sections.collect()
}

/// Where it holds for one target it holds. Else it is told that another one does, before that there is nothing.
fn fault<'a>(targets: impl Iterator<Item = &'a Held>) -> Option<Fault> {
    let mut found: Option<&Fault> = None;
    for target in targets {
        match target {
            Held::ByIt => return None,
            Held::Not(fault) if found.is_none() || fault.reason == "Conflicted" => {
                found = Some(fault);
            }
            Held::Not(_) => {}
        }
    }
    found.cloned()
}
