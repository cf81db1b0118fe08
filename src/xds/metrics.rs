//! The xDS server in numbers. Each metric is documented where it is registered.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::stream::Event;
use super::{ResourceType, Response, Variant};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamLabels {
    variant: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TypeLabels {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NackLabels {
    r#type: &'static str,
    owner: String,
}

type Histograms = Family<TypeLabels, Histogram, fn() -> Histogram>;

/// The series of one type, looked up once instead of for each response to each client. They exist from the start, which
/// tells "none" from "not measured".
#[derive(Clone, Debug)]
struct OfType {
    pushes: Counter,
    resources: Counter,
    bytes: Counter,
    acknowledged: Histogram,
    refused_responses: Counter,
}

/// Handles of the metrics; every clone counts into the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    streams: Family<StreamLabels, Gauge>,
    types: Arc<[OfType; ResourceType::ALL.len()]>,
    nacks: Family<NackLabels, Counter>,
    snapshot: Histogram,
    rejected_connections: Counter,
    heavy_streams: Counter,
}

impl Metrics {
    /// Registers them; the registry is expected to add the prefix `isobath`.
    pub fn register(registry: &mut Registry) -> Self {
        let [pushes, resources, bytes, refused_responses]: [Family<TypeLabels, Counter>; 4] =
            Default::default();
        let acknowledged: Histograms = Family::new_with_constructor(|| {
            // 0.5 ms to 16 s: Envoy answers in milliseconds, and withholds a CDS answer for 15 s at most.
            Histogram::new(exponential_buckets(0.000_5, 2.0, 16))
        });
        let metrics = Self {
            streams: Family::default(),
            types: Arc::new(ResourceType::ALL.map(|resource_type| {
                let labels = TypeLabels {
                    r#type: resource_type.service(),
                };
                OfType {
                    pushes: pushes.get_or_create_owned(&labels),
                    resources: resources.get_or_create_owned(&labels),
                    bytes: bytes.get_or_create_owned(&labels),
                    acknowledged: acknowledged.get_or_create_owned(&labels),
                    refused_responses: refused_responses.get_or_create_owned(&labels),
                }
            })),
            nacks: Family::default(),
            snapshot: Histogram::new(exponential_buckets(0.000_5, 2.0, 16)),
            rejected_connections: Counter::default(),
            heavy_streams: Counter::default(),
        };
        for variant in [Variant::Delta, Variant::Sotw] {
            drop(metrics.streams.get_or_create(&StreamLabels::of(variant)));
        }
        registry.register(
            "xds_streams",
            "xDS streams that are connected",
            metrics.streams.clone(),
        );
        registry.register("xds_pushes", "Responses sent to xDS clients", pushes);
        registry.register(
            "xds_pushed_resources",
            "Resources in responses to xDS clients",
            resources,
        );
        registry.register(
            "xds_pushed_bytes",
            "Bytes of resources in responses to xDS clients",
            bytes,
        );
        registry.register(
            "xds_ack_seconds",
            "Time from a response to its acknowledgement",
            acknowledged,
        );
        registry.register(
            "xds_refused_responses",
            "Responses that a client refused (NACK), sets sent in search of a bad resource included",
            refused_responses,
        );
        registry.register(
            "xds_nack",
            "Resources or parts of them that a client refused and that are left out, by the object they were made \
             from. Anything but 0 is a fault: Isobath should not have rendered it",
            metrics.nacks.clone(),
        );
        registry.register(
            "xds_snapshot_ack_seconds",
            "Time from a published snapshot to the acknowledgement of all of it by a client",
            metrics.snapshot.clone(),
        );
        registry.register(
            "xds_rejected_connections",
            "Connections that were closed because of their user, their certificate or their number, or because nothing was \
             asked on them for 60 s",
            metrics.rejected_connections.clone(),
        );
        registry.register(
            "xds_heavy_streams",
            "Streams that were ended because clients have named too much that does not exist, and theirs the most of it",
            metrics.heavy_streams.clone(),
        );
        metrics
    }

    /// A stream began; it ends when the result is dropped.
    pub(super) fn stream(&self, variant: Variant) -> StreamGauge {
        let gauge = self
            .streams
            .get_or_create(&StreamLabels::of(variant))
            .clone();
        gauge.inc();
        StreamGauge(gauge)
    }

    pub(super) fn pushed(&self, response: &Response) {
        let of = self.of(response.resource_type);
        of.pushes.inc();
        of.resources.inc_by(response.resources.len() as u64);
        of.bytes.inc_by(response.length() as u64);
    }

    fn of(&self, resource_type: ResourceType) -> &OfType {
        &self.types[resource_type as usize]
    }

    pub(super) fn rejected_connection(&self) {
        self.rejected_connections.inc();
    }

    pub(super) fn heavy_stream(&self) {
        self.heavy_streams.inc();
    }

    pub(super) fn event(&self, event: &Event) {
        match event {
            Event::Acknowledged {
                resource_type,
                after,
            } => {
                let of = self.of(*resource_type);
                of.acknowledged.observe(after.as_secs_f64());
            }
            Event::ResponseRefused { resource_type, .. } => {
                self.of(*resource_type).refused_responses.inc();
            }
            Event::UnitRefused(unit) => {
                let count = |owner: &str| {
                    self.nacks
                        .get_or_create(&NackLabels {
                            r#type: unit.resource_type.service(),
                            owner: owner.into(),
                        })
                        .inc();
                };
                if unit.owners.is_empty() {
                    count("");
                }
                for owner in &*unit.owners {
                    count(owner);
                }
            }
            Event::SnapshotAcknowledged { after } => self.snapshot.observe(after.as_secs_f64()),
        }
    }
}

/// Counts one stream while it lives.
#[derive(Debug)]
pub(super) struct StreamGauge(Gauge);

impl Drop for StreamGauge {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl StreamLabels {
    fn of(variant: Variant) -> Self {
        Self {
            variant: variant.as_str(),
        }
    }
}
