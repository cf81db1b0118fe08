//! The writer against an API server that is slow, throttles, forbids or forgets; time is paused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod services;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Metrics, Reporter, Writer, address, event, ingress};
use crate::model::verdict::{
    ConditionFacts, GatewayApiFacts, Infrastructure, IngressFacts, ObjectProblems, RefusedObject,
    Statuses, WantedStatus,
};
use crate::objects::gateway_api::{ConditionStatus, Status, StatusCondition};
use crate::objects::{Kind, LoadBalancerAddress, NamespacedName, ObjectRef, Problem};
use crate::process::pod::Pod;

/// What the server answers to a call, `None` for nothing, ever.
type Answers = Box<dyn FnMut(&str) -> Option<(u16, Value)> + Send>;

/// An API server that notes when it was called for what, and how many calls were given up.
struct Server {
    start: Instant,
    answers: Answers,
    calls: Vec<(Duration, String)>,
    /// The same with what they ask for, for those that write.
    queries: Vec<String>,
    dropped: usize,
}

/// Counts a call that is dropped before it was answered.
struct UnderWay(Arc<Mutex<Server>>, bool);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.1 {
            self.0.lock().unwrap().dropped += 1;
        }
    }
}

struct Bench {
    server: Arc<Mutex<Server>>,
    statuses: watch::Sender<Arc<Statuses>>,
    leader: watch::Sender<bool>,
    _refusals: watch::Sender<Arc<[RefusedObject]>>,
    metrics: Metrics,
    tasks: JoinSet<()>,
}

impl Bench {
    fn start(answers: impl FnMut(&str) -> Option<(u16, Value)> + Send + 'static) -> Self {
        let server = Arc::new(Mutex::new(Server {
            start: Instant::now(),
            answers: Box::new(answers),
            calls: Vec::new(),
            queries: Vec::new(),
            dropped: 0,
        }));
        let shared = server.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let server = shared.clone();
            async move {
                let call = format!("{} {}", request.method(), request.uri().path());
                let answer = {
                    let mut server = server.lock().unwrap();
                    let at = server.start.elapsed();
                    server.calls.push((at, call.clone()));
                    server.queries.push(request.uri().to_string());
                    (server.answers)(&call)
                };
                let mut under_way = UnderWay(server, false);
                let Some((code, answer)) = answer else {
                    return std::future::pending().await;
                };
                under_way.1 = true;
                let body = Body::from(serde_json::to_vec(&answer).unwrap());
                let response = http::Response::builder().status(code).body(body).unwrap();
                Ok::<_, std::io::Error>(response)
            }
        });
        let client = Client::new(service, "isobath");
        let metrics = Metrics::default();
        let writer = Writer {
            gateway_addresses: Box::default(),
            source: address::Source::Fixed([ip("192.0.2.1")].into()),
            field_manager: ingress::field_manager("isobath", "isobath").into(),
            events: event::Writer::new(client.clone(), &Pod::default(), metrics.clone()),
            client,
            metrics: metrics.clone(),
        };
        let statuses = watch::Sender::new(Arc::new(Statuses::default()));
        let leader = watch::Sender::new(true);
        let refusals = watch::Sender::new(Arc::from([]));
        let run = writer.run(
            statuses.subscribe(),
            (refusals.subscribe(), watch::Sender::default().subscribe()),
            leader.subscribe(),
        );
        let mut tasks = JoinSet::new();
        tasks.spawn(run);
        Self {
            server,
            statuses,
            leader,
            _refusals: refusals,
            metrics,
            tasks,
        }
    }

    fn serve(&self, name: &str, load_balancer: &[&str]) {
        self.serve_in("shop", name, load_balancer);
    }

    fn serve_in(&self, namespace: &str, name: &str, load_balancer: &[&str]) {
        let facts = IngressFacts {
            uid: "1".into(),
            served: true,
            load_balancer: load_balancer.iter().map(|text| ip(text)).collect(),
            ingress: None,
        };
        let name = NamespacedName::new(namespace, name);
        self.statuses.send_modify(|statuses| {
            Arc::make_mut(statuses).ingresses.insert(name, facts);
        });
    }

    fn problem(&self, name: &str) {
        self.problems_in("shop", name, 1);
    }

    fn problems_in(&self, namespace: &str, name: &str, count: usize) {
        let object = ObjectRef::new(Kind::Ingress, namespace, name);
        let problem = |n| Problem::new(object.clone(), "SecretNotFound", format!("text {n:05}"));
        let problems = ObjectProblems {
            uid: "1".into(),
            problems: (0..count).map(problem).collect(),
        };
        self.statuses.send_modify(|statuses| {
            Arc::make_mut(statuses).problems.insert(object, problems);
        });
    }

    /// Gateway `shop/web` is to have this.
    fn follow_gateway(&self, keep: Infrastructure) {
        self.statuses.send_modify(|statuses| {
            let statuses = Arc::make_mut(statuses);
            see(statuses, Kind::Gateway);
            let object = ObjectRef::new(Kind::Gateway, "shop", "web");
            let facts = statuses.gateway_api.get_mut(&object).unwrap();
            let wanted = Arc::make_mut(facts.wanted.as_mut().unwrap());
            wanted.infrastructure = Some(Arc::new(keep));
        });
    }

    fn calls(&self) -> Vec<(Duration, String)> {
        self.server.lock().unwrap().calls.clone()
    }

    /// When calls whose path has this part were made.
    fn calls_of(&self, part: &str) -> Vec<Duration> {
        let calls = self.calls().into_iter();
        calls
            .filter_map(|(at, call)| call.contains(part).then_some(at))
            .collect()
    }
}

