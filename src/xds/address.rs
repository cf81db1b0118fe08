//! Where the xDS server listens.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// An address as `--xds-address` takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `HOST:PORT`; an IPv6 address stands in brackets.
    Tcp {
        /// A name or an IP address, without brackets.
        host: String,
        /// The port; 0 lets the system choose.
        port: u16,
    },
}

/// Longest path of a Unix socket: `sockaddr_un.sun_path` less its end, less the suffix used while binding.
const PATH_LIMIT: usize = 107 - ".new".len();

impl Address {
    /// Whether only this host can reach it. A name is not looked up: only `localhost` is taken for what it says.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { host, .. } => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err("unix: needs a path, as in unix:/run/isobath/xds.sock".into());
            }
            if path.len() > PATH_LIMIT {
                return Err(format!(
                    "the path of a Unix socket can have {PATH_LIMIT} bytes, this one has {}",
                    path.len()
                ));
            }
            return Ok(Self::Unix(path.into()));
        }
        let (host, port) = text
            .rsplit_once(':')
            .ok_or("it must be unix:PATH or HOST:PORT")?;
        let port = port
            .parse()
            .map_err(|_| format!("{port:?} is not a port"))?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = match bare {
            Some(host) => host,
            None if host.contains(':') => {
                return Err("an IPv6 address stands in brackets, as in [::1]:18000".into());
            }
            None => host,
        };
        if host.is_empty() {
            return Err("the host is missing: name the address to listen on".into());
        }
        Ok(Self::Tcp {
            host: host.into(),
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn addresses() {
        for (text, local) in [
            ("unix:/run/isobath/xds.sock", true),
            ("127.0.0.1:18000", true),
            ("127.8.8.8:1", true),
            ("[::1]:18000", true),
            ("localhost:18000", true),
            ("0.0.0.0:18000", false),
            ("*:18000", false),
            ("[::]:18000", false),
            ("10.0.0.1:18000", false),
            ("xds.example.com:18000", false),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(address.is_local(), local, "{text}");
        }
    }

    #[test]
    fn no_addresses() {
        let long = format!("unix:/{}", "x".repeat(120));
        for text in [
            "",
            "unix:",
            "/run/xds.sock",
            "host",
            "host:",
            "host:99999",
            ":18000",
            "::1:18000",
            long.as_str(),
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
