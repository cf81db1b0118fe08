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
