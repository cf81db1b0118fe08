//! Routes with each thing that a route can have, for the golden files.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use isobath::model::{
    BackOff, BackendOptions, Conditions, Connect, CrossScheme, DirectResponse, Expression, Forward,
    ForwardOptions, Fraction, GrpcName, HeaderMatch, HeaderName, HeaderPredicate, HostRewrite,
    InternalRedirects, LocationRewrite, Mirror, PathMatch, PathRewrite, QueryPredicate,
    RateLimitedBackOff, Redirect, Refused, RefusedStatus, ResetFormat, RetryPolicy, Route,
    RouteAction, RouteMatch, StringMatch, Substitution, TextMatch, Upgrade, WeightedCluster,
};

use crate::cluster_cases::hash_policies;
use crate::cookies::{full, replaced, rewrites};
use crate::fixture::{all_to, forward, header, is, modifier, query, route};
use crate::sessions::{by_cookie, by_header};

fn taking(matches: RouteMatch) -> Route {
    Route {
        matches,
        ..all_to("web/shop:80").remove(0)
    }
}

/// Every kind of text, case by case.
fn texts() -> Vec<StringMatch> {
    let kinds = [
        StringMatch::exact("One"),
        StringMatch::prefix("One").unwrap(),
        StringMatch::suffix("One").unwrap(),
        StringMatch::contains("One").unwrap(),
        StringMatch::regex("One|[2-3]").unwrap(),
    ];
    let folded = kinds.clone().map(|kind| kind.ignoring_case().unwrap());
    kinds.into_iter().chain(folded).collect()
}

/// Every condition.
pub fn conditions() -> Vec<Route> {
    let root = || RouteMatch::path(PathMatch::PathPrefix("/".into()));
    let headers = texts().into_iter().map(is).chain([
        HeaderPredicate::Present,
        HeaderPredicate::Absent,
        HeaderPredicate::Is(TextMatch {
            negated: true,
            ..TextMatch::of(StringMatch::exact("one"))
        }),
        HeaderPredicate::Is(TextMatch {
            missing_is_empty: true,
            ..TextMatch::of(StringMatch::exact("one"))
        }),
    ]);
    let queries = texts().into_iter().map(QueryPredicate::Is);
    let queries = queries.chain([QueryPredicate::Present, QueryPredicate::Absent]);
    let all = Conditions {
        headers: headers.map(|value| header("X-Header", value)).collect(),
        query: queries.map(|value| query("parameter", value)).collect(),
        grpc: false,
        without_certificate: false,
    };
    let method = Conditions {
        headers: vec![HeaderMatch::method("PROPFIND").unwrap()],
        ..Conditions::default()
    };
    let service = GrpcName::exact("shop.Cart").unwrap();
    let any = GrpcName::Regex(Expression::new("Get.*").unwrap());
    let call = |service, method| RouteMatch::grpc(service, method).unwrap();
    let expression = |text: &str| Expression::new(text).unwrap();
    let folded = |text: &str| Expression::ignoring_case(text).unwrap();
    [
        root().and(all),
        root().and(method),
        call(Some(&service), None),
        call(Some(&service), Some(&any)),
        call(None, None),
        RouteMatch::path(PathMatch::RegexPrefix(expression("/a|/b"))),
        RouteMatch::path(PathMatch::Regex(folded("/a|/b"))),
        RouteMatch::path(PathMatch::RegexPrefix(folded("/a|/b"))),
    ]
    .map(taking)
    .into()
}

fn mirror(cluster: &str, fraction: Fraction) -> Mirror {
    Mirror {
        cluster: cluster.into(),
        fraction,
    }
}

fn substitution() -> PathRewrite {
    let pattern = Expression::ignoring_case("^/(a)").unwrap();
    PathRewrite::ReplaceMatches(Box::new(Substitution::new(pattern, r"/\1/b").unwrap()))
}

/// Everything that a share can have.
fn share(cluster: &str, weight: u32, rewrite: Option<PathRewrite>) -> WeightedCluster {
    let headers = |name: &str| {
        modifier(
            &[("host", "inner.example.com"), (name, "100%")],
            &["x-gone"],
        )
    };
    WeightedCluster {
        options: Some(Box::new(BackendOptions {
            request_headers: headers("x-request"),
            response_headers: headers("x-response"),
            rewrite,
            mirrors: Vec::new(),
            cookie_rewrites: rewrites(vec![full()]),
            ..BackendOptions::default()
        })),
        ..WeightedCluster::new(cluster, weight)
    }
}

