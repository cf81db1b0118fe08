//! `--backend`: a program of one's own in the place of a Service's endpoints.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::str::FromStr;

use crate::objects::{NamespacedName, ServiceBackendPort, ServicePort};

/// One `--backend`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// The Service.
    pub service: NamespacedName,
    /// The Service's port; `None` for all.
    pub port: Option<ServiceBackendPort>,
    /// Where its traffic goes.
    pub address: SocketAddr,
}

impl Backend {
    /// Whether it stands for this port of its Service.
    #[must_use]
    pub fn covers(&self, port: &ServicePort) -> bool {
        match &self.port {
            Some(ServiceBackendPort::Name(name)) => *name == port.name,
            Some(ServiceBackendPort::Number(number)) => *number == port.port,
            Some(ServiceBackendPort::Missing) => false,
            None => true,
        }
    }
}

impl FromStr for Backend {
    type Err = String;

    /// Reads `[NAMESPACE/]SERVICE[:PORT]=HOST:PORT`. A host name is looked up now, an IPv4 address preferred: endpoints
    /// are addresses.
    fn from_str(text: &str) -> Result<Self, String> {
        let (service, address) = text
            .split_once('=')
            .ok_or("it is [NAMESPACE/]SERVICE[:PORT]=HOST:PORT and has no `=`")?;
        let (service, port) = match service.split_once(':') {
            None => (service, None),
            Some((service, port)) => (service, Some(port)),
        };
        let (namespace, name) = service.split_once('/').unwrap_or(("default", service));
        for part in [Some(namespace), Some(name), port].into_iter().flatten() {
            let valid =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if part.is_empty() || !part.bytes().all(valid) {
                return Err(format!(
                    "`{part}` can't be the name of a namespace, Service or port"
                ));
            }
        }
        let port = match port {
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(ServiceBackendPort::Number(
                    port.parse().map_err(|_| format!("`{port}` is no port"))?,
                ))
            }
            port => port.map(|port| ServiceBackendPort::Name(port.into())),
        };
        let addresses: Vec<_> = address
            .to_socket_addrs()
            .map_err(|error| format!("`{address}` is no HOST:PORT: {error}"))?
            .collect();
        let address = addresses
            .iter()
            .find(|address| address.is_ipv4())
            .or(addresses.first())
            .ok_or_else(|| format!("`{address}` has no address"))?;
        if address.port() == 0 {
            return Err("port 0 can't be connected to".to_owned());
        }
        Ok(Self {
            service: NamespacedName::new(namespace, name),
            port,
            address: *address,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn the_flag_is_read() {
        let check =
            |text: &str, namespace: &str, port: Option<ServiceBackendPort>, address: &str| {
                let expected = Backend {
                    service: NamespacedName::new(namespace, "web"),
                    port,
                    address: address.parse().unwrap(),
                };
                assert_eq!(text.parse::<Backend>(), Ok(expected), "{text}");
            };
        let number = Some(ServiceBackendPort::Number(80));
        let name = Some(ServiceBackendPort::Name("http".into()));
        check("web=127.0.0.1:3000", "default", None, "127.0.0.1:3000");
        check("shop/web=127.0.0.1:3000", "shop", None, "127.0.0.1:3000");
        check("shop/web:80=[::1]:3000", "shop", number, "[::1]:3000");
        check("web:http=localhost:3000", "default", name, "127.0.0.1:3000");
    }

    #[test]
    fn a_wrong_one_is_refused_in_a_sentence() {
        for (text, expected) in [
            (
                "web",
                "it is [NAMESPACE/]SERVICE[:PORT]=HOST:PORT and has no `=`",
            ),
            (
                "=127.0.0.1:1",
                "`` can't be the name of a namespace, Service or port",
            ),
            (
                "a/b/c=127.0.0.1:1",
                "`b/c` can't be the name of a namespace, Service or port",
            ),
            ("web:99999=127.0.0.1:1", "`99999` is no port"),
            ("web=127.0.0.1:0", "port 0 can't be connected to"),
        ] {
            assert_eq!(text.parse::<Backend>(), Err(expected.to_owned()), "{text}");
        }
        let error = "web=3000".parse::<Backend>().unwrap_err();
        assert!(error.starts_with("`3000` is no HOST:PORT: "), "{error}");
    }
}
