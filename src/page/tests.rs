#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use serde_json::Value;
use tokio::sync::mpsc;
use tower::util::ServiceExt as _;

use super::state::FOLLOWERS;
use super::*;
use crate::build::controller::{Awaited, Controller, Metrics};
use crate::build::{Builder, Config};
use crate::objects::Event;
use crate::process::admin::{Heartbeat, Readiness};
use crate::process::supervisor::Supervisor;
use crate::translate::Options;
use crate::xds::Reports;

const OBJECTS: &str = include_str!("tests/objects.yaml");

/// A page of a controller that runs.
struct Running {
    page: Page,
    events: mpsc::Sender<Event>,
    _supervisor: Supervisor,
}

impl Running {
    async fn start(yaml: &str) -> Self {
        let (events, received) = mpsc::channel(16);
        let mut registry = prometheus_client::registry::Registry::default();
        let (readiness, _pending) = Readiness::new("nothing");
        let (controller, outputs) = Controller::new(
            Builder::new(Config::of_manifests(Options::default())),
            Awaited::new([], &readiness),
            received,
            Metrics::register(&mut registry),
            Heartbeat::default(),
        );
        let supervisor = Supervisor::new();
        tokio::spawn(controller.run(supervisor.stop()));
        let this = Self {
            page: Page::new(outputs, Reports::default()),
            events,
            _supervisor: supervisor,
        };
        this.apply(yaml).await;
        this
    }

    async fn apply(&self, yaml: &str) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("objects.yaml"), yaml).unwrap();
        self.send(folder.path()).await;
    }

    async fn send(&self, folder: &Path) {
        let mut snapshots = self.page.outputs.snapshots.clone();
        snapshots.mark_unchanged();
        let inspection = crate::sources::manifests::Inspection::of(folder).unwrap();
        self.events
            .send(Event::Batch(inspection.events()))
            .await
            .unwrap();
        snapshots.changed().await.unwrap();
    }

    /// The answer of a page as the admin listener gives it.
    async fn get(&self, path: &str) -> (u16, http::HeaderMap, String) {
        let mut pages = Pages::default();
        self.page.add_to(&mut pages);
        let request = axum::extract::Request::get(path)
            .body(axum::body::Body::empty())
            .unwrap();
        let response = pages.router().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        (head.status.as_u16(), head.headers, text)
    }

    async fn json(&self, path: &str) -> Value {
        let (status, headers, text) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {text}");
        assert_eq!(headers["content-type"], "application/json", "{path}");
        serde_json::from_str(&text).unwrap()
    }
}

fn names(rows: &Value, key: &str) -> Vec<String> {
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row[key].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let running = Running::start(OBJECTS).await;
    for asset in assets::ALL {
        let (status, headers, text) = running.get(asset.path).await;
        assert_eq!(status, 200, "{}", asset.path);
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        ));
        assert!(
            !policy.contains("unsafe") && !policy.contains("http"),
            "{policy}"
        );
        // What a picture is written in has a name that looks like an address.
        let text = text.replace("http://www.w3.org/2000/svg", "");
        let text = text.replace("\"http://a.example/path\"", "");
        assert!(!text.contains("https://"), "{}", asset.path);
        assert!(
            !text.replace("`http://${", "").contains("http://"),
            "{}",
            asset.path
        );
        for inline in [
            "style=",
            "onclick=\"",
            "innerHTML",
            "eval(",
            "<script>",
            "<style",
        ] {
            assert!(!text.contains(inline), "{} has {inline}", asset.path);
        }
    }
    // What one file loads is there.
    let (_, _, html) = running.get("/").await;
    let html = html.as_str();
    let mut files: Vec<String> = html
        .split('"')
        .filter(|word| word.starts_with("/page/"))
        .map(ToOwned::to_owned)
        .collect();
    let mut seen = 0;
    while let Some(file) = files.get(seen).cloned() {
        seen += 1;
        let (status, _, text) = running.get(&file).await;
        assert_eq!(status, 200, "{file}");
        let imports = text.split("from \"./").skip(1);
        let imports = imports.map(|rest| format!("/page/{}", rest.split('"').next().unwrap()));
        for import in imports.collect::<Vec<_>>() {
            if !files.contains(&import) {
                files.push(import);
            }
        }
    }
    assert_eq!(
        files.len() + 1,
        assets::ALL.len(),
        "each is loaded: {files:?}"
    );
}

