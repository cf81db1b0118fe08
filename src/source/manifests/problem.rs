//! What can be wrong with files.

use std::fmt;
use std::path::{Path, PathBuf};

use super::parse::ParseError;

/// Something that is wrong with a file. It quotes nothing of the file's content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file or the directory.
    pub path: PathBuf,
    /// Line and column, counted from 1, where there is a place.
    pub place: Option<(u64, u64)>,
    /// One sentence.
    pub reason: String,
}

impl Problem {
    /// A problem of the file as a whole.
    pub(super) fn of_file(path: &Path, reason: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            place: None,
            reason: reason.into(),
        }
    }

    /// A problem of a place in the file.
    pub(super) fn at(path: &Path, error: ParseError) -> Self {
        Self {
            path: path.to_owned(),
            place: Some((error.line, error.column)),
            reason: error.reason,
        }
    }
}

/// As compilers write it: `path:line:column: reason`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.reason)
    }
}

/// Why a directory of manifests can't be served at all. Each is for whoever gave the flag: one sentence, exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The directory is missing, no directory, or can't be read.
    #[error("can't read the manifests in {}: {cause}", path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// The operating system's word on it.
        cause: std::io::Error,
    },
    /// The directory can't be watched for changes.
    #[error("can't watch the manifests in {}: {cause}", path.display())]
    Unwatchable {
        /// The directory.
        path: PathBuf,
        /// What the watch says.
        cause: notify::Error,
    },
    /// A file is no manifest.
    #[error("{0}")]
    Broken(Problem),
}

impl From<ManifestError> for crate::cli::UsageError {
    fn from(error: ManifestError) -> Self {
        Self::new(error.to_string())
    }
}
