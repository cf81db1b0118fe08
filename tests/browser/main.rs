//! The page, as a person has it: in a real Chromium, of a real `isobath run` with a real Envoy, and at ten thousand hosts.
//!
//! `tests/browser/build.sh` has what it needs. The pictures in `deploy/page` are made here (`UPDATE_GOLDEN=1`): fonts differ from
//! machine to machine, so of those that are there it is only checked that they are pictures of that size.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/golden.rs"]
mod golden;
#[path = "../support/mod.rs"]
mod support;

mod driver;

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use driver::{Browser, WINDOW};
use support::envoy;
use support::eventually::eventually;
use support::isobath::{BINARY, Isobath};
use support::port::Port;
use support::process::Process;

/// An `isobath run` on a folder of its own.
struct Run {
    process: Process,
    admin: Port,
    http: Port,
    _ports: [Port; 2],
    folder: TempDir,
}

impl Run {
    fn start(manifests: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("manifests");
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("objects.yaml"), manifests).unwrap();
        let (admin, http) = (Port::take(), Port::take());
        let ports = [Port::take(), Port::take()];
        let [https, stats] = ports.each_ref().map(Port::address);
        let mut command = Command::new(BINARY);
        command
            .arg("run")
            .arg(&directory)
            .arg("--envoy")
            .arg(envoy::binary())
            .args(["--admin-address", &admin.address().to_string()])
            .args(["--envoy-http-address", &http.address().to_string()])
            .args(["--envoy-https-address", &https.to_string()])
            .args(["--envoy-stats-address", &stats.to_string()]);
        let log = folder.path().join("output");
        Self {
            process: Process::start("isobath run", &mut command, &log),
            admin,
            http,
            _ports: ports,
            folder,
        }
    }

    fn write(&self, manifests: &str) {
        // Renamed into its place: half a file is never read.
        let aside = self.folder.path().join("aside");
        fs::write(&aside, manifests).unwrap();
        fs::rename(aside, self.folder.path().join("manifests/objects.yaml")).unwrap();
    }

    /// Waits until it prints its URLs; returns all that it has printed.
    async fn serves(&mut self) -> String {
        eventually("it serves", async || {
            self.process.assert_running();
            let output = self.process.output();
            match output.contains("Ctrl-C ends both") {
                true => Ok(output),
                false => Err(output),
            }
        })
        .await
    }
}

fn page(address: SocketAddr) -> String {
    format!("http://{address}/")
}

const SHOP: &str = include_str!("shop.yaml");

/// Compares, or writes, a picture of the documentation.
fn document(name: &str, picture: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/page");
    let path: PathBuf = path.join(name);
    if golden::updates() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, picture).unwrap();
    }
    let committed = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(committed.len() < 200_000, "{name} is no small picture");
    for of in [&*committed, picture] {
        assert_eq!(of[1..4], *b"PNG", "{name}");
        let number = |at: usize| u32::from_be_bytes(of[at..at + 4].try_into().unwrap());
        assert_eq!((number(16), number(20)), WINDOW, "{name}");
    }
}

#[tokio::test]
async fn a_person_finds_the_way() {
    let Some(assets) = driver::folder() else {
        return;
    };
    let mut run = Run::start(SHOP);
    let printed = run.serves().await;
    let url = page(run.admin.address());
    let first = printed.find("http://").unwrap();
    assert!(printed[first..].starts_with(&url), "{printed}");
    let browser = Browser::start(&assets).await;
    // Everything that Envoy was sent has arrived.
    browser.open(&url).await;
    browser.says("Envoy has all of it").await;
    browser.says("isobath-run").await;
    browser.says("ServiceNotFound").await;
    browser.assert_accessible("overview").await;

    follow_a_host(&browser).await;
    objects_and_conflicts(&browser).await;
    explain(&browser, &url).await;
    a_change_appears(&browser, &run).await;
    keyboard_and_dark(&browser, &url).await;
    unknown_host(&browser, &run).await;
    browser.assert_quiet().await;
}

/// From the list by a search to a host, a route of it, its Service and an endpoint, each by a click, and back by the address.
async fn follow_a_host(browser: &Browser) {
    browser.click("Hosts").await;
    browser.says("of 5 hosts").await;
    browser.type_into("input[type=search]", "shop.ex").await;
    browser.says("1–1 of 1 host").await;
    assert!(browser.url().await.ends_with("#/hosts?search=shop.ex"));
    browser.assert_accessible("hosts").await;
    browser.click("shop.example").await;
    browser.says("Named by").await;
    browser.click_on("[data-node=r0]").await;
    browser.says("Route: /cart and below").await;
    browser.click_on("[data-node^='cshop/cart']").await;
    browser.says("Service: shop/cart:80").await;
    browser
        .click_on("[data-node^='eshop/cart'][data-node$='10.0.0.2:8080']")
        .await;
    // What does not belong to it is dim, and the lines are there.
    eventually("the way to the endpoint is bright", async || {
        let counts = browser
            .run(
                "return [document.querySelectorAll('.picture li.dim').length, \
                  document.querySelectorAll('.picture path.bright').length, \
                  document.querySelectorAll('.picture [aria-current]').length]",
            )
            .await;
        match counts == json!([3, 2, 1]) {
            true => Ok(()),
            false => Err(counts.to_string()),
        }
    })
    .await;
    browser.assert_accessible("host").await;
    document("host.png", &browser.picture().await);
    // The address has all of it.
    let address = browser.url().await;
    browser.open("about:blank").await;
    browser.open(&address).await;
    browser
        .find(".picture a[aria-current][data-node$='10.0.0.2:8080']")
        .await;
}

