//! Problems and refusals as Events (`events.k8s.io/v1`), where `kubectl describe` shows them.
//!
//! An Event is there when it was made by whom ever: its name follows from what it says ([`Telling`]).
//! The API server forgets Events after an hour (`--event-ttl`), but problems stay: while one lasts its Event is
//! touched every half hour (`series`), and made again where it is gone. Touching takes at most half of the calls,
//! however many Events there are, so that it always comes to an end and news are told.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use imbl::OrdMap;
use jiff::Timestamp;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::ingress::Unwritten;
use super::metrics::Metrics;
use super::queue::Pace;
use super::telling::{self, News, Telling};
use super::writes::{CALL_LIMIT, Fate, Turn, Writes, sleep_until};
use crate::model::verdict::{ObjectProblems, Refusal, Statuses};
use crate::objects::{NamespacedName, ObjectRef};
use crate::process::pod::Pod;
use crate::status::api_call::{Failure, within};

/// Events are worth less than status: fewer per second.
const PER_SECOND: u32 = 10;

/// When an Event is touched again; half of the API server's default `--event-ttl`.
const REFRESH: Duration = Duration::from_secs(1800);

/// `reportingInstance` may not be longer.
const INSTANCE_BYTES: usize = 128;

/// An Event that is there.
#[derive(Clone, Copy, Debug)]
struct Told {
    at: Instant,
    count: i32,
}

/// Tells problems and refusals on the objects.
pub(super) struct Writer {
    calls: Calls,
    metrics: Metrics,
    /// Survives a term: what was told is told.
    told: HashMap<NamespacedName, Told>,
}

/// What is told, and when again.
#[derive(Default)]
struct Present {
    /// What was seen last, by where it comes from.
    problems: OrdMap<ObjectRef, ObjectProblems>,
    refused: OrdMap<ObjectRef, ObjectProblems>,
    unwritten: OrdMap<ObjectRef, ObjectProblems>,
    tellings: BTreeMap<NamespacedName, Telling>,
}

/// How one call ended.
struct Ended {
    telling: Telling,
    /// `ok`, or `known` where the Event was there already.
    result: Result<(Told, &'static str), Failure>,
}

impl Writer {
    pub(super) fn new(client: Client, pod: &Pod, metrics: Metrics) -> Self {
        let instance = pod.name.as_deref().unwrap_or("isobath");
        Self {
            calls: Calls {
                client,
                instance: telling::truncated(instance, INSTANCE_BYTES).into(),
            },
            metrics,
            told: HashMap::new(),
        }
    }

    /// Tells until `statuses` is closed.
    pub(super) async fn run(
        &mut self,
        mut statuses: watch::Receiver<Arc<Statuses>>,
        mut refusals: watch::Receiver<Arc<[Refusal]>>,
        mut unwritten: watch::Receiver<Unwritten>,
    ) {
        let pace = Pace::new(PER_SECOND, 5 * PER_SECOND);
        let results = self.metrics.event_writes.clone();
        let mut writes = Writes::new("writing Events", pace, results);
        let mut present = Present::default();
        let mut under_way = FuturesUnordered::new();
        let mut is_news = true;
        loop {
            if std::mem::take(&mut is_news) {
                let statuses = statuses.borrow_and_update().clone();
                let refusals = refusals.borrow_and_update().clone();
                let unwritten = unwritten.borrow_and_update().clone();
                let news = present.news(&statuses, &refusals, unwritten);
                self.take_in(news, &mut present, &mut writes);
            }
            let now = Instant::now();
            match writes.turn(now) {
                Turn::Of(name) => {
                    if let Some(telling) = present.tellings.get(&name)
                        && writes.begin(&name, now)
                    {
                        let known = self.told.get(&name).copied();
                        under_way.push(self.calls.clone().make(telling.clone(), known));
                    }
                }
                Turn::Wait(until) => tokio::select! {
                    news = statuses.changed() => match news {
                        Ok(()) => is_news = true,
                        Err(_) => return,
                    },
                    // The other ends live as long as this term.
                    Ok(()) = refusals.changed() => is_news = true,
                    Ok(()) = unwritten.changed() => is_news = true,
                    Some(ended) = under_way.next() => self.take_out(ended, &present, &mut writes),
                    () = sleep_until(until) => {}
                },
            }
            // A long list leaves no time for waiting.
            is_news |= statuses.has_changed().unwrap_or(false);
        }
    }

