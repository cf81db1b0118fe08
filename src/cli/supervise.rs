//! `isobath supervise -- COMMAND…`: restarts a command that fails, as PID 1 of its container.
//!
//! The control plane ends at every infrastructure error, and kubelet backs off up to five minutes before it restarts a
//! container, with the pod counted unready meanwhile although its Envoy serves. This loop restarts the command in place,
//! with jitter, so that a fleet does not come back to the API server in one moment. It forwards signals, reaps what is
//! orphaned, and gives up to the kubelet when failures are too many: then something is wrong that must be seen.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::io::Errno;
use rustix::process::{WaitOptions, wait};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::time::Instant;

use crate::process::exit_code::USAGE;

/// The longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Flags of `isobath supervise`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// So many failures within --within end the loop, with the command's exit code.
    #[arg(
        long,
        env = "ISOBATH_MAX_FAILURES",
        value_name = "NUMBER",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub max_failures: u32,
    /// The time in which failures are counted.
    #[arg(
        long,
        env = "ISOBATH_WITHIN",
        value_name = "DURATION",
        default_value = "10m",
        value_parser = crate::process::duration::duration
    )]
    pub within: Duration,
    /// The pause before the first restart, doubled with every further failure, up to 30 s; each is jittered by half.
    #[arg(
        long,
        env = "ISOBATH_PAUSE",
        value_name = "DURATION",
        default_value = "1s",
        value_parser = crate::process::duration::duration
    )]
    pub pause: Duration,
    /// The command and its arguments.
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true
    )]
    pub command: Vec<OsString>,
}

/// Runs the command until it ends in order, is told to stop, or fails too often. Returns the exit code to end with: the
/// command's own, or 128 and the number of the signal that ended it.
///
/// # Errors
///
/// When the command can't be started or signals can't be listened for.
pub async fn run(args: &Args) -> anyhow::Result<u8> {
    let mut signals = Signals::listen()?;
    let mut failures = Failures::new(args);
    loop {
        let (status, stopped) = run_once(&args.command, &mut signals).await?;
        let code = exit_code(status);
        // A wrong flag does not heal by itself: let it be seen.
        if stopped || code == 0 || code == USAGE {
            return Ok(code);
        }
        let Some(pause) = failures.next(Instant::now(), jitter()) else {
            tracing::error!(%status, failures = args.max_failures, within = ?args.within, "giving up");
            return Ok(code);
        };
        tracing::warn!(%status, ?pause, "the command failed and is restarted");
        if signals.pause(pause).await {
            return Ok(0);
        }
    }
}

/// Counts failures within a sliding time.
#[derive(Debug)]
struct Failures {
    times: VecDeque<Instant>,
    most: usize,
    within: Duration,
    pause: Duration,
}

impl Failures {
    fn new(args: &Args) -> Self {
        Self {
            times: VecDeque::new(),
            most: usize::try_from(args.max_failures).unwrap_or(usize::MAX),
            within: args.within,
            pause: args.pause,
        }
    }

    /// The pause before the next start; `None` to give up. `jitter` is in 0..1.
    fn next(&mut self, now: Instant, jitter: f64) -> Option<Duration> {
        self.times.push_back(now);
        while self
            .times
            .front()
            .is_some_and(|time| now.duration_since(*time) > self.within)
        {
            self.times.pop_front();
        }
        if self.times.len() >= self.most {
            return None;
        }
        let doublings = u32::try_from(self.times.len() - 1)
            .unwrap_or(u32::MAX)
            .min(16);
        let pause = self.pause.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
        Some(pause.mul_f64(0.5 + jitter))
    }
}

