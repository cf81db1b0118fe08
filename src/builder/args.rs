//! Flags of the core.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::envoy::listener;
use crate::store::ClassSelection;
use crate::translate::Options;

use super::Config;

/// What is served, and where Envoy listens.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Ingress")]
pub struct Args {
    /// Serve Ingresses of this class only, by name; without it, of every IngressClass whose controller is
    /// isobath.dev/ingress-controller.
    #[arg(long, env = "ISOBATH_INGRESS_CLASS", value_name = "NAME")]
    pub ingress_class: Option<String>,
    /// Serve Services of type ExternalName. Whoever may write one decides where requests go.
    #[arg(long, env = "ISOBATH_ALLOW_EXTERNAL_NAMES")]
    pub allow_external_names: bool,
    /// Where Envoy listens for HTTP.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_HTTP_ADDRESS",
        value_name = "IP:PORT",
        default_value = "0.0.0.0:8080"
    )]
    pub envoy_http_address: SocketAddr,
    /// Where Envoy listens for HTTPS.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_HTTPS_ADDRESS",
        value_name = "IP:PORT",
        default_value = "0.0.0.0:8443"
    )]
    pub envoy_https_address: SocketAddr,
    /// Where Envoy answers /ready and /metrics.
    #[arg(
        long,
        env = "ISOBATH_ENVOY_STATS_ADDRESS",
        value_name = "IP:PORT",
        default_value = "0.0.0.0:8002"
    )]
    pub envoy_stats_address: SocketAddr,
}

impl Args {
    /// The core's configuration; `manifests` says whether objects come from files.
    #[must_use]
    pub fn config(&self, manifests: bool) -> Config {
        Config {
            classes: ClassSelection {
                name: self.ingress_class.as_deref().map(Arc::from),
                manifests,
            },
            options: Options {
                allow_external_names: self.allow_external_names,
            },
            listeners: listener::Config {
                http: self.envoy_http_address,
                https: self.envoy_https_address,
                stats: self.envoy_stats_address,
            },
        }
    }
}
