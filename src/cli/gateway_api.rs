//! Flags for Gateways.

use crate::model::Cidr;
use crate::translate::GatewayOptions;

/// Which addresses Gateways may have.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Gateway API")]
pub struct GatewayArgs {
    /// The addresses that Gateways may have, as ranges (comma-separated). Each has its own: those of its spec.addresses, or one that
    /// it is given. Envoy binds them itself, on every node. Without a range no Gateway is served.
    #[arg(
        long,
        env = "ISOBATH_GATEWAY_ADDRESSES",
        value_name = "RANGES",
        value_delimiter = ',',
        value_parser = Cidr::new
    )]
    pub gateway_addresses: Vec<Cidr>,
}

impl GatewayArgs {
    /// For the translation.
    #[must_use]
    pub fn options(&self) -> GatewayOptions {
        GatewayOptions {
            addresses: self.gateway_addresses.clone().into(),
        }
    }
}
