//! What is gathered while the rules of a route are read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::PathRewrite;
use crate::objects::gateway_api::PathModifier;
use crate::objects::{Kind, NamespacedName, ObjectRef};
use crate::translate::{ClusterSource, Input, budget};

use super::fault::Fault;
use super::shown::Shown;

/// One sentence on what is asked for that is not served.
#[derive(Debug)]
pub struct Unserved(pub String);

/// That a filter is there twice, of which one would be skipped.
pub fn twice(kind: &str) -> Unserved {
    Unserved(format!("two filters {kind} of one rule or back end"))
}

/// What a route leads to its back ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// Requests.
    Http,
    /// Calls of gRPC.
    Grpc,
    /// Connections that are not looked into.
    Tcp,
    /// What comes out of connections whose TLS ends here.
    Ended,
    /// Datagrams.
    Udp,
}

impl Carries {
    /// That of a kind of routes.
    pub const fn of(kind: Kind) -> Self {
        match kind {
            Kind::GrpcRoute => Self::Grpc,
            Kind::TlsRoute | Kind::TcpRoute => Self::Tcp,
            Kind::UdpRoute => Self::Udp,
            _ => Self::Http,
        }
    }

    /// Whether nobody looks into it.
    pub const fn is_opaque(self) -> bool {
        matches!(self, Self::Tcp | Self::Ended | Self::Udp)
    }

    /// Whether a policy may say that TLS is spoken to the back ends.
    pub const fn is_policed(self) -> bool {
        matches!(self, Self::Http | Self::Grpc | Self::Ended)
    }
}

/// What is gathered while rules are read.
pub struct Made<'a> {
    /// The objects.
    pub input: Input<'a>,
    /// The route.
    pub route: &'a ObjectRef,
    /// What back ends are shown.
    pub shown: &'a Shown,
    /// What it leads to its back ends.
    pub carries: Carries,
    /// The clusters that are named.
    pub clusters: BTreeMap<Arc<str>, ClusterSource>,
    /// What of its references can't be used.
    pub references: Vec<Fault>,
    /// The Services that are named, of which a policy may say how they are spoken to.
    pub services: BTreeSet<NamespacedName>,
    /// What is not as it says, and keeps nothing from being served.
    pub told: Vec<Fault>,
    /// What its rules come to so far, for one host.
    pub cost: u64,
}

impl Made<'_> {
    /// Pays for what is about to be made.
    ///
    /// # Errors
    ///
    /// Where it would be more than one object may come to.
    pub fn pay(&mut self, cost: u64) -> Result<(), Unserved> {
        self.cost = self.cost.saturating_add(cost);
        check_cost(self.cost)
    }
}

/// That this is no more than one object may come to.
///
/// # Errors
///
/// Where it is.
pub fn check_cost(cost: u64) -> Result<(), Unserved> {
    match cost > budget::BASE {
        true => Err(Unserved(format!(
            "its rules are not served: {}",
            budget::EXCEEDED
        ))),
        false => Ok(()),
    }
}

/// A new path, as a filter says it. An empty one is as good as the root.
///
/// # Errors
///
/// One sentence on what is no path.
pub fn rewrite(path: &PathModifier) -> Result<PathRewrite, Unserved> {
    let (PathModifier::ReplaceFullPath(text) | PathModifier::ReplacePrefixMatch(text)) = path;
    let is_path = text.is_empty() || text.starts_with('/');
    if !is_path || text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(Unserved(format!(
            "{text:?} can't be a new path: one begins with / and has no control characters"
        )));
    }
    Ok(match path {
        PathModifier::ReplaceFullPath(_) if text.is_empty() => {
            PathRewrite::ReplaceFullPath("/".into())
        }
        PathModifier::ReplaceFullPath(_) => PathRewrite::ReplaceFullPath(text.clone()),
        PathModifier::ReplacePrefixMatch(_) => PathRewrite::ReplacePrefix(text.clone()),
    })
}
