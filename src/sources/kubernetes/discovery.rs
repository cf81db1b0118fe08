//! Which of the custom kinds the API server serves: asked at the start, and again and again.
//!
//! It is asked for and not watched. A watch of CustomResourceDefinitions would say it sooner, but needs a right on a
//! resource of the whole cluster, where Isobath is content with Roles of namespaces; and it does not say what is served,
//! only what somebody has declared. Discovery may be read by whoever may log in. It costs a request for each group, and
//! one for each version of it that is read, every [`super::WatchTiming::discovery`]. That a kind is gone is noticed at once, by its
//! own watch ([`super::installed`]).
//!
//! A kind is read at the version of its row in `objects/kinds.rs`, and never at another one. A server that has it only at
//! others is told of, and so is one that does not let us look.
//!
//! One question is asked at a time, so that no answer takes the place of a later one. Who comes while one is asked shares the
//! next: a definition that goes ends many watches in one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::objects::Kind;

use super::error::{Cause, SourceError};
use super::frame::{Status, undecodable};
use super::list_watch::{Input, message};
use super::metrics::Metrics;
use super::timing::WatchTiming;
use super::transport::{random_part, read, send};

/// What an API server says of one custom kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Installed {
    /// It is served at the version that is read.
    Served,
    /// It is served, but only at these versions.
    AtOtherVersions(Vec<String>),
    /// It is not served.
    Missing,
    /// The server does not say: looking is forbidden, so the objects can't be read either.
    Forbidden,
}

/// What it says of all custom kinds.
pub(super) type Kinds = BTreeMap<Kind, Installed>;

/// Who asks.
pub(super) struct Discovery {
    client: kube::Client,
    timing: WatchTiming,
    metrics: Metrics,
    /// The kinds that are asked for.
    kinds: Vec<Kind>,
    /// The last answer.
    known: watch::Sender<Kinds>,
    /// How many questions have begun.
    begun: AtomicU64,
    /// The number of the last one that was answered. Who holds it asks.
    turn: Mutex<u64>,
}

impl Discovery {
    /// Nothing is asked yet: none of the kinds is known to be served.
    pub(super) fn new(client: kube::Client, kinds: Vec<Kind>, metrics: Metrics) -> Self {
        Self {
            client,
            timing: WatchTiming::default(),
            metrics,
            kinds,
            known: watch::Sender::default(),
            begun: AtomicU64::new(0),
            turn: Mutex::new(0),
        }
    }

    pub(super) fn with_timing(self, timing: WatchTiming) -> Self {
        Self { timing, ..self }
    }

    /// The last answer, and those that follow.
    pub(super) fn known(&self) -> watch::Receiver<Kinds> {
        self.known.subscribe()
    }

    /// Those that are served, by the last answer.
    pub(super) fn served(&self) -> BTreeSet<Kind> {
        served(&self.known.borrow())
    }

    /// Asks once, and tells what differs from the answer before. Where somebody else has asked since this call, that answer is
    /// taken.
    ///
    /// # Errors
    ///
    /// The first of the kinds that could not be asked for, and why.
    pub(super) async fn ask(&self) -> Result<(), SourceError> {
        let before = self.begun.load(Ordering::Relaxed);
        let mut answered = self.turn.lock().await;
        if *answered > before {
            return Ok(());
        }
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let answer = self.answer().await?;
        *answered = number;
        self.known.send_if_modified(|known| {
            let differs = *known != answer;
            for (kind, is) in &answer {
                self.metrics.installed(*kind, *is == Installed::Served);
                tell(*kind, known.get(kind), is);
            }
            *known = answer;
            differs
        });
        Ok(())
    }

    /// Asks again and again. A question without an answer changes nothing: whether the server can be reached is the business
    /// of the list-watches.
    pub(super) async fn follow(&self) {
        if self.kinds.is_empty() {
            return std::future::pending().await;
        }
        loop {
            let pause = self.timing.discovery;
            sleep(pause + random_part(pause / 4)).await;
            if let Err(error) = self.ask().await {
                debug!(%error, "the API server does not say which kinds it has");
            }
        }
    }

    async fn answer(&self) -> Result<Kinds, SourceError> {
        let mut groups: BTreeMap<&str, Vec<Kind>> = BTreeMap::new();
        for kind in &self.kinds {
            groups.entry(kind.group()).or_default().push(*kind);
        }
        let mut answer = Kinds::new();
        for (group, kinds) in groups {
            let failed = |cause| SourceError {
                kind: kinds[0],
                namespace: None,
                server: None,
                cause,
            };
            let found = self.group(group, &kinds).await;
            answer.extend(found.map_err(failed)?);
        }
        Ok(answer)
    }

