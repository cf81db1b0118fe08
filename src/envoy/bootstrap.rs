//! Envoy's bootstrap: where its control plane and its admin interface are, and the limits of the whole process.
//!
//! Everything else comes over xDS. The document is JSON (Envoy's own reading of its protobuf), so that it can be read
//! and changed by people.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Name of the static cluster that leads to the control plane.
pub const XDS_CLUSTER: &str = "isobath-xds";
/// Name of the static cluster that leads to Envoy's admin socket, for `/metrics`.
pub const ADMIN_CLUSTER: &str = "isobath-admin";
/// Name of the static cluster that leads to `isobath authz`. What a route asks of it is in the route, and who it is never
/// changes: so it is no part of a snapshot.
pub const AUTHZ_CLUSTER: &str = "isobath-authz";
/// Where its socket is, unless said.
pub const AUTHZ_SOCKET: &str = "/run/isobath/authz.sock";

/// Connections at once over all listeners, as Envoy's edge guide has it.
const MAX_CONNECTIONS: u64 = 50_000;
/// Connections at once of one listener that strangers reach.
const MAX_LISTENER_CONNECTIONS: u64 = 10_000;
/// Size of a compiled regular expression that Envoy refuses. Its own default of 100 is too small for ordinary
/// ones (and for counting the labels of a long host); the translation bounds what objects can ask for.
const REGEX_PROGRAM_LIMIT: u64 = 1 << 20;
/// Size from which on it warns.
const REGEX_PROGRAM_WARNING: u64 = 10_000;
/// Requests of one connection that are begun in one turn of the event loop (CVE-2023-44487, rapid reset): without a
/// limit one client keeps a worker from all others.
const MAX_REQUESTS_PER_CYCLE: u64 = 10;
/// Calls at once to the authorizer in the pod.
const MAX_AUTHZ_REQUESTS: u64 = 1024;
/// Most header lines of a back end's answer, and most KiB of them. Envoy's own 100 and 60 are answered 502, and would
/// have to be said anew in each cluster.
const MAX_RESPONSE_HEADERS: (u64, u64) = (1000, 256);
/// The pause before a request is tried again is random and at most this (and ten times as much before later tries). Envoy
/// reads the body on meanwhile and answers 507 when that is more than a route keeps: its own 25 ms are long.
const RETRY_PAUSE_MS: u64 = 1;
/// After one to two of these Envoy forgets a counter of the Ingress metrics that nothing was added to: hosts come and
/// go, and their counters would stay for as long as Envoy runs. It must be a multiple of the flush interval (5 s).
const STATS_EVICTION: &str = "3600s";

/// What differs between installations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// Where the control plane is.
    pub xds: XdsServer,
    /// Path of the Unix socket for Envoy's admin interface. It has no other: whoever reaches it can stop Envoy
    /// and read its whole configuration.
    pub admin_socket: PathBuf,
    /// Path of the Unix socket of `isobath authz`.
    pub authz_socket: PathBuf,
    /// Envoy's name in the control plane's log.
    pub node_id: String,
    /// Envoy's group, for statistics.
    pub node_cluster: String,
    /// Memory in bytes near which Envoy frees caches (95 %) and refuses requests (98 %); `None` for no watch. Less
    /// than the container's limit: the kernel kills, Envoy answers 503.
    pub max_heap_bytes: Option<u64>,
}

/// The control plane's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XdsServer {
    /// A Unix socket.
    Unix(PathBuf),
    /// TCP, in clear text to loopback addresses only.
    Tcp {
        /// An IP address or a DNS name.
        host: String,
        /// The port.
        port: u16,
        /// Certificates of both sides.
        tls: Option<TlsFiles>,
    },
}

