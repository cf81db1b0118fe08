//! Floods over HTTP/2: many frames that cost their sender little. Envoy ends the connection or holds what it bounds, and
//! whoever else is being served does not notice.

use std::time::Duration;

use super::frames::{self, END_STREAM, Reader, field, frame, headers, request};
use super::table;
use crate::support::load::Load;

/// One connection's flood: what it begins with, the unit that is repeated, how often, whether its sender reads, and
/// what becomes of it. `connection`: Envoy ends it. `open`: it is served to the end of the flood; the number is of
/// streams that Envoy refused.
type Flood = (
    &'static str,
    fn() -> Vec<u8>,
    fn(u32) -> Vec<u8>,
    u32,
    bool,
    &'static str,
);

const NOTHING: fn() -> Vec<u8> = Vec::new;
const MANY: u32 = 20_000;

const FLOODS: &[Flood] = &[
    // CVE-2023-44487.
    (
        "rapid reset",
        NOTHING,
        rapid_reset,
        MANY,
        true,
        "connection",
    ),
    (
        "rapid reset, unread",
        NOTHING,
        rapid_reset,
        MANY,
        false,
        "connection",
    ),
    // CVE-2024-27983 and its siblings.
    (
        "CONTINUATION",
        unfinished,
        continuation,
        MANY,
        true,
        "connection",
    ),
    (
        "empty CONTINUATION",
        unfinished,
        empty_continuation,
        MANY,
        true,
        "connection",
    ),
    // CVE-2019-9511 to 9518.
    (
        "SETTINGS, unread",
        NOTHING,
        settings,
        MANY,
        false,
        "connection",
    ),
    ("PING, unread", NOTHING, ping, MANY, false, "connection"),
    ("PRIORITY", NOTHING, priority, MANY, true, "connection"),
    (
        "WINDOW_UPDATE",
        NOTHING,
        window_update,
        MANY,
        true,
        "connection",
    ),
    ("empty DATA", upload, empty_data, MANY, true, "connection"),
    (
        "RST_STREAM of one stream",
        upload,
        reset_again,
        MANY,
        true,
        "connection",
    ),
    // Each costs its stream; so many cost the connection.
    (
        "malformed requests",
        NOTHING,
        malformed,
        MANY,
        true,
        "connection",
    ),
    (
        "malformed requests, unread",
        NOTHING,
        malformed,
        MANY,
        false,
        "connection",
    ),
    (
        "streams",
        NOTHING,
        open_stream,
        300,
        true,
        "open, 200 refused",
    ),
    (
        "streams that take nothing",
        no_window,
        ask,
        300,
        true,
        "open, 200 refused",
    ),
    (
        "frames that nobody knows",
        NOTHING,
        unknown,
        MANY,
        true,
        "open",
    ),
];

fn rapid_reset(number: u32) -> Vec<u8> {
    const CANCEL: [u8; 4] = [0, 0, 0, 8];
    let stream = 2 * number + 1;
    let reset = frame(frames::RST_STREAM, 0, stream, &CANCEL);
    [ask(number), reset].concat()
}

fn ask(number: u32) -> Vec<u8> {
    headers(2 * number + 1, true, &request("GET", "web.test", "/"))
}

fn open_stream(number: u32) -> Vec<u8> {
    headers(2 * number + 1, false, &request("POST", "web.test", "/"))
}

fn malformed(number: u32) -> Vec<u8> {
    let block = [request("GET", "web.test", "/"), field(b"X-Upper", b"a")];
    headers(2 * number + 1, true, &block.concat())
}

/// HEADERS that CONTINUATION has to follow.
fn unfinished() -> Vec<u8> {
    let block = request("GET", "web.test", "/");
    frame(frames::HEADERS, END_STREAM, 1, &block)
}

fn continuation(number: u32) -> Vec<u8> {
    let block = field(format!("x-{number}").as_bytes(), &[b'a'; 100]);
    frame(frames::CONTINUATION, 0, 1, &block)
}

