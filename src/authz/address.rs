//! Which addresses are asked that DNS names: those of the outside. What is inside belongs to somebody else than whoever wrote the URL.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::Cidr;

/// Whether an address is one of the outside, or one of these.
pub fn is_allowed(address: IpAddr, allowed: &[Cidr]) -> bool {
    let address = address.to_canonical();
    allowed.iter().any(|range| contains(*range, address)) || is_outside(address)
}

/// Whether a range has an address.
pub fn contains(range: Cidr, address: IpAddr) -> bool {
    match (range.address(), address.to_canonical()) {
        (IpAddr::V4(range_v4), IpAddr::V4(v4)) => {
            shared_bits(
                u128::from(u32::from(range_v4)) << 96,
                u128::from(u32::from(v4)) << 96,
            ) >= u32::from(range.prefix())
        }
        (IpAddr::V6(range_v6), IpAddr::V6(v6)) => {
            shared_bits(range_v6.into(), v6.into()) >= u32::from(range.prefix())
        }
        _ => false,
    }
}

const fn shared_bits(one: u128, other: u128) -> u32 {
    (one ^ other).leading_zeros()
}

fn is_outside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_outside_v4(v4),
        IpAddr::V6(v6) => is_outside_v6(v6),
    }
}

fn is_outside_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let is_inside = v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_broadcast()
        // This network, shared address space, protocol assignments, benchmarks, and what is reserved.
        || a == 0
        || (a == 100 && b & 0xc0 == 64)
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && b & 0xfe == 18)
        || a >= 240;
    !is_inside
}

/// Of IPv6 only what is global is outside, and of that nothing that leads to an address of IPv4 which is not.
fn is_outside_v6(v6: Ipv6Addr) -> bool {
    let segments = v6.segments();
    let tail = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match segments {
        // NAT64.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_outside_v4(tail(high, low)),
        // 6to4.
        [0x2002, high, low, ..] => is_outside_v4(tail(high, low)),
        // Teredo, and documentation.
        [0x2001, 0, ..] | [0x2001, 0xdb8, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_inside_is_not_asked() {
        for (address, expected) in [
            ("93.184.216.34", true),
            ("8.8.8.8", true),
            ("100.63.255.255", true),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("240.0.0.1", false),
            ("198.18.0.1", false),
            ("2606:4700::1111", true),
            ("::1", false),
            ("::", false),
            ("fd00::1", false),
            ("fe80::1", false),
            ("ff02::1", false),
            ("::ffff:10.0.0.1", false),
            ("::ffff:8.8.8.8", true),
            ("64:ff9b::a00:1", false),
            ("64:ff9b::808:808", true),
            ("2002:a00:1::", false),
            ("2002:808:808::", true),
            ("2001:db8::1", false),
            ("2001:0:1::", false),
        ] {
            assert_eq!(
                is_allowed(address.parse().unwrap(), &[]),
                expected,
                "{address}"
            );
        }
        let range = |text| Cidr::new(text).unwrap();
        let allowed = [range("10.1.0.0/16"), range("fd00::/8"), range("0.0.0.0/32")];
        for (address, expected) in [
            ("10.1.2.3", true),
            ("10.2.2.3", false),
            ("fd12::1", true),
            ("fc00::1", false),
            ("0.0.0.0", true),
            ("::ffff:10.1.0.1", true),
        ] {
            assert_eq!(
                is_allowed(address.parse().unwrap(), &allowed),
                expected,
                "{address}"
            );
        }
        assert!(contains(range("0.0.0.0/0"), "1.2.3.4".parse().unwrap()));
        assert!(!contains(range("0.0.0.0/0"), "::1".parse().unwrap()));
    }
}
