#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::*;

/// A task that runs until it is asked to stop, and says that it did.
fn obedient(
    stopped: &Arc<AtomicBool>,
) -> impl FnOnce(Stop) -> futures::future::BoxFuture<'static, anyhow::Result<()>> + Send + use<> {
    let stopped = stopped.clone();
    move |mut stop| {
        Box::pin(async move {
            stop.requested().await;
            stopped.store(true, Ordering::SeqCst);
            Ok(())
        })
    }
}

/// Runs an obedient task beside `name`, and compares what the process would say.
async fn check(expected: Result<(), &str>, add: impl FnOnce(&mut Supervisor)) {
    let stopped = Arc::new(AtomicBool::new(false));
    let mut supervisor = Supervisor::new();
    supervisor.add("obedient", obedient(&stopped));
    add(&mut supervisor);
    let result = supervisor.run().await.map_err(|error| format!("{error:#}"));
    assert_eq!(result, expected.map_err(str::to_owned));
    assert!(
        stopped.load(Ordering::SeqCst),
        "the other task was stopped first"
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_result_is_the_result_of_all() {
    check(Err("task xds ended: port 1 is taken"), |supervisor| {
        supervisor.add("xds", |_| async { Err(anyhow!("port 1 is taken")) });
    })
    .await;
    check(Err("task xds ended without being asked to"), |supervisor| {
        supervisor.add("xds", |_| async { Ok(()) });
    })
    .await;
    check(Ok(()), |supervisor| {
        supervisor.add_finite("signals", |_| async { Ok(()) });
    })
    .await;
    check(Err("task signals ended: broken"), |supervisor| {
        supervisor.add_finite("signals", |_| async { Err(anyhow!("broken")) });
    })
    .await;
}

/// What is waited for before further tasks can be added does not outlive the first end.
#[tokio::test(start_paused = true)]
async fn a_start_is_given_up_when_a_task_ends() {
    let stopped = Arc::new(AtomicBool::new(false));
    let mut supervisor = Supervisor::new();
    assert_eq!(supervisor.before(async { 1 }).await, Some(1));
    supervisor.add("obedient", obedient(&stopped));
    assert_eq!(supervisor.before(async { 2 }).await, Some(2));
    supervisor.add_finite("signals", |_| async { Ok(()) });
    let never = std::future::pending::<()>();
    assert_eq!(supervisor.before(never).await, None);
    supervisor.run().await.unwrap();
    assert!(stopped.load(Ordering::SeqCst));
}

/// Runs a task that fails while it stops, beside one that ends the process with this result; what an operator sees of it
/// in the log.
async fn a_late_failure(first: anyhow::Result<()>) -> Vec<String> {
    let expected = first.as_ref().copied().map_err(ToString::to_string);
    let expected = expected.map_err(|error| format!("task first ended: {error}"));
    let file = tempfile::NamedTempFile::new().unwrap();
    let writer = file.reopen().unwrap();
    let seen = tracing_subscriber::fmt()
        .with_writer(move || writer.try_clone().unwrap())
        .with_max_level(tracing::Level::WARN);
    let seen = tracing::subscriber::set_default(seen.finish());
    check(
        expected.as_ref().copied().map_err(String::as_str),
        |supervisor| {
            supervisor.add_finite("first", |_| async { first });
            supervisor.add("sore", |mut stop| async move {
                stop.requested().await;
                Err(anyhow!("out of cheese"))
            });
        },
    )
    .await;
    drop(seen);
    let log = std::fs::read_to_string(file.path()).unwrap();
    log.lines().map(str::to_owned).collect()
}

/// Nor is anybody told of it where the stop is in order; where it is not, it may be the better half of the reason.
#[tokio::test(start_paused = true)]
async fn a_late_failure_does_not_replace_the_reason() {
    assert_eq!(a_late_failure(Ok(())).await, [""; 0]);
    let told = a_late_failure(Err(anyhow!("port 1 is taken"))).await;
    let [line] = &told[..] else {
        panic!("{told:?}")
    };
    assert!(
        line.contains("failed while stopping") && line.contains("out of cheese"),
        "{line}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_reason() {
    let mut supervisor = Supervisor::new();
    supervisor.add("xds", |_| async { panic!("out of cheese") });
    let error = format!("{:#}", supervisor.run().await.unwrap_err());
    assert!(error.starts_with("task xds ended: "), "{error}");
    assert!(error.contains("out of cheese"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_stubborn_task_is_aborted_after_the_grace_period() {
    let start = Instant::now();
    check(Ok(()), |supervisor| {
        supervisor.add_finite("signals", |_| async { Ok(()) });
        supervisor.add("stubborn", |_| std::future::pending());
    })
    .await;
    assert_eq!(start.elapsed(), GRACE);
}

#[tokio::test(start_paused = true)]
async fn nothing_to_do_is_an_error() {
    assert!(Supervisor::new().run().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn stop_is_seen_by_those_who_ask_late() {
    let supervisor = Supervisor::new();
    let mut stop = supervisor.stop();
    let mut waiting = Box::pin(stop.requested());
    assert!(futures::poll!(&mut waiting).is_pending());
    supervisor.stop.send_replace(true);
    assert!(futures::poll!(&mut waiting).is_ready());
    drop(waiting);
    let mut late = supervisor.stop();
    late.requested().await;
    drop(supervisor);
    stop.requested().await;
}

/// A task on a thread of its own is stopped with the rest, and its end is the end of all; it runs while this thread does
/// not.
#[tokio::test]
async fn a_thread_is_a_task_like_the_others() {
    let stopped = Arc::new(AtomicBool::new(false));
    let mut supervisor = Supervisor::new();
    supervisor.add_thread("admin", obedient(&stopped));
    supervisor.add_finite("signals", |_| async { Ok(()) });
    supervisor.run().await.unwrap();
    assert!(stopped.load(Ordering::SeqCst));

    check(Err("task admin ended: port 1 is taken"), |supervisor| {
        supervisor.add_thread("admin", |_| async { Err(anyhow!("port 1 is taken")) });
    })
    .await;
    check(
        Err("task admin ended: its thread is gone: channel closed"),
        |supervisor| {
            supervisor.add_thread("admin", |_| async { panic!("out of cheese") });
        },
    )
    .await;

    let (here, there) = std::sync::mpsc::channel();
    let mut supervisor = Supervisor::new();
    supervisor.add_thread("admin", |_| async move { Ok(here.send(())?) });
    supervisor.add("busy", |_| async move { Ok(there.recv()?) });
    assert!(supervisor.run().await.is_err());
}
