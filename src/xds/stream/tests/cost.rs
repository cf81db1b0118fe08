//! X-33: what a request, a change and a refusal cost grows with the names that they are about, and not with the square of
//! their number: a client that names 40,000 once stopped all others for 13 s.

use nix::time::{ClockId, clock_gettime};

use super::script::Script;
use crate::xds::message::{RefusalText, Variant};

/// How many names there are, and four times as many.
const FEW: usize = 4_000;
const MANY: usize = 4 * FEW;

/// Between what four times the names cost where it grows with their number, 4, and with its square, 16.
const GROWTH: f64 = 8.0;

/// The processor time of this thread, which others can't take.
fn cost(work: impl Fn(usize), names: usize) -> f64 {
    let time = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    let begin = time();
    work(names);
    let took = time() - begin;
    let nanoseconds = u32::try_from(took.tv_nsec()).unwrap();
    f64::from(i32::try_from(took.tv_sec()).unwrap()) + f64::from(nanoseconds) / 1e9
}

/// Others share its caches, so one try may show more growth than there is; what is quadratic shows it in each.
fn grows_with_the_names(what: &str, work: impl Fn(usize)) {
    let mut tries = Vec::new();
    for _ in 0..3 {
        let growth = cost(&work, MANY) / cost(&work, FEW);
        println!("{what}: {growth:.1}");
        if growth < GROWTH {
            return;
        }
        tries.push(growth);
    }
    panic!("{what}: {tries:.1?}");
}

fn list(count: usize, separator: &str, name: impl Fn(usize) -> String) -> String {
    let all: Vec<String> = (0..count).map(name).collect();
    all.join(separator)
}

/// A client of `count` assignments that has taken all of them.
fn subscribed(variant: Variant, count: usize) -> Script {
    let mut script = Script::new(variant, &list(count, " ", |n| format!("e:{n}=1")));
    let sent = match variant {
        Variant::Delta => script.input(&format!("> e {}", list(count, " ", |n| format!("+{n}")))),
        Variant::Sotw => script.input(&format!("> e ={}", list(count, ",", |n| n.to_string()))),
    };
    assert_eq!(sent.unwrap()[0].matches("=1").count(), count);
    assert_eq!(script.input("> e ok").unwrap(), [""; 0]);
    script
}

/// Answers as a client does that can't take what is bad, until nothing comes any more; the number of responses.
fn answers(script: &mut Script, of: &str, mut sent: Vec<String>, refusal: &str) -> usize {
    let mut responses = 0;
    while let Some(last) = sent.last() {
        responses += 1;
        assert!(responses < 100, "it never ends");
        let answer = match last.contains("bad") {
            true => format!("> {of} no:{refusal}"),
            false => format!("> {of} ok"),
        };
        sent = script.input(&answer).unwrap();
    }
    responses
}

#[test]
fn of_a_subscription_and_of_what_changes_in_it() {
    for variant in [Variant::Delta, Variant::Sotw] {
        grows_with_the_names(&format!("{variant:?}"), |count| {
            let mut script = subscribed(variant, count);
            let changes = list(count, " ", |n| format!("e:{n}=2"));
            let sent = script.input(&format!("! {changes}")).unwrap();
            assert_eq!(sent[0].matches("=2").count(), count);
            script.input("> e ok").unwrap();
            let removals = list(count, " ", |n| format!("-e:{n}"));
            script.input(&format!("! {removals}")).unwrap();
            // What stands for them, or that they are gone.
            script.input("@ 60000").unwrap();
            if variant == Variant::Delta {
                let names = list(count, " ", |n| format!("-{n}"));
                script.input(&format!("> e ok {names}")).unwrap();
            }
        });
    }
}

/// Clusters and their endpoints, of a client that has all of them from an earlier stream.
#[test]
fn of_a_client_that_comes_back() {
    grows_with_the_names("claims", |count| {
        let both = list(count, " ", |n| format!("c:{n}=1(e:{n}) e:{n}=1"));
        let mut script = Script::new(Variant::Delta, &both);
        let had = list(2 * count, ",", |n| n.to_string());
        let names = list(count, " ", |n| format!("+{n}"));
        script.input(&format!("> c had:{had}")).unwrap();
        script.input(&format!("> e {names} had:{had}")).unwrap();
        script.input("> c ok").unwrap();
        script.input("> e ok").unwrap();
        script.input("@ 60000").unwrap();
    });
}

/// Scopes of two tables, all of which moved from one to the other while the client was away; its clusters take their time.
#[test]
fn of_scopes_that_moved_meanwhile() {
    grows_with_the_names("scopes", |count| {
        let scopes = list(count, " ", |n| format!("k:{n}=1(r:u)"));
        let parts = list(count, ";", |n| format!("{n}=1(c:a)"));
        let all = format!("c:a=1(e:a) e:a=1 k:t=1(r:t) k:u=1(r:u) {scopes} r:t=1 r:u=1[{parts}]");
        let mut script = Script::new(Variant::Delta, &all);
        let had = list(count, ",", |n| format!("{n}=t"));
        for ask in [
            "> c had:a",
            "> e +a had:a",
            "> l had:x",
            "> r +t +u had:t,u",
        ] {
            script.input(ask).unwrap();
        }
        script.input(&format!("> k had:t=t,u=u,{had}")).unwrap();
        script.input("> k ok").unwrap();
        script.input("> c ok").unwrap();
        let sent = script.input("> e ok").unwrap();
        assert_eq!(sent.concat().matches(":1").count(), 2 * count);
        let sent = script.input("> r ok").unwrap();
        assert_eq!(sent[0].matches("=1").count(), count);
        let sent = script.input("> k ok").unwrap();
        assert!(sent.iter().any(|line| line.ends_with(" t=1")));
    });
}

/// A response of many resources, one of which is bad; the client names it, or nothing, or as much as is kept of its words.
#[test]
fn of_a_refusal() {
    let long = list(RefusalText::KEPT / 4, " ", |n| n.to_string());
    for (what, refusal) in [("named", "7 is bad"), ("unnamed", "bad"), ("long", &long)] {
        grows_with_the_names(what, |count| {
            let mut script = subscribed(Variant::Delta, count);
            let changes = list(count, " ", |n| match n {
                7 => "e:7=bad".to_owned(),
                _ => format!("e:{n}=2"),
            });
            let sent = script.input(&format!("! {changes}")).unwrap();
            answers(&mut script, "e", sent, refusal);
            assert_eq!(script.stream.refused().len(), 1, "{what}");
        });
    }
}

/// The same of a table of many parts.
#[test]
fn of_a_refused_part() {
    grows_with_the_names("parts", |count| {
        let parts = list(count, ";", |n| match n {
            7 => "h7=bad".to_owned(),
            _ => format!("h{n}=1"),
        });
        let mut script = Script::new(Variant::Delta, &format!("r:t=0[{parts}]"));
        let sent = script.input("> r +t").unwrap();
        answers(&mut script, "r", sent, "bad");
        assert_eq!(script.stream.refused().len(), 1);
    });
}
