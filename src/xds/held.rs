//! What one client holds of one type. Nothing in here knows what should be held.

use std::sync::Arc;

use super::Resource;
use super::overlay::{Entry, Found, Overlay};
use super::refusal::Unit;

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
    /// What it may have instead of what it acknowledged last.
    pub doubt: Doubt,
}

/// In what other form a client may have a resource: of a response that it refuses Envoy keeps what is good, and takes away
/// what is listed as removed (measured). What is acknowledged ends all doubt.
#[derive(Clone, Debug, Default)]
pub struct Doubt {
    /// The forms that refused responses had.
    forms: Vec<Arc<Resource>>,
    /// Whether there are others: it may not be there at all, or there were too many forms.
    others: bool,
}

impl Doubt {
    /// How many forms are remembered. That of the first refusal is in doubt until its bad unit is found; those of the search
    /// for it are few, unless much is bad.
    const FORMS: usize = 8;

    /// A response in which it had this form was refused.
    pub fn add(&mut self, form: &Arc<Resource>) {
        match self.forms.len() < Self::FORMS {
            true => self.forms.push(form.clone()),
            false => self.others = true,
        }
    }

    /// A response that takes it away was refused.
    pub fn add_removal(&mut self) {
        self.others = true;
    }

    /// The client refuses this unit: a form that has it was not taken.
    pub fn refute(&mut self, unit: &Unit) {
        self.forms.retain(|form| unit.part(form).is_none());
    }

    fn is_any(&self) -> bool {
        self.others || !self.forms.is_empty()
    }
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
            doubt: Doubt::default(),
        }
    }

    fn is_shared(&self, resource: &Resource) -> bool {
        let mut known = [&self.sent, &self.accepted].into_iter();
        known.all(|held| held.as_deref() == Some(resource)) && !self.doubt.is_any()
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

    /// Whether the client may have another form of a resource than the one that it acknowledged last.
    #[must_use]
    pub fn is_doubted(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Found::Own(held)) if held.doubt.is_any())
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