fn ip(text: &str) -> LoadBalancerAddress {
    LoadBalancerAddress::Ip(text.into())
}

fn ok(call: &str) -> Option<(u16, Value)> {
    let kind = if call.contains("/events") {
        "Event"
    } else {
        "Ingress"
    };
    Some((200, json!({"kind": kind, "metadata": {"name": "x"}})))
}

async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_throttles_is_left_alone() {
    let mut first = true;
    let bench = Bench::start(move |call| {
        if std::mem::take(&mut first) {
            return Some((
                429,
                json!({"code": 429, "details": {"retryAfterSeconds": 40}}),
            ));
        }
        ok(call)
    });
    for name in ["a", "b", "c", "d"] {
        bench.serve(name, &[]);
    }
    seconds(20).await;
    // What was under way already.
    assert_eq!(bench.calls().len(), 2, "{:?}", bench.calls());
    seconds(40).await;
    let calls = bench.calls();
    let mut named: Vec<_> = calls.iter().map(|(_, call)| call.as_str()).collect();
    assert!(calls[2].0 >= Duration::from_secs(40), "{calls:?}");
    named.sort_unstable();
    // One of them was not seen to be written, and is by now written once more.
    named.dedup();
    let path =
        |name| format!("PATCH /apis/networking.k8s.io/v1/namespaces/shop/ingresses/{name}/status");
    assert_eq!(named, ["a", "b", "c", "d"].map(path));
}