    fn take_in(&mut self, news: News, present: &mut Present, writes: &mut Writes) {
        for name in news.over {
            present.tellings.remove(&name);
            writes.remove(&name);
        }
        let now = Instant::now();
        let refresh = refresh(present.tellings.len() + news.new.len());
        for telling in news.new {
            let told = self.told.get(&telling.name);
            writes.add(&telling.name, told.map_or(now, |told| told.at + refresh));
            present.tellings.insert(telling.name.clone(), telling);
        }
        if self.told.len() > 2 * present.tellings.len() + 1000 {
            self.told.retain(|_, told| now < told.at + 2 * REFRESH);
        }
    }

    fn take_out(&mut self, ended: Ended, present: &Present, writes: &mut Writes) {
        let Ended { telling, result } = ended;
        let now = Instant::now();
        match result {
            Ok((told, result)) => {
                writes.went_well(&telling.name, result, now);
                if present.tellings.contains_key(&telling.name) {
                    let again = told.at + refresh(present.tellings.len());
                    writes.add(&telling.name, again);
                }
                self.told.insert(telling.name, told);
            }
            Err(failure) => {
                if writes.failed(&telling.name, &failure, now) == Fate::Final {
                    warn!(object = %telling.object, error = %failure, "the API server does not take the Event");
                }
            }
        }
    }
}

/// After what time an Event is touched again where there are so many of them.
fn refresh(events: usize) -> Duration {
    let seconds = events as f64 * 2.0 / f64::from(PER_SECOND);
    REFRESH.max(Duration::from_secs_f64(seconds))
}

impl Present {
    /// What is to be told now, and what not any more.
    fn news(
        &mut self,
        statuses: &Statuses,
        refusals: &[Refusal],
        unwritten: OrdMap<ObjectRef, ObjectProblems>,
    ) -> News {
        let refused = telling::of_refusals(refusals, statuses);
        let mut news = News::default();
        for (before, now) in [
            (&mut self.problems, statuses.problems.clone()),
            (&mut self.refused, refused),
            (&mut self.unwritten, unwritten),
        ] {
            news.take_in(before, &now);
            *before = now;
        }
        news
    }
}

/// The calls to the API server.
#[derive(Clone)]
struct Calls {
    client: Client,
    instance: Arc<str>,
}

impl Calls {
    async fn make(self, telling: Telling, known: Option<Told>) -> Ended {
        let result = self.tell(&telling, known).await;
        Ended { telling, result }
    }

    /// Makes the Event, or touches it where it was told before.
    async fn tell(
        &self,
        telling: &Telling,
        known: Option<Told>,
    ) -> Result<(Told, &'static str), Failure> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &telling.name.namespace);
        let told = |count| Told {
            at: Instant::now(),
            count,
        };
        let wall = Timestamp::now();
        if let Some(known) = known {
            let count = known.count.saturating_add(1);
            let series = EventSeries {
                count,
                last_observed_time: MicroTime(wall),
            };
            let patch = Patch::Merge(json!({ "series": series }));
            let params = PatchParams::default();
            let call = api.patch(&telling.name.name, &params, &patch);
            match within(CALL_LIMIT, call).await {
                Ok(_) => return Ok((told(count), "ok")),
                // Forgotten by the server: made anew below.
                Err(failure) if failure.code() == Some(404) => {}
                Err(failure) => return Err(failure),
            }
        }
        let event = telling.event(&self.instance, wall);
        match within(CALL_LIMIT, api.create(&PostParams::default(), &event)).await {
            Ok(_) => {
                debug!(object = %telling.object, reason = telling.reason, "Event written");
                Ok((told(1), "ok"))
            }
            // Told by another replica, or by this one before its restart.
            Err(failure) if failure.code() == Some(409) => Ok((told(1), "known")),
            Err(failure) => Err(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten calls a second, of which touching may take five.
    #[test]
    fn touching_ends_however_many_events_there_are() {
        for (events, seconds) in [
            (0, 1800),
            (1, 1800),
            (9_000, 1800),
            (18_000, 3600),
            (100_000, 20_000),
        ] {
            assert_eq!(refresh(events), Duration::from_secs(seconds), "{events}");
        }
    }
}