/// Files for mutual TLS. Envoy reads them at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Who signed the control plane's certificate, which must be for the host of the address.
    pub ca: PathBuf,
    /// Envoy's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl XdsServer {
    /// Reads `unix:PATH` or `HOST:PORT`; `tls` counts for the second only.
    ///
    /// # Errors
    ///
    /// One sentence for an address that can't be read, and for TCP without TLS to anything but loopback: the
    /// stream carries private keys.
    pub fn parse(address: &str, tls: Option<TlsFiles>) -> Result<Self, String> {
        if let Some(path) = address.strip_prefix("unix:") {
            return if path.is_empty() {
                Err("`unix:` needs the path of a socket".to_owned())
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        let (host, port) = address
            .rsplit_once(':')
            .ok_or_else(|| format!("`{address}` is neither `unix:PATH` nor `HOST:PORT`"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port
            .parse()
            .map_err(|_| format!("`{port}` is not a port"))?;
        if host.is_empty() {
            return Err(format!("`{address}` names no host"));
        }
        if tls.is_none() && !is_loopback(host) {
            return Err(format!(
                "the control plane at {address} is reached over a network, which needs TLS: name a CA, a certificate and a key"
            ));
        }
        Ok(Self::Tcp {
            host: host.to_owned(),
            port,
            tls,
        })
    }

    fn address(&self) -> Value {
        match self {
            Self::Unix(path) => pipe(path),
            Self::Tcp { host, port, .. } => {
                json!({"socket_address": {"address": host, "port_value": port}})
            }
        }
    }

    fn cluster(&self) -> Value {
        let by_name = match self {
            Self::Unix(_) => false,
            Self::Tcp { host, .. } => host.parse::<IpAddr>().is_err(),
        };
        let mut cluster = json!({
            "name": XDS_CLUSTER,
            "type": if by_name { "STRICT_DNS" } else { "STATIC" },
            "connect_timeout": "5s",
            "load_assignment": assignment(XDS_CLUSTER, &self.address()),
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {
                        // A control plane that hangs, or a node that is gone, ends the stream.
                        "connection_keepalive": {"interval": "30s", "timeout": "5s"},
                    }},
                },
            },
        });
        if let Self::Tcp {
            host,
            tls: Some(files),
            ..
        } = self
        {
            cluster["transport_socket"] = files.transport_socket(host);
        }
        cluster
    }
}

impl TlsFiles {
    fn transport_socket(&self, host: &str) -> Value {
        let (kind, sni) = if host.parse::<IpAddr>().is_ok() {
            ("IP_ADDRESS", "")
        } else {
            ("DNS", host)
        };
        json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": sni,
                "common_tls_context": {
                    "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
                    "tls_certificates": [{
                        "certificate_chain": {"filename": self.certificate},
                        "private_key": {"filename": self.key},
                    }],
                    "validation_context": {
                        "trusted_ca": {"filename": self.ca},
                        "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": host}}],
                    },
                },
            },
        })
    }
}

