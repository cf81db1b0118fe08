//! Listeners: sockets of the proxy, and what is spoken on them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A socket that the proxy listens on. Whoever shares address and port shares the listener: names tell hosts apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Unique and stable: it names the listener's managers, tables and statistics as well. One with another address or
    /// application is another listener to a client.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: SocketAddr,
    /// What is spoken there, and over which transport.
    pub application: Application,
}

/// What the name of a claimed listener may have beside letters and digits: nothing that separates it from what is named after
/// it (`>`), and nothing that means something in a format of the proxy's (`%`).
const NAME_BYTES: &[u8] = b"-._/:";

impl Listener {
    /// The name of the one for clear text that Ingresses are served on.
    pub const HTTP: &str = "http";
    /// The name of the one for TLS that Ingresses are served on.
    pub const HTTPS: &str = "https";

    /// Whether it is the name of a listener that is there whatever objects say, or of `stats`.
    #[must_use]
    pub fn is_built_in(name: &str) -> bool {
        [Self::HTTP, Self::HTTPS, "stats"].contains(&name)
    }

    /// Whether a claimed listener can have the name.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || NAME_BYTES.contains(&byte);
        !name.is_empty() && name.bytes().all(is_good)
    }
}

/// What is spoken on a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Application {
    /// HTTP in clear over TCP: one route table for all hosts.
    Http,
    /// TLS over TCP, by server name: terminated with HTTP inside, or passed through.
    Tls,
    /// The same, and its hosts over QUIC too, at the same port of UDP.
    TlsAndHttp3(Http3),
    /// Anything over TCP: every connection goes to a back end.
    Tcp(Forwarding),
    /// Anything over UDP: every session, by the client's address and port, goes to a back end.
    Udp(Forwarding),
}

/// HTTP/3 beside HTTPS. What QUIC can't honour stays with TCP: hosts that are passed through, and those of a TLS server
/// with settings of its own ([`super::TlsServer::is_for_http3`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http3 {
    /// The port of UDP by which clients reach it, as answers over TCP tell them (`alt-svc`).
    pub advertised_port: u16,
}

/// What is spoken on a listener, as far as the hosts on it have to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Spoken {
    /// [`Application::Http`].
    Http,
    /// [`Application::Tls`], [`Application::TlsAndHttp3`].
    Tls,
    /// It has no hosts.
    Opaque,
}

impl Application {
    /// What its hosts have to know.
    #[must_use]
    pub const fn spoken(&self) -> Spoken {
        match self {
            Self::Http => Spoken::Http,
            Self::Tls | Self::TlsAndHttp3(_) => Spoken::Tls,
            Self::Tcp(_) | Self::Udp(_) => Spoken::Opaque,
        }
    }

    /// Its HTTP/3, if it has any.
    #[must_use]
    pub const fn http3(&self) -> Option<Http3> {
        match self {
            Self::TlsAndHttp3(http3) => Some(*http3),
            Self::Http | Self::Tls | Self::Tcp(_) | Self::Udp(_) => None,
        }
    }
}

/// Where connections or sessions go that are not looked into.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Forwarding {
    /// The share of one that does not exist is closed (TCP) or dropped (UDP), and so is
    /// everything where there is none, or where all weights are 0.
    pub shares: Vec<Share>,
    /// The weight of back ends that can't be: their share is closed, or dropped.
    pub refused: u32,
    /// Whether the client's address chooses the endpoint, in clusters that look at it.
    pub hash_source_ip: bool,
    /// How long nothing may pass before it is closed; `None` for the proxy's own limit: an hour (TCP), a minute (UDP).
    pub idle_timeout: Option<Duration>,
}

/// A share of the connections or sessions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Share {
    /// Name of a [`super::Cluster`].
    pub cluster: Arc<str>,
    /// How large it is, relative to the sum of all.
    pub weight: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_nothing_that_separates() {
        for name in ["gw", "https-wildcard", "ns/gateway/[port]", "a.b_c:80/x"] {
            assert_eq!(Listener::is_name(name), !name.contains('['), "{name}");
        }
        for name in ["", "a>b", "a>http", "100%", "a b", "a\n", "ä"] {
            assert!(!Listener::is_name(name), "{name}");
        }
    }
}
