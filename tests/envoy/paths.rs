//! Paths on a real Envoy: matches, normalisation and rewrites.

use isobath::model::{Forward, PathMatch, PathRewrite, Redirect, Route, RouteAction};

use crate::backend;
use crate::client::{Answer, plain, request};
use crate::fixture::{World, forward, regex, route};
use crate::proxy::{Proxy, envoy};

const HOST: &str = "a.example.com";

fn to(path: PathMatch, cluster: &str) -> Route {
    route(path, RouteAction::Forward(forward(&[cluster])))
}

fn rewritten(path: PathMatch, rewrite: PathRewrite) -> Route {
    let forward = Forward {
        rewrite: Some(rewrite),
        ..forward(&["back"])
    };
    route(path, RouteAction::Forward(forward))
}

async fn get(proxy: &Proxy, path: &str) -> Answer {
    plain(proxy.http, &request("GET", HOST, path, &[])).await
}

#[tokio::test]
async fn matches() {
    let Some(envoy) = envoy() else { return };
    let mut world = World::new();
    for name in ["exact", "regex", "element", "string", "root"] {
        world = world.cluster(name, &[backend::start(name).await]);
    }
    let world = world.http(
        HOST,
        vec![
            to(PathMatch::Exact("/exact".into()), "exact"),
            to(PathMatch::Exact("/que?stion".into()), "exact"),
            to(PathMatch::PathPrefix("/que?stion".into()), "exact"),
            to(regex("/[0-9]+"), "regex"),
            to(PathMatch::PathPrefix("/element".into()), "element"),
            to(PathMatch::PathPrefix("/slash/".into()), "element"),
            to(PathMatch::StringPrefix("/string".into()), "string"),
            to(PathMatch::PathPrefix("/".into()), "root"),
        ],
    );
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let cases = [
        // Path, back end, and the path that it saw.
        ("/exact", "exact", "/exact"),
        ("/exact?a=b", "exact", "/exact?a=b"),
        ("/exact/", "root", "/exact/"),
        ("/EXACT", "root", "/EXACT"),
        ("/que", "root", "/que"),
        ("/que?stion", "root", "/que?stion"),
        ("/123", "regex", "/123"),
        ("/123?x=/y", "regex", "/123?x=/y"),
        ("/123x", "root", "/123x"),
        ("/x/123", "root", "/x/123"),
        ("/element", "element", "/element"),
        ("/element/", "element", "/element/"),
        ("/element/x/y", "element", "/element/x/y"),
        ("/element?x", "element", "/element?x"),
        ("/elements", "root", "/elements"),
        ("/element;x=1", "root", "/element;x=1"),
        ("/slash", "element", "/slash"),
        ("/slash/x", "element", "/slash/x"),
        ("/string", "string", "/string"),
        ("/strings", "string", "/strings"),
        ("/string/x", "string", "/string/x"),
        // One spelling, for the route and the back end.
        ("//element//x", "element", "/element/x"),
        ("/element/../exact", "exact", "/exact"),
        ("/x/./../element/", "element", "/element/"),
        ("/element/%2e%2e/exact", "exact", "/exact"),
        ("/../../element", "element", "/element"),
        ("/element/..", "root", "/"),
        (r"/element\..\exact", "exact", "/exact"),
        ("/%65xact", "exact", "/exact"),
    ];
    for (path, backend, seen) in cases {
        let answer = get(&proxy, path).await;
        assert_eq!(answer.echo(), format!("{backend} h1 GET {seen}"), "{path}");
    }
    // Escaped slashes: a browser is sent to the path without them, and gRPC is refused.
    for (path, location) in [
        ("/element%2F..%2Fexact", "/exact"),
        ("/a%5cb", "/a/b"),
        ("/a%2fb?q=%2F", "/a/b?q=%2F"),
    ] {
        let answer = get(&proxy, path).await;
        assert_eq!(answer.status, 307, "{path}");
        assert_eq!(answer.header("location"), Some(location), "{path}");
        let grpc = request(
            "POST",
            HOST,
            path,
            &["Content-Type: application/grpc", "TE: trailers"],
        );
        let answer = plain(proxy.http, &grpc).await;
        assert_eq!(
            answer.header("grpc-status"),
            Some("13"),
            "{path}: {answer:?}"
        );
    }
    proxy.assert_content();
}

