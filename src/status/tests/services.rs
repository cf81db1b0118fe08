//! The Services of Gateways, and who is told of what is in their way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Bench, ok, seconds};
use crate::model::verdict::{Infrastructure, LoadBalancer};
use crate::objects::{Kind, Service};

/// What a slice is called by, in the API.
const SLICE: &str = "/endpointslices/gw-web-lb-ipv4";

/// A Service that is in the way of a Gateway's, or one that the API server does not take: the Gateway's owner is told while its status
/// is written as ever, and nobody asks over and over.
#[tokio::test(start_paused = true)]
async fn the_owner_of_a_gateway_is_told_of_its_service() {
    for is_there in [true, false] {
        let is_gone = Arc::new(AtomicBool::new(false));
        let gone = is_gone.clone();
        let bench = Bench::start(move |call| {
            let gateway = json!({
                "apiVersion": Kind::Gateway.api_version(), "kind": "Gateway",
                "metadata": {"name": "web", "uid": "1"},
            });
            let service =
                json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "gw-web"}});
            let refused = |code, reason| {
                Some((
                    code,
                    json!({"code": code, "message": "no", "reason": reason}),
                ))
            };
            match call.contains("/services/") {
                false if call.starts_with("GET") => Some((200, gateway)),
                false => ok(call),
                true if gone.load(Relaxed) && call.starts_with("GET") => refused(404, "NotFound"),
                true if is_there || gone.load(Relaxed) => Some((200, service)),
                true if call.starts_with("GET") => refused(404, "NotFound"),
                true => refused(422, "Invalid"),
            }
        });
        bench.follow_gateway(Infrastructure {
            service: "gw-web".into(),
            ..Infrastructure::default()
        });
        seconds(600).await;
        let gets = bench.calls_of("/services/gw-web").len();
        assert_eq!(gets, if is_there { 1 } else { 2 }, "{:?}", bench.calls());
        assert_eq!(bench.calls_of("/events").len(), 1, "{:?}", bench.calls());
        assert_eq!(bench.metrics.unwritten.get(), 0, "its status is written");
        is_gone.store(true, Relaxed);
        seconds(1300).await;
        let writes = bench.calls_of("PATCH /api/v1/namespaces/shop/services/gw-web");
        let is_later = writes.iter().any(|at| *at > Duration::from_secs(600));
        assert!(is_later, "{:?}", bench.calls());
        let events = bench.calls_of("/events").len();
        seconds(7200).await;
        assert_eq!(bench.calls_of("/events").len(), events, "it is over");
    }
}

/// A Service of a Gateway that is being deleted: nobody writes to it or asks over and over, the owner is told once, and there is
/// another one as soon as the watch says that it is gone. What is somebody else's, with our label, is left alone likewise.
#[tokio::test(start_paused = true)]
async fn a_service_that_is_in_the_way_is_waited_for() {
    let ending = json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x.test/y"]});
    for (more, uid) in [(ending, "1"), (json!({}), "2")] {
        let is_gone = Arc::new(AtomicBool::new(false));
        let gone = is_gone.clone();
        let (label, by) = Service::MANAGED_BY;
        let mut metadata = json!({
            "name": "gw-web", "labels": {label: by},
            "ownerReferences": [{"apiVersion": "x/v1", "kind": "Gateway", "name": "web", "uid": uid}],
        });
        for (key, value) in more.as_object().unwrap() {
            metadata[key] = value.clone();
        }
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata});
        let gateway = json!({
            "apiVersion": Kind::Gateway.api_version(), "kind": "Gateway",
            "metadata": {"name": "web", "uid": "1"},
        });
        let bench = Bench::start(move |call| match call.contains("/services/") {
            false if call.starts_with("GET") => Some((200, gateway.clone())),
            false => ok(call),
            true if gone.load(Relaxed) && call.starts_with("GET") => Some((
                404,
                json!({"code": 404, "message": "no", "reason": "NotFound"}),
            )),
            true => Some((200, service.clone())),
        });
        let keep = |in_the_way: &[&str]| {
            let names = in_the_way.iter().map(|name| Arc::from(*name));
            Infrastructure {
                service: "gw-web".into(),
                in_the_way: names.collect(),
                ..Infrastructure::default()
            }
        };
        bench.follow_gateway(keep(&["gw-web"]));
        seconds(1700).await;
        let gets = bench.calls_of("/services/gw-web");
        assert_eq!(gets.len(), 1, "{:?}", bench.calls());
        assert_eq!(bench.calls_of("/events").len(), 1, "{:?}", bench.calls());
        is_gone.store(true, Relaxed);
        bench.follow_gateway(keep(&[]));
        seconds(5).await;
        let writes = bench.calls_of("PATCH /api/v1/namespaces/shop/services/gw-web");
        assert_eq!(writes.len(), 1, "{:?}", bench.calls());
    }
}

