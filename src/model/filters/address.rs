//! From which addresses requests are taken.

use std::fmt;
use std::net::IpAddr;

/// Which addresses are let in: one that is allowed and not denied. All others get 403.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AddressRules {
    allow: Option<Vec<(AddressSource, Cidr)>>,
    deny: Vec<(AddressSource, Cidr)>,
}

impl AddressRules {
    /// These and no others. None of them is nobody.
    #[must_use]
    pub const fn allow(ranges: Vec<(AddressSource, Cidr)>) -> Self {
        Self {
            allow: Some(ranges),
            deny: Vec::new(),
        }
    }

    /// All but these.
    #[must_use]
    pub const fn deny(ranges: Vec<(AddressSource, Cidr)>) -> Self {
        Self {
            allow: None,
            deny: ranges,
        }
    }

    /// Without these either.
    #[must_use]
    pub fn but_not(mut self, ranges: Vec<(AddressSource, Cidr)>) -> Self {
        self.deny.extend(ranges);
        self
    }

    /// Which are allowed: `None` for all.
    #[must_use]
    pub fn allowed(&self) -> Option<&[(AddressSource, Cidr)]> {
        self.allow.as_deref()
    }

    /// Whether a client is let in that has this address and no proxy in front.
    #[must_use]
    pub fn takes(&self, address: IpAddr) -> bool {
        let has = |ranges: &[(AddressSource, Cidr)]| {
            ranges.iter().any(|(_, range)| range.contains(address))
        };
        self.allow.as_deref().is_none_or(has) && !has(&self.deny)
    }

    /// Which are denied.
    #[must_use]
    pub fn denied(&self) -> &[(AddressSource, Cidr)] {
        &self.deny
    }
}

/// Whose address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressSource {
    /// The peer's of the connection: the last proxy's, where there is one in front that sends no PROXY header.
    Peer,
    /// The client's, as the proxies say that the operator trusts (`X-Forwarded-For`, PROXY). Where none is trusted it is
    /// the peer's.
    Client,
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Cidr {
    /// `10.0.0.0/8`, or one address. Bits after the prefix don't count, and an IPv4 address in IPv6's clothes is one of
    /// IPv4, as Envoy has those of clients.
    ///
    /// # Errors
    ///
    /// One sentence where it is none.
    pub fn new(text: &str) -> Result<Self, String> {
        let none = || format!("{text:?} is no range of IP addresses (10.0.0.0/8)");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| none())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            // `parse` would take `+8`.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| none())?
            }
            Some(_) => return Err(none()),
        };
        if prefix > bits {
            return Err(none());
        }
        let masked = match address {
            IpAddr::V4(v4) => IpAddr::V4((u32::from(v4) & mask(prefix, 32) as u32).into()),
            IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & mask(prefix, 128)).into()),
        };
        Ok(match (address.to_canonical(), prefix.checked_sub(96)) {
            (IpAddr::V4(_), Some(prefix)) if address.is_ipv6() => Self {
                address: masked.to_canonical(),
                prefix,
            },
            _ => Self {
                address: masked,
                prefix,
            },
        })
    }

    /// The first address.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// How many bits of it count.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether an address is one of it.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        let masked = match (self.address, address) {
            (IpAddr::V4(_), IpAddr::V4(v4)) => {
                IpAddr::V4((u32::from(v4) & mask(self.prefix, 32) as u32).into())
            }
            (IpAddr::V6(_), IpAddr::V6(v6)) => {
                IpAddr::V6((u128::from(v6) & mask(self.prefix, 128)).into())
            }
            _ => return false,
        };
        masked == self.address
    }

    /// The addresses that a host can have, from the lowest on: of IPv4 neither the network's own nor that of all hosts.
    pub fn hosts(self) -> impl Iterator<Item = IpAddr> {
        // The bits that do not count, all set.
        let last = match self.address {
            IpAddr::V4(_) => {
                u128::from(u32::MAX.checked_shr(self.prefix.into()).unwrap_or_default())
            }
            IpAddr::V6(_) => u128::MAX
                .checked_shr(self.prefix.into())
                .unwrap_or_default(),
        };
        let is_wide = self.address.is_ipv4() && self.prefix < 31;
        let from = u128::from(is_wide);
        let to = last - from;
        (from..=to).filter_map(move |offset| match self.address {
            IpAddr::V4(first) => {
                let offset = u32::try_from(offset).ok()?;
                Some(IpAddr::V4(first.to_bits().checked_add(offset)?.into()))
            }
            IpAddr::V6(first) => Some(IpAddr::V6(first.to_bits().checked_add(offset)?.into())),
        })
    }
}

/// The first bits of so many.
const fn mask(prefix: u8, bits: u8) -> u128 {
    match u128::MAX.checked_shl((bits - prefix) as u32) {
        Some(mask) => mask,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_hosts() {
        for (range, expected) in [
            ("192.0.2.0/30", &["192.0.2.1", "192.0.2.2"][..]),
            ("192.0.2.0/31", &["192.0.2.0", "192.0.2.1"]),
            ("192.0.2.7", &["192.0.2.7"]),
            ("0.0.0.0/0", &["0.0.0.1", "0.0.0.2", "0.0.0.3"]),
            ("2001:db8::/127", &["2001:db8::", "2001:db8::1"]),
            ("::/0", &["::", "::1", "::2"]),
        ] {
            let hosts = Cidr::new(range).map(|range| range.hosts().take(3).collect::<Vec<_>>());
            let hosts = hosts.unwrap_or_default();
            let texts: Vec<String> = hosts.iter().map(IpAddr::to_string).collect();
            assert_eq!(texts, expected, "{range}");
        }
    }

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
            let range = Cidr::new(range).ok();
            let has = range
                .zip(address.parse().ok())
                .map(|(it, address)| it.contains(address));
            assert_eq!(has, Some(expected), "{range:?} {address}");
        }
    }

    #[test]
    fn ranges_are_read_in_one_form() {
        for (text, expected) in [
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("10.1.2.3", Some("10.1.2.3/32")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("2001:DB8::1/32", Some("2001:db8::/32")),
            ("::/0", Some("::/0")),
            ("::1", Some("::1/128")),
            ("::ffff:10.1.2.3/104", Some("10.0.0.0/8")),
            ("::ffff:0:0/90", Some("::ffc0:0:0/90")),
            ("10.0.0.0/33", None),
            ("10.0.0.0/+8", None),
            ("10.0.0.0/", None),
            ("10.0.0/8", None),
            ("010.0.0.1", None),
            ("::/129", None),
            ("a.example.com", None),
            ("", None),
        ] {
            let found = Cidr::new(text).ok();
            let found = found.map(|it| format!("{}/{}", it.address(), it.prefix()));
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
