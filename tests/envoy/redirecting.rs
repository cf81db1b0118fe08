//! Answers that no back end gives: redirects, those that are followed inside, and bodies; on a real Envoy.

use isobath::model::{
    CrossScheme, DirectResponse, Expression, ForwardOptions, InternalRedirects, PathRewrite,
    Redirect, RouteAction, Substitution,
};

use crate::backend;
use crate::client::{exchange, request, tls};
use crate::fixture::{World, forward, route, virtual_host};
use crate::proxy::{Proxy, envoy};
use crate::scripted::Scripted;

use crate::sending::{HOST, element, get, to, with};

#[tokio::test]
async fn redirects_in_every_variant() {
    let Some(envoy) = envoy() else { return };
    let away =
        |path: &str, redirect: Redirect| route(element(path), RouteAction::Redirect(redirect));
    let found = || Redirect {
        status: 302,
        ..Redirect::default()
    };
    let whole = |path: &str| Some(PathRewrite::ReplaceFullPath(path.into()));
    let within = |pattern: &str, to: &str| {
        let pattern = Expression::new(pattern).unwrap();
        Some(PathRewrite::ReplaceMatches(Box::new(
            Substitution::new(pattern, to).unwrap(),
        )))
    };
    let routes = vec![
        away(
            "/strip",
            Redirect {
                strip_query: true,
                ..found()
            },
        ),
        away(
            "/bare",
            Redirect {
                strip_query: true,
                path: whole("/there"),
                ..found()
            },
        ),
        away(
            "/query",
            Redirect {
                path: whole("/there?a=b"),
                ..found()
            },
        ),
        away(
            "/groups",
            Redirect {
                path: within("^/groups/([0-9]+)$", r"/g/\1"),
                ..found()
            },
        ),
        away(
            "/port",
            Redirect {
                scheme: Some("http"),
                hostname: Some("b.test".into()),
                port: Some(80),
                ..found()
            },
        ),
        away(
            "/tls",
            Redirect {
                scheme: Some("https"),
                hostname: Some("b.test".into()),
                port: Some(443),
                ..found()
            },
        ),
        away(
            "/301",
            Redirect {
                status: 301,
                hostname: Some("b.test".into()),
                ..found()
            },
        ),
        away(
            "/303",
            Redirect {
                status: 303,
                hostname: Some("b.test".into()),
                ..found()
            },
        ),
        away(
            "/307",
            Redirect {
                status: 307,
                hostname: Some("b.test".into()),
                ..found()
            },
        ),
        away(
            "/308",
            Redirect {
                status: 308,
                hostname: Some("b.test".into()),
                ..found()
            },
        ),
    ];
    let proxy = Proxy::start(&envoy, World::new().http(HOST, routes).resources()).await;
    for (path, status, location) in [
        ("/strip/x?a=b", 302, "http://a.example.com/strip/x"),
        ("/strip", 302, "http://a.example.com/strip"),
        ("/bare?a=b", 302, "http://a.example.com/there"),
        // A query of its own takes the place of the request's.
        ("/query?c=d", 302, "http://a.example.com/there?a=b"),
        ("/query", 302, "http://a.example.com/there?a=b"),
        ("/groups/12?a=b", 302, "http://a.example.com/g/12?a=b"),
        ("/groups/x", 302, "http://a.example.com/groups/x"),
        ("/port/x", 302, "http://b.test:80/port/x"),
        ("/tls/x", 302, "https://b.test:443/tls/x"),
        ("/301", 301, "http://b.test/301"),
        ("/303", 303, "http://b.test/303"),
        ("/307", 307, "http://b.test/307"),
        ("/308", 308, "http://b.test/308"),
    ] {
        let answer = get(&proxy, path, &[]).await;
        let found = (answer.status, answer.header("location"));
        assert_eq!(found, (status, Some(location)), "{path}");
    }
    proxy.assert_content();
}

