//! What names of the outside resolve to.
//!
//! The system's resolver blocks the thread that asks, for as long as a server of names is silent, so each lookup has a thread of its own,
//! and there are only so many at a time: never one of those that check passwords. A name is looked up once for all that wait
//! for it, and what came of it holds for a while. Where too many are being looked up, what was known a short while ago counts,
//! so that whoever names hosts that nobody answers for does not keep the others from theirs.
//!
//! A resolver of its own (hickory-resolver) would block no thread. It brings 45 crates, ICU's tables among them, for the few names that
//! are asked here.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

/// Lookups at a time.
const AT_ONCE: usize = 64;
/// How long addresses hold.
const HOLD: Duration = Duration::from_secs(30);
/// How long it holds that there are none.
const HOLD_FAILURE: Duration = Duration::from_secs(5);
/// How long addresses count where the name can't be looked up again.
const STALE: Duration = Duration::from_secs(600);
/// Most names that are remembered.
const MOST: usize = 4096;

/// The addresses of a name; none where there is no such name.
type Addresses = Arc<[IpAddr]>;

/// How a name is looked up.
type Lookup = dyn Fn(&str) -> Vec<IpAddr> + Send + Sync;

/// Looks names up.
#[derive(Clone)]
pub struct Names {
    lookup: Arc<Lookup>,
    at_once: Arc<Semaphore>,
    known: Arc<Mutex<HashMap<Arc<str>, Known>>>,
}

struct Known {
    /// What came last, and when.
    last: Option<(Instant, Addresses)>,
    /// Says that a lookup has ended.
    running: Option<watch::Receiver<()>>,
}

impl Names {
    /// By the system's resolver.
    pub fn of_system() -> Self {
        Self::new(|name| {
            // With a dot behind it no search list is tried: those lead to Services of the pod's own namespace.
            let found = (format!("{}.", name.trim_end_matches('.')), 0).to_socket_addrs();
            found.map_or_else(|_| Vec::new(), |all| all.map(|it| it.ip()).collect())
        })
    }

    fn new(lookup: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static) -> Self {
        Self {
            lookup: Arc::new(lookup),
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            known: Arc::default(),
        }
    }

    /// The addresses of a name.
    ///
    /// # Errors
    ///
    /// If too many others are being looked up.
    pub async fn addresses(&self, name: &str) -> io::Result<Addresses> {
        let name: Arc<str> = name.to_ascii_lowercase().into();
        loop {
            let mut ended = match self.known_or_running(&name)? {
                Ok(addresses) => return Ok(addresses),
                Err(running) => running,
            };
            // An error is that its sender is gone, which says the same.
            let _ = ended.changed().await;
        }
    }

    /// What is known, or when it is to be asked for again.
    fn known_or_running(
        &self,
        name: &Arc<str>,
    ) -> io::Result<Result<Addresses, watch::Receiver<()>>> {
        let now = Instant::now();
        let mut all = self.lock();
        let known = all.get(name);
        let last = known.and_then(|it| it.last.clone());
        if let Some((at, addresses)) = &last {
            let hold = if addresses.is_empty() {
                HOLD_FAILURE
            } else {
                HOLD
            };
            if now - *at < hold {
                return Ok(Ok(addresses.clone()));
            }
        }
        if let Some(running) = known.and_then(|it| it.running.clone()) {
            return Ok(Err(running));
        }
        let Ok(turn) = self.at_once.clone().try_acquire_owned() else {
            return match last {
                Some((at, addresses)) if now - at < STALE => Ok(Ok(addresses)),
                _ => Err(io::Error::other("too many names are being looked up")),
            };
        };
        if all.len() >= MOST {
            all.retain(|_, it| {
                let is_fresh = it.last.as_ref().is_some_and(|(at, _)| now - *at < HOLD);
                it.running.is_some() || is_fresh
            });
        }
        if all.len() >= MOST {
            return Err(io::Error::other("too many names are asked for"));
        }
        let (done, ended) = watch::channel(());
        let entry = all.entry(name.clone()).or_insert(Known {
            last: None,
            running: None,
        });
        entry.running = Some(ended.clone());
        drop(all);
        self.start(name.clone(), turn, done)?;
        Ok(Err(ended))
    }

    fn start(
        &self,
        name: Arc<str>,
        turn: OwnedSemaphorePermit,
        done: watch::Sender<()>,
    ) -> io::Result<()> {
        let names = self.clone();
        let of = name.clone();
        let thread = std::thread::Builder::new().name("lookup".to_owned());
        let started = thread.spawn(move || {
            let found: Addresses = (names.lookup)(&of).into();
            // From now on it holds, however long it has taken: whoever waits is to have it.
            names.ended(&of, Some((Instant::now(), found)));
            drop((turn, done));
        });
        if started.is_err() {
            self.ended(&name, None);
        }
        started.map(drop)
    }

    fn ended(&self, name: &str, found: Option<(Instant, Addresses)>) {
        let mut all = self.lock();
        if let Some(known) = all.get_mut(name) {
            known.running = None;
            known.last = found.or(known.last.take());
        }
    }

    /// Nothing panics while it is locked.
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    /// Whoever waits for one name has one lookup; silent names take none of the threads of known ones.
    #[tokio::test]
    async fn silent_names_are_bounded() {
        let lookups = Arc::new(AtomicUsize::new(0));
        let (silence, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let counted = lookups.clone();
        let names = Names::new(move |name| {
            counted.fetch_add(1, Ordering::SeqCst);
            if name.starts_with("silent") {
                // Until the test ends.
                let _ = gate.lock().map(|gate| gate.recv());
                return Vec::new();
            }
            vec![[192, 0, 2, 1].into()]
        });
        let all = (0..8).map(|_| names.addresses("a.test"));
        for found in futures::future::join_all(all).await {
            assert_eq!(found.unwrap().len(), 1);
        }
        assert_eq!(lookups.load(Ordering::SeqCst), 1);
        let silent: Vec<String> = (0..AT_ONCE).map(|it| format!("silent-{it}.test")).collect();
        for name in &silent {
            assert!(
                names
                    .known_or_running(&name.as_str().into())
                    .unwrap()
                    .is_err()
            );
        }
        let refused = names.addresses("b.test").await.unwrap_err();
        assert!(refused.to_string().contains("too many names"), "{refused}");
        // What is known goes on, and so it does when it would be time to ask again.
        assert!(names.addresses("A.test").await.is_ok());
        let long_ago = Instant::now().checked_sub(HOLD * 2).unwrap();
        names.ended(
            "a.test",
            Some((long_ago, Arc::new([[192, 0, 2, 1].into()]))),
        );
        assert!(names.addresses("a.test").await.is_ok());
        // Whoever waits for a name that nobody answers for has that for an answer.
        let waiting = names.addresses(&silent[0]);
        let (found, ()) = tokio::join!(waiting, async { drop(silence) });
        assert!(found.unwrap().is_empty());
        assert!(lookups.load(Ordering::SeqCst) <= 1 + AT_ONCE);
    }
}
