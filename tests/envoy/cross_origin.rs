//! CORS on routes that no back end answers, on a real Envoy.

use std::time::Duration;

use isobath::envoy::edge::Edge;
use isobath::model::{
    AddressRules, AddressSource, Cors, Filters, HeaderModifier, Origins, Redirect, Route,
    RouteAction, StringMatch,
};

use crate::client::{Answer, plain, request};
use crate::filter_cases::{changed, ranges, some_origins};
use crate::fixture::forward;
use crate::guarding::{guarded, start};
use crate::proxy::envoy;
use crate::sending::{HOST, sets};

fn some() -> Cors {
    let origins = Origins::Like(some_origins());
    let cors = Cors::new(origins, ["GET", "PUT"], ["x-a", "x-b"], ["x-e"]).unwrap();
    changed(cors, |it| {
        it.max_age = Some(Duration::from_secs(600));
        it.allows_credentials = true;
        it.allows_private_network = true;
    })
}

fn filters(cors: Cors) -> Filters {
    Filters {
        cors: Some(cors),
        ..Filters::default()
    }
}

fn unlogged(filters: Filters) -> Filters {
    changed(filters, |it| it.is_not_logged = true)
}

fn routes() -> Vec<Route> {
    let itself = |path: &str, action, filters| Route {
        action,
        response_headers: sets("x-of-route", "1"),
        ..guarded(path, filters)
    };
    let redirect = || RouteAction::Redirect(Redirect::to_https(None));
    let all = || Cors::new(Origins::All, ["*"], ["*"], []).unwrap();
    let denied = AddressRules::deny(ranges(AddressSource::Peer, &["127.0.0.0/8"]));
    let guarded_one = Filters {
        addresses: Some(denied),
        ..filters(some())
    };
    let bare = Cors::new(
        Origins::Like(vec![StringMatch::exact("https://a.test")]),
        [],
        [],
        [],
    );
    vec![
        itself("/answer", RouteAction::status(404), filters(some())),
        itself("/redirect", redirect(), filters(some())),
        itself("/all", redirect(), filters(all())),
        itself("/bare", RouteAction::status(404), filters(bare.unwrap())),
        itself(
            "/nobody",
            RouteAction::Forward(forward(&[])),
            filters(some()),
        ),
        itself("/guarded", RouteAction::status(404), guarded_one.clone()),
        Route {
            response_headers: HeaderModifier::default(),
            ..guarded("/forward", filters(some()))
        },
        // Nobody's log has it, and its filter is another one.
        Route {
            response_headers: HeaderModifier::default(),
            ..guarded("/unlogged", unlogged(filters(some())))
        },
        itself(
            "/unlogged-answer",
            RouteAction::status(404),
            unlogged(filters(some())),
        ),
        Route {
            response_headers: HeaderModifier::default(),
            ..guarded("/unlogged-guarded", unlogged(guarded_one))
        },
    ]
}

const A: &str = "Origin: https://a.test";
const UPPER: &str = "Origin: HTTPS://A.TEST";
const BELOW: &str = "Origin: https://x.b.test";
const OTHER: &str = "Origin: https://other.test";
const ASKS: &str = "Access-Control-Request-Method: PUT";
const ASKS_HEADERS: &str = "Access-Control-Request-Headers: x-c";
const ASKS_PRIVATE: &str = "Access-Control-Request-Private-Network: true";

/// Method, path, headers; status; and of the answer's headers allow-origin, -credentials, -methods, -headers, max-age,
/// expose-headers and -private-network.
type Row = (
    &'static str,
    &'static str,
    &'static [&'static str],
    u16,
    &'static str,
);

const NONE: &str = "- - - - - - -";
const SEEN: &str = "https://a.test true - - - x-e -";