/// Everything that requests can be sent by.
pub fn sending() -> Vec<Route> {
    let refused = |status| ForwardOptions {
        refused: Some(Refused { weight: 1, status }),
        ..ForwardOptions::default()
    };
    let mut internal = InternalRedirects::new(3, BTreeSet::from([302, 307])).unwrap();
    internal.cross_scheme = CrossScheme::SafeOnly;
    internal.deny_repeated_route = true;
    let third = Fraction::new(1, 3).unwrap();
    let all = ForwardOptions {
        refused: None,
        mirrors: vec![
            mirror("web/copy/80", Fraction::ALL),
            mirror("web/third/80", third),
            mirror("web/never/80", Fraction::NONE),
        ],
        hash_policies: hash_policies(),
        host: Some(HostRewrite::Header(HeaderName::new("X-Tenant").unwrap())),
        idle_timeout: Some(Duration::from_secs(7)),
        session: None,
        internal_redirects: Some(internal),
        cookie_rewrites: rewrites(vec![full(), replaced()]),
        location_rewrite: LocationRewrite::new("http://inner.test/", "/outer/").ok(),
        upgrades: BTreeMap::from([
            (Upgrade::websocket(), false),
            (Upgrade::new("SPDY/3.1").unwrap(), true),
        ]),
        connect: None,
    };
    let session = |session| ForwardOptions {
        session: Some(session),
        ..ForwardOptions::default()
    };
    let endpoint = ForwardOptions {
        host: Some(HostRewrite::Endpoint),
        ..ForwardOptions::default()
    };
    let shop = || forward(&["web/shop/80"]);
    let with = |to: Forward, options| Forward {
        options: Some(Box::new(options)),
        ..to
    };
    let backends = |backends| Forward {
        backends,
        ..forward(&[])
    };
    let prefix = |path: &str| Some(PathRewrite::ReplacePrefix(path.into()));
    let split = vec![
        share("web/a/80", 1, prefix("/a")),
        WeightedCluster::new("web/never/80", 0),
        share("web/b/80", 2, prefix("/")),
    ];
    let halves = || {
        vec![
            WeightedCluster::new("web/a/80", 1),
            WeightedCluster::new("web/b/80?connect-timeout=1s", 1),
        ]
    };
    let huge = vec![
        WeightedCluster::new("web/a/80", u32::MAX),
        WeightedCluster::new("web/b/80", 1),
    ];
    let element = |path: &str| PathMatch::PathPrefix(path.into());
    let to = |path: &str, to| route(element(path), RouteAction::Forward(to));
    let redirect = Redirect {
        path: Some(substitution()),
        strip_query: true,
        status: 303,
        ..Redirect::default()
    };
    let answer = DirectResponse::new(418, "100%\n").unwrap();
    vec![
        to("/all", with(shop(), all)),
        to("/endpoint", with(shop(), endpoint)),
        to(
            "/half-500",
            with(shop(), refused(RefusedStatus::InternalServerError)),
        ),
        to(
            "/half-503",
            with(shop(), refused(RefusedStatus::ServiceUnavailable)),
        ),
        to(
            "/all-500",
            with(forward(&[]), refused(RefusedStatus::InternalServerError)),
        ),
        to("/one", backends(vec![share("web/a/80", 1, None)])),
        to(
            "/split",
            with(backends(split), refused(RefusedStatus::InternalServerError)),
        ),
        to("/huge", backends(huge)),
        to(
            "/session",
            with(
                backends(halves()),
                session(by_cookie(60, "/", &[("SameSite", "Lax")])),
            ),
        ),
        to("/by-header", with(shop(), session(by_header("X-Session")))),
        to(
            "/matches",
            Forward {
                rewrite: Some(substitution()),
                ..shop()
            },
        ),
        route(element("/away"), RouteAction::Redirect(redirect)),
        route(element("/answer"), RouteAction::DirectResponse(answer)),
    ]
}

/// Tunnels: on, passed on, and off.
pub fn tunnels() -> Vec<Route> {
    let connect = |connect| {
        let options = ForwardOptions {
            connect,
            ..ForwardOptions::default()
        };
        let to = Forward {
            options: Some(Box::new(options)),
            rewrite: Some(PathRewrite::ReplacePrefix("/a".into())),
            ..forward(&["web/shop/80"])
        };
        route(PathMatch::Connect, RouteAction::Forward(to))
    };
    [Some(Connect::Terminate), Some(Connect::Forward), None]
        .map(connect)
        .into()
}

/// Everything that tries can be told.
pub fn retries() -> Vec<Route> {
    let header = |name: &str| HeaderName::new(name).unwrap();
    let resets = vec![
        (header("Retry-After"), ResetFormat::Seconds),
        (header("X-RateLimit-Reset"), ResetFormat::UnixTimestamp),
    ];
    let seconds = Duration::from_secs;
    let all = RetryPolicy {
        retry_on: vec!["gateway-error".into()],
        num_retries: 5,
        per_try_timeout: Some(seconds(2)),
        per_try_idle_timeout: Some(seconds(1)),
        status_codes: BTreeSet::from([418, 429]),
        back_off: Some(BackOff::new(seconds(1), None).unwrap()),
        rate_limited_back_off: Some(RateLimitedBackOff::new(resets, seconds(60)).unwrap()),
        may_repeat_endpoint: true,
    };
    [all, RetryPolicy::never()]
        .map(|retry| {
            let to = Forward {
                retry: Some(Box::new(retry)),
                ..forward(&["web/shop/80"])
            };
            route(PathMatch::PathPrefix("/".into()), RouteAction::Forward(to))
        })
        .into()
}
