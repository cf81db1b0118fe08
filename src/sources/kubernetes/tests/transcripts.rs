//! The protocol, as transcripts: `<` is what came, the lines below it are what the state machine made of it.
//!
//! | line | means |
//! |---|---|
//! | `? …` | the request that would be sent |
//! | `+ …` | an event |
//! | `= …` | what to do next: `read`, `send`, `wait N s`, or the end |

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::objects::{Event, Kind, Object};
use crate::sources::kubernetes::frame::Frame;
use crate::sources::kubernetes::list_watch::{Input, ListWatch, Request, Step};
use crate::sources::kubernetes::page::Page;

pub(super) fn check(transcript: &str) {
    let transcript: String = transcript
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .fold(String::new(), |all, line| all + line + "\n");
    let mut machine = ListWatch::new(Kind::Service, Some(Arc::from("ns")));
    let mut played = request(&machine);
    for line in transcript.lines() {
        let Some(came) = line.strip_prefix("< ") else {
            continue;
        };
        writeln!(played, "{line}").unwrap();
        let mut events = Vec::new();
        let step = feed(&mut machine, came, &mut events);
        for event in events {
            writeln!(played, "+ {}", shown(&event)).unwrap();
        }
        match step {
            Ok(Step::Read) => played.push_str("= read\n"),
            Ok(Step::Send) => write!(played, "= send\n{}", request(&machine)).unwrap(),
            Ok(Step::SendAfter(time)) => {
                write!(played, "= wait {} s\n{}", time.as_secs(), request(&machine)).unwrap();
            }
            Err(cause) => writeln!(played, "= the end: {cause}").unwrap(),
        }
    }
    assert_eq!(played, transcript);
}

fn request(machine: &ListWatch) -> String {
    match machine.request() {
        Request::StreamingList => "? streaming list\n".to_owned(),
        Request::List {
            limit,
            continue_token,
        } => {
            let limit = limit.map_or("whole".to_owned(), |limit| limit.to_string());
            let token = continue_token.map_or(String::new(), |token| format!(" after {token}"));
            format!("? list {limit}{token}\n")
        }
        Request::Watch { version } => format!("? watch {version}\n"),
    }
}

fn object(name: &str, version: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Service","metadata":{{"name":"{name}","namespace":"ns","resourceVersion":"{version}"}},"spec":{{"ports":[{{"port":80,"protocol":"TCP"}}]}}}}"#
    )
}