/// Whatever is wrong with one tenant's objects, another's address and Event come at once, and what will not change is
/// not tried over and over.
#[tokio::test(start_paused = true)]
async fn a_tenant_delays_no_other() {
    let answer = |code| Some((code, json!({"code": code, "message": "no"})));
    let message = "etcdserver: request is too large";
    let by_etcd = Some((500, json!({"code": 500, "message": message})));
    for (what, answer, calls_each) in [
        ("too large", answer(413), 1..2),
        ("too large for etcd", by_etcd, 1..2),
        ("a webhook fails", answer(500), 2..12),
        ("a webhook hangs", None, 1..12),
        ("forbidden", answer(403), 0..8),
        ("changed over and over", answer(409), 2..12),
    ] {
        let bench = Bench::start(move |call| {
            let is_wrong = call.contains("/namespaces/large/ingresses/");
            if is_wrong { answer.clone() } else { ok(call) }
        });
        let count = 30;
        for n in 0..count {
            bench.serve_in("large", &format!("web-{n}"), &[]);
        }
        bench.problems_in("large", "bad", 10_000);
        seconds(5).await;
        bench.serve_in("shop", "web", &[]);
        bench.problems_in("shop", "web", 1);
        seconds(600).await;
        let first = |part| bench.calls_of(part)[0] - Duration::from_secs(5);
        let address = first("/namespaces/shop/ingresses/web/status");
        let event = first("/namespaces/shop/events");
        let of_large = bench.calls_of("/namespaces/large/ingresses/").len();
        let events = bench.calls_of("/namespaces/large/events").len();
        println!(
            "{what}: address after {address:?}, Event after {event:?}, {of_large} calls, {events} Events"
        );
        assert!(address < Duration::from_secs(1), "{what}: {address:?}");
        assert!(event < Duration::from_secs(1), "{what}: {event:?}");
        let each = count * calls_each.start..count * calls_each.end;
        assert!(each.contains(&of_large), "{what}: {of_large} calls");
        // Ten and one of the many problems; and where it is final, one on each Ingress.
        let expected = if what.starts_with("too large") {
            11 + count
        } else {
            11
        };
        assert_eq!(events, expected, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_taken_is_told_and_tried_again_when_it_changes() {
    let mut fits = false;
    let bench = Bench::start(move |call| {
        if call.contains("/ingresses/web/") && !std::mem::replace(&mut fits, true) {
            return Some((413, json!({"code": 413, "message": "too large"})));
        }
        ok(call)
    });
    let page = |bench: &Bench| {
        let mut registry = prometheus_client::registry::Registry::default();
        bench.metrics.register(&mut registry);
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
        page
    };
    bench.serve("web", &[]);
    seconds(60).await;
    assert_eq!(bench.calls_of("/ingresses/web/").len(), 1);
    assert_eq!(bench.calls_of("/events").len(), 1);
    for line in [
        "status_unwritten 1",
        r#"status_writes_total{result="too_large"} 1"#,
    ] {
        assert!(page(&bench).contains(line), "{line}: {}", page(&bench));
    }
    // Somebody has made it smaller, which the verdicts do not say.
    seconds(1750).await;
    assert_eq!(bench.calls_of("/ingresses/web/").len(), 2);
    assert!(page(&bench).contains("status_unwritten 0"));
    bench.serve("web", &["192.0.2.1"]);
    let events = bench.calls_of("/events").len();
    seconds(7200).await;
    assert_eq!(bench.calls_of("/events").len(), events, "it is over");
    assert_eq!(bench.calls_of("/ingresses/web/").len(), 2);
}

/// Whatever its kind is, the owner of an object is told that its status is not taken, until it is.
#[tokio::test(start_paused = true)]
async fn every_owner_is_told_that_a_status_is_not_taken() {
    for kind in [
        Kind::HttpProxy,
        Kind::ExtensionService,
        Kind::GatewayClass,
        Kind::Gateway,
        Kind::HttpRoute,
    ] {
        let is_small = Arc::new(AtomicBool::new(false));
        let fits = is_small.clone();
        let path = format!("/{}/web/status", kind.plural());
        let bench = Bench::start(move |call| {
            if call.starts_with("PATCH") && call.ends_with(&path) && !fits.load(Relaxed) {
                return Some((413, json!({"code": 413, "message": "too large"})));
            }
            let object = json!({
                "apiVersion": kind.api_version(), "kind": kind.name(), "metadata": {"name": "web", "uid": "1"},
            });
            match call.starts_with("GET") {
                true => Some((200, object)),
                false => ok(call),
            }
        });
        bench
            .statuses
            .send_modify(|statuses| see(Arc::make_mut(statuses), kind));
        seconds(60).await;
        assert_eq!(bench.calls_of("/events").len(), 1, "{kind}");
        assert_eq!(bench.metrics.unwritten.get(), 1, "{kind}");
        is_small.store(true, Relaxed);
        seconds(1800).await;
        assert_eq!(bench.metrics.unwritten.get(), 0, "{kind}");
    }
}

/// There is an object of this kind, without a status, that is to have one.
fn see(all: &mut Statuses, kind: Kind) {
    let namespace = if kind.is_namespaced() { "shop" } else { "" };
    let object = ObjectRef::new(kind, namespace, "web");
    let of_conditions = match kind {
        Kind::HttpProxy => &mut all.http_proxies,
        Kind::ExtensionService => &mut all.extension_services,
        _ => {
            let condition = StatusCondition {
                kind: "Accepted".into(),
                status: ConditionStatus::True,
                reason: "Accepted".into(),
                message: "It is".into(),
                observed_generation: 1,
            };
            let facts = GatewayApiFacts {
                uid: "1".into(),
                created: None,
                wanted: Some(Arc::new(WantedStatus {
                    status: Status {
                        conditions: [condition].into(),
                        ..Status::default()
                    },
                    ..WantedStatus::default()
                })),
                room: None,
                seen: Arc::default(),
            };
            all.gateway_api.insert(object, facts);
            return;
        }
    };
    let facts = ConditionFacts {
        uid: "1".into(),
        generation: 1,
        served: true,
        errors: Arc::default(),
        warnings: Arc::default(),
        seen: Arc::default(),
    };
    of_conditions.insert(object.name, facts);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_is_called_ever_less() {
    for code in [500, 503, 429, 401] {
        let mut bench = Bench::start(move |_| Some((code, json!({"code": code, "message": "no"}))));
        bench.serve("a", &[]);
        seconds(600).await;
        let calls = bench.calls().len();
        assert!(
            (10..60).contains(&calls),
            "{code}: {calls} calls in 10 minutes"
        );
        assert!(bench.tasks.try_join_next().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_drops_the_call_under_way() {
    let mut bench = Bench::start(|_| None);
    bench.serve("a", &[]);
    seconds(1).await;
    assert_eq!(
        (bench.calls().len(), bench.server.lock().unwrap().dropped),
        (1, 0)
    );
    bench.leader.send_replace(false);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(bench.server.lock().unwrap().dropped, 1);
    bench.serve("b", &[]);
    bench.problem("b");
    seconds(600).await;
    assert_eq!(bench.calls().len(), 1, "no further call");

    bench.leader.send_replace(true);
    seconds(1).await;
    assert!(bench.calls().len() > 1);
    drop(bench.leader);
    tokio::time::timeout(Duration::from_secs(1), bench.tasks.join_next())
        .await
        .expect("it ends")
        .unwrap()
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_slow_server_delays_nobody_and_sees_the_newest_only() {
    let mut calls = 0;
    let mut bench = Bench::start(move |call| {
        calls += 1;
        (calls > 1).then(|| ok(call)).flatten()
    });
    let reporter = Reporter::default();
    let mut registry = prometheus_client::registry::Registry::default();
    reporter.register(&mut registry);
    bench
        .tasks
        .spawn(reporter.run(bench.statuses.subscribe(), |_| None));

    bench.serve("a", &[]);
    seconds(1).await;
    assert_eq!(bench.calls().len(), 1, "and it hangs");
    let start = Instant::now();
    for n in 0..1000 {
        // Somebody else changes b all the time; a thousand verdicts are taken without waiting.
        bench.serve("b", &[&format!("198.51.100.{}", n % 250)]);
    }
    bench.problem("b");
    assert_eq!(start.elapsed(), Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
    assert!(page.contains(r#"reason="SecretNotFound"} 1"#), "{page}");

    // The first call hangs until its limit, for which b does not wait; and b costs one call, not a thousand.
    seconds(5).await;
    let patched = bench.calls();
    let of_b = patched
        .iter()
        .filter(|(_, call)| call.ends_with("/b/status"))
        .count();
    assert_eq!(of_b, 1, "{patched:?}");
}

#[tokio::test(start_paused = true)]
async fn many_are_written_at_a_pace_and_once() {
    let bench = Bench::start(ok);
    for n in 0..1000 {
        bench.serve(&format!("web-{n}"), &[]);
    }
    seconds(10).await;
    let early = bench.calls().len();
    assert!((500..=610).contains(&early), "{early}");
    for n in 0..1000 {
        bench.serve(&format!("web-{n}"), &["192.0.2.1"]);
    }
    seconds(600).await;
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for (_, call) in bench.calls() {
        *names.entry(call).or_default() += 1;
    }
    assert!(names.values().all(|count| *count == 1), "{names:?}");
    // What was there before it was their turn needed no call at all; one was waiting for its turn.
    assert!(names.len() <= early + 1, "{} after {early}", names.len());
}

#[tokio::test(start_paused = true)]
async fn an_event_is_kept_alive_while_its_problem_lasts() {
    let mut patches = 0;
    let bench = Bench::start(move |call| {
        patches += usize::from(call.starts_with("PATCH"));
        if call.starts_with("PATCH") && patches == 2 {
            return Some((404, json!({"code": 404, "reason": "NotFound"})));
        }
        ok(call)
    });
    bench.problem("web");
    // Three times half an hour, and a little.
    seconds(3 * 1800 + 60).await;
    let methods = |calls: Vec<(Duration, String)>| -> Vec<String> {
        let method = |(_, call): &(_, String)| call.split(' ').next().unwrap().to_owned();
        calls.iter().map(method).collect()
    };
    // The server forgot it once: it is made anew.
    assert_eq!(
        methods(bench.calls()),
        ["POST", "PATCH", "PATCH", "POST", "PATCH"]
    );
    // A further term tells nothing that is told.
    bench.leader.send_replace(false);
    seconds(1).await;
    bench.leader.send_replace(true);
    seconds(60).await;
    assert_eq!(bench.calls().len(), 5);
    // Over: silence.
    bench
        .statuses
        .send_modify(|statuses| Arc::make_mut(statuses).problems.clear());
    seconds(7200).await;
    assert_eq!(bench.calls().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_was_created_anew_is_looked_at_again() {
    let mut first = true;
    let bench = Bench::start(move |call| {
        if std::mem::take(&mut first) {
            let message = "invalid: metadata.uid: Invalid value: \"1\": field is immutable";
            return Some((
                422,
                json!({"code": 422, "message": message, "reason": "Invalid"}),
            ));
        }
        ok(call)
    });
    bench.serve("a", &[]);
    seconds(5).await;
    assert_eq!(bench.calls().len(), 2);
    // Anything else that is invalid is not sent twice, and its owner is told.
    let bench = Bench::start(|_| {
        Some((
            422,
            json!({"code": 422, "message": "no", "reason": "Invalid"}),
        ))
    });
    bench.serve("a", &[]);
    seconds(600).await;
    assert_eq!(bench.calls_of("/ingresses/a/").len(), 1);
    assert_eq!(bench.calls_of("/events").len(), 1);
}
