//! HTTP/2: one malformed request costs its stream, and what breaks the connection ends it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::frames::{self, END_HEADERS, END_STREAM, PADDED, field, frame, headers, request};
use super::table::{self, Row, bytes, times};
use crate::support::backend::Echo;

#[tokio::test(flavor = "multi_thread")]
async fn frames() {
    table::check(include_str!("http2.txt"), 80, answer).await;
}

/// What the row is on the wire, and whether stream 3 has an answer.
fn attack(row: &Row) -> (Vec<u8>, bool) {
    let of = |wanted| {
        row.lines
            .iter()
            .filter(move |(mark, _)| mark.starts_with(wanted))
    };
    let fields: Vec<_> = of('>')
        .flat_map(|(mark, text)| std::iter::repeat_n(text, times(mark)))
        .map(|text| {
            let (name, value) = text.split_once(": ").unwrap();
            field(&bytes(name), &bytes(value))
        })
        .collect();
    let is_whole = of('>').any(|(_, text)| text.starts_with(':') && !text.starts_with(": "));
    let ends = of('*').next().is_none();
    let mut sent = Vec::new();
    if !fields.is_empty() {
        let mut block = match is_whole {
            true => Vec::new(),
            false => request("GET", "web.test", "/a"),
        };
        block.extend(fields.concat());
        sent.extend(headers(3, ends, &block));
    }
    for (_, text) in of('*') {
        sent.extend(raw_frame(text));
    }
    (sent, !fields.is_empty())
}

/// `TYPE FLAGS STREAM PAYLOAD`, or `RAW BYTES`.
fn raw_frame(text: &str) -> Vec<u8> {
    if let Some(text) = text.strip_prefix("RAW ") {
        return bytes(text);
    }
    let mut words = text.splitn(4, ' ');
    let mut word = || words.next().unwrap_or_default();
    let kind = match word() {
        "DATA" => frames::DATA,
        "HEADERS" => frames::HEADERS,
        "PRIORITY" => frames::PRIORITY,
        "RST_STREAM" => frames::RST_STREAM,
        "SETTINGS" => frames::SETTINGS,
        "PUSH_PROMISE" => frames::PUSH_PROMISE,
        "PING" => frames::PING,
        "GOAWAY" => frames::GOAWAY,
        "WINDOW_UPDATE" => frames::WINDOW_UPDATE,
        "CONTINUATION" => frames::CONTINUATION,
        other => u8::from_str_radix(other, 16).unwrap(),
    };
    let flags = match word() {
        "NONE" => 0,
        "END" => END_STREAM | END_HEADERS,
        "PART" => END_STREAM,
        "PADDED" => PADDED,
        other => panic!("{other}"),
    };
    let stream = word().parse().unwrap();
    frame(kind, flags, stream, &bytes(word()))
}

/// Sends the row between two good requests and reads until all are answered or the connection ends.
async fn answer(address: SocketAddr, row: &Row) -> String {
    let (attack, answered) = attack(row);
    let (mut reader, mut writer) = frames::open(address).await;
    let sent = [
        headers(1, false, &request("POST", "web.test", "/1")),
        attack,
        frame(frames::DATA, END_STREAM, 1, b"x"),
        headers(5, true, &request("GET", "web.test", "/5")),
    ];
    writer.send(&sent.concat()).await;
    let mut answers = BTreeMap::<u32, (String, Vec<u8>)>::new();
    let mut open: Vec<u32> = if answered { vec![1, 3, 5] } else { vec![1, 5] };
    while !open.is_empty() {
        let Some(frame) = reader.next().await else {
            return "connection".to_owned();
        };
        let answer = answers.entry(frame.stream).or_default();
        let mut ends = frame.flags & END_STREAM != 0;
        match frame.kind {
            frames::HEADERS => answer.0 = frame.status().unwrap().to_string(),
            frames::DATA => answer.1.extend(frame.payload),
            frames::RST_STREAM => {
                ends = true;
                // After an answer it says that the rest of the request is not read.
                if answer.0.is_empty() {
                    answer.0 = "reset".to_owned();
                }
            }
            frames::GOAWAY => return "connection".to_owned(),
            _ => ends = false,
        }
        if ends {
            open.retain(|stream| *stream != frame.stream);
        }
    }
    let [first, last, attack] = [1, 5, 3].map(|stream| match answers.remove(&stream) {
        None => "nothing".to_owned(),
        Some((status, body)) if status == "200" => {
            let echo: Echo = serde_json::from_slice(&body).unwrap();
            format!("200 {} {}", echo.backend, echo.path)
        }
        Some((status, _)) => status,
    });
    match (&*first, &*last) {
        ("200 web /1", "200 web /5") => attack,
        _ => format!("{attack}, and the good streams: {first}, {last}"),
    }
}