fn empty_continuation(_: u32) -> Vec<u8> {
    frame(frames::CONTINUATION, 0, 1, b"")
}

fn settings(_: u32) -> Vec<u8> {
    frame(frames::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])
}

fn ping(_: u32) -> Vec<u8> {
    frame(frames::PING, 0, 0, b"12345678")
}

fn priority(_: u32) -> Vec<u8> {
    frame(frames::PRIORITY, 0, 1, &[0, 0, 0, 0, 16])
}

fn window_update(_: u32) -> Vec<u8> {
    frame(frames::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])
}

fn upload() -> Vec<u8> {
    open_stream(0)
}

fn empty_data(_: u32) -> Vec<u8> {
    frame(frames::DATA, 0, 1, b"")
}

fn reset_again(_: u32) -> Vec<u8> {
    frame(frames::RST_STREAM, 0, 1, &[0, 0, 0, 8])
}

/// From now on no stream may send a byte of a body.
fn no_window() -> Vec<u8> {
    frame(frames::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])
}

fn unknown(_: u32) -> Vec<u8> {
    frame(0x77, 0, 0, b"whatever")
}

/// What became of it.
async fn outcome(address: std::net::SocketAddr, flood: &Flood) -> String {
    let (_, first, unit, count, reads, _) = flood;
    let mut sent = first();
    sent.extend((0..*count).flat_map(unit));
    // Its acknowledgement says that all before it was read.
    sent.extend(frame(frames::PING, 0, 0, LAST));
    let (mut reader, mut writer) = frames::open(address).await;
    let mut refused = 0;
    let is_open = if *reads {
        let read = read_to_the_last(&mut reader, &mut refused);
        tokio::join!(read, writer.send(&sent)).0
    } else {
        writer.send(&sent).await;
        read_to_the_last(&mut reader, &mut refused).await
    };
    if !is_open {
        return "connection".to_owned();
    }
    // An acknowledgement overtakes other frames that are due; this one does not overtake those of the first.
    writer.send(&frame(frames::PING, 0, 0, LAST)).await;
    read_to_the_last(&mut reader, &mut refused).await;
    match refused {
        0 => "open".to_owned(),
        _ => format!("open, {refused} refused"),
    }
}

const LAST: &[u8; 8] = b"the last";

/// Whether the connection is there until [`LAST`] comes back; counts the streams that were refused.
async fn read_to_the_last(reader: &mut Reader, refused: &mut u32) -> bool {
    const REFUSED: [u8; 4] = [0, 0, 0, 7];
    while let Some(frame) = reader.next().await {
        match frame.kind {
            frames::RST_STREAM if frame.payload == REFUSED => *refused += 1,
            frames::PING if frame.payload == LAST => return true,
            frames::GOAWAY => return false,
            _ => {}
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_notices() {
    let (stand, _backends, _) = table::stand().await;
    let address = stand.isobath.http();
    let pause = Duration::from_millis(5);
    let load = Load::paced(pause, stand.http_traffic("other.test")).await;
    let before = allocated(&stand).await;
    let mut wrong = Vec::new();
    for floods in FLOODS.chunks(5) {
        let outcomes = floods.iter().map(|flood| outcome(address, flood));
        let outcomes = futures::future::join_all(outcomes).await;
        for ((name, .., want), got) in floods.iter().zip(outcomes) {
            if got != *want {
                wrong.push(format!("{name}: want {want}, got {got}"));
            }
        }
        load.more(10).await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let report = load.stop_without_failure().await;
    assert_eq!(report.closed, 0);
    let after = allocated(&stand).await;
    assert!(after < before + (32 << 20), "{before} to {after} bytes");
}

/// Bytes that Envoy has in use.
async fn allocated(stand: &crate::support::stand::Stand) -> u64 {
    let page = stand.envoy.get("/memory").await.unwrap();
    let page: serde_json::Value = serde_json::from_str(&page).unwrap();
    page["allocated"].as_str().unwrap().parse().unwrap()
}
