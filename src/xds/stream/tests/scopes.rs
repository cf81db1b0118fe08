//! What waits for scopes, and what scopes wait for.

use super::script::check as play;
use crate::xds::message::Variant;

fn check(transcript: &str) {
    play(Variant::Delta, transcript);
}

/// A client that came without anything: a listener whose manager `m` chooses by scopes, keys `a` and `b` in table `t`.
const START: &str = "! x:m=1 l:x=1(x:m)[a=1;b=1] k:t=1(r:t) k:a=1(r:t) k:b=1(r:t) r:t=1[a=1;b=1]
        > l
        < l 1 x=1+a:1+b:1
        > l ok
        > x +m
        < x 2 m=1
        > x ok
        > k
        < k 3 a=1 b=1 t=1
        > r +t
        < r 4 t=1+a:1+b:1
        > k ok
        > r ok";

fn check_from_start(transcript: &str) {
    check(&format!("{START}\n{transcript}"));
}

/// Key `a` moves to a table of its own. The scope that has the table's name brings the table, `a` follows when the client
/// has the table, and only then the old table loses it. The listener comes last.
#[test]
fn a_key_moves_to_a_new_table() {
    check_from_start(
        "@ 5000
        ! l:x=1(x:m)[a=2;b=1] k:u=1(r:u) k:a=2(r:u) r:u=1[a=2] r:t=1[b=1]
        < k 5 u=1
        > k ok
        > r +u
        < r 6 u=1+a:2
        > r ok
        < k 7 a=2
        > k ok
        < l 8 x=1+a:2+b:1
        < r 9 t=1+b:1
        > l ok
        > r ok",
    );
}

/// Two keys change places: both tables have both for a while.
#[test]
fn two_keys_change_places() {
    check_from_start(
        "! k:u=1(r:u) k:b=2(r:u) r:u=1[b=2] r:t=1[a=1]
        < k 5 u=1
        > r +u
        < r 6 u=1+b:2
        > k ok
        > r ok
        < k 7 b=2
        > k ok
        < r 8 t=1+a:1
        > r ok
        ! k:a=2(r:u) k:b=3(r:t) r:u=1[a=3] r:t=1[b=3]
        < r 9 t=1+a:1+b:3 u=1+a:3+b:2
        > r ok
        < k 10 a=2 b=3
        > k ok
        < r 11 t=1+b:3 u=1+a:3",
    );
}

/// What tables say of each other's keys is not said while both have both: it would be about what is there.
#[test]
fn what_is_said_of_others_gives_way() {
    check(
        "! x:m=1 l:x=1(x:m) k:t=1(r:t) k:u=1(r:u) k:a=1(r:t) k:b=1(r:u) \
         r:t=1[a=1;b>elsewhere=1;c>elsewhere=1] r:u=1[b=1;a>elsewhere=1]
        > l
        < l 1 x=1
        > l ok
        > x +m
        < x 2 m=1
        > x ok
        > k
        < k 3 a=1 b=1 t=1 u=1
        > r +t +u
        < r 4 t=1+a:1+b>elsewhere:1+c>elsewhere:1 u=1+a>elsewhere:1+b:1
        > k ok
        > r ok
        ! k:a=2(r:u) k:b=2(r:t) r:t=1[b=2;a>elsewhere=2;c>elsewhere=1] r:u=1[a=2;b>elsewhere=2]
        < r 5 t=1+a:1+b:2+c>elsewhere:1 u=1+a:2+b:1
        > r ok
        < k 6 a=2 b=2
        > k ok
        < r 7 t=1+a>elsewhere:2+b:2+c>elsewhere:1 u=1+a:2+b>elsewhere:2
        > r ok",
    );
}

/// Who looks for what a client refuses has no key twice either, and blames nobody for what is said of others.
#[test]
fn a_search_has_no_key_twice() {
    check(
        "! x:m=1 l:x=1(x:m) k:t=1(r:t) k:u=1(r:u) k:a=1(r:t) k:b=1(r:u) \
         r:t=1[a=1;b>elsewhere=1] r:u=1[b=1;a>elsewhere=1]
        > l
        < l 1 x=1
        > l ok
        > x +m
        < x 2 m=1
        > x ok
        > k
        < k 3 a=1 b=1 t=1 u=1
        > r +t +u
        < r 4 t=1+a:1+b>elsewhere:1 u=1+a>elsewhere:1+b:1
        > k ok
        > r ok
        ! k:a=2(r:u) k:b=2(r:t) r:t=1[b=2;a>elsewhere=2] r:u=1[a=bad;b>elsewhere=2]
        < r 5 t=1+a:1+b:2 u=1+a:bad+b:1
        > r no:bad
        < r 6 t=1+a:1+b:2",
    );
}

/// A key whose table waits for a cluster that the client does not answer for holds no listener back, and leaves its old
/// table only when it has moved.
#[test]
fn a_key_that_waits_for_a_cluster_holds_no_listener() {
    check(
        "! x:m=1 l:x=1(x:m) k:t=1(r:t) k:a=1(r:t) r:t=1[a=1]
        > c
        < c 1
        > c ok
        > k
        < k 2 a=1 t=1
        > k ok
        > r +t
        < r 3 t=1+a:1
        > r ok
        > l
        < l 4 x=1
        > l ok
        ! c:late=1 c:slow=1 k:u=1(r:u) k:a=2(r:u) r:u=1[a=2(c:slow)] r:t=1 l:x=2(x:m)
        < c 5 late=1 slow=1
        < k 6 u=1
        > k ok
        > r +u
        < r 7 u=1+a:2
        > r ok
        < k 8 a=2
        > k ok
        < l 9 x=2
        < r 10 t=1",
    );
}

