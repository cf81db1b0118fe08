//! A collector of traces, by OTLP over gRPC and over HTTP: the few fields of its messages that tests ask for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Response};
use envoy_types::pb::opentelemetry::proto::common::v1::{KeyValue, any_value};
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;

/// `opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<RawSpan>,
}

/// `opentelemetry.proto.trace.v1.Span`.
#[derive(Clone, PartialEq, prost::Message)]
struct RawSpan {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
}

/// A span that was sent.
#[derive(Clone, Debug)]
pub struct Span {
    pub trace: String,
    pub id: String,
    /// Empty where it is the first of its trace.
    pub parent: String,
    pub service: String,
    /// Whether it is of the request, and not of a try.
    pub is_server: bool,
    pub tags: BTreeMap<String, String>,
}

/// A running one.
#[derive(Clone, Default)]
pub struct Collector(Arc<Mutex<Vec<Span>>>);

/// Bounds every wait for spans, which Envoy sends every five seconds.
const PATIENCE: Duration = Duration::from_secs(60);

impl Collector {
    /// Speaks both on a free port.
    pub async fn start() -> (Self, SocketAddr) {
        let own = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let collector = own.clone();
        let app = Router::new().fallback(move |request: Request| {
            let collector = collector.clone();
            async move { collector.take(request).await }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        (own, address)
    }

    /// The spans so far, once there is one of a request for this path.
    pub async fn spans(&self, path: &str) -> Vec<Span> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let spans = self.0.lock().unwrap().clone();
            let ends = |span: &Span| {
                let url = span.tags.get("http.url");
                span.is_server && url.is_some_and(|url| url.ends_with(path))
            };
            if spans.iter().any(ends) {
                return spans;
            }
            assert!(tokio::time::Instant::now() < deadline, "{path}: {spans:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn take(&self, request: Request) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let body = to_bytes(request.into_body(), 1 << 20).await.unwrap();
        let is_grpc = path == "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        assert!(is_grpc || path == "/v1/traces", "{path}");
        // Of gRPC there is a flag and a length before it.
        let message = if is_grpc { &body[5..] } else { &body[..] };
        let export = Export::decode(message).unwrap();
        self.0.lock().unwrap().extend(spans(export));
        if !is_grpc {
            return Response::new(Body::empty());
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let empty = Full::new(bytes::Bytes::from_static(&[0; 5]));
        let body = empty.with_trailers(std::future::ready(Some(Ok(trailers))));
        let answer = Response::builder().header("content-type", "application/grpc");
        answer.body(Body::new(body)).unwrap()
    }
}

fn spans(export: Export) -> Vec<Span> {
    let mut all = Vec::new();
    for of_resource in export.resource_spans {
        let resource = of_resource.resource.unwrap_or_default();
        let service = tags(resource.attributes).remove("service.name");
        let service = service.unwrap_or_default();
        for span in of_resource.scope_spans.into_iter().flat_map(|it| it.spans) {
            all.push(Span {
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                service: service.clone(),
                is_server: span.kind == 2,
                tags: tags(span.attributes),
            });
        }
    }
    all
}

fn tags(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let attributes = attributes.into_iter();
    let pairs = attributes.map(|pair| {
        let value = match pair.value.and_then(|it| it.value) {
            Some(any_value::Value::StringValue(text)) => text,
            other => format!("{other:?}"),
        };
        (pair.key, value)
    });
    pairs.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
