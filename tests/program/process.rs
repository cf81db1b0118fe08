//! Starting things and waiting for conditions.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Bounds every wait for a condition.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A command of the program, with an environment that sets no flag.
pub fn isobath(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).args(["--log-format", "text"]);
    for (name, _) in std::env::vars() {
        if name.starts_with("ISOBATH_") {
            command.env_remove(name);
        }
    }
    command
}

pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_isobath"))
}

/// Runs a command to its end.
pub fn output(command: &mut Command) -> Output {
    let mut child = Reaped(
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    eventually("the end of the program", || {
        child.0.try_wait().unwrap().is_some()
    });
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    child
        .0
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut stdout)
        .unwrap();
    child
        .0
        .stderr
        .take()
        .unwrap()
        .read_to_end(&mut stderr)
        .unwrap();
    let status = child.0.wait().unwrap();
    Output {
        status,
        stdout,
        stderr,
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A child that is killed when a test fails.
pub struct Reaped(pub Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until the condition holds, and fails the test when it does not in time.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process runs; one that has ended and was not reaped does not.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(')')
        .map(|(_, fields)| fields.trim_start().chars().next());
    !matches!(state, None | Some(None | Some('Z' | 'X')))
}

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
