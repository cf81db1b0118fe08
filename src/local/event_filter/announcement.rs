//! What stands in for what, in words.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::objects::NamespacedName;

/// What the filter did, for the person at the terminal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Announcement {
    /// An echo backend answers for a port of a Service without EndpointSlice.
    Echo(NamespacedName, u16),
    /// A `--backend` answers for a port of a Service.
    Backend(NamespacedName, u16, SocketAddr),
    /// A certificate was made for a Secret that does not exist, for these hosts.
    Certificate(NamespacedName, Vec<Arc<str>>),
    /// It could not be made.
    NoCertificate(NamespacedName, String),
}

impl fmt::Display for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Echo(service, port) => {
                write!(
                    f,
                    "Service {service} has no endpoints: an echo backend answers for port {port}"
                )
            }
            Self::Backend(service, port, address) => {
                write!(
                    f,
                    "Service {service}: port {port} goes to {address} (--backend)"
                )
            }
            Self::Certificate(secret, hosts) => write!(
                f,
                "Secret {secret} does not exist: made a certificate that no client trusts for {}",
                hosts.join(", ")
            ),
            Self::NoCertificate(secret, sentence) => {
                write!(f, "Secret {secret} does not exist, and {sentence}")
            }
        }
    }
}
