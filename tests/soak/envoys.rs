//! Envoy is killed and started again. With a control plane it serves all of its configuration from the first
//! connection on; without one it serves nothing, and then all of it.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::net::TcpStream;

use crate::support::certificate::Authority;
use crate::support::client::{Tls, Version, get};
use crate::support::envoy::Envoy;
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::manifest::{Manifest, service, site};
use crate::support::stand::{self, Stand, apps};
use crate::{figures, rounds};

const HOSTS: usize = 40;

fn manifests(authority: &Authority, base: Vec<Manifest>) -> Vec<Manifest> {
    let mut all = base;
    for number in 0..HOSTS {
        let name = format!("h-{number}");
        let host = format!("{name}.test");
        let mut ingress = site(&name, &host, "web:80");
        if number.is_multiple_of(2) {
            ingress = ingress.tls(&[&host], &name);
            all.push(authority.leaf(&[&host]).secret(&name));
        }
        all.push(ingress);
    }
    // A Service without endpoints and one that is missing hold nobody up.
    all.push(service("empty"));
    all.push(site("empty", "empty.test", "empty:80"));
    all.push(site("nowhere", "nowhere.test", "nowhere:80"));
    all
}

/// The first connections that Envoy takes are answered by all of the configuration: whoever comes first finds no
/// 404, no 503 and no reset.
async fn first_answers_are_right(isobath: &Isobath, authority: &Authority) {
    let (http, https) = (isobath.http(), isobath.https());
    for address in [http, https] {
        eventually("Envoy listens", async || TcpStream::connect(address).await).await;
    }
    for number in (0..HOSTS).rev() {
        let host = format!("h-{number}.test");
        let tls = Tls {
            trust: authority.trust(),
            ..Tls::sni(&host)
        };
        let (address, tls) = match number % 2 {
            0 => (https, Some(&tls)),
            _ => (http, None),
        };
        let answer = get(address, Version::H1, tls, &host, "/").await;
        let answer = answer.unwrap_or_else(|error| panic!("{host}: {error:#}"));
        assert_eq!(answer.status, 200, "{host}");
    }
}

/// Whether Isobath runs when Envoy starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ControlPlane {
    Up,
    Down,
}

async fn check(control_plane: ControlPlane) {
    let rounds = rounds(3, 20);
    let authority = Authority::new();
    let (_backends, base) = apps(&["web"]).await;
    let mut stand = Stand::start(&manifests(&authority, base)).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..rounds {
        let Stand { mut isobath, envoy } = stand;
        if control_plane == ControlPlane::Down {
            isobath.kill().await;
        }
        envoy.kill().await;
        let mut start = Instant::now();
        let envoy = stand::envoy(&isobath, &isobath.xds(), &[]);
        if control_plane == ControlPlane::Down {
            serves_nothing(&isobath, &envoy).await;
            start = Instant::now();
            isobath.spawn();
        }
        stand = Stand { isobath, envoy };
        first_answers_are_right(&stand.isobath, &authority).await;
        slowest = slowest.max(start.elapsed());
        stand.envoy.live().await;
    }
    figures(
        "envoys",
        format!(
            "{rounds} kills of Envoy, control plane {control_plane:?}: all {HOSTS} hosts within {slowest:.1?} of its \
             start"
        ),
    );
    stand.isobath.process().assert_running();
}

/// Nothing is better than a part: who sends requests here is told so at once, and asks elsewhere.
async fn serves_nothing(isobath: &Isobath, envoy: &Envoy) {
    eventually("Envoy waits", async || {
        let state = envoy.get("/ready").await?;
        ensure!(state == "PRE_INITIALIZING\n", "{state}");
        Ok(())
    })
    .await;
    for address in [isobath.http(), isobath.https(), isobath.stats()] {
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_is_killed_beside_a_control_plane() {
    check(ControlPlane::Up).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_is_killed_without_a_control_plane() {
    check(ControlPlane::Down).await;
}
