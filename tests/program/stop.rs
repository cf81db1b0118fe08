//! The end of a process whose thread computes: it sees no stop and can't be aborted.
//!
//! The test starts itself once more as that process.

use std::process::{Command, Stdio};
use std::time::Duration;

use isobath::process::supervisor::{STOP, Supervisor};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::{Reaped, eventually, text};

/// Says which of the processes below this is.
const CHILD: &str = "ISOBATH_TEST_CHILD";

/// Computes for longer than any test waits.
fn compute() {
    println!("computing");
    std::thread::sleep(Duration::from_secs(3600));
}

fn child(what: &str) {
    let mut supervisor = Supervisor::new();
    let mut runtime = match what {
        "signal" => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let result = runtime.enable_all().build().unwrap().block_on(async {
        supervisor.add_signals(STOP).unwrap();
        supervisor.add("busy", |_| async {
            compute();
            Ok(())
        });
        if what == "failure" {
            supervisor.add("first", |_| async { anyhow::bail!("out of cheese") });
        }
        supervisor.run().await
    });
    panic!("the supervisor waited for the computation: {result:?}");
}

/// Starts this test as the process `what`; returns its exit code and what it said.
fn check(test: &str, what: &str, signal: Option<Signal>) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let (said, log) = (folder.path().join("said"), folder.path().join("log"));
    let mut process = Reaped(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, what)
            .stdout(std::fs::File::create(&said).unwrap())
            .stderr(std::fs::File::create(&log).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let read = |path| text(&std::fs::read(path).unwrap());
    eventually("the computation", || read(&said).contains("computing"));
    if let Some(signal) = signal {
        let pid = Pid::from_raw(process.0.id().try_into().unwrap());
        kill(pid, signal).unwrap();
    }
    let mut status = None;
    eventually("the end of the process", || {
        status = process.0.try_wait().unwrap();
        status.is_some()
    });
    (status.unwrap().code(), read(&log))
}

#[test]
fn a_signal_ends_a_process_that_computes() {
    if let Ok(what) = std::env::var(CHILD) {
        return child(&what);
    }
    let name = "stop::a_signal_ends_a_process_that_computes";
    let (code, log) = check(name, "signal", Some(Signal::SIGTERM));
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn a_failure_ends_a_process_that_computes() {
    if let Ok(what) = std::env::var(CHILD) {
        return child(&what);
    }
    let name = "stop::a_failure_ends_a_process_that_computes";
    let (code, log) = check(name, "failure", None);
    assert_eq!(code, Some(1), "{log}");
    let last = log.lines().last().unwrap();
    assert!(
        last.contains("fatal: task first ended: out of cheese"),
        "{log}"
    );
}
