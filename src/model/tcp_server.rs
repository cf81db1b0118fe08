//! TLS that ends here, with something inside that is no HTTP.

use std::sync::Arc;

use crate::objects::FieldRef;

use super::client_certificates::ClientCertificates;
use super::listener::Forwarding;
use super::tls::{Alpn, TlsServer};
use super::tls_parameters::TlsParameters;

/// A TLS server whose application is TCP: what comes out of a connection's TLS goes to a back end, without a look into it.
///
/// What clients have to show is asked for in the handshake and nowhere else: there are no requests to be checked. A connection
/// that was opened before it was asked for lasts until it has drained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpServer {
    server: TlsServer,
    forwarding: Forwarding,
}

impl TcpServer {
    /// One with these certificates and settings. ALPN is not offered, and back ends are not told of a client's certificate:
    /// there is no header to tell it in.
    ///
    /// # Errors
    ///
    /// One sentence where any certificate would do and one is required: no handshake asks for that.
    pub fn new(
        certificates: Vec<Arc<str>>,
        parameters: TlsParameters,
        clients: Option<Box<ClientCertificates>>,
        source: FieldRef,
        forwarding: Forwarding,
    ) -> Result<Self, String> {
        let cannot_ask = |it: &ClientCertificates| it.is_required && it.verification.is_none();
        if clients.as_deref().is_some_and(cannot_ask) {
            return Err(
                "over TCP a client's certificate can't be required without authorities".to_owned(),
            );
        }
        let clients = clients.map(|clients| {
            Box::new(ClientCertificates {
                forwarded: None,
                ..*clients
            })
        });
        Ok(Self {
            server: TlsServer::new(certificates, parameters, Alpn::None, clients, source),
            forwarding,
        })
    }

    /// What ends TLS.
    #[must_use]
    pub const fn server(&self) -> &TlsServer {
        &self.server
    }

    /// Where connections go.
    #[must_use]
    pub const fn forwarding(&self) -> &Forwarding {
        &self.forwarding
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::client_certificates::{ClientVerification, ForwardedCertificate};
    use super::*;
    use crate::objects::{Field, Kind, ObjectRef};

    #[test]
    fn what_no_handshake_asks_for_is_refused() {
        let verification = ClientVerification {
            authorities: "ns/ca".into(),
            max_depth: None,
            only_leaf_revocations: false,
            accepts_untrusted: true,
        };
        for (is_required, verification, is_good) in [
            (false, None, true),
            (true, None, false),
            (true, Some(verification), true),
        ] {
            let clients = ClientCertificates {
                is_required,
                verification,
                forwarded: Some(ForwardedCertificate::default()),
            };
            let source = FieldRef::new(ObjectRef::new(Kind::Secret, "ns", "a"), Field::Data);
            let server = TcpServer::new(
                vec!["ns/a".into()],
                TlsParameters::default(),
                Some(Box::new(clients)),
                source,
                Forwarding::default(),
            );
            assert_eq!(server.is_ok(), is_good);
            if let Ok(server) = server {
                let server = server.server();
                assert_eq!(server.clients.as_ref().unwrap().forwarded, None);
                assert!(server.name.contains("?alpn=none"), "{}", server.name);
                assert!(!server.is_for_http3());
            }
        }
    }
}
