//! The merged matcher of server names, on a real Envoy.

use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use isobath::xds::ResourceType;

use crate::backend;
use crate::client::{certificate_names, exchange, request, tls};
use crate::fixture::World;
use crate::proxy::{Proxy, envoy};

async fn world() -> World {
    let a = backend::start("a").await;
    let b = backend::start("b").await;
    World::new()
        .cluster("a", &[a])
        .cluster("b", &[b])
        .https(
            "server-a",
            &[("a.example.com", "a"), ("second.example.com", "a")],
        )
        .https("server-b", &[("b.example.com", "b")])
        .https("wild", &[("*.example.com", "b")])
        .https("wild-deep", &[("*.deep.example.com", "a")])
        .misdirected("wild", "a.example.com")
        .server_name("gone.example.com", "no-such-chain")
}

/// The certificate that `sni` is shown, and the status and back end for `host` on that connection.
async fn ask(proxy: &Proxy, sni: Option<&str>, host: &str) -> String {
    match tls(proxy.https, sni, "http/1.1").await {
        Err(_) => "refused".to_owned(),
        Ok(stream) => {
            let certificate = certificate_names(&stream)[0].clone();
            let answer = exchange(stream, &request("GET", host, "/", &[])).await;
            let backend = answer
                .echo()
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned();
            format!("{certificate} {} {backend}", answer.status)
                .trim_end()
                .to_owned()
        }
    }
}

