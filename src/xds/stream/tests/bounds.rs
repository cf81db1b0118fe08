//! What a client that was let in can make the server remember and do: no more than what it may name, however long it goes
//! on, and whether or not it answers.

use super::script::Script;
use crate::xds::ResourceType;
use crate::xds::message::Variant;
use crate::xds::stream::{Stream, Violation};

const VARIANTS: [Variant; 2] = [Variant::Delta, Variant::Sotw];

/// What waits for the client, of all types.
fn waiting(script: &Script) -> usize {
    let report = script.stream.report();
    report.types.iter().map(|of| of.waiting).sum()
}

fn names(sign: &str, round: usize, count: usize) -> String {
    let names: Vec<String> = (0..count).map(|n| format!("{sign}{round}.{n}")).collect();
    names.join(if sign.is_empty() { "," } else { " " })
}

/// The wildcard covers made-up names too, and the client never answers.
#[test]
fn names_that_are_taken_back_do_not_add_up() {
    const NAMES: usize = Stream::NAMES / 5;
    for named_before in [false, true] {
        let mut script = Script::new(Variant::Delta, "c:a=1");
        script.input("> c *").unwrap();
        let mut round = 0;
        let end = loop {
            assert!(round < 10, "{} names wait", waiting(&script));
            let mut play = || {
                if named_before {
                    script.input(&format!("> c {}", names("+", round, NAMES)))?;
                }
                script.input(&format!("> c {}", names("-", round, NAMES)))
            };
            match play() {
                Ok(sent) => assert!(sent.is_empty()),
                Err(end) => break end,
            }
            round += 1;
        };
        assert_eq!(end, Violation::TooManyNames);
        assert_eq!(round, 5);
    }
    let mut script = Script::new(Variant::Sotw, "c:a=1");
    script.input("> c =*").unwrap();
    for round in 0..20 {
        // A renewed interest too.
        for nonce in ["ok:1", "ok:0", "ok"] {
            let request = format!("> c =*,{} {nonce}", names("", round, 100));
            script.input(&request).unwrap();
        }
        assert!(waiting(&script) <= 200, "{} names wait", waiting(&script));
    }
}

/// What does not exist and is remembered all the same is known, and so is when it is not any more.
#[test]
fn nonexistent_names_are_counted() {
    // Of names of one letter.
    let check = |variant: Variant, steps: &[(&str, usize)]| {
        let mut script = Script::new(variant, "c:a=1(e:a) e:a=1 l:a=1");
        for (input, expected) in steps {
            script.input(input).unwrap();
            let nonexistent = script.stream.nonexistent();
            assert_eq!(
                nonexistent,
                (*expected, *expected),
                "{variant:?} {input}: {steps:?}"
            );
        }
    };
    // Subscribed to, and let go; what exists is everybody's.
    check(
        Variant::Delta,
        &[
            ("> e +a +b +c", 2),
            ("> e ok", 2),
            ("> e -b", 1),
            ("> e -a -c", 0),
        ],
    );
    check(
        Variant::Sotw,
        &[("> e =a,b,c", 2), ("> e =a,c ok", 1), ("> e =a ok", 0)],
    );
    // It comes into being, and is gone again, which is no word of the client's.
    let comes = [("> e +a +b", 1), ("! e:b=1", 0), ("! -e:b", 0)];
    check(Variant::Delta, &comes);
    check(Variant::Sotw, &[("> e =a,b", 1), comes[1], comes[2]]);
    // To be told, while the wildcard covers it; until it is told.
    check(
        Variant::Delta,
        &[
            ("> c * +b", 1),
            ("> c -b", 1),
            ("> c -d", 2),
            ("> c ok", 0),
            ("> c ok", 0),
        ],
    );
    // Brought along, until it is taken from the client: a listener at once, else when its users have been sent.
    check(Variant::Delta, &[("> l had:a,b", 0)]);
    check(
        Variant::Delta,
        &[
            ("> c had:a,b", 1),
            ("> l", 1),
            ("> r", 1),
            ("> c ok", 1),
            ("> l ok", 1),
            ("@ 2000", 0),
        ],
    );
    check(
        Variant::Delta,
        &[
            ("> e +b had:b,d", 2),
            ("> e -b", 1),
            ("> e +d", 1),
            ("> e -d", 0),
        ],
    );
}

