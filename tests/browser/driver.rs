//! A real Chromium without a window, driven as the WebDriver standard says: it is clicked and typed at as by a person.
//!
//! The driver is Chromium's own; what speaks to it here is a few lines of HTTP and JSON. The crates that do would be more than a driver:
//! fantoccini brings a second `http` and code under the MPL, and thirtyfour has serde_json keep the order of keys, in this
//! program's own tests as well, so that what is tested would be another program than the one that is shipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::eventually::eventually;
use crate::support::port::Port;
use crate::support::process::Process;

/// Width and height of what is seen.
pub const WINDOW: (u32, u32) = (1200, 720);

/// The key of an element's name, as the standard has it.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The folder of `tests/browser/build.sh`; without it the tests prove nothing, which is a failure on CI.
pub fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("ISOBATH_TEST_BROWSER").map(PathBuf::from);
    if folder.is_none() {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "ISOBATH_TEST_BROWSER must be set on CI (tests/browser/build.sh)"
        );
        eprintln!("SKIPPED: ISOBATH_TEST_BROWSER names no folder, nothing was proven");
    }
    folder
}

/// A browser with one page.
pub struct Browser {
    client: Client<HttpConnector, Full<Bytes>>,
    /// Where its session is.
    session: String,
    axe: String,
    _driver: Process,
    _port: Port,
    _folder: TempDir,
}

/// Asks the driver, which says what it has found as `value`, errors included.
async fn ask(
    client: &Client<HttpConnector, Full<Bytes>>,
    method: Method,
    url: &str,
    body: Option<Value>,
) -> Result<Value> {
    let body = body.map(|body| Full::from(body.to_string()));
    let request = Request::builder().method(method).uri(url);
    let response = client
        .request(request.body(body.unwrap_or_default())?)
        .await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let mut told: Value = serde_json::from_slice(&body).context("the driver speaks JSON")?;
    let value = told["value"].take();
    if !status.is_success() {
        bail!("{url}: {} ({})", value["error"], value["message"]);
    }
    Ok(value)
}

impl Browser {
    /// Starts one that reaches nothing but this machine.
    pub async fn start(assets: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = Port::take();
        let mut command = Command::new("chromedriver");
        command
            .arg(format!("--port={}", port.address().port()))
            .env("HOME", folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .env("TMPDIR", folder.path());
        let log = folder.path().join("driver.log");
        let mut driver = Process::start("chromedriver", &mut command, &log);
        let (width, height) = WINDOW;
        let arguments = [
            "--headless=new",
            // Who runs the tests may be root, in a container of few rights.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--no-proxy-server",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
            "--force-device-scale-factor=1",
            &format!("--window-size={width},{height}"),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let url = format!("http://{}/session", port.address());
        let client = Client::builder(TokioExecutor::new()).build_http();
        let session = eventually("a browser starts", async || {
            driver.assert_running();
            ask(&client, Method::POST, &url, Some(wanted.clone())).await
        })
        .await;
        let session = session["sessionId"].as_str().unwrap();
        let this = Self {
            client,
            session: format!("{url}/{session}"),
            axe: std::fs::read_to_string(assets.join("axe.min.js")).unwrap(),
            _driver: driver,
            _port: port,
            _folder: folder,
        };
        // Headless windows have a frame all the same.
        this.cdp(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}),
        )
        .await;
        this
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        let url = format!("{}/{path}", self.session);
        ask(&self.client, Method::POST, &url, Some(body)).await
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let url = format!("{}/{path}", self.session);
        ask(&self.client, Method::GET, &url, None).await
    }

    /// A command of the DevTools protocol.
    pub async fn cdp(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.post("goog/cdp/execute", body).await.unwrap()
    }

    /// Goes to an address.
    pub async fn open(&self, url: &str) {
        self.post("url", json!({"url": url})).await.unwrap();
    }

    /// The address that it is at.
    pub async fn url(&self) -> String {
        let url = self.get("url").await.unwrap();
        url.as_str().unwrap().to_owned()
    }

    /// Does something to an element once it is there. One that is made anew meanwhile is looked for again.
    async fn act(&self, using: &str, value: &str, what: &str, body: Value) {
        eventually(&format!("{value:?} takes a {what}"), async || {
            let wanted = json!({"using": using, "value": value});
            let element = self.post("element", wanted).await?;
            let element = element[ELEMENT].as_str().context("an element")?;
            let path = format!("element/{element}/{what}");
            self.post(&path, body.clone()).await
        })
        .await;
    }