/// Asks until the answer is this: workers take a listener some time after Envoy has counted it.
async fn ask_until(proxy: &Proxy, sni: &str, expected: &str) {
    for _ in 0..3000 {
        if ask(proxy, Some(sni), sni).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{sni} never became {expected}");
}

#[tokio::test]
async fn chains_are_chosen_by_name() {
    let Some(envoy) = envoy() else { return };
    let proxy = Proxy::start(&envoy, world().await.resources()).await;
    let cases = [
        // Exact names, in any case, with every host of their certificate and no other.
        (
            Some("a.example.com"),
            "a.example.com",
            "a.example.com 200 a",
        ),
        (
            Some("A.Example.COM"),
            "A.Example.COM",
            "a.example.com 200 a",
        ),
        (
            Some("a.example.com"),
            "a.example.com:8443",
            "a.example.com 200 a",
        ),
        (
            Some("a.example.com"),
            "a.example.com.",
            "a.example.com 200 a",
        ),
        (
            Some("a.example.com"),
            "second.example.com",
            "a.example.com 200 a",
        ),
        (Some("a.example.com"), "b.example.com", "a.example.com 421"),
        (Some("a.example.com"), "x.example.com", "a.example.com 421"),
        (Some("a.example.com"), "unknown.test", "a.example.com 421"),
        (
            Some("b.example.com"),
            "b.example.com",
            "b.example.com 200 b",
        ),
        // Wildcards: an exact name before them, the longest first, one label.
        (
            Some("x.example.com"),
            "x.example.com",
            "*.example.com 200 b",
        ),
        (
            Some("X.EXAMPLE.com"),
            "X.EXAMPLE.com",
            "*.example.com 200 b",
        ),
        (
            Some("x.example.com"),
            "x.example.com:443",
            "*.example.com 200 b",
        ),
        (
            Some("x.example.com"),
            "x.example.com.",
            "*.example.com 200 b",
        ),
        (
            Some("x.example.com"),
            "x.example.com.:443",
            "*.example.com 200 b",
        ),
        (
            Some("x.example.com"),
            "other.example.com",
            "*.example.com 200 b",
        ),
        (Some("x.example.com"), "a.example.com", "*.example.com 421"),
        (
            Some("x.deep.example.com"),
            "x.deep.example.com",
            "*.deep.example.com 200 a",
        ),
        (
            Some("x.deep.example.com"),
            "x.example.com",
            "*.deep.example.com 421",
        ),
        (
            Some("www.a.example.com"),
            "www.a.example.com",
            "*.example.com 421",
        ),
        (Some("x.example.com"), "example.com", "*.example.com 421"),
        // Names that nobody serves, no name, and a name whose chain was left out.
        (Some("example.com"), "example.com", "refused"),
        (Some("unknown.test"), "unknown.test", "refused"),
        (Some("isobath.invalid"), "isobath.invalid", "refused"),
        (Some("gone.example.com"), "gone.example.com", "refused"),
        (None, "a.example.com", "refused"),
    ];
    for (sni, host, expected) in cases {
        assert_eq!(ask(&proxy, sni, host).await, expected, "{sni:?} {host}");
    }
    proxy.assert_content();
}

#[tokio::test]
async fn a_server_for_every_name_is_the_last_resort() {
    let Some(envoy) = envoy() else { return };
    let any = backend::start("any").await;
    // Without any wildcard, so that the last step hangs on an empty second one.
    let alone = World::new()
        .cluster("a", &[any])
        .https("server-a", &[("a.example.com", "a")])
        .https("any", &[("*", "a")]);
    let proxy = Proxy::start(&envoy, alone.resources()).await;
    for sni in [Some("whoever.test"), None] {
        assert_eq!(ask(&proxy, sni, "whoever.test").await, "* 200 any");
    }
    assert_eq!(
        ask(&proxy, Some("a.example.com"), "a.example.com").await,
        "a.example.com 200 any"
    );
    proxy.assert_content();

    let both = alone.https("wild", &[("*.example.com", "a")]);
    proxy
        .update(
            |resources| *resources = both.resources(),
            "listener_manager.listener_in_place_updated",
        )
        .await;
    ask_until(&proxy, "x.example.com", "*.example.com 200 any").await;
    assert_eq!(
        ask(&proxy, Some("whoever.test"), "whoever.test").await,
        "* 200 any"
    );
    assert_eq!(ask(&proxy, None, "whoever.test").await, "* 200 any");
    proxy.assert_content();
}

/// From no host to the first one and on to a second name of its certificate: the listener is changed in place, and
/// a connection that is open stays open.
#[tokio::test]
async fn hosts_come_in_place() {
    let Some(envoy) = envoy() else { return };
    let a = backend::start("a").await;
    let empty = World::new().cluster("a", &[a]);
    let proxy = Proxy::start(&envoy, empty.resources()).await;
    assert_eq!(
        ask(&proxy, Some("a.example.com"), "a.example.com").await,
        "refused"
    );

    let first = empty.https(
        "server-a",
        &[("a.example.com", "a"), ("second.example.com", "a")],
    );
    let mut one_name = first.resources();
    let with_new_name = first.server_name("new.example.com", "server-a").resources();
    let taken = "listener_manager.listener_in_place_updated";
    proxy
        .update(|resources| *resources = one_name.clone(), taken)
        .await;
    ask_until(&proxy, "a.example.com", "a.example.com 200 a").await;

    let stream = tls(proxy.https, Some("a.example.com"), "h2").await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let get = |host: &str| {
        http::Request::get(format!("https://{host}/"))
            .body(String::new())
            .unwrap()
    };
    assert_eq!(
        sender
            .send_request(get("a.example.com"))
            .await
            .unwrap()
            .status(),
        200
    );
    let listener = (ResourceType::Listener, "https".to_owned());
    one_name.insert(listener.clone(), with_new_name[&listener].clone());
    let scopes = with_new_name.into_iter();
    one_name.extend(scopes.filter(|((of, _), _)| *of == ResourceType::Scope));
    proxy.update(|resources| *resources = one_name, taken).await;
    // Coalesced, as browsers do: the second host on the first one's connection.
    assert_eq!(
        sender
            .send_request(get("second.example.com"))
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(
        sender
            .send_request(get("b.example.com"))
            .await
            .unwrap()
            .status(),
        421
    );
    assert!(!connection.is_finished(), "the connection was closed");
    assert_eq!(
        proxy
            .statistic("listener.https.downstream_cx_drain_close")
            .await,
        0
    );
    ask_until(&proxy, "new.example.com", "a.example.com 421").await;
    proxy.assert_content();
}
