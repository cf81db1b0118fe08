//! What clients see instead of errors, on a real Envoy with real back ends.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use isobath::model::{
    AddressRules, AddressSource, BackendOptions, BackendPage, Compression, Cors, DynamicValue,
    ErrorPages, Filters, Forward, ForwardOptions, HeaderChange, HeaderMode, HeaderPart,
    HostFilters, HostRewrite, LiteralPage, Origins, Page, PathRewrite, PlainName, RequestKey,
    Route, RouteAction, VirtualHost, WeightedCluster,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Answer, exchange, plain, request, tls};
use crate::filter_cases::{changed, dynamic, limit, ranges};
use crate::fixture::{World, forward, virtual_host};
use crate::guarding::get_from;
use crate::proxy::{Proxy, envoy, makes_all_filters};
use crate::sending::{HOST, sets, to, with};

/// A back end that answers with the status of `X-Want-NAME`, and says what it was asked.
async fn start(name: &'static str) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(move |request: Request| async move { answer(name, &request) });
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn answer(
    name: &str,
    request: &Request,
) -> (StatusCode, [(&'static str, &'static str); 3], String) {
    let header = |name: &str| {
        let value = request.headers().get(name);
        value.map_or("-", |value| value.to_str().unwrap_or("?"))
    };
    let status = header(&format!("x-want-{name}")).parse().unwrap_or(200);
    let told = [
        "x-code",
        "x-format",
        "x-original-uri",
        "x-original-method",
        "x-namespace",
    ];
    let told: Vec<&str> = told.into_iter().map(header).collect();
    let private = ["x-isobath-page", "x-isobath-scope", "x-isobath-server-name"];
    let private = private
        .into_iter()
        .filter(|name| header(name) != "-")
        .count();
    let line = format!(
        "{name} {} {} {} [{}] {private}\n",
        request.method(),
        header("host"),
        request.uri(),
        told.join(" ")
    );
    let headers = [
        ("x-from", "backend"),
        ("set-cookie", "a=1"),
        ("content-type", "text/html"),
    ];
    (StatusCode::from_u16(status).unwrap(), headers, line)
}

/// As ingress-nginx tells it.
pub fn page_of(cluster: &str, keeps_status: bool) -> BackendPage {
    let part = |value| vec![HeaderPart::Value(value)];
    let set = |name, value| HeaderChange::new(name, value, HeaderMode::Set).unwrap();
    let accept = DynamicValue::Header(PlainName::new("accept").unwrap());
    BackendPage {
        to: Forward {
            rewrite: Some(PathRewrite::ReplaceFullPath("/".into())),
            ..forward(&[cluster])
        },
        keeps_status,
        told: vec![
            set("x-code", part(DynamicValue::Status)),
            set("x-format", part(accept)),
            set("x-original-uri", part(DynamicValue::Path)),
            set("x-original-method", part(DynamicValue::Method)),
            HeaderChange::literal("x-namespace", "100%", HeaderMode::Set).unwrap(),
        ],
    }
}

pub fn literal(body: &str) -> Page {
    Page::Literal(LiteralPage::new(body, "text/html; charset=utf-8").unwrap())
}

pub fn pages(list: Vec<(&[u16], Page)>) -> Filters {
    let mut pages = ErrorPages::default();
    for (statuses, page) in list {
        pages.add(statuses, page).unwrap();
    }
    Filters {
        error_pages: Some(pages),
        ..Filters::default()
    }
}

fn paged(route: Route, filters: Filters) -> Route {
    Route {
        filters: Some(Box::new(filters)),
        ..route
    }
}

fn all_of(page: Page) -> Filters {
    pages(vec![(&[401, 403, 404, 413, 429, 500, 502, 503, 504], page)])
}

fn own_page() -> Filters {
    all_of(Page::Backend(page_of("err", false)))
}

fn kept_page() -> Filters {
    all_of(Page::Backend(page_of("err", true)))
}

const TEXT: &str = "<b>100% gone %REQ(:path)%</b>";

fn routes() -> Vec<Route> {
    let a = || forward(&["a"]);
    let deny = |filters| {
        changed(filters, |it: &mut Filters| {
            let denied = ranges(AddressSource::Peer, &["127.0.0.2"]);
            it.addresses = Some(AddressRules::deny(denied));
        })
    };
    let rewritten = Forward {
        rewrite: Some(PathRewrite::ReplacePrefix("/inner".into())),
        ..a()
    };
    let by_header = ForwardOptions {
        host: Some(HostRewrite::Header(
            isobath::model::HeaderName::new("x-other-host").unwrap(),
        )),
        ..ForwardOptions::default()
    };
    let itself = |path: &str, action| Route {
        action,
        ..to(path, forward(&[]))
    };
    let mixed = pages(vec![
        (&[404][..], literal("404")),
        (&[503, 504], literal("503 or 504")),
        (&[500], Page::Backend(page_of("err", true))),
        (&[502], Page::Backend(page_of("other", false))),
    ]);
    vec![
        paged(to("/literal", a()), all_of(literal(TEXT))),
        paged(to("/empty", a()), all_of(literal(""))),
        paged(
            to("/long", a()),
            all_of(literal(&"x".repeat(LiteralPage::MAX_BODY))),
        ),
        paged(to("/own", a()), own_page()),
        paged(to("/kept", a()), kept_page()),
        paged(to("/mixed", a()), mixed),
        paged(to("/rewritten", rewritten), kept_page()),
        paged(to("/rehosted", with(a(), by_header)), kept_page()),
        paged(
            Route {
                request_headers: sets("host", "inner.example.com"),
                ..to("/inner-host", a())
            },
            kept_page(),
        ),
        paged(to("/dead", forward(&["dead"])), own_page()),
        paged(to("/dead-kept", forward(&["dead"])), kept_page()),
        paged(to("/missing", forward(&["missing"])), kept_page()),
        paged(to("/nobody", forward(&[])), kept_page()),
        paged(itself("/answer", RouteAction::status(404)), kept_page()),
        paged(
            itself("/answer-literal", RouteAction::status(404)),
            all_of(literal(TEXT)),
        ),
        paged(
            to("/no-page", a()),
            all_of(Page::Backend(page_of("dead", true))),
        ),
        paged(
            to("/no-page-own", a()),
            all_of(Page::Backend(page_of("dead", false))),
        ),
        paged(to("/guarded", a()), deny(own_page())),
        paged(to("/guarded-kept", a()), deny(kept_page())),
        paged(to("/guarded-literal", a()), deny(all_of(literal(TEXT)))),
        to("/none", a()),
    ]
}

fn world(a: SocketAddr, err: SocketAddr, other: SocketAddr) -> World {
    let dead = SocketAddr::from(([127, 0, 0, 1], 9));
    World::new()
        .cluster("a", &[a])
        .cluster("err", &[err])
        .cluster("other", &[other])
        .cluster("dead", &[dead])
}

/// Method, path, headers, the answer's status, and how its body begins.
type Row = (
    &'static str,
    &'static str,
    &'static [&'static str],
    u16,
    &'static str,
);

