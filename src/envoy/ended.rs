//! Which connections an Envoy ends when it takes a listener in the place of another one: seen with Envoy 1.40
//! (`listener_in_place_updated`), it takes other filter chains, and another choice between them, in place, and drains the chains
//! that are gone. Anything else of a listener that differs is another listener, whose connections are all drained.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::listener::v3::{FilterChain, Listener};
use prost::Message as _;

use crate::xds::Resource;

/// Which connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Those of the filter chains of these names; of none where it is empty.
    Chains(BTreeSet<String>),
    /// All.
    All,
}

/// What becomes of the connections of a listener; `after` is `None` where it goes.
#[must_use]
pub fn ended(before: &Resource, after: Option<&Resource>) -> Ended {
    let Some(after) = after else {
        return Ended::All;
    };
    if before.version() == after.version() {
        return Ended::Chains(BTreeSet::new());
    }
    let decoded = [before, after].map(|resource| Listener::decode(resource.bytes()));
    let [Ok(mut before), Ok(mut after)] = decoded else {
        return Ended::All;
    };
    let chains = |listener: &mut Listener| -> Vec<FilterChain> {
        listener.filter_chain_matcher = None;
        let other = listener.default_filter_chain.take();
        let chains = std::mem::take(&mut listener.filter_chains);
        chains.into_iter().chain(other).collect()
    };
    let (old, new) = (chains(&mut before), chains(&mut after));
    if before != after {
        return Ended::All;
    }
    let kept: BTreeSet<Vec<u8>> = new.iter().map(prost::Message::encode_to_vec).collect();
    let gone = old
        .into_iter()
        .filter(|it| !kept.contains(&it.encode_to_vec()));
    Ended::Chains(gone.map(|chain| chain.name).collect())
}