const ROWS: &[Row] = &[
    ("GET", "/answer", &[], 404, NONE),
    ("GET", "/answer", &[A], 404, SEEN),
    (
        "GET",
        "/answer",
        &[UPPER],
        404,
        "HTTPS://A.TEST true - - - x-e -",
    ),
    (
        "GET",
        "/answer",
        &[BELOW],
        404,
        "https://x.b.test true - - - x-e -",
    ),
    ("GET", "/answer", &[OTHER], 404, NONE),
    ("POST", "/answer", &[A], 404, SEEN),
    ("OPTIONS", "/answer", &[A], 404, SEEN),
    (
        "OPTIONS",
        "/answer",
        &[A, ASKS],
        200,
        "https://a.test true GET,PUT x-a,x-b 600 - -",
    ),
    (
        "OPTIONS",
        "/answer",
        &[BELOW, ASKS, ASKS_PRIVATE],
        200,
        "https://x.b.test true GET,PUT x-a,x-b 600 - true",
    ),
    ("OPTIONS", "/answer", &[OTHER, ASKS], 404, NONE),
    ("OPTIONS", "/answer", &[ASKS], 404, NONE),
    ("GET", "/redirect", &[], 301, NONE),
    ("GET", "/redirect", &[A], 301, SEEN),
    ("GET", "/redirect", &[OTHER], 301, NONE),
    (
        "OPTIONS",
        "/redirect",
        &[A, ASKS],
        200,
        "https://a.test true GET,PUT x-a,x-b 600 - -",
    ),
    ("GET", "/all", &[], 301, NONE),
    (
        "GET",
        "/all",
        &[OTHER],
        301,
        "https://other.test - - - - - -",
    ),
    (
        "OPTIONS",
        "/all",
        &[OTHER, ASKS, ASKS_HEADERS],
        200,
        "https://other.test - PUT x-c - - -",
    ),
    (
        "OPTIONS",
        "/all",
        &[OTHER, ASKS],
        200,
        "https://other.test - PUT - - - -",
    ),
    ("GET", "/bare", &[A], 404, "https://a.test - - - - - -"),
    (
        "OPTIONS",
        "/bare",
        &[A, ASKS],
        200,
        "https://a.test - - - - - -",
    ),
    ("GET", "/nobody", &[A], 503, SEEN),
    // A preflight is not asked about. A refusal has none of the route's headers, so that it can't be read.
    ("GET", "/guarded", &[A], 403, NONE),
    ("GET", "/guarded", &[OTHER], 403, NONE),
    (
        "OPTIONS",
        "/guarded",
        &[A, ASKS],
        200,
        "https://a.test true GET,PUT x-a,x-b 600 - -",
    ),
    // As Envoy's own filter has it, where a back end answers.
    ("GET", "/forward", &[A], 200, SEEN),
    (
        "OPTIONS",
        "/forward",
        &[A, ASKS],
        200,
        "https://a.test true GET,PUT x-a,x-b 600 x-e -",
    ),
    ("GET", "/unlogged", &[A], 200, SEEN),
    ("GET", "/unlogged", &[OTHER], 200, NONE),
    (
        "OPTIONS",
        "/unlogged",
        &[A, ASKS],
        200,
        "https://a.test true GET,PUT x-a,x-b 600 x-e -",
    ),
    ("GET", "/unlogged-answer", &[A], 404, SEEN),
    (
        "OPTIONS",
        "/unlogged-answer",
        &[A, ASKS],
        200,
        "https://a.test true GET,PUT x-a,x-b 600 - -",
    ),
    ("GET", "/unlogged-guarded", &[A], 403, SEEN),
    (
        "OPTIONS",
        "/unlogged-guarded",
        &[A, ASKS],
        200,
        "https://a.test true GET,PUT x-a,x-b 600 x-e -",
    ),
];

fn shown(answer: &Answer) -> String {
    let names = [
        "allow-origin",
        "allow-credentials",
        "allow-methods",
        "allow-headers",
        "max-age",
        "expose-headers",
        "allow-private-network",
    ];
    let values = names.map(|name| {
        let value = answer.header(&format!("access-control-{name}"));
        value.unwrap_or("-").to_owned()
    });
    values.join(" ")
}

#[tokio::test]
async fn pages_of_other_origins_read_answers_of_our_own() {
    let Some(envoy) = envoy() else { return };
    let proxy = start(&envoy, routes(), &Edge::default()).await;
    let mut wrong = Vec::new();
    for (method, path, headers, status, expected) in ROWS {
        let answer = plain(proxy.http, &request(method, HOST, path, headers)).await;
        let found = shown(&answer);
        if (answer.status, &*found) != (*status, expected) {
            wrong.push(format!(
                "{method} {path} {headers:?}: {} {found}",
                answer.status
            ));
        }
        let is_own =
            !matches!(*path, "/forward" | "/guarded" | "/unlogged-guarded") && answer.status != 200;
        if is_own && answer.header("x-of-route") != Some("1") {
            wrong.push(format!("{method} {path} {headers:?}: {answer:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    proxy.assert_content();
}
