//! What one client holds of one type. Nothing in here knows what should be held.

use std::sync::Arc;

use super::Resource;
use super::overlay::{Entry, Found, Overlay};

/// What the client holds of one resource.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// What it was sent last, and did not refuse.
    pub sent: Option<Arc<Resource>>,
    /// What it acknowledged last.
    pub accepted: Option<Arc<Resource>>,
    /// Whether the client says that it has some form of it from an earlier stream.
    pub brought: bool,
    /// The response that brought it when the client did not have it.
    pub since: u64,
    /// The last acknowledged response that contained it.
    pub acknowledged: u64,
}

/// What the client holds of all resources of one type, by name. To be [settled](Overlay::settle) when every response is
/// answered and nothing is due, so that what a resource needs was acknowledged after the resource came: which of two
/// responses was the earlier one is forgotten then.
pub type Holdings = Overlay<Held>;

impl Entry for Held {
    fn shared(resource: &Arc<Resource>, nonce: u64) -> Self {
        Self {
            sent: Some(resource.clone()),
            accepted: Some(resource.clone()),
            brought: false,
            since: 0,
            acknowledged: nonce,
        }
    }

    fn is_shared(&self, resource: &Resource) -> bool {
        [&self.sent, &self.accepted]
            .into_iter()
            .all(|held| held.as_deref() == Some(resource))
    }
}

impl Holdings {
    /// What the client was sent last of a resource.
    #[must_use]
    pub fn sent(&self, name: &str) -> Option<&Arc<Resource>> {
        match self.get(name)? {
            Found::Own(held) => held.sent.as_ref(),
            Found::Shared(resource, _) => Some(resource),
        }
    }

    /// What the client took last of a resource.
    #[must_use]
    pub fn accepted(&self, name: &str) -> Option<&Arc<Resource>> {
        match self.get(name)? {
            Found::Own(held) => held.accepted.as_ref(),
            Found::Shared(resource, _) => Some(resource),
        }
    }

    /// Whether the client has a resource in a form that nobody knows, which no response has replaced.
    #[must_use]
    pub fn is_unknown(&self, name: &str) -> bool {
        match self.get(name) {
            Some(Found::Own(held)) => {
                held.brought && held.sent.is_none() && held.accepted.is_none()
            }
            _ => false,
        }
    }

    /// The response since which the client has a resource without interruption, or an earlier one.
    #[must_use]
    pub fn since(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Found::Own(held) => held.sent.as_ref().map(|_| held.since),
            Found::Shared(..) => Some(0),
        }
    }

    /// The last acknowledged response that contained a resource, or a later one.
    #[must_use]
    pub fn acknowledged(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Found::Own(held) => Some(held.acknowledged),
            Found::Shared(_, nonce) => Some(nonce),
        }
    }
}
