//! The real [`StandIn`]: listening sockets and fresh certificates.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::k8s::{NamespacedName, ServicePort, TlsCertificate};

use super::certificate;
use super::echo::Echo;
use super::overlay::StandIn;

/// Echo backends and certificates of this process.
#[derive(Debug)]
pub struct Local {
    echo: Echo,
}

impl Local {
    /// Hands out backends of `echo`.
    #[must_use]
    pub fn new(echo: Echo) -> Self {
        Self { echo }
    }
}

impl StandIn for Local {
    fn echo(&mut self, service: &NamespacedName, port: &ServicePort) -> SocketAddr {
        self.echo.address(service, port.port)
    }

    fn certificate(&mut self, hosts: &BTreeSet<Arc<str>>) -> Result<TlsCertificate, String> {
        certificate::self_signed(hosts)
    }
}
