//! Scopes that moved while the control plane was away: the version that a client claims tells the table that each of its
//! scopes leads to, and that table keeps what it loses until the client has taken the scope.

use super::script::{Script, check as play};
use crate::xds::message::Variant;

fn check(transcript: &str) {
    play(Variant::Delta, transcript);
}

/// Key `a` moved from table `t` to `u`, both of which stay. Tables wait until the client has said what its scopes are.
#[test]
fn a_table_keeps_what_claimed_scopes_lead_to() {
    check(
        "! k:t=1(r:t) k:u=1(r:u) k:a=1(r:u) k:b=1(r:t) r:t=1[b=1] r:u=1[a=1]
        > r +t +u had:t,u
        > k had:t=t,u=u,a=t,b=t
        < r 1 t=1+a:1+b:1 u=1+a:1
        < k 2 t=1 u=1
        > k ok
        > r ok
        < k 3 a=1 b=1
        > k ok
        < r 4 t=1+b:1",
    );
}

/// Two keys changed places, and one of them changes again before the client has taken anything.
#[test]
fn what_a_table_keeps_is_of_now() {
    check(
        "! k:t=1(r:t) k:u=1(r:u) k:a=1(r:u) k:b=1(r:t) r:t=1[b=1] r:u=1[a=1]
        > r +t +u had:t,u
        > k had:t=t,u=u,a=t,b=u
        < r 1 t=1+a:1+b:1 u=1+a:1+b:1
        < k 2 t=1 u=1
        ! r:u=1[a=2]
        @ 2000
        > r ok
        < r 3 t=1+a:2+b:1 u=1+a:2+b:1
        > k ok
        > r ok
        < k 4 a=1 b=1
        > k ok
        < r 5 t=1+b:1 u=1+a:2",
    );
}

/// What a client claims of tables and scopes that are not there, or were not told, changes nothing.
#[test]
fn claims_that_lead_nowhere() {
    check(
        "! k:t=1(r:t) k:a=1(r:t) r:t=1[a=1]
        > r +t had:t
        > k had:t=t,a=gone,b=t,c=other
        < r 1 t=1+a:1
        < k 2 t=1 -b -c
        > k ok
        > r ok
        < k 3 a=1
        > k ok",
    );
}

/// A client that does not ask for scopes is not waited for long, least of all when it has answered: then it has asked for all
/// that it asks for in the first breath.
#[test]
fn tables_do_not_wait_for_ever() {
    check(
        "! c:a=1 k:t=1(r:t) r:t=1
        > c had:a
        < c 1 a=1
        > r +t had:t
        @ 2000
        > c ok
        < r 2 t=1",
    );
    check(
        "! c:a=1 k:t=1(r:t) r:t=1
        > c had:a
        < c 1 a=1
        > r +t had:t
        > c ok
        @ 999
        @ 1
        < r 2 t=1",
    );
    check(
        "! k:t=1(r:t) r:t=1
        > r +t had:t
        @ 14999
        @ 1
        < r 1 t=1",
    );
}

/// A listener that was gone comes back and goes again before the client is sent any.
#[test]
fn a_listener_comes_and_goes_while_listeners_wait() {
    check(
        "! k:t=1(r:t) r:t=1
        > l had:x
        ! l:x=2
        ! -l:x
        @ 15000
        < l 1 -x",
    );
}

/// A table that only the client knows is counted once, however many scopes lead there, until they are taken.
#[test]
fn what_only_the_client_knows_is_counted() {
    let all = "k:t=1(r:t) k:a=1(r:t) k:b=1(r:t) r:t=1[a=1;b=1]";
    let mut script = Script::new(Variant::Delta, all);
    for (input, counted) in [
        ("> k had:t=t,a=gone,b=gone", (1, 4)),
        ("> r +t had:t", (1, 4)),
        ("> k ok", (1, 4)),
        ("> r ok", (1, 4)),
        ("> k ok", (0, 0)),
    ] {
        script.input(input).unwrap();
        assert_eq!(script.stream.nonexistent(), counted, "{input}");
    }
}
