//! Certificates of clients, on a real Envoy: who is let in, and over connections that were open before.

use std::net::SocketAddr;
use std::sync::Arc;

use isobath::envoy::secret;
use isobath::model::{ClientCertificates, ClientVerification};
use isobath::xds::ResourceType;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::authority::{Authority, Leaf, bundle};
use crate::backend;
use crate::client::{Identity, config, connect, exchange, request, tls_as};
use crate::eventually::eventually;
use crate::fixture::World;
use crate::proxy::{Proxy, envoy};

fn asked(
    is_required: bool,
    verification: Option<ClientVerification>,
) -> Option<ClientCertificates> {
    Some(ClientCertificates {
        is_required,
        verification,
        forwarded: None,
    })
}

fn by(authorities: &str) -> Option<ClientVerification> {
    Some(ClientVerification {
        authorities: authorities.into(),
        max_depth: None,
        only_leaf_revocations: false,
        accepts_untrusted: false,
    })
}

/// The status of one request over a connection of its own, 0 where there is no connection or no answer.
async fn ask(proxy: &Proxy, host: &str, identity: Option<Identity>) -> u16 {
    ask_at(proxy.https, host, identity).await
}

/// The same of a listener.
pub async fn ask_at(address: SocketAddr, host: &str, identity: Option<Identity>) -> u16 {
    let Ok(mut stream) = tls_as(address, Some(host), "http/1.1", identity).await else {
        return 0;
    };
    // In TLS 1.3 a client is refused after its handshake.
    keep_asking(&mut stream, host).await.unwrap_or(0)
}

/// One request over a connection that stays; the head of the answer only, which has no body or a short one.
async fn keep_asking(stream: &mut TlsStream<TcpStream>, host: &str) -> Option<u16> {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    // TLS keeps what the socket does not take at once, and reading does not send it.
    stream.flush().await.ok()?;
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1)?;
            let length: usize = length.lines().next()?.parse().ok()?;
            if body.len() >= length {
                return head.get(9..12)?.parse().ok();
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Whether it is what it should be, for who waits for that.
fn is<T: PartialEq + std::fmt::Debug>(expected: T, found: T) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{found:?} and not {expected:?}")),
    }
}

struct Clients {
    ours: Leaf,
    theirs: Leaf,
    revoked: Leaf,
    below: Leaf,
}

