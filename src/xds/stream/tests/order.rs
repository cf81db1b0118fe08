//! Make before break: what waits for what, and for how long.

use super::script::check as play;
use crate::xds::message::Variant;
use crate::xds::stream::Event;

fn check(transcript: &str) {
    play(Variant::Delta, transcript);
}

/// Everything subscribed and acknowledged: one route `r` to cluster `a`.
const START: &str = "! c:a=1(e:a) e:a=1 l:x=1(r:r,s:s) r:r=1(c:a) s:s=1
        > c
        < c 1 a=1
        > e +a
        < e 2 a=1
        > e ok
        > c ok
        > l
        < l 3 x=1
        > r +r
        < r 4 r=1
        > s +s
        < s 5 s=1
        > l ok
        > r ok
        > s ok";

fn check_from_start(transcript: &str) {
    check(&format!("{START}\n{transcript}"));
}

/// a route moves to a new cluster. The route waits for the endpoints' acknowledgement, not for that of CDS;
/// the old cluster goes a grace period after the route was acknowledged.
#[test]
fn a_route_moves() {
    check_from_start(
        "! c:b=1(e:b) e:b=1 r:r=2(c:b) -c:a -e:a
        < c 6 b=1
        > e +b
        < e 7 b=1
        > e ok
        < r 8 r=2
        @ 5000
        > r ok
        @ 999
        @ 1
        > c ok
        < c 9 -a
        < e 10 -a",
    );
}

/// The same for state of the world.
#[test]
fn a_route_moves_in_a_whole_world() {
    play(
        Variant::Sotw,
        "! c:a=1(e:a) e:a=1 r:r=1(c:a)
        > c
        < c 1 a=1
        > e =a
        < e 2 a=1
        > c ok
        > e ok
        > r =r
        < r 3 r=1
        > r ok
        ! c:b=1(e:b) e:b=1 r:r=2(c:b) -c:a -e:a
        < c 4 a=1 b=1
        > e =a,b ok
        < e 5 b=1
        > e ok
        < r 6 r=2
        > r ok
        > c ok
        @ 1000
        < c 7 b=1
        > e =b ok
        > c ok",
    );
}

/// One route that waits holds nobody back.
#[test]
fn a_route_that_waits_does_not_hold_others() {
    check_from_start(
        "> r +q
        < r 6 q=∅
        > r ok
        ! c:b=1(e:b) e:b=1 r:r=2(c:b) r:q=1(c:a)
        < c 7 b=1
        < r 8 q=1
        > r ok
        > e +b
        < e 9 b=1
        > e ok
        < r 10 r=2",
    );
}

/// CDS withholds its answer: everything but clusters goes on, newer snapshots included.
#[test]
fn a_late_answer_to_cds_stops_nothing_else() {
    check_from_start(
        "! c:slow=1(e:slow) e:slow=1
        < c 6 slow=1
        ! c:b=1(e:b) e:b=1 r:r=2(c:b) s:s=2
        < s 7 s=2
        ! e:a=2
        < e 8 a=2
        ! l:x=2
        < l 9 x=2
        > l ok
        > e ok
        ! e:a=3
        < e 10 a=3
        @ 14000
        > c ok
        < c 11 b=1
        > e +b ok
        < e 12 b=1
        > e ok
        < r 13 r=2",
    );
}

/// While a route is on its way its snapshot stays: a newer one that moves it again does not starve it.
#[test]
fn a_busy_cluster_does_not_starve_its_routes() {
    check_from_start(
        "! c:b=1(e:b) e:b=1 r:r=2(c:b)
        < c 6 b=1
        > c ok
        > e +b
        < e 7 b=1
        ! c:d=1(e:d) e:d=1 r:r=3(c:d) e:a=2
        > e ok
        < e 8 a=2
        < r 9 r=2
        < c 10 d=1",
    );
}

/// ... but not for ever.
#[test]
fn the_target_is_not_held_for_ever() {
    check_from_start(
        "! c:b=1(e:b) e:b=1 r:r=2(c:b)
        < c 6 b=1
        > c ok
        ! l:x=2
        @ 1999
        @ 1
        < l 7 x=2",
    );
}

/// Endpoints that the client holds follow the newest snapshot at any time, and come back with it.
#[test]
fn endpoints_overtake() {
    check_from_start(
        "! c:b=1(e:b) e:b=1 r:r=2(c:b)
        < c 6 b=1
        > c ok
        ! e:a=2 l:x=2
        < e 7 a=2
        > e ok
        ! e:a=1
        < e 8 a=1
        > e ok
        > e +b
        < e 9 b=1
        > e ok
        < r 10 r=2
        < l 11 x=2",
    );
}

/// after a cluster its endpoints, after a listener its secrets and routes; of altered parts only.
#[test]
fn what_a_change_needs_is_sent_again() {
    check_from_start(
        "! c:a=2(e:a)
        < c 6 a=2
        < e 7 a=1
        > c ok
        > e ok
        ! l:x=2(r:r,s:s)
        < l 8 x=2
        < r 9 r=1
        < s 10 s=1",
    );
    check(
        "! l:x=1[p=1(s:p);q=1(s:q)] s:p=1 s:q=1
        > l
        < l 1 x=1+p:1+q:1
        > s +p +q
        < s 2 p=1 q=1
        > l ok
        > s ok
        ! l:x=1[p=2(s:p);q=1(s:q)]
        < l 3 x=1+p:2+q:1
        < s 4 p=1",
    );
}

/// A client that does not use EDS is not waited for; one that may yet ask is, for a moment.
#[test]
fn clients_without_endpoints() {
    check(
        "! c:a=1(e:a) e:a=1 r:r=1(c:a)
        > r +r
        < r 1 r=1",
    );
    check(
        "! c:a=1(e:a) e:a=1 r:r=1(c:a)
        > c
        < c 1 a=1
        > r +r
        @ 60000
        > c ok
        @ 999
        @ 1
        < r 2 r=1",
    );
    check(
        "! c:a=1(e:a) e:a=1 r:r=1(c:a)
        > c
        < c 1 a=1
        > r +r
        > e +a
        < e 2 a=1
        @ 5000
        > e ok
        < r 3 r=1",
    );
}

/// A cluster that leaves and comes back within the grace period never left.
#[test]
fn a_cluster_that_comes_back() {
    check_from_start(
        "! c:b=1 r:r=2(c:b) -c:a -e:a
        < c 6 b=1
        < r 7 r=2
        > r ok
        > c ok
        @ 500
        ! c:a=1(e:a) e:a=1
        @ 5000
        ! -c:a -e:a
        @ 999
        > e +a
        < e 8 a=1
        > e ok
        @ 1
        < c 9 -a
        < e 10 -a",
    );
}

#[test]
fn time_from_snapshot_to_acknowledgement() {
    let script = play(
        Variant::Delta,
        "! c:a=1
        > c
        < c 1 a=1
        > c ok
        ! c:a=2
        < c 2 a=2
        @ 300
        > c ok",
    );
    let after = std::time::Duration::from_millis(300);
    assert!(
        script
            .events
            .contains(&Event::SnapshotAcknowledged { after })
    );
}
