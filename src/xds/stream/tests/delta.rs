//! The incremental variant, rule by rule: the numbers are those of the project's list of xDS rules.

use super::script::{Script, check as play};
use crate::xds::Client;
use crate::xds::message::{Request, Variant};
use crate::xds::stream::Violation;
use crate::xds::wire::Node;

fn check(transcript: &str) {
    play(Variant::Delta, transcript);
}

/// Of each word for a subscription a variant reads its own: `+` one, `=` the other.
fn check_both(transcript: &str) {
    for variant in [Variant::Delta, Variant::Sotw] {
        let of_other = |word: &&str| match variant {
            Variant::Delta => word.starts_with('='),
            Variant::Sotw => word.starts_with('+'),
        };
        let lines = transcript.lines().map(|line| {
            let words = line.split_whitespace().filter(|word| !of_other(word));
            words.collect::<Vec<_>>().join(" ")
        });
        play(variant, &lines.collect::<Vec<_>>().join("\n"));
    }
}

/// As Envoy starts: CDS, EDS, then LDS, RDS, SDS.
#[test]
fn a_fresh_envoy() {
    check(
        "! c:a=1(e:a) e:a=1 l:http=1(r:r,s:s) r:r=1(c:a) s:s=1
        > c
        < c 1 a=1
        > e +a
        < e 2 a=1
        > c ok
        > l
        < l 3 http=1
        > e ok
        > r +r
        < r 4 r=1
        > s +s
        < s 5 s=1
        > l ok
        > r ok
        > s ok
        @ 60000",
    );
}

/// a nonce is of one type; that of another is no answer. In either variant.
#[test]
fn nonces_are_of_one_type() {
    check_both(
        "! c:a=1 l:x=1
        > c
        < c 1 a=1
        > l
        < l 2 x=1
        > l ok:1
        ! c:a=2 l:x=2
        > c ok:2
        > c ok:1
        < c 3 a=2
        > l ok:2
        < l 4 x=2",
    );
}

/// what rides on a stale or foreign nonce counts.
#[test]
fn a_subscription_with_a_stale_nonce_is_honoured() {
    check(
        "! e:a=1 e:b=1
        > e +a
        < e 1 a=1
        > e ok
        ! e:a=2
        < e 2 a=2
        > e +b ok:1
        > e ok:2
        < e 3 b=1
        > e -b ok:77
        ! e:b=2",
    );
}

/// an answer to nothing is nothing, and a refusal is one by its `error_detail` alone.
#[test]
fn answers_are_counted_once() {
    check(
        "! c:a=1
        > c
        < c 1 a=1
        > c ok
        > c ok
        > c ok
        > c no:too late
        ! c:a=2
        < c 2 a=2",
    );
}

/// after a refusal nothing is sent until something changes.
#[test]
fn a_refusal_is_not_answered_with_the_same() {
    let mut script = Script::new(Variant::Delta, "c:a=bad");
    assert_eq!(script.input("> c").unwrap(), ["c 1 a=bad"]);
    for _ in 0..100 {
        assert_eq!(script.input("> c no:bad").unwrap(), [""; 0]);
        assert_eq!(script.input("@ 5000").unwrap(), [""; 0]);
    }
    assert_eq!(script.input("! c:a=good").unwrap(), ["c 2 a=good"]);
}

/// what is asked for is sent, whether or not it was before.
#[test]
fn asking_again_is_answered_again() {
    check(
        "! e:a=1 e:b=1 c:a=1
        > e +a
        < e 1 a=1
        > e ok
        > e +a
        < e 2 a=1
        > e +b ok
        < e 3 b=1
        > c * +a
        < c 4 a=1
        > c +a ok
        < c 5 a=1",
    );
}

/// nothing more of what is no longer wanted, not even what was due.
#[test]
fn unsubscribed_names_are_not_pushed() {
    check(
        "! s:a=1 s:b=1
        > s +a +b
        < s 1 a=1 b=1
        ! s:a=2 s:b=2
        > s -a
        > s ok
        < s 2 b=2
        > s ok
        ! s:a=3",
    );
}

/// the example of the specification, and empty requests for types without wildcard.
#[test]
fn wildcards() {
    check(
        "! c:A=1 c:B=1
        > c
        < c 1 A=1 B=1
        > c +A ok
        < c 2 A=1
        > c -* ok
        ! c:B=2
        ! c:A=2
        < c 3 A=2
        > c -A ok
        ! c:A=3 c:B=3
        > c",
    );
    check(
        "! r:a=1 e:a=1 s:a=1
        > r
        > e
        > s
        > r *
        > e *
        > s *
        ! r:a=2 e:a=2 s:a=2",
    );
}

