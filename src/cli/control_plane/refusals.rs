//! What Envoy refuses and acknowledges, from the words of xDS into those of Kubernetes.

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

use crate::envoy::manager;
use crate::model::verdict::{Delivery, RefusedObject};
use crate::objects::Field;
use crate::xds::{Progress, RefusedUnit, RefusedUnits, ResourceType};

/// Least time between two publications of what is left out.
const PAUSE: Duration = Duration::from_millis(100);

/// Follows the units that streams leave out and names them by the objects that they were made from, and how far streams are,
/// until one of the ends is closed.
pub async fn follow(
    (mut units, mut progress): (watch::Receiver<RefusedUnits>, watch::Receiver<Progress>),
    (refusals, delivery): (watch::Sender<Arc<[RefusedObject]>>, watch::Sender<Delivery>),
) {
    units.mark_changed();
    loop {
        // Before what is left out, which is published first: what is said to be acknowledged is so without that.
        let Progress {
            acknowledged,
            is_connected,
        } = *progress.borrow_and_update();
        let mut refused_listeners = delivery.borrow().refused_listeners.clone();
        if units.has_changed().unwrap_or(false) {
            let units = units.borrow_and_update().clone();
            let current: BTreeSet<RefusedObject> = units.iter().flat_map(refusals_of).collect();
            refusals.send_replace(current.into_iter().collect());
            refused_listeners = Arc::new(units.iter().filter_map(refused_listener).collect());
        }
        let current = Delivery {
            acknowledged,
            is_connected,
            refused_listeners,
        };
        delivery.send_if_modified(|published| {
            let is_news = *published != current;
            *published = current;
            is_news
        });
        // A client that refuses many units refuses them one by one, and each publication has all of them.
        tokio::time::sleep(PAUSE).await;
        let changed = tokio::select! {
            changed = units.changed() => {
                units.mark_changed();
                changed
            }
            changed = progress.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// The listener that a unit is, or is the manager of, and why it is refused.
fn refused_listener(unit: &RefusedUnit) -> Option<(Arc<str>, Arc<str>)> {
    let name = match unit.resource_type {
        _ if unit.part.is_some() => return None,
        ResourceType::Listener => unit.resource.clone(),
        ResourceType::Extension => manager::listener_of(&unit.resource).into(),
        _ => return None,
    };
    Some((name, unit.reason.clone()))
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
