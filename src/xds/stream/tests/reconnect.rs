//! A client that comes back with what an earlier stream brought it: the control plane was away, or the connection was.
//! Whatever it claims, it is sent everything (X-14, X-15, X-16), and what does not exist any more leaves like everything
//! that is gone: its routes are those of the earlier stream too, until they are replaced and acknowledged (I6).

use super::script::{Script, check as play};
use crate::xds::message::Variant;

fn check(transcript: &str) {
    play(Variant::Delta, transcript);
}

/// Every type. A route or an assignment that the client still has is not emptied; a listener goes with the push, since
/// nothing uses it.
#[test]
fn what_is_claimed_and_gone_leaves_after_the_grace() {
    check(
        "! c:a=1 c:b=1 e:a=1 l:x=1 r:r=1 s:s=1
        > c had:a,b,ghost
        < c 1 a=1 b=1
        > e +a +ghost had:a,ghost
        < e 2 a=1
        > l had:x,ghost
        < l 3 x=1 -ghost
        > r +r +ghost had:r,ghost
        < r 4 r=1
        > s +s had:other,s
        < s 5 s=1
        > c ok
        > e ok
        > s ok
        > r ok
        @ 60000
        > l ok
        @ 999
        @ 1
        < c 6 -ghost
        < e 7 -ghost
        < r 8 -ghost
        < s 9 -other
        > c ok
        > e ok
        ! e:ghost=1
        < e 10 ghost=1",
    );
}

/// A Service was renamed meanwhile.
#[test]
fn a_route_moved_meanwhile() {
    check(
        "! c:b=1(e:b) e:b=1 l:x=1(r:r) r:r=2(c:b)
        > c had:a
        < c 1 b=1
        > e +a had:a
        > l had:x
        < l 2 x=1
        > r +r had:r
        > c ok
        > l ok
        > e +b
        < e 3 b=1
        @ 60000
        > e ok
        < r 4 r=2
        @ 60000
        > r ok
        @ 999
        @ 1
        < c 5 -a
        < e 6 -a",
    );
}

/// A certificate was replaced by another meanwhile: another chain, table and secret. The old ones leave when the new
/// table is there, not when the listener is taken.
#[test]
fn a_chain_was_replaced_meanwhile() {
    check(
        "! c:b=1(e:b) e:b=1 l:x=2(r:new,s:new) r:new=1(c:b) s:new=1
        > c had:a
        < c 1 b=1
        > e +a had:a
        > l had:x
        < l 2 x=2
        > r +old had:old
        > s +old had:old
        > c ok
        > r +new
        > s +new
        < s 3 new=1
        > l ok
        > s ok
        @ 60000
        > e +b
        < e 4 b=1
        > e ok
        < r 5 new=1
        @ 60000
        > r ok
        @ 999
        @ 1
        < c 6 -a
        < e 7 -a
        < r 8 -old
        < s 9 -old",
    );
}

/// The first requests of Envoy come one after another, and a poll may be between any two of them. A client that has no
/// listeners and routes is waited for with an end.
#[test]
fn the_users_of_what_is_claimed_may_ask_late() {
    check(
        "! c:a=1
        > c had:ghost
        < c 1 a=1
        > c ok
        @ 14000
        > l had:x
        < l 2 -x
        > l ok
        @ 999
        @ 1
        @ 1000
        < c 3 -ghost",
    );
    check(
        "! c:a=1 l:x=1 r:r=1
        > c had:ghost
        < c 1 a=1
        > c ok
        @ 14000
        > r +r had:r
        < r 2 r=1
        > l had:x
        < l 3 x=1
        > l ok
        @ 60000
        > r ok
        @ 1000
        < c 4 -ghost",
    );
}

/// It comes back, or the client itself lets it go.
#[test]
fn what_is_claimed_may_come_back() {
    check(
        "! c:a=1 l:x=1 r:r=1
        > c had:ghost
        < c 1 a=1
        > e +ghost +other had:ghost,other
        > l had:x
        < l 2 x=1
        > r +r had:r
        < r 3 r=1
        > c ok
        > l ok
        ! c:ghost=1(e:ghost) e:ghost=1
        < c 4 ghost=1
        < e 5 ghost=1
        > e -other ok
        > r ok
        > c ok
        @ 60000
        ! -c:ghost -e:ghost
        @ 1000
        < c 6 -ghost
        < e 7 -ghost",
    );
}

/// What replaces it is refused: the client goes on with what it has, instead of with nothing, in either variant.
#[test]
fn what_replaces_it_may_be_refused() {
    for variant in [Variant::Delta, Variant::Sotw] {
        for of in ["c", "e", "r", "s"] {
            let mut script = Script::new(variant, &format!("{of}:a=bad"));
            let named = match (of, variant) {
                ("c", _) => "",
                (_, Variant::Delta) => " +a",
                (_, Variant::Sotw) => " =a",
            };
            let ask = format!("> {of}{named} had:a");
            assert_eq!(script.input(&ask).unwrap(), [format!("{of} 1 a=bad")]);
            let after = script.input(&format!("> {of} no:bad")).unwrap();
            let is_world = of == "c" && variant == Variant::Sotw;
            // Nobody knows the bytes that a world would have to have.
            let world: &[&str] = if is_world { &["c 2"] } else { &[] };
            assert_eq!(after, world, "{variant:?} {of}");
            if !is_world {
                let good = script.input(&format!("! {of}:a=good")).unwrap();
                assert_eq!(good.len(), 1);
                assert!(good[0].ends_with("a=good"), "{good:?}");
            }
        }
    }
}

/// A snapshot in which it is gone comes before the answer to the first request.
#[test]
fn what_is_claimed_may_leave_before_it_is_sent() {
    let mut script = Script::new(Variant::Delta, "c:a=1 c:b=1 l:x=1 r:r=1");
    let request = script.request("c had:a,b");
    let now = script.now;
    script.stream.request(request, now).unwrap();
    for (input, output) in [
        ("! -c:a", &["c 1 b=1"][..]),
        ("> l had:x", &["l 2 x=1"]),
        ("> r +r had:r", &["r 3 r=1"]),
        ("> c ok", &[]),
        ("> l ok", &[]),
        ("> r ok", &[]),
        ("@ 999", &[]),
        ("@ 1", &["c 4 -a"]),
    ] {
        assert_eq!(script.input(input).unwrap(), output, "{input}");
    }
}

/// In the state of the world a client says that it took some version, and names what it wants of the types without a
/// wildcard: perhaps it has that. What it has of the others is told by nobody: what a whole world omits is gone at once.
#[test]
fn the_state_of_the_world() {
    play(
        Variant::Sotw,
        "! c:a=1(e:a) e:a=1 l:x=1(r:r,s:s) r:r=1(c:a) s:s=1
        > c had:1
        < c 1 a=1
        > e =a,ghost had:1
        < e 2 a=1
        > l had:1
        < l 3 x=1
        > r =r,ghost had:1
        > s =s,ghost had:1
        < s 4 s=1
        > c ok
        > e ok
        < r 5 r=1
        > s ok
        > l ok
        @ 60000
        > r ok
        @ 999
        @ 1
        < e 6 ghost=∅
        < r 7 ghost=∅
        > e ok
        > r =r ok
        ! e:ghost=1 s:ghost=1
        < e 8 ghost=1
        < s 9 ghost=1",
    );
    // A client that comes for the first time waits for what it names.
    play(
        Variant::Sotw,
        "!
        > e =ghost
        < e 1 ghost=∅",
    );
}