const ROWS: &[Row] = &[
    (
        "GET",
        "/none",
        &["X-Want-a: 404"],
        404,
        "a GET a.example.com /none [- - - - -] 0",
    ),
    ("GET", "/literal", &[], 200, "a GET a.example.com /literal"),
    ("GET", "/literal", &["X-Want-a: 404"], 404, TEXT),
    ("GET", "/literal", &["X-Want-a: 503"], 503, TEXT),
    ("POST", "/literal", &["X-Want-a: 404"], 404, TEXT),
    ("GET", "/literal", &["X-Want-a: 410"], 410, "a GET"),
    ("GET", "/literal", &["X-Want-a: 302"], 302, "a GET"),
    ("GET", "/empty", &["X-Want-a: 404"], 404, ""),
    ("GET", "/long", &["X-Want-a: 404"], 404, "xxxx"),
    (
        "GET",
        "/own/x?q=1",
        &[],
        200,
        "a GET a.example.com /own/x?q=1",
    ),
    (
        "GET",
        "/own/x?q=1",
        &["X-Want-a: 404", "Accept: text/html"],
        200,
        "err GET a.example.com /?q=1 [404 text/html /own/x?q=1 GET 100%] 0",
    ),
    (
        "POST",
        "/own",
        &["X-Want-a: 500", "Content-Length: 0"],
        200,
        "err GET a.example.com / [500  /own POST 100%] 0",
    ),
    (
        "GET",
        "/own",
        &["X-Want-a: 404", "X-Want-err: 404"],
        404,
        "err GET",
    ),
    (
        "GET",
        "/own",
        &["X-Want-a: 404", "X-Want-err: 302"],
        302,
        "err GET",
    ),
    ("GET", "/own", &["X-Want-a: 410"], 410, "a GET"),
    (
        "GET",
        "/own",
        &["X-Want-a: 401"],
        200,
        "err GET a.example.com / [401  /own GET 100%] 0",
    ),
    (
        "GET",
        "/kept",
        &["X-Want-a: 404"],
        404,
        "err GET a.example.com / [404  /kept GET 100%] 0",
    ),
    ("GET", "/kept", &["X-Want-a: 401"], 401, "err GET"),
    (
        "GET",
        "/kept",
        &["X-Want-a: 503", "X-Want-err: 200"],
        503,
        "err GET",
    ),
    (
        "GET",
        "/kept",
        &["X-Want-a: 404", "X-Want-err: 500"],
        404,
        "err GET",
    ),
    // Nobody outside can ask for a page.
    (
        "GET",
        "/none",
        &["X-Isobath-Page: 3/0"],
        200,
        "a GET a.example.com /none [- - - - -] 0",
    ),
    (
        "GET",
        "/kept",
        &[
            "X-Want-a: 404",
            "X-Code: 200",
            "X-Original-Method: X",
            "X-Namespace: other",
        ],
        404,
        "err GET a.example.com / [404  /kept GET 100%] 0",
    ),
    ("GET", "/mixed", &["X-Want-a: 404"], 404, "404"),
    ("GET", "/mixed", &["X-Want-a: 503"], 503, "503 or 504"),
    ("GET", "/mixed", &["X-Want-a: 504"], 504, "503 or 504"),
    ("GET", "/mixed", &["X-Want-a: 500"], 500, "err GET"),
    ("GET", "/mixed", &["X-Want-a: 502"], 200, "other GET"),
    ("GET", "/mixed", &["X-Want-a: 501"], 501, "a GET"),
    (
        "GET",
        "/rewritten/x",
        &["X-Want-a: 404"],
        404,
        "err GET a.example.com / [404  /rewritten/x GET 100%] 0",
    ),
    (
        "GET",
        "/rehosted",
        &["X-Want-a: 404", "X-Other-Host: inner.example.com"],
        404,
        "err GET a.example.com / [404  /rehosted GET 100%] 0",
    ),
    (
        "GET",
        "/inner-host",
        &["X-Want-a: 404"],
        404,
        "err GET a.example.com /",
    ),
    (
        "GET",
        "/dead",
        &[],
        200,
        "err GET a.example.com / [503  /dead GET 100%] 0",
    ),
    (
        "GET",
        "/dead-kept",
        &[],
        503,
        "err GET a.example.com / [503",
    ),
    ("GET", "/missing", &[], 503, "err GET a.example.com / [503"),
    ("GET", "/nobody", &[], 503, "err GET a.example.com / [503"),
    ("GET", "/answer", &[], 404, "err GET a.example.com / [404"),
    ("GET", "/answer-literal", &[], 404, TEXT),
    (
        "GET",
        "/no-page",
        &["X-Want-a: 404"],
        404,
        "upstream connect error",
    ),
    (
        "GET",
        "/no-page-own",
        &["X-Want-a: 404"],
        503,
        "upstream connect error",
    ),
    ("GET", "/guarded", &["X-Want-a: 403"], 200, "err GET"),
];

