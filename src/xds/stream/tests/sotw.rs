//! The state-of-the-world variant, rule by rule.

use super::script::{Script, check as play, line, type_of};
use crate::xds::message::{Protocol as _, Variant};
use crate::xds::sotw::Sotw;
use crate::xds::wire;

fn check(transcript: &str) {
    play(Variant::Sotw, transcript);
}

#[test]
fn a_fresh_envoy() {
    check(
        "! c:a=1(e:a) e:a=1 l:http=1(r:r,s:s) r:r=1(c:a) s:s=1
        > c
        < c 1 a=1
        > e =a
        < e 2 a=1
        > c ok
        > l
        < l 3 http=1
        > e ok
        > r =r
        < r 4 r=1
        > s =s
        < s 5 s=1
        > l ok
        > r ok
        > s ok
        @ 60000",
    );
}

/// X-02: a stale nonce is not answered, and what it asked for is not lost.
#[test]
fn a_stale_nonce_is_ignored() {
    check(
        "! e:a=1 e:b=1
        > e =a
        < e 1 a=1
        > e =a ok:1
        ! e:a=2
        < e 2 a=2
        > e =a,b ok:1
        > e =a,b ok:2
        < e 3 b=1",
    );
}

/// The race of Envoy's issue 10363: a renewed interest that crosses a response is answered after it.
#[test]
fn a_renewed_interest_that_crosses_a_response() {
    check(
        "! e:a=1 e:b=1
        > e =a,b
        < e 1 a=1 b=1
        > e ok
        ! e:b=2
        < e 2 b=2
        > e ok:1
        > e ok:2
        < e 3 a=1",
    );
}

/// X-04: a refusal is one by its `error_detail` alone, and one that comes too late is nothing: no answer, and no
/// renewed interest.
#[test]
fn answers_are_counted_once() {
    check(
        "! c:a=1 e:a=1
        > c
        < c 1 a=1
        > e =a
        < e 2 a=1
        > c ok
        > e ok
        > c no:too late
        > e no:too late
        ! c:a=2
        < c 3 a=2",
    );
}

/// X-05: after a refusal nothing is sent until something changes.
#[test]
fn a_refusal_is_not_answered_with_the_same() {
    let mut script = Script::new(Variant::Sotw, "c:a=bad");
    assert_eq!(script.input("> c").unwrap(), ["c 1 a=bad"]);
    for _ in 0..100 {
        assert_eq!(script.input("> c no:bad").unwrap(), [""; 0]);
    }
    assert_eq!(script.input("! c:a=good").unwrap(), ["c 2 a=good"]);
}

/// X-06: a second request with an acknowledged nonce asks again.
#[test]
fn a_renewed_interest_is_answered() {
    check(
        "! e:a=1 e:b=1 c:a=1
        > e =a,b
        < e 1 a=1 b=1
        > e ok
        > e ok
        < e 2 a=1 b=1
        > c
        < c 3 a=1
        > c ok
        > c ok
        < c 4 a=1",
    );
}

/// X-07: but not with nothing, again and again.
#[test]
fn a_renewed_interest_in_nothing_is_not_answered() {
    check(
        "! s:b=1
        > s =a
        > s =a
        > s =a,b
        < s 1 b=1
        > s =a ok
        > s ok
        > s ok",
    );
}

/// X-08, X-09.
#[test]
fn names_come_and_go() {
    check(
        "! e:a=1 e:b=1
        > e =a
        < e 1 a=1
        > e =a,b ok
        < e 2 b=1
        > e =b ok
        ! e:a=2
        > e =a,b ok
        < e 3 a=2",
    );
}

/// X-10: the example of the specification.
#[test]
fn wildcards() {
    check(
        "! c:A=1 c:B=1
        > c
        < c 1 A=1 B=1
        > c =*,A ok
        < c 2 A=1 B=1
        > c =A ok
        ! c:B=2
        ! c:A=2
        < c 3 A=2
        > c = ok
        ! c:A=3 c:B=3",
    );
    check(
        "! r:a=1 e:a=1 s:a=1
        > r
        > e
        > s
        > r =*
        > e =*
        > s =*
        ! r:a=2 e:a=2 s:a=2",
    );
}

/// X-13: EDS and RDS get an empty resource, SDS nothing until it exists.
#[test]
fn unknown_names() {
    check(
        "!
        > e =a
        < e 1 a=∅
        > r =a
        < r 2 a=∅
        > s =a
        > e ok
        > r ok
        ! e:a=1 r:a=1 s:a=1
        < e 3 a=1
        < r 4 a=1
        < s 5 a=1",
    );
}

/// X-17, X-18: LDS and CDS are complete, and what is absent is gone; the others are partial.
#[test]
fn complete_and_partial() {
    check(
        "! c:a=1 c:b=1 l:x=1 l:y=1 e:a=1 e:b=1
        > c
        < c 1 a=1 b=1
        > l
        < l 2 x=1 y=1
        > e =a,b
        < e 3 a=1 b=1
        > c ok
        > l ok
        > e ok
        ! c:a=2 l:x=2 e:a=2
        < c 4 a=2 b=1
        < e 5 a=2
        < l 6 x=2 y=1
        > c ok
        > l ok
        > e ok
        ! -c:a -e:a -l:x
        < l 7 y=1
        > l ok
        @ 1000
        < c 8 b=1
        > c ok",
    );
}

/// A cluster that has left stays in the state of the world until its time has come.
#[test]
fn a_leaving_cluster_stays_in_the_world() {
    check(
        "! c:a=1 c:b=1
        > c
        < c 1 a=1 b=1
        > c ok
        ! -c:a c:d=1
        < c 2 a=1 b=1 d=1
        > c ok
        @ 1000
        < c 3 b=1 d=1",
    );
}

/// X-21: a changed cluster's endpoints follow it, though they did not change.
#[test]
fn endpoints_follow_their_clusters() {
    check(
        "! c:a=1(e:a) c:b=1(e:b) e:a=1 e:b=1
        > c
        < c 1 a=1 b=1
        > e =a,b
        < e 2 a=1 b=1
        > c ok
        > e ok
        ! c:a=2(e:a)
        < c 3 a=2 b=1
        < e 4 a=1",
    );
}

#[test]
fn an_empty_wildcard_is_answered() {
    check(
        "!
        > c
        < c 1
        > c ok
        ! c:a=1
        < c 2 a=1",
    );
}

/// X-14: a reconnect. The version and the nonce that a first request carries are of another stream, and not believed:
/// it is answered in full.
#[test]
fn claims_are_not_believed() {
    let world = "c:a=1 e:a=1 l:x=1 r:r=1 s:s=1";
    for (name, of) in [("a", "c"), ("a", "e"), ("x", "l"), ("r", "r"), ("s", "s")] {
        let mut script = Script::new(Variant::Sotw, world);
        let resource_type = type_of(of);
        let wanted = script.snapshot.get(resource_type, name).unwrap();
        let names = match resource_type.has_wildcard() {
            true => Vec::new(),
            false => vec![name.to_owned()],
        };
        let request = wire::DiscoveryRequest {
            version_info: wanted.version().to_string(),
            type_url: resource_type.type_url().into(),
            resource_names: names,
            response_nonce: "1".into(),
            ..wire::DiscoveryRequest::default()
        };
        let now = script.now;
        script.stream.request(Sotw::parse(request), now).unwrap();
        let response = script.stream.poll(now).unwrap();
        assert_eq!(line(&response), format!("{of} 1 {name}=1"));
        assert!(script.stream.poll(now).is_none());
    }
}
