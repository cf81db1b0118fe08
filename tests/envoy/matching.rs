//! Which requests a route takes, on a real Envoy: for each condition a route of its own path, and requests that it takes
//! or leaves.

use isobath::model::{
    Conditions, Expression, GrpcName, HeaderMatch, HeaderPredicate, PathMatch, QueryPredicate,
    Route, RouteAction, RouteMatch, StringMatch, TextMatch,
};

use crate::backend;
use crate::client::{plain, request};
use crate::fixture::{World, all_to, header, is, query, route};
use crate::proxy::{Proxy, envoy};

const HOST: &str = "a.example.com";

/// A request's headers, or its path and query, and whether the route takes it.
type Rows = &'static [(&'static [&'static str], bool)];

fn answer(matches: RouteMatch, status: u16) -> Route {
    Route {
        matches,
        ..route(
            PathMatch::PathPrefix("/".into()),
            RouteAction::status(status),
        )
    }
}

/// Each condition on the path of its index.
fn conditioned(conditions: impl IntoIterator<Item = Conditions>) -> Vec<Route> {
    let path = |index: usize| RouteMatch::path(PathMatch::Exact(format!("/{index}").into()));
    (0..)
        .zip(conditions)
        .map(|(index, conditions)| answer(path(index).and(conditions), 210))
        .collect()
}

fn pattern(kind: &str, text: &str) -> StringMatch {
    match kind {
        "exact" => StringMatch::exact(text),
        "prefix" => StringMatch::prefix(text).unwrap(),
        "suffix" => StringMatch::suffix(text).unwrap(),
        "contains" => StringMatch::contains(text).unwrap(),
        _ => StringMatch::regex(text).unwrap(),
    }
}

/// `KIND TEXT` with `not`, `any-case` and `missing-is-empty` in front; or `present`, `absent`.
fn predicate(words: &str) -> HeaderPredicate {
    let mut words = words.split(' ').peekable();
    let mut is_next = |word: &str| words.next_if_eq(&word).is_some();
    if is_next("present") {
        return HeaderPredicate::Present;
    }
    if is_next("absent") {
        return HeaderPredicate::Absent;
    }
    let negated = is_next("not");
    let (missing_is_empty, any_case) = (is_next("missing-is-empty"), is_next("any-case"));
    let (kind, text) = (words.next().unwrap(), words.next().unwrap_or_default());
    let pattern = pattern(kind, text);
    HeaderPredicate::Is(TextMatch {
        pattern: match any_case {
            true => pattern.ignoring_case().unwrap(),
            false => pattern,
        },
        negated,
        missing_is_empty,
    })
}

const NONE: &[&str] = &[];

const HEADERS: &[(&str, Rows)] = &[
    (
        "present",
        &[(&["X-A: 1"], true), (&["x-a:"], true), (NONE, false)],
    ),
    (
        "absent",
        &[
            (NONE, true),
            (&["X-B: 1"], true),
            (&["X-A: 1"], false),
            (&["X-A:"], false),
        ],
    ),
    (
        "exact one",
        &[
            (&["X-A: one"], true),
            (&["X-A: One"], false),
            (&["X-A: ones"], false),
            (&["X-A:   one  "], true),
            // One of several is enough, and a list in one line is one text.
            (&["X-A: one", "X-A: two"], true),
            (&["X-A: one, two"], false),
            (NONE, false),
        ],
    ),
    (
        "exact two",
        &[
            (&["X-A: one", "X-A: two"], true),
            (&["X-A: one,two"], false),
            (&["X-A: two", "X-A: one"], true),
        ],
    ),
    (
        "regex one,two",
        &[
            (&["X-A: one", "X-A: two"], false),
            (&["X-A: one,two"], true),
        ],
    ),
    ("contains one", &[(&["X-A: one", "X-A: two"], true)]),
    ("contains two", &[(&["X-A: one", "X-A: two"], true)]),
    (
        "not exact one",
        &[
            (&["X-A: one", "X-A: two"], false),
            (&["X-A: two", "X-A: one"], false),
        ],
    ),
    ("suffix two", &[(&["X-A: one", "X-A: two"], true)]),
    (
        "exact ",
        &[(&["X-A:"], true), (&["X-A: a"], false), (NONE, false)],
    ),
    (
        "any-case exact One",
        &[(&["X-A: oNE"], true), (&["X-A: on"], false)],
    ),
    (
        "not exact one",
        &[
            (&["X-A: two"], true),
            (&["X-A:"], true),
            (&["X-A: one"], false),
            (NONE, false),
        ],
    ),
    (
        "not any-case exact one",
        &[(&["X-A: ONE"], false), (&["X-A: two"], true)],
    ),
    (
        "not missing-is-empty exact one",
        &[(NONE, true), (&["X-A: one"], false), (&["X-A: two"], true)],
    ),
    (
        "missing-is-empty exact ",
        &[(NONE, true), (&["X-A:"], true), (&["X-A: one"], false)],
    ),
    (
        "prefix on",
        &[
            (&["X-A: one"], true),
            (&["X-A: on"], true),
            (&["X-A: son"], false),
            (&["X-A: ON"], false),
            (NONE, false),
        ],
    ),
    (
        "any-case prefix on",
        &[(&["X-A: ONE"], true), (&["X-A: no"], false)],
    ),
    (
        "not prefix on",
        &[(&["X-A: one"], false), (&["X-A: two"], true), (NONE, false)],
    ),
    (
        "suffix ne",
        &[(&["X-A: one"], true), (&["X-A: ones"], false)],
    ),
    (
        "any-case suffix ne",
        &[(&["X-A: ONE"], true), (&["X-A: ones"], false)],
    ),
    (
        "not suffix ne",
        &[(&["X-A: one"], false), (&["X-A: ones"], true)],
    ),
    (
        "contains n",
        &[
            (&["X-A: one"], true),
            (&["X-A: n"], true),
            (&["X-A: ON"], false),
            (&["X-A: o"], false),
            (NONE, false),
        ],
    ),
    (
        "any-case contains n",
        &[(&["X-A: ON"], true), (&["X-A: o"], false)],
    ),
    (
        "not contains n",
        &[(&["X-A: one"], false), (&["X-A: o"], true), (NONE, false)],
    ),
    (
        "not any-case contains n",
        &[(&["X-A: ON"], false), (&["X-A: o"], true)],
    ),
    (
        "not missing-is-empty contains n",
        &[(NONE, true), (&["X-A: n"], false)],
    ),
    (
        "regex [0-9]+|x",
        &[
            (&["X-A: 12"], true),
            (&["X-A: x"], true),
            (&["X-A: 12x"], false),
            (&["X-A: X"], false),
            (NONE, false),
        ],
    ),
    (
        "any-case regex [a-c]+|x",
        &[
            (&["X-A: aBc"], true),
            (&["X-A: X"], true),
            (&["X-A: d"], false),
        ],
    ),
    (
        "not regex [0-9]+",
        &[(&["X-A: 12"], false), (&["X-A: x"], true), (NONE, false)],
    ),
    (
        "not missing-is-empty regex [0-9]*",
        &[(NONE, false), (&["X-A: x"], true)],
    ),
    (
        "missing-is-empty regex [0-9]*",
        &[(NONE, true), (&["X-A: x"], false)],
    ),
];

#[tokio::test]
async fn headers() {
    let Some(envoy) = envoy() else { return };
    let conditions = HEADERS.iter().map(|(words, _)| Conditions {
        headers: vec![header("X-A", predicate(words))],
        ..Conditions::default()
    });
    let world = World::new().http(HOST, conditioned(conditions));
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let mut wrong = Vec::new();
    for (index, (words, rows)) in HEADERS.iter().enumerate() {
        for (headers, is_taken) in *rows {
            let asked = request("GET", HOST, &format!("/{index}"), headers);
            let taken = plain(proxy.http, &asked).await.status == 210;
            if taken != *is_taken {
                wrong.push(format!("{words}: {headers:?}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    proxy.assert_content();
}

const QUERIES: &[(&str, Rows)] = &[
    (
        "present",
        &[
            (&["?q"], true),
            (&["?q="], true),
            (&["?a=1&q=2"], true),
            (&["?Q=1"], false),
            (&["?x=q"], false),
            (&[""], false),
        ],
    ),
    (
        "absent",
        &[
            (&[""], true),
            (&["?a=1"], true),
            (&["?q"], false),
            (&["?q=1"], false),
        ],
    ),
    (
        "exact one",
        &[
            (&["?q=one"], true),
            (&["?q=One"], false),
            (&["?q=one&q=two"], true),
            (&["?q=two&q=one"], false),
            (&["?q=ones"], false),
            (&[""], false),
        ],
    ),
    // Escapes are compared as they stand.
    ("exact a b", &[(&["?q=a%20b"], false), (&["?q=a+b"], false)]),
    (
        "exact a%20b",
        &[(&["?q=a%20b"], true), (&["?q=a+b"], false)],
    ),
    (
        "exact ",
        &[(&["?q="], true), (&["?q"], true), (&["?q=1"], false)],
    ),
    (
        "any-case exact one",
        &[(&["?q=ONE"], true), (&["?Q=one"], false)],
    ),
    ("prefix on", &[(&["?q=one"], true), (&["?q=son"], false)]),
    (
        "any-case prefix on",
        &[(&["?q=ONE"], true), (&["?q=son"], false)],
    ),
    ("suffix ne", &[(&["?q=one"], true), (&["?q=ones"], false)]),
    (
        "any-case suffix ne",
        &[(&["?q=ONE"], true), (&["?q=ones"], false)],
    ),
    ("contains n", &[(&["?q=one"], true), (&["?q=o"], false)]),
    (
        "any-case contains n",
        &[(&["?q=ON"], true), (&["?q=o"], false)],
    ),
    (
        "regex [0-9]+",
        &[(&["?q=12"], true), (&["?q=12x"], false), (&["?q="], false)],
    ),
    (
        "any-case regex [a-c]+",
        &[(&["?q=aBc"], true), (&["?q=d"], false)],
    ),
];

#[tokio::test]
async fn query_parameters() {
    let Some(envoy) = envoy() else { return };
    let condition = |words: &str| match predicate(words) {
        HeaderPredicate::Is(text) => QueryPredicate::Is(text.pattern),
        HeaderPredicate::Present => QueryPredicate::Present,
        HeaderPredicate::Absent => QueryPredicate::Absent,
    };
    let conditions = QUERIES.iter().map(|(words, _)| Conditions {
        query: vec![query("q", condition(words))],
        ..Conditions::default()
    });
    let world = World::new().http(HOST, conditioned(conditions));
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let mut wrong = Vec::new();
    for (index, (words, rows)) in QUERIES.iter().enumerate() {
        for (asked, is_taken) in *rows {
            let path = format!("/{index}{}", asked[0]);
            let taken = plain(proxy.http, &request("GET", HOST, &path, &[]))
                .await
                .status
                == 210;
            if taken != *is_taken {
                wrong.push(format!("{words}: {path}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    proxy.assert_content();
}

/// Methods, pseudo headers, and conditions together.
#[tokio::test]
async fn requests() {
    let Some(envoy) = envoy() else { return };
    let exact = |name: &str, value: &str| header(name, is(StringMatch::exact(value)));
    let all = |headers: Vec<HeaderMatch>| Conditions {
        headers,
        ..Conditions::default()
    };
    let method = |method: &str| HeaderMatch::method(method).unwrap();
    let conditions = [
        all(vec![method("PUT")]),
        all(vec![exact("Host", HOST)]),
        all(vec![exact(":authority", HOST)]),
        all(vec![exact(":path", "/3?x=1")]),
        all(vec![exact("x-a", "1"), exact("x-b", "2")]),
        // Of two conditions on one name both count: Envoy has no first.
        all(vec![
            exact("x-a", "1"),
            header("x-a", HeaderPredicate::Absent),
        ]),
        Conditions {
            headers: vec![method("POST"), exact("x-a", "1")],
            query: vec![
                query("q", QueryPredicate::Present),
                query("r", QueryPredicate::Absent),
            ],
            grpc: false,
            without_certificate: false,
        },
    ];
    let world = World::new().http(HOST, conditioned(conditions));
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let mut wrong = Vec::new();
    let rows: [(&str, &str, &[&str], bool); 19] = [
        ("PUT", "/0", &[], true),
        ("put", "/0", &[], false),
        ("GET", "/0", &[], false),
        ("GET", "/1", &[], true),
        ("GET", "/2", &[], true),
        ("GET", "/3?x=1", &[], true),
        ("GET", "/3", &[], false),
        ("GET", "/4", &["X-A: 1", "X-B: 2"], true),
        ("GET", "/4", &["X-A: 1"], false),
        ("GET", "/4", &["X-B: 2"], false),
        ("GET", "/4", &["X-A: 2", "X-B: 2"], false),
        ("GET", "/5", &["X-A: 1"], false),
        ("GET", "/5", &[], false),
        ("POST", "/6?q", &["X-A: 1"], true),
        ("GET", "/6?q", &["X-A: 1"], false),
        ("POST", "/6?q", &["X-A: 2"], false),
        ("POST", "/6?r", &["X-A: 1"], false),
        ("POST", "/6?q&r", &["X-A: 1"], false),
        ("POST", "/6?q=r", &["X-A: 1"], true),
    ];
    for (method, path, headers, is_taken) in rows {
        let asked = request(method, HOST, path, headers);
        let taken = plain(proxy.http, &asked).await.status == 210;
        if taken != is_taken {
            wrong.push(format!("{method} {path} {headers:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    proxy.assert_content();
}

/// Paths that are taken, and paths that are left.
type Paths = (&'static [&'static str], &'static [&'static str]);

/// Expression, and for each way to match with it the paths that it takes and those that it leaves: as a whole, from the
/// beginning on, and both where case counts for nothing.
const EXPRESSIONS: &[(&str, [Paths; 4])] = &[
    (
        "/v[0-9]+",
        [
            (&["/v1", "/v12?x"], &["/v", "/v1/a", "/V1", "/a/v1"]),
            (&["/v1", "/v1/a", "/v1a"], &["/v", "/V1", "/a/v1"]),
            (&["/v1", "/V1"], &["/V1/a"]),
            (&["/V1/a", "/v1"], &["/v", "/V"]),
        ],
    ),
    (
        // What follows belongs to both.
        "/a|/b",
        [
            (&["/a", "/b"], &["/ac", "/bc", "/A"]),
            (&["/a", "/b", "/ac", "/bc"], &["/c", "/A"]),
            (&["/A", "/B"], &["/AC"]),
            (&["/AC", "/bc"], &["/c"]),
        ],
    ),
    (
        "^/foo$",
        [
            (&["/foo"], &["/foo/", "/foo/x"]),
            (&["/foo"], &["/foo/", "/foox"]),
            (&["/FOO"], &["/foo/"]),
            (&["/Foo"], &["/fooX"]),
        ],
    ),
    (
        "/([a-z]+)/(k|s){2}",
        [
            (&["/abc/ks"], &["/ABC/ks", "/abc/KS"]),
            (&["/abc/ks/x"], &["/abc/k"]),
            (&["/ABC/kS"], &["/1/ks", "/a/kx"]),
            (&["/ABC/ksX"], &["/1/ks"]),
        ],
    ),
    (
        "/[^/]+/edit",
        [
            (&["/x/edit", "/%C3%A9/edit"], &["/x/y/edit", "/x/edit/"]),
            (&["/x/edit/more"], &["/x/y/edit", "/x/edi"]),
            (&["/X/EDIT"], &["/x/y/edit"]),
            (&["/X/EDITED"], &["/x/y/edit"]),
        ],
    ),
];

#[tokio::test]
async fn expressions() {
    let Some(envoy) = envoy() else { return };
    let ways = |text: &str| {
        let plain = || Expression::new(text).unwrap();
        let folded = || Expression::ignoring_case(text).unwrap();
        [
            PathMatch::Regex(plain()),
            PathMatch::RegexPrefix(plain()),
            PathMatch::Regex(folded()),
            PathMatch::RegexPrefix(folded()),
        ]
    };
    // Each on a host of its own, as all have their own paths.
    let host = |expression: usize, way: usize| format!("e{expression}-{way}.test");
    let mut world = World::new();
    for (index, (text, _)) in EXPRESSIONS.iter().enumerate() {
        for (way, path) in ways(text).into_iter().enumerate() {
            let routes = vec![answer(RouteMatch::path(path), 210)];
            world = world.http(&host(index, way), routes);
        }
    }
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let mut wrong = Vec::new();
    for (index, (text, rows)) in EXPRESSIONS.iter().enumerate() {
        for (way, (taken, left)) in rows.iter().enumerate() {
            let paths = taken.iter().map(|path| (path, 210));
            for (path, status) in paths.chain(left.iter().map(|path| (path, 404))) {
                let asked = request("GET", &host(index, way), path, &[]);
                let answer = plain(proxy.http, &asked).await;
                if answer.status != status {
                    wrong.push(format!("{text} {way}: {path} is {}", answer.status));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    proxy.assert_content();
}

#[tokio::test]
async fn calls() {
    let Some(envoy) = envoy() else { return };
    let exact = |name: &str| GrpcName::exact(name).unwrap();
    let regex = |text: &str| GrpcName::Regex(Expression::new(text).unwrap());
    let call = |service: Option<GrpcName>, method: Option<GrpcName>, cluster: &str| Route {
        matches: RouteMatch::grpc(service.as_ref(), method.as_ref()).unwrap(),
        ..all_to(cluster).remove(0)
    };
    let routes = vec![
        call(Some(exact("shop.Cart")), Some(exact("Add")), "add"),
        call(Some(exact("shop.Cart")), None, "cart"),
        call(None, Some(exact("Ping")), "ping"),
        call(Some(regex("shop[.].+")), Some(regex("Get.*|List")), "get"),
        call(Some(exact("a.b")), Some(regex("X")), "dot"),
    ];
    let mut world = World::new()
        .http(HOST, routes)
        .http("all.test", vec![call(None, None, "all")]);
    for name in ["add", "cart", "ping", "get", "dot", "all"] {
        world = world.cluster(name, &[backend::start(name).await]);
    }
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let mut wrong = Vec::new();
    let rows = [
        (HOST, "/shop.Cart/Add", "application/grpc", Some("add")),
        (
            HOST,
            "/shop.Cart/Add",
            "application/grpc+proto",
            Some("add"),
        ),
        (HOST, "/shop.Cart/Add", "application/grpc-web", None),
        (HOST, "/shop.Cart/Add", "application/json", None),
        (HOST, "/shop.Cart/add", "application/grpc", Some("cart")),
        (HOST, "/shop.Cart/", "application/grpc", Some("cart")),
        (HOST, "/shop.Cart", "application/grpc", None),
        (HOST, "/shop.Carts/Add", "application/grpc", None),
        (HOST, "/any.Thing/Ping", "application/grpc", Some("ping")),
        (HOST, "/a/b/Ping", "application/grpc", None),
        (HOST, "/shop.Other/GetAll", "application/grpc", Some("get")),
        (HOST, "/shop.Other/List", "application/grpc", Some("get")),
        (HOST, "/shop.Other/Lists", "application/grpc", None),
        (HOST, "/xshop.Other/List", "application/grpc", None),
        // The dot of an exact name is a dot.
        (HOST, "/a.b/X", "application/grpc", Some("dot")),
        (HOST, "/aXb/X", "application/grpc", None),
        ("all.test", "/x.Y/Z", "application/grpc", Some("all")),
        ("all.test", "/", "application/grpc", Some("all")),
        ("all.test", "/x.Y/Z", "text/plain", None),
    ];
    for (host, path, content_type, expected) in rows {
        let content_type = format!("Content-Type: {content_type}");
        let asked = request("POST", host, path, &[&content_type, "TE: trailers"]);
        let answer = plain(proxy.http, &asked).await;
        let found = answer
            .echo()
            .split(' ')
            .next()
            .filter(|name| !name.is_empty());
        if found != expected {
            wrong.push(format!("{path} {content_type}: {found:?}"));
        }
        // No route: UNIMPLEMENTED.
        if expected.is_none() && content_type.contains("/grpc") && !content_type.contains("web") {
            assert_eq!(answer.header("grpc-status"), Some("12"), "{path}");
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    proxy.assert_content();
}
