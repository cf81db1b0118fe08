//! The real [`StandIn`]: listening sockets and fresh certificates.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::objects::{NamespacedName, ServicePort, TlsCertificate};

use super::certificate;
use super::echo::Echo;
use super::event_filter::StandIn;

/// Echo backends and certificates of this process.
#[derive(Debug)]
pub struct Local {
    echo: Echo,
    unknown_host: SocketAddr,
}

impl Local {
    /// Hands out backends of `echo`; `unknown_host` answers where no Ingress has a rule.
    #[must_use]
    pub fn new(echo: Echo, unknown_host: SocketAddr) -> Self {
        Self { echo, unknown_host }
    }
}

impl StandIn for Local {
    fn echo(&mut self, service: &NamespacedName, port: &ServicePort) -> SocketAddr {
        self.echo.address(service, port.port)
    }

    fn unknown_host(&self) -> SocketAddr {
        self.unknown_host
    }

    fn certificate(&mut self, hosts: &BTreeSet<Arc<str>>) -> Result<TlsCertificate, String> {
        certificate::self_signed(hosts)
    }
}
