//! Certificates that change under traffic.

use std::time::Duration;

use crate::check::{Transport, answer, apps};
use crate::support::certificate::{Authority, Leaf};
use crate::support::client::{Connection, Tls, Version};
use crate::support::eventually::eventually;
use crate::support::load::Load;
use crate::support::manifest::site;
use crate::support::stand::Stand;

/// A few times; `tests/soak` does it a thousand times.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_rotated() {
    let authority = Authority::new();
    let (_backends, mut base) = apps(&["web"]).await;
    base.push(site("web", "web.test", "web:80").tls(&["web.test"], "web"));
    let stand =
        Stand::start(&[&base[..], &[authority.leaf(&["web.test"]).secret("web")]].concat()).await;
    let tls = Tls {
        trust: authority.trust(),
        ..Tls::sni("web.test")
    };
    let before = stand.envoy.modifications().await;
    let load = Load::start(stand.https_traffic("web.test", &tls)).await;
    for round in 0..6 {
        // ECDSA and RSA in turn: the kind of key is no part of the chain.
        let leaf = match round % 2 {
            0 => authority.leaf(&["web.test"]),
            _ => authority.rsa_leaf(&["web.test"]),
        };
        stand.isobath.write(
            "manifests.yaml",
            &[&base[..], &[leaf.secret("web")]].concat(),
        );
        eventually("the new certificate is served", async || {
            let connection =
                Connection::open(stand.isobath.https(), Version::H2, Some(&tls)).await?;
            anyhow::ensure!(connection.certificate() == Some(&leaf.der), "the old one");
            Ok(())
        })
        .await;
        load.more(10).await;
    }
    let report = load.stop_without_failure().await;
    assert_eq!(report.closed, 0, "a rotation drains nothing");
    let after = stand.envoy.modifications().await;
    for name in [
        "listener_modified",
        "listener_added",
        "listener_in_place_updated",
    ] {
        let name = format!("listener_manager.{name}");
        assert_eq!(after[&name], before[&name], "{name}");
    }
}

/// A certificate that breaks is one that is missing: its hosts are no longer served over TLS, all others are.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_breaks_and_is_mended() {
    let authority = Authority::new();
    let (_backends, mut base) = apps(&["web", "good"]).await;
    base.push(site("web", "web.test", "web:80").tls(&["web.test"], "web"));
    base.push(site("good", "good.test", "good:80").tls(&["good.test"], "good"));
    base.push(authority.leaf(&["good.test"]).secret("good"));
    let whole = authority.leaf(&["web.test"]);
    let mut mixed = whole.clone();
    mixed.key = authority.leaf(&["web.test"]).key;
    let mut torn = whole.clone();
    torn.chain.truncate(200);
    let stand = Stand::start(&[&base[..], &[whole.secret("web")]].concat()).await;
    let load = Load::start(
        stand
            .https_traffic(
                "good.test",
                &Tls {
                    trust: authority.trust(),
                    ..Tls::sni("good.test")
                },
            )
            .into_iter()
            .chain(stand.http_traffic("web.test")),
    )
    .await;
    for broken in [mixed, torn] {
        stand.isobath.write(
            "manifests.yaml",
            &[&base[..], &[broken.secret("web")]].concat(),
        );
        eventually(
            "the broken certificate is withdrawn",
            async || match &*answer(&stand, Transport::Https1, "web.test", "/").await {
                "refused" => Ok(()),
                other => Err(other.to_owned()),
            },
        )
        .await;
        stand.isobath.write(
            "manifests.yaml",
            &[&base[..], &[whole.secret("web")]].concat(),
        );
        eventually("the mended certificate is served", async || match &*answer(
            &stand,
            Transport::Https1,
            "web.test",
            "/",
        )
        .await
        {
            "web" => Ok(()),
            other => Err(other.to_owned()),
        })
        .await;
    }
    let report = load.stop_without_failure().await;
    assert_eq!(report.closed, 0, "another host's chain is not touched");
}

/// A host more or less on a certificate in use: the connections of its other hosts stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_joins_a_certificate_and_leaves_it() {
    let authority = Authority::new();
    let (_backends, mut base) = apps(&["web"]).await;
    let leaf = authority.leaf(&["a.one.test", "b.one.test", "*.wild.test"]);
    base.push(leaf.secret("one"));
    base.push(site("a", "a.one.test", "web:80").tls(&[], "one"));
    base.push(site("wild", "*.wild.test", "web:80").tls(&[], "one"));
    let stand = Stand::start(&base).await;
    let tls = |name: &str| Tls {
        trust: authority.trust(),
        ..Tls::sni(name)
    };
    let targets = ["a.one.test", "x.wild.test"]
        .into_iter()
        .flat_map(|host| stand.https_traffic(host, &tls(host)));
    let load = Load::start(targets.collect::<Vec<_>>()).await;
    for _ in 0..3 {
        let joins = site("b", "b.one.test", "web:80").tls(&[], "one");
        stand.isobath.write("b.yaml", &[joins]);
        eventually("the new host is served", async || {
            let answer = stand.get_tls(Version::H2, "b.one.test", "/").await?;
            anyhow::ensure!(answer.backend() == "web", "{answer:?}");
            Ok(())
        })
        .await;
        stand.isobath.remove("b.yaml");
        eventually("it is gone", async || {
            match &*answer(&stand, Transport::Https2, "b.one.test", "/").await {
                "refused" => Ok(()),
                other => Err(other.to_owned()),
            }
        })
        .await;
    }
    let report = load.stop_without_failure().await;
    assert_eq!(report.closed, 0, "no connection is drained");
    let stats = stand.envoy.modifications().await;
    assert_eq!(
        stats["listener_manager.listener_in_place_updated"],
        stats["listener_manager.listener_modified"]
    );
}

/// A good Secret is replaced by a broken one while a request of its host is on the way: the request is answered, on a
/// connection that no new one would get.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_outlives_its_certificate() {
    let authority = Authority::new();
    let (backends, mut base) = apps(&["web"]).await;
    base.push(site("web", "web.test", "web:80").tls(&["web.test"], "web"));
    let whole = authority.leaf(&["web.test"]);
    let mut broken = whole.clone();
    broken.key = authority.leaf(&["web.test"]).key;
    let with = |leaf: &Leaf| [&base[..], &[leaf.secret("web")]].concat();
    let stand = Stand::start(&with(&whole)).await;
    for version in [Version::H1, Version::H2] {
        let tls = Tls::sni("web.test");
        let mut connection = Connection::open(stand.isobath.https(), version, Some(&tls))
            .await
            .unwrap();
        connection.get("web.test", "/").await.unwrap();
        backends[0].delay(Duration::from_secs(1));
        let before = backends[0].requests();
        let under_way = tokio::spawn(async move { connection.get("web.test", "/").await });
        eventually("it is with the back end", async || {
            let requests = backends[0].requests();
            anyhow::ensure!(requests > before, "{requests}");
            Ok(())
        })
        .await;
        stand.isobath.write("manifests.yaml", &with(&broken));
        let asked = async |wanted: &str| {
            eventually("the Secret has arrived", async || {
                match &*answer(&stand, Transport::Https1, "web.test", "/").await {
                    got if got == wanted => Ok(()),
                    other => Err(other.to_owned()),
                }
            })
            .await;
        };
        asked("refused").await;
        let outcome = under_way.await.unwrap().unwrap();
        assert_eq!(outcome.backend(), "web", "{version:?}");
        backends[0].delay(Duration::ZERO);
        stand.isobath.write("manifests.yaml", &with(&whole));
        asked("web").await;
    }
}
