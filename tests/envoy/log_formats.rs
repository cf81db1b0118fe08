//! The access log as operators want it, and without what routes want out of it, on a real Envoy.

use isobath::envoy::edge::Edge;
use isobath::envoy::log_format::{AccessLog, COMMANDS, Takes};
use isobath::model::{
    AddressRules, AddressSource, Cors, Filters, Origins, Redirect, Route, RouteAction,
};

use crate::client::{plain, request};
use crate::error_pages::{literal, pages};
use crate::filter_cases::ranges;
use crate::fixture::forward;
use crate::guarding::{guarded, start};
use crate::proxy::{envoy, makes_all_filters};
use crate::sending::{HOST, get, to};

fn edge(access_log: Result<AccessLog, String>) -> Edge {
    Edge {
        access_log: access_log.unwrap(),
        ..Edge::default()
    }
}

/// Formats, and what they are of one request.
const ROWS: &[(&str, &str)] = &[
    ("plain", "plain"),
    ("100%%", "100%"),
    ("%REQ(:METHOD)% %REQ(:AUTHORITY)%", "GET a.example.com"),
    ("%REQ(X-KIND)%", "one\"two"),
    ("%REQ(X-KIND):3%", "one"),
    ("%REQ(X-OTHER?X-KIND):3%", "one"),
    ("%REQ(X-OTHER)%", "-"),
    ("%RESP(X-SECRET)%", "inner"),
    ("%PATH(NQ:PATH)%", "/logged"),
    ("%PATH(WQ:PATH)%", "/logged?token=secret"),
    ("%PATH(NQ:PATH):4%", "/log"),
    ("%PROTOCOL%", "HTTP/1.1"),
    (
        "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%",
        "200 via_upstream",
    ),
    ("%RESPONSE_FLAGS%", "-"),
    ("%BYTES_RECEIVED%", "0"),
    ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "127.0.0.1"),
    ("%ROUTE_NAME%", "Ingress web/shop"),
    ("%UPSTREAM_CLUSTER%", "a"),
    ("%UPSTREAM_PROTOCOL%", "HTTP/1.1"),
    ("%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "1"),
    ("%GRPC_STATUS%", "-"),
    ("%METADATA(ROUTE:isobath:ingress)%", "shop"),
    ("%METADATA(ROUTE:isobath:namespace)%", "web"),
    ("%METADATA(ROUTE:isobath:host)%", "a.example.com"),
    ("%METADATA(ROUTE:isobath:service)%", "store"),
    ("%START_TIME(%Z)%", "UTC"),
];

