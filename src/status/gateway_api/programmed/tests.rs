#![allow(clippy::unwrap_used)]

use super::*;
use crate::objects::gateway_api::ListenerStatus;

fn programmed(status: ConditionStatus, generation: i64) -> StatusCondition {
    StatusCondition {
        kind: PROGRAMMED.into(),
        status,
        reason: "Programmed".into(),
        message: "".into(),
        observed_generation: generation,
    }
}

/// A Gateway of one listener, which is `gw/a`.
fn status(holds: bool, generation: i64) -> Status {
    let status = match holds {
        true => ConditionStatus::True,
        false => ConditionStatus::Unknown,
    };
    let conditions = || [programmed(status, generation)].into();
    Status {
        conditions: conditions(),
        listeners: [ListenerStatus {
            name: "a".into(),
            kinds: Box::default(),
            attached_routes: 0,
            conditions: conditions(),
        }]
        .into(),
        ..Status::default()
    }
}

fn facts(seen: Status) -> GatewayApiFacts {
    GatewayApiFacts {
        uid: "1".into(),
        created: None,
        wanted: None,
        room: None,
        seen: Arc::new(seen),
    }
}

fn delivery(acknowledged: u64, is_connected: bool, refused: Option<&str>) -> Delivery {
    let refused = refused.map(|name| (name.into(), "no".into()));
    Delivery {
        acknowledged,
        is_connected,
        refused_listeners: Arc::new(refused.into_iter().collect()),
    }
}

/// What is written of the object and of its listener, and whether it is now.
fn written(of: &mut Programmed, seen: Status, generation: i64, now: Instant) -> (String, bool) {
    let places = [("gw/a".into(), 0)].into();
    let of_object = WantedStatus {
        places,
        ..WantedStatus::default()
    };
    let mut wanted = status(true, generation);
    let name = NamespacedName::new("shop", "web");
    let until = of.enter(&name, &facts(seen), &of_object, &mut wanted, now);
    let of_listener = &wanted.listeners[0].conditions[0];
    let text = format!(
        "{} {}",
        wanted.conditions[0].status.as_str(),
        of_listener.status.as_str()
    );
    (text, until.is_none())
}

type Row = (Delivery, Status, Instant, (&'static str, bool));

/// What comes of generation 2, which is in the snapshot 7.
fn rows(now: Instant) -> Vec<Row> {
    let later = now + HOLD;
    let nothing = Status::default;
    vec![
        // Nobody is there to acknowledge it.
        (
            delivery(0, false, None),
            nothing(),
            now,
            ("True True", true),
        ),
        (delivery(7, true, None), nothing(), now, ("True True", true)),
        (delivery(8, true, None), nothing(), now, ("True True", true)),
        // It waits, and after a while it is said.
        (
            delivery(6, true, None),
            nothing(),
            now,
            ("Unknown Unknown", false),
        ),
        (
            delivery(6, true, None),
            nothing(),
            later,
            ("Unknown Unknown", true),
        ),
        // Another generation is another claim.
        (
            delivery(6, true, None),
            status(true, 1),
            now,
            ("Unknown Unknown", false),
        ),
        // What is said stays.
        (
            delivery(0, true, None),
            status(true, 2),
            now,
            ("True True", true),
        ),
        // But not where it is refused; and another listener's refusal is nothing to it.
        (
            delivery(7, true, Some("gw/a")),
            status(true, 2),
            now,
            ("False False", true),
        ),
        (
            delivery(7, true, Some("gw/b")),
            nothing(),
            now,
            ("True True", true),
        ),
    ]
}

#[test]
fn it_holds_once_it_is_acknowledged_and_then_stays() {
    let now = Instant::now();
    for (delivery, seen, at, expected) in rows(now) {
        let mut of = Programmed::default();
        of.follow(7);
        of.delivered(&delivery);
        written(&mut of, seen.clone(), 2, now);
        let (text, is_now) = written(&mut of, seen, 2, at);
        assert_eq!((&*text, is_now), expected, "{delivery:?}");
    }
}

/// Later verdicts move nothing: what waits for one snapshot does not come to wait for the next.
#[test]
fn what_waits_is_woken_by_its_own_snapshot() {
    let now = Instant::now();
    let name = NamespacedName::new("shop", "web");
    let mut of = Programmed::default();
    of.delivered(&delivery(1, true, None));
    of.follow(2);
    assert!(!written(&mut of, Status::default(), 1, now).1);
    of.follow(9);
    let written_later = written(&mut of, status(false, 1), 1, now + HOLD);
    assert_eq!(written_later, ("Unknown Unknown".to_owned(), true));
    assert_eq!(of.delivered(&delivery(1, true, None)), Some(Vec::new()));
    assert_eq!(
        of.delivered(&delivery(2, true, None)),
        Some(vec![name.clone()])
    );
    // Once: a write that has failed waits for its time.
    assert_eq!(of.delivered(&delivery(3, true, None)), Some(Vec::new()));
    let there = written(&mut of, status(false, 1), 1, now + HOLD);
    assert_eq!(there, ("True True".to_owned(), true));
    // Seen, it waits for nothing any more; a refusal may concern any.
    written(&mut of, status(true, 1), 1, now + HOLD);
    assert!(of.waiting.is_empty());
    assert_eq!(of.delivered(&delivery(2, true, Some("gw/b"))), None);
    // Of the next generation it is another snapshot.
    assert!(!written(&mut of, status(true, 1), 2, now).1);
    of.forget(&name);
    assert!(of.waiting.is_empty());
}
