//! Containment of what a client refuses.

use super::script::{Script, check as play};
use crate::xds::Client;
use crate::xds::message::{RefusalText, Variant};
use crate::xds::stream::Event;
use crate::xds::wire::{BuildVersion, Node, SemanticVersion};

fn refused(script: &Script) -> Vec<String> {
    script
        .stream
        .refused()
        .into_iter()
        .map(|unit| {
            let part = unit.part.map(|part| format!("/{part}")).unwrap_or_default();
            format!(
                "{}:{}{part} {} ({})",
                unit.resource_type,
                unit.resource,
                unit.owners.join(","),
                unit.reason
            )
        })
        .collect()
}

/// The message names the cluster: the others at once, then it is known.
#[test]
fn a_named_cluster() {
    let script = play(
        Variant::Delta,
        "! c:a=1 c:b=bad c:d=1
        > c
        < c 1 a=1 b=bad d=1
        > c no:Error adding/updating cluster(s) b: bad
        < c 2 a=1 d=1
        > c ok
        ! c:a=2
        < c 3 a=2
        > c ok
        ! c:b=good
        < c 4 b=good
        > c ok",
    );
    assert!(refused(&script).is_empty(), "forgotten once it changed");
    assert!(
        script
            .events
            .iter()
            .any(|event| matches!(event, Event::UnitRefused(unit)
            if &*unit.resource == "b" && &*unit.owners[0] == "owner-of-b"))
    );
}

/// Envoy serves nothing on a listener that it refuses, unless it has an earlier form of it; and an Envoy that is too old
/// is told as such, whatever it says.
#[test]
fn refused_listeners_are_missing() {
    let missing = |script: &Script| -> Vec<String> {
        let missing = script.stream.missing();
        missing.iter().map(ToString::to_string).collect()
    };
    let mut script = Script::new(Variant::Delta, "l:http=bad l:https=1[a=bad]");
    let mut sent = script.input("> l").unwrap();
    for _ in 0..30 {
        let Some(response) = sent.first() else { break };
        let answer = if response.contains("bad") {
            "> l no:http is bad"
        } else {
            "> l ok"
        };
        sent = script.input(answer).unwrap();
    }
    assert_eq!(missing(&script).len(), 1, "{:?}", missing(&script));
    assert!(missing(&script)[0].starts_with("Envoy refuses the listener http: "));
    // Repaired, and then bad again: it goes on with what it took.
    assert_eq!(script.input("! l:http=good").unwrap().len(), 1);
    script.input("> l ok").unwrap();
    assert_eq!(missing(&script), [""; 0]);
    script.input("! l:http=bad2").unwrap();
    script.input("> l no:http is bad").unwrap();
    assert_eq!(refused(&script).len(), 2);
    assert_eq!(missing(&script), [""; 0]);

    // What it names may be what it refuses.
    let mut script = Script::new(Variant::Delta, "x:manager=bad l:http=1(x:manager)");
    script.input("> l").unwrap();
    script.input("> l ok").unwrap();
    script.input("> x +manager").unwrap();
    script.input("> x no:manager is bad").unwrap();
    assert!(missing(&script)[0].starts_with("Envoy refuses the extension manager: "));

    // One that it brought along it has.
    let mut script = Script::new(Variant::Delta, "l:http=bad");
    script.input("> l had:http").unwrap();
    script.input("> l no:http is bad").unwrap();
    assert_eq!(refused(&script).len(), 1);
    assert_eq!(missing(&script), [""; 0]);

    let mut script = Script::new(Variant::Delta, "l:http=bad");
    let mut request = script.request("l");
    request.client = Client::of(&Node {
        id: "envoy".into(),
        user_agent_name: "envoy".into(),
        user_agent_build_version: Some(BuildVersion {
            version: Some(SemanticVersion {
                major_number: 1,
                minor_number: 36,
                patch: 2,
            }),
        }),
    });
    script.stream.request(request, script.now).unwrap();
    script.input("@ 0").unwrap();
    script
        .input("> l no:Didn't find a registered implementation")
        .unwrap();
    assert!(missing(&script)[0].contains("Envoy 1.36.2 is too old"));
}

