//! Where hosts are served.

use std::sync::Arc;

use super::Listener;

/// Listeners that have their hosts together: what a host is on them is made in one go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Front {
    /// [`Listener::HTTP`] and [`Listener::HTTPS`]: one list of routes comes to both virtual hosts of a host.
    Fleet,
    /// The listener of this name alone.
    Listener(Arc<str>),
}

impl Front {
    /// The listener that has its hosts in clear, if there is one of this name with [`super::Application::Http`].
    #[must_use]
    pub fn in_clear(&self) -> &str {
        match self {
            Self::Fleet => Listener::HTTP,
            Self::Listener(name) => name,
        }
    }

    /// The listener that has its hosts by TLS, if there is one of this name with [`super::Application::Tls`].
    #[must_use]
    pub fn by_tls(&self) -> &str {
        match self {
            Self::Fleet => Listener::HTTPS,
            Self::Listener(name) => name,
        }
    }
}
