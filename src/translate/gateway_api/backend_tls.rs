//! BackendTLSPolicy: whom the endpoints of a Service have to be.
//!
//! A policy that can't be honoured closes its ports: nobody is spoken to in clear, or unverified, because an authority is missing.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Authorities, ServerName, SubjectAltName, UpstreamTls, Verification};
use crate::objects::gateway_api::{AltName, BackendTlsPolicy};
use crate::objects::{NamespacedName, ObjectRef};
use crate::translate::{Input, TrustBundleKey};

use super::fault::{Fault, first_of};

/// What a policy comes to by itself.
#[derive(Debug)]
pub struct BackendTls {
    /// How endpoints are spoken to, or why they are not.
    pub tls: Result<UpstreamTls, Fault>,
    /// What of its references can't be used.
    pub references_fault: Option<Fault>,
}

/// The policy that holds for a port of a Service: of those for this port the oldest, or else of those for all of them.
pub fn of_port<'a>(
    input: Input<'a>,
    service: &NamespacedName,
    port: &str,
) -> Option<&'a Arc<BackendTlsPolicy>> {
    let policies = input.reader.backend_tls_policies(service);
    let of = |port: Option<&str>| {
        let mut policies = policies.iter();
        policies.find(|policy| policy.targets(&service.name, port))
    };
    of(Some(port)).or_else(|| of(None)).copied()
}

/// Reads a policy.
pub fn backend_tls(input: Input<'_>, policy: &BackendTlsPolicy) -> BackendTls {
    let mut faults = Vec::new();
    let authorities = authorities(input, policy, &mut faults);
    BackendTls {
        tls: authorities.and_then(|authorities| upstream_tls(policy, authorities)),
        references_fault: first_of(&faults).err(),
    }
}

fn authorities(
    input: Input<'_>,
    policy: &BackendTlsPolicy,
    faults: &mut Vec<Fault>,
) -> Result<Authorities, Fault> {
    match policy.validation.well_known.as_deref() {
        Some("System") => return Ok(Authorities::System),
        Some(other) => {
            let message = format!("wellKnownCACertificates {other:?} is none that is known");
            return Err(Fault::new("Invalid", message));
        }
        None => {}
    }
    let mut usable = BTreeSet::new();
    for [group, kind, name] in &policy.validation.authorities {
        if !group.is_empty() || &**kind != "ConfigMap" {
            let message = format!("{kind} {name} is no ConfigMap");
            faults.push(Fault::new("InvalidKind", message));
            continue;
        }
        let name = NamespacedName::new(policy.metadata.name.namespace.clone(), name.clone());
        match input.reader.config_map_authorities(&name) {
            Ok(()) => _ = usable.insert(name),
            Err(why) => faults.push(unusable(&name, why)),
        }
    }
    match usable.is_empty() {
        false => Ok(Authorities::Bundle(
            TrustBundleKey::of_config_maps(usable).name(),
        )),
        true => {
            let message = "none of its caCertificateRefs can be used";
            Err(Fault::new("NoValidCACertificate", message))
        }
    }
}

/// Why a ConfigMap has no authorities.
fn unusable(name: &NamespacedName, why: Option<&str>) -> Fault {
    let message = match why {
        None => format!("ConfigMap {name} does not exist, or has no ca.crt"),
        Some(why) => format!("ConfigMap {name} can't be used: {why}"),
    };
    Fault::new("InvalidCACertificateRef", message)
}

fn upstream_tls(policy: &BackendTlsPolicy, authorities: Authorities) -> Result<UpstreamTls, Fault> {
    let invalid = |message: String| Fault::new("Invalid", message);
    if let Some(option) = &policy.option {
        return Err(invalid(format!(
            "the option {option:?} is none that is known"
        )));
    }
    let validation = &policy.validation;
    let names = validation.names.iter().map(|name| match name {
        AltName::Hostname(name) => SubjectAltName::dns(name),
        AltName::Uri(uri) => SubjectAltName::uri(uri),
    });
    let mut names = names.collect::<Result<BTreeSet<_>, _>>().map_err(invalid)?;
    if names.is_empty() {
        names.insert(SubjectAltName::dns(&validation.hostname).map_err(invalid)?);
    }
    Ok(UpstreamTls {
        verification: Some(Verification { authorities, names }),
        server_name: ServerName::new(&validation.hostname).map_err(invalid)?,
        ..UpstreamTls::default()
    })
}

/// The Gateways with routes to a Service that a policy is about.
pub fn gateways(input: Input<'_>, policy: &BackendTlsPolicy) -> BTreeSet<ObjectRef> {
    let namespace = &policy.metadata.name.namespace;
    let names = policy.targets.iter().filter_map(|target| target.service());
    let services = names.map(|name| NamespacedName::new(namespace.clone(), name.clone()));
    services
        .flat_map(|service| input.reader.gateways_reaching(&service))
        .collect()
}

/// Whether another policy holds for all that this one is about at a Gateway; then which one. Those that it is about are the
/// Services that routes of the Gateway name.
pub fn conflict(input: Input<'_>, policy: &BackendTlsPolicy, gateway: &ObjectRef) -> Option<Fault> {
    let namespace = &policy.metadata.name.namespace;
    let mut winner = None;
    for target in &policy.targets {
        let Some(name) = target.service() else {
            continue;
        };
        let service = NamespacedName::new(namespace.clone(), name.clone());
        if !input.reader.gateways_reaching(&service).contains(gateway) {
            continue;
        }
        let section = target.section_name.as_deref();
        let policies = input.reader.backend_tls_policies(&service);
        let mut alike = policies.iter().filter(|it| it.targets(name, section));
        match alike.next() {
            Some(first) if first.metadata.name != policy.metadata.name => {
                winner = Some((first.metadata.name.clone(), service));
            }
            _ => return None,
        }
    }
    winner.map(|(winner, service)| {
        let message =
            format!("BackendTLSPolicy {winner}, which is older or of the first name, holds for Service {service}");
        Fault::new("Conflicted", message)
    })
}
