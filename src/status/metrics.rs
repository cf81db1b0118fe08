//! What is counted of the writing back.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::writes::Results;

/// Counters of what is written.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(super) status_writes: Results,
    pub(super) event_writes: Results,
    pub(super) unwritten: Gauge,
    pub(super) address_errors: Family<[(&'static str, &'static str); 1], Counter>,
    pub(super) addresses: Gauge,
}

impl Metrics {
    /// Adds the metrics; `registry` brings the prefix `isobath_`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "status_writes",
            "Writes of the status of Ingresses, HTTPProxies, ExtensionServices and the kinds of the Gateway API, and of the Services of Gateways, by result: ok, unchanged (there was nothing to write), or why not",
            self.status_writes.clone(),
        );
        registry.register(
            "status_unwritten",
            "Objects whose status the API server does not take, for instance because they are as large as etcd \
             allows; their Events and the log say which",
            self.unwritten.clone(),
        );
        registry.register(
            "event_writes",
            "Writes of Events by result: ok, known (it is there already), or why not",
            self.event_writes.clone(),
        );
        registry.register(
            "status_address_errors",
            "Failed calls for the addresses to publish (Service, pods, nodes)",
            self.address_errors.clone(),
        );
        registry.register(
            "status_addresses",
            "Addresses that the leader publishes on Ingresses",
            self.addresses.clone(),
        );
    }
}
