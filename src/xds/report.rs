//! What others may see of the streams: what each of them leaves out, published when it changes, and the whole of its
//! state, which is put together when somebody asks: one for each response to each of a thousand clients was 7 % of
//! the CPU (`perf record` under `make figures`, fan-out).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use imbl::OrdSet;
use serde::Serialize;
use tokio::sync::watch;

use super::ResourceType;

/// A unit that a client refused and that is left out on its stream until it changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RefusedUnit {
    /// The type of the resource.
    #[serde(serialize_with = "service")]
    pub resource_type: ResourceType,
    /// The resource.
    pub resource: Arc<str>,
    /// The part of it; `None` is the resource as a whole.
    pub part: Option<Arc<str>>,
    /// The objects that the unit was made from.
    #[serde(serialize_with = "strings")]
    pub owners: Arc<[Arc<str>]>,
    /// What the client said, bounded; a fixed text for secrets, and for listeners of an Envoy that is too old that it is.
    pub reason: Arc<str>,
}

/// Units that clients refuse. A copy costs nothing, and shares all that does not change.
pub type RefusedUnits = OrdSet<RefusedUnit>;

/// A unit that a stream leaves out from now on, or not any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The unit.
    pub unit: RefusedUnit,
    /// Whether it is left out now.
    pub is_left_out: bool,
}

/// One type on one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TypeReport {
    /// `cds`, `eds`, `lds`, `rds` or `sds`.
    pub resource_type: &'static str,
    /// Whether the client wants everything.
    pub wildcard: bool,
    /// How many names it asked for.
    pub names: usize,
    /// How many resources it has, as far as is known.
    pub held: usize,
    /// How many changes wait: for the answer to the last response, or for something else.
    pub waiting: usize,
    /// The nonce of the last response; 0 before the first.
    pub sent: u64,
    /// The version of the last response.
    pub sent_version: Option<Arc<str>>,
    /// The version of the last response that was acknowledged.
    pub acknowledged_version: Option<Arc<str>>,
    /// The version of the response that waits for its answer.
    pub pending_version: Option<Arc<str>>,
    /// The last response, if it was refused; what is left out because of it is told by the stream.
    pub rejected: Option<Rejected>,
    /// Whether the bad part of a refused response is being looked for.
    pub containing: bool,
}

/// A listener, or what listeners name, on which a client serves nothing, because it refuses it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// LDS or ECDS.
    pub resource_type: ResourceType,
    /// Its name.
    pub name: Arc<str>,
    /// As [`RefusedUnit::reason`].
    pub reason: Arc<str>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, reason, .. } = self;
        let what = match self.resource_type {
            ResourceType::Extension => "extension",
            _ => "listener",
        };
        write!(f, "Envoy refuses the {what} {name}: {reason}")
    }
}

/// How far clients have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The number of the newest snapshot of which any client has acknowledged all; 0 for none. It stays when the client goes.
    pub acknowledged: u64,
    /// Whether there is a stream that has asked for listeners. One that asks for nothing acknowledges nothing.
    pub is_connected: bool,
}

/// A response that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Its version.
    pub version: Arc<str>,
    /// What the client said, bounded; a fixed text for secrets.
    pub reason: Arc<str>,
}

/// One stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    /// `delta` or `sotw`.
    pub variant: &'static str,
    /// The identifier that the client gave itself.
    pub node: Option<Arc<str>>,
    /// Which Envoy it is, as it says.
    pub envoy: Option<String>,
    /// Whether it was in the midst of a step when it was asked, so that nothing more is known of this moment.
    pub is_busy: bool,
    /// The number of the newest snapshot of which it has acknowledged all, but endpoints; 0 for none.
    pub acknowledged: u64,
    /// The types that it asked for.
    pub types: Vec<TypeReport>,
    /// What is left out.
    pub refused: BTreeSet<RefusedUnit>,
}

/// All streams. A cheap handle: every clone shows the same.
#[derive(Clone, Debug)]
pub struct Reports {
    streams: Arc<Mutex<Streams>>,
    refused: watch::Sender<RefusedUnits>,
    missing: watch::Sender<Arc<BTreeSet<Missing>>>,
    progress: watch::Sender<Progress>,
}

/// A stream as others see it.
pub trait Reporting: Send + Sync {
    /// Its state at this moment; `None` while it is in the midst of a step. Never waits: who asks may be the thread that
    /// answers the probes.
    fn report(&self) -> Option<StreamReport>;
}

