//! What others may see of the streams: finished values, published by each stream and read without waiting for it.

use std::collections::{BTreeMap, BTreeSet};
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

#[derive(Debug, Default)]
struct Streams {
    last: u64,
    reports: BTreeMap<u64, Arc<StreamReport>>,
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
    pub fn streams(&self) -> BTreeMap<u64, Arc<StreamReport>> {
        self.lock().reports.clone()
    }

    /// What any stream leaves out: the current set, and every change of it.
    #[must_use]
    pub fn refused(&self) -> watch::Receiver<Arc<BTreeSet<RefusedUnit>>> {
        self.refused.subscribe()
    }

    /// A place for a new stream.
    #[must_use]
    pub fn enter(&self) -> Entry {
        let mut streams = self.lock();
        streams.last += 1;
        let number = streams.last;
        streams.reports.insert(number, Arc::default());
        drop(streams);
        Entry {
            reports: self.clone(),
            number,
        }
    }

    /// Nothing but pointers is moved under this lock, so that a panic cannot leave it half done.
    fn lock(&self) -> std::sync::MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, number: u64, report: Option<Arc<StreamReport>>) {
        let mut streams = self.lock();
        let old = match report {
            Some(report) => streams.reports.insert(number, report),
            None => streams.reports.remove(&number),
        };
        let now = streams.reports.get(&number);
        let unchanged = match (&old, now) {
            (Some(old), Some(new)) => old.refused == new.refused,
            (Some(old), None) => old.refused.is_empty(),
            (None, _) => false,
        };
        if unchanged {
            return;
        }
        let reports: Vec<Arc<StreamReport>> = streams.reports.values().cloned().collect();
        // Published in the order of the changes: a later union must not be overwritten by an earlier one.
        self.refused.send_if_modified(|refused| {
            let union: BTreeSet<RefusedUnit> = reports
                .iter()
                .flat_map(|report| report.refused.iter().cloned())
                .collect();
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

    /// Publishes a report.
    pub fn publish(&self, report: StreamReport) {
        self.reports.replace(self.number, Some(Arc::new(report)));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.reports.replace(self.number, None);
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

    fn refusing(resource: &str) -> StreamReport {
        StreamReport {
            refused: [RefusedUnit {
                resource_type: ResourceType::Route,
                resource: resource.into(),
                part: Some("host".into()),
                owners: Arc::new(["Ingress shop/web".into()]),
                reason: "bad".into(),
            }]
            .into(),
            ..StreamReport::default()
        }
    }

    #[test]
    fn refusals_are_the_union_of_all_streams_and_leave_with_them() {
        let reports = Reports::default();
        let mut refused = reports.refused();
        let (a, b) = (reports.enter(), reports.enter());
        a.publish(refusing("r"));
        b.publish(refusing("r"));
        assert!(refused.has_changed().unwrap());
        assert_eq!(refused.borrow_and_update().len(), 1);
        b.publish(refusing("s"));
        assert_eq!(refused.borrow_and_update().len(), 2);
        b.publish(refusing("s"));
        assert!(!refused.has_changed().unwrap(), "no change, no news");
        drop(b);
        assert_eq!(refused.borrow_and_update().len(), 1);
        drop(a);
        assert!(refused.borrow_and_update().is_empty());
        assert!(reports.streams().is_empty());
    }

    #[test]
    fn a_report_reads_as_json() {
        let json = serde_json::to_value(refusing("r")).unwrap();
        assert_eq!(json["refused"][0]["resource_type"], "rds");
        assert_eq!(json["refused"][0]["owners"][0], "Ingress shop/web");
    }
}
