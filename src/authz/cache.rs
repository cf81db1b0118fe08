//! What was answered a short while ago. Keys are hashed with a key of the process: no password, token or cookie is kept.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::hmac;
use ring::rand::SystemRandom;
use tokio::time::Instant;

/// Most entries of one. What an entry may take is for who puts it in to say.
const MOST: usize = 4096;

/// What an entry is found by.
pub type Key = [u8; 32];

/// Answers that hold for a while.
pub struct Cache<T> {
    key: hmac::Key,
    entries: Mutex<HashMap<Key, (Instant, T)>>,
}

impl<T: Clone> Cache<T> {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers.
    pub fn new() -> anyhow::Result<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let key = key.map_err(|_| anyhow::anyhow!("the system has no random numbers"))?;
        Ok(Self {
            key,
            entries: Mutex::new(HashMap::new()),
        })
    }

    /// The key of these parts, in this order.
    pub fn key(&self, parts: &[&[u8]]) -> Key {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            // Its length says where it ends.
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        let mut key = Key::default();
        key.copy_from_slice(context.sign().as_ref());
        key
    }

    /// What was answered, if that still holds.
    pub fn get(&self, key: &Key) -> Option<T> {
        let entries = self.lock();
        let (until, answer) = entries.get(key)?;
        (Instant::now() < *until).then(|| answer.clone())
    }

    /// Keeps an answer for so long.
    pub fn put(&self, key: Key, answer: T, hold: Duration) {
        let now = Instant::now();
        let mut entries = self.lock();
        if entries.len() >= MOST {
            entries.retain(|_, (until, _)| now < *until);
        }
        if entries.len() >= MOST {
            // Whoever fills it has the others asked again, and nothing worse.
            entries.clear();
        }
        entries.insert(key, (now + hold, answer));
    }

    /// Nothing panics while it is locked.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, (Instant, T)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn answers_hold_for_a_while() {
        let cache = Cache::new().unwrap();
        let key = cache.key(&[b"a", b"bc"]);
        assert_ne!(key, cache.key(&[b"ab", b"c"]));
        assert_eq!(key, cache.key(&[b"a", b"bc"]));
        cache.put(key, 1, Duration::from_secs(5));
        assert_eq!(cache.get(&key), Some(1));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(cache.get(&key), None);
        for number in 0..2 * MOST {
            let key = cache.key(&[&number.to_be_bytes()]);
            cache.put(key, number, Duration::from_secs(5));
            assert_eq!(cache.get(&key), Some(number));
        }
        assert!(cache.lock().len() <= MOST);
    }
}
