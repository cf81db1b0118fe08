//! The binaries under test, and how this machine runs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::elf::Elf;
use crate::support::client::{self, Version};
use crate::support::eventually::eventually;
use crate::support::isobath::BINARY;
use crate::support::manifest::{self, Manifest};
use crate::support::port::Port;
use crate::support::process::Process;

/// One binary.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    path: PathBuf,
    /// What runs it, where this machine can't.
    emulator: Option<&'static str>,
}

/// What `make build` made.
pub(crate) fn release_binaries() -> Vec<Subject> {
    let Some(paths) = std::env::var_os("ISOBATH_TEST_BINARIES") else {
        eprintln!("release binaries are checked by `make build`");
        return Vec::new();
    };
    let all: Vec<_> = std::env::split_paths(&paths).map(Subject::new).collect();
    assert!(!all.is_empty());
    all
}

/// The release binaries that can run here, else the test build.
pub(crate) fn subjects() -> Vec<Subject> {
    let mut all = release_binaries();
    if all.is_empty() {
        all.push(Subject::of_this_test());
    }
    all.retain(|subject| {
        let runs = subject.emulator.is_none_or(is_installed);
        if !runs {
            eprintln!(
                "### {} is NOT RUN: there is no {} (apt-get install qemu-user-static)",
                subject.path.display(),
                subject.emulator.unwrap()
            );
        }
        runs
    });
    all
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("-version").output().is_ok()
}

impl Subject {
    fn new(path: PathBuf) -> Self {
        let architecture = Elf::read(&path).architecture();
        let emulator = match architecture {
            own if own == std::env::consts::ARCH => None,
            "aarch64" => Some("qemu-aarch64-static"),
            _ => Some("qemu-x86_64-static"),
        };
        Self { path, emulator }
    }

    /// The test build.
    pub(crate) fn of_this_test() -> Self {
        Self::new(BINARY.into())
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the machine itself runs it.
    pub(crate) fn is_native(&self) -> bool {
        self.emulator.is_none()
    }

    /// A command of it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.emulator {
            None => Command::new(&self.path),
            Some(emulator) => {
                let mut command = Command::new(emulator);
                command.arg(&self.path);
                command
            }
        };
        command.args(arguments);
        command
    }
}

/// Where a subject runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// As any program.
    Here,
    /// As in a container of the manifests. Needs root, and a static binary.
    Pod,
}

/// A running `serve` of a subject, on a directory of manifests.
pub(crate) struct Serve {
    pub(crate) process: Process,
    pub(crate) admin: Port,
    metrics: Port,
    // Last: its socket is in it.
    folder: TempDir,
}

impl Serve {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(subject: &Subject, manifests: &[Manifest], place: Place) -> Self {
        let folder = tempfile::Builder::new().prefix("iso-").tempdir().unwrap();
        let (admin, metrics) = (Port::take(), Port::take());
        for name in ["manifests", "run"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        write(folder.path(), &manifest::text(manifests));
        let (mut command, inside) = match place {
            Place::Here => (subject.command(&[]), folder.path().to_owned()),
            Place::Pod => (in_a_pod(subject, folder.path()), PathBuf::from("/")),
        };
        command
            .args(["serve", "--log-format", "text", "--manifests"])
            .arg(inside.join("manifests"))
            .args(["--admin-address", &admin.address().to_string()])
            .args(["--metrics-address", &metrics.address().to_string()])
            .args(["--xds-address", &socket(&inside)]);
        let log = folder.path().join("log");
        let mut this = Self {
            process: Process::start("isobath", &mut command, &log),
            admin,
            metrics,
            folder,
        };
        let address = this.metrics.address();
        eventually("it is ready", async || {
            this.process.assert_running();
            let answer = client::get(address, Version::H1, None, "metrics", "/readyz").await?;
            anyhow::ensure!(answer.status == 200, "{}", answer.status);
            anyhow::Ok(())
        })
        .await;
        this
    }

    /// Replaces its manifests.
    pub(crate) fn write(&self, text: &str) {
        write(self.folder.path(), text);
    }

    /// Its `--xds-address`.
    pub(crate) fn xds_address(&self) -> String {
        socket(self.folder.path())
    }
}

fn socket(folder: &Path) -> String {
    format!("unix:{}", folder.join("run/xds.sock").display())
}

/// What a container of the manifests sees: the binary, its volumes, and a root that can't be written to. The mounts are
/// those of the process and end with it.
const POD: &str = r#"
set -e
folder="$1" binary="$2"
shift 2
root="$folder/root"
mkdir "$root"
mount --bind "$root" "$root"
mkdir "$root/tmp" "$root/proc" "$root/run" "$root/manifests"
touch "$root/isobath"
mount --bind "$binary" "$root/isobath"
mount -t tmpfs -o size=64m,mode=1777 tmpfs "$root/tmp"
mount --rbind /proc "$root/proc"
mount --bind "$folder/run" "$root/run"
mount --bind "$folder/manifests" "$root/manifests"
mount -o remount,bind,ro "$root"
chmod 755 "$folder"
chown 65532:65532 "$folder/run"
exec chroot --userspec=65532:65532 "$root" /isobath "$@"
"#;

fn in_a_pod(subject: &Subject, folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "--"])
        .args(["sh", "-c", POD, "sh"])
        .arg(folder)
        .arg(subject.path());
    command
}

/// In one step, so that no half of it is ever read.
fn write(folder: &Path, text: &str) {
    let new = folder.join("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, folder.join("manifests/all.yaml")).unwrap();
}