#[tokio::test]
async fn pages_take_the_place_of_errors() {
    let Some(envoy) = envoy().filter(|envoy| makes_all_filters(envoy)) else {
        return;
    };
    let world = world(start("a").await, start("err").await, start("other").await);
    let world = world.http(HOST, routes());
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let mut wrong = Vec::new();
    for (method, path, headers, status, body) in ROWS {
        let answer = plain(proxy.http, &request(method, HOST, path, headers)).await;
        if answer.status != *status || !answer.body.starts_with(body) {
            wrong.push(format!(
                "{method} {path} {headers:?}: {} {:.200}",
                answer.status, answer.body
            ));
        }
    }
    // A guard's answer is a guard's answer.
    for (path, body) in [
        ("/guarded", "RBAC: access denied"),
        ("/guarded-kept", "RBAC: access denied"),
        ("/guarded-literal", TEXT),
    ] {
        let answer = get_from(&proxy, "127.0.0.2", path, &[]).await;
        if (answer.status, &*answer.body) != (403, body) {
            wrong.push(format!("{path}: {answer:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_headers(&proxy).await;
    proxy.assert_content();
}

/// A literal page has nothing of the answer before it.
async fn assert_headers(proxy: &Proxy) {
    let ask = async |path| plain(proxy.http, &request("GET", HOST, path, &["X-Want-a: 404"])).await;
    let header = |answer: &Answer, name| answer.header(name).map(str::to_owned);
    let literal = ask("/literal").await;
    assert_eq!(
        header(&literal, "content-type").as_deref(),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(header(&literal, "x-from"), None);
    assert_eq!(header(&literal, "set-cookie"), None);
    let kept = ask("/kept").await;
    assert_eq!(header(&kept, "content-type").as_deref(), Some("text/html"));
    // Who asks by HEAD gets no page, as Envoy would send its body too.
    for path in ["/kept", "/own", "/literal"] {
        let head = request("HEAD", HOST, path, &["X-Want-a: 404"]);
        let mut stream = TcpStream::connect(proxy.http).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let is_bare = text.starts_with("HTTP/1.1 404") && text.ends_with("\r\n\r\n");
        assert!(is_bare, "{path}: {text}");
    }
}

/// Under a wildcard, on TLS by both managers, and beside the filters of the host.
#[tokio::test]
async fn pages_are_found_again() {
    let Some(envoy) = envoy().filter(|envoy| makes_all_filters(envoy)) else {
        return;
    };
    let page = |host: &str| {
        let filters = changed(kept_page(), |it| {
            it.cors = Some(Cors::new(Origins::All, ["GET"], [], []).unwrap());
            let types = ["text/html"];
            let algorithms = [isobath::model::Algorithm::Gzip];
            it.compression = Some(Compression::new(&algorithms, &types).unwrap());
        });
        let route = Route {
            response_headers: sets("x-of-route", "1"),
            ..to("/", forward(&["a"]))
        };
        VirtualHost {
            filters: Some(Box::new(HostFilters {
                local_rate_limits: vec![limit(3, vec![RequestKey::ClientAddress])],
                ..HostFilters::default()
            })),
            ..virtual_host(host, vec![paged(route, filters)])
        }
    };
    let hosts = [page("b.example.com"), page("*.wild.example.com")];
    let mut world = world(start("a").await, start("err").await, start("other").await)
        .https("one", &[("b.example.com", "a")])
        .https("wild", &[("*.wild.example.com", "a")]);
    for (server, host) in ["one", "wild"].into_iter().zip(&hosts) {
        world = world.http_host(host).https_host(server, host);
    }
    let proxy = Proxy::start(&envoy, world.resources()).await;
    for host in ["b.example.com", "x.wild.example.com"] {
        let headers = ["X-Want-a: 404", "Origin: https://o.test"];
        let asked = request("GET", host, "/x", &headers);
        for is_tls in [false, true] {
            // A page costs the host's count nothing: three and a burst of one.
            for number in 0..5 {
                let answer = match is_tls {
                    false => plain(proxy.http, &asked).await,
                    true => {
                        let stream = tls(proxy.https, Some(host), "http/1.1").await.unwrap();
                        exchange(stream, &asked).await
                    }
                };
                let name = format!("{host} {is_tls} {number}");
                if number == 4 {
                    assert_eq!(answer.status, 429, "{name}");
                    continue;
                }
                assert_eq!(answer.status, 404, "{name}: {answer:?}");
                let body = format!("err GET {host} / [404  /x GET 100%] 0");
                assert!(answer.body.starts_with(&body), "{name}: {}", answer.body);
                assert_eq!(answer.header("x-of-route"), Some("1"), "{name}");
                assert_eq!(
                    answer.header("access-control-allow-origin"),
                    Some("https://o.test"),
                    "{name}"
                );
            }
        }
    }
    proxy.assert_content();
}

/// A wildcard's route that gives its requests another Host, which is a host of somebody else's on the same table with a page of
/// the same place: its errors stay what they are.
#[tokio::test]
async fn no_page_is_somebody_elses() {
    let Some(envoy) = envoy().filter(|envoy| makes_all_filters(envoy)) else {
        return;
    };
    let by_header = ForwardOptions {
        host: Some(HostRewrite::Header(
            isobath::model::HeaderName::new("x-other-host").unwrap(),
        )),
        ..ForwardOptions::default()
    };
    let of_share = BackendOptions {
        request_headers: sets("host", "victim.example.com"),
        ..BackendOptions::default()
    };
    let shares = Forward {
        backends: vec![WeightedCluster {
            options: Some(Box::new(of_share)),
            ..WeightedCluster::new("a", 1)
        }],
        ..forward(&[])
    };
    let mixed = |page: &str| {
        pages(vec![
            (&[404], Page::Backend(page_of(page, true))),
            (&[503], literal("literal")),
        ])
    };
    let literally = Route {
        request_headers: sets("host", "victim.example.com"),
        ..to("/literally", forward(&["a"]))
    };
    let thieves = vec![
        paged(literally, mixed("err")),
        paged(
            to("/header", with(forward(&["a"]), by_header)),
            mixed("err"),
        ),
        paged(to("/share", shares), mixed("err")),
        paged(to("/", forward(&["a"])), mixed("err")),
    ];
    let victims = thieves
        .iter()
        .map(|_| paged(to("/", forward(&["other"])), mixed("other")));
    let world = world(start("a").await, start("err").await, start("other").await)
        .http("*.example.com", thieves.clone())
        .http("victim.example.com", victims.collect());
    let proxy = Proxy::start(&envoy, world.resources()).await;
    for path in ["/literally", "/header", "/share"] {
        let headers = ["X-Want-a: 404", "X-Other-Host: victim.example.com"];
        let asked = request("GET", "thief.example.com", path, &headers);
        let answer = plain(proxy.http, &asked).await;
        let own = format!("a GET victim.example.com {path} [- - - - -] 0");
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        assert!(answer.body.starts_with(&own), "{path}: {}", answer.body);
        let asked = request("GET", "thief.example.com", path, &["X-Want-a: 503"]);
        assert_eq!(plain(proxy.http, &asked).await.body, "literal", "{path}");
    }
    let asked = request("GET", "thief.example.com", "/", &["X-Want-a: 404"]);
    let answer = plain(proxy.http, &asked).await;
    let page = "err GET thief.example.com / [404  / GET 100%] 0";
    assert!(answer.body.starts_with(page), "{}", answer.body);
    proxy.assert_content();
}

/// The access log tells both.
#[tokio::test]
async fn an_answer_and_its_page_are_logged() {
    let Some(envoy) = envoy().filter(|envoy| makes_all_filters(envoy)) else {
        return;
    };
    let told = dynamic("x-code", DynamicValue::Status, HeaderMode::Set);
    let page = BackendPage {
        told: vec![told],
        ..page_of("err", true)
    };
    let route = paged(to("/", forward(&["a"])), all_of(Page::Backend(page)));
    let world = world(start("a").await, start("err").await, start("other").await);
    let world = world.http(HOST, vec![route]);
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let asked = request("GET", HOST, "/last", &["X-Want-a: 404"]);
    assert_eq!(plain(proxy.http, &asked).await.status, 404);
    let log = proxy.access_log("via_upstream").await;
    let lines: Vec<String> = log
        .iter()
        .map(|line| {
            format!(
                "{} {}",
                line["response_code"], line["response_code_details"]
            )
        })
        .collect();
    assert_eq!(lines, ["404 \"internal_redirect\"", "404 \"via_upstream\""]);
}
