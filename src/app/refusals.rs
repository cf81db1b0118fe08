//! What Envoy refuses, from the words of xDS into those of Kubernetes.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

use crate::verdict::Refusal;
use crate::xds::RefusedUnit;

/// Follows the units that streams leave out and names them by the objects that they were made from, until one of
/// the two ends is closed.
pub async fn follow(
    mut units: watch::Receiver<Arc<BTreeSet<RefusedUnit>>>,
    refusals: watch::Sender<Arc<[Refusal]>>,
) {
    loop {
        let current: BTreeSet<Refusal> = units
            .borrow_and_update()
            .iter()
            .flat_map(refusals_of)
            .collect();
        refusals.send_replace(current.into_iter().collect());
        if units.changed().await.is_err() {
            return;
        }
    }
}

fn refusals_of(unit: &RefusedUnit) -> impl Iterator<Item = Refusal> {
    unit.owners.iter().map(|owner| Refusal {
        owner: owner.to_string(),
        reason: format!(
            "Envoy refuses {} {}: {}",
            unit.resource_type, unit.resource, unit.reason
        ),
    })
}