/// What is seen of one type: the version that was sent, taken, or refused and why.
#[test]
fn what_is_reported() {
    let mut script = Script::new(Variant::Delta, "c:a=1");
    let seen = |script: &Script| {
        let report = script.stream.report().types.remove(0);
        let rejected = report
            .rejected
            .map(|it| (it.version, it.reason.to_string()));
        let versions = [
            report.sent_version,
            report.acknowledged_version,
            report.pending_version,
        ];
        (versions, rejected)
    };
    script.input("> c").unwrap();
    let ([first, taken, pending], rejected) = seen(&script);
    assert!(first.is_some() && pending == first);
    assert_eq!((taken, rejected), (None, None));
    script.input("> c ok").unwrap();
    assert_eq!(seen(&script), ([first.clone(), first.clone(), None], None));
    script.input("! c:a=bad").unwrap();
    script.input("> c no:a is bad").unwrap();
    let ([second, taken, pending], rejected) = seen(&script);
    assert!(second.is_some() && second != first);
    assert_eq!((taken, pending), (first, None));
    assert_eq!(rejected, Some((second.unwrap(), "a is bad".to_owned())));
    script.input("! c:a=2").unwrap();
    script.input("> c ok").unwrap();
    assert_eq!(seen(&script).1, None, "all is well again");
}

/// The message names nothing: halves, and in the end the one that is left alone.
#[test]
fn an_unnamed_cluster() {
    let script = play(
        Variant::Delta,
        "! c:a=1 c:b=bad c:d=1 c:e=1
        > c
        < c 1 a=1 b=bad d=1 e=1
        > c no:negative duration
        < c 2 a=1 b=bad
        > c no:negative duration
        < c 3 a=1
        > c ok
        < c 4 d=1 e=1
        > c ok
        < c 5 b=bad
        > c no:negative duration",
    );
    assert_eq!(refused(&script), ["cds:b owner-of-b (negative duration)"]);
}

/// In a whole world the state is complete in each step; what was taken before stays in it. The one that is left over
/// makes the very set that was refused first, so its answer is known (and its nonce, 4, not used).
#[test]
fn a_cluster_of_the_world() {
    let script = play(
        Variant::Sotw,
        "! c:a=1 c:b=1 c:d=1
        > c
        < c 1 a=1 b=1 d=1
        > c ok
        ! c:a=2 c:b=bad
        < c 2 a=2 b=bad d=1
        > c no:no name
        < c 3 a=2 b=1 d=1
        > c ok
        ! c:d=2
        < c 5 a=2 b=1 d=2",
    );
    assert_eq!(refused(&script), ["cds:b owner-of-b (no name)"]);
}

/// One virtual host of a table: the table goes on without it, and keeps the hosts as they were while it is sought. It
/// is not tried by itself (6): that would be the table that was refused first.
#[test]
fn a_virtual_host_of_a_table() {
    let script = play(
        Variant::Delta,
        "! r:r=0[h1=1;h2=1;h3=1;h4=1]
        > r +r
        < r 1 r=0+h1:1+h2:1+h3:1+h4:1
        > r ok
        ! r:r=0[h1=2;h2=bad;h3=1;h4=2]
        < r 2 r=0+h1:2+h2:bad+h3:1+h4:2
        > r no:bad regex
        < r 3 r=0+h1:2+h2:bad+h3:1+h4:1
        > r no:bad regex
        < r 4 r=0+h1:2+h2:1+h3:1+h4:1
        > r ok
        < r 5 r=0+h1:2+h2:1+h3:1+h4:2
        > r ok
        < r 7 r=0+h1:2+h3:1+h4:2
        > r ok
        ! r:r=0[h1=2;h2=bad;h3=3;h4=2]
        < r 8 r=0+h1:2+h3:3+h4:2
        > r ok
        ! r:r=0[h1=2;h2=ok;h3=3;h4=2]
        < r 9 r=0+h1:2+h2:ok+h3:3+h4:2",
    );
    assert_eq!(refused(&script), [""; 0]);
}

/// A fresh client gets the table without the bad host in a few steps, and the message's key shortens it.
#[test]
fn a_fresh_client_and_a_bad_chain() {
    let script = play(
        Variant::Delta,
        "! l:x=0[p1=1;p2=bad;p3=1]
        > l
        < l 1 x=0+p1:1+p2:bad+p3:1
        > l no:filter chain p2 is bad
        < l 2 x=0+p1:1+p3:1
        > l ok",
    );
    assert_eq!(
        refused(&script),
        ["lds:x/p2 owner-of-p2 (filter chain p2 is bad)"]
    );
}

