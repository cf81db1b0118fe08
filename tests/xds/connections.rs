//! Connections on which nothing is asked: each ends by itself, and any number of them shuts nobody out.

use std::time::Duration;

use isobath::xds::{Address, ResourceType};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::server::{Delta, Server, names, snapshot};

/// As many as the server has at a time, and some more.
const MANY: usize = 2048 + 50;

fn socket(server: &Server) -> std::path::PathBuf {
    match server.address.clone() {
        Address::Unix(path) => path,
        Address::Tcp { .. } => unreachable!(),
    }
}

/// Nobody who is silent stays, whatever HTTP/2 makes of it. Time is paused: it passes where everybody waits.
#[tokio::test(start_paused = true)]
async fn who_never_says_a_word_is_let_go() {
    let server = Server::start(&[]).await;
    server.publish(&snapshot(&[(ResourceType::Cluster, "a", "1")]));
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for said in [&preface[..0], &preface[..1], &preface[..23]] {
        let mut peer = UnixStream::connect(socket(&server)).await.unwrap();
        let start = Instant::now();
        peer.write_all(said).await.unwrap();
        let mut received = Vec::new();
        // It may be reset as well as closed.
        let _ = peer.read_to_end(&mut received).await;
        let after = start.elapsed();
        let (least, most) = (Duration::from_secs(60), Duration::from_secs(70));
        assert!((least..most).contains(&after), "{after:?}");
    }
    let rejected = "isobath_xds_rejected_connections_total 3";
    assert!(server.metrics().contains(rejected), "{}", server.metrics());
    server.stop().await;
}

/// Both ends of each connection are in this process.
fn allow_many_files() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let wanted = 10_000.min(hard);
    assert!(wanted > 5000, "{hard} open files are too few for this test");
    setrlimit(Resource::RLIMIT_NOFILE, wanted.max(soft), hard).unwrap();
}

#[tokio::test]
async fn who_never_says_a_word_shuts_nobody_out() {
    allow_many_files();
    let server = Server::start(&[]).await;
    server.publish(&snapshot(&[(ResourceType::Cluster, "a", "1")]));
    let mut first = Delta::open(server.client().await).await;
    first.subscribe(ResourceType::Cluster, &[]).await;
    let response = first.next().await;
    first.answer(&response, None).await;

    let mut silent = Vec::new();
    for _ in 0..MANY {
        silent.push(UnixStream::connect(socket(&server)).await.unwrap());
        // The server takes it: the kernel holds only some that wait.
        tokio::task::yield_now().await;
    }
    let mut late = Delta::open(server.client().await).await;
    late.subscribe(ResourceType::Cluster, &[]).await;
    assert_eq!(names(&late.next().await), ["a"]);
    // Who has asked stays.
    server.publish(&snapshot(&[(ResourceType::Cluster, "a", "2")]));
    assert_eq!(names(&first.next().await), ["a"]);
    let text = server.metrics();
    let of_number = text.lines().find_map(|line| {
        line.strip_prefix("isobath_xds_rejected_connections_total ")?
            .parse()
            .ok()
    });
    // Those beyond the bound: two of it are of who asked.
    assert_eq!(of_number, Some(MANY + 2 - 2048));
    drop(silent);
    server.stop().await;
}

/// Nor does who asks, whether it answers or not: a newcomer is let in, and the one that answers what it is sent stays before
/// those that do not.
#[tokio::test]
async fn who_asks_shuts_nobody_out() {
    allow_many_files();
    let server = Server::start(&[]).await;
    server.publish(&snapshot(&[(ResourceType::Cluster, "a", "1")]));
    let mut first = Delta::open(server.client().await).await;
    first.subscribe(ResourceType::Cluster, &[]).await;
    let response = first.next().await;
    first.answer(&response, None).await;

    let mut mute = Vec::new();
    for _ in 0..MANY {
        let mut one = Delta::open(server.client().await).await;
        one.subscribe(ResourceType::Cluster, &[]).await;
        assert_eq!(names(&one.next().await), ["a"]);
        mute.push(one);
    }
    let mut late = Delta::open(server.client().await).await;
    late.subscribe(ResourceType::Cluster, &[]).await;
    let response = late.next().await;
    assert_eq!(names(&response), ["a"]);
    late.answer(&response, None).await;
    server.publish(&snapshot(&[(ResourceType::Cluster, "a", "2")]));
    assert_eq!(names(&first.next().await), ["a"]);
    assert_eq!(names(&late.next().await), ["a"]);
    drop(mute);
    server.stop().await;
}
