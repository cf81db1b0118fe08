//! The certificate that a Gateway shows to back ends (`spec.tls.backend.clientCertificateRef`).

use crate::objects::NamespacedName;
use crate::objects::gateway_api::Gateway;
use crate::translate::Input;

use super::certificates;
use super::fault::Fault;

/// What back ends are shown that are spoken to by TLS and ask who is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shown {
    /// What the operator decides.
    #[default]
    Operators,
    /// The certificate of this Secret.
    Certificate(NamespacedName),
    /// One of this Gateway that can't be used: no back end is spoken to by TLS, rather than as somebody else.
    Unusable(NamespacedName),
}

impl Shown {
    /// Why a port of a Service is not spoken to by TLS, if it is not.
    pub fn fault(&self, service: &NamespacedName, port: u16) -> Option<Fault> {
        let Self::Unusable(gateway) = self else {
            return None;
        };
        let message = format!(
            "port {port} of Service {service} is to be spoken to by TLS, and is not: spec.tls.backend.clientCertificateRef of Gateway {gateway} can't be used"
        );
        Some(Fault::new(INVALID, message))
    }
}

/// The reason of a Gateway whose certificate for back ends can't be used, and of what is closed for it.
const INVALID: &str = "InvalidClientCertificateRef";

/// What back ends of a Gateway are shown, and what is wrong with it.
pub fn shown(input: Input<'_>, gateway: &Gateway) -> (Shown, Option<Fault>) {
    let Some(reference) = &gateway.client_certificate else {
        return (Shown::Operators, None);
    };
    let namespace = &gateway.metadata.name.namespace;
    match certificates::secret(input, ("Gateway", namespace), reference) {
        Ok((name, _)) => (Shown::Certificate(name), None),
        Err(fault) => {
            let reason = match fault.reason {
                "RefNotPermitted" => fault.reason,
                _ => INVALID,
            };
            let message = format!(
                "back ends are not spoken to by TLS, as the certificate that they are to be shown can't be used: {}",
                fault.message
            );
            let gateway = gateway.metadata.name.clone();
            (Shown::Unusable(gateway), Some(Fault::new(reason, message)))
        }
    }
}
