//! Time, paused: how long is waited, and how soon silence is noticed.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use kube::client::Body;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tower::BoxError;

use crate::objects::{Event, Kind};
use crate::sources::kubernetes::discovery::Discovery;
use crate::sources::kubernetes::metrics::Metrics;
use crate::sources::kubernetes::resource::Secrets;
use crate::sources::kubernetes::{Kubernetes, SourceError, WatchTiming};

/// What the API server does with a request.
pub(super) enum Does {
    /// Answers after a time: status, Retry-After, body.
    Answer(Duration, u16, Option<u64>, &'static str),
    /// Answers 200 with these lines, and ends the body after the time that the request asks for.
    Lines(&'static [&'static str]),
    /// Answers 200 with these lines and is silent then, for ever.
    Silence(&'static [&'static str]),
    /// Never answers.
    Hang,
    /// Refuses the connection.
    Refuse,
}

const WHOLE: &[&str] = &[
    r#"{"type":"BOOKMARK","object":{"kind":"Service","metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}}"#,
];
const NO_LIST: &str = r#"{"kind":"ServiceList","metadata":{"resourceVersion":"9"},"items":[]}"#;

/// Requests as they came.
pub(super) type Log = Arc<Mutex<Vec<(Instant, String)>>>;

/// A client of an API server that does what `script` says about the n-th request and its URI.
pub(super) fn server(
    script: impl Fn(usize, &str) -> Does + Send + Sync + 'static,
) -> (kube::Client, Log) {
    let log = Log::default();
    let (requests, script) = (log.clone(), Arc::new(script));
    let service = tower::service_fn(move |request: Request<Body>| {
        let uri = request.uri().to_string();
        let mut requests = requests.lock().unwrap();
        let does = script(requests.len(), &uri);
        requests.push((Instant::now(), uri.clone()));
        async move {
            let (status, retry_after, lines, end) = match does {
                Does::Answer(after, status, retry_after, body) => {
                    sleep(after).await;
                    (
                        status,
                        retry_after,
                        vec![body.to_owned()],
                        Some(Duration::ZERO),
                    )
                }
                Does::Lines(lines) => (200, None, with_ends(lines), Some(asked_for(&uri))),
                Does::Silence(lines) => (200, None, with_ends(lines), None),
                Does::Hang => pending().await,
                Does::Refuse => {
                    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                    return Err(BoxError::from(refused));
                }
            };
            let lines = stream::iter(lines).map(|line| Ok(Frame::data(Bytes::from(line))));
            let end = stream::once(async move {
                match end {
                    Some(after) => sleep(after).await,
                    None => pending().await,
                }
            });
            let body = lines.chain(end.filter_map(|()| async { None::<Result<_, BoxError>> }));
            let mut response = Response::builder().status(status);
            if let Some(seconds) = retry_after {
                response = response.header("retry-after", seconds);
            }
            Ok(response.body(StreamBody::new(body).boxed_unsync()).unwrap())
        }
    });
    (kube::Client::new(service, "default"), log)
}

fn with_ends(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn asked_for(uri: &str) -> Duration {
    let (_, rest) = uri.split_once("timeoutSeconds=").unwrap();
    let (seconds, _) = rest.split_once('&').unwrap();
    Duration::from_secs(seconds.parse().unwrap())
}

pub(super) fn source(client: kube::Client) -> Kubernetes {
    let metrics = Metrics::default();
    Kubernetes {
        server: None,
        discovery: Discovery::new(client.clone(), Vec::new(), metrics.clone()),
        client,
        watched: vec![(Kind::Service, None)],
        missing: Vec::new(),
        config_map: None,
        secrets: Secrets::Tls,
        start_jitter: Duration::ZERO,
        timing: WatchTiming::default(),
        metrics,
        versions: super::super::Versions::default(),
    }
}

/// The events until their sender is gone.
pub(super) async fn all(mut receiver: mpsc::Receiver<Event>) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(event) = receiver.recv().await {
        events.push(event);
    }
    events
}

/// Runs for at most so long; the error if it ended, when it ended, and the events.
pub(super) async fn run(
    source: Kubernetes,
    most: Duration,
) -> (Option<SourceError>, Duration, Vec<Event>) {
    let start = Instant::now();
    let (sender, receiver) = mpsc::channel(1);
    let running = timeout(most, source.run(sender));
    let (end, events) = futures::future::join(running, all(receiver)).await;
    let error = end.ok().map(|Err(error)| error);
    (error, start.elapsed(), events)
}

/// With the default times. Whoever connects anew is refused; or the next request goes out on
/// another connection, which lay idle and is as dead.
#[tokio::test(start_paused = true)]
async fn silence_is_noticed_within_60_seconds() {
    for attempt in 0..20 {
        let idle = attempt % 2 == 1;
        let (client, log) = server(move |n, _| match n {
            0 => Does::Silence(WHOLE),
            _ if idle => Does::Hang,
            _ => Does::Refuse,
        });
        let (error, after, events) = run(source(client), Duration::from_secs(600)).await;
        let (why, takes) = if idle {
            ("no answer within 5s", 5)
        } else {
            ("connection refused", 0)
        };
        assert_eq!(
            error.unwrap().to_string(),
            format!("list-watch of Service: the API server can't be reached: {why}")
        );
        let noticed = after.as_secs() - takes;
        assert!((45..=55).contains(&noticed), "{attempt}: {after:?}");
        assert_eq!(events.len(), 1);
        assert!(log.lock().unwrap()[1].1.ends_with("resourceVersion=9"));
    }
}

