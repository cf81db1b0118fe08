//! Standard output of a subcommand, for a person or a pipe. It never says anything by itself.

use std::io::{self, ErrorKind, Write as _};

use anyhow::Context as _;

/// Writes to standard output. Returns whether somebody reads it: `isobath … | head` has read enough, which is no error.
pub fn print(text: &str) -> anyhow::Result<bool> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("can't write to standard output"),
    }
}
