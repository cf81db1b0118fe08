//! A real Envoy that is fed a set of resources.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use isobath::envoy::bootstrap::{Bootstrap, XdsServer};
use isobath::xds::ResourceType;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::ads::{self, Refusals, Resources};
use crate::client::{self, Answer};

/// Envoy's path, `None` (said loudly) where there is none.
pub fn envoy() -> Option<PathBuf> {
    let path = std::env::var_os("ISOBATH_TEST_ENVOY").map(PathBuf::from);
    if path.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "ISOBATH_TEST_ENVOY must name an Envoy on CI"
        );
        eprintln!("SKIPPED: ISOBATH_TEST_ENVOY names no Envoy, nothing was proven");
    }
    path
}

/// Whether it makes every filter in a route's chain: 1.39 refuses the host of some.
pub fn makes_all_filters(envoy: &Path) -> bool {
    let version = std::process::Command::new(envoy).arg("--version").output();
    let version = version.unwrap().stdout;
    !String::from_utf8_lossy(&version).contains("/1.39.")
}

/// Bounds every wait for a condition.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running Envoy; dropping it ends the process.
pub struct Proxy {
    child: Child,
    directory: tempfile::TempDir,
    resources: watch::Sender<Resources>,
    refusals: Refusals,
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub stats: SocketAddr,
}

impl Proxy {
    /// Starts Envoy with our own bootstrap and waits until its listeners are open.
    pub async fn start(envoy: &Path, resources: Resources) -> Self {
        let listeners = resources
            .keys()
            .filter(|(of, _)| *of == ResourceType::Listener);
        let listeners = listeners.count();
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let (resources, refusals) = ads::serve(&path("xds.sock"), resources);
        let bootstrap = Bootstrap {
            xds: XdsServer::Unix(path("xds.sock")),
            admin_socket: path("admin.sock"),
            authz_socket: "/nowhere".into(),
            node_id: "test".to_owned(),
            node_cluster: "test".to_owned(),
            max_heap_bytes: Some(1 << 30),
        };
        std::fs::write(path("envoy.json"), bootstrap.to_json().to_string()).unwrap();
        let child = Command::new(envoy)
            .args([
                "--disable-hot-restart",
                "--concurrency",
                "1",
                // Else the access log comes every ten seconds.
                "--file-flush-interval-msec",
                "20",
                "-l",
                "warning",
                "-c",
            ])
            .arg(path("envoy.json"))
            .stdout(File::create(path("stdout")).unwrap())
            .stderr(File::create(path("stderr")).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut proxy = Self {
            child,
            directory,
            resources,
            refusals,
            http: nowhere,
            https: nowhere,
            stats: nowhere,
        };
        proxy.await_listeners(listeners).await;
        proxy
    }

    async fn await_listeners(&mut self, count: usize) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("Envoy ended with {status}: {}", self.stderr());
            }
            if let Some(answer) = self.try_admin("GET", "/listeners?format=json").await
                && let Ok(json) = serde_json::from_str::<serde_json::Value>(&answer.body)
                && self
                    .try_admin("GET", "/ready")
                    .await
                    .is_some_and(|answer| answer.status == 200)
                && json["listener_statuses"]
                    .as_array()
                    .is_some_and(|all| all.len() == count)
            {
                for status in json["listener_statuses"].as_array().unwrap() {
                    let socket = &status["local_address"]["socket_address"];
                    let port = u16::try_from(socket["port_value"].as_u64().unwrap()).unwrap();
                    let address = SocketAddr::from(([127, 0, 0, 1], port));
                    match status["name"].as_str().unwrap() {
                        "http" => self.http = address,
                        "https" => self.https = address,
                        "stats" => self.stats = address,
                        // Whoever declares another one knows where it is.
                        _ => {}
                    }
                }
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "Envoy opened no listeners; refused: {:?}; {}",
                self.refusals.lock().unwrap(),
                self.stderr()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Replaces the resources and waits until Envoy has counted an update of each of these statistics.
    pub async fn update(&self, change: impl FnOnce(&mut Resources), until: &str) {
        let before = self.statistic(until).await;
        self.resources.send_modify(change);
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.statistic(until).await == before {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{until} never moved: {:?}",
                self.refusals()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Replaces the resources and waits until a statistic has this value and no cluster waits for its endpoints.
    ///
    /// A listener of TCP is active before its cluster is: Envoy asks for endpoints when it has read the clusters, and listeners
    /// come meanwhile. Who connects then is closed.
    pub async fn change(&self, change: impl FnOnce(&mut Resources), statistic: &str, value: u64) {
        self.resources.send_modify(change);
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.statistic(statistic).await != value
            || self.statistic("cluster_manager.warming_clusters").await != 0
        {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{statistic} never was {value} with all clusters warm: {:?}",
                self.refusals()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// CPU time so far, in the kernel's nanoseconds.
    pub fn cpu(&self) -> Duration {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        let clock = nix::time::clock_getcpuclockid(nix::unistd::Pid::from_raw(id)).unwrap();
        clock.now().unwrap().into()
    }

    /// Replaces the resources.
    pub fn replace(&self, change: impl FnOnce(&mut Resources)) {
        self.resources.send_modify(change);
    }

    /// What Envoy refused so far.
    pub fn refusals(&self) -> Vec<String> {
        self.refusals.lock().unwrap().clone()
    }

    /// Fails if Envoy refused anything, or warned of our configuration.
    ///
    /// Known and wanted: `allow_custom_methods` is marked as work in progress in Envoy 1.40, and nothing else lets `LIST` or
    /// WebDAV's methods through over HTTP/1.1. So is everything that makes custom responses. Of each body that is refused there
    /// is a line, at the level of errors.
    pub fn assert_content(&self) {
        assert_eq!(self.refusals(), Vec::<String>::new());
        let complaints: Vec<String> = self
            .stderr()
            .lines()
            .filter(|line| {
                ["[warning]", "[error]", "[critical]"]
                    .iter()
                    .any(|level| line.contains(level))
            })
            .filter(|line| !line.contains("Http1ProtocolOptions.allow_custom_methods"))
            .filter(|line| !(line.contains("custom_response") && line.contains("work-in-progress")))
            .filter(|line| !line.contains("body_size_limit_filter.cc"))
            .map(str::to_owned)
            .collect();
        assert_eq!(complaints, Vec::<String>::new());
    }

    pub fn stdout(&self) -> String {
        self.file("stdout")
    }

    pub fn stderr(&self) -> String {
        self.file("stderr")
    }

    /// The access log, once it has this text.
    pub async fn access_log(&self, text: &str) -> Vec<serde_json::Value> {
        let log = self.text_log(text).await;
        let lines = log.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The same, of a log that is text.
    pub async fn text_log(&self, text: &str) -> String {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let log = self.file("stdout");
            if log.contains(text) && log.ends_with('\n') {
                return log;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "the log has only: {log}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A counter or gauge; 0 where Envoy does not have it yet.
    pub async fn statistic(&self, name: &str) -> u64 {
        let all = self.admin("GET", "/stats").await.body;
        all.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok())
            .unwrap_or(0)
    }

    /// Asks the admin interface.
    pub async fn admin(&self, method: &str, path: &str) -> Answer {
        self.try_admin(method, path).await.unwrap()
    }

    async fn try_admin(&self, method: &str, path: &str) -> Option<Answer> {
        let socket = self.directory.path().join("admin.sock");
        let stream = UnixStream::connect(socket).await.ok()?;
        Some(client::exchange(stream, &client::request(method, "admin", path, &[])).await)
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).unwrap()
    }
}
