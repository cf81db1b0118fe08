//! What clients of a Gateway's HTTPS listeners have to show (`spec.tls.frontend`).
//!
//! All listeners of a port ask for the same, so that no name of it is a way around another. Where none of the authorities can be
//! used nobody can be verified, and the listeners are closed.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{ClientCertificates, ClientVerification};
use crate::objects::NamespacedName;
use crate::objects::gateway_api::{CertificateValidation, Gateway};
use crate::objects::gateway_api::{FrontendValidation, ObjectReference};
use crate::translate::{Input, TrustBundleKey};

use super::fault::{Fault, first_of};
use super::grants::permitted;

/// What clients of one port have to show.
#[derive(Clone, Debug, Default)]
pub struct Frontend {
    /// What they are asked for; `None` for nothing.
    pub clients: Option<ClientCertificates>,
    /// Why nothing of its HTTPS listeners can be served.
    pub fault: Option<Fault>,
    /// What is wrong with its references.
    pub references: Vec<Fault>,
}

/// What clients have to show, of all ports. Each list of references is read once, however many listeners it is for.
#[derive(Debug, Default)]
pub struct Frontends {
    default: Frontend,
    per_port: BTreeMap<u16, Frontend>,
}

impl Frontends {
    /// Reads what a Gateway says.
    pub fn of(input: Input<'_>, gateway: &Gateway) -> Self {
        let read = |validation: &Option<CertificateValidation>| {
            let validation = validation.as_ref();
            validation.map_or_else(Frontend::default, |it| frontend(input, gateway, it))
        };
        let per_port = gateway.frontend.per_port.iter();
        Self {
            default: read(&gateway.frontend.default),
            per_port: per_port.map(|(port, it)| (*port, read(it))).collect(),
        }
    }

    /// That of one port.
    pub fn at(&self, port: u16) -> &Frontend {
        self.per_port.get(&port).unwrap_or(&self.default)
    }
}

/// Whether a Gateway lets clients in that nobody vouches for, at whatever port.
pub fn has_insecure_fallback(gateway: &Gateway) -> bool {
    let per_port = gateway.frontend.per_port.iter().map(|(_, it)| it);
    let mut all = per_port.chain([&gateway.frontend.default]).flatten();
    all.any(|it| it.mode == FrontendValidation::AllowInsecureFallback)
}

fn frontend(input: Input<'_>, gateway: &Gateway, validation: &CertificateValidation) -> Frontend {
    let mut references = Vec::new();
    let mut usable = BTreeSet::new();
    for reference in &validation.authorities {
        match authority(input, gateway, reference) {
            Ok(name) => _ = usable.insert(name),
            Err(fault) => references.push(fault),
        }
    }
    if usable.is_empty() {
        let message = match first_of(&references) {
            Err(why) => format!(
                "none of the authorities that vouch for clients can be used: {}",
                why.message
            ),
            Ok(()) => "no authorities vouch for clients".to_owned(),
        };
        return Frontend {
            clients: None,
            fault: Some(Fault::new("NoValidCACertificate", message)),
            references,
        };
    }
    let is_insecure = validation.mode == FrontendValidation::AllowInsecureFallback;
    Frontend {
        clients: Some(ClientCertificates {
            is_required: !is_insecure,
            verification: Some(ClientVerification {
                authorities: TrustBundleKey::of_config_maps(usable).name(),
                max_depth: None,
                only_leaf_revocations: false,
                accepts_untrusted: is_insecure,
            }),
            forwarded: None,
        }),
        fault: None,
        references,
    }
}

/// A ConfigMap with authorities. Whether it may be named is asked before whether it is there.
fn authority(
    input: Input<'_>,
    gateway: &Gateway,
    reference: &ObjectReference,
) -> Result<NamespacedName, Fault> {
    if !reference.group.is_empty() || &*reference.kind != "ConfigMap" {
        let message = format!(
            "{} {} is no ConfigMap, of which authorities are read",
            reference.kind, reference.name
        );
        return Err(Fault::new("InvalidCACertificateKind", message));
    }
    let from = ("Gateway", &gateway.metadata.name.namespace);
    let name = permitted(input, from, reference)?;
    let invalid = |message| Fault::new("InvalidCACertificateRef", message);
    match input.reader.config_map_authorities(&name) {
        Ok(()) => Ok(name),
        Err(None) => Err(invalid(format!(
            "ConfigMap {name} does not exist, or has no ca.crt"
        ))),
        Err(Some(why)) => Err(invalid(format!("ConfigMap {name} can't be used: {why}"))),
    }
}