/// A server that takes requests and never answers.
#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come() {
    for (does, why) in [
        (
            (|_, _| Does::Hang) as fn(usize, &str) -> Does,
            "no answer within 55s",
        ),
        (
            |n, _| match n {
                0 => Does::Answer(Duration::ZERO, 422, None, ""),
                _ => Does::Silence(&["{"]),
            },
            "an answer stopped in the middle for 55s",
        ),
    ] {
        let (client, _) = server(does);
        let (error, after, events) = run(source(client), Duration::from_secs(600)).await;
        assert_eq!(
            error.unwrap().to_string(),
            format!("list-watch of Service: the API server can't be reached: {why}")
        );
        assert_eq!(after.as_secs(), 55);
        assert!(events.is_empty());
    }
}

/// 20 watches that end in their time are 20 requests within 20 times 40 to 50 seconds, and no exit.
#[tokio::test(start_paused = true)]
async fn watches_that_end() {
    let (client, log) = server(|n, _| match n {
        0 => Does::Lines(WHOLE),
        _ => Does::Lines(&[]),
    });
    let (error, _, events) = run(source(client), Duration::from_secs(20 * 50)).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events.len(), 1);
    let log = log.lock().unwrap();
    assert!((20..=25).contains(&log.len()), "{}", log.len());
    for pair in log.windows(2) {
        let lasted = pair[1].0 - pair[0].0;
        assert!((40..=50).contains(&lasted.as_secs()), "{lasted:?}");
    }
    // They do not all last the same: those of a fleet drift apart.
    let mut lasts: Vec<_> = log.iter().map(|(_, uri)| asked_for(uri)).collect();
    lasts.sort();
    lasts.dedup();
    assert!(lasts.len() > 3, "{lasts:?}");
}

/// Retry-After is honoured in the process, and a list that takes 30 s is only slow.
#[tokio::test(start_paused = true)]
async fn told_to_wait() {
    let (client, log) = server(|n, _| match n {
        0 | 1 => Does::Answer(Duration::ZERO, 429, Some(8), ""),
        2 => Does::Answer(Duration::ZERO, 500, None, ""),
        3 => Does::Answer(Duration::from_secs(30), 200, None, NO_LIST),
        _ => Does::Silence(&[]),
    });
    let (error, _, events) = run(source(client), Duration::from_secs(60)).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events.len(), 1);
    let log = log.lock().unwrap();
    for at in [1, 2] {
        let waited = log[at].0 - log[at - 1].0;
        assert!((8..=10).contains(&waited.as_secs()), "{waited:?}");
    }
    assert_eq!(log.len(), 5);
}

/// 500 instances start at once, each makes five lists, and each list keeps the server busy for 100 ms.
/// Without the jitter all 2,500 lists would be under way at one time.
#[tokio::test(start_paused = true)]
async fn a_fleet_that_starts_at_once() {
    let busy = Duration::from_millis(100);
    let starts = Arc::new(Mutex::new(Vec::new()));
    let mut fleet = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let starts = starts.clone();
        let (client, _) = server(move |_, _| {
            starts.lock().unwrap().push(Instant::now());
            Does::Silence(WHOLE)
        });
        let mut source = source(client);
        source.watched = ["a", "b", "c", "d", "e"]
            .map(|namespace| (Kind::Service, Some(namespace.into())))
            .into();
        source.start_jitter = Duration::from_secs(3);
        fleet.spawn(run(source, Duration::from_secs(10)));
    }
    fleet.join_all().await;
    let mut starts = starts.lock().unwrap().clone();
    starts.sort();
    let peak = starts
        .iter()
        .map(|start| {
            let end = *start + busy;
            starts.iter().filter(|s| (*start..end).contains(s)).count()
        })
        .max()
        .unwrap();
    assert_eq!(starts.len(), 2500);
    assert!(
        peak < starts.len() / 8,
        "{peak} of {} at once",
        starts.len()
    );
}

/// What is no error is counted.
#[tokio::test(start_paused = true)]
async fn counters() {
    let (client, _) = server(|n, _| match n {
        0 => Does::Answer(Duration::ZERO, 429, Some(1), ""),
        1 => Does::Lines(WHOLE),
        2 => Does::Answer(Duration::ZERO, 410, None, ""),
        3 => Does::Silence(WHOLE),
        _ => Does::Refuse,
    });
    let source = source(client);
    let mut registry = prometheus_client::registry::Registry::default();
    source.register(&mut registry);
    let (error, _, _) = run(source, Duration::from_secs(600)).await;
    assert!(error.is_some());
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
    let mut lines: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            r#"source_lists_total{kind="Service"} 2"#,
            r#"source_waits_total{kind="Service"} 1"#,
            r#"source_watches_total{kind="Service",end="ended"} 1"#,
            r#"source_watches_total{kind="Service",end="silent"} 1"#,
        ]
    );
}