#[derive(Default)]
struct Streams {
    last: u64,
    streams: BTreeMap<u64, Arc<dyn Reporting>>,
    /// Those that have asked for listeners.
    following: BTreeSet<u64>,
    /// The newest snapshot of which each has acknowledged all; it is written without the lock.
    acknowledged: BTreeMap<u64, Arc<AtomicU64>>,
    /// What each of them leaves out, if anything, and how often: a resource and its placeholder look the same.
    refused: BTreeMap<u64, BTreeMap<RefusedUnit, usize>>,
    /// How many streams leave a unit out.
    leaving_out: BTreeMap<RefusedUnit, usize>,
    /// The listeners that each of them lacks, if any.
    missing: BTreeMap<u64, BTreeSet<Missing>>,
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams")
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl Default for Reports {
    fn default() -> Self {
        Self {
            streams: Arc::default(),
            refused: watch::Sender::new(RefusedUnits::new()),
            missing: watch::Sender::new(Arc::default()),
            progress: watch::Sender::default(),
        }
    }
}

impl Reports {
    /// How often streams that are in the midst of a step are asked again, and how long after the last time. A step takes
    /// microseconds, so that few are left, and those are told as busy.
    const TRIES: usize = 5;
    const PAUSE: Duration = Duration::from_millis(2);

    /// The streams by number, as they are now. Takes no longer than it takes to write them, whatever they do.
    #[must_use]
    pub fn streams(&self) -> BTreeMap<u64, StreamReport> {
        let mut open = self.lock().streams.clone();
        let mut reports = BTreeMap::new();
        for round in 0..Self::TRIES {
            if round > 0 {
                std::thread::sleep(Self::PAUSE);
            }
            open.retain(|number, stream| match stream.report() {
                Some(report) => reports.insert(*number, report).is_some(),
                None => true,
            });
            if open.is_empty() {
                break;
            }
        }
        let busy = StreamReport {
            is_busy: true,
            ..StreamReport::default()
        };
        reports.extend(open.into_keys().map(|number| (number, busy.clone())));
        reports
    }

    /// The listeners that any client refuses and lacks: the current set, and every change of it.
    #[must_use]
    pub fn missing(&self) -> watch::Receiver<Arc<BTreeSet<Missing>>> {
        self.missing.subscribe()
    }

    /// What any stream leaves out: the current set, and every change of it.
    #[must_use]
    pub fn refused(&self) -> watch::Receiver<RefusedUnits> {
        self.refused.subscribe()
    }

    /// How far clients have come: now, and every step. What such a step left out is published before it.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The number of the newest snapshot of which every client that has asked for listeners has acknowledged all; `None` where
    /// there is none.
    #[must_use]
    pub fn slowest(&self) -> Option<u64> {
        let streams = self.lock();
        let numbers = streams.following.iter();
        let numbers = numbers.filter_map(|number| streams.acknowledged.get(number));
        numbers.map(|number| number.load(Ordering::Relaxed)).min()
    }

    /// A place for a new stream.
    #[must_use]
    pub fn enter(&self, stream: Arc<dyn Reporting>) -> Entry {
        let mut streams = self.lock();
        streams.last += 1;
        let number = streams.last;
        streams.streams.insert(number, stream);
        let acknowledged = Arc::<AtomicU64>::default();
        streams.acknowledged.insert(number, acknowledged.clone());
        drop(streams);
        Entry {
            reports: self.clone(),
            number,
            follows: false,
            acknowledged,
        }
    }

    /// Publishes whether there is a stream that follows, under the lock.
    fn connected(&self, streams: &Streams) {
        let is_connected = !streams.following.is_empty();
        self.progress.send_if_modified(|progress| {
            std::mem::replace(&mut progress.is_connected, is_connected) != is_connected
        });
    }

