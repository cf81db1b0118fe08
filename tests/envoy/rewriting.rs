//! What becomes of the path and the host of a request, on a real Envoy with real back ends.

use isobath::model::{
    Expression, Forward, ForwardOptions, HeaderName, HostRewrite, PathMatch, PathRewrite,
    RouteAction, Substitution,
};

use crate::backend;
use crate::fixture::{World, forward, regex, route};
use crate::proxy::{Proxy, envoy};

use crate::sending::{HOST, element, get, sets, to, with};

#[tokio::test]
async fn paths_become_what_their_matches_become() {
    let Some(envoy) = envoy() else { return };
    let substitution = |pattern: Expression, to: &str| {
        PathRewrite::ReplaceMatches(Box::new(Substitution::new(pattern, to).unwrap()))
    };
    let plain_text = |text: &str| Expression::new(text).unwrap();
    let rewritten = |path: PathMatch, rewrite: PathRewrite| {
        let forward = Forward {
            rewrite: Some(rewrite),
            ..forward(&["back"])
        };
        route(path, RouteAction::Forward(forward))
    };
    let routes = vec![
        rewritten(
            element("/user"),
            substitution(plain_text("^/user/([^/]+)(/.*)?$"), r"/u\2/\1"),
        ),
        rewritten(element("/every"), substitution(plain_text("a"), "bb")),
        rewritten(
            element("/fold"),
            substitution(Expression::ignoring_case("^/FOLD").unwrap(), "/f"),
        ),
        rewritten(
            element("/whole"),
            substitution(plain_text("w(ho)le"), r"[\0|\1|\\1]"),
        ),
        rewritten(
            element("/percent"),
            substitution(plain_text("^/percent"), "/%REQ(host)%/$1"),
        ),
        rewritten(regex("/x[0-9]+"), substitution(plain_text("[0-9]"), "n")),
        rewritten(
            PathMatch::Exact("/exact".into()),
            substitution(plain_text("^/(.*)"), r"/is/\1"),
        ),
    ];
    let world = World::new()
        .cluster("back", &[backend::start("back").await])
        .http(HOST, routes);
    let proxy = Proxy::start(&envoy, world.resources()).await;
    for (path, seen) in [
        ("/user/joe/likes/tea", "/u/likes/tea/joe"),
        ("/user/joe", "/u/joe"),
        ("/user/joe?a=/user/x", "/u/joe?a=/user/x"),
        ("/user", "/user"),
        ("/every/a/banana", "/every/bb/bbbnbbnbb"),
        ("/every?a=a", "/every?a=a"),
        ("/fold/Fold", "/f/Fold"),
        ("/whole", r"/[whole|ho|\1]"),
        ("/percent/x", "/%REQ(host)%/$1/x"),
        ("/x12?1", "/xnn?1"),
        ("/exact", "/is/exact"),
    ] {
        let answer = get(&proxy, path, &[]).await;
        assert_eq!(answer.echo(), format!("back h1 GET {seen}"), "{path}");
    }
    proxy.assert_content();
}

#[tokio::test]
async fn hosts_are_rewritten() {
    let Some(envoy) = envoy() else { return };
    let from = |host| {
        let options = ForwardOptions {
            host: Some(host),
            ..ForwardOptions::default()
        };
        with(forward(&["back"]), options)
    };
    let header = || HostRewrite::Header(HeaderName::new("X-Tenant").unwrap());
    let mut both = to("/both", from(header()));
    both.request_headers = sets("host", "literal.inner");
    let routes = vec![
        to("/header", from(header())),
        both,
        to("/endpoint", from(HostRewrite::Endpoint)),
    ];
    let world = World::new()
        .cluster("back", &[backend::start("back").await])
        .http(HOST, routes);
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let rows: [(&str, &[&str], &str); 6] = [
        ("/header", &["X-Tenant: t1.inner"], "t1.inner"),
        ("/header", &[], HOST),
        ("/header", &["X-Tenant:"], HOST),
        ("/both", &["X-Tenant: t1.inner"], "literal.inner"),
        // Endpoints by EDS have no names.
        ("/endpoint", &[], HOST),
        ("/endpoint", &["X-Tenant: t1.inner"], HOST),
    ];
    for (path, headers, host) in rows {
        let answer = get(&proxy, path, headers).await;
        assert_eq!(answer.received("host"), Some(host), "{path} {headers:?}");
        assert_eq!(answer.received("x-forwarded-host"), Some(HOST), "{path}");
    }
    proxy.assert_content();
}
