//! A child process whose output goes to a file and that never outlives its test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::eventually::eventually;

/// A running child. Dropping it kills it, and prints the end of its output when the test is failing.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    output: PathBuf,
}

impl Process {
    /// Starts the command; both of its streams are appended to `output`.
    pub(crate) fn start(name: &'static str, command: &mut Command, output: &Path) -> Self {
        let file = File::options()
            .create(true)
            .append(true)
            .open(output)
            .unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}: {command:?}"));
        Self {
            name,
            child,
            output: output.to_owned(),
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Everything that it and its predecessors with the same file wrote so far.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap()).into_owned()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Its exit status if it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        let name = self.name;
        eventually(&format!("{name} ends"), async || {
            self.ended().ok_or("still running")
        })
        .await
    }

    /// Panics with its last words if it has ended by itself.
    pub(crate) fn assert_running(&mut self) {
        if let Some(status) = self.ended() {
            panic!(
                "{} ended with {status}: {}",
                self.name,
                last(&self.output(), 20)
            );
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // `isobath supervise` can't end its command when it is killed itself; in a pod the kernel does.
        let orphans = children(self.pid());
        // All of these fail only for a child that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for orphan in orphans {
            let _ = kill(orphan, Signal::SIGKILL);
        }
        if std::thread::panicking() {
            eprintln!(
                "--- end of {}'s output\n{}",
                self.name,
                last(&self.output(), 60)
            );
        }
    }
}

/// The processes that this one has started and not yet waited for.
fn children(parent: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{parent}/task"));
    let lists = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let ids = lists.flat_map(|list| {
        let ids = list.split_whitespace().map(str::parse);
        ids.filter_map(Result::ok).collect::<Vec<i32>>()
    });
    ids.map(Pid::from_raw).collect()
}

/// The last lines of a text.
fn last(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
