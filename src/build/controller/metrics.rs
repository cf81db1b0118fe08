//! What the controller counts.

use std::time::Duration;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::build::{Builder, Translated};
use crate::model::Validity;
use crate::objects::{Event, Kind, NamespacedName};
use crate::xds::ResourceType;

/// The controller's metrics. Labels are fixed words, but for Secrets in use.
#[derive(Debug)]
pub struct Metrics {
    events: Family<EventLabels, Counter>,
    objects: Family<KindLabels, Gauge>,
    resources: Family<TypeLabels, Gauge>,
    units: Family<UnitLabels, Counter>,
    builds: Histogram,
    not_before: Family<SecretLabels, Gauge>,
    not_after: Family<SecretLabels, Gauge>,
    translated: Translated,
    certificates: OrdMap<NamespacedName, Validity>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    kind: &'static str,
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TypeLabels {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UnitLabels {
    unit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SecretLabels {
    namespace: String,
    secret: String,
}

/// What is translated, each by itself.
const UNITS: [&str; 5] = ["listener", "host", "cluster", "endpoints", "secret"];

impl Metrics {
    /// Registers the metrics.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            events: Family::default(),
            objects: Family::default(),
            resources: Family::default(),
            units: Family::default(),
            builds: Histogram::new(exponential_buckets(10e-6, 4.0, 10)),
            not_before: Family::default(),
            not_after: Family::default(),
            translated: Translated::default(),
            certificates: OrdMap::new(),
        };
        // From the start: Prometheus's `increase` does not see a series that appears with the value 1.
        for kind in Kind::ALL {
            for operation in ["apply", "delete", "replace"] {
                let kind = kind.name();
                drop(
                    metrics
                        .events
                        .get_or_create(&EventLabels { kind, operation }),
                );
            }
        }
        for unit in UNITS {
            drop(metrics.units.get_or_create(&UnitLabels { unit }));
        }
        registry.register(
            "events",
            "Events received from the source",
            metrics.events.clone(),
        );
        registry.register(
            "objects",
            "Objects that are held, wrong ones included",
            metrics.objects.clone(),
        );
        registry.register(
            "resources",
            "xDS resources in the newest snapshot",
            metrics.resources.clone(),
        );
        registry.register(
            "units_translated",
            "Units that were translated",
            metrics.units.clone(),
        );
        registry.register_with_unit(
            "build",
            "Time from a batch of events to the snapshot that has them",
            Unit::Seconds,
            metrics.builds.clone(),
        );
        registry.register_with_unit(
            "certificate_not_before",
            "When a certificate in use begins, as Unix time",
            Unit::Seconds,
            metrics.not_before.clone(),
        );
        registry.register_with_unit(
            "certificate_not_after",
            "When a certificate in use ends, as Unix time",
            Unit::Seconds,
            metrics.not_after.clone(),
        );
        metrics
    }

    /// Counts an event, or each one of a batch.
    pub fn count_event(&self, event: &Event) {
        let (kind, operation) = match event {
            Event::Apply(object) => (object.reference().kind, "apply"),
            Event::Delete(reference) => (reference.kind, "delete"),
            Event::Replace { kind, .. } => (*kind, "replace"),
            Event::Batch(events) => {
                events.iter().for_each(|event| self.count_event(event));
                return;
            }
        };
        self.events
            .get_or_create(&EventLabels {
                kind: kind.name(),
                operation,
            })
            .inc();
    }

    /// Takes in what a build came to.
    pub fn observe_build(&mut self, builder: &Builder, took: Duration) {
        self.builds.observe(took.as_secs_f64());
        for kind in Kind::ALL {
            let count = i64::try_from(builder.store().count(kind)).unwrap_or(i64::MAX);
            self.objects
                .get_or_create(&KindLabels { kind: kind.name() })
                .set(count);
        }
        for resource_type in ResourceType::ALL {
            let count = builder.snapshot().resources(resource_type).len();
            let labels = TypeLabels {
                r#type: resource_type.service(),
            };
            self.resources
                .get_or_create(&labels)
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let (before, now) = (self.translated, builder.translated());
        let counts = [
            now.listeners - before.listeners,
            now.hosts - before.hosts,
            now.clusters - before.clusters,
            now.endpoints - before.endpoints,
            now.secrets - before.secrets,
        ];
        for (unit, count) in UNITS.into_iter().zip(counts) {
            self.units.get_or_create(&UnitLabels { unit }).inc_by(count);
        }
        self.translated = now;
        self.observe_certificates(&builder.statuses().certificates);
    }

    fn observe_certificates(&mut self, certificates: &OrdMap<NamespacedName, Validity>) {
        let labels = |name: &NamespacedName| SecretLabels {
            namespace: name.namespace.to_string(),
            secret: name.name.to_string(),
        };
        for difference in self.certificates.diff(certificates) {
            match difference {
                DiffItem::Add(name, validity)
                | DiffItem::Update {
                    new: (name, validity),
                    ..
                } => {
                    for (family, time) in [
                        (&self.not_before, validity.not_before),
                        (&self.not_after, validity.not_after),
                    ] {
                        family.get_or_create(&labels(name)).set(time.as_second());
                    }
                }
                DiffItem::Remove(name, _) => {
                    self.not_before.remove(&labels(name));
                    self.not_after.remove(&labels(name));
                }
            }
        }
        self.certificates = certificates.clone();
    }
}
