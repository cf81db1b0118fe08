//! How much of an upload travels in one round trip.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::ensure;
use bytes::Bytes;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::check::apps;
use crate::support::client::{Connection, Version};
use crate::support::eventually::eventually;
use crate::support::manifest::site;
use crate::support::stand::Stand;

/// A path whose way back can be closed: a client far away has sent what it may before it hears anything.
#[derive(Clone, Default)]
struct Distance {
    is_far: Arc<AtomicBool>,
    near: Arc<Notify>,
    sent: Arc<AtomicUsize>,
}

impl Distance {
    async fn to(&self, target: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let this = self.clone();
        tokio::spawn(async move {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(target).await.unwrap();
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::spawn(this.clone().there(from_client, to_server));
            this.back(from_server, to_client).await;
        });
        address
    }

    async fn there(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            self.sent.fetch_add(read, Ordering::Relaxed);
            if to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    }

    async fn back(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            while self.is_far.load(Ordering::Relaxed) {
                self.near.notified().await;
            }
            if to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    }
}

/// With 64 KiB a round trip, 10 MB from 100 ms away took 16 s.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_over_http2_sends_two_mebibytes_a_round_trip() {
    const UPLOAD: usize = 10_000_000;
    const WINDOW: usize = 2 << 20;
    let (_backends, mut manifests) = apps(&["web"]).await;
    manifests.push(site("web", "web.test", "web:80"));
    let stand = Stand::start(&manifests).await;
    let distance = Distance::default();
    let address = distance.to(stand.isobath.http()).await;
    let mut connection = Connection::open(address, Version::H2, None).await.unwrap();
    // Both sides have told their settings.
    assert_eq!(connection.get("web.test", "/").await.unwrap().status, 200);

    distance.is_far.store(true, Ordering::Relaxed);
    distance.sent.store(0, Ordering::Relaxed);
    let upload = async {
        let body = Bytes::from(vec![0; UPLOAD]);
        let answer = connection.send_body(Method::POST, "web.test", "/", &[], body);
        answer.await.unwrap()
    };
    let round_trip = async {
        eventually("a window is on its way", async || {
            let sent = distance.sent.load(Ordering::Relaxed);
            ensure!(sent >= WINDOW, "{sent} bytes");
            Ok(())
        })
        .await;
        let sent = distance.sent.load(Ordering::Relaxed);
        assert!(sent < UPLOAD / 2, "a connection is bounded: {sent} bytes");
        distance.is_far.store(false, Ordering::Relaxed);
        distance.near.notify_one();
    };
    let (answer, ()) = tokio::join!(upload, round_trip);
    assert_eq!(answer.echo().body, UPLOAD);
}
