//! What others may see of the streams: what each of them leaves out, published when it changes, and the whole of its
//! state, which is put together when somebody asks: one for each response to each of a thousand clients was 7 % of
//! the CPU (`perf record` under `make figures`, fan-out).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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

/// A listener on which a client serves nothing, because it refuses it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// The listener.
    pub listener: Arc<str>,
    /// As [`RefusedUnit::reason`].
    pub reason: Arc<str>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listener, reason } = self;
        write!(f, "Envoy refuses the listener {listener}: {reason}")
    }
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
    /// The types that it asked for.
    pub types: Vec<TypeReport>,
    /// What is left out.
    pub refused: BTreeSet<RefusedUnit>,
}

/// All streams. A cheap handle: every clone shows the same.
#[derive(Clone, Debug)]
pub struct Reports {
    streams: Arc<Mutex<Streams>>,
    refused: watch::Sender<Arc<BTreeSet<RefusedUnit>>>,
    missing: watch::Sender<Arc<BTreeSet<Missing>>>,
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
    /// What each of them leaves out, if anything.
    refused: BTreeMap<u64, BTreeSet<RefusedUnit>>,
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
            refused: watch::Sender::new(Arc::default()),
            missing: watch::Sender::new(Arc::default()),
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
    pub fn refused(&self) -> watch::Receiver<Arc<BTreeSet<RefusedUnit>>> {
        self.refused.subscribe()
    }

    /// A place for a new stream.
    #[must_use]
    pub fn enter(&self, stream: Arc<dyn Reporting>) -> Entry {
        let mut streams = self.lock();
        streams.last += 1;
        let number = streams.last;
        streams.streams.insert(number, stream);
        drop(streams);
        Entry {
            reports: self.clone(),
            number,
        }
    }

    /// Nothing is called under this lock that could panic and leave it half done.
    fn lock(&self) -> std::sync::MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, number: u64, refused: BTreeSet<RefusedUnit>, missing: BTreeSet<Missing>) {
        let mut streams = self.lock();
        // Published in the order of the changes, under the lock: a later union must not be overwritten by an earlier
        // one.
        replace(&mut streams.refused, &self.refused, number, refused);
        replace(&mut streams.missing, &self.missing, number, missing);
    }
}

/// Puts one stream's set in the place of its last one, and publishes the union of all if it has changed.
fn replace<T: Ord + Clone>(
    of_streams: &mut BTreeMap<u64, BTreeSet<T>>,
    published: &watch::Sender<Arc<BTreeSet<T>>>,
    number: u64,
    set: BTreeSet<T>,
) {
    if set.is_empty() {
        of_streams.remove(&number);
    } else {
        of_streams.insert(number, set);
    }
    let union: BTreeSet<T> = of_streams.values().flatten().cloned().collect();
    published.send_if_modified(|published| {
        let modified = **published != union;
        if modified {
            *published = Arc::new(union);
        }
        modified
    });
}

/// One stream's place among the reports; it is empty again when this is dropped.
#[derive(Debug)]
pub struct Entry {
    reports: Reports,
    number: u64,
}

impl Entry {
    /// The stream's number, counted from 1 since the start of the process.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Publishes what the stream leaves out now, and the listeners that its client lacks because of it.
    pub fn refused(&self, refused: BTreeSet<RefusedUnit>, missing: BTreeSet<Missing>) {
        self.reports.replace(self.number, refused, missing);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.reports.lock().streams.remove(&self.number);
        let (refused, missing) = (BTreeSet::new(), BTreeSet::new());
        self.reports.replace(self.number, refused, missing);
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

    #[test]
    fn refusals_are_the_union_of_all_streams_and_leave_with_them() {
        let reports = Reports::default();
        let mut refused = reports.refused();
        let (a, b) = (
            reports.enter(Arc::new("delta")),
            reports.enter(Arc::new("sotw")),
        );
        assert_eq!(reports.streams()[&b.number()].variant, "sotw");
        a.refused(BTreeSet::new(), BTreeSet::new());
        assert!(!refused.has_changed().unwrap(), "nothing, still");
        a.refused(refusing("r"), BTreeSet::new());
        b.refused(refusing("r"), BTreeSet::new());
        assert!(refused.has_changed().unwrap());
        assert_eq!(refused.borrow_and_update().len(), 1);
        b.refused(refusing("s"), BTreeSet::new());
        assert_eq!(refused.borrow_and_update().len(), 2);
        b.refused(refusing("s"), BTreeSet::new());
        assert!(!refused.has_changed().unwrap(), "no change, no news");
        drop(b);
        assert_eq!(refused.borrow_and_update().len(), 1);
        a.refused(BTreeSet::new(), BTreeSet::new());
        assert!(refused.borrow_and_update().is_empty());
        a.refused(refusing("r"), BTreeSet::new());
        drop(a);
        assert!(refused.borrow_and_update().is_empty());
        assert!(reports.streams().is_empty());
    }

    #[test]
    fn a_report_reads_as_json() {
        let json = serde_json::to_value("delta".report().unwrap()).unwrap();
        assert_eq!(json["refused"][0]["resource_type"], "rds");
        assert_eq!(json["refused"][0]["owners"][0], "Ingress shop/web");
    }
}
