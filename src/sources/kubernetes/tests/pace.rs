//! When the server is asked again: at once, after a pause, or as it says. The lines are those of [`super::transcripts`].

use super::transcripts::check;

/// A server whose every watch is gone at once is not asked in a tight loop.
#[test]
fn attempts_that_come_to_nothing_are_paced() {
    check(
        "? streaming list
         < opened
         = read
         < bookmark 9 all sent
         + replace Service of ns: nothing
         = read
         < ended at once
         = send
         ? watch 9
         < opened
         = read
         < ended at once
         = wait 1 s
         ? watch 9
         < 410
         = wait 1 s
         ? streaming list
         < opened
         = read
         < bookmark 10 all sent
         + replace Service of ns: nothing
         = read
         < added a 11
         + apply ns/a
         = read
         < ended at once
         = send
         ? watch 11",
    );
}

/// A server whose every list is out of date before its watch begins is asked ever more seldom.
#[test]
fn lists_that_come_to_nothing_are_ever_fewer() {
    let listed = "? streaming list
         < opened
         = read
         < bookmark 9 all sent
         + replace Service of ns: nothing
         = read
         < error {\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}\n";
    let mut transcript = format!("{listed}= send\n");
    for seconds in [2, 4, 8, 16, 30, 30, 30] {
        transcript += &format!("{listed}= wait {seconds} s\n");
    }
    // A watch that brought something makes up for all of it.
    check(&format!(
        "{transcript}
         ? streaming list
         < opened
         = read
         < bookmark 9 all sent
         + replace Service of ns: nothing
         = read
         < added a 10
         + apply ns/a
         = read
         < 410
         = send
         ? streaming list"
    ));
}

/// 429 is waited for as long as the server says, wherever it comes; a version that this replica has not
/// reached yet too, but not for ever.
#[test]
fn waiting_as_told() {
    let too_large = r#"504 {"kind":"Status","code":504,"reason":"Timeout","message":"Timeout: Too large resource version: 9, current: 3","details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],"retryAfterSeconds":2}}"#;
    check(&format!(
        "? streaming list
         < 429 retry-after=7
         = wait 7 s
         ? streaming list
         < opened
         = read
         < added a 3
         = read
         < error {{\"kind\":\"Status\",\"code\":429,\"details\":{{\"retryAfterSeconds\":2}}}}
         = wait 2 s
         ? streaming list
         < 422
         = send
         ? list 500
         < 200 page 9 a p2
         = send
         ? list 500 after p2
         < 429 retry-after=86400
         = wait 60 s
         ? list 500 after p2
         < 429
         = wait 1 s
         ? list 500 after p2
         < 200 page 9 b
         + replace Service of ns: ns/a, ns/b
         = send
         ? watch 9
         {}
         < {too_large}
         = send
         ? list 500",
        format!("< {too_large}\n= wait 2 s\n? watch 9\n").repeat(5)
    ));
}

/// A list of nothing, at this version.
fn listed(version: u32) -> String {
    format!(
        "? streaming list
         < opened
         = read
         < bookmark {version} all sent
         + replace Service of ns: nothing
         = read\n"
    )
}

const EXPIRED: &str = "< error {\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}\n";

/// What made the lists seldom is forgotten when a watch has brought something, or has lasted: the next lists that come
/// to nothing begin with the shortest pause again.
#[test]
fn a_watch_that_works_makes_up_for_lists_that_did_not() {
    let (first, next) = (listed(9), listed(10));
    for works in [
        "< added a 10
         + apply ns/a
         = read
         < 410
         = send",
        "< ended
         = send
         ? watch 9
         < 410
         = send",
    ] {
        check(&format!(
            "{first}{EXPIRED}= send
             {first}{EXPIRED}= wait 2 s
             {first}{EXPIRED}= wait 4 s
             {first}{works}
             {next}{EXPIRED}= wait 2 s
             ? streaming list"
        ));
    }
}

/// A version that is not known yet is waited for five times in a row; a watch that opens and brings something ends the
/// row, and so does the list that is asked for after it.
#[test]
fn versions_that_are_not_known_yet_are_counted_in_a_row() {
    let too_large = r#"504 {"kind":"Status","code":504,"reason":"Timeout","message":"Timeout: Too large resource version: 9, current: 3","details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],"retryAfterSeconds":2}}"#;
    let row = |version: u32| format!("< {too_large}\n= wait 2 s\n? watch {version}\n").repeat(5);
    check(&format!(
        "{}< ended
         = send
         ? watch 9
         {}< opened
         = read
         < bookmark 10
         = read
         < ended
         = send
         ? watch 10
         {}< {too_large}
         = send
         {}< ended
         = send
         ? watch 10
         {}",
        listed(9),
        row(9),
        row(10),
        listed(10),
        row(10)
    ));
}

/// A streaming list that is told to wait begins anew: what it had gathered may be gone meanwhile.
#[test]
fn a_streaming_list_that_waits_forgets_what_it_has() {
    check(
        "? streaming list
         < opened
         = read
         < added a 3
         = read
         < error {\"kind\":\"Status\",\"code\":429,\"details\":{\"retryAfterSeconds\":2}}
         = wait 2 s
         ? streaming list
         < opened
         = read
         < added b 4
         = read
         < bookmark 9 all sent
         + replace Service of ns: ns/b
         = read",
    );
}
