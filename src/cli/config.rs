//! Flags of the core.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::build::Config;
use crate::envoy::listener;
use crate::facts::ClassSelection;
use crate::process::exit_code::UsageError;
use crate::process::listen_address::listen_address;
use crate::translate::{HostOwnership, Options, check_http_proxy_options};

use super::config_file::ConfigFile;
use super::edge::EdgeArgs;
use super::gateway_api::{BuiltIn, GatewayArgs};
use super::http_proxy::HttpProxyArgs;
use super::ingress_nginx::IngressNginxArgs;
use super::tls::TlsArgs;
use super::upstream::UpstreamArgs;

/// What is served, and where Envoy listens.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Ingress")]
pub struct Args {
    /// Where flags are read from.
    #[command(flatten)]
    pub file: ConfigFile,
    /// Serve Ingresses of these classes only (comma-separated); without it, of every IngressClass whose controller is
    /// isobath.dev/ingress-controller.
    #[arg(
        long,
        env = "ISOBATH_INGRESS_CLASS",
        value_name = "NAMES",
        value_delimiter = ','
    )]
    pub ingress_class: Vec<String>,
    /// Serve Services of type ExternalName. Whoever may write one decides where requests go.
    #[arg(long, env = "ISOBATH_ALLOW_EXTERNAL_NAMES")]
    pub allow_external_names: bool,
    /// Who may serve a host that several namespaces name: `shared` merges them, with `namespace` it belongs to the
    /// namespace of the object that has named it first, of whatever kind, and what others say of it is not served.
    #[arg(
        long,
        env = "ISOBATH_HOST_OWNERSHIP",
        value_name = "MODE",
        default_value = "shared"
    )]
    pub host_ownership: Ownership,
    /// What holds for ingress-nginx's dialect.
    #[command(flatten)]
    pub ingress_nginx: IngressNginxArgs,
    /// What HTTPProxies may say.
    #[command(flatten)]
    pub http_proxy: HttpProxyArgs,
    /// How Gateways are reached.
    #[command(flatten)]
    pub gateway: GatewayArgs,
    /// Where Envoy listens for HTTP; `*` is every address, of both families where the kernel has IPv6.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_HTTP_ADDRESS",
        value_name = "IP:PORT",
        default_value = "*:8080",
        value_parser = listen_address
    )]
    pub envoy_http_address: SocketAddr,
    /// Where Envoy listens for HTTPS.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_HTTPS_ADDRESS",
        value_name = "IP:PORT",
        default_value = "*:8443",
        value_parser = listen_address
    )]
    pub envoy_https_address: SocketAddr,
    /// Where Envoy answers /ready and /metrics.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_STATS_ADDRESS",
        value_name = "IP:PORT",
        default_value = "*:8002",
        value_parser = listen_address
    )]
    pub envoy_stats_address: SocketAddr,
    /// What TLS of clients may use.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// What a client may do.
    #[command(flatten)]
    pub edge: EdgeArgs,
    /// How endpoints are spoken to.
    #[command(flatten)]
    pub upstream: UpstreamArgs,
}

/// `--host-ownership`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Ownership {
    /// All namespaces.
    Shared,
    /// That of the object that has named the host first.
    Namespace,
}

impl Args {
    /// That the flags go together, and that what they say of objects can be honoured.
    ///
    /// # Errors
    ///
    /// Two that do not, or one that can't be.
    pub fn check(&self) -> Result<(), UsageError> {
        let checked = self.tls.check().and_then(|()| self.upstream.check());
        let checked = checked.and_then(|()| self.edge.check());
        let checked = checked.and_then(|()| self.gateway.check(self.built_in()));
        let checked = checked.and_then(|()| check_http_proxy_options(&self.http_proxy.options()));
        checked.map_err(UsageError::new)
    }

    /// Where Envoy listens for Ingresses.
    const fn built_in(&self) -> BuiltIn {
        BuiltIn {
            http: self.envoy_http_address,
            https: self.envoy_https_address,
            has_http3: self.edge.envoy_http3,
        }
    }

    /// Where Envoy listens over TCP, with the flags that say where.
    #[must_use]
    pub fn ports_of_envoy(&self) -> Vec<(&'static str, SocketAddr)> {
        let own = [
            ("--envoy-http-address", self.envoy_http_address),
            ("--envoy-https-address", self.envoy_https_address),
            ("--envoy-stats-address", self.envoy_stats_address),
        ];
        let others = self.gateway.others(self.built_in()).into_iter();
        let others = others.map(|address| ("--envoy-ports", address));
        own.into_iter().chain(others).collect()
    }

    /// The core's configuration; `manifests` says whether objects come from files.
    #[must_use]
    pub fn config(&self, manifests: bool) -> Config {
        let edge = self.edge.edge();
        Config {
            classes: ClassSelection {
                names: self
                    .ingress_class
                    .iter()
                    .map(|name| (**name).into())
                    .collect(),
                manifests,
            },
            options: self.ingress_nginx.options(Options {
                allow_external_names: self.allow_external_names,
                host_ownership: match self.host_ownership {
                    Ownership::Shared => HostOwnership::Shared,
                    Ownership::Namespace => HostOwnership::Namespace,
                },
                gateway: {
                    let ports = self.ports_of_envoy().into_iter();
                    let taken = ports.map(|(_, address)| address.port()).collect();
                    self.gateway.options(self.built_in(), taken)
                },
                http_proxy: Arc::new(self.http_proxy.options()),
                https_port: self.edge.envoy_https_redirect_to,
                own_sockets: Arc::default(),
                scheme_is_told: edge.scheme_is_told(),
                tls: self.tls.options(),
                upstream: self.upstream.options(),
                ..Options::default()
            }),
            listeners: listener::Config {
                http: self.envoy_http_address,
                https: self.envoy_https_address,
                stats: self.envoy_stats_address,
                edge,
            },
            clusters: self.edge.tracing.cluster().into_iter().collect(),
        }
    }
}
