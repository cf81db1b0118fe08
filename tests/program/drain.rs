//! `isobath drain` at a real Envoy's admin socket.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::port::Port;
use crate::process::{Reaped, envoy, eventually, isobath, output, text};

/// An Envoy with one listener that answers by itself, and one of statistics.
struct Stand {
    folder: TempDir,
    envoy: Reaped,
    // Given back when Envoy is gone.
    http: Port,
    stats: Port,
}

impl Stand {
    fn start(program: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (http, stats) = (Port::take(), Port::take());
        let envoy = start_envoy(program, folder.path(), http.address(), stats.address());
        let stand = Self {
            folder,
            http,
            stats,
            envoy,
        };
        stand.until_it_serves();
        stand
    }

    fn until_it_serves(&self) {
        eventually("Envoy", || {
            TcpStream::connect(self.http.address()).is_ok()
                && self.admin("GET", "/ready").contains("LIVE")
        });
    }

    fn admin(&self, method: &str, path: &str) -> String {
        let Ok(mut stream) = UnixStream::connect(self.folder.path().join("admin.sock")) else {
            return String::new();
        };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    /// `isobath drain` with these flags, and its log in a file.
    fn drain(&self, flags: &[&str]) -> Command {
        let mut command = isobath(&["drain"]);
        command
            .arg("--admin-socket")
            .arg(self.folder.path().join("admin.sock"))
            .args(flags);
        command.stderr(fs::File::create(self.folder.path().join("log")).unwrap());
        command
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

fn start_envoy(program: &Path, folder: &Path, http: SocketAddr, stats: SocketAddr) -> Reaped {
    let socket = folder.join("admin.sock");
    let bootstrap = json!({
        "admin": {"address": {"pipe": {"path": socket}}},
        "static_resources": {"listeners": [listener("http", http), listener("stats", stats)]},
    });
    let path = folder.join("envoy.json");
    fs::write(&path, bootstrap.to_string()).unwrap();
    let child: Child = Command::new(program)
        .arg("--config-path")
        .arg(&path)
        .args([
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "--log-level",
            "error",
        ])
        .args(["--drain-time-s", "2", "--drain-strategy", "immediate"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    Reaped(child)
}

fn listener(name: &str, address: SocketAddr) -> Value {
    json!({
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": address.port()}},
        "filter_chains": [{"filters": [{
            "name": "hcm",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": name,
                "route_config": {"virtual_hosts": [{
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
                }]},
                "http_filters": [{
                    "name": "router",
                    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
                }],
            },
        }]}],
    })
}

/// A request on a connection that stays open; returns the head of the answer.
fn request(stream: &mut TcpStream) -> String {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(
            stream.read(&mut byte).unwrap(),
            1,
            "closed after {}",
            text(&head)
        );
        head.push(byte[0]);
    }
    text(&head)
}

#[test]
fn connections_are_asked_to_close_and_waited_for() {
    let Some(program) = envoy() else { return };
    let stand = Stand::start(&program);
    let mut client = TcpStream::connect(stand.http.address()).unwrap();
    let mut scraper = TcpStream::connect(stand.stats.address()).unwrap();
    assert!(request(&mut client).starts_with("HTTP/1.1 200"));
    assert!(request(&mut scraper).starts_with("HTTP/1.1 200"));

    let mut drain = Reaped(
        stand
            .drain(&["--delay", "0s", "--timeout", "60s"])
            .spawn()
            .unwrap(),
    );
    eventually("the wait for a client", || {
        stand.log().contains("connections=1")
    });
    assert!(stand.admin("GET", "/ready").starts_with("HTTP/1.1 503"));
    assert!(
        drain.0.try_wait().unwrap().is_none(),
        "it waits while a client is connected"
    );
    // Whoever comes meanwhile is served.
    assert!(
        request(&mut TcpStream::connect(stand.http.address()).unwrap()).starts_with("HTTP/1.1 200")
    );
    // The client's next answer tells it to go, and its going ends the wait, though the scraper stays.
    let head = request(&mut client).to_lowercase();
    assert!(head.contains("connection: close"), "{head}");
    drop(client);
    eventually("the end of the drain", || {
        drain.0.try_wait().unwrap().is_some()
    });
    assert_eq!(drain.0.wait().unwrap().code(), Some(0), "{}", stand.log());
    assert!(stand.log().contains("drained"), "{}", stand.log());
    request(&mut scraper);
}

#[test]
fn the_wait_is_bounded() {
    let Some(program) = envoy() else { return };
    let stand = Stand::start(&program);
    let mut client = TcpStream::connect(stand.http.address()).unwrap();
    request(&mut client);
    let start = Instant::now();
    let status = stand
        .drain(&["--delay", "0s", "--timeout", "2s"])
        .status()
        .unwrap();
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert_eq!(status.code(), Some(0));
    assert!(stand.log().contains("--timeout is over"), "{}", stand.log());
}

/// The hook may run while Envoy starts, or its main thread is busy.
#[test]
fn a_late_admin_is_waited_for() {
    let Some(program) = envoy() else { return };
    let mut stand = Stand::start(&program);
    stand.envoy.0.kill().unwrap();
    stand.envoy.0.wait().unwrap();
    fs::remove_file(stand.folder.path().join("admin.sock")).unwrap();
    let mut drain = Reaped(
        stand
            .drain(&["--delay", "0s", "--timeout", "60s", "--log-level", "debug"])
            .spawn()
            .unwrap(),
    );
    eventually("a failed try", || {
        stand.log().contains("does not answer yet")
    });
    stand.envoy = start_envoy(
        &program,
        stand.folder.path(),
        stand.http.address(),
        stand.stats.address(),
    );
    eventually("the end of the drain", || {
        drain.0.try_wait().unwrap().is_some()
    });
    assert_eq!(drain.0.wait().unwrap().code(), Some(0), "{}", stand.log());
    assert!(stand.admin("GET", "/ready").starts_with("HTTP/1.1 503"));
}

/// A liveness failure restarts the container in mid-drain: the next Envoy has to serve.
#[test]
fn a_restarted_envoy_is_left_alone() {
    let Some(program) = envoy() else { return };
    let mut stand = Stand::start(&program);
    let mut drain = Reaped(
        stand
            .drain(&["--delay", "2s", "--timeout", "60s"])
            .spawn()
            .unwrap(),
    );
    eventually("the delay", || {
        stand.log().contains("fails its health checks")
    });
    stand.envoy.0.kill().unwrap();
    stand.envoy.0.wait().unwrap();
    stand.envoy = start_envoy(
        &program,
        stand.folder.path(),
        stand.http.address(),
        stand.stats.address(),
    );
    stand.until_it_serves();
    eventually("the end of the drain", || {
        drain.0.try_wait().unwrap().is_some()
    });
    assert!(
        stand.admin("GET", "/ready").contains("LIVE"),
        "{}",
        stand.log()
    );
    assert_eq!(drain.0.wait().unwrap().code(), Some(1), "{}", stand.log());
    assert!(
        stand.log().contains("Envoy was restarted"),
        "{}",
        stand.log()
    );
}

#[test]
fn an_absent_admin_is_an_error_in_bounded_time() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let socket = socket.to_str().unwrap();
    let output = output(&mut isobath(&[
        "drain",
        "--admin-socket",
        socket,
        "--timeout",
        "1s",
    ]));
    assert_eq!(output.status.code(), Some(1));
    let log = text(&output.stderr);
    assert!(
        log.contains("fatal: ") && log.contains("POST /healthcheck/fail at "),
        "{log}"
    );
}
