//! Whether a password is the one that a line of an htpasswd file has the hash of.
//!
//! A check takes up to a second of a core, so few are done at once, in all and of one Secret; whoever does not get a turn in time is
//! refused, and not let through. A pair that was right is remembered for a while by a keyed hash of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use sha_crypt::{PasswordHashRef, PasswordVerifier as _, ShaCrypt};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::objects::HashKind;

use super::cache::Cache;
use super::discovery::Passwords;
use super::share::Share;

/// Longest password that is checked, in bytes. What a check costs grows with it.
const LONGEST: usize = 256;
/// How long a check waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many checks may wait or be done, in all and of one Secret in any case; one more is refused at once. Fewer than there may be
/// calls.
const WAITING: usize = 256;
const WAITING_OF_ONE: usize = 16;
/// How long a pair that was right is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Checks passwords.
pub struct Checks {
    right: Cache<()>,
    at_once: Arc<Semaphore>,
    waiting: Share,
    /// How many are checked at once of one Secret.
    of_one: usize,
    /// By the name of the passwords, while any of them is checked.
    turns: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is the password.
    Right,
    /// It is not, or nobody has the name.
    Wrong,
    /// There were too many others.
    Busy,
}

impl Checks {
    /// So many at once.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers.
    pub fn new(at_once: usize) -> anyhow::Result<Self> {
        let at_once = at_once.max(1);
        Ok(Self {
            right: Cache::new()?,
            at_once: Arc::new(Semaphore::new(at_once)),
            waiting: Share::new(WAITING, WAITING_OF_ONE),
            // Whoever tries passwords of one Secret leaves room for the others.
            of_one: at_once.div_ceil(2),
            turns: Mutex::new(HashMap::new()),
        })
    }

    /// Whether the name has the password.
    pub async fn check(
        &self,
        of: &Arc<str>,
        passwords: &Passwords,
        name: &str,
        password: Zeroizing<Vec<u8>>,
    ) -> Checked {
        let Some(hash) = passwords.credentials.hash(name) else {
            return Checked::Wrong;
        };
        if password.len() > LONGEST {
            return Checked::Wrong;
        }
        // The hash is a part of it, so that another one is another pair.
        let key = self
            .right
            .key(&[of.as_bytes(), name.as_bytes(), hash.as_bytes(), &password]);
        if self.right.get(&key).is_some() {
            return Checked::Right;
        }
        let is_right = match HashKind::of(hash) {
            Some(HashKind::Sha | HashKind::SaltedSha | HashKind::Plain) => {
                return match verify(hash, &password) {
                    true => Checked::Right,
                    false => Checked::Wrong,
                };
            }
            Some(_) => {
                let hash = Zeroizing::new(hash.to_owned());
                self.turn(of, move || verify(&hash, &password)).await
            }
            None => Some(false),
        };
        match is_right {
            Some(true) => {
                self.right.put(key, (), REMEMBERED);
                Checked::Right
            }
            Some(false) => Checked::Wrong,
            None => Checked::Busy,
        }
    }

    /// Does what takes long on another thread; `None` where that can't be done in time.
    async fn turn(
        &self,
        of: &Arc<str>,
        work: impl FnOnce() -> bool + Send + 'static,
    ) -> Option<bool> {
        let _place = self.waiting.take(of)?;
        let own = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|name, own| name == of || Arc::strong_count(own) > 1);
            let own = || Arc::new(Semaphore::new(self.of_one));
            turns.entry(of.clone()).or_insert_with(own).clone()
        };
        let permits = async {
            let own = own.acquire_owned().await.ok()?;
            let one = self.at_once.clone().acquire_owned().await.ok()?;
            Some((own, one))
        };
        let permits = timeout(PATIENCE, permits).await.ok()??;
        let work = tokio::task::spawn_blocking(move || {
            let is_right = work();
            drop(permits);
            is_right
        });
        work.await.ok()
    }
}

