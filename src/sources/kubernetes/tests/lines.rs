//! Watch lines as a server may write them: what they mean does not depend on how their envelope is written.

use super::super::frame::Frame;
use crate::objects::{Kind, decode};

const OBJECT: &str = r#"{"kind":"Service","apiVersion":"v1","metadata":{"name":"web","namespace":"shop","resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}"#;

/// A line, and what it means; `OBJECT` stands for a Service.
fn check(line: &[u8], expected: &str) {
    let text = String::from_utf8_lossy(line).replace("OBJECT", OBJECT);
    let line = if line.is_ascii() {
        text.as_bytes()
    } else {
        line
    };
    let mut frames = Frame::read(Kind::Service, &[line, b"\n"].concat()).collect::<Vec<_>>();
    assert_eq!(frames.len(), 1, "{text}");
    let meaning = match frames.remove(0) {
        Ok(Frame::Applied {
            name,
            version,
            object,
        }) => {
            let object = object.unwrap();
            assert_eq!(object, decode(Kind::Service, OBJECT).unwrap());
            assert_eq!(object.reference().name, name);
            format!("applied {name} {version}")
        }
        Ok(Frame::Deleted { name, version }) => format!("deleted {name} {version}"),
        Ok(Frame::Bookmark {
            version,
            initial_events_end,
        }) => format!("bookmark {version} {initial_events_end}"),
        Ok(Frame::Error(status)) => format!("error {}", status.code),
        Err(cause) => {
            let cause = cause.to_string();
            let (sentence, _position) = cause.split_once(" (line").unwrap_or((&cause, ""));
            sentence.replace("the API server's answer can't be decoded: ", "")
        }
    };
    assert_eq!(meaning, expected, "{text}");
}

#[test]
fn envelopes() {
    // As Go's encoder writes it.
    check(br#"{"type":"ADDED","object":OBJECT}"#, "applied shop/web 7");
    check(
        br#"{"type":"MODIFIED","object":OBJECT}"#,
        "applied shop/web 7",
    );
    check(
        br#"{"type":"DELETED","object":OBJECT}"#,
        "deleted shop/web 7",
    );
    check(br#"{"type":"BOOKMARK","object":OBJECT}"#, "bookmark 7 true");
    check(
        br#"{"type":"ERROR","object":{"kind":"Status","code":410}}"#,
        "error 410",
    );
    // As others may.
    for line in [
        r#"{"type": "ADDED", "object": OBJECT }"#,
        r#"{"object":OBJECT,"type":"ADDED"}"#,
        r#"{"type":"ADDED","object":OBJECT,"more":{"object":{}}}"#,
        r#"{"type":"\u0041DDED","object":OBJECT}"#,
        "{\"type\":\"ADDED\",\"object\":OBJECT}\r",
    ] {
        check(line.as_bytes(), "applied shop/web 7");
    }
}

#[test]
fn what_is_no_event() {
    for (line, why) in [
        (
            r#"{"type":"ADDED","object":OBJECT}}"#,
            "a watch line is not JSON",
        ),
        (
            r#"{"type":"ADDED","object":OBJECT"#,
            "a watch line ends too early",
        ),
        (
            r#"{"type":"ADDEDX","object":OBJECT}"#,
            r#"an event of the unknown type "ADDEDX""#,
        ),
        (
            r#"{"type":"ADDED","object":[]}"#,
            "an event has not the expected fields",
        ),
        (
            r#"{"type":"ADDED","object":OBJECT,"object":OBJECT}"#,
            "a watch line has not the expected fields",
        ),
    ] {
        check(line.as_bytes(), why);
    }
    check(
        b"{\"type\":\"ADDED\",\"object\":{\"kind\":\"\xff\"}}",
        "a watch line is not JSON",
    );
}