#[tokio::test]
async fn redirects_are_followed_inside() {
    let Some(envoy) = envoy() else { return };
    let back = Scripted::start("back").await;
    let follow = |max, statuses: &[u16], cross_scheme, deny_repeated_route| {
        let statuses = statuses.iter().copied().collect();
        let mut policy = InternalRedirects::new(max, statuses).unwrap();
        policy.cross_scheme = cross_scheme;
        policy.deny_repeated_route = deny_repeated_route;
        let options = ForwardOptions {
            internal_redirects: Some(policy),
            ..ForwardOptions::default()
        };
        with(forward(&["back"]), options)
    };
    use CrossScheme::{Always, Never, SafeOnly};
    let routes = vec![
        to("/once", follow(1, &[302], Never, false)),
        to(
            "/thrice",
            follow(3, &[301, 302, 303, 307, 308], Never, false),
        ),
        to("/fresh", follow(3, &[302], Never, true)),
        to("/always", follow(1, &[302], Always, false)),
        to("/safe", follow(1, &[302], SafeOnly, false)),
        to("/plain", forward(&["back"])),
        to("/target", forward(&["back"])),
    ];
    let world = World::new()
        .cluster("back", &[back.address])
        .http(HOST, routes);
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let target = "http://a.example.com/target/x";
    let rows: [(&str, &str, String, &str); 12] = [
        ("/plain", "302,200", target.into(), "302"),
        ("/once", "302,200", target.into(), "back GET /target/x"),
        ("/once", "307,200", target.into(), "307"),
        (
            "/once",
            "302,302,200",
            "http://a.example.com/once/2".into(),
            "302",
        ),
        (
            "/thrice",
            "302,307,302,200",
            "http://a.example.com/thrice/2".into(),
            "back GET /thrice/2",
        ),
        (
            "/thrice",
            "302,302,302,302,200",
            "http://a.example.com/thrice/2".into(),
            "302",
        ),
        (
            "/fresh",
            "302,302,200",
            "http://a.example.com/fresh/2".into(),
            "302",
        ),
        ("/fresh", "302,200", target.into(), "back GET /target/x"),
        // Another scheme than the client's.
        (
            "/once",
            "302,200",
            "https://a.example.com/target/x".into(),
            "302",
        ),
        (
            "/always",
            "302,200",
            "https://a.example.com/target/x".into(),
            "back GET /target/x",
        ),
        (
            "/safe",
            "302,200",
            "https://a.example.com/target/x".into(),
            "302",
        ),
        // Nobody's host.
        ("/once", "302,200", "http://b.test/target".into(), "302"),
    ];
    let mut wrong = Vec::new();
    for (index, (path, script, location, expected)) in rows.iter().enumerate() {
        let headers = [
            format!("X-Key: {index}"),
            format!("X-Script: {script}"),
            format!("X-Say: location: {location}"),
        ];
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let answer = get(&proxy, path, &headers).await;
        let found = match answer.status {
            200 => answer.echo().to_owned(),
            status => status.to_string(),
        };
        if found != *expected {
            wrong.push(format!("{path} {script} {location}: {found}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    proxy.assert_content();
}

/// The same over TLS, by a name and under a wildcard: the request that follows is of the same table as the one before, and of no
/// other, whatever the answer says. Who is not followed sends nothing of which table it is.
#[tokio::test]
async fn redirects_are_followed_inside_tls() {
    let Some(envoy) = envoy() else { return };
    let back = Scripted::start("back").await;
    let echo = backend::start("echo").await;
    let follow = |cluster: &str| {
        let mut policy = InternalRedirects::new(2, [302].into()).unwrap();
        policy.cross_scheme = CrossScheme::Always;
        let options = ForwardOptions {
            internal_redirects: Some(policy),
            ..ForwardOptions::default()
        };
        with(forward(&[cluster]), options)
    };
    let routes = || {
        vec![
            to("/once", follow("back")),
            to("/target", forward(&["echo"])),
        ]
    };
    let of_other = vec![to("/target", forward(&["other"]))];
    let mut world = World::new()
        .cluster("back", &[back.address])
        .cluster("echo", &[echo])
        .cluster("other", &[backend::start("other").await])
        .https("exact", &[(HOST, "echo")])
        .https("wild", &[("*.wild.test", "echo")])
        .https("victim", &[("victim.test", "other")])
        .https_host("exact", &virtual_host(HOST, routes()))
        .https_host("wild", &virtual_host("*.wild.test", routes()))
        .https_host("victim", &virtual_host("victim.test", of_other.clone()));
    world = world.http(HOST, of_other);
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let rows = [
        (HOST, format!("https://{HOST}/target/x"), 200),
        (
            "a.wild.test",
            "https://a.wild.test/target/x".to_owned(),
            200,
        ),
        // Twice: what is followed is followed again.
        (HOST, format!("https://{HOST}/once/2"), 302),
        // As relative as a redirect can be.
        (HOST, "/target/x".to_owned(), 302),
        // Other tables' hosts, and the same in clear text.
        (HOST, "https://victim.test/target/x".to_owned(), 421),
        (HOST, "https://a.wild.test/target/x".to_owned(), 421),
        (
            "a.wild.test",
            "https://victim.test/target/x".to_owned(),
            421,
        ),
        (HOST, format!("http://{HOST}/target/x"), 200),
    ];
    let mut wrong = Vec::new();
    for (index, (host, location, expected)) in rows.iter().enumerate() {
        let headers = [
            format!("X-Key: {index}"),
            "X-Script: 302,302,302,200".to_owned(),
            format!("X-Say: location: {location}"),
            // What a client says of it is nothing.
            "X-Isobath-Server-Name: victim.test".to_owned(),
            "X-Isobath-Scope: victim.test".to_owned(),
        ];
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let stream = tls(proxy.https, Some(host), "http/1.1").await.unwrap();
        let answer = exchange(stream, &request("GET", host, "/once", &headers)).await;
        let is_own = answer.status != 200 || answer.echo() == "echo h1 GET /target/x";
        let is_told = answer.body.contains("x-isobath-");
        if answer.status != *expected || !is_own || is_told {
            wrong.push(format!(
                "{host} {location}: {} {}",
                answer.status, answer.body
            ));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    proxy.assert_content();
}

#[tokio::test]
async fn answers_have_their_bodies() {
    let Some(envoy) = envoy() else { return };
    let long = "x".repeat(DirectResponse::MAX_BODY);
    let answer = |path: &str, status, body: &str| {
        let answer = DirectResponse::new(status, body).unwrap();
        route(element(path), RouteAction::DirectResponse(answer))
    };
    let routes = vec![
        answer("/teapot", 418, "100% %REQ(host)% \u{e4}\n"),
        answer("/long", 200, &long),
        answer("/empty", 503, ""),
    ];
    let proxy = Proxy::start(&envoy, World::new().http(HOST, routes).resources()).await;
    for (path, status, body) in [
        ("/teapot", 418, "100% %REQ(host)% \u{e4}\n"),
        ("/long", 200, &*long),
        ("/empty", 503, ""),
    ] {
        let answer = get(&proxy, path, &[]).await;
        assert_eq!((answer.status, &*answer.body), (status, body), "{path}");
        let content_type = (!body.is_empty()).then_some("text/plain");
        assert_eq!(answer.header("content-type"), content_type, "{path}");
    }
    proxy.assert_content();
}
