//! What is traced, on a real Envoy with a real collector.

use std::net::SocketAddr;

use isobath::envoy::edge::Edge;
use isobath::model::{
    Filters, Fraction, HeaderName, Route, RouteTracing, TraceCollector, TraceTag, Tracing,
    UpstreamProtocol,
};
use isobath::xds::ResourceType;

use crate::backend;
use crate::client::Answer;
use crate::collector::{Collector, Span};
use crate::filter_cases::changed;
use crate::fixture::{World, cluster_of, forward, managers};
use crate::guarding::guarded;
use crate::proxy::{Proxy, envoy};
use crate::sending::{HOST, get, to};

pub fn literal(name: &str, value: &str) -> TraceTag {
    TraceTag::literal(name, value).unwrap()
}

pub fn of_header(name: &str, header: &str) -> TraceTag {
    TraceTag::header(name, HeaderName::new(header).unwrap()).unwrap()
}

pub fn by_grpc() -> Tracing {
    Tracing::new(TraceCollector::Grpc("otel/grpc/1".into()), "edge").unwrap()
}

pub fn by_http() -> Tracing {
    let collector = TraceCollector::http("otel/http/1", "otel.test", "/v1/traces").unwrap();
    changed(Tracing::new(collector, "edge").unwrap(), |it| {
        it.tags = vec![literal("site", "100%"), of_header("tenant", "X-Tenant")];
    })
}

fn traced(path: &str, sampling: Fraction, tags: Vec<TraceTag>) -> Route {
    let filters = Filters {
        tracing: Some(RouteTracing { sampling, tags }),
        ..Filters::default()
    };
    guarded(path, filters)
}

struct Stand {
    proxy: Proxy,
    collector: Collector,
}

impl Stand {
    async fn start(envoy: &std::path::Path, edge: &Edge, routes: Vec<Route>) -> Self {
        let (collector, address) = Collector::start().await;
        let h2c = changed(cluster_of("otel/grpc/1"), |it| {
            it.settings.protocol = UpstreamProtocol::H2c;
        });
        let world = World::new()
            .cluster("a", &[backend::start("a").await])
            .cluster("dead", &[SocketAddr::from(([127, 0, 0, 1], 9))])
            .cluster_with(&h2c, &[address])
            .cluster("otel/http/1", &[address])
            .http(HOST, routes);
        let mut resources = world.resources();
        for manager in managers(edge) {
            let name = (ResourceType::Extension, manager.name().to_string());
            resources.insert(name, manager.bytes());
        }
        let proxy = Proxy::start(envoy, resources).await;
        Self { proxy, collector }
    }

    async fn get(&self, path: &str, headers: &[&str]) -> Answer {
        get(&self.proxy, path, headers).await
    }
}

fn edge(tracing: Tracing) -> Edge {
    Edge {
        tracing: Some(tracing),
        ..Edge::default()
    }
}

/// The span of the request for this path.
fn of<'a>(spans: &'a [Span], path: &str) -> Option<&'a Span> {
    let is_it = |span: &&Span| {
        let url = span.tags.get("http.url");
        span.is_server && url.is_some_and(|url| url.ends_with(path))
    };
    spans.iter().find(is_it)
}

const PARENT: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Path, what strangers send, and whether it is traced.
const ROWS: &[(&str, &[&str], bool)] = &[
    ("/all", &[], true),
    ("/all/tagged", &["X-Tenant: one"], true),
    ("/off", &[], false),
    ("/off/asked", &["x-client-trace-id: 1"], false),
    ("/off/forced", &["x-envoy-force-trace: 1"], false),
    ("/off/parent", &[PARENT], false),
    ("/own", &["X-Own: two"], true),
    ("/answer", &[], true),
    ("/dead", &[], true),
    ("/unknown", &[], true),
];

fn routes() -> Vec<Route> {
    let own = vec![
        literal("site", "own"),
        literal("own", "yes"),
        of_header("own-header", "X-Own"),
    ];
    vec![
        traced("/off", Fraction::NONE, vec![]),
        traced("/own", Fraction::ALL, own),
        Route {
            action: isobath::model::RouteAction::status(204),
            ..to("/answer", forward(&[]))
        },
        to("/dead", forward(&["dead"])),
        to("/all", forward(&["a"])),
    ]
}

