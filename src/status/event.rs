//! Problems and refusals as Events (`events.k8s.io/v1`), where `kubectl describe` shows them.
//!
//! An Event's name follows from what it says ([`EventSpec`]), so it is the same Event whichever replica made it.
//! The API server forgets Events after an hour (`--event-ttl`), but problems stay: while one lasts its Event is
//! touched every half hour (`series`), and made again where it is gone. Touching takes at most half of the calls,
//! however many Events there are, so that it always comes to an end and new Events are written.

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

use super::event_spec::{self, EventSpec, News};
use super::metrics::Metrics;
use super::queue::Pace;
use super::writer::Unwritten;
use super::writes::{CALL_LIMIT, Fate, Turn, Writes, sleep_until};
use crate::model::verdict::{ObjectProblems, RefusedObject, Statuses};
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
struct Written {
    at: Instant,
    count: i32,
}

/// Writes problems and refusals as Events on the objects.
pub(super) struct Writer {
    calls: Calls,
    metrics: Metrics,
    /// Kept from one term as leader to the next.
    written: HashMap<NamespacedName, Written>,
}

/// The Events that are to be there now.
#[derive(Default)]
struct Present {
    /// What was seen last, by where it comes from.
    problems: OrdMap<ObjectRef, ObjectProblems>,
    refused: OrdMap<ObjectRef, ObjectProblems>,
    unwritten: OrdMap<ObjectRef, ObjectProblems>,
    specs: BTreeMap<NamespacedName, EventSpec>,
}

/// How one call ended.
struct Ended {
    spec: EventSpec,
    /// `ok`, or `known` where the Event was there already.
    result: Result<(Written, &'static str), Failure>,
}

impl Writer {
    pub(super) fn new(client: Client, pod: &Pod, metrics: Metrics) -> Self {
        let instance = pod.name.as_deref().unwrap_or("isobath");
        Self {
            calls: Calls {
                client,
                instance: event_spec::truncated(instance, INSTANCE_BYTES).into(),
            },
            metrics,
            written: HashMap::new(),
        }
    }

    /// Writes until `statuses` is closed.
    pub(super) async fn run(
        &mut self,
        mut statuses: watch::Receiver<Arc<Statuses>>,
        mut refusals: watch::Receiver<Arc<[RefusedObject]>>,
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
                    if let Some(spec) = present.specs.get(&name)
                        && writes.begin(&name, now)
                    {
                        let known = self.written.get(&name).copied();
                        under_way.push(self.calls.clone().make(spec.clone(), known));
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
            present.specs.remove(&name);
            writes.remove(&name);
        }
        let now = Instant::now();
        let refresh = refresh(present.specs.len() + news.new.len());
        for spec in news.new {
            let written = self.written.get(&spec.name);
            writes.add(
                &spec.name,
                written.map_or(now, |written| written.at + refresh),
            );
            present.specs.insert(spec.name.clone(), spec);
        }
        if self.written.len() > 2 * present.specs.len() + 1000 {
            self.written
                .retain(|_, written| now < written.at + 2 * REFRESH);
        }
    }

    fn take_out(&mut self, ended: Ended, present: &Present, writes: &mut Writes) {
        let Ended { spec, result } = ended;
        let now = Instant::now();
        match result {
            Ok((written, result)) => {
                writes.went_well(&spec.name, result, now);
                if present.specs.contains_key(&spec.name) {
                    let again = written.at + refresh(present.specs.len());
                    writes.add(&spec.name, again);
                }
                self.written.insert(spec.name, written);
            }
            Err(failure) => {
                if writes.failed(&spec.name, &failure, now) == Fate::Final {
                    warn!(object = %spec.object, error = %failure, "the API server does not take the Event");
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
    /// What is to be written now, and what not any more.
    fn news(
        &mut self,
        statuses: &Statuses,
        refusals: &[RefusedObject],
        unwritten: OrdMap<ObjectRef, ObjectProblems>,
    ) -> News {
        let refused = event_spec::of_refusals(refusals, statuses);
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
    async fn make(self, spec: EventSpec, known: Option<Written>) -> Ended {
        let result = self.tell(&spec, known).await;
        Ended { spec, result }
    }

    /// Makes the Event, or touches it where it was written before.
    async fn tell(
        &self,
        spec: &EventSpec,
        known: Option<Written>,
    ) -> Result<(Written, &'static str), Failure> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &spec.name.namespace);
        let written = |count| Written {
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
            let call = api.patch(&spec.name.name, &params, &patch);
            match within(CALL_LIMIT, call).await {
                Ok(_) => return Ok((written(count), "ok")),
                // Forgotten by the server: made anew below.
                Err(failure) if failure.code() == Some(404) => {}
                Err(failure) => return Err(failure),
            }
        }
        let event = spec.event(&self.instance, wall);
        match within(CALL_LIMIT, api.create(&PostParams::default(), &event)).await {
            Ok(_) => {
                debug!(object = %spec.object, reason = spec.reason, "Event written");
                Ok((written(1), "ok"))
            }
            // Written by another replica, or by this one before its restart.
            Err(failure) if failure.code() == Some(409) => Ok((written(1), "known")),
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