fn feed(
    machine: &mut ListWatch,
    came: &str,
    events: &mut Vec<Event>,
) -> Result<Step, crate::sources::kubernetes::Cause> {
    let words: Vec<&str> = came.split(' ').collect();
    let line = match words.as_slice() {
        ["opened"] => return machine.handle(Input::Opened, events),
        ["ended"] => return machine.handle(Input::Ended { brief: false }, events),
        ["ended", "at", "once"] => return machine.handle(Input::Ended { brief: true }, events),
        ["broken"] => return machine.handle(Input::Broken("reset".to_owned()), events),
        ["refused"] => return machine.handle(Input::Unreachable("refused".to_owned()), events),
        [status, rest @ ..] if status.parse::<u16>().is_ok() => {
            let (retry_after, rest) = match rest {
                [seconds, rest @ ..] if seconds.starts_with("retry-after=") => (
                    Some(Duration::from_secs(seconds[12..].parse().unwrap())),
                    rest,
                ),
                rest => (None, rest),
            };
            let body = match rest {
                // A page: version, names, and perhaps the token of the next one.
                ["page", version, names, rest @ ..] => {
                    let items: Vec<_> = names
                        .split(',')
                        .filter(|name| !name.is_empty() && *name != "-")
                        .map(|name| object(name, version))
                        .collect();
                    let next = rest
                        .first()
                        .map_or(String::new(), |token| format!(r#","continue":"{token}""#));
                    format!(
                        r#"{{"kind":"ServiceList","apiVersion":"v1","metadata":{{"resourceVersion":"{version}"{next}}},"items":[{}]}}"#,
                        items.join(",")
                    )
                }
                rest => rest.join(" "),
            };
            if *status == "200" {
                let page = Page::parse(Kind::Service, body.as_bytes())?;
                return machine.handle(Input::Page(page), events);
            }
            let input = Input::ErrorStatus {
                status: status.parse().unwrap(),
                retry_after,
                body: body.as_bytes(),
            };
            return machine.handle(input, events);
        }
        ["added", name, version] => {
            format!(r#"{{"type":"ADDED","object":{}}}"#, object(name, version))
        }
        ["modified", name, version] => {
            format!(
                r#"{{"type":"MODIFIED","object":{}}}"#,
                object(name, version)
            )
        }
        ["deleted", name, version] => {
            format!(r#"{{"type":"DELETED","object":{}}}"#, object(name, version))
        }
        ["bookmark", version] => format!(
            r#"{{"type":"BOOKMARK","object":{{"kind":"Service","apiVersion":"v1","metadata":{{"resourceVersion":"{version}","creationTimestamp":null}}}}}}"#
        ),
        ["bookmark", version, "all", "sent"] => format!(
            r#"{{"type":"BOOKMARK","object":{{"kind":"Service","apiVersion":"v1","metadata":{{"resourceVersion":"{version}","annotations":{{"k8s.io/initial-events-end":"true"}}}}}}}}"#
        ),
        ["error", rest @ ..] => format!(r#"{{"type":"ERROR","object":{}}}"#, rest.join(" ")),
        other => other.join(" "),
    };
    let mut step = Ok(Step::Read);
    for frame in Frame::read(Kind::Service, (line + "\n").as_bytes()) {
        step = machine.handle(Input::Line(frame?), events);
    }
    step
}

fn shown(event: &Event) -> String {
    let name = |object: &Object| {
        let reference = object.reference();
        let invalid = if matches!(object, Object::Invalid(_)) {
            " (invalid)"
        } else {
            ""
        };
        format!("{}{invalid}", reference.name)
    };
    match event {
        Event::Apply(object) => format!("apply {}", name(object)),
        Event::Delete(reference) => format!("delete {}", reference.name),
        Event::Replace {
            kind,
            namespace,
            objects,
        } => {
            let names: Vec<_> = objects.iter().map(name).collect();
            let names = match names.join(", ") {
                none if none.is_empty() => "nothing".to_owned(),
                names => names,
            };
            let namespace = namespace.as_deref().unwrap_or("all");
            format!("replace {kind} of {namespace}: {names}")
        }
        Event::Batch(events) => events.iter().map(shown).collect(),
    }
}

/// The ordinary life: a streaming list goes on as a watch, and a watch that ends goes on from where it was.
/// 20 ends are 20 requests and nothing else.
#[test]
fn a_streaming_list_and_its_watch() {
    check(
        "? streaming list
         < opened
         = read
         < added a 3
         = read
         < added b 7
         = read
         < bookmark 9 all sent
         + replace Service of ns: ns/a, ns/b
         = read
         < modified a 11
         + apply ns/a
         = read
         < deleted b 12
         + delete ns/b
         = read
         < bookmark 20
         = read
         < ended
         = send
         ? watch 20",
    );
    let ends = "< opened
         = read
         < ended
         = send
         ? watch 9\n";
    check(&format!(
        "? streaming list
         < opened
         = read
         < bookmark 9 all sent
         + replace Service of ns: nothing
         = read
         < ended
         = send
         ? watch 9
         {}",
        ends.repeat(20)
    ));
}

/// Changes among the initial events count, and what was gathered by a list that was cut is gone.
#[test]
fn a_streaming_list_is_sent_when_it_is_whole() {
    check(
        "? streaming list
         < opened
         = read
         < added a 3
         = read
         < added b 7
         = read
         < deleted a 8
         = read
         < modified b 9
         = read
         < bookmark 9
         = read
         < bookmark 9 all sent
         + replace Service of ns: ns/b
         = read",
    );
    check(
        "? streaming list
         < opened
         = read
         < added a 3
         = read
         < ended
         = send
         ? list 500
         < 200 page 12 b
         + replace Service of ns: ns/b
         = send
         ? watch 12",
    );
}

/// Servers without streaming lists, each in its way. The next list does not try again.
#[test]
fn without_streaming_lists_pages() {
    for refusal in [
        r#"422 {"kind":"Status","code":422,"reason":"Invalid","message":"sendInitialEvents is forbidden"}"#,
        r#"500 {"kind":"Status","code":500,"message":"the required storage feature RequestWatchProgress is disabled"}"#,
        "400",
        "404 not found",
        r#"error {"kind":"Status","code":500,"message":"not supported"}"#,
    ] {
        let opened = if refusal.starts_with("error") {
            "< opened\n= read\n"
        } else {
            ""
        };
        check(&format!(
            "? streaming list
             {opened}< {refusal}
             = send
             ? list 500
             < 200 page 5 a,b p2
             = send
             ? list 500 after p2
             < 200 page 5 c p3
             = send
             ? list 500 after p3
             < 200 page 5 -
             + replace Service of ns: ns/a, ns/b, ns/c
             = send
             ? watch 5
             < 410
             = send
             ? list 500"
        ));
    }
}

/// 410 in its four places. The list that follows replaces everything, so nothing deleted meanwhile stays.
#[test]
fn a_version_that_is_gone() {
    let listed = "? streaming list
         < opened
         = read
         < added a 3
         = read
         < bookmark 9 all sent
         + replace Service of ns: ns/a
         = read";
    let again = "= send
         ? streaming list
         < opened
         = read
         < bookmark 50 all sent
         + replace Service of ns: nothing
         = read";
    for gone in [
        r#"error {"kind":"Status","code":410,"reason":"Expired","message":"too old resource version: 9 (40)"}"#,
        r#"error {"kind":"Status","reason":"Gone"}"#,
    ] {
        check(&format!("{listed}\n< {gone}\n{again}"));
    }
    check(&format!(
        "{listed}
         < ended
         = send
         ? watch 9
         < 410 {{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}
         {again}"
    ));
    // A token that expires again and again would keep a slow reader from the end for ever.
    check(
        "? streaming list
         < 422
         = send
         ? list 500
         < 200 page 5 a p2
         = send
         ? list 500 after p2
         < 410 {\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}
         = send
         ? list whole
         < 200 page 8 b,c
         + replace Service of ns: ns/b, ns/c
         = send
         ? watch 8",
    );
}

/// A connection that broke is one more attempt, and not two.
#[test]
fn a_broken_connection() {
    check(
        "? streaming list
         < broken
         = send
         ? streaming list
         < opened
         = read
         < bookmark 9 all sent
         + replace Service of ns: nothing
         = read
         < ended
         = send
         ? watch 9
         < broken
         = send
         ? watch 9
         < broken
         = the end: the API server can't be reached: reset",
    );
}

/// What ends it, at each of its three stages.
#[test]
fn ends() {
    let stages = [
        ("? streaming list", ""),
        ("? streaming list\n< 422\n= send\n? list 500", ""),
        (
            "? streaming list\n< 422\n= send\n? list 500\n< 200 page 9 a\n+ replace Service of ns: ns/a\n= send\n? watch 9",
            "",
        ),
    ];
    let forbidden = r#"{"kind":"Status","code":403,"message":"services is forbidden: User \"u\" cannot list\nresource"}"#;
    let ends = [
        ("refused".to_owned(), "can't be reached: refused".to_owned()),
        (
            format!("403 {forbidden}"),
            r#"answered 403: services is forbidden: User "u" cannot list resource"#.to_owned(),
        ),
        ("401".to_owned(), "answered 401: Unauthorized".to_owned()),
        (
            "502 <html>secret</html>".to_owned(),
            "answered 502: Bad Gateway".to_owned(),
        ),
        (
            "503".to_owned(),
            "answered 503: Service Unavailable".to_owned(),
        ),
        ("504".to_owned(), "answered 504: Gateway Timeout".to_owned()),
        ("302".to_owned(), "answered 302: Found".to_owned()),
    ];
    for (before, _) in stages {
        for (came, end) in &ends {
            check(&format!(
                "{before}\n< {came}\n= the end: the API server {end}"
            ));
        }
    }
}

/// Answers that can't be what they should be. No text of theirs is quoted: it may be a key.
#[test]
fn undecodable_answers() {
    let list = "? streaming list\n< 422\n= send\n? list 500";
    let watch = "? streaming list\n< opened\n= read";
    for (before, came, end) in [
        (
            list,
            r#"200 {"kind":"ServiceList","metadata":{"resourceVersion":"5"},"items":[{"metadata":{"na"#,
            "a list ends too early (line 1, column 82)",
        ),
        (list, "200 <html>", "a list is not JSON (line 1, column 1)"),
        (
            list,
            r#"200 {"kind":"IngressList","metadata":{"resourceVersion":"5"},"items":[]}"#,
            "a list that is not a ServiceList",
        ),
        (
            list,
            r#"200 {"kind":"ServiceList","metadata":{},"items":[]}"#,
            "a list without resourceVersion",
        ),
        (
            list,
            r#"200 {"kind":"ServiceList","metadata":{"resourceVersion":"5"},"items":"hush"}"#,
            "a list has not the expected fields (line 1, column 71)",
        ),
        (
            watch,
            r#"{"type":"ADDED","object":{"kind":"Service","metadata":"hush"}}"#,
            "an event has not the expected fields (line 1, column 35)",
        ),
        (
            watch,
            r#"{"type":"ERROR","object":{"code":410}}"#,
            "an ERROR event without a Status",
        ),
        (watch, "hush", "a watch line is not JSON (line 1, column 1)"),
        (
            watch,
            r#"{"type":"ADDED","object":{"kind":"Ingress","metadata":{"name":"a","resourceVersion":"5"}}}"#,
            "an event about an object that is not a Service",
        ),
        (
            watch,
            r#"{"type":"ADDED","object":{"kind":"Service","metadata":{"name":"a"}}}"#,
            "an event without resourceVersion",
        ),
        (
            watch,
            r#"{"type":"ADDED","object":{"kind":"Service","metadata":{"resourceVersion":"5"}}}"#,
            "an event about an object without name",
        ),
        (
            watch,
            r#"{"type":"MOVED","object":{"kind":"Service","metadata":{"name":"a","resourceVersion":"5"}}}"#,
            r#"an event of the unknown type "MOVED""#,
        ),
    ] {
        check(&format!(
            "{before}\n< {came}\n= the end: the API server's answer can't be decoded: {end}"
        ));
    }
    check(&format!(
        "{list}
         < 200 page 5 a p2
         = send
         ? list 500 after p2
         < 200 page 5 b p2
         = the end: the API server's answer can't be decoded: a list whose pages do not come to an end"
    ));
}

/// An item that can't be decoded is data; one without a name is left out. The rest of its list is used.
#[test]
fn undecodable_items() {
    let bad = r#"{"metadata":{"name":"bad","namespace":"ns"},"spec":"what"}"#;
    let nameless = r#"{"metadata":{}}"#;
    let good = r#"{"metadata":{"name":"good","namespace":"ns"},"spec":{"ports":[{"port":80}]}}"#;
    check(&format!(
        r#"? streaming list
         < 422
         = send
         ? list 500
         < 200 {{"kind":"ServiceList","metadata":{{"resourceVersion":"5"}},"items":[{bad},{nameless},{good}]}}
         + replace Service of ns: ns/bad (invalid), ns/good
         = send
         ? watch 5
         < opened
         = read
         < {{"type":"MODIFIED","object":{{"kind":"Service","metadata":{{"name":"good","namespace":"ns","resourceVersion":"6"}},"spec":"what"}}}}
         + apply ns/good (invalid)
         = read
         < ended
         = send
         ? watch 6"#
    ));
}

/// A list that is older than what was seen would roll everything back in time. An empty list is an empty
/// list, also where Go writes it as null.
#[test]
fn versions_never_go_back() {
    check(
        "? streaming list
         < opened
         = read
         < bookmark 90 all sent
         + replace Service of ns: nothing
         = read
         < added a 95
         + apply ns/a
         = read
         < error {\"kind\":\"Status\",\"code\":410}
         = send
         ? streaming list
         < 500
         = send
         ? list 500
         < 200 {\"kind\":\"ServiceList\",\"metadata\":{\"resourceVersion\":\"94\"},\"items\":null}
         = the end: the API server listed resourceVersion 94, older than 95 which it sent before",
    );
}