async fn objects_and_conflicts(browser: &Browser) {
    browser.click("Objects").await;
    browser.says("Ingress").await;
    browser.click("shop/late").await;
    browser.says("PathConflict").await;
    browser.says("What Envoy is sent of it").await;
    browser.assert_accessible("object").await;
    browser.click("Conflicts").await;
    browser.says("of 1 conflict").await;
    browser.find(".sides").await;
    browser.assert_accessible("conflicts").await;
}

async fn explain(browser: &Browser, url: &str) {
    browser.click("Explain").await;
    browser
        .type_into("input[name=url]", "http://shop.example/cart/1")
        .await;
    browser.click_on("button[type=submit]").await;
    browser.says("/cart and below takes it").await;
    browser.says("Every Envoy has acknowledged it").await;
    browser.assert_accessible("explain").await;
    document("explain.png", &browser.picture().await);
    let address = browser.url().await;
    assert_eq!(
        address,
        format!("{url}#/explain?url=http%3A%2F%2Fshop.example%2Fcart%2F1")
    );
}

/// A file is saved, and the page shows it by itself: it is not loaded again.
async fn a_change_appears(browser: &Browser, run: &Run) {
    browser.click("Hosts").await;
    browser.says("of 5 hosts").await;
    browser.run("window.stays = true").await;
    run.write(&SHOP.replace("www.example", "new.example"));
    browser.says("new.example").await;
    assert_eq!(browser.run("return window.stays").await, json!(true));
    browser.click("Changes").await;
    browser
        .says("added the routes of new.example by Ingress web/www")
        .await;
    browser
        .says("removed the routes of www.example by Ingress web/www")
        .await;
    browser.assert_accessible("changes").await;
}

async fn keyboard_and_dark(browser: &Browser, url: &str) {
    browser.prefers("dark").await;
    browser.open("about:blank").await;
    browser.open(url).await;
    browser.says("Problems by reason").await;
    let ground = browser
        .run("return getComputedStyle(document.body).backgroundColor")
        .await;
    assert_eq!(ground, json!("rgb(16, 24, 29)"));
    browser.assert_accessible("overview in dark").await;
    // Tab, Enter: past the menu to what is in it.
    browser.type_at_focus("\u{e004}").await;
    browser.type_at_focus("\u{e007}").await;
    assert_eq!(
        browser.run("return document.activeElement.id").await,
        json!("content")
    );
    browser.type_at_focus("\u{e004}").await;
    browser.type_at_focus("\u{e007}").await;
    browser.says("Search by host or Service").await;
    let focused = browser.run("return document.activeElement.tagName").await;
    assert_eq!(focused, json!("H1"), "a new view has the focus");
    browser.prefers("light").await;
}

/// Who asks for a host that nobody names is told where the answer to why is.
async fn unknown_host(browser: &Browser, run: &Run) {
    let output = Command::new("curl")
        .args(["--silent", "--header", "Host: nobody.example"])
        .arg(format!("http://{}/x?y", run.http.address()))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let start = text.find(&page(run.admin.address())).expect(&text);
    let link = text[start..].split_whitespace().next().unwrap();
    browser.open(link).await;
    browser.says("*, which takes nobody.example: 1 route").await;
}

const HOSTS: usize = 10_000;

/// What its main thread does may take a second for whatever is looked at: CPU, and no time on a busy machine.
const SECOND: f64 = 1.0;

#[tokio::test]
async fn ten_thousand_hosts_cost_less_than_a_second() {
    let Some(assets) = driver::folder() else {
        return;
    };
    let mut isobath = Isobath::prepare(&[]);
    isobath.write_text("hosts.yaml", &many());
    isobath.restart().await;
    let url = page(isobath.admin());
    let browser = Browser::start(&assets).await;
    browser.cdp("Performance.enable", json!({})).await;
    for (view, says) in [
        ("", "Problems by reason"),
        ("#/hosts", "1–50 of 10,000 hosts"),
        ("#/hosts?search=host-9999", "1–1 of 1 host"),
        ("#/hosts?offset=9950", "9,951–10,000 of 10,000 hosts"),
        ("#/host?host=host-1234.example", "Route: / and below"),
        ("#/objects?kind=Ingress", "1–50 of 10,000 objects"),
        ("#/objects?problems=only", "1–50 of 5,000 objects"),
        ("#/conflicts", "No object contradicts another one"),
        (
            "#/explain?url=http://host-77.example/",
            "no back end that can be used",
        ),
    ] {
        browser.open("about:blank").await;
        let address = match view.contains("host=") {
            true => format!("{url}{view}&at=r0"),
            false => format!("{url}{view}"),
        };
        browser.open(&address).await;
        browser.says(says).await;
        let took = browser.main_thread().await;
        println!("{HOSTS} hosts, {view:?}: {took:.3} s of the main thread");
        assert!(took < SECOND, "{view}: {took} s");
    }
    browser.assert_quiet().await;
}

/// Ingresses with one host each, of which every other one names a Service that does not exist.
fn many() -> String {
    let mut text = String::from(
        "{apiVersion: v1, kind: Service, metadata: {namespace: default, name: web-0}, spec: {ports: [{port: 80}]}}\n",
    );
    for number in 0..HOSTS {
        let service = number % 2;
        writeln!(
            text,
            "---\n{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{namespace: default, name: host-{number}}}, \
             spec: {{rules: [{{host: host-{number}.example, http: {{paths: [{{path: /, pathType: Prefix, \
             backend: {{service: {{name: web-{service}, port: {{number: 80}}}}}}}}]}}}}]}}}}"
        )
        .unwrap();
    }
    text
}