    /// Waits for an element by its selector.
    pub async fn find(&self, selector: &str) {
        eventually(&format!("there is {selector}"), async || {
            let wanted = json!({"using": "css selector", "value": selector});
            self.post("element", wanted).await
        })
        .await;
    }

    /// Clicks an element by its selector.
    pub async fn click_on(&self, selector: &str) {
        self.act("css selector", selector, "click", json!({})).await;
    }

    /// Clicks a link by its text.
    pub async fn click(&self, text: &str) {
        self.act("link text", text, "click", json!({})).await;
    }

    /// Types into an element by its selector.
    pub async fn type_into(&self, selector: &str, text: &str) {
        let text = json!({"text": text});
        self.act("css selector", selector, "value", text).await;
    }

    /// Types at whatever has the focus.
    pub async fn type_at_focus(&self, keys: &str) {
        let focused = self.get("element/active").await.unwrap();
        let focused = focused[ELEMENT].as_str().unwrap();
        let path = format!("element/{focused}/value");
        self.post(&path, json!({"text": keys})).await.unwrap();
    }

    /// Waits until this is on the page.
    pub async fn says(&self, text: &str) {
        eventually(&format!("the page says {text:?}"), async || {
            let all = self.run("return document.body.innerText").await;
            let all = all.as_str().unwrap_or_default().to_owned();
            match all.contains(text) {
                true => Ok(()),
                false => Err(all),
            }
        })
        .await;
    }

    /// Runs a script in the page.
    pub async fn run(&self, script: &str) -> Value {
        let body = json!({"script": script, "args": []});
        self.post("execute/sync", body).await.unwrap()
    }

    /// How much time the page's main thread has taken since it was opened, in seconds.
    pub async fn main_thread(&self) -> f64 {
        let told = self.cdp("Performance.getMetrics", json!({})).await;
        let metrics = told["metrics"].as_array().unwrap();
        let duration = metrics.iter().find(|it| it["name"] == "TaskDuration");
        duration.unwrap()["value"].as_f64().unwrap()
    }

    /// Fails where the console has an error, or a warning.
    pub async fn assert_quiet(&self) {
        let log = self.post("se/log", json!({"type": "browser"})).await;
        let log = log.unwrap();
        let lines = log.as_array().unwrap().iter();
        let bad: Vec<_> = lines.filter(|line| line["level"] != "INFO").collect();
        assert!(bad.is_empty(), "the console says {bad:#?}");
    }

    /// Fails where something serious keeps people out of what is shown.
    pub async fn assert_accessible(&self, what: &str) {
        self.run(&self.axe).await;
        let script = "const done = arguments[0]; \
                      axe.run(document, {resultTypes: ['violations']}).then((told) => done(told.violations.map((it) => \
                      ({id: it.id, impact: it.impact, help: it.help, nodes: it.nodes.map((node) => node.html).slice(0, 3)}))), \
                      (error) => done([{impact: 'serious', id: String(error)}]))";
        let body = json!({"script": script, "args": []});
        let found = self.post("execute/async", body).await.unwrap();
        let found = found.as_array().unwrap().clone();
        let is_serious = |it: &Value| matches!(it["impact"].as_str(), Some("serious" | "critical"));
        let (serious, others): (Vec<Value>, Vec<Value>) = found.into_iter().partition(is_serious);
        for other in others {
            println!("{what}: {other}");
        }
        assert!(serious.is_empty(), "{what}: {serious:#?}");
    }

    /// A picture of what is seen, as PNG.
    pub async fn picture(&self) -> Vec<u8> {
        let picture = self.get("screenshot").await.unwrap();
        STANDARD.decode(picture.as_str().unwrap()).unwrap()
    }

    /// Has the page shown in light or dark.
    pub async fn prefers(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.cdp("Emulation.setEmulatedMedia", features).await;
    }
}

impl Drop for Browser {
    /// Chromium is its driver's child, and ends with the session.
    fn drop(&mut self) {
        let _ = Command::new("curl")
            .args(["--silent", "--output", "/dev/null", "--max-time", "10"])
            .args(["--request", "DELETE", &self.session])
            .status();
    }
}
