//! What many units of one build ask for, found once.
//!
//! A unit is a function of the store, and stays one: whatever is kept here is a function of the store too, so who asks
//! first decides nothing, and a unit alone comes out the same. It is what makes the work of one list the work of one
//! list: a thousand hosts ask the same Ingress, Service or wildcard, and none of them walks through it again. It lives
//! as long as the store does not change, and must not be kept for longer.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::model::Host;
use crate::objects::NamespacedName;

use super::above::Source;
use super::certificate::Choice;
use super::reading::Reading;
use super::service_policy::Ports;

/// Values by what they are of. Units on several threads share it.
#[derive(Debug, Default)]
pub struct Memo {
    /// What is read of a long Ingress.
    pub(super) ingresses: Once<NamespacedName, Reading>,
    /// The ports of a long Service.
    pub(super) services: Once<NamespacedName, Ports>,
    /// Whether a host that begins with `*` is there on plain HTTP.
    pub(super) on_http: Once<Host, bool>,
    /// The routes that hosts take over from one that begins with `*`.
    pub(super) sources: Once<Host, Source>,
    /// The certificates of a wildcard, which the hosts below it may have.
    pub(super) choices: Once<Host, Option<Choice>>,
}

/// A table whose values are made when they are first asked for. The lock is held to find the place of a value, never
/// while one is made: making one may ask for others.
pub(super) struct Once<K, V>(Mutex<HashMap<K, Arc<OnceLock<Arc<V>>>>>);

impl<K: Eq + Hash + Clone, V> Once<K, V> {
    pub(super) fn get(&self, key: &K, make: impl FnOnce() -> V) -> Arc<V> {
        let place = {
            let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match places.get(key) {
                Some(place) => place.clone(),
                None => places.entry(key.clone()).or_default().clone(),
            }
        };
        place.get_or_init(|| Arc::new(make())).clone()
    }
}

impl<K, V> Default for Once<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K, V> fmt::Debug for Once<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Once")
    }
}
