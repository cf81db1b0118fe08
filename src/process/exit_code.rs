//! What the process's exit code says, and the error for mistakes of whoever started it.
//!
//! It decides nothing: `main` ends the process.

use std::fmt;

/// Exit code: a task ended.
pub const FATAL: u8 = 1;

/// Exit code: `isobath check` has found something, as linters say it, or `isobath diff` a difference, as `diff` says it.
pub const FINDINGS: u8 = 1;

/// Exit code: a flag, an environment variable or a file is wrong.
pub const USAGE: u8 = 2;

/// Exit code: `isobath migrate` has found settings that no flag carries on.
pub const LOST: u8 = 3;

/// Something that whoever started the process must put right: a wrong flag, or a file that can't be read. Any error
/// that has one among its causes ends the process with exit code [`USAGE`].
#[derive(Debug)]
pub struct UsageError(String);

impl UsageError {
    /// Takes the one clear sentence.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}
