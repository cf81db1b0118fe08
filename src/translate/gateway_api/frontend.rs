//! What clients of a Gateway's HTTPS listeners have to show (`spec.tls.frontend`).
//!
//! All HTTPS listeners of a port ask for the same, so that none of their names is a way around another. Listeners of TLS ask for
//! nothing, whatever is said of their port: the Gateway API has it for HTTPS alone. Where none of the authorities can be used nobody
//! can be verified, and the listeners are closed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{ClientCertificates, ClientVerification};
use crate::objects::NamespacedName;
use crate::objects::gateway_api::{CertificateValidation, Gateway};
use crate::objects::gateway_api::{FrontendValidation, ObjectReference};
use crate::translate::Input;

use super::authorities::Authorities;
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
    pub references: Option<Fault>,
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
        let mut bundles = Bundles::default();
        let mut read = |validation: &Option<CertificateValidation>| match validation {
            None => Frontend::default(),
            Some(validation) => frontend(input, gateway, validation, &mut bundles),
        };
        let default = read(&gateway.frontend.default);
        let per_port = gateway.frontend.per_port.iter();
        Self {
            default,
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

/// What the bundles of a Gateway may come to, in pieces of 64 KiB: 16 MiB. Ports have lists of their own, and a bundle has copies.
const MOST_OF_GATEWAY: usize = 256;

/// The bundles of a Gateway.
#[derive(Default)]
struct Bundles {
    names: BTreeSet<Arc<str>>,
    pieces: usize,
}

impl Bundles {
    fn pay(&mut self, name: &Arc<str>, pieces: usize) -> Result<(), String> {
        if self.names.contains(name) {
            return Ok(());
        }
        if self.pieces + pieces > MOST_OF_GATEWAY {
            return Err(
                "the authorities of all ports of this Gateway come to more than 16 MiB".to_owned(),
            );
        }
        self.pieces += pieces;
        self.names.insert(name.clone());
        Ok(())
    }
}

fn frontend(
    input: Input<'_>,
    gateway: &Gateway,
    validation: &CertificateValidation,
    bundles: &mut Bundles,
) -> Frontend {
    let mut references = Vec::new();
    let mut usable = Authorities::default();
    for reference in &validation.authorities {
        let named = authority(input, gateway, reference);
        if let Err(fault) = named.and_then(|name| usable.add(input, name)) {
            references.push(fault);
        }
    }
    let closed = |message: String, references: &[Fault]| Frontend {
        clients: None,
        fault: Some(Fault::new("NoValidCACertificate", message)),
        references: first_of(references).err(),
    };
    let Some((authorities, pieces)) = usable.bundle() else {
        let message = match first_of(&references) {
            Err(why) => format!(
                "none of the authorities that vouch for clients can be used: {}",
                why.message
            ),
            Ok(()) => "no authorities vouch for clients".to_owned(),
        };
        return closed(message, &references);
    };
    if let Err(message) = bundles.pay(&authorities, pieces) {
        return closed(message, &references);
    }
    let is_insecure = validation.mode == FrontendValidation::AllowInsecureFallback;
    Frontend {
        clients: Some(ClientCertificates {
            is_required: !is_insecure,
            verification: Some(ClientVerification {
                authorities,
                max_depth: None,
                only_leaf_revocations: false,
                accepts_untrusted: is_insecure,
            }),
            forwarded: None,
        }),
        fault: None,
        references: first_of(&references).err(),
    }
}

/// The ConfigMap that is named, if it may be: that is asked before whether it is there.
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
    permitted(input, from, reference)
}
