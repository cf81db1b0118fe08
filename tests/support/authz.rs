//! The real `isobath authz` beside an Envoy.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;

use super::eventually::eventually;
use super::isobath::BINARY;
use super::process::Process;

/// The authorizer of an Envoy whose bootstrap is in the same directory. It can be killed and started again.
#[derive(Debug)]
pub(crate) struct Authz {
    process: Option<Process>,
    directory: PathBuf,
    xds: String,
}

impl Authz {
    /// Starts it, and waits until it takes connections.
    pub(crate) async fn start(directory: &Path, xds: &str) -> Self {
        let mut authz = Self {
            process: None,
            directory: directory.to_owned(),
            xds: xds.to_owned(),
        };
        authz.restart().await;
        authz
    }

    /// Starts it again.
    pub(crate) async fn restart(&mut self) {
        let socket = self.directory.join("authz.sock");
        let binary = std::env::var_os("ISOBATH_TEST_BINARY").unwrap_or_else(|| BINARY.into());
        let mut command = Command::new(binary);
        command
            .args(["authz", "--log-format", "text", "--xds-address", &self.xds])
            .arg("--authz-socket")
            .arg(&socket);
        let log = self.directory.join("authz.log");
        self.process = Some(Process::start("authz", &mut command, &log));
        eventually("the authorizer is there", async || {
            std::os::unix::net::UnixStream::connect(&socket)?;
            Ok::<(), std::io::Error>(())
        })
        .await;
    }

    /// Kills it.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::SIGKILL);
            process.end().await;
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> nix::unistd::Pid {
        self.process.as_ref().expect("it runs").pid()
    }
}
