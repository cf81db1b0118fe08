//! What the access loggers that count for metrics cost a request: the two that count the statuses of gRPC against one of them, and
//! all of them against the one that writes the log.

use std::path::Path;

use anyhow::Result;
use isobath::envoy::edge::Edge;

use super::filters::{Side, compare};
use crate::report::Report;

/// The way of this experiment, among the others of [`super::Args`].
pub const NAME: &str = "loggers";

pub async fn measure(report: &mut Report, envoy: &Path) -> Result<()> {
    let edge = Edge {
        ingress_metrics: true,
        ..Edge::default()
    };
    let all = || Side {
        what: "all loggers",
        change: |_| {},
    };
    // The last two are those of gRPC.
    let one = Side {
        what: "one logger of gRPC",
        change: |manager| drop(manager.access_log.pop()),
    };
    let label = "Envoy's CPU of a request, two loggers of gRPC";
    compare(report, envoy, &edge, [all(), one], label, None).await?;
    let none = Side {
        what: "the log alone",
        change: |manager| manager.access_log.truncate(1),
    };
    let label = "Envoy's CPU of a request, loggers of metrics";
    compare(report, envoy, &edge, [all(), none], label, None).await
}