/// What a host asks for; what it answers to a client without a certificate, with ours, with one of another authority, with one
/// that is revoked, and with one below an intermediate authority.
type Row = (&'static str, Option<ClientCertificates>, [u16; 5]);

fn rows() -> Vec<Row> {
    let with = |change: fn(&mut ClientVerification)| {
        let mut verification = by("ours");
        verification.iter_mut().for_each(change);
        verification
    };
    let untrusted = with(|it| it.accepts_untrusted = true);
    let deep = with(|it| it.max_depth = Some(0));
    let revoking = by("revoking").map(|it| ClientVerification {
        only_leaf_revocations: true,
        ..it
    });
    vec![
        ("none.example.com", None, [200, 200, 200, 200, 200]),
        (
            "required.example.com",
            asked(true, by("ours")),
            [0, 200, 0, 200, 200],
        ),
        (
            "optional.example.com",
            asked(false, by("ours")),
            [200, 200, 0, 200, 200],
        ),
        (
            "any.example.com",
            asked(true, None),
            [421, 200, 200, 200, 200],
        ),
        (
            "anyone.example.com",
            asked(false, None),
            [200, 200, 200, 200, 200],
        ),
        (
            "untrusted.example.com",
            asked(true, untrusted.clone()),
            [0, 200, 200, 200, 200],
        ),
        (
            "untrusted-optional.example.com",
            asked(false, untrusted),
            [200, 200, 200, 200, 200],
        ),
        (
            "theirs.example.com",
            asked(true, by("theirs")),
            [0, 0, 200, 0, 0],
        ),
        (
            "both.example.com",
            asked(true, by("both")),
            [0, 200, 200, 200, 200],
        ),
        ("depth.example.com", asked(true, deep), [0, 200, 0, 200, 0]),
        (
            "revoked.example.com",
            asked(true, by("revoking")),
            [0, 200, 0, 0, 0],
        ),
        ("leaf.example.com", asked(true, revoking), [0, 200, 0, 0, 0]),
    ]
}

/// A certificate of an authority that `root` vouches for, with that authority's own.
fn below(root: &Authority) -> Leaf {
    let intermediate = root.intermediate("below");
    let leaf = intermediate.leaf(4, &["client"]);
    Leaf {
        chain: format!("{}{}", leaf.chain, intermediate.pem()),
        ..leaf
    }
}

#[tokio::test]
async fn clients_are_who_they_say() {
    let Some(envoy) = envoy() else { return };
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let clients = Clients {
        ours: ours.leaf(1, &["client"]),
        theirs: theirs.leaf(2, &["client"]),
        revoked: ours.leaf(3, &["client"]),
        below: below(&ours),
    };
    let world = World::new()
        .cluster("a", &[backend::start("a").await])
        .bundle(&bundle("ours", &[&ours], ""))
        .bundle(&bundle("theirs", &[&theirs], ""))
        .bundle(&bundle("both", &[&ours, &theirs], ""))
        .bundle(&bundle("revoking", &[&ours], &ours.revokes(&[3])));
    let world = rows().into_iter().fold(world, |world, (host, asked, _)| {
        world.https_for(&format!("of-{host}"), &[(host, "a")], asked)
    });
    let proxy = Proxy::start(&envoy, world.resources()).await;
    for (host, _, expected) in rows() {
        let shown = [
            None,
            Some(&clients.ours),
            Some(&clients.theirs),
            Some(&clients.revoked),
            Some(&clients.below),
        ];
        let mut found = Vec::new();
        for leaf in shown {
            found.push(ask(&proxy, host, leaf.map(Leaf::parts)).await);
        }
        assert_eq!(found, expected, "{host}");
    }
    // Who was let in for one host is not let in for another.
    let identity = || Some(clients.theirs.parts());
    let stream = tls_as(
        proxy.https,
        Some("theirs.example.com"),
        "http/1.1",
        identity(),
    )
    .await;
    let answer = exchange(
        stream.unwrap(),
        &request("GET", "required.example.com", "/", &[]),
    )
    .await;
    assert_eq!(answer.status, 421);
    let stream = tls_as(proxy.https, Some("none.example.com"), "http/1.1", None).await;
    let answer = exchange(
        stream.unwrap(),
        &request("GET", "required.example.com", "/", &[]),
    )
    .await;
    assert_eq!(answer.status, 421);
    proxy.assert_content();
}

/// A client that comes again, with the session of before if it is given one, is let in again.
#[tokio::test]
async fn who_comes_again_is_let_in() {
    let Some(envoy) = envoy() else { return };
    let ours = Authority::new("ours");
    let client = ours.leaf(1, &["client"]);
    let rows = [
        ("validated.example.com", asked(true, by("ours"))),
        ("presented.example.com", asked(true, None)),
        ("optional.example.com", asked(false, by("ours"))),
    ];
    let world = World::new()
        .cluster("a", &[backend::start("a").await])
        .bundle(&bundle("ours", &[&ours], ""));
    let world = rows.iter().fold(world, |world, (host, asked)| {
        world.https_for(&format!("of-{host}"), &[(host, "a")], asked.clone())
    });
    let proxy = Proxy::start(&envoy, world.resources()).await;
    for (host, _) in rows {
        let config = Arc::new(config(Some(host), "http/1.1", Some(client.parts())));
        for visit in 0..4 {
            let stream = connect(proxy.https, Some(host), config.clone()).await;
            let status = keep_asking(&mut stream.unwrap(), host).await;
            assert_eq!(status, Some(200), "{host}, visit {visit}");
        }
    }
}

/// A host that begins to ask for certificates is closed to connections that were opened before, and open to those that have shown
/// one.
#[tokio::test]
async fn a_host_that_begins_to_ask_is_closed_on_open_connections() {
    const HOST: &str = "a.example.com";
    let Some(envoy) = envoy() else { return };
    let ours = Authority::new("ours");
    let client = ours.leaf(1, &["client"]);
    let stranger = Authority::new("theirs").leaf(2, &["client"]);
    let back = backend::start("a").await;
    let world = |asked| {
        World::new()
            .cluster("a", &[back])
            .bundle(&bundle("ours", &[&ours], ""))
            .https("other", &[("b.example.com", "a")])
            .https_for("server", &[(HOST, "a")], asked)
    };
    for (asks, expected) in [
        (asked(true, by("ours")), 421),
        (asked(true, None), 421),
        (asked(false, by("ours")), 200),
    ] {
        let before = world(None).resources();
        let proxy = Proxy::start(&envoy, before).await;
        let open = || tls_as(proxy.https, Some(HOST), "http/1.1", Some(client.parts()));
        let mut stream = open().await.unwrap();
        let other = tls_as(proxy.https, Some("b.example.com"), "http/1.1", None).await;
        let mut other = other.unwrap();
        assert_eq!(keep_asking(&mut stream, HOST).await, Some(200));
        let after = world(asks.clone()).resources();
        let statistic = "listener_manager.listener_in_place_updated";
        proxy.update(|all| *all = after, statistic).await;
        eventually("the open connection", async || {
            is(Some(expected), keep_asking(&mut stream, HOST).await)
        })
        .await;
        // Another host's connections notice nothing, and who shows one is let in.
        assert_eq!(keep_asking(&mut other, "b.example.com").await, Some(200));
        // Workers take the chain some time after the table: until then a new connection has shown nothing either.
        let shows = |leaf: &Leaf| ask(&proxy, HOST, Some(leaf.parts()));
        eventually("who shows one", async || is(200, shows(&client).await)).await;
        let refused = if asks.as_ref().is_some_and(|it| it.verification.is_some()) {
            0
        } else {
            200
        };
        eventually("who shows another", async || {
            is(refused, shows(&stranger).await)
        })
        .await;
        proxy.assert_content();
    }
}

/// Another bundle is another secret, and no other listener.
#[tokio::test]
async fn authorities_change_under_a_listener() {
    const HOST: &str = "a.example.com";
    let Some(envoy) = envoy() else { return };
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let clients = [ours.leaf(1, &["client"]), theirs.leaf(2, &["client"])];
    let world = World::new()
        .cluster("a", &[backend::start("a").await])
        .bundle(&bundle("ca", &[&ours], ""))
        .https_for("server", &[(HOST, "a")], asked(true, by("ca")));
    let proxy = Proxy::start(&envoy, world.resources()).await;
    let modified = proxy.statistic("listener_manager.listener_modified").await;
    let answers = async || {
        let [first, second] = &clients;
        let first = ask(&proxy, HOST, Some(first.parts())).await;
        [first, ask(&proxy, HOST, Some(second.parts())).await]
    };
    assert_eq!(answers().await, [200, 0]);
    for (authority, revoked, expected) in [
        (&theirs, vec![], [0, 200]),
        (&theirs, vec![2], [0, 0]),
        (&ours, vec![2], [200, 0]),
    ] {
        let revocations = if revoked.is_empty() {
            String::new()
        } else {
            authority.revokes(&revoked)
        };
        let bytes = secret::trust_bundle(&bundle("ca", &[authority], &revocations)).bytes();
        let key = (ResourceType::Secret, "ca".to_owned());
        let statistic = "listener.https.server_ssl_socket_factory.ssl_context_update_by_sds";
        proxy
            .update(|all| drop(all.insert(key, bytes)), statistic)
            .await;
        eventually("who is let in", async || is(expected, answers().await)).await;
    }
    assert_eq!(
        proxy.statistic("listener_manager.listener_modified").await,
        modified
    );
    proxy.assert_content();
}