    /// What is said of the kinds of one group.
    async fn group(&self, group: &str, kinds: &[Kind]) -> Result<Kinds, Cause> {
        let answer: Answer<Group> = self.get(&format!("/apis/{group}")).await?;
        let versions = match answer {
            Answer::Found(group) => group.versions,
            Answer::Nothing => Vec::new(),
            Answer::Forbidden => {
                let forbidden = kinds.iter().map(|kind| (*kind, Installed::Forbidden));
                return Ok(forbidden.collect());
            }
        };
        let versions: Vec<String> = versions.into_iter().map(|it| it.version).collect();
        // None for what may not be looked at.
        let mut resources: BTreeMap<&str, Option<BTreeSet<String>>> = BTreeMap::new();
        let mut found = Kinds::new();
        for kind in kinds {
            let (_, read) = kind.api_version().split_once('/').unwrap_or_default();
            let mut others = Vec::new();
            let (mut is_served, mut is_forbidden) = (false, false);
            // The version that is read goes first, and mostly there is no need for others.
            let (first, rest): (Vec<_>, Vec<_>) = versions.iter().partition(|it| **it == read);
            for version in first.into_iter().chain(rest) {
                if !resources.contains_key(&**version) {
                    let path = format!("/apis/{group}/{version}");
                    let names = |all: Resources| all.resources.into_iter().map(|it| it.name);
                    let names = match self.get(&path).await? {
                        Answer::Found(all) => Some(names(all).collect()),
                        Answer::Nothing => Some(BTreeSet::new()),
                        Answer::Forbidden => None,
                    };
                    resources.insert(version, names);
                }
                let Some(names) = resources.get(&**version).and_then(Option::as_ref) else {
                    is_forbidden |= *version == read;
                    continue;
                };
                if !names.contains(kind.plural()) {
                    continue;
                }
                is_served = *version == read;
                if is_served {
                    break;
                }
                others.push(version.clone());
            }
            let is = match (is_served, is_forbidden) {
                (true, _) => Installed::Served,
                (false, true) => Installed::Forbidden,
                (false, false) if others.is_empty() => Installed::Missing,
                (false, false) => Installed::AtOtherVersions(others),
            };
            found.insert(*kind, is);
        }
        Ok(found)
    }

    /// One answer.
    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, Cause> {
        loop {
            let request = http::Request::get(path)
                .body(Vec::new())
                .map_err(|error| Cause::Unreachable(error.to_string()))?;
            let answer = async {
                let response = send(&self.client, request, self.timing.answer).await?;
                read(response, self.timing.answer).await
            };
            let answer = answer.await.map_err(|input| match input {
                Input::Broken(why) | Input::Unreachable(why) => Cause::Unreachable(why),
                other => Cause::Unreachable(format!("{other:?}")),
            })?;
            match answer.status {
                200 => {
                    let answer = serde_json::from_slice(&answer.body);
                    return answer
                        .map(Answer::Found)
                        .map_err(|error| undecodable("what kinds there are", &error));
                }
                404 => return Ok(Answer::Nothing),
                403 => return Ok(Answer::Forbidden),
                429 => {
                    let wait = answer.retry_after.unwrap_or(Duration::from_secs(1));
                    let wait = wait.clamp(Duration::from_secs(1), Duration::from_secs(60));
                    warn!(?wait, "the API server asks to wait");
                    // Never sooner than it asks, and not all of a fleet at once.
                    sleep(wait + random_part(wait / 4)).await;
                }
                code => {
                    let status = Status::parse(&answer.body).unwrap_or_default();
                    return Err(Cause::Status {
                        code,
                        message: message(code, &status.message),
                    });
                }
            }
        }
    }
}

/// Those that are served.
pub(super) fn served(kinds: &Kinds) -> BTreeSet<Kind> {
    let served = kinds.iter().filter(|(_, is)| **is == Installed::Served);
    served.map(|(kind, _)| *kind).collect()
}

/// Says what is new.
fn tell(kind: Kind, before: Option<&Installed>, is: &Installed) {
    let read = kind.api_version();
    match (before, is) {
        (Some(before), is) if before == is => {}
        // What is there from the first is told by its list.
        (None, Installed::Served) => {}
        (None, Installed::Missing) => {
            info!(%kind, "its CustomResourceDefinition is not installed: waiting for it");
        }
        (_, Installed::Forbidden) => {
            warn!(%kind, "discovery is forbidden, so it is not known whether it is installed: it counts as a kind without objects, and is asked for again");
        }
        (Some(_), Installed::Served) => info!(%kind, "is served now: listing and watching it"),
        (Some(_), Installed::Missing) => {
            warn!(%kind, "its CustomResourceDefinition is gone: it counts as a kind without objects, and is waited for");
        }
        (_, Installed::AtOtherVersions(versions)) => {
            let versions = versions.join(", ");
            warn!(%kind, read, served = versions, "is served only at versions that are not read: it counts as a kind without objects");
        }
    }
}

/// What a server says of a path.
enum Answer<T> {
    Found(T),
    Nothing,
    Forbidden,
}

#[derive(serde::Deserialize)]
struct Group {
    versions: Vec<Version>,
}

#[derive(serde::Deserialize)]
struct Version {
    version: String,
}

#[derive(serde::Deserialize)]
struct Resources {
    resources: Vec<Resource>,
}

#[derive(serde::Deserialize)]
struct Resource {
    name: String,
}