#[tokio::test]
async fn formats_say_what_they_ask_for() {
    let Some(envoy) = envoy() else { return };
    // A text of one command keeps its type in JSON.
    let fields: Vec<String> = ROWS
        .iter()
        .enumerate()
        .map(|(index, (format, _))| format!("{index}=<{format}>"))
        .collect();
    let edge = edge(AccessLog::json(fields.iter().map(String::as_str)));
    let proxy = start(&envoy, vec![to("/", forward(&["a"]))], &edge).await;
    get(&proxy, "/logged?token=secret", &["X-Kind: one\"two"]).await;
    let log = proxy.access_log("via_upstream").await;
    let line = log.last().unwrap().as_object().unwrap();
    assert_eq!(line.len(), ROWS.len());
    let mut wrong = Vec::new();
    for (index, (format, expected)) in ROWS.iter().enumerate() {
        let found = line[&index.to_string()].as_str().unwrap();
        if found != format!("<{expected}>") {
            wrong.push(format!("{format}: {found}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    proxy.assert_content();
}

/// Envoy takes every command that we take.
#[tokio::test]
async fn every_command_is_known() {
    let Some(envoy) = envoy() else { return };
    let written = |(name, takes): &(&str, Takes)| match takes {
        Takes::Nothing => vec![format!("{name}=%{name}%")],
        Takes::Header => vec![format!("{name}=%{name}(X-A?X-B):7%")],
        Takes::Time => {
            let time = "%s %3f %1f %9f %f %Y-%m-%dT%H:%M:%SZ";
            vec![
                format!("{name}=%{name}({time})%"),
                format!("{name}-plain=%{name}%"),
            ]
        }
        Takes::OneOf(all) => all
            .iter()
            .map(|one| match one.is_empty() {
                true => format!("{name}-plain=%{name}%"),
                false => format!("{name}-{one}=%{name}({one})%"),
            })
            .collect(),
    };
    let fields: Vec<String> = COMMANDS.iter().flat_map(written).collect();
    let edge = edge(AccessLog::json(fields.iter().map(String::as_str)));
    let proxy = start(&envoy, vec![to("/", forward(&["a"]))], &edge).await;
    get(&proxy, "/", &[]).await;
    let log = proxy.access_log("via_upstream").await;
    assert_eq!(log.last().unwrap().as_object().unwrap().len(), fields.len());
    proxy.assert_content();
}

#[tokio::test]
async fn a_log_is_text_or_nothing() {
    let Some(envoy) = envoy() else { return };
    let routes = || vec![to("/", forward(&["a"]))];
    let text = "%REQ(:METHOD)% %PATH(NQ:PATH)% \"%REQ(USER-AGENT)%\" 100%% {}";
    let text = start(&envoy, routes(), &edge(AccessLog::text(text))).await;
    let off = start(&envoy, routes(), &edge(Ok(AccessLog::Off))).await;
    for path in ["/a", "/b"] {
        get(&text, path, &["User-Agent: \" 200 \\"]).await;
        get(&off, path, &[]).await;
    }
    let log = text.text_log("/b").await;
    assert_eq!(
        log,
        "GET /a \"\" 200 \\\" 100% {}\nGET /b \"\" 200 \\\" 100% {}\n"
    );
    text.assert_content();
    off.assert_content();
    assert_eq!(off.stdout(), "");
}

/// Path, and whether a request for it is logged.
const LOGGED: &[(&str, u16, bool)] = &[
    ("/loud", 200, true),
    ("/loud/shared", 200, true),
    ("/quiet/shared", 200, false),
    ("/quiet/shared-answer", 404, false),
    ("/quiet", 200, false),
    ("/quiet/denied", 403, false),
    ("/quiet/answer", 404, false),
    ("/quiet/page", 404, false),
    ("/quiet/redirect", 301, false),
    ("/quiet/missing", 503, false),
    ("/unknown", 404, true),
    ("/loud/denied", 403, true),
];

#[tokio::test]
async fn a_route_is_left_out() {
    let Some(envoy) = envoy().filter(|envoy| makes_all_filters(envoy)) else {
        return;
    };
    let quiet = |filters| Filters {
        is_not_logged: true,
        ..filters
    };
    let denied = || Filters {
        addresses: Some(AddressRules::deny(ranges(
            AddressSource::Peer,
            &["127.0.0.0/8"],
        ))),
        ..Filters::default()
    };
    let itself = |path: &str, action, filters| Route {
        action,
        ..guarded(path, filters)
    };
    let redirect = RouteAction::Redirect(Redirect::to_https(None));
    let page = pages(vec![(&[404], literal("none"))]);
    let missing = RouteAction::Forward(forward(&["missing"]));
    let shared = || Filters {
        cors: Some(Cors::new(Origins::All, ["GET"], ["x-a"], []).unwrap()),
        ..Filters::default()
    };
    let routes = vec![
        guarded("/loud/shared", shared()),
        guarded("/quiet/shared", quiet(shared())),
        itself(
            "/quiet/shared-answer",
            RouteAction::status(404),
            quiet(shared()),
        ),
        guarded("/quiet/denied", quiet(denied())),
        itself(
            "/quiet/answer",
            RouteAction::status(404),
            quiet(Filters::default()),
        ),
        itself("/quiet/page", RouteAction::status(404), quiet(page)),
        itself("/quiet/redirect", redirect, quiet(Filters::default())),
        itself("/quiet/missing", missing, quiet(Filters::default())),
        guarded("/quiet", quiet(Filters::default())),
        guarded("/loud/denied", denied()),
        to("/loud", forward(&["a"])),
    ];
    let proxy = start(&envoy, routes, &Edge::default()).await;
    let mut expected = Vec::new();
    for (path, status, is_logged) in LOGGED {
        let asked = request("GET", HOST, path, &[]);
        assert_eq!(plain(proxy.http, &asked).await.status, *status, "{path}");
        if *is_logged {
            expected.push(*path);
        }
        // What asks for another one: an answer to it is a route's too.
        let preflight = [
            "Origin: https://a.test",
            "Access-Control-Request-Method: GET",
        ];
        if path.contains("shared") {
            let asked = request("OPTIONS", HOST, path, &preflight);
            let answer = plain(proxy.http, &asked).await;
            let origin = answer.header("access-control-allow-origin");
            let found = (answer.status, origin);
            assert_eq!(found, (200, Some("https://a.test")), "{path}");
            if *is_logged {
                expected.push(*path);
            }
        }
    }
    let log = proxy.access_log("/loud/denied").await;
    let found: Vec<&str> = log
        .iter()
        .map(|line| line["path"].as_str().unwrap())
        .collect();
    assert_eq!(found, expected);
    proxy.assert_content();
}
