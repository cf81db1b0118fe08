//! What others may see of the streams: what each of them leaves out, published when it changes, and the whole of its
//! state, which is put together when somebody asks: one for each response to each of a thousand clients was 7 % of
//! the CPU (`perf record` under `make figures`, fan-out).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

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
    /// What the client said, bounded; a fixed text for secrets.
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
    /// How many resources it was sent.
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
}

/// A stream as others see it.
pub trait Reporting: Send + Sync {
    /// Its state at this moment.
    fn report(&self) -> StreamReport;
}

#[derive(Default)]
struct Streams {
    last: u64,
    streams: BTreeMap<u64, Arc<dyn Reporting>>,
    /// What each of them leaves out, if anything.
    refused: BTreeMap<u64, BTreeSet<RefusedUnit>>,
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
        }
    }
}

impl Reports {
    /// The streams by number, as they are now.
    #[must_use]
    pub fn streams(&self) -> BTreeMap<u64, StreamReport> {
        let streams = self.lock().streams.clone();
        streams
            .into_iter()
            .map(|(number, stream)| (number, stream.report()))
            .collect()
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

    fn replace(&self, number: u64, refused: BTreeSet<RefusedUnit>) {
        let mut streams = self.lock();
        if refused.is_empty() {
            streams.refused.remove(&number);
        } else {
            streams.refused.insert(number, refused);
        }
        let union: BTreeSet<RefusedUnit> = streams.refused.values().flatten().cloned().collect();
        // Published in the order of the changes, under the lock: a later union must not be overwritten by an earlier
        // one.
        self.refused.send_if_modified(|refused| {
            let modified = **refused != union;
            if modified {
                *refused = Arc::new(union);
            }
            modified
        });
    }
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

    /// Publishes what the stream leaves out now.
    pub fn refused(&self, refused: BTreeSet<RefusedUnit>) {
        self.reports.replace(self.number, refused);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.reports.lock().streams.remove(&self.number);
        self.reports.replace(self.number, BTreeSet::new());
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
        fn report(&self) -> StreamReport {
            StreamReport {
                variant: self,
                refused: refusing("r"),
                ..StreamReport::default()
            }
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
        a.refused(BTreeSet::new());
        assert!(!refused.has_changed().unwrap(), "nothing, still");
        a.refused(refusing("r"));
        b.refused(refusing("r"));
        assert!(refused.has_changed().unwrap());
        assert_eq!(refused.borrow_and_update().len(), 1);
        b.refused(refusing("s"));
        assert_eq!(refused.borrow_and_update().len(), 2);
        b.refused(refusing("s"));
        assert!(!refused.has_changed().unwrap(), "no change, no news");
        drop(b);
        assert_eq!(refused.borrow_and_update().len(), 1);
        a.refused(BTreeSet::new());
        assert!(refused.borrow_and_update().is_empty());
        a.refused(refusing("r"));
        drop(a);
        assert!(refused.borrow_and_update().is_empty());
        assert!(reports.streams().is_empty());
    }

    #[test]
    fn a_report_reads_as_json() {
        let json = serde_json::to_value("delta".report()).unwrap();
        assert_eq!(json["refused"][0]["resource_type"], "rds");
        assert_eq!(json["refused"][0]["owners"][0], "Ingress shop/web");
    }
}
