//! A tethered program ends with its parent, however that ends.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::process::{Reaped, eventually, is_alive, output, program, text};

#[cfg(target_os = "linux")]
#[test]
fn it_dies_when_its_parent_is_killed() {
    // A shell is the parent: it starts the tethered program, says its number, and waits.
    let script = "\"$0\" tether $$ sleep 600 & echo $!; wait";
    let mut shell = Reaped(
        Command::new("sh")
            .args(["-c", script])
            .arg(program())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut line = String::new();
    BufReader::new(shell.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let pid: u32 = line.trim().parse().unwrap();
    // It has become `sleep`: from here on the death of the parent is its own.
    let name = || std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    eventually("the program's start", || name() == "sleep\n");
    assert!(is_alive(pid));
    shell.0.kill().unwrap();
    eventually("the end of the tethered program", || !is_alive(pid));
}

#[cfg(target_os = "linux")]
#[test]
fn it_does_not_start_for_a_parent_that_has_ended() {
    let output = output(Command::new(program()).args(["tether", "1", "true"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("process 1 has ended"));
}
