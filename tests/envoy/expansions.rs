//! The routes of Envoy that a route becomes are as many as the model says that there are: the budget of objects charges for those,
//! and for no others.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use isobath::envoy::route as rendering;
use isobath::model::{
    BackendOptions, BackendPage, Cors, ErrorPages, Expression, Filters, Forward, ForwardOptions,
    Fraction, HeaderName, LiteralPage, Mirror, Origins, Page, PathMatch, PathRewrite, Redirect,
    Refused, RefusedStatus, Route, RouteAction, SessionCookie, SessionKey, SessionPersistence,
    SetCookie, StringMatch, Substitution, WeightedCluster,
};
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message as _;

use crate::fixture::{CLEAR, modifier, route, virtual_host};

fn path() -> impl Strategy<Value = PathMatch> {
    let text = || select(vec!["/", "/a", "/a/", "/a/b", ""]).prop_map(Arc::from);
    let expression = || Just(Expression::new("/a[b]+").unwrap());
    prop_oneof![
        text().prop_map(PathMatch::Exact),
        text().prop_map(PathMatch::PathPrefix),
        text().prop_map(PathMatch::StringPrefix),
        expression().prop_map(PathMatch::Regex),
        expression().prop_map(PathMatch::RegexPrefix),
        Just(PathMatch::Connect),
    ]
}

fn rewrite() -> impl Strategy<Value = Option<PathRewrite>> {
    let text = || select(vec!["", "/", "//", "/b", "/b/", "b"]).prop_map(Arc::from);
    let within = Substitution::new(Expression::new("/a").unwrap(), "/b").unwrap();
    prop::option::of(prop_oneof![
        4 => text().prop_map(PathRewrite::ReplacePrefix),
        1 => text().prop_map(PathRewrite::ReplaceFullPath),
        1 => Just(PathRewrite::ReplaceMatches(Box::new(within))),
    ])
}

fn mirrors() -> impl Strategy<Value = Vec<Mirror>> {
    let mirror = Mirror {
        cluster: "web/copy:80".into(),
        fraction: Fraction::ALL,
    };
    (0..2_usize).prop_map(move |count| vec![mirror.clone(); count])
}

fn share() -> impl Strategy<Value = WeightedCluster> {
    let options = (rewrite(), mirrors()).prop_map(|(rewrite, mirrors)| BackendOptions {
        request_headers: modifier(&[("x-share", "1")], &[]),
        rewrite,
        mirrors,
        ..BackendOptions::default()
    });
    let of = (0..3_usize, 0..3_u32, prop::option::of(options));
    of.prop_map(|(cluster, weight, options)| WeightedCluster {
        options: options.map(Box::new),
        ..WeightedCluster::new(format!("web/{cluster}:80"), weight)
    })
}

fn session() -> impl Strategy<Value = Option<SessionPersistence>> {
    let cookie = |path| {
        let set = SetCookie::new(Some(Duration::from_secs(60)), path, &[]).unwrap();
        SessionKey::Cookie(SessionCookie::new("s", set).unwrap())
    };
    let header = SessionKey::Header(HeaderName::new("x-session").unwrap());
    let keys = select(vec![cookie(""), cookie("/"), cookie("/a"), header]);
    prop::option::of(keys.prop_map(|key| SessionPersistence {
        key,
        is_strict: false,
    }))
}

fn forward() -> impl Strategy<Value = Forward> {
    let refused = prop::option::of((0..3_u32).prop_map(|weight| Refused {
        weight,
        status: RefusedStatus::InternalServerError,
    }));
    let shares = prop::collection::vec(share(), 0..4);
    let of = (shares, refused, session(), rewrite(), mirrors());
    of.prop_map(|(backends, refused, session, rewrite, mirrors)| Forward {
        backends,
        rewrite,
        options: Some(Box::new(ForwardOptions {
            refused,
            session,
            mirrors,
            ..ForwardOptions::default()
        })),
        ..Forward::default()
    })
}

fn action() -> impl Strategy<Value = RouteAction> {
    let redirect = rewrite().prop_map(|path| Redirect {
        path,
        ..Redirect::to_https(None)
    });
    prop_oneof![
        5 => forward().prop_map(RouteAction::Forward),
        2 => redirect.prop_map(RouteAction::Redirect),
        1 => Just(RouteAction::status(404)),
    ]
}

fn cors() -> impl Strategy<Value = Option<Cors>> {
    let patterns = |count| {
        let pattern = |index| StringMatch::exact(&format!("https://{index}.test"));
        Origins::Like((0..count).map(pattern).collect())
    };
    let origins = prop_oneof![Just(Origins::All), (0..4_usize).prop_map(patterns)];
    prop::option::of(origins.prop_map(|origins| Cors::new(origins, ["GET"], [], []).unwrap()))
}

fn pages() -> impl Strategy<Value = Option<ErrorPages>> {
    let literal = Page::Literal(LiteralPage::new("gone", "text/plain").unwrap());
    let page = prop_oneof![
        1 => Just(literal),
        3 => forward().prop_map(|to| Page::Backend(BackendPage {
            to,
            keeps_status: true,
            told: Vec::new(),
        })),
    ];
    prop::option::of(prop::collection::vec(page, 1..3).prop_map(|pages| {
        let mut all = ErrorPages::default();
        for (status, page) in (500..).zip(pages) {
            all.add(&[status], page).unwrap();
        }
        all
    }))
}

fn any_route() -> impl Strategy<Value = Route> {
    (path(), action(), cors(), pages()).prop_map(|(path, action, cors, error_pages)| Route {
        filters: Some(Box::new(Filters {
            cors,
            error_pages,
            ..Filters::default()
        })),
        ..route(path, action)
    })
}

/// So many routes are rendered of a host.
fn rendered(routes: Vec<Route>) -> usize {
    let (_, part) = rendering::virtual_host(&virtual_host("a.test", routes), CLEAR);
    let table = RouteConfiguration::decode(&*part.bytes.to_bytes()).unwrap();
    table.virtual_hosts[0].routes.len()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn routes_are_as_many_as_are_charged_for(routes in prop::collection::vec(any_route(), 1..4)) {
        let charged = routes.iter().map(|route| route.expansion().routes + route.page_routes());
        let charged: usize = charged.sum();
        prop_assert_eq!(rendered(routes), charged);
    }
}

/// A path that no request has is no route at all.
#[test]
fn no_more_are_rendered_than_are_charged_for() {
    for path in [
        PathMatch::Exact("/a?b".into()),
        PathMatch::StringPrefix("/a#".into()),
    ] {
        let route = route(path, RouteAction::status(404));
        assert_eq!(route.expansion().routes, 1);
        assert_eq!(rendered(vec![route]), 0);
    }
}