#[tokio::test]
async fn requests_are_traced_by_grpc_and_http() {
    let Some(envoy) = envoy() else { return };
    let tags = by_http().tags;
    for tracing in [by_http(), changed(by_grpc(), |it| it.tags = tags.clone())] {
        let stand = Stand::start(&envoy, &edge(tracing), routes()).await;
        for (path, headers, _) in ROWS {
            let asked = format!("{path}?token=secret");
            let answer = stand.get(&asked, headers).await;
            if *path == "/all" {
                assert!(
                    answer.received("traceparent").is_some(),
                    "the back end is told"
                );
            }
        }
        stand.get("/last", &[]).await;
        let spans = stand.collector.spans("/last").await;
        let mut wrong = Vec::new();
        for (path, _, is_traced) in ROWS {
            if of(&spans, path).is_some() != *is_traced {
                wrong.push(format!("{path}: {:?}", of(&spans, path)));
            }
        }
        assert_eq!(wrong, Vec::<String>::new());
        assert_spans(&spans);
        stand.proxy.assert_content();
    }
}

fn assert_spans(spans: &[Span]) {
    let tag = |path, name: &str| {
        let span = of(spans, path).unwrap();
        span.tags.get(name).map(String::as_str)
    };
    let all = of(spans, "/all").unwrap();
    assert_eq!(all.service, "edge");
    assert_eq!(all.parent, "");
    assert_eq!(tag("/all", "http.url"), Some("http://a.example.com/all"));
    assert_eq!(tag("/all", "site"), Some("100%"));
    assert_eq!(tag("/all", "tenant"), None);
    assert_eq!(tag("/all/tagged", "tenant"), Some("one"));
    assert_eq!(tag("/own", "site"), Some("own"));
    assert_eq!(tag("/own", "own"), Some("yes"));
    assert_eq!(tag("/own", "own-header"), Some("two"));
    assert_eq!(tag("/dead", "error"), Some("true"));
    // A try is a span of its own, below the request's.
    let is_try = |span: &&Span| !span.is_server && span.trace == all.trace;
    let tried = spans.iter().find(is_try).unwrap();
    assert_eq!(tried.parent, all.id);
    for span in spans {
        let text = format!("{span:?}");
        assert!(!text.contains("secret"), "{text}");
    }
}

/// Strangers write into nobody's trace; a proxy in front that is trusted does.
#[tokio::test]
async fn strangers_write_into_no_trace() {
    let Some(envoy) = envoy() else { return };
    const THEIRS: &str = "0af7651916cd43dd8448eb211c80319c";
    for trusted_hops in [0, 1] {
        let edge = Edge {
            trusted_hops,
            ..edge(by_grpc())
        };
        let routes = vec![to("/", forward(&["a"]))];
        let stand = Stand::start(&envoy, &edge, routes).await;
        let answer = stand.get("/parent", &[PARENT]).await;
        let told = answer.received("traceparent").unwrap_or_default();
        assert_eq!(told.contains(THEIRS), trusted_hops > 0, "{told}");
        let spans = stand.collector.spans("/parent").await;
        let trace = &of(&spans, "/parent").unwrap().trace;
        assert_eq!(trace == THEIRS, trusted_hops > 0, "{trace}");
    }
}

/// A part of the requests, and a collector that is not there.
#[tokio::test]
async fn some_are_traced_and_none_fails() {
    let Some(envoy) = envoy() else { return };
    let half = Fraction::new(1, 2).unwrap();
    let routes = vec![
        traced("/last", Fraction::ALL, vec![]),
        to("/", forward(&["a"])),
    ];
    let half = edge(changed(by_grpc(), |it| it.sampling = half));
    let stand = Stand::start(&envoy, &half, routes).await;
    for number in 0..200 {
        assert_eq!(stand.get(&format!("/{number}"), &[]).await.status, 200);
    }
    stand.get("/last", &[]).await;
    let spans = stand.collector.spans("/last").await;
    let count = spans.iter().filter(|span| span.is_server).count();
    assert!((60..=140).contains(&count), "{count} of 200");

    let nowhere = Tracing::new(TraceCollector::Grpc("dead".into()), "edge").unwrap();
    let routes = vec![to("/", forward(&["a"]))];
    let stand = Stand::start(&envoy, &edge(nowhere), routes).await;
    for _ in 0..50 {
        assert_eq!(stand.get("/", &[]).await.status, 200);
    }
    stand.proxy.assert_content();
}
