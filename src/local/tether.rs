//! A child that never outlives us, however we end.
//!
//! An orderly end stops Envoy, and a dropped handle kills it; but a SIGKILL or an aborting panic runs no code, and an
//! orphaned Envoy would keep the ports. The kernel's parent-death signal helps: a process sets it on itself, and it
//! survives `exec`. So Envoy is started by way of this program, which sets it and becomes Envoy.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

/// `isobath tether PARENT PROGRAM ARGUMENTS…`: not for people, and therefore hidden.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// The process that must live.
    parent: i32,
    /// What to become.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

/// The command that starts `program` tied to this process. `isobath` is this program itself.
#[must_use]
pub fn command(isobath: &Path, program: &Path) -> Command {
    let mut command = Command::new(isobath);
    command
        .arg("tether")
        .arg(std::process::id().to_string())
        .arg(program);
    command
}

/// Becomes the program.
///
/// # Errors
///
/// When that fails; it does not return otherwise.
pub fn exec(args: &Args) -> anyhow::Result<()> {
    let (program, arguments) = args.command.split_first().context("no program to start")?;
    #[cfg(target_os = "linux")]
    {
        use nix::sys::{prctl, signal::Signal};
        prctl::set_pdeathsig(Signal::SIGKILL).context("can't set the parent-death signal")?;
        // The parent may have died before the signal was set.
        let parent = nix::unistd::getppid().as_raw();
        anyhow::ensure!(parent == args.parent, "process {} has ended", args.parent);
    }
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("can't start {}", program.to_string_lossy()))
}
