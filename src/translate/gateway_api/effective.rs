//! A listener as it is served, with what is wrong with it: data, whoever makes it.

use std::sync::Arc;

use crate::model::Host;
use crate::objects::gateway_api::RouteNamespaces;
use crate::objects::{Kind, NamespacedName, ObjectRef};

use super::fault::Fault;

/// A listener, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EffectiveListener {
    /// The object that has it.
    pub parent: ObjectRef,
    /// Its name there.
    pub name: Arc<str>,
    /// The port by which clients reach it.
    pub port: u16,
    /// What is spoken there; `None` for what nobody speaks.
    pub protocol: Option<Protocol>,
    /// The names that it is for.
    pub hostname: Host,
    /// The kinds of routes that may be attached.
    pub kinds: Box<[Kind]>,
    /// The namespaces whose routes may be attached.
    pub namespaces: RouteNamespaces,
    /// The Secrets that it is served with, at most one for each kind of key.
    pub certificates: Box<[NamespacedName]>,
    /// Why it is not served at all.
    pub fault: Option<Fault>,
    /// Whether that is another listener.
    pub is_conflicted: bool,
    /// What of its references can't be used.
    pub references_fault: Option<Fault>,
    /// Listeners of the same port whose hostname has some of its names.
    pub overlaps: bool,
}

/// A listener as its hosts see it: what is told of it, and who may attach, is nothing to them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BoundListener {
    /// The object that has it.
    pub parent: ObjectRef,
    /// Its name there.
    pub name: Arc<str>,
    /// The port by which clients reach it.
    pub port: u16,
    /// What is spoken there; `None` for what nobody speaks.
    pub protocol: Option<Protocol>,
    /// The names that it is for.
    pub hostname: Host,
    /// The Secrets that it is served with, at most one for each kind of key.
    pub certificates: Box<[NamespacedName]>,
    /// Whether it is served.
    pub is_programmed: bool,
}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP in clear.
    Http,
    /// HTTP by TLS that ends here.
    Https,
}

impl Protocol {
    /// What it is by its name in objects.
    pub fn new(name: &str) -> Option<Self> {
        match name {
            "HTTP" => Some(Self::Http),
            "HTTPS" => Some(Self::Https),
            _ => None,
        }
    }

    /// The kinds of routes that it can have.
    pub const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Http | Self::Https => &[Kind::HttpRoute, Kind::GrpcRoute],
        }
    }
}

impl EffectiveListener {
    /// Whether names belong to it, be it served or not: one that speaks what nobody knows has those that it says.
    pub fn has_names(&self) -> bool {
        self.protocol.is_some() || !self.hostname.is_any()
    }

    /// As its hosts see it.
    pub fn bound(&self) -> BoundListener {
        BoundListener {
            parent: self.parent.clone(),
            name: self.name.clone(),
            port: self.port,
            protocol: self.protocol,
            hostname: self.hostname.clone(),
            certificates: self.certificates.clone(),
            is_programmed: self.is_programmed(),
        }
    }

    /// Whether it is served: not whether its Gateway has an address.
    pub fn is_programmed(&self) -> bool {
        let has_certificate = match self.protocol {
            Some(Protocol::Https) => !self.certificates.is_empty(),
            Some(Protocol::Http) => true,
            None => false,
        };
        self.fault.is_none() && has_certificate
    }
}
