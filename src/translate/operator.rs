//! What the operator decides about every TLS server and every cluster, whatever language an object is in.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::objects::NamespacedName;

use crate::model::{
    Alpn, CipherSuite, CircuitBreakers, ClusterSettings, DnsLookupFamily, TlsParameters,
    TlsSettings,
};

/// What TLS of clients may use. Hosts may narrow it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The least and the most.
    pub versions: TlsSettings,
    /// For TLS 1.2; empty for our own choice.
    pub cipher_suites: Vec<CipherSuite>,
    /// What HTTP is offered in.
    pub alpn: Alpn,
}

impl TlsOptions {
    /// What a host gets that asks for these versions; `None` where it asks for none that the operator allows.
    #[must_use]
    pub fn parameters(&self, asked: TlsSettings) -> Option<TlsParameters> {
        let versions = TlsSettings {
            minimum: asked.minimum.max(self.versions.minimum),
            maximum: asked.maximum.min(self.versions.maximum),
        };
        (versions.minimum <= versions.maximum).then(|| TlsParameters {
            versions,
            cipher_suites: self.cipher_suites.clone(),
            groups: Vec::new(),
        })
    }

    /// The same with these suites, or with those of them that the operator allows, where there are any.
    #[must_use]
    pub fn narrowed(&self, parameters: TlsParameters, asked: &[CipherSuite]) -> TlsParameters {
        let is_allowed =
            |it: &&CipherSuite| self.cipher_suites.is_empty() || self.cipher_suites.contains(it);
        let suites: Vec<CipherSuite> = asked.iter().filter(is_allowed).copied().collect();
        match suites.is_empty() {
            true => parameters,
            false => TlsParameters {
                cipher_suites: suites,
                ..parameters
            },
        }
    }

    /// What a host gets that asks for nothing.
    #[must_use]
    pub fn of_any(&self) -> TlsParameters {
        TlsParameters {
            versions: self.versions,
            cipher_suites: self.cipher_suites.clone(),
            groups: Vec::new(),
        }
    }
}

/// How endpoints are spoken to, where objects do not say. It is the same for all clusters as long as the process lives, and so no
/// part of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamOptions {
    /// How long a connection is kept for the next request.
    pub idle_timeout: Option<Duration>,
    /// How long a connection may take to come up.
    pub connect_timeout: Option<Duration>,
    /// After how many requests a connection is closed.
    pub max_requests_per_connection: Option<NonZeroU32>,
    /// How many bytes a connection may hold back.
    pub per_connection_buffer_limit: Option<u32>,
    /// Which addresses of a DNS name are used.
    pub dns_lookup_family: DnsLookupFamily,
    /// Limits.
    pub circuit_breakers: CircuitBreakers,
    /// What TLS may use.
    pub tls: TlsParameters,
    /// The Secret with the certificate that is shown to who asks for one by TLS.
    pub client_certificate: Option<NamespacedName>,
}

impl UpstreamOptions {
    /// Settings with these in the place of what they do not say.
    #[must_use]
    pub fn complete(&self, mut settings: ClusterSettings) -> ClusterSettings {
        fn fill<T: Copy>(said: &mut Option<T>, otherwise: Option<T>) {
            *said = said.or(otherwise);
        }
        fill(&mut settings.idle_timeout, self.idle_timeout);
        fill(&mut settings.connect_timeout, self.connect_timeout);
        fill(
            &mut settings.max_requests_per_connection,
            self.max_requests_per_connection,
        );
        fill(
            &mut settings.per_connection_buffer_limit,
            self.per_connection_buffer_limit,
        );
        if settings.dns_lookup_family == DnsLookupFamily::default() {
            settings.dns_lookup_family = self.dns_lookup_family;
        }
        let (limits, ours) = (&mut settings.circuit_breakers, &self.circuit_breakers);
        fill(&mut limits.max_connections, ours.max_connections);
        fill(&mut limits.max_pending_requests, ours.max_pending_requests);
        fill(&mut limits.max_requests, ours.max_requests);
        fill(&mut limits.max_retries, ours.max_retries);
        fill(
            &mut limits.per_host_max_connections,
            ours.per_host_max_connections,
        );
        if settings.tls.parameters == TlsParameters::default() {
            settings.tls.parameters = self.tls.clone();
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TlsVersion::{self, V1_2, V1_3};

    #[test]
    fn hosts_narrow_what_the_operator_allows() {
        let settings = |[minimum, maximum]: [TlsVersion; 2]| TlsSettings { minimum, maximum };
        for (ours, asked, expected) in [
            ([V1_2, V1_3], [V1_2, V1_3], Some([V1_2, V1_3])),
            ([V1_2, V1_3], [V1_3, V1_3], Some([V1_3, V1_3])),
            ([V1_3, V1_3], [V1_2, V1_3], Some([V1_3, V1_3])),
            ([V1_2, V1_2], [V1_2, V1_3], Some([V1_2, V1_2])),
            ([V1_3, V1_3], [V1_2, V1_2], None),
            ([V1_2, V1_2], [V1_3, V1_3], None),
        ] {
            let options = TlsOptions {
                versions: settings(ours),
                ..TlsOptions::default()
            };
            let found = options.parameters(settings(asked));
            assert_eq!(
                found.map(|found| found.versions),
                expected.map(settings),
                "{ours:?} {asked:?}"
            );
        }
    }

    #[test]
    fn what_an_object_says_holds() {
        let options = UpstreamOptions {
            idle_timeout: Some(Duration::from_secs(1)),
            connect_timeout: Some(Duration::from_secs(2)),
            max_requests_per_connection: NonZeroU32::new(3),
            per_connection_buffer_limit: Some(4),
            dns_lookup_family: DnsLookupFamily::V6,
            circuit_breakers: CircuitBreakers {
                max_connections: Some(5),
                max_retries: Some(6),
                ..CircuitBreakers::default()
            },
            tls: TlsParameters {
                cipher_suites: CipherSuite::all().take(1).collect(),
                ..TlsParameters::default()
            },
            client_certificate: None,
        };
        let said = ClusterSettings {
            idle_timeout: Some(Duration::ZERO),
            circuit_breakers: CircuitBreakers {
                max_connections: Some(7),
                ..CircuitBreakers::default()
            },
            ..ClusterSettings::default()
        };
        let found = options.complete(said);
        assert_eq!(found.idle_timeout, Some(Duration::ZERO));
        assert_eq!(found.connect_timeout, options.connect_timeout);
        assert_eq!(found.circuit_breakers.max_connections, Some(7));
        assert_eq!(found.circuit_breakers.max_retries, Some(6));
        assert_eq!(found.tls.parameters, options.tls);
        assert_eq!(
            options.complete(found.clone()),
            found,
            "and nothing is said twice"
        );
    }
}
