//! Where hosts are served, and what objects claim.

use std::sync::Arc;

use crate::objects::{NamespacedName, ObjectRef};

use super::{Host, Listener};

/// Listeners that have their hosts together: what a host is on them is made in one go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Front {
    /// [`Listener::HTTP`] and [`Listener::HTTPS`], where the hosts of every Ingress are: one list of routes comes to both virtual hosts of a host.
    Fleet,
    /// The listener of this name alone.
    Listener(Arc<str>),
}

impl Front {
    /// The listener that has its hosts in clear, if there is one of this name with [`super::Application::Http`].
    #[must_use]
    pub fn in_clear(&self) -> Option<&str> {
        self.or(Listener::HTTP)
    }

    /// The listener that has its hosts by TLS, if there is one of this name with [`super::Application::Tls`].
    #[must_use]
    pub fn by_tls(&self) -> Option<&str> {
        self.or(Listener::HTTPS)
    }

    /// The hosts of a built-in listener are those of the fleet alone.
    fn or<'a>(&'a self, built_in: &'a str) -> Option<&'a str> {
        match self {
            Self::Fleet => Some(built_in),
            Self::Listener(name) => Some(&**name).filter(|name| !Listener::is_built_in(name)),
        }
    }
}

/// What is there because an object names it, and as long as one does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claimable {
    /// The listener of this name.
    Listener(Arc<str>),
    /// A host on a front.
    Host(Front, Host),
    /// A place among the routes that are attached to a listener of an object, which counts them.
    Attached(ObjectRef, Arc<str>),
    /// A way to a Service through a Gateway. Who is asked about the Service's policies reads which Gateways there are.
    Reached(NamespacedName, ObjectRef),
}
