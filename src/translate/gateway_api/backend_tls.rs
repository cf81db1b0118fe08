//! BackendTLSPolicy: whom the endpoints of a Service have to be.
//!
//! A policy that can't be honoured closes its ports: nobody is spoken to in clear, or unverified, because an authority is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{Authorities, ServerName, SubjectAltName, UpstreamTls, Verification};
use crate::objects::NamespacedName;
use crate::objects::gateway_api::{AltName, BackendTlsPolicy, BackendValidation};
use crate::translate::Input;

use super::fault::{Fault, first_of};

/// Which policy holds for each port of a Service that one is about, by the port's name; for `None` that for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Policies(BTreeMap<Option<Arc<str>>, NamespacedName>);

impl Policies {
    /// Reads which policies are about a Service: of several for one port the oldest holds.
    pub fn of(input: Input<'_>, service: &NamespacedName) -> Self {
        let mut held = BTreeMap::new();
        for policy in input.reader.backend_tls_policies(service) {
            for target in policy.of_service(&service.name) {
                let section = target.section_name.clone();
                held.entry(section)
                    .or_insert_with(|| policy.metadata.name.clone());
            }
        }
        Self(held)
    }

    /// The one that holds.
    pub fn get(&self, port: Option<&Arc<str>>) -> Option<&NamespacedName> {
        self.0.get(&port.cloned())
    }
}

/// What a policy comes to by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackendTls {
    /// How endpoints are spoken to, or why they are not.
    pub tls: Result<UpstreamTls, Fault>,
    /// What of its references can't be used.
    pub references_fault: Option<Fault>,
}

/// The policy that holds for a port of a Service: of those for this port the oldest, or else of those for all of them.
pub fn of_port(
    input: Input<'_>,
    service: &NamespacedName,
    port: &Arc<str>,
) -> Option<NamespacedName> {
    // Most Services have none, and then nothing is derived for them but this.
    if !input.reader.is_policed(service) {
        return None;
    }
    let own = input.policy(service, Some(port));
    match &*own {
        Some(own) => Some(own.clone()),
        None => (*input.policy(service, None)).clone(),
    }
}

impl BackendTls {
    /// Reads a policy.
    pub fn of(input: Input<'_>, name: &NamespacedName) -> Self {
        let mut faults = Vec::new();
        let invalid = |message: &str| Fault::new("Invalid", message);
        let policy = input.reader.backend_tls_policy(name);
        let policy = policy.ok_or_else(|| invalid("it does not exist"));
        let tls = policy.and_then(|policy| {
            let validation = policy.validation.as_ref().map_err(|why| invalid(why))?;
            let authorities = authorities(input, name, validation, &mut faults)?;
            upstream_tls(policy, validation, authorities)
        });
        Self {
            tls,
            references_fault: first_of(&faults).err(),
        }
    }
}

fn authorities(
    input: Input<'_>,
    policy: &NamespacedName,
    validation: &BackendValidation,
    faults: &mut Vec<Fault>,
) -> Result<Authorities, Fault> {
    match validation.well_known.as_deref() {
        Some("System") => return Ok(Authorities::System),
        Some(other) => {
            let message = format!("wellKnownCACertificates {other:?} is none that is known");
            return Err(Fault::new("Invalid", message));
        }
        None => {}
    }
    let mut usable = super::authorities::Authorities::default();
    for [group, kind, name] in &validation.authorities {
        if !group.is_empty() || &**kind != "ConfigMap" {
            let message = format!("{kind} {name} is no ConfigMap");
            faults.push(Fault::new("InvalidKind", message));
            continue;
        }
        let name = NamespacedName::new(policy.namespace.clone(), name.clone());
        if let Err(fault) = usable.add(input, name) {
            faults.push(fault);
        }
    }
    match usable.bundle() {
        Some((name, _)) => Ok(Authorities::Bundle(name)),
        None => {
            let message = "none of its caCertificateRefs can be used";
            Err(Fault::new("NoValidCACertificate", message))
        }
    }
}

fn upstream_tls(
    policy: &BackendTlsPolicy,
    validation: &BackendValidation,
    authorities: Authorities,
) -> Result<UpstreamTls, Fault> {
    let invalid = |message: String| Fault::new("Invalid", message);
    if let Some(option) = &policy.option {
        return Err(invalid(format!(
            "the option {option:?} is none that is known"
        )));
    }
    let names = validation.names.iter().map(|name| match name {
        AltName::Hostname(name) if name.starts_with('*') => Err(format!(
            "subjectAltNames has {name:?}: a certificate is compared with whole names, not with what begins with *"
        )),
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
