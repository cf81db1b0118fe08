//! What the protocol provides for is no error, but it is counted: a fleet that lists again and again shows here.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::objects::Kind;

/// The counters of all list-watches.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    lists: Family<KindLabels, Counter>,
    watches: Family<EndLabels, Counter>,
    waits: Family<KindLabels, Counter>,
    served: Family<KindLabels, Gauge>,
}

/// How a watch was over.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// The server ended it.
    Ended,
    /// Its connection broke.
    Cut,
    /// It was silent beyond its time.
    Silent,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    kind: &'static str,
    end: &'static str,
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "source_lists",
            "Complete lists received: one per kind and namespace is the start, the others are relists",
            self.lists.clone(),
        );
        registry.register(
            "source_watches",
            "Watches that were over and went on, by how: ended by the server, cut, or silent beyond their time",
            self.watches.clone(),
        );
        registry.register(
            "source_waits",
            "Requests put off because the API server asked to, or because the last ones came to nothing",
            self.waits.clone(),
        );
        registry.register(
            "source_kind_served",
            "1 for a custom kind that the API server serves at the version that is read, 0 for one that is waited for",
            self.served.clone(),
        );
    }

    pub(super) fn installed(&self, kind: Kind, is_served: bool) {
        let kind = kind.name();
        let served = self.served.get_or_create(&KindLabels { kind });
        served.set(i64::from(is_served));
    }

    pub(super) fn listed(&self, kind: Kind) {
        let kind = kind.name();
        self.lists.get_or_create(&KindLabels { kind }).inc();
    }

    pub(super) fn watched(&self, kind: Kind, end: End) {
        let labels = EndLabels {
            kind: kind.name(),
            end: match end {
                End::Ended => "ended",
                End::Cut => "cut",
                End::Silent => "silent",
            },
        };
        self.watches.get_or_create(&labels).inc();
    }

    pub(super) fn waited(&self, kind: Kind) {
        let kind = kind.name();
        self.waits.get_or_create(&KindLabels { kind }).inc();
    }
}