#[tokio::test]
async fn rewrites() {
    let Some(envoy) = envoy() else { return };
    let prefix = |to: &str| PathRewrite::ReplacePrefix(to.into());
    let whole = |to: &str| PathRewrite::ReplaceFullPath(to.into());
    let element = |path: &str| PathMatch::PathPrefix(path.into());
    let string = |path: &str| PathMatch::StringPrefix(path.into());
    let routes = vec![
        rewritten(element("/named"), prefix("/new")),
        rewritten(element("/slashed"), prefix("/new/")),
        rewritten(element("/cut"), prefix("/")),
        rewritten(element("/emptied"), prefix("")),
        rewritten(string("/s-named"), prefix("/new")),
        rewritten(string("/s-cut"), prefix("/")),
        rewritten(string("/s-slash/"), prefix("/new")),
        rewritten(PathMatch::Exact("/exact".into()), prefix("/new")),
        rewritten(regex("/[0-9]+"), prefix("/new")),
        rewritten(element("/whole"), whole("/new/path")),
        rewritten(element("/literal"), whole(r"/\1%25$1&\\0")),
        rewritten(element("/percent"), prefix("/%PROTOCOL%/100%25")),
        rewritten(element("/"), prefix("/root")),
    ];
    let world = World::new()
        .cluster("back", &[backend::start("back").await])
        .http(HOST, routes);
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let cases = [
        // Gateway API's table of ReplacePrefixMatch, and string prefixes likewise.
        ("/named", "/new"),
        ("/named/", "/new/"),
        ("/named/x", "/new/x"),
        ("/named/x?y=/named", "/new/x?y=/named"),
        ("/slashed", "/new"),
        ("/slashed/x", "/new/x"),
        ("/cut", "/"),
        ("/cut/", "/"),
        ("/cut/x/y", "/x/y"),
        ("/cut?a=b", "/?a=b"),
        ("/cut/?a=b", "/?a=b"),
        ("/cuts", "/root/cuts"),
        ("/emptied", "/"),
        ("/emptied/x", "/x"),
        ("/s-named", "/new"),
        ("/s-namedx", "/newx"),
        ("/s-named/x", "/new/x"),
        ("/s-cut", "/"),
        ("/s-cutx", "/x"),
        ("/s-cut/x", "/x"),
        ("/s-slash/", "/new/"),
        ("/s-slash/x", "/new/x"),
        ("/exact", "/new"),
        ("/exact?q", "/new?q"),
        ("/123", "/new"),
        ("/whole/x?y=z", "/new/path?y=z"),
        ("/literal", r"/\1%25$1&\\0"),
        ("/percent/x", "/%PROTOCOL%/100%25/x"),
        ("/", "/root/"),
        ("/x", "/root/x"),
    ];
    for (path, seen) in cases {
        let answer = get(&proxy, path).await;
        assert_eq!(answer.echo(), format!("back h1 GET {seen}"), "{path}");
    }
    proxy.assert_content();
}

#[tokio::test]
async fn redirects() {
    let Some(envoy) = envoy() else { return };
    let away = |redirect: Redirect| RouteAction::Redirect(redirect);
    let moved = |path: PathRewrite| {
        away(Redirect {
            path: Some(path),
            status: 302,
            ..Redirect::default()
        })
    };
    let element = |path: &str| PathMatch::PathPrefix(path.into());
    let routes = vec![
        route(element("/secure"), away(Redirect::to_https(None))),
        route(
            element("/see-other"),
            away(Redirect {
                status: 303,
                hostname: Some("b.example.com".into()),
                ..Redirect::default()
            }),
        ),
        route(
            element("/port"),
            away(Redirect {
                status: 307,
                scheme: Some("https"),
                port: Some(8443),
                ..Redirect::default()
            }),
        ),
        route(
            element("/http"),
            away(Redirect {
                status: 308,
                scheme: Some("http"),
                hostname: Some("b.example.com".into()),
                ..Redirect::default()
            }),
        ),
        route(
            element("/whole"),
            moved(PathRewrite::ReplaceFullPath("/new%20path".into())),
        ),
        route(
            element("/cut"),
            moved(PathRewrite::ReplacePrefix("/".into())),
        ),
        route(
            element("/named"),
            moved(PathRewrite::ReplacePrefix("/100%".into())),
        ),
        route(
            element("/literal"),
            moved(PathRewrite::ReplaceFullPath(r"/\0%PROTOCOL%".into())),
        ),
    ];
    let proxy = Proxy::start(&envoy, World::new().http("*", routes).resources()).await;
    let cases = [
        (
            HOST,
            "/secure/x?y=z",
            301,
            "https://a.example.com/secure/x?y=z",
        ),
        (
            "a.example.com:80",
            "/secure",
            301,
            "https://a.example.com/secure",
        ),
        (
            "a.example.com:8080",
            "/secure",
            301,
            "https://a.example.com:8080/secure",
        ),
        (
            HOST,
            "/see-other/x",
            303,
            "http://b.example.com/see-other/x",
        ),
        (HOST, "/port", 307, "https://a.example.com:8443/port"),
        (
            "a.example.com:8080",
            "/port",
            307,
            "https://a.example.com:8443/port",
        ),
        (HOST, "/http", 308, "http://b.example.com/http"),
        (
            HOST,
            "/whole/x?y=z",
            302,
            "http://a.example.com/new%20path?y=z",
        ),
        (HOST, "/cut", 302, "http://a.example.com/"),
        (HOST, "/cut/x", 302, "http://a.example.com/x"),
        (HOST, "/named/x", 302, "http://a.example.com/100%/x"),
        (HOST, "/literal", 302, r"http://a.example.com/\0%PROTOCOL%"),
    ];
    for (host, path, status, location) in cases {
        let answer = plain(proxy.http, &request("GET", host, path, &[])).await;
        assert_eq!(answer.status, status, "{host}{path}");
        assert_eq!(answer.header("location"), Some(location), "{host}{path}");
    }
    proxy.assert_content();
}
