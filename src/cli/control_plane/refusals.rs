//! What Envoy refuses, from the words of xDS into those of Kubernetes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::model::verdict::RefusedObject;
use crate::objects::Field;
use crate::xds::{RefusedUnit, RefusedUnits, ResourceType};

/// Least time between two publications of what is left out.
const PAUSE: Duration = Duration::from_millis(100);

/// Follows the units that streams leave out and names them by the objects that they were made from, until one of
/// the two ends is closed.
pub async fn follow(
    mut units: watch::Receiver<RefusedUnits>,
    refusals: watch::Sender<Arc<[RefusedObject]>>,
) {
    loop {
        let current: BTreeSet<RefusedObject> = units
            .borrow_and_update()
            .iter()
            .flat_map(refusals_of)
            .collect();
        refusals.send_replace(current.into_iter().collect());
        // A client that refuses many units refuses them one by one, and each publication has all of them.
        tokio::time::sleep(PAUSE).await;
        if units.changed().await.is_err() {
            return;
        }
    }
}

/// What streams leave out at this moment, as a metric. A counter of refusals can't say that one is over, and Prometheus's
/// `increase` does not see a series that appears with the value 1.
#[derive(Debug)]
pub struct LeftOut(pub watch::Receiver<RefusedUnits>);

impl LeftOut {
    const NAME: &str = "xds_left_out";
    const HELP: &str = "Resources or parts of them that a connected client refuses and that are left out now, by the \
                        object they were made from";

    /// Adds the metric; `registry` brings the prefix `isobath_`.
    pub fn register(self, registry: &mut Registry) {
        registry.register_collector(Box::new(self));
    }
}

impl Collector for LeftOut {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let units = self.0.borrow().clone();
        let mut counts: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for unit in &units {
            let mut count = |owner| {
                *counts
                    .entry((unit.resource_type.service(), owner))
                    .or_default() += 1
            };
            if unit.owners.is_empty() {
                count("");
            }
            for owner in &*unit.owners {
                count(owner);
            }
        }
        let mut family =
            encoder.encode_descriptor(Self::NAME, Self::HELP, None, MetricType::Gauge)?;
        for ((resource_type, owner), count) in counts {
            let labels = [("type", resource_type), ("owner", owner)];
            ConstGauge::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn refusals_of(unit: &RefusedUnit) -> impl Iterator<Item = RefusedObject> {
    unit.owners.iter().map(|owner| RefusedObject {
        owner: owner.to_string(),
        // A part of a table is the virtual host of its name.
        field: match (unit.resource_type, &unit.part) {
            (ResourceType::Route, Some(host)) => Field::Host(host.clone()),
            _ => Field::Whole,
        },
        reason: format!(
            "Envoy refuses {} {}: {}",
            unit.resource_type, unit.resource, unit.reason
        ),
    })
}
