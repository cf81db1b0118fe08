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
        self.addresses.iter().any(|range| contains(*range, address))
    }
}

fn contains(range: Cidr, address: IpAddr) -> bool {
    let (one, other, bits) = match (range.address(), address) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            (u128::from(one.to_bits()), u128::from(other.to_bits()), 32)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits(), other.to_bits(), 128),
        _ => return false,
    };
    let host_bits = bits - u32::from(range.prefix().min(u8::try_from(bits).unwrap_or(u8::MAX)));
    let network = |address: u128| address.checked_shr(host_bits).unwrap_or_default();
    network(one) == network(other)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_range_has_its_addresses() {
        for (range, address, expected) in [
            ("127.9.0.0/16", "127.9.255.1", true),
            ("127.9.0.0/16", "127.10.0.1", false),
            ("127.9.0.1/32", "127.9.0.1", true),
            ("127.9.0.1/32", "127.9.0.2", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/64", "2001:db8::ffff", true),
            ("2001:db8::/64", "2001:db8:0:1::1", false),
        ] {
            let options = GatewayOptions {
                addresses: [Cidr::new(range).unwrap()].into(),
            };
            assert_eq!(
                options.has(address.parse().unwrap()),
                expected,
                "{range} {address}"
            );
        }
    }
}
