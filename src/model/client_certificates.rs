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
    /// What back ends are told of one that was shown, for connections that are opened from then on; `None` for nothing.
    pub forwarded: Option<ForwardedCertificate>,
}

/// What back ends are told of a client's certificate, in `x-forwarded-client-cert`: its SHA-256 always, and who the server is
/// if its own certificate has a URI. What a client writes there itself never reaches one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForwardedCertificate {
    /// The certificate, as PEM that is URL-encoded.
    pub certificate: bool,
    /// The same with all that was shown above it.
    pub chain: bool,
    /// Its subject.
    pub subject: bool,
    /// Its URIs.
    pub uri: bool,
    /// Its DNS names.
    pub dns: bool,
}

impl ForwardedCertificate {
    /// All that can be told.
    pub fn all() -> impl Iterator<Item = Self> {
        (0_u8..32).map(|bits| {
            let is_set = |bit: u8| bits & (1 << bit) != 0;
            Self {
                certificate: is_set(0),
                chain: is_set(1),
                subject: is_set(2),
                uri: is_set(3),
                dns: is_set(4),
            }
        })
    }

    /// A name that tells it from all others.
    #[must_use]
    pub fn name(self) -> String {
        let Self {
            certificate,
            chain,
            subject,
            uri,
            dns,
        } = self;
        let parts = [
            (true, "hash"),
            (certificate, "cert"),
            (chain, "chain"),
            (subject, "subject"),
            (uri, "uri"),
            (dns, "dns"),
        ];
        let told = parts.into_iter().filter(|(is_told, _)| *is_told);
        told.map(|(_, name)| name).collect::<Vec<_>>().join(",")
    }
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
                forwarded: None,
            };
            assert_eq!(asked.check(), expected, "{asked:?}");
        }
    }

    #[test]
    fn names_of_what_is_told_differ() {
        let names: Vec<String> = ForwardedCertificate::all().map(|it| it.name()).collect();
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!((names.len(), distinct.len()), (32, 32));
        assert_eq!(names[0], "hash");
        assert_eq!(names[31], "hash,cert,chain,subject,uri,dns");
    }
}