/// Whether this is the password of the hash.
#[must_use]
pub fn verify(hash: &str, password: &[u8]) -> bool {
    let is_equal = |one: &[u8], other: &[u8]| bool::from(one.ct_eq(other));
    let Some(kind) = HashKind::of(hash) else {
        return false;
    };
    match kind {
        HashKind::Bcrypt => bcrypt::verify(password, hash).unwrap_or(false),
        HashKind::Sha256Crypt | HashKind::Sha512Crypt => PasswordHashRef::new(hash)
            .is_ok_and(|hash| ShaCrypt::SHA512.verify_password(password, hash).is_ok()),
        HashKind::Apr1 => is_equal(
            md5_crypt(hash, "$apr1$", password).as_bytes(),
            hash.as_bytes(),
        ),
        HashKind::Md5Crypt => {
            is_equal(md5_crypt(hash, "$1$", password).as_bytes(), hash.as_bytes())
        }
        HashKind::Sha => {
            let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, password);
            let held = STANDARD.decode(&hash["{SHA}".len()..]);
            held.is_ok_and(|held| is_equal(&held, digest.as_ref()))
        }
        HashKind::SaltedSha => {
            let held = STANDARD.decode(&hash["{SSHA}".len()..]).unwrap_or_default();
            let Some((held, salt)) = held.split_at_checked(20) else {
                return false;
            };
            let salted = Zeroizing::new([password, salt].concat());
            is_equal(held, digest(&SHA1_FOR_LEGACY_USE_ONLY, &salted).as_ref())
        }
        HashKind::Plain => is_equal(&hash.as_bytes()["{PLAIN}".len()..], password),
    }
}

/// MD5-crypt as of FreeBSD (`$1$`) and Apache (`$apr1$`), which have another beginning and nothing else; the hash with the salt of
/// that one. No crate that is kept has it.
fn md5_crypt(hash: &str, magic: &str, password: &[u8]) -> String {
    let salt = hash.strip_prefix(magic).unwrap_or_default();
    let salt = salt.split('$').next().unwrap_or_default();
    let salt = &salt.as_bytes()[..salt.len().min(8)];
    let digest_of = |parts: &[&[u8]]| {
        let mut digest = Md5::new();
        parts.iter().for_each(|part| digest.update(part));
        <[u8; 16]>::from(digest.finalize())
    };
    let alternate = digest_of(&[password, salt, password]);
    let mut first = Md5::new();
    for part in [password, magic.as_bytes(), salt] {
        first.update(part);
    }
    for piece in password.chunks(16) {
        first.update(&alternate[..piece.len()]);
    }
    let mut left = password.len();
    while left > 0 {
        let byte = match left & 1 {
            1 => &[0][..],
            _ => &password[..1],
        };
        first.update(byte);
        left >>= 1;
    }
    let mut result = <[u8; 16]>::from(first.finalize());
    for round in 0..1000 {
        let is_odd = round % 2 == 1;
        let mut parts: Vec<&[u8]> = vec![if is_odd { password } else { &result }];
        if round % 3 != 0 {
            parts.push(salt);
        }
        if round % 7 != 0 {
            parts.push(password);
        }
        parts.push(if is_odd { &result } else { password });
        result = digest_of(&parts);
    }
    let salt = String::from_utf8_lossy(salt);
    format!("{magic}{salt}${}", md5_crypt_text(&result))
}

/// The digest in the alphabet of crypt, three bytes at a time in an order of its own.
fn md5_crypt_text(digest: &[u8; 16]) -> String {
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    let mut text = String::with_capacity(22);
    let mut put = |mut bits: u32, letters: usize| {
        for _ in 0..letters {
            text.push(char::from(ALPHABET[(bits & 63) as usize]));
            bits >>= 6;
        }
    };
    for [a, b, c] in ORDER {
        let bits = u32::from(digest[a]) << 16 | u32::from(digest[b]) << 8 | u32::from(digest[c]);
        put(bits, 4);
    }
    put(digest[11].into(), 2);
    text
}

#[cfg(test)]
mod tests;
