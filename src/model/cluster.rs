//! Where requests go.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::objects::FieldRef;

use super::balancing::LoadBalancing;
use super::health::{HealthCheck, OutlierDetection};
use super::percent::Percent;
use super::upstream_tls::UpstreamTls;

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Unique per settings: no two different clusters ever have the same name.
    pub name: Arc<str>,
    /// How its endpoints are found.
    pub discovery: Discovery,
    /// How its endpoints are spoken to.
    pub settings: ClusterSettings,
    /// The Service, or what else names it; `None` for what the operator says.
    pub source: Option<FieldRef>,
}

/// How the endpoints of a cluster are spoken to. [`ClusterSettings::cluster_name`] tells all of them apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClusterSettings {
    /// What is spoken.
    pub protocol: UpstreamProtocol,
    /// Limits.
    pub circuit_breakers: CircuitBreakers,
    /// Which endpoint gets a request.
    pub load_balancing: LoadBalancing,
    /// How long a connection is kept for the next request, `None` for Envoy's hour. Zero is for ever.
    pub idle_timeout: Option<Duration>,
    /// How long a connection may take to come up, `None` for two seconds.
    pub connect_timeout: Option<Duration>,
    /// Requests or connections that ask whether an endpoint is well.
    pub health_check: Option<HealthCheck>,
    /// What is learnt from requests about whether it is.
    pub outlier_detection: OutlierDetection,
    /// Where less than this part of the endpoints is well, all of them are used. Zero is never: Kubernetes has already left
    /// those out that are not ready, and a retry finds the good ones.
    pub panic_threshold: Percent,
    /// How TLS is spoken, where [`Self::protocol`] has it.
    pub tls: UpstreamTls,
    /// The PROXY header that each connection begins with.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// After how many requests a connection is closed, `None` for never.
    pub max_requests_per_connection: Option<NonZeroU32>,
    /// How many bytes a connection may hold back in one direction, `None` for Isobath's own 32 KiB.
    pub per_connection_buffer_limit: Option<u32>,
    /// Which of the addresses that DNS has for a name are used.
    pub dns_lookup_family: DnsLookupFamily,
    /// Whether the one endpoint is the Service's own address, where it has one: its node's kernel balances then.
    pub by_service_address: bool,
}

/// Which addresses are looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DnsLookupFamily {
    /// Of IPv4; where there is none, of IPv6.
    #[default]
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

impl DnsLookupFamily {
    /// Its name in Contour's settings, and in cluster names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V4Preferred => "v4-preferred",
            Self::Auto => "auto",
            Self::V4 => "v4",
            Self::V6 => "v6",
            Self::All => "all",
        }
    }
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProxyProtocol {
    /// Text.
    V1,
    /// Binary.
    V2,
}

/// How a cluster finds its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// A [`LoadAssignment`] of the cluster's name.
    Endpoints,
    /// DNS look-ups of a name, for Services of type ExternalName.
    Dns {
        /// The name, validated.
        hostname: Arc<str>,
        /// The port.
        port: u16,
    },
    /// A Unix socket beside the proxy. It is never an object's to name: behind another socket are the proxy's own pages.
    Socket(SocketPath),
}

/// The path of a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketPath(Arc<str>);

impl SocketPath {
    /// What the kernel takes, less the byte that ends it.
    const MAX: usize = 107;

    /// An absolute path.
    ///
    /// # Errors
    ///
    /// One sentence where Envoy would refuse it.
    pub fn new(path: &str) -> Result<Self, String> {
        if !path.starts_with('/') || path.len() > Self::MAX || path.contains('\0') {
            let most = Self::MAX;
            return Err(format!(
                "{path:?} is no absolute path of at most {most} bytes"
            ));
        }
        Ok(Self(path.into()))
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is spoken to an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpstreamProtocol {
    /// HTTP/1.1 in clear.
    #[default]
    Http1,
    /// HTTP/2 in clear, by prior knowledge.
    H2c,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 over TLS.
    H2,
    /// Anything over TLS, for which no protocol is offered.
    TcpOverTls,
    /// Datagrams: the endpoints are those of a port of UDP. Nothing is said of HTTP or TLS.
    Udp,
}

impl UpstreamProtocol {
    /// Whether TLS is spoken.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        match self {
            Self::Http1 | Self::H2c | Self::Udp => false,
            Self::Tls | Self::H2 | Self::TcpOverTls => true,
        }
    }
}

/// Limits per cluster, `None` for one that nobody reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CircuitBreakers {
    /// Connections.
    pub max_connections: Option<u32>,
    /// Requests that wait for a connection.
    pub max_pending_requests: Option<u32>,
    /// Requests under way.
    pub max_requests: Option<u32>,
    /// Retries under way. It counts before [`Self::retry_budget`].
    pub max_retries: Option<u32>,
    /// Retries in relation to requests, `None` for as many as there are requests.
    pub retry_budget: Option<RetryBudget>,
    /// Connections to one endpoint.
    pub per_host_max_connections: Option<u32>,
}

/// How many retries may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RetryBudget {
    /// Percent of the requests that are under way; more than 100 is 100.
    pub percent: u8,
    /// So many in any case.
    pub least: u32,
}

/// The endpoints of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadAssignment {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// By zone, the empty name first where endpoints have none; without duplicates and sorted.
    pub localities: BTreeMap<Arc<str>, BTreeSet<EndpointAddress>>,
}

/// One endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointAddress {
    /// Its address.
    pub ip: IpAddr,
    /// Its TCP port.
    pub port: u16,
    /// The port where it is asked whether it is well, if that is another.
    pub health_port: Option<u16>,
    /// Its share of the requests in relation to the others', where they are not alike.
    pub weight: Option<NonZeroU32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_have_paths_that_the_kernel_takes() {
        let path = |length: usize| format!("/{}", "s".repeat(length - 1));
        for (path, is_taken) in [
            ("/run/authz.sock", true),
            ("run/authz.sock", false),
            ("@abstract", false),
            ("/a\0b", false),
            ("", false),
            (&path(107), true),
            (&path(108), false),
        ] {
            assert_eq!(SocketPath::new(path).is_ok(), is_taken, "{path:?}");
        }
    }
}
