//! What a guard comes to for a request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use envoy_types::pb::envoy::service::auth::v3::CheckRequest;

use crate::model::{Cidr, Guard, GuardAddresses};

use super::answer::{Answer, Passed, Refused};
use super::discovery::Discovery;
use super::password::Checks;
use super::request::Request;
use super::subrequest::Subrequests;
use super::{address, basic};

/// Answers calls.
pub struct Authorizer {
    discovery: Discovery,
    checks: Checks,
    subrequests: Subrequests,
    guards: Mutex<Guards>,
}

/// Guards by their text, so that each is read once.
#[derive(Default)]
struct Guards {
    by_text: HashMap<String, Arc<Guard>>,
    /// Of all texts.
    bytes: usize,
}

/// Most bytes of the texts of guards that are kept.
const MOST_GUARDS: usize = 8 << 20;

impl Authorizer {
    /// One that has what is not in routes from there, checks so many passwords at once, and asks addresses of these networks besides
    /// those outside.
    ///
    /// # Errors
    ///
    /// If the system has no random numbers, or none of its authorities of TLS can be read.
    pub fn new(discovery: Discovery, at_once: usize, networks: Vec<Cidr>) -> anyhow::Result<Self> {
        Ok(Self {
            checks: Checks::new(at_once)?,
            subrequests: Subrequests::new(discovery.clone(), networks)?,
            discovery,
            guards: Mutex::default(),
        })
    }

    /// Whether the request of a call passes.
    pub async fn check(&self, call: CheckRequest, client: Option<IpAddr>) -> Answer {
        let Some((request, text)) = Request::of(call, client, Guard::CONTEXT) else {
            return Answer::Refused(Refused::status(503));
        };
        let guard = self.guard(&text);
        // A call may wait for long, and there are many.
        drop(text);
        let Some(guard) = guard else {
            return Answer::Refused(Refused::status(503));
        };
        let answer = match &guard.any {
            None => self.all(&guard, &request).await,
            Some(addresses) => self.any(&guard, addresses, &request).await,
        };
        let passed = match answer {
            Answer::Refused(refused) => {
                return self.subrequests.signed_in(&guard, &request, refused);
            }
            Answer::Passes(passed) => passed,
        };
        Answer::Passes(cleaned(passed, &guard))
    }

    async fn all(&self, guard: &Guard, request: &Request) -> Answer {
        let mut passed = Passed::default();
        if let Some(basic) = &guard.basic {
            match basic::check(basic, request, &self.checks, &self.discovery).await {
                Answer::Passes(more) => passed = passed.and(more),
                refused @ Answer::Refused(_) => return refused,
            }
        }
        if let Some(subrequest) = &guard.subrequest {
            match self.subrequests.check(subrequest, request).await {
                Answer::Passes(more) => passed = passed.and(more),
                refused @ Answer::Refused(_) => return refused,
            }
        }
        Answer::Passes(passed)
    }

    /// Of several refusals a failure is the answer, then a 401, which a client can do something about.
    async fn any(&self, guard: &Guard, addresses: &GuardAddresses, request: &Request) -> Answer {
        if has(addresses, request.client) {
            return Answer::Passes(Passed::default());
        }
        let mut worst = Refused::status(403);
        if let Some(basic) = &guard.basic {
            match basic::check(basic, request, &self.checks, &self.discovery).await {
                passes @ Answer::Passes(_) => return passes,
                Answer::Refused(refused) => worst = refused,
            }
        }
        if let Some(subrequest) = &guard.subrequest {
            match self.subrequests.check(subrequest, request).await {
                passes @ Answer::Passes(_) => return passes,
                Answer::Refused(refused) if refused.status >= 500 || worst.status == 403 => {
                    worst = refused;
                }
                Answer::Refused(_) => {}
            }
        }
        Answer::Refused(worst)
    }

    fn guard(&self, text: &str) -> Option<Arc<Guard>> {
        // Nothing panics while it is locked.
        let mut guards = self.guards.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(guard) = guards.by_text.get(text) {
            return Some(guard.clone());
        }
        let guard = match Guard::of_text(text) {
            Ok(guard) => Arc::new(guard),
            Err(error) => {
                tracing::warn!(%error, "a route has a guard that can't be read; its requests are refused");
                return None;
            }
        };
        if guards.bytes + text.len() > MOST_GUARDS {
            *guards = Guards::default();
        }
        guards.bytes += text.len();
        guards.by_text.insert(text.to_owned(), guard.clone());
        Some(guard)
    }
}

/// What clients say of themselves does not reach the back end where the authorizer says it, or does not.
fn cleaned(mut passed: Passed, guard: &Guard) -> Passed {
    if guard.basic.is_some() {
        passed.removed.push("authorization".to_owned());
    }
    let said = guard.subrequest.iter().flat_map(|it| &it.response_headers);
    for name in said {
        if !passed.set.iter().any(|(set, _)| **set == **name) {
            passed.removed.push(name.to_string());
        }
    }
    // What is both was given by somebody who is trusted to.
    let Passed { set, removed, .. } = &mut passed;
    removed.retain(|name| !set.iter().any(|(set, _)| set == name));
    removed.sort_unstable();
    removed.dedup();
    passed
}

/// Whether an address is enough.
fn has(addresses: &GuardAddresses, client: Option<IpAddr>) -> bool {
    let Some(client) = client else {
        return false;
    };
    // A range that can't be read denies, and does not allow.
    let read = |text: &Arc<str>| Cidr::new(text).map(|range| address::contains(range, client));
    let allows = addresses.allow.iter().any(|it| read(it) == Ok(true));
    let denies = addresses.deny.iter().any(|it| read(it) != Ok(false));
    allows && !denies
}

#[cfg(test)]
mod tests;
