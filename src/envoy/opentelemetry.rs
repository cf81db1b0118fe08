//! Tracing by OpenTelemetry.

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::route::v3 as route;
use envoy_types::pb::envoy::config::trace::v3 as trace;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::envoy::r#type::tracing as of_type;
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, Percent};
use envoy_types::util::pack_any;
use hcm::http_connection_manager::Tracing as ManagerTracing;
use of_type::v3 as pb;
use pb::custom_tag;
use provider::http::ConfigType;
use trace::tracing as provider;

use super::encode::{bool_value, duration};
use super::forward::fraction;
use super::grpc_service::grpc_service;
use crate::model::{Fraction, RouteTracing, TraceCollector, TraceTag, TraceValue, Tracing};

/// How long a collector may take. Spans that it does not take are lost.
const TIMEOUT: Duration = Duration::from_secs(1);

/// What Envoy would say of the URL has the query in it.
const URL: (&str, &str) = (
    "http.url",
    "%REQ(:SCHEME)%://%REQ(:AUTHORITY)%%PATH(NQ:ORIG_OR_PATH)%",
);

/// Headers by which strangers could decide what is traced.
pub(super) const CONTEXT: [&str; 2] = ["traceparent", "tracestate"];

/// The setting of a manager.
pub(super) fn tracing(tracing: &Tracing) -> ManagerTracing {
    let collector = provider::Http {
        name: "envoy.tracers.opentelemetry".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack_any(open_telemetry(tracing)))),
    };
    let url = pb::CustomTag {
        tag: URL.0.to_owned(),
        r#type: Some(custom_tag::Type::Value(URL.1.to_owned())),
    };
    ManagerTracing {
        // Nobody outside can ask to be traced (`x-client-trace-id`).
        client_sampling: Some(percent(Fraction::NONE)),
        random_sampling: Some(percent(tracing.sampling)),
        overall_sampling: Some(percent(Fraction::ALL)),
        custom_tags: tracing.tags.iter().map(tag).chain([url]).collect(),
        provider: Some(collector),
        // Envoy is a hop of its own between client and back end.
        spawn_upstream_span: bool_value(true),
        ..Default::default()
    }
}

fn open_telemetry(tracing: &Tracing) -> trace::OpenTelemetryConfig {
    let plain = trace::OpenTelemetryConfig {
        service_name: tracing.service().to_owned(),
        ..Default::default()
    };
    match &tracing.collector {
        TraceCollector::Grpc(cluster) => trace::OpenTelemetryConfig {
            grpc_service: Some(grpc_service(cluster, TIMEOUT)),
            ..plain
        },
        TraceCollector::Http {
            cluster,
            host,
            path,
        } => trace::OpenTelemetryConfig {
            http_service: Some(core::HttpService {
                http_uri: Some(core::HttpUri {
                    uri: format!("http://{host}{path}"),
                    timeout: duration(TIMEOUT),
                    http_upstream_type: Some(core::http_uri::HttpUpstreamType::Cluster(
                        cluster.to_string(),
                    )),
                }),
                ..Default::default()
            }),
            ..plain
        },
    }
}

/// `Route.tracing`. What it leaves out would be all requests, whatever the manager says.
pub(super) fn of_route(tracing: &RouteTracing) -> route::Tracing {
    let of = |part| fraction(part).default_value;
    let none: Option<FractionalPercent> = of(Fraction::NONE);
    route::Tracing {
        client_sampling: none,
        random_sampling: of(tracing.sampling),
        overall_sampling: of(Fraction::ALL),
        custom_tags: tracing.tags.iter().map(tag).collect(),
        ..Default::default()
    }
}

fn percent(fraction: Fraction) -> Percent {
    Percent {
        value: f64::from(fraction.millionths()) / 10_000.0,
    }
}

fn tag(tag: &TraceTag) -> pb::CustomTag {
    pb::CustomTag {
        tag: tag.name().to_owned(),
        r#type: Some(match tag.value() {
            TraceValue::Literal(value) => custom_tag::Type::Literal(custom_tag::Literal {
                value: value.to_string(),
            }),
            TraceValue::Header(name) => custom_tag::Type::RequestHeader(custom_tag::Header {
                name: name.to_string(),
                ..Default::default()
            }),
        }),
    }
}
