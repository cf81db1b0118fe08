//! Challenges of ACME HTTP-01 on a host that another family has.
//!
//! A solver's object is always younger than the host's, so it loses the host wherever the two are of two families. Its exact path
//! is served all the same, in clear, where it is in the namespace of the host's oldest claim: else renewals would fail. From
//! another namespace it would let a stranger have a certificate for the host.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Host, Route, VirtualHost};
use crate::objects::ObjectRef;

use super::HostUnit;
use super::path::is_exact_challenge;

/// Adds the challenges among what losers of a host would have in clear. Returns the objects of which that is all.
pub fn add(
    unit: &mut HostUnit,
    host: &Host,
    owner: &ObjectRef,
    losers: HostUnit,
) -> BTreeSet<ObjectRef> {
    let is_of_owner = |route: &Route| route.source.object.name.namespace == owner.name.namespace;
    let routes = losers.http.map(|http| http.routes).unwrap_or_default();
    let mut all: BTreeMap<ObjectRef, bool> = BTreeMap::new();
    let mut challenges = Vec::new();
    for route in routes {
        let is_challenge = is_of_owner(&route) && is_exact_challenge(&route.matches.path);
        let is_all = all.entry(route.source.object.clone()).or_insert(true);
        *is_all &= is_challenge;
        if is_challenge {
            challenges.push(route);
        }
    }
    if challenges.is_empty() {
        return BTreeSet::new();
    }
    for cluster in challenges.iter().flat_map(Route::clusters) {
        if let Some(source) = losers.clusters.get(cluster) {
            let clusters = &mut unit.clusters;
            clusters
                .entry(cluster.clone())
                .or_insert_with(|| source.clone());
        }
    }
    let http = unit.http.get_or_insert_with(|| VirtualHost {
        host: host.clone(),
        routes: Vec::new(),
        client_check: None,
        filters: None,
    });
    // What the owner says of such a path itself is first.
    let own = |route: &Route| is_exact_challenge(&route.matches.path);
    let at = http.routes.iter().take_while(|route| own(route)).count();
    http.routes.splice(at..at, challenges);
    let served = all.into_iter().filter(|(_, is_all)| *is_all);
    served.map(|(object, _)| object).collect()
}
