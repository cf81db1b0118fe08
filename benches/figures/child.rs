//! Child processes: the release binary, the null control plane, Envoy; and what they cost.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

/// A running child. Dropping it kills it.
pub struct Child {
    process: Process,
    pub started: Instant,
    log: PathBuf,
}

impl Child {
    /// Starts a command; what it writes goes to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::create(log)?;
        let started = Instant::now();
        let process = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        Ok(Self {
            process,
            started,
            log: log.to_owned(),
        })
    }

    /// CPU time so far, in the kernel's nanoseconds; that of threads which have ended is in it.
    pub fn cpu(&self) -> Duration {
        let pid = i32::try_from(self.process.id()).unwrap();
        let clock = clock_getcpuclockid(Pid::from_raw(pid)).unwrap();
        clock.now().unwrap().into()
    }

    /// Resident memory in MiB, now and at most.
    pub fn memory(&self) -> (f64, f64) {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| {
                rest.trim_start_matches(':')
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            });
            kib.unwrap_or(0.0_f64) / 1024.0
        };
        (of("VmRSS"), of("VmHWM"))
    }

    /// Fails with its last words if it has ended.
    pub fn alive(&mut self) -> Result<()> {
        if let Some(status) = self.process.try_wait()? {
            bail!("a child ended with {status}: {}", self.last_words());
        }
        Ok(())
    }

    /// Waits for its end, which must be a good one.
    pub async fn finished(mut self) -> Result<Duration> {
        loop {
            if let Some(status) = self.process.try_wait()? {
                ensure!(
                    status.success(),
                    "a child ended with {status}: {}",
                    self.last_words()
                );
                return Ok(self.started.elapsed());
            }
            ensure!(
                self.started.elapsed() < Duration::from_secs(120),
                "a child does not end"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only for a child that is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port of the loopback interface that is free now. Never one that was given before, nor one that the kernel gives to
/// clients (32768 and up): one of theirs would take it before the child does (seen after 2,000 clients). Another run of the
/// figures begins elsewhere.
pub fn free_port() -> Result<SocketAddr> {
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
        let run = u16::try_from(std::process::id() % 140).unwrap_or_default();
        AtomicU16::new(16_000 + 100 * run)
    });
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        ensure!(port < 32_000, "no free port");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
}

/// Waits until a Unix socket is listened on.
pub async fn connectable(socket: &Path, child: &mut Child) -> Result<()> {
    for _ in 0..30_000 {
        if UnixStream::connect(socket).await.is_ok() {
            return Ok(());
        }
        child.alive()?;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bail!("nothing listens on {}", socket.display())
}

/// One plain HTTP request without keep-alive: status and text.
pub async fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let mut connection = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: figures\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.context("no answer")?, text))
}

/// Waits until a page answers 200.
pub async fn ready(address: SocketAddr, path: &str, child: &mut Child) -> Result<Duration> {
    loop {
        if matches!(get(address, path).await, Ok((200, _))) {
            return Ok(child.started.elapsed());
        }
        child.alive()?;
        ensure!(
            child.started.elapsed() < Duration::from_secs(180),
            "a child does not get ready"
        );
        // Each answer is work of the child, and counts as its own.
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
}