/// A number in 0..1 that differs between nodes: the seed of the standard library's hash maps is the only randomness
/// that is needed.
fn jitter() -> f64 {
    f64::from(RandomState::new().hash_one(()) as u32) / f64::from(u32::MAX)
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Starts the command and waits for its end. Says also whether it was told to stop.
async fn run_once(
    command: &[OsString],
    signals: &mut Signals,
) -> anyhow::Result<(ExitStatus, bool)> {
    let (program, arguments) = command.split_first().context("no command")?;
    // Not tokio's: it would race with the reaping below for the exit status.
    let child = Command::new(program)
        .args(arguments)
        .spawn()
        .with_context(|| format!("can't start {}", program.to_string_lossy()))?;
    let child = Pid::from_raw(i32::try_from(child.id()).context("no process number")?);
    let mut stopped = false;
    loop {
        if let Some(status) = reap(child) {
            return Ok((status, stopped));
        }
        if let Some(signal) = signals.next().await {
            stopped |= is_stop(signal);
            // It may be gone already; then the next turn sees it.
            let _ = kill(child, signal);
        }
    }
}

/// Takes the status of every child that has ended, orphans of others included; returns that of `child`.
///
/// The kernel's number is taken as it is: nix reads it into the signals that have names, and of a child that died of a
/// real-time signal it says EINVAL when it is reaped and can't be asked for any more.
fn reap(child: Pid) -> Option<ExitStatus> {
    let mut found = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == child.as_raw() => {
                found = Some(ExitStatus::from_raw(status.as_raw()));
            }
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return found,
            // Without any child there is none to wait for, whoever took its status.
            Err(Errno::CHILD) => return found.or(Some(ExitStatus::from_raw(1 << 8))),
            Err(error) => {
                tracing::warn!(%error, "can't wait for children");
                return found;
            }
        }
    }
}

fn is_stop(signal: Signal) -> bool {
    matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT)
}

/// What this process is told.
struct Signals {
    child: SignalStream,
    forwarded: Vec<(Signal, SignalStream)>,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let forwarded = [
            (Signal::SIGTERM, SignalKind::terminate()),
            (Signal::SIGINT, SignalKind::interrupt()),
            (Signal::SIGQUIT, SignalKind::quit()),
            (Signal::SIGHUP, SignalKind::hangup()),
            (Signal::SIGUSR1, SignalKind::user_defined1()),
            (Signal::SIGUSR2, SignalKind::user_defined2()),
        ];
        let forwarded = forwarded
            .into_iter()
            .map(|(name, kind)| Ok((name, signal(kind)?)))
            .collect::<std::io::Result<_>>();
        Ok(Self {
            child: signal(SignalKind::child()).context("can't listen for SIGCHLD")?,
            forwarded: forwarded.context("can't listen for signals")?,
        })
    }

    /// The next signal to pass on; `None` when a child has ended.
    async fn next(&mut self) -> Option<Signal> {
        let forwarded = self.forwarded.iter_mut().map(|(name, stream)| {
            Box::pin(async {
                stream.recv().await;
                *name
            })
        });
        tokio::select! {
            _ = self.child.recv() => None,
            (signal, ..) = futures::future::select_all(forwarded) => Some(signal),
        }
    }

    /// Waits; returns whether it was told to stop meanwhile.
    async fn pause(&mut self, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        loop {
            match tokio::time::timeout_at(end, self.next()).await {
                Err(_) => return false,
                Ok(Some(signal)) if is_stop(signal) => return true,
                // An orphan has ended in the pause.
                Ok(None) => drop(reap(Pid::from_raw(0))),
                Ok(Some(_)) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn failures(most: usize) -> Failures {
        Failures {
            times: VecDeque::new(),
            most,
            within: Duration::from_secs(600),
            pause: Duration::from_secs(1),
        }
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_are_jittered() {
        let now = Instant::now();
        let mut failures = failures(100);
        let pauses: Vec<_> = (0..7)
            .map(|_| failures.next(now, 0.5).unwrap().as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(failures.next(now, 0.0), Some(LONGEST_PAUSE / 2));
        assert_eq!(failures.next(now, 1.0), Some(LONGEST_PAUSE * 3 / 2));
        for _ in 0..50 {
            assert!((0.0..=1.0).contains(&jitter()));
        }
        assert_ne!(jitter(), jitter());
    }

    #[test]
    fn only_failures_within_the_time_count() {
        let start = Instant::now();
        let at = |minute: u64| start + Duration::from_secs(60 * minute);
        let mut failures = failures(3);
        assert!(failures.next(at(0), 0.5).is_some());
        assert!(failures.next(at(9), 0.5).is_some());
        assert!(
            failures.next(at(11), 0.5).is_some(),
            "the first is forgotten"
        );
        assert_eq!(failures.next(at(12), 0.5), None, "three within ten minutes");
    }

    #[test]
    fn the_exit_code_is_the_commands() {
        assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(exit_code(ExitStatus::from_raw(9)), 137);
    }
}
