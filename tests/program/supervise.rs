//! `isobath supervise` as PID 1 would run it (here as any other process: what PID 1 adds is that orphans come to it).

use std::fs;
use std::process::{Child, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::{Reaped, eventually, isobath, output, text};

fn supervise(flags: &[&str], script: &str) -> std::process::Command {
    let mut arguments = vec!["supervise", "--pause", "10ms"];
    arguments.extend(flags);
    // The log's flag goes before the command: what comes after is the command's.
    let mut command = isobath(&[]);
    command.args(arguments).args(["--", "sh", "-c", script]);
    command
}

fn wait(child: &mut Child) -> ExitStatus {
    let mut status = None;
    eventually("the end of the loop", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

#[test]
fn a_command_that_fails_is_restarted_until_it_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let script = format!("echo run >> {0}; [ $(wc -l < {0}) -ge 3 ]", runs.display());
    let output = output(&mut supervise(&[], &script));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(&runs).unwrap().lines().count(), 3);
}

#[test]
fn too_many_failures_end_it_with_the_commands_code() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let script = format!("echo run >> {}; exit 7", runs.display());
    let output = output(&mut supervise(&["--max-failures", "3"], &script));
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(fs::read_to_string(&runs).unwrap().lines().count(), 3);
    assert!(text(&output.stderr).contains("giving up"));
}

/// Of a signal without a name, too: nothing that ends is missed.
#[test]
fn a_command_that_dies_of_a_real_time_signal_has_failed() {
    for signal in [34, 64] {
        let script = format!("kill -{signal} $$");
        let output = output(&mut supervise(&["--max-failures", "2"], &script));
        assert_eq!(output.status.code(), Some(128 + signal));
        assert!(text(&output.stderr).contains("giving up"));
    }
}

#[test]
fn a_wrong_flag_is_not_tried_again() {
    let output = output(&mut supervise(&[], "exit 2"));
    assert_eq!(output.status.code(), Some(2));
    assert!(!text(&output.stderr).contains("restarted"));
}

#[test]
fn a_program_that_does_not_exist_is_an_error() {
    let output = output(isobath(&[]).args(["supervise", "--", "/no/such/program"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("can't start /no/such/program"));
}

/// A signal reaches the command; its orderly end is the loop's, and a stop is not a failure to be repeated.
#[test]
fn signals_are_passed_on() {
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("said");
    let script = format!(
        "trap 'echo hup >> {0}' HUP; trap 'echo term >> {0}; exit 5' TERM; echo ready >> {0}; while :; do sleep 0.01; done",
        said.display()
    );
    let mut child = Reaped(
        supervise(&[], &script)
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let read = || fs::read_to_string(&said).unwrap_or_default();
    let pid = Pid::from_raw(child.0.id().try_into().unwrap());
    eventually("the command's start", || read() == "ready\n");
    kill(pid, Signal::SIGHUP).unwrap();
    eventually("the hang-up", || read() == "ready\nhup\n");
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(wait(&mut child.0).code(), Some(5));
    assert_eq!(read(), "ready\nhup\nterm\n");
}

#[test]
fn a_stop_in_the_pause_ends_it_in_order() {
    let mut command = isobath(&[]);
    command.args(["supervise", "--pause", "1h", "--", "false"]);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut child = Reaped(
        command
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap(),
    );
    eventually("the pause", || {
        fs::read_to_string(&log).unwrap().contains("is restarted")
    });
    kill(
        Pid::from_raw(child.0.id().try_into().unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(wait(&mut child.0).code(), Some(0));
}
