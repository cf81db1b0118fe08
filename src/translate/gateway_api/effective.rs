//! A listener as it is served, with what is wrong with it: data, whoever makes it.

use std::fmt;
use std::sync::Arc;

use crate::model::{ClientCertificates, Host, Spoken};
use crate::objects::gateway_api::RouteNamespaces;
use crate::objects::{Field, FieldRef, Kind, NamespacedName, ObjectRef};

use super::fault::Fault;
use super::shown::Shown;

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
    /// What clients have to show.
    pub clients: Option<ClientCertificates>,
    /// What back ends are shown that are spoken to by TLS of ours.
    pub shown: Shown,
    /// Why it is not served at all.
    pub fault: Option<Fault>,
    /// Whether that is another listener.
    pub is_conflicted: bool,
    /// Whether that one was there before it, and has the port or the name.
    pub is_late: bool,
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
    /// What clients have to show.
    pub clients: Option<ClientCertificates>,
    /// What back ends are shown.
    pub shown: Shown,
    /// Whether it is served.
    pub is_programmed: bool,
}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP in clear.
    Http,
    /// HTTP by TLS that ends here.
    Https,
    /// TLS that goes through as it is.
    Passthrough,
    /// TLS that ends here, with something inside that is no HTTP.
    Tls,
    /// Anything over TCP.
    Tcp,
    /// Anything over UDP.
    Udp,
}

/// What carries a listener: those of one port with different ones have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// What it is by its name in objects, and by whether TLS goes through.
    pub fn new(name: &str, passes_through: bool) -> Option<Self> {
        match name {
            "HTTP" => Some(Self::Http),
            "HTTPS" => Some(Self::Https),
            "TLS" if passes_through => Some(Self::Passthrough),
            "TLS" => Some(Self::Tls),
            "TCP" => Some(Self::Tcp),
            "UDP" => Some(Self::Udp),
            _ => None,
        }
    }

    /// The kinds of routes that it can have.
    pub const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Http | Self::Https => &[Kind::HttpRoute, Kind::GrpcRoute],
            Self::Passthrough | Self::Tls => &[Kind::TlsRoute],
            Self::Tcp => &[Kind::TcpRoute],
            Self::Udp => &[Kind::UdpRoute],
        }
    }

    /// Whether connections for it are told apart by the name that they ask for in TLS.
    pub const fn is_by_name(self) -> bool {
        matches!(self, Self::Https | Self::Passthrough | Self::Tls)
    }

    /// Whether TLS ends here.
    pub const fn ends_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }

    /// What its hosts have to know.
    pub const fn spoken(self) -> Spoken {
        match self {
            Self::Http => Spoken::Http,
            Self::Https | Self::Passthrough | Self::Tls => Spoken::Tls,
            Self::Tcp | Self::Udp => Spoken::Opaque,
        }
    }

    /// Whether nothing tells its hosts apart: all of it goes to one route.
    pub const fn is_opaque(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp)
    }

    /// What carries it.
    pub const fn transport(self) -> Transport {
        match self {
            Self::Udp => Transport::Udp,
            _ => Transport::Tcp,
        }
    }
}

impl Transport {
    /// It by its name, as in the name of a place.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "tcp" => Some(Self::Tcp),
            "udp" => Some(Self::Udp),
            _ => None,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl BoundListener {
    /// What says so.
    pub fn source(&self) -> FieldRef {
        let at = format!("spec.listeners[{}]", self.name);
        FieldRef::new(self.parent.clone(), Field::At(at.into()))
    }
}

impl EffectiveListener {
    /// Whether names belong to it, be it served or not: one that speaks what nobody knows has those that it says, where it is the
    /// Gateway's own. Who brings others takes no names with them that can't be served.
    pub fn has_names(&self) -> bool {
        match self.protocol {
            _ if self.is_late => false,
            Some(protocol) => !protocol.is_opaque(),
            None => self.parent.kind == Kind::Gateway && !self.hostname.is_any(),
        }
    }

    /// What carries it; that of TCP where nobody knows.
    pub fn transport(&self) -> Transport {
        self.protocol.map_or(Transport::Tcp, Protocol::transport)
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
            clients: self.clients.clone(),
            shown: self.shown.clone(),
            is_programmed: self.is_programmed(),
        }
    }

    /// Whether it is served: not whether its Gateway has an address.
    pub fn is_programmed(&self) -> bool {
        let has_what_it_needs = |it: Protocol| !it.ends_tls() || !self.certificates.is_empty();
        self.fault.is_none() && self.protocol.is_some_and(has_what_it_needs)
    }
}