/// A key that is gone: no connection is led to it any more before its scope goes.
#[test]
fn a_scope_goes_after_what_leads_to_it() {
    check_from_start(
        "! l:x=1(x:m)[b=1] -k:a r:t=1[b=1]
        < l 5 x=1+b:1
        < r 6 t=1+b:1
        > r ok
        > l ok
        < k 7 -a
        > k ok",
    );
}

/// A client that never asks for the table of a scope is not waited for.
#[test]
fn a_table_that_nobody_asks_for_is_not_waited_for() {
    check_from_start(
        "! k:u=1(r:u) k:a=2(r:u) r:u=1[a=2]
        < k 5 u=1
        > k ok
        @ 999
        @ 1
        < k 6 a=2",
    );
}

/// A client that comes back asks for all types in one breath: its listeners wait for that, and then for the scopes.
#[test]
fn listeners_of_a_client_that_comes_back_come_last() {
    check(
        "! x:m=1 l:x=2(x:m)[a=1] k:t=1(r:t) k:a=1(r:t) r:t=1[a=1]
        > l had:x
        > k had:t,a
        < k 1 t=1
        > r +t had:t
        < r 2 t=1+a:1
        > k ok
        > r ok
        < k 3 a=1
        > k ok
        < l 4 x=2+a:1",
    );
    // One that has no scopes is not waited for long.
    check(
        "! l:x=2 k:t=1(r:t) r:t=1
        > l had:x
        @ 14999
        @ 1
        < l 1 x=2",
    );
}

/// The state of the world has what waits as it was.
#[test]
fn a_whole_world_of_scopes() {
    play(
        Variant::Sotw,
        "! k:t=1(r:t) k:a=1(r:t) r:t=1[a=1]
        > k
        < k 1 a=1 t=1
        > r =t
        < r 2 t=1+a:1
        > k ok
        > r ok
        ! k:u=1(r:u) k:a=2(r:u) r:u=1[a=2] r:t=1
        < k 3 a=1 t=1 u=1
        > r =t,u ok
        < r 4 u=1+a:2
        > k ok
        > r ok
        < k 5 a=2 t=1 u=1
        > k ok
        < r 6 t=1",
    );
}

/// A host is gone, and a wildcard above it takes its requests: the scope leads there, on whatever table that is. It comes back, and
/// goes for good with the wildcard.
#[test]
fn a_scope_of_a_host_that_is_gone_leads_to_what_is_above() {
    check(
        "! x:m=1 l:x=1(x:m)[a.test=1;*.test=1] k:t=1(r:t) k:u=1(r:u) k:a.test=1(r:t) k:*.test=1(r:u) \
         r:t=1[a.test=1] r:u=1[*.test=1]
        > l
        < l 1 x=1+*.test:1+a.test:1
        > l ok
        > x +m
        < x 2 m=1
        > x ok
        > k
        < k 3 *.test=1 a.test=1 t=1 u=1
        > r +t +u
        < r 4 t=1+a.test:1 u=1+*.test:1
        > k ok
        > r ok
        ! -k:a.test l:x=1(x:m)[*.test=1] r:t=1
        < k 5 a.test=→u
        > k ok
        < l 6 x=1+*.test:1
        < r 7 t=1
        > l ok
        > r ok
        ! k:*.test=2(r:t) r:t=1[*.test=2] r:u=1
        < r 8 t=1+*.test:2
        > r ok
        < k 9 *.test=2 a.test=→t
        > k ok
        < r 10 u=1
        > r ok
        ! -k:*.test l:x=1(x:m) r:t=1
        < l 11 x=1
        < r 12 t=1
        > l ok
        < k 13 -*.test -a.test
        > k ok
        > r ok",
    );
}

/// Where the wildcard has the same table, there is nothing to send. The scope leads where its host says as soon as the host is there
/// again.
#[test]
fn a_host_that_is_there_again_has_its_scope() {
    check(
        "! x:m=1 l:x=1(x:m) k:t=1(r:t) k:a.test=1(r:t) k:*.test=1(r:t) r:t=1[a.test=1;*.test=1]
        > l
        < l 1 x=1
        > l ok
        > x +m
        < x 2 m=1
        > x ok
        > k
        < k 3 *.test=1 a.test=1 t=1
        > r +t
        < r 4 t=1+*.test:1+a.test:1
        > k ok
        > r ok
        ! -k:a.test r:t=1[*.test=1]
        < r 5 t=1+*.test:1
        > r ok
        ! k:u=1(r:u) k:a.test=3(r:u) r:u=1[a.test=3]
        < k 6 u=1
        > k ok
        > r +u
        < r 7 u=1+a.test:3
        > r ok
        < k 8 a.test=3
        > k ok",
    );
}

/// A client that comes back has a scope whose host went meanwhile: its connections go on.
#[test]
fn a_client_that_comes_back_keeps_what_is_led_by_another() {
    check(
        "! x:m=1 l:x=1(x:m) k:t=1(r:t) k:*.test=1(r:t) r:t=1[*.test=1]
        > k had:a.test=t,b.other=t,*.test=t,t=t
        < k 1 t=1 -b.other
        > k ok
        > r +t
        < r 2 t=1+*.test:1
        > r ok
        < k 3 *.test=1 a.test=→t
        > k ok",
    );
}
