//! Certificates that clients show.

use std::sync::Arc;

/// What a TLS server asks of clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientCertificates {
    /// Whether a client has to show one. Who does not is refused in the handshake, or where any certificate will do (Envoy asks
    /// for none then) answered 421.
    pub is_required: bool,
    /// How one that is shown is verified. `None` takes any for good, and says who showed it.
    pub verification: Option<ClientVerification>,
}

/// How a client's certificate is verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientVerification {
    /// Name of the [`super::TrustBundle`] whose authorities vouch for clients.
    pub authorities: Arc<str>,
    /// How many certificates may stand between the client's and an authority's; `None` for as many as there are.
    pub max_depth: Option<u32>,
    /// Whether only the client's own certificate is looked up in the revocation lists: else each authority of its chain needs a
    /// list.
    pub only_leaf_revocations: bool,
    /// Whether one that nobody vouches for is let in as well. Routes and back ends may tell such clients apart.
    pub accepts_untrusted: bool,
}

/// What a request's connection has to have shown, whenever it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientCheck {
    /// A certificate.
    Presented,
    /// A certificate that was verified.
    Validated,
}

impl ClientCertificates {
    /// What requests of a host with these have to be checked for: a connection that was opened before they were asked for has not
    /// shown any. One that was verified by authorities of before stays good until it has drained.
    #[must_use]
    pub fn check(&self) -> Option<ClientCheck> {
        let is_verified = |it: &ClientVerification| !it.accepts_untrusted;
        let verified = self.verification.as_ref().is_some_and(is_verified);
        self.is_required.then_some(match verified {
            true => ClientCheck::Validated,
            false => ClientCheck::Presented,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_is_checked() {
        let verification = |accepts_untrusted| ClientVerification {
            authorities: "ns/ca".into(),
            max_depth: None,
            only_leaf_revocations: false,
            accepts_untrusted,
        };
        for (is_required, verification, expected) in [
            (true, None, Some(ClientCheck::Presented)),
            (true, Some(verification(true)), Some(ClientCheck::Presented)),
            (
                true,
                Some(verification(false)),
                Some(ClientCheck::Validated),
            ),
            (false, None, None),
            (false, Some(verification(false)), None),
        ] {
            let asked = ClientCertificates {
                is_required,
                verification,
            };
            assert_eq!(asked.check(), expected, "{asked:?}");
        }
    }
}
