//! A certificate is rotated under the load of new connections: no handshake fails, and no listener changes.

use anyhow::ensure;

use crate::support::certificate::Authority;
use crate::support::client::{Connection, Tls, Version};
use crate::support::eventually::eventually;
use crate::support::load::Load;
use crate::support::manifest::site;
use crate::support::stand::{Stand, apps};
use crate::{figures, rounds};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_rotated_under_new_connections() {
    let rounds = rounds(20, 1000);
    let authority = Authority::new();
    let (_backends, mut manifests) = apps(&["web"]).await;
    manifests.push(site("web", "web.test", "web:80").tls(&["web.test"], "web"));
    let mut stand = Stand::start(&manifests).await;
    let rotate = |round: usize| {
        // ECDSA and RSA in turn: the kind of key is no part of the chain.
        let leaf = if round.is_multiple_of(2) {
            authority.leaf(&["web.test"])
        } else {
            authority.rsa_leaf(&["web.test"])
        };
        stand.isobath.write("secret.yaml", &[leaf.secret("web")]);
        leaf
    };
    let tls = Tls {
        trust: authority.trust(),
        ..Tls::sni("web.test")
    };
    let serves = async |leaf: crate::support::certificate::Leaf| {
        eventually("the new certificate is served", async || {
            let address = stand.isobath.https();
            let connection = Connection::open(address, Version::H1, Some(&tls)).await?;
            ensure!(connection.certificate() == Some(&leaf.der), "the old one");
            Ok(())
        })
        .await;
    };
    serves(rotate(1)).await;
    // One kept connection of each version, and four workers that open a new one for each request.
    let mut targets = stand.https_traffic("web.test", &tls);
    for version in [Version::H1, Version::H2, Version::H2] {
        let mut new = targets[2].clone();
        new.version = version;
        targets.push(new);
    }
    let load = Load::start(targets).await;
    let listeners = "^listener_manager.listener_(added|modified|removed|in_place_updated)$";
    let before = stand.envoy.stats(listeners).await.unwrap();
    for round in 0..rounds {
        serves(rotate(round)).await;
    }
    let report = load.stop_without_failure().await;
    figures("rotations", format!("{rounds} rotations, {report}"));
    assert_eq!(report.closed, 0, "a rotation drains nothing");
    assert_eq!(stand.envoy.stats(listeners).await.unwrap(), before);
    stand.isobath.process().assert_running();
}