    /// Nothing is called under this lock that could panic and leave it half done.
    fn lock(&self) -> std::sync::MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Published in the order of the changes, under the lock: a later state must not be overwritten by an earlier one.
    fn change(&self, number: u64, changes: impl IntoIterator<Item = LeftOut>) {
        let mut streams = self.lock();
        let Streams {
            refused,
            leaving_out,
            ..
        } = &mut *streams;
        let of_stream = refused.entry(number).or_default();
        let mut news = Vec::new();
        for LeftOut { unit, is_left_out } in changes {
            if count(of_stream, &unit, is_left_out) && count(leaving_out, &unit, is_left_out) {
                news.push((unit, is_left_out));
            }
        }
        if of_stream.is_empty() {
            refused.remove(&number);
        }
        self.refused.send_if_modified(|published| {
            let modified = !news.is_empty();
            for (unit, is_left_out) in news {
                match is_left_out {
                    true => drop(published.insert(unit)),
                    false => drop(published.remove(&unit)),
                }
            }
            modified
        });
    }

    /// Puts one stream's listeners in the place of its last ones, and publishes the union of all if it has changed. Nobody
    /// has many listeners.
    fn lacks(&self, number: u64, missing: BTreeSet<Missing>) {
        let mut streams = self.lock();
        match missing.is_empty() {
            true => streams.missing.remove(&number),
            false => streams.missing.insert(number, missing),
        };
        let union: BTreeSet<Missing> = streams.missing.values().flatten().cloned().collect();
        self.missing.send_if_modified(|published| {
            let modified = **published != union;
            if modified {
                *published = Arc::new(union);
            }
            modified
        });
    }
}

/// Counts one more or one less; returns whether it is the first or was the last one.
fn count(counts: &mut BTreeMap<RefusedUnit, usize>, unit: &RefusedUnit, is_more: bool) -> bool {
    if is_more {
        let count = counts.entry(unit.clone()).or_default();
        *count += 1;
        return *count == 1;
    }
    let Some(count) = counts.get_mut(unit) else {
        return false;
    };
    *count -= 1;
    let was_last = *count == 0;
    if was_last {
        counts.remove(unit);
    }
    was_last
}

/// One stream's place among the reports; it is empty again when this is dropped.
#[derive(Debug)]
pub struct Entry {
    reports: Reports,
    number: u64,
    /// Whether the stream has asked for listeners.
    follows: bool,
    acknowledged: Arc<AtomicU64>,
}

impl Entry {
    /// The stream's number, counted from 1 since the start of the process.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Publishes what has changed of what the stream leaves out, at the cost of what has.
    pub fn refused(&self, changes: Vec<LeftOut>) {
        self.reports.change(self.number, changes);
    }

    /// Publishes that the stream has asked for listeners, so that what it acknowledges is waited for.
    pub fn follows(&mut self) {
        if std::mem::replace(&mut self.follows, true) {
            return;
        }
        let mut streams = self.reports.lock();
        streams.following.insert(self.number);
        self.reports.connected(&streams);
    }

    /// Publishes that the client has acknowledged all of a snapshot, where no other has come as far.
    pub fn acknowledged(&self, number: u64) {
        self.acknowledged.store(number, Ordering::Relaxed);
        self.reports.progress.send_if_modified(|progress| {
            let is_news = number > progress.acknowledged;
            progress.acknowledged = progress.acknowledged.max(number);
            is_news
        });
    }

