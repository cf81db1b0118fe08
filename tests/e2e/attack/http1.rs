//! HTTP/1.1 over clear text: where a request ends, what a header is, which host, which path.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::table::{self, LIMIT, Row, bytes, times};
use crate::support::backend::Echo;

const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nHost: web.test\r\nConnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn requests() {
    table::check(include_str!("http1.txt"), 120, answer).await;
}

/// Sends the row and the probe, and reads to the end.
async fn answer(address: SocketAddr, row: &Row) -> String {
    let mut sent = Vec::new();
    for (mark, text) in &row.lines {
        let mut line = bytes(text);
        if *mark != ">>" {
            line.extend(b"\r\n");
        }
        sent.extend(line.repeat(times(mark)));
    }
    sent.extend(PROBE);
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Envoy answers what it refuses before it has read the rest, and then closes.
    let _ = stream.write_all(&sent).await;
    let mut received = Vec::new();
    while let Ok(read) = timeout(LIMIT, stream.read_buf(&mut received)).await {
        if !matches!(read, Ok(1..)) {
            return words(&received);
        }
    }
    format!("{}, silence", words(&received))
}

/// The answers in these bytes, as the table says them.
fn words(mut bytes: &[u8]) -> String {
    let mut words = Vec::new();
    while !bytes.is_empty() {
        let Some((word, rest)) = word(bytes) else {
            let is_http2 = bytes.get(3).is_some_and(|kind| matches!(kind, 4 | 7));
            words.push(if is_http2 { "connection" } else { "no HTTP" }.to_owned());
            break;
        };
        words.push(word);
        bytes = rest;
    }
    match words.len() {
        0 => "nothing".to_owned(),
        _ => words.join(", "),
    }
}

/// The first answer, and what follows it.
fn word(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.get(2..5)?;
    let header = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        fields.find_map(|(field, value)| (field == name).then_some(value))
    };
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    let (body, rest) = bytes[end + 4..].split_at_checked(length)?;
    let word = match (status, header("location")) {
        ("200", _) => {
            let echo: Echo = serde_json::from_slice(body).ok()?;
            format!("200 {} {}", echo.backend, echo.path)
        }
        (_, Some(location)) => format!("{status} {location}"),
        _ => status.to_owned(),
    };
    Some((word, rest))
}