#[tokio::test]
async fn the_overview_counts() {
    let running = Running::start(OBJECTS).await;
    let told = running.json("/debug/overview").await;
    assert_eq!(told["hosts"], 3);
    assert_eq!(told["snapshot"], 1);
    let objects = told["objects"].as_array().unwrap();
    let ingresses = objects.iter().find(|row| row["kind"] == "Ingress").unwrap();
    assert_eq!(
        (&ingresses["count"], &ingresses["problems"]),
        (&4.into(), &2.into())
    );
    let reasons = names(&told["problems"]["reasons"], "reason");
    assert_eq!(reasons, ["PathConflict", "ServiceNotFound"]);
    assert_eq!(told["streams"]["count"], 0);
}

#[tokio::test]
async fn hosts_are_found_by_name_and_by_service() {
    let running = Running::start(OBJECTS).await;
    for (query, expected) in [
        ("", &["a.example", "b.example", "c.example"][..]),
        ("?search=B.Ex", &["b.example"]),
        ("?search=shop/cart", &["a.example"]),
        ("?search=nobody", &[]),
        ("?offset=1&limit=1", &["b.example"]),
        ("?offset=9", &[]),
    ] {
        let told = running.json(&format!("/debug/hosts{query}")).await;
        assert_eq!(names(&told["hosts"], "host"), expected, "{query}");
        let found = match query.contains("search") {
            true => expected.len(),
            false => 3,
        };
        assert_eq!(told["found"], found, "{query}");
    }
    let (status, _, says) = running.get("/debug/hosts?offset=x").await;
    assert_eq!((status, &*says), (400, "offset: \"x\" is no number\n"));
}

#[tokio::test]
async fn a_host_leads_to_its_endpoints() {
    let running = Running::start(OBJECTS).await;
    let told = running.json("/debug/host?host=a.example").await;
    let view = &told["view"];
    assert_eq!(names(&view["claims"], "name"), ["web", "late"]);
    assert_eq!(view["found"], 2);
    let routes = view["routes"].as_array().unwrap();
    assert_eq!(
        names(&view["routes"], "says"),
        ["/cart and below", "/ and below"]
    );
    assert_eq!(routes[0]["field"], "spec.rules[0].http.paths[1]");
    assert_eq!(
        (&routes[0]["http"], &routes[0]["https"]),
        (&true.into(), &false.into())
    );
    let cluster = &view["clusters"][0];
    assert_eq!(routes[0]["targets"][0]["cluster"], cluster["name"]);
    assert_eq!(cluster["ports"][0]["name"], "cart");
    assert_eq!(
        (&cluster["count"], &cluster["endpoints"][0]["address"]),
        (&2.into(), &"10.0.0.1:8080".into())
    );
    assert_eq!(cluster["endpoints"][0]["zone"], "north");
    // Its routes are searched, and a host that nobody names is told as such.
    let told = running.json("/debug/host?host=A.example&search=cart").await;
    assert_eq!(told["view"]["found"], 1);
    let told = running.json("/debug/host?host=z.example").await;
    assert_eq!(told["view"], Value::Null);
    assert_eq!(running.get("/debug/host").await.0, 400);
}

#[tokio::test]
async fn objects_are_listed_with_their_problems() {
    let running = Running::start(OBJECTS).await;
    let told = running
        .json("/debug/objects?kind=Ingress&search=shop/")
        .await;
    assert_eq!(names(&told["objects"], "name"), ["late", "lost", "web"]);
    assert_eq!(told["objects"][0]["problems"], 1);
    let told = running.json("/debug/objects?problems=only").await;
    assert_eq!(names(&told["objects"], "name"), ["late", "lost"]);
    assert_eq!(running.get("/debug/objects").await.0, 400);
    assert_eq!(running.get("/debug/objects?kind=Pod").await.0, 400);
    let told = running
        .json("/debug/parts?kind=Ingress&namespace=shop&name=web")
        .await;
    let parts = told["parts"].as_array().unwrap();
    let table = parts.iter().find(|it| it["type"] == "rds").unwrap();
    assert_eq!(table["part"], "a.example");
    let told = running
        .json("/debug/parts?kind=Ingress&namespace=shop&name=late")
        .await;
    assert_eq!(told["problems"][0]["reason"], "PathConflict");
    assert_eq!(told["problems"][0]["field"], "spec.rules[0].http.paths[0]");
}

