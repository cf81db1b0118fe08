//! Flags for endpoints: how they are spoken to, where objects do not say.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::model::{self, CipherSuite, CircuitBreakers, TlsParameters};
use crate::objects::NamespacedName;
use crate::process::duration::{duration, duration_within};
use crate::translate::UpstreamOptions;

use super::http_proxy::namespaced_name;
use super::tls::{Version, versions};

/// How endpoints are spoken to.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Endpoints")]
pub struct UpstreamArgs {
    /// How long a connection to an endpoint is kept for the next request, which must be less than the endpoint keeps it;
    /// without it an hour, 0s for ever.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_UPSTREAM_IDLE_TIMEOUT",
        value_name = "TIME",
        value_parser = duration
    )]
    pub envoy_upstream_idle_timeout: Option<Duration>,
    /// How long a connection to an endpoint may take to come up; without it 2s.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_UPSTREAM_CONNECT_TIMEOUT",
        value_name = "TIME",
        value_parser = connect_time
    )]
    pub envoy_upstream_connect_timeout: Option<Duration>,
    /// Close a connection to an endpoint after so many requests.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_UPSTREAM_MAX_REQUESTS_PER_CONNECTION",
        value_name = "NUMBER"
    )]
    pub envoy_upstream_max_requests_per_connection: Option<NonZeroU32>,
    /// How many bytes a connection to an endpoint may hold back in one direction; without it 32768.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_UPSTREAM_BUFFER_LIMIT",
        value_name = "BYTES",
        value_parser = clap::value_parser!(u32).range(1024..)
    )]
    pub envoy_upstream_buffer_limit: Option<u32>,
    /// Which addresses of a DNS name (ExternalName, keys of tokens) are used.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_DNS_LOOKUP_FAMILY",
        value_name = "FAMILY",
        default_value = "v4-preferred"
    )]
    pub envoy_dns_lookup_family: DnsLookupFamily,
    /// Connections at once, for Services that do not say (projectcontour.io/max-connections).
    #[arg(
        long,
        env = "ISOBATH_CIRCUIT_BREAKERS_MAX_CONNECTIONS",
        value_name = "NUMBER"
    )]
    pub circuit_breakers_max_connections: Option<u32>,
    /// Requests that wait for a connection, likewise.
    #[arg(
        long,
        env = "ISOBATH_CIRCUIT_BREAKERS_MAX_PENDING_REQUESTS",
        value_name = "NUMBER"
    )]
    pub circuit_breakers_max_pending_requests: Option<u32>,
    /// Requests at once, likewise.
    #[arg(
        long,
        env = "ISOBATH_CIRCUIT_BREAKERS_MAX_REQUESTS",
        value_name = "NUMBER"
    )]
    pub circuit_breakers_max_requests: Option<u32>,
    /// Retries at once, likewise.
    #[arg(
        long,
        env = "ISOBATH_CIRCUIT_BREAKERS_MAX_RETRIES",
        value_name = "NUMBER"
    )]
    pub circuit_breakers_max_retries: Option<u32>,
    /// Connections to one endpoint at once, likewise.
    #[arg(
        long,
        env = "ISOBATH_CIRCUIT_BREAKERS_PER_HOST_MAX_CONNECTIONS",
        value_name = "NUMBER"
    )]
    pub circuit_breakers_per_host_max_connections: Option<u32>,
    /// The least version of TLS to endpoints.
    #[arg(
        long,
        env = "ISOBATH_UPSTREAM_TLS_MINIMUM_PROTOCOL_VERSION",
        value_name = "VERSION",
        default_value = "1.2"
    )]
    pub upstream_tls_minimum_protocol_version: Version,
    /// The most.
    #[arg(
        long,
        env = "ISOBATH_UPSTREAM_TLS_MAXIMUM_PROTOCOL_VERSION",
        value_name = "VERSION",
        default_value = "1.3"
    )]
    pub upstream_tls_maximum_protocol_version: Version,
    /// Cipher suites of TLS 1.2 to endpoints, the best first (comma-separated); without it Envoy's own.
    #[arg(
        long,
        env = "ISOBATH_UPSTREAM_TLS_CIPHER_SUITES",
        value_name = "NAMES",
        value_delimiter = ',',
        value_parser = CipherSuite::new
    )]
    pub upstream_tls_cipher_suites: Vec<CipherSuite>,
    /// The Secret with the certificate that endpoints are shown which ask for one by TLS.
    #[arg(
        long,
        env = "ISOBATH_TLS_ENVOY_CLIENT_CERTIFICATE",
        value_name = "NAMESPACE/NAME",
        value_parser = namespaced_name
    )]
    pub tls_envoy_client_certificate: Option<NamespacedName>,
}

/// `--envoy-dns-lookup-family`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DnsLookupFamily {
    /// Of IPv4; where there is none, of IPv6.
    V4Preferred,
    /// Of IPv6; where there is none, of IPv4.
    Auto,
    /// Of IPv4.
    V4,
    /// Of IPv6.
    V6,
    /// Of both.
    All,
}

/// No connection comes up in no time.
fn connect_time(text: &str) -> Result<Duration, String> {
    duration_within(text, Duration::from_millis(1)..=Duration::MAX)
}

impl UpstreamArgs {
    /// For the translation.
    #[must_use]
    pub fn options(&self) -> UpstreamOptions {
        UpstreamOptions {
            idle_timeout: self.envoy_upstream_idle_timeout,
            connect_timeout: self.envoy_upstream_connect_timeout,
            max_requests_per_connection: self.envoy_upstream_max_requests_per_connection,
            per_connection_buffer_limit: self.envoy_upstream_buffer_limit,
            dns_lookup_family: match self.envoy_dns_lookup_family {
                DnsLookupFamily::V4Preferred => model::DnsLookupFamily::V4Preferred,
                DnsLookupFamily::Auto => model::DnsLookupFamily::Auto,
                DnsLookupFamily::V4 => model::DnsLookupFamily::V4,
                DnsLookupFamily::V6 => model::DnsLookupFamily::V6,
                DnsLookupFamily::All => model::DnsLookupFamily::All,
            },
            circuit_breakers: CircuitBreakers {
                max_connections: self.circuit_breakers_max_connections,
                max_pending_requests: self.circuit_breakers_max_pending_requests,
                max_requests: self.circuit_breakers_max_requests,
                max_retries: self.circuit_breakers_max_retries,
                retry_budget: None,
                per_host_max_connections: self.circuit_breakers_per_host_max_connections,
            },
            tls: TlsParameters {
                versions: versions(
                    self.upstream_tls_minimum_protocol_version,
                    self.upstream_tls_maximum_protocol_version,
                ),
                cipher_suites: self.upstream_tls_cipher_suites.clone(),
                groups: Vec::new(),
            },
            client_certificate: self.tls_envoy_client_certificate.clone(),
        }
    }

    /// Why these flags do not go together.
    pub(super) fn check(&self) -> Result<(), String> {
        let versions = self.options().tls.versions;
        match versions.minimum > versions.maximum {
            true => Err("--upstream-tls-minimum-protocol-version is above --upstream-tls-maximum-protocol-version: no endpoint could be reached; take one of them back".to_owned()),
            false => Ok(()),
        }
    }
}