/// An API server with a Gateway's Service and, as its slice of IPv4, one with this metadata. So it answers who writes that.
fn with_slice(
    metadata: Value,
    answer: u16,
) -> impl FnMut(&str) -> Option<(u16, Value)> + Send + 'static {
    let (label, by) = Service::MANAGED_BY;
    move |call| {
        let is_get = call.starts_with("GET");
        let missing = json!({"code": 404, "message": "no", "reason": "NotFound"});
        if call.contains("/services/") {
            let service = |name: &str| {
                json!({"apiVersion": "v1", "kind": "Service",
                        "metadata": {
                            "name": name, "uid": "9", "labels": {label: by},
                            "ownerReferences": [{"apiVersion": "x/v1", "kind": "Gateway", "name": "web", "uid": "1"}],
                        },
                        "spec": {"ports": [{"port": 80, "protocol": "TCP", "nodePort": 31080, "targetPort": 31080}]}})
            };
            return Some((200, service("gw-web-lb")));
        }
        if call.contains("/endpointslices/") {
            let slice = json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "endpoints": [], "metadata": metadata,
            });
            return match (call.contains(SLICE), is_get) {
                (true, true) => Some((200, slice)),
                (true, false) if answer == 409 => {
                    let message =
                        "Apply failed with 1 conflict: conflict with \"other\": .endpoints";
                    Some((
                        409,
                        json!({"code": 409, "message": message, "reason": "Conflict"}),
                    ))
                }
                (false, true) => Some((404, missing)),
                _ => Some((200, slice)),
            };
        }
        let gateway = json!({
            "apiVersion": Kind::Gateway.api_version(), "kind": "Gateway",
            "metadata": {"name": "web", "uid": "1"},
        });
        match is_get {
            true => Some((200, gateway)),
            false => ok(call),
        }
    }
}

/// A slice that is somebody else's, and one of ours in which another manager has its say: neither is written by force, and the
/// Gateway's owner is told which it is. One of a Service that is gone goes with that, and is waited for.
#[tokio::test(start_paused = true)]
async fn a_slice_is_never_taken_by_force() {
    let owned_by = |uid: &str| json!([{"apiVersion": "v1", "kind": "Service", "name": "gw-web-lb", "uid": uid}]);
    let (label, by) = Service::MANAGED_BY;
    let ours = |uid| json!({"name": "x", "labels": {label: by}, "ownerReferences": owned_by(uid)});
    // What is there, the answer to a write, the writes that are made, how often the owner is told, whether it is looked at again.
    for (there, answer, writes, told, again) in [
        (json!({"name": "x"}), 200, 0, 1, false),
        (
            json!({"name": "x", "labels": {label: by}}),
            200,
            0,
            1,
            false,
        ),
        (
            json!({"name": "x", "ownerReferences": owned_by("9")}),
            200,
            0,
            1,
            false,
        ),
        (ours("9"), 409, 1, 1, false),
        (ours("8"), 200, 0, 0, true),
        (ours("9"), 200, 1, 0, false),
    ] {
        let bench = Bench::start(with_slice(there.clone(), answer));
        bench.follow_gateway(Infrastructure {
            service: "gw-web".into(),
            load_balancer: Some(LoadBalancer {
                service: "gw-web-lb".into(),
                ports: [(80, false)].into(),
                ..LoadBalancer::default()
            }),
            has_services: true,
            is_there: true,
            ..Infrastructure::default()
        });
        seconds(20).await;
        let made = bench.calls_of(&format!(
            "PATCH /apis/discovery.k8s.io/v1/namespaces/shop{SLICE}"
        ));
        assert_eq!(made.len(), writes, "{there} {:?}", bench.calls());
        assert_eq!(
            bench.calls_of("/events").len(),
            told,
            "{there} {:?}",
            bench.calls()
        );
        let looks = bench.calls_of(&format!(
            "GET /apis/discovery.k8s.io/v1/namespaces/shop{SLICE}"
        ));
        assert_eq!(looks.len() > 1, again, "{there} {:?}", bench.calls());
        let forced = bench
            .server
            .lock()
            .unwrap()
            .queries
            .iter()
            .any(|it| it.contains("/endpointslices/") && it.contains("force"));
        assert!(!forced, "{there}");
    }
}
