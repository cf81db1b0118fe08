//! What the operator decided for Gateways.

use std::net::IpAddr;

use crate::model::Cidr;

/// What the operator decided for Gateways.
#[derive(Clone, Debug, Default)]
pub struct GatewayOptions {
    /// The addresses that Gateways may have, each its own: those that they name, or one that the holder of the lease gives
    /// them. With none of them no Gateway is served.
    pub addresses: Box<[Cidr]>,
}

impl GatewayOptions {
    /// Whether a Gateway may have the address.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|range| range.contains(address))
    }
}
