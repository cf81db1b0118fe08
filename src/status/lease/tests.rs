#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::*;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Mood {
    #[default]
    Answers,
    Hangs,
    Fails(u16),
    FailsAfter(Duration, u16),
}

/// An API server with one Lease.
#[derive(Default)]
struct Server {
    mood: Mood,
    lease: Option<Value>,
    version: u64,
    calls: usize,
}

fn client(server: &Arc<Mutex<Server>>) -> Client {
    let server = server.clone();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let server = server.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let mood = {
                let mut server = server.lock().unwrap();
                server.calls += 1;
                server.mood
            };
            let (code, answer) = match mood {
                Mood::Hangs => std::future::pending().await,
                Mood::Fails(code) => (code, json!({"code": code, "message": "no"})),
                Mood::FailsAfter(time, code) => {
                    tokio::time::sleep(time).await;
                    (code, json!({"code": code, "message": "no"}))
                }
                Mood::Answers => server.lock().unwrap().answer(&head.method, &body),
            };
            let body = Body::from(serde_json::to_vec(&answer).unwrap());
            let response = http::Response::builder().status(code).body(body).unwrap();
            Ok::<_, std::io::Error>(response)
        }
    });
    Client::new(service, "isobath")
}

impl Server {
    fn answer(&mut self, method: &http::Method, body: &[u8]) -> (u16, Value) {
        let missing = (404, json!({"code": 404, "reason": "NotFound"}));
        match (method.as_str(), &self.lease) {
            ("GET", Some(lease)) => return (200, lease.clone()),
            ("GET" | "PUT", None) => return missing,
            _ => {}
        }
        let mut lease: Value = serde_json::from_slice(body).unwrap();
        let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
        if self
            .lease
            .as_ref()
            .is_some_and(|known| version(known) != version(&lease))
        {
            return (409, json!({"code": 409, "message": "changed"}));
        }
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(lease.clone());
        (200, lease)
    }
}

struct Running {
    leads: watch::Receiver<bool>,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
    metrics: Metrics,
}

fn start(server: &Arc<Mutex<Server>>, pod: &str) -> Running {
    let args = Args {
        name: "isobath".into(),
        namespace: None,
    };
    let pod = Pod {
        name: Some(pod.into()),
        namespace: Some("isobath".into()),
        ..Pod::default()
    };
    let metrics = Metrics::default();
    let (elector, leads) = Elector::new(
        client(server),
        &args,
        &pod,
        ElectionTiming::default(),
        metrics.clone(),
    );
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(elector.run(async move {
        let _ = stopped.await;
    }));
    Running {
        leads,
        stop: Some(stop),
        task,
        metrics,
    }
}

/// Waits until the flag has this value, and returns after how long.
async fn until(running: &mut Running, leads: bool) -> Duration {
    let start = Instant::now();
    let changed = running.leads.wait_for(|current| *current == leads);
    tokio::time::timeout(Duration::from_secs(120), changed)
        .await
        .expect("in time")
        .unwrap();
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_hangs_ends_the_term_before_others_begin_theirs() {
    for mood in [
        Mood::Hangs,
        Mood::Fails(500),
        Mood::Fails(403),
        Mood::Fails(429),
    ] {
        let server = Arc::new(Mutex::new(Server::default()));
        let mut a = start(&server, "a");
        until(&mut a, true).await;
        server.lock().unwrap().mood = mood;
        let stopped = until(&mut a, false).await;
        assert!(stopped <= Duration::from_secs(10), "{mood:?}: {stopped:?}");
        // It never gives up: it leads again once the server answers.
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert!(!a.task.is_finished(), "{mood:?}");
        let calls = server.lock().unwrap().calls;
        assert!(calls < 60, "{mood:?}: {calls} calls in 5 minutes");
        server.lock().unwrap().mood = Mood::Answers;
        until(&mut a, true).await;
        let failed: u64 = ["timeout", "server_error", "forbidden", "throttled"]
            .into_iter()
            .map(|reason| a.metrics.errors.get_or_create(&[("reason", reason)]).get())
            .sum();
        assert!(failed > 5, "{mood:?}: {failed}");
    }
}

/// The refusal of a renewal comes at the very deadline: what follows is no leader's call.
#[tokio::test(start_paused = true)]
async fn a_term_ends_between_two_calls() {
    let server = Arc::new(Mutex::new(Server::default()));
    let mut a = start(&server, "a");
    until(&mut a, true).await;
    let mood = |mood| server.lock().unwrap().mood = mood;
    mood(Mood::Fails(500));
    tokio::time::sleep(Duration::from_secs(7)).await;
    // The renewal at 8 s is answered at 10 s, and then nothing is any more.
    mood(Mood::FailsAfter(Duration::from_secs(2), 409));
    tokio::time::sleep(Duration::from_secs(2)).await;
    mood(Mood::Hangs);
    let stopped = until(&mut a, false).await;
    assert!(stopped <= Duration::from_secs(1), "{stopped:?}");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_one_is_the_beginning_of_the_other() {
    let server = Arc::new(Mutex::new(Server::default()));
    let mut a = start(&server, "a");
    until(&mut a, true).await;
    let mut b = start(&server, "b");
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(*a.leads.borrow() && !*b.leads.borrow());

    a.stop.take().unwrap().send(()).unwrap();
    until(&mut a, false).await;
    a.task.await.unwrap();
    assert_eq!(a.metrics.leader.get(), 0);
    let taken = until(&mut b, true).await;
    assert!(taken <= Duration::from_secs(15), "{taken:?}");
    assert_eq!(b.metrics.leader.get(), 1);

    // Without release the lease has to expire first.
    let mut c = start(&server, "c");
    tokio::time::sleep(Duration::from_secs(20)).await;
    b.task.abort();
    let taken = until(&mut c, true).await;
    assert!(taken >= Duration::from_secs(13), "{taken:?}");
    assert!(taken <= Duration::from_secs(33), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_made_anew() {
    let server = Arc::new(Mutex::new(Server::default()));
    let mut a = start(&server, "a");
    until(&mut a, true).await;
    server.lock().unwrap().lease = None;
    server.lock().unwrap().version = 100;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(*a.leads.borrow());
    assert!(server.lock().unwrap().lease.is_some());
}