/// An empty wildcard is answered, or the client's first fetch never ends.
#[test]
fn an_empty_wildcard_is_answered() {
    check(
        "!
        > c
        < c 1
        > l
        < l 2
        > c ok
        > l ok
        ! c:a=1
        < c 3 a=1",
    );
}

/// a client deletes what it unsubscribes from, though the wildcard covers it.
#[test]
fn unsubscribing_under_a_wildcard_is_answered() {
    check(
        "! c:a=1
        > c * +a +ghost
        < c 1 a=1 -ghost
        > c -a -ghost ok
        < c 2 a=1 -ghost",
    );
}

/// an unknown name is answered at once and remembered.
#[test]
fn unknown_names() {
    check(
        "!
        > e +a
        < e 1 a=∅
        > r +a
        < r 2 a=∅
        > s +a
        < s 3 -a
        > c +a
        < c 4 -a
        > l +a
        < l 5 -a
        > e ok
        > r ok
        > s ok
        > c ok
        > l ok
        ! e:a=1 r:a=1 s:a=1 c:a=1 l:a=1
        < c 6 a=1
        < e 7 a=1
        < l 8 a=1
        < r 9 a=1
        < s 10 a=1",
    );
}

/// X-17 for the incremental variant: clusters and endpoints go after the grace period, listeners with the push.
#[test]
fn removals() {
    check(
        "! c:a=1(e:a) e:a=1 l:x=1 s:s=1
        > c
        < c 1 a=1
        > e +a
        < e 2 a=1
        > l
        < l 3 x=1
        > s +s
        < s 4 s=1
        > c ok
        > e ok
        > l ok
        > s ok
        ! -c:a -e:a -l:x -s:s
        < l 5 -x
        @ 999
        > l ok
        @ 999
        @ 1
        < c 6 -a
        < e 7 -a
        < s 8 -s
        > c ok
        > e ok
        ! c:a=1(e:a) e:a=1
        < c 9 a=1
        < e 10 a=1",
    );
}

/// the node of the first request counts, in either variant.
#[test]
fn the_node_is_that_of_the_first_request() {
    for variant in [Variant::Delta, Variant::Sotw] {
        let mut script = Script::new(variant, "");
        let request = |node: Option<&str>| Request {
            type_url: "some.other/Type".into(),
            client: node.and_then(|node| {
                Client::of(&Node {
                    id: node.into(),
                    ..Node::default()
                })
            }),
            ..Request::default()
        };
        let now = script.now;
        for node in [Some("envoy-1"), None, Some(""), Some("other")] {
            script.stream.request(request(node), now).unwrap();
            let client = script.stream.client().unwrap();
            assert_eq!(&*client.id, "envoy-1");
        }
    }
}

/// X-26, in either variant.
#[test]
fn types() {
    for variant in [Variant::Delta, Variant::Sotw] {
        let mut script = Script::new(variant, "");
        let now = script.now;
        assert_eq!(
            script.stream.request(Request::default(), now),
            Err(Violation::NoType)
        );
        let request = Request {
            type_url: "type.googleapis.com/envoy.service.runtime.v3.Runtime".into(),
            ..Request::default()
        };
        assert_eq!(script.stream.request(request, now), Ok(()));
        assert!(script.stream.poll(now).is_none());
    }
}

/// equal bytes are no change, in either variant.
#[test]
fn no_change_no_push() {
    check_both(
        "! c:a=1 e:a=1
        > c
        < c 1 a=1
        > e +a =a
        < e 2 a=1
        > c ok
        > e ok
        ! c:a=1 e:a=1
        ! c:a=2
        < c 3 a=2
        ! c:a=1
        ! c:a=2
        > c ok",
    );
}

#[test]
fn names_are_bounded() {
    let mut script = Script::new(Variant::Delta, "");
    let names: Vec<String> = (0..100_000).map(|n| format!("+{n}")).collect();
    assert!(script.input(&format!("> s {}", names.join(" "))).is_ok());
    assert!(script.input(&format!("> e {}", names.join(" "))).is_ok());
    assert_eq!(
        script.input(&format!("> r {}", names.join(" "))),
        Err(Violation::TooManyNames)
    );
}