impl Bootstrap {
    /// The document.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "node": {"id": self.node_id, "cluster": self.node_cluster},
            "admin": {"address": {"pipe": {"path": self.admin_socket, "mode": 0o600}}},
            "dynamic_resources": dynamic_resources(),
            "static_resources": {"clusters": [self.xds.cluster(), self.admin_cluster(), self.authz_cluster()]},
            "overload_manager": self.overload_manager(),
            "layered_runtime": {"layers": [{"name": "isobath", "static_layer": runtime()}]},
            // Statistics of a host are made when it is first used: Envoy starts several times faster with thousands.
            "deferred_stat_options": {"enable_deferred_creation_stats": true},
            "stats_config": stats_config(),
            "stats_eviction_interval": STATS_EVICTION,
        })
    }

    fn admin_cluster(&self) -> Value {
        json!({
            "name": ADMIN_CLUSTER,
            "type": "STATIC",
            "connect_timeout": "2s",
            "load_assignment": assignment(ADMIN_CLUSTER, &pipe(&self.admin_socket)),
        })
    }

    /// Where nobody listens, calls fail at once, and the requests that are asked about with them.
    fn authz_cluster(&self) -> Value {
        json!({
            "name": AUTHZ_CLUSTER,
            "type": "STATIC",
            "connect_timeout": "2s",
            // As many as the authorizer takes on at a time. Beyond it is no answer, and closes.
            "circuit_breakers": {"thresholds": [{
                "max_requests": MAX_AUTHZ_REQUESTS,
                "max_pending_requests": MAX_AUTHZ_REQUESTS,
            }]},
            "load_assignment": assignment(AUTHZ_CLUSTER, &pipe(&self.authz_socket)),
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": {"http2_protocol_options": {}},
                },
            },
        })
    }

    fn overload_manager(&self) -> Value {
        let mut monitors = vec![json!({
            "name": "envoy.resource_monitors.global_downstream_max_connections",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                "max_active_downstream_connections": MAX_CONNECTIONS,
            },
        })];
        let mut actions = Vec::new();
        if let Some(bytes) = self.max_heap_bytes {
            monitors.push(json!({
                "name": "envoy.resource_monitors.fixed_heap",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                    "max_heap_size_bytes": bytes,
                },
            }));
            actions.push(heap_action("envoy.overload_actions.shrink_heap", 0.95));
            actions.push(heap_action(
                "envoy.overload_actions.stop_accepting_requests",
                0.98,
            ));
        }
        json!({
            "refresh_interval": "0.250s",
            "resource_monitors": monitors,
            "actions": actions,
        })
    }
}

/// One delta stream for everything. `initial_fetch_timeout: 0s` for listeners and clusters: an Envoy that starts before
/// its control plane waits for it, instead of being ready without a listener after 15 s.
fn dynamic_resources() -> Value {
    let source = json!({"resource_api_version": "V3", "ads": {}, "initial_fetch_timeout": "0s"});
    json!({
        "ads_config": {
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": true,
            "grpc_services": [{"envoy_grpc": {
                "cluster_name": XDS_CLUSTER,
                // Envoy's own back-off grows to 30 s, which a restart of the control plane would cost in staleness.
                "retry_policy": {"retry_back_off": {"base_interval": "0.250s", "max_interval": "2s"}},
            }}],
        },
        "lds_config": source,
        "cds_config": source,
    })
}

fn heap_action(name: &str, threshold: f64) -> Value {
    json!({
        "name": name,
        "triggers": [{"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": threshold}}],
    })
}

fn runtime() -> Value {
    json!({
        "re2.max_program_size.error_level": REGEX_PROGRAM_LIMIT,
        "re2.max_program_size.warn_level": REGEX_PROGRAM_WARNING,
        "http.max_requests_per_io_cycle": MAX_REQUESTS_PER_CYCLE,
        // Without it, bytes behind a chunk are skipped up to the next line (1.40): a place for proxies to disagree.
        "envoy.reloadable_features.strict_chunk_parsing": true,
        "upstream.base_retry_backoff_ms": RETRY_PAUSE_MS,
        "envoy.reloadable_features.max_response_headers_count": MAX_RESPONSE_HEADERS.0,
        "envoy.reloadable_features.max_response_headers_size_kb": MAX_RESPONSE_HEADERS.1,
        "envoy.resource_limits.listener.http.connection_limit": MAX_LISTENER_CONNECTIONS,
        "envoy.resource_limits.listener.https.connection_limit": MAX_LISTENER_CONNECTIONS,
    })
}

/// A cluster counts everything again per kind of client and per pair of zones. Nobody internal exists (see the
/// connection manager) and zones have no part in balancing, so those are a multiple of the statistics for nothing.
fn stats_config() -> Value {
    json!({
        "stats_matcher": {"exclusion_list": {"patterns": [
            {"contains": ".external."},
            {"contains": ".internal."},
            {"contains": ".zone."},
        ]}},
    })
}

fn assignment(cluster: &str, address: &Value) -> Value {
    json!({
        "cluster_name": cluster,
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
    })
}

fn pipe(path: &Path) -> Value {
    json!({"pipe": {"path": path}})
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