#[tokio::test]
async fn conflicts_name_both_sides() {
    let running = Running::start(OBJECTS).await;
    let told = running.json("/debug/conflicts").await;
    assert_eq!(told["found"], 1);
    let conflict = &told["conflicts"][0];
    assert_eq!(conflict["object"]["name"], "late");
    assert_eq!(names(&conflict["others"], "name"), ["web"]);
    let told = running.json("/debug/conflicts?search=nobody").await;
    assert_eq!(told["found"], 0);
}

/// What changed is told with time, object and what became of Envoy's configuration; nothing is compared where nothing changed.
#[tokio::test]
async fn changes_are_found_when_somebody_looks() {
    let running = Running::start(OBJECTS).await;
    let told = running.json("/debug/changes").await;
    assert_eq!(told["changes"], Value::Array(Vec::new()));
    running
        .apply(&OBJECTS.replace("host: b.example", "host: d.example"))
        .await;
    let told = running.json("/debug/changes").await;
    let changes = told["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1);
    assert!(changes[0]["at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(changes[0]["snapshot"], 2);
    let lines: Vec<String> = changes[0]["envoy"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            format!(
                "{} {} {} {}",
                it["change"], it["type"], it["part"], it["owners"]
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            r#""removed" "rds" "b.example" ["Ingress other/other"]"#,
            r#""added" "rds" "d.example" ["Ingress other/other"]"#,
        ],
    );
    for _ in 0..3 {
        running.json("/debug/changes").await;
    }
    assert_eq!(running.page.history().compared(), 1);
}

/// I9: whatever happens while nobody looks, nothing of the page runs for it; now and then it looks once at all of it.
#[tokio::test(start_paused = true)]
async fn events_cost_nothing_while_nobody_looks() {
    let running = Running::start(OBJECTS).await;
    let supervisor = Supervisor::new();
    tokio::spawn(running.page.clone().run(supervisor.stop()));
    tokio::time::sleep(LOOKS * 2).await;
    assert_eq!(running.page.history().compared(), 0, "nothing has changed");
    for turn in 0..20 {
        let moved = format!("host: h{turn}.example");
        let objects = OBJECTS.replace("host: b.example", &moved);
        running.apply(&objects).await;
    }
    assert_eq!(running.page.history().compared(), 0);
    tokio::time::sleep(LOOKS * 5).await;
    assert_eq!(running.page.history().compared(), 1);
}

#[tokio::test]
async fn few_follow_at_a_time() {
    let running = Running::start(OBJECTS).await;
    let followers: Vec<_> = (0..FOLLOWERS).map(|_| running.page.follow()).collect();
    assert!(followers.iter().all(|it| it.status() == 200));
    assert_eq!(running.page.follow().status(), 503);
    drop(followers);
    assert_eq!(running.page.follow().status(), 200);
}

/// A flood of changes is one event to who follows, and it says how far things are.
#[tokio::test(start_paused = true)]
async fn who_follows_is_told_of_the_newest_state() {
    use futures::StreamExt as _;
    let running = Running::start(OBJECTS).await;
    let mut events = running.page.follow().into_body().into_data_stream();
    let mut next = async || {
        let bytes = events.next().await.unwrap().unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    assert!(next().await.contains("\"snapshot\":1}"));
    for turn in 0..5 {
        let moved = format!("host: h{turn}.example");
        running
            .apply(&OBJECTS.replace("host: b.example", &moved))
            .await;
    }
    let told = next().await;
    assert!(told.contains("\"snapshot\":6}"), "{told}");
    assert!(told.contains("\"connected\":false"), "{told}");
    // Then nothing but signs of life, until the stream ends and the place is free.
    let mut last = next().await;
    while events.next().await.is_some() {
        last = "ended later".to_owned();
    }
    assert!(last == "ended later" || last.starts_with(':'), "{last}");
    assert_eq!(running.page.places.available_permits(), FOLLOWERS);
}
