//! How far Envoys have come with what a control plane serves: what pages say of it, and what commands read there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::xds::{RefusedUnit, ResourceType, StreamReport};

/// Of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The number of the snapshot that is told of, counted from the start of the control plane.
    pub snapshot: u64,
    /// The Envoys.
    pub streams: Vec<Stream>,
    /// What they refuse of it, and leave out.
    pub refused: Vec<Refused>,
}

/// One Envoy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// The number of its stream.
    pub stream: u64,
    /// What it calls itself.
    pub node: Option<String>,
    /// Its version.
    pub envoy: Option<String>,
    /// The number of the newest snapshot of which it has acknowledged all; `None` where it was busy when it was asked.
    pub acknowledged: Option<u64>,
}

/// A unit that an Envoy refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The number of the stream.
    pub stream: u64,
    /// `cds`, `eds`, `lds`, `rds`, …
    pub resource_type: String,
    /// The resource.
    pub resource: String,
    /// The part of it; `None` is all of it.
    pub part: Option<String>,
    /// What Envoy says.
    pub reason: String,
}

impl Delivery {
    /// How far these streams have come with this snapshot, and what they refuse of what concerns whoever asks.
    #[must_use]
    pub fn of(
        snapshot: u64,
        reports: &BTreeMap<u64, StreamReport>,
        concerns: impl Fn(&RefusedUnit) -> bool,
    ) -> Self {
        // Who asks for no listeners only looks, and acknowledges nothing.
        let follows = |report: &StreamReport| {
            let of_listeners = ResourceType::Listener.service();
            let mut types = report.types.iter();
            report.is_busy || types.any(|it| it.resource_type == of_listeners)
        };
        let reports = reports.iter().filter(|(_, report)| follows(report));
        let streams = reports.clone().map(|(number, report)| Stream {
            stream: *number,
            node: report.node.as_deref().map(ToOwned::to_owned),
            envoy: report.envoy.clone(),
            acknowledged: (!report.is_busy).then_some(report.acknowledged),
        });
        let refused = reports.flat_map(|(number, report)| {
            let refused = report.refused.iter().filter(|unit| concerns(unit));
            refused.map(|unit| Refused {
                stream: *number,
                resource_type: unit.resource_type.service().to_owned(),
                resource: unit.resource.to_string(),
                part: unit.part.as_deref().map(ToOwned::to_owned),
                reason: unit.reason.to_string(),
            })
        });
        Self {
            snapshot,
            streams: streams.collect(),
            refused: refused.collect(),
        }
    }

    /// One sentence for each Envoy.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        if self.streams.is_empty() {
            return vec!["none is connected: nothing of this is served".to_owned()];
        }
        let lacking: BTreeSet<u64> = self.refused.iter().map(|it| it.stream).collect();
        let sentence = |stream: &Stream| {
            let number = self.snapshot;
            match stream.acknowledged {
                Some(acknowledged) if acknowledged >= number => {
                    match lacking.contains(&stream.stream) {
                        true => format!("{stream} has acknowledged all but what it refuses"),
                        false => format!("{stream} has acknowledged it (snapshot {number})"),
                    }
                }
                Some(acknowledged) => format!(
                    "{stream} has acknowledged snapshot {acknowledged}, and this is of {number}: what has changed since is under way"
                ),
                None => format!("{stream} is busy: ask again"),
            }
        };
        self.streams.iter().map(sentence).collect()
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.stream;
        match &self.node {
            Some(node) => write!(f, "{node} (stream {number})"),
            None => write!(f, "stream {number}"),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stream,
            resource_type,
            resource,
            part,
            reason,
        } = self;
        let part = part.as_deref();
        let part = part.map_or_else(String::new, |part| format!(" of {part}"));
        write!(
            f,
            "the Envoy of stream {stream} refuses {resource_type} {resource}{part}, and goes without: {reason}"
        )
    }
}
