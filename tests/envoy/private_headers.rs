//! Of which table a request is, is nobody's say: neither a client's nor an object's, on a real Envoy.

use std::time::Duration;

use isobath::model::{
    Authorization, Authorizer as Model, Filters, ForwardOptions, GrpcAuthorizer, HeaderChange,
    HeaderMode, InternalRedirects, Page, Route, UpstreamProtocol,
};

use crate::authorizer::Authorizer;
use crate::backend;
use crate::client::{exchange, request, tls};
use crate::error_pages::{page_of, pages};
use crate::filter_cases::changed;
use crate::fixture::{World, cluster_of, forward, modifier, virtual_host};
use crate::proxy::{Proxy, envoy, makes_all_filters};
use crate::scripted::Scripted;
use crate::sending::{HOST, to, with};

const VICTIM: &str = "victim.test";
const NAMES: [&str; 3] = ["x-isobath-scope", "x-isobath-server-name", "x-isobath-page"];

/// What the model refuses to say.
#[test]
fn no_object_sets_them() {
    for name in NAMES {
        for mode in [HeaderMode::Set, HeaderMode::Add, HeaderMode::SetIfAbsent] {
            assert!(HeaderChange::literal(name, VICTIM, mode).is_err(), "{name}");
        }
    }
}

fn asks() -> Filters {
    let grpc = GrpcAuthorizer {
        cluster: "authz/grpc/1".into(),
        sees: None,
    };
    let asks = Authorization::new(Model::Grpc(grpc), Duration::from_secs(20));
    Filters {
        authorization: Some(asks.unwrap()),
        ..Filters::default()
    }
}

fn routes() -> Vec<Route> {
    let follow = || {
        let policy = InternalRedirects::new(1, [302].into()).unwrap();
        let options = ForwardOptions {
            internal_redirects: Some(policy),
            ..ForwardOptions::default()
        };
        with(forward(&["back"]), options)
    };
    let filtered = |route: Route, filters| Route {
        filters: Some(Box::new(filters)),
        ..route
    };
    let page = pages(vec![(&[404], Page::Backend(page_of("page", true)))]);
    let said = NAMES.map(|name| (name, VICTIM));
    vec![
        filtered(to("/asked/echo", forward(&["echo"])), asks()),
        filtered(to("/asked/once", follow()), asks()),
        filtered(
            to("/asked/page", forward(&["echo"])),
            changed(page, |it| it.authorization = asks().authorization),
        ),
        // As no language has it.
        Route {
            request_headers: modifier(&said, &[]),
            ..to("/said/once", follow())
        },
        Route {
            request_headers: modifier(&[], &NAMES),
            ..to("/removed/once", follow())
        },
        to("/plain", forward(&["echo"])),
        to("/target", forward(&["echo"])),
    ]
}

#[tokio::test]
async fn nobody_chooses_a_table() {
    let Some(envoy) = envoy().filter(|envoy| makes_all_filters(envoy)) else {
        return;
    };
    let (listener, of_grpc) = Authorizer::tcp().await;
    let _authorizer = Authorizer::grpc(listener);
    let h2c = changed(cluster_of("authz/grpc/1"), |it| {
        it.settings.protocol = UpstreamProtocol::H2c;
    });
    let of_victim = vec![to("/", forward(&["victim"]))];
    let world = World::new()
        .cluster("back", &[Scripted::start("back").await.address])
        .cluster("echo", &[backend::start("echo").await])
        .cluster("page", &[backend::start("page").await])
        .cluster("victim", &[backend::start("victim").await])
        .cluster_with(&h2c, &[of_grpc])
        .https("own", &[(HOST, "echo")])
        .https("wild", &[("*.wild.test", "echo")])
        .https("victim", &[(VICTIM, "victim")])
        .https_host("own", &virtual_host(HOST, routes()))
        .https_host("wild", &virtual_host("*.wild.test", routes()))
        .https_host("victim", &virtual_host(VICTIM, of_victim));
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let mut wrong = Vec::new();
    for host in [HOST, "a.wild.test"] {
        for (path, to, status, body) in [
            ("/asked/echo", VICTIM, 200, "echo h1 GET /asked/echo"),
            ("/asked/once", host, 200, "echo h1 GET /target"),
            ("/asked/once", VICTIM, 421, ""),
            ("/asked/page", host, 404, "page h1 GET /"),
            ("/said/once", host, 200, "echo h1 GET /target"),
            ("/said/once", VICTIM, 421, ""),
            ("/removed/once", host, 200, "echo h1 GET /target"),
            ("/removed/once", VICTIM, 421, ""),
            ("/plain", VICTIM, 200, "echo h1 GET /plain"),
        ] {
            let key = format!("X-Key: {host} {path} {to}");
            let say = format!("X-Say: location: https://{to}/target");
            let headers = [
                "X-Ask: private",
                "X-Script: 302,200",
                "X-Isobath-Scope: victim.test",
                "X-Isobath-Server-Name: victim.test",
                "X-Isobath-Page: victim.test/0/0",
                &key,
                &say,
                if status == 404 {
                    "X-Echo-Status: 404"
                } else {
                    "X-None: 1"
                },
            ];
            let stream = tls(proxy.https, Some(host), "http/1.1").await.unwrap();
            let answer = exchange(stream, &request("GET", host, path, &headers)).await;
            let is_expected = answer.status == status && answer.echo() == body;
            if !is_expected || answer.body.contains("x-isobath-") {
                wrong.push(format!(
                    "{host} {path} {to}: {} {}",
                    answer.status, answer.body
                ));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    proxy.assert_content();
}