/// The lengths count as much as the number.
#[test]
fn long_names_do_not_add_up() {
    let mut script = Script::new(Variant::Delta, "c:a=1");
    script.input("> c *").unwrap();
    let long = "n".repeat(Stream::NAME_BYTES / 4);
    let end = (0..10).find_map(|n| script.input(&format!("> c -{n}{long}")).err());
    assert_eq!(end, Some(Violation::TooManyNames));
    let mut script = Script::new(Variant::Delta, "c:a=1");
    let claims = ["c", "e", "l", "r", "s"].map(|of| format!("> {of} had:1{long},2{long}"));
    let end = claims.iter().find_map(|claim| script.input(claim).err());
    assert_eq!(end, Some(Violation::TooManyNames));
}

/// A client that subscribes and never answers: what comes and goes meanwhile is nobody's.
#[test]
fn changes_do_not_add_up_for_a_client_that_never_answers() {
    for variant in VARIANTS {
        let mut script = Script::new(variant, "c:first=1 l:first=1");
        script.input("> c").unwrap();
        script.input("> l").unwrap();
        script.input("> e +a =a").ok();
        for round in 0..1000 {
            let gone = match round {
                0 => String::new(),
                _ => format!("-c:{0} -e:{0} -l:{0} -r:{0} -s:{0}", round - 1),
            };
            let change =
                format!("! {gone} c:{round}=1 e:{round}=1 l:{round}=1 r:{round}=1 s:{round}=1");
            assert_eq!(script.input(&change).unwrap(), [""; 0]);
            assert!(waiting(&script) <= 4, "{} names wait", waiting(&script));
        }
    }
}

/// Nothing is remembered of a stand-in that was refused once its name is taken back.
#[test]
fn refused_stand_ins_do_not_add_up() {
    for round in 0..20 {
        let mut script = Script::new(Variant::Delta, "");
        script
            .input(&format!("> r {}", names("+", round, 1)))
            .unwrap();
        script.input("> r no:bad").unwrap();
        assert_eq!(script.stream.refused().len(), 1);
        script
            .input(&format!("> r {}", names("-", round, 1)))
            .unwrap();
        assert_eq!(script.stream.refused().len(), 0);
    }
}

/// A client that refuses a resource and then what stands for it is sent neither again, and costs no more steps than
/// there were responses: each step takes a nonce.
#[test]
fn a_refused_stand_in_takes_no_rounds() {
    for variant in VARIANTS {
        for of in ["r", "e"] {
            let mut script = Script::new(variant, &format!("{of}:x=bad {of}:y=1"));
            let mut sent = script.input(&format!("> {of} +x +y =x,y")).unwrap();
            let mut responses = sent.len();
            while !sent.is_empty() {
                assert!(responses < 20);
                let bad = sent[0].contains("x=");
                let answer = if bad { "no:bad" } else { "ok" };
                sent = script.input(&format!("> {of} {answer}")).unwrap();
                responses += sent.len();
            }
            for form in 0..50 {
                // Each step before found out again that both were refused.
                script.input("@ 5000").unwrap();
                let out = script.input(&format!("! {of}:y=again{form}")).unwrap();
                assert_eq!(out.len(), 1);
                let nonce: usize = out[0].split(' ').nth(1).unwrap().parse().unwrap();
                assert!(
                    nonce <= responses + 10 + form * 2,
                    "{variant:?} {of}: {out:?}"
                );
                script.input(&format!("> {of} ok")).unwrap();
            }
            let service = if of == "r" {
                ResourceType::Route
            } else {
                ResourceType::Endpoint
            };
            let refused = script.stream.refused();
            let heads: Vec<_> = refused
                .iter()
                .filter(|unit| &*unit.resource == "x")
                .collect();
            assert!(heads.iter().all(|unit| unit.resource_type == service));
            assert_eq!(heads.len(), 2, "the resource, and what stands for it");
            // Other bytes are tried again.
            let out = script.input(&format!("! {of}:x=good")).unwrap();
            assert!(out.last().unwrap().ends_with("x=good"), "{out:?}");
        }
    }
}
