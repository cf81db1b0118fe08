//! Addresses to listen on: how a flag says one, and that no two are the same port.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::process::exit_code::UsageError;

/// An address to listen on. `*:PORT` is every address of the machine: `[::]`, which takes IPv4 too, or `0.0.0.0` where the
/// kernel was started without IPv6.
///
/// # Errors
///
/// What it must be.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let sentence =
        || "it is an address with a port such as *:8080, 10.0.0.1:8080 or [::]:8080".to_owned();
    match text.strip_prefix("*:") {
        None => text.parse().map_err(|_| sentence()),
        Some(port) => {
            let port = port.parse().map_err(|_| sentence())?;
            let has_ipv6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok();
            Ok(match has_ipv6 {
                true => (Ipv6Addr::UNSPECIFIED, port).into(),
                false => (Ipv4Addr::UNSPECIFIED, port).into(),
            })
        }
    }
}

/// Envoy binds its ports so that another may share them, in silence: of two listeners on one port each would get
/// some of the connections.
///
/// # Errors
///
/// The two flags, and what to do.
pub fn distinct(listeners: &[(&str, SocketAddr)]) -> Result<(), UsageError> {
    for (at, (flag, address)) in listeners.iter().enumerate() {
        for (other_flag, other) in &listeners[..at] {
            let same_ip = address.ip() == other.ip()
                || address.ip().is_unspecified()
                || other.ip().is_unspecified();
            if same_ip && address.port() == other.port() && address.port() != 0 {
                let sentence = format!(
                    "{flag} {address} and {other_flag} {other} are the same port; choose another for one of them"
                );
                return Err(UsageError::new(sentence));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    /// This machine has IPv6, or it has not: either is every address.
    #[test]
    fn an_address_to_listen_on_may_be_every_one() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let got = listen_address(text).ok().map(|address| address.to_string());
            match expected {
                None => assert_eq!(got, None, "{text}"),
                Some(any_of) => {
                    let got = got.expect(text);
                    assert!(any_of.contains(&got.as_str()), "{text}: {got}");
                }
            }
        };
        check("*:8080", Some(&["[::]:8080", "0.0.0.0:8080"]));
        check("[::]:1", Some(&["[::]:1"]));
        check("0.0.0.0:1", Some(&["0.0.0.0:1"]));
        check("[fd00::1]:80", Some(&["[fd00::1]:80"]));
        for wrong in [
            "",
            "*",
            "*:",
            "*:65536",
            "8080",
            ":8080",
            "::1:80",
            "localhost:80",
        ] {
            check(wrong, None);
        }
    }
}
