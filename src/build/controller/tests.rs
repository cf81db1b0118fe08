//! What waits in the channel is one batch.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use futures::future::join;

use super::*;
use crate::build::Config;
use crate::objects::{Kind, ObjectRef};
use crate::process::admin::Readiness;
use crate::process::supervisor::Supervisor;
use crate::translate::Options;

fn builder() -> Builder {
    Builder::new(Config::of_manifests(Options::default()))
}

/// How many builds it takes until so many events, which wait when the controller begins, are all counted.
async fn builds_for(waiting: usize) -> usize {
    let (sender, events) = mpsc::channel(waiting);
    for number in 0..waiting {
        let gone = ObjectRef::new(Kind::Service, "default", number.to_string());
        sender.send(Event::Delete(gone)).await.unwrap();
    }
    let mut registry = prometheus_client::registry::Registry::default();
    let (readiness, _pending) = Readiness::new("nothing");
    let (controller, _outputs) = Controller::new(
        builder(),
        Awaited::new([], &readiness),
        events,
        Metrics::register(&mut registry),
        Heartbeat::default(),
    );
    let value = |series: &str| -> usize {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
        let mut lines = page.lines();
        let value =
            lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or(0)
    };
    let supervisor = Supervisor::new();
    let stop = supervisor.stop();
    let until_counted = async {
        let events = r#"events_total{kind="Service",operation="delete"}"#;
        while value(events) < waiting {
            tokio::task::yield_now().await;
        }
        drop(supervisor);
    };
    let (end, ()) = join(controller.run(stop), until_counted).await;
    end.unwrap();
    drop(sender);
    value("build_seconds_count")
}

#[tokio::test]
async fn what_waits_is_built_once() {
    assert_eq!(builds_for(1).await, 1);
    assert_eq!(builds_for(BATCH).await, 1);
}

#[tokio::test]
async fn a_flood_does_not_keep_what_it_brings() {
    assert_eq!(builds_for(2 * BATCH + 1).await, 3);
}

/// A controller without anything to await, what is sent to it, and its metrics.
fn started(
    waiting: usize,
) -> (
    Controller,
    Outputs,
    mpsc::Sender<Event>,
    Arc<prometheus_client::registry::Registry>,
) {
    let (sender, events) = mpsc::channel(waiting);
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = Metrics::register(&mut registry);
    let (readiness, _pending) = Readiness::new("nothing");
    let awaited = Awaited::new([], &readiness);
    let heartbeat = Heartbeat::default();
    let (controller, outputs) = Controller::new(builder(), awaited, events, metrics, heartbeat);
    (controller, outputs, sender, Arc::new(registry))
}

fn deleted(number: usize) -> Event {
    Event::Delete(ObjectRef::new(Kind::Service, "default", number.to_string()))
}

fn seen(registry: &prometheus_client::registry::Registry) -> usize {
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, registry).unwrap();
    let series = r#"events_total{kind="Service",operation="delete"} "#;
    let mut lines = page.lines();
    let value = lines.find_map(|line| line.strip_prefix(series)?.parse().ok());
    value.unwrap_or(0)
}

/// Whoever asks gets an answer once there is a snapshot, and sees all that waited before.
#[tokio::test]
async fn events_go_before_questions() {
    const EVENTS: usize = 2 * BATCH + 1;
    let (controller, outputs, sender, registry) = started(EVENTS);
    let supervisor = Supervisor::new();
    let stop = supervisor.stop();
    let ask = || {
        let registry = registry.clone();
        outputs
            .questions
            .ask(move |state| (state.snapshot, seen(&registry)))
    };
    let asked = async {
        for number in 0..EVENTS {
            sender.try_send(deleted(number)).unwrap();
        }
        let answers = futures::future::join_all([ask(), ask(), ask()]).await;
        for answer in answers {
            assert_eq!(answer, Ok((1, EVENTS)));
        }
        drop(supervisor);
    };
    let (end, ()) = join(controller.run(stop), asked).await;
    end.unwrap();
    assert_eq!(ask().await, Err(Ended));
}

/// However many ask: the task has nine times of what an answer took for itself before the next one.
#[tokio::test]
async fn questions_have_a_tenth_of_the_time() {
    const EACH: std::time::Duration = std::time::Duration::from_millis(3);
    const ASKED: u32 = 8;
    let (controller, outputs, sender, _registry) = started(64);
    let supervisor = Supervisor::new();
    let stop = supervisor.stop();
    let asked = async {
        sender.send(deleted(0)).await.unwrap();
        let computes = || {
            outputs.questions.ask(|_| {
                let start = std::time::Instant::now();
                while start.elapsed() < EACH {}
            })
        };
        let start = std::time::Instant::now();
        let all = (0..ASKED).map(|_| computes());
        let answers = futures::future::join_all(all).await;
        assert!(answers.iter().all(Result::is_ok));
        let rests = 9 * (ASKED - 1);
        assert!(start.elapsed() >= EACH * (rests + ASKED), "it did not rest");
        drop(supervisor);
    };
    let (end, ()) = join(controller.run(stop), asked).await;
    end.unwrap();
}

/// Who has gone is not answered, at no cost.
#[tokio::test]
async fn who_has_gone_is_not_answered() {
    let (controller, outputs, sender, _registry) = started(64);
    let supervisor = Supervisor::new();
    let stop = supervisor.stop();
    let called = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let ask = || {
        let called = called.clone();
        outputs.questions.ask(move |_| {
            called.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        })
    };
    let asked = async {
        let gone = tokio::time::timeout(std::time::Duration::from_millis(1), ask()).await;
        assert!(gone.is_err(), "there was a first snapshot");
        sender.send(deleted(0)).await.unwrap();
        ask().await.unwrap();
        drop(supervisor);
    };
    let (end, ()) = join(controller.run(stop), asked).await;
    end.unwrap();
    assert_eq!(called.load(std::sync::atomic::Ordering::Relaxed), 1);
}
