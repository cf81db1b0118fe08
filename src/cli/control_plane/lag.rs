//! How far connected clients are behind what is published, as a metric.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::xds::{Published, Reports};

/// Snapshots that somebody lacks at this moment. How long an acknowledgement takes is another metric, which says nothing of
/// one that never comes.
#[derive(Debug)]
pub struct Lag {
    /// What is published.
    pub snapshots: watch::Receiver<Option<Published>>,
    /// What is acknowledged.
    pub reports: Reports,
}

impl Lag {
    const NAME: &str = "xds_unacknowledged_snapshots";
    const HELP: &str = "Snapshots that were published and that a connected client has not acknowledged yet: of the slowest \
                        one. Endpoints are not counted. 0 without a client";

    /// Adds the metric; `registry` brings the prefix `isobath_`.
    pub fn register(self, registry: &mut Registry) {
        registry.register_collector(Box::new(self));
    }

    fn value(&self) -> u64 {
        // First, or a snapshot that comes in between would look acknowledged too early.
        let Some(slowest) = self.reports.slowest() else {
            return 0;
        };
        let newest = self.snapshots.borrow();
        let newest = newest.as_ref().map_or(0, |it| it.snapshot.number());
        newest.saturating_sub(slowest)
    }
}

impl Collector for Lag {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let value = i64::try_from(self.value()).unwrap_or(i64::MAX);
        let metric = encoder.encode_descriptor(Self::NAME, Self::HELP, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    }
}