/// A whole table or assignment that is refused is answered with an empty one, or the client would wait for it.
#[test]
fn a_refused_table_is_answered_empty() {
    play(
        Variant::Delta,
        "! r:r=bad e:e=bad s:s=bad
        > r +r
        < r 1 r=bad
        > r no:bad
        < r 2 r=∅
        > e +e
        < e 3 e=bad
        > e no:bad
        < e 4 e=∅
        > s +s
        < s 5 s=bad
        > s no:bad
        < s 6 -s
        > r ok
        > e ok
        > s ok
        ! s:s=good
        < s 7 s=good",
    );
}

/// A refused cluster or assignment counts as settled: its routes answer 503, the others are not held back.
#[test]
fn routes_do_not_wait_for_what_is_refused() {
    play(
        Variant::Delta,
        "! c:a=bad(e:a) e:a=1 r:r=1(c:a) r:q=1
        > c
        < c 1 a=bad
        > e +other
        < e 2 other=∅
        > r +r +q
        < r 3 q=1
        > r ok
        > c no:bad
        < r 4 r=1",
    );
}

/// I10: what a client says about a secret is nobody's to read.
#[test]
fn a_refused_secret_is_not_quoted() {
    let script = play(
        Variant::Delta,
        "! s:s=bad
        > s +s
        < s 1 s=bad
        > s no:Proto constraint: inline_string: -----BEGIN PRIVATE KEY----- MIIE
        < s 2 -s",
    );
    assert_eq!(
        refused(&script),
        [format!("sds:s owner-of-s ({})", RefusalText::SECRET)]
    );
    let report = script.stream.report();
    let rejected = report.types[0].rejected.as_ref().unwrap();
    assert_eq!(&*rejected.reason, RefusalText::SECRET);
    let shown = format!("{:?} {:?} {report:?}", script.events, script.stream);
    assert!(!shown.contains("PRIVATE") && !shown.contains("MIIE"));
}

/// What went along with a bad resource is sent again: endpoints that a changed cluster waits for.
#[test]
fn what_was_only_sent_again_is_sent_again() {
    play(
        Variant::Delta,
        "! c:a=1(e:a) e:a=1 e:b=1
        > c
        < c 1 a=1
        > e +a +b
        < e 2 a=1 b=1
        > c ok
        > e ok
        ! c:a=2(e:a) e:b=bad
        < c 3 a=2
        < e 4 a=1 b=bad
        > e no:bad
        < e 5 a=1
        > e ok",
    );
}

/// Envoy refuses a Secret with another's key once, keeps it, and takes it when it comes again: then nobody is left out,
/// whoever is the last one to be tried.
#[test]
fn a_client_that_takes_what_it_has_refused() {
    let script = play(
        Variant::Delta,
        "! s:a=1 s:b=bad s:d=1 s:e=1
        > s +a +b +d +e
        < s 1 a=1 b=bad d=1 e=1
        > s no:key values mismatch
        < s 2 a=1 b=bad
        > s ok
        < s 3 d=1
        > s ok
        < s 4 e=1
        > s ok",
    );
    assert_eq!(refused(&script), [""; 0]);
}

/// A change that takes the suspects away ends the search; a removal goes with it.
#[test]
fn changes_during_the_search() {
    play(
        Variant::Delta,
        "! c:a=bad c:b=1
        > c
        < c 1 a=bad b=1
        > c no:?
        < c 2 a=bad
        ! c:a=good
        > c no:?
        < c 3 b=1
        > c ok
        < c 4 a=good",
    );
}

/// Bytes that were refused once are not sent again when they come back.
#[test]
fn bytes_that_come_back() {
    let script = play(
        Variant::Delta,
        "! c:a=bad
        > c
        < c 1 a=bad
        > c no:?
        ! c:a=good
        < c 2 a=good
        > c ok
        ! c:a=bad",
    );
    assert_eq!(refused(&script), ["cds:a owner-of-a (?)"]);
}
