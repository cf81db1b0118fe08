//! A network namespace of a pod, joined by a cable to the one that this process is in.
//!
//! [`alone`](crate::support::network::alone) puts the whole test into one of its own first, so that nothing is changed
//! in the machine's network, and everything is gone with the processes.

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, Command, Stdio};

/// The near end of the cable.
pub(crate) const NEAR: Ipv4Addr = Ipv4Addr::new(10, 97, 1, 1);
/// The far end, in the pod.
const FAR: Ipv4Addr = Ipv4Addr::new(10, 97, 1, 2);

/// The pod's network; it ends with this value.
pub(crate) struct Namespace {
    /// Holds the namespace until its standard input ends.
    holder: Child,
}

impl Namespace {
    /// Makes it. To be called in a namespace of the test's own.
    pub(crate) fn make() -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", "echo here && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = holder.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "here\n");
        let this = Self { holder };
        let pid = this.holder.id().to_string();
        ip(&[
            "link", "add", "outside", "type", "veth", "peer", "name", "eth0", "netns", &pid,
        ]);
        ip(&["address", "add", &format!("{NEAR}/24"), "dev", "outside"]);
        for device in ["lo", "outside"] {
            ip(&["link", "set", device, "up"]);
        }
        for arguments in [
            &["address", "add", &format!("{FAR}/24"), "dev", "eth0"][..],
            &["link", "set", "lo", "up"],
            &["link", "set", "eth0", "up"],
        ] {
            run(this.command("ip").args(arguments));
        }
        this
    }

    /// The pod's address.
    pub(crate) fn address(&self) -> IpAddr {
        FAR.into()
    }

    /// A command that runs in it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.holder.id()))
            .args(["--", program]);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The kernel takes a namespace apart in its own time, and this end with it: the next one needs the name.
        let _ = Command::new("ip")
            .args(["link", "delete", "outside"])
            .status();
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

fn ip(arguments: &[&str]) {
    run(Command::new("ip").args(arguments));
}

fn run(command: &mut Command) {
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("{command:?}: {error} (iproute2 is needed)"));
    assert!(status.success(), "{command:?}: {status}");
}