    /// Publishes the listeners that the client lacks now.
    pub fn lacks(&self, missing: BTreeSet<Missing>) {
        self.reports.lacks(self.number, missing);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut streams = self.reports.lock();
        streams.streams.remove(&self.number);
        streams.following.remove(&self.number);
        streams.acknowledged.remove(&self.number);
        self.reports.connected(&streams);
        let refused = streams.refused.get(&self.number).cloned();
        drop(streams);
        let units = refused.into_iter().flatten();
        let changes = units.flat_map(|(unit, count)| {
            let change = LeftOut {
                unit,
                is_left_out: false,
            };
            std::iter::repeat_n(change, count)
        });
        self.reports.change(self.number, changes);
        self.reports.lacks(self.number, BTreeSet::new());
    }
}

fn service<S: serde::Serializer>(of: &ResourceType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(of.service())
}

fn strings<S: serde::Serializer>(of: &Arc<[Arc<str>]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(of.iter().map(|text| &**text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn refusing(resource: &str) -> BTreeSet<RefusedUnit> {
        BTreeSet::from([RefusedUnit {
            resource_type: ResourceType::Route,
            resource: resource.into(),
            part: Some("host".into()),
            owners: Arc::new(["Ingress shop/web".into()]),
            reason: "bad".into(),
        }])
    }

    impl Reporting for &'static str {
        fn report(&self) -> Option<StreamReport> {
            Some(StreamReport {
                variant: self,
                refused: refusing("r"),
                ..StreamReport::default()
            })
        }
    }

    /// A stream that is in the midst of a step whenever it is asked, less often than so often.
    struct Busy(Mutex<usize>);

    impl Reporting for Busy {
        fn report(&self) -> Option<StreamReport> {
            let mut left = self.0.lock().unwrap();
            *left = left.saturating_sub(1);
            (*left == 0).then(StreamReport::default)
        }
    }

    #[test]
    fn the_slowest_counts_while_it_is_there() {
        let reports = Reports::default();
        assert_eq!(reports.slowest(), None);
        let [mut one, mut two, _looks] =
            ["delta", "sotw", "delta"].map(|variant| reports.enter(Arc::new(variant)));
        assert_eq!(reports.slowest(), None);
        one.follows();
        two.follows();
        one.acknowledged(7);
        assert_eq!(reports.slowest(), Some(0));
        two.acknowledged(5);
        assert_eq!(reports.slowest(), Some(5));
        drop(two);
        assert_eq!(reports.slowest(), Some(7));
    }

    /// Who asks is the thread of the probes.
    #[test]
    fn a_busy_stream_is_told_as_such() {
        let reports = Reports::default();
        let soon = reports.enter(Arc::new(Busy(Mutex::new(2))));
        let never = reports.enter(Arc::new(Busy(Mutex::new(usize::MAX))));
        let at_once = reports.enter(Arc::new("delta"));
        let streams = reports.streams();
        assert_eq!(streams.len(), 3);
        assert!(streams[&never.number()].is_busy);
        for entry in [soon, at_once] {
            assert!(!streams[&entry.number()].is_busy);
        }
    }

    fn left_out(resource: &str, is_left_out: bool) -> Vec<LeftOut> {
        let units = refusing(resource).into_iter();
        let changes = units.map(|unit| LeftOut { unit, is_left_out });
        changes.collect()
    }

    #[test]
    fn refusals_are_the_union_of_all_streams_and_leave_with_them() {
        let reports = Reports::default();
        let mut refused = reports.refused();
        let (a, b) = (
            reports.enter(Arc::new("delta")),
            reports.enter(Arc::new("sotw")),
        );
        assert_eq!(reports.streams()[&b.number()].variant, "sotw");
        a.refused(Vec::new());
        a.refused(left_out("unheard-of", false));
        assert!(!refused.has_changed().unwrap(), "nothing, still");
        a.refused(left_out("r", true));
        assert!(refused.has_changed().unwrap());
        assert_eq!(refused.borrow_and_update().len(), 1);
        b.refused(left_out("r", true));
        assert!(!refused.has_changed().unwrap(), "no change, no news");
        b.refused([left_out("r", false), left_out("s", true)].concat());
        assert_eq!(refused.borrow_and_update().len(), 2);
        // A resource, and its placeholder.
        b.refused(left_out("s", true));
        b.refused(left_out("s", false));
        assert!(!refused.has_changed().unwrap());
        b.refused(left_out("s", true));
        drop(b);
        assert_eq!(refused.borrow_and_update().len(), 1);
        a.refused(left_out("r", false));
        assert!(refused.borrow_and_update().is_empty());
        a.refused(left_out("r", true));
        drop(a);
        assert!(refused.borrow_and_update().is_empty());
        let streams = reports.lock();
        assert!(streams.streams.is_empty() && streams.refused.is_empty());
        assert!(streams.leaving_out.is_empty());
    }

    /// A stream that has asked for nothing is nobody to wait for.
    #[test]
    fn who_follows_is_connected() {
        let reports = Reports::default();
        let progress = reports.progress();
        let is_connected = || progress.borrow().is_connected;
        let idle = reports.enter(Arc::new("delta"));
        assert!(!is_connected());
        let mut first = reports.enter(Arc::new("delta"));
        let mut second = reports.enter(Arc::new("sotw"));
        first.follows();
        second.follows();
        second.follows();
        drop(first);
        assert!(is_connected());
        drop(second);
        assert!(!is_connected());
        drop(idle);
    }

    #[test]
    fn a_report_reads_as_json() {
        let json = serde_json::to_value("delta".report().unwrap()).unwrap();
        assert_eq!(json["refused"][0]["resource_type"], "rds");
        assert_eq!(json["refused"][0]["owners"][0], "Ingress shop/web");
    }
}
