//! What can be wrong with files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::parse::ParseError;

/// What a reason ends with while the file is served as it was.
pub(super) const MEANWHILE: &str = " (meanwhile it counts as it was before)";

/// Something that is wrong with a file. It quotes nothing of the file's content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file or the directory.
    pub path: PathBuf,
    /// Line and column, counted from 1, where there is a place.
    pub place: Option<(u64, u64)>,
    /// Which of a few things it is: a word in CamelCase.
    pub rule: &'static str,
    /// One sentence.
    pub reason: String,
}

/// What a problem of a file is.
pub mod rule {
    /// The file or the directory can't be read.
    pub const FILE_NOT_READABLE: &str = "FileNotReadable";
    /// A text that is meant for us can't be parsed, or an object in it has no name.
    pub const MANIFEST_NOT_VALID: &str = "ManifestNotValid";
    /// An object has a field that its kind does not have.
    pub const FIELD_UNKNOWN: &str = "FieldUnknown";
    /// An object is written more than once.
    pub const OBJECT_REPEATED: &str = "ObjectRepeated";
    /// A kind that is read, of an `apiVersion` that is not, or a kind that is nearly spelt so.
    pub const API_VERSION_NOT_READ: &str = "APIVersionNotRead";
    /// A kind that is not read, though one may expect it.
    pub const KIND_NOT_READ: &str = "KindNotRead";
    /// What is no object of Kubernetes.
    pub const PASSED_OVER: &str = "PassedOver";
}

impl Problem {
    /// A problem of the file as a whole.
    pub(super) fn of_file(path: &Path, reason: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            place: None,
            rule: rule::FILE_NOT_READABLE,
            reason: reason.into(),
        }
    }

    /// A problem of a place in the file.
    pub(super) fn at(path: &Path, error: ParseError) -> Self {
        let place = (error.line, error.column);
        Self::in_file(path, place, rule::MANIFEST_NOT_VALID, error.reason)
    }

    /// A problem of a place in the file.
    pub(super) fn in_file(
        path: &Path,
        place: (u64, u64),
        rule: &'static str,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            place: Some(place),
            rule,
            reason: reason.into(),
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

/// Where an object stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub path: Arc<Path>,
    /// Line and column, counted from 1: of the object, or of the field that makes it unusable.
    pub place: (u64, u64),
}

impl Origin {
    pub(super) fn new(path: &Path, place: (u64, u64)) -> Self {
        Self {
            path: path.into(),
            place,
        }
    }
}

/// As compilers write it: `path:line:column`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.place;
        write!(f, "{}:{line}:{column}", self.path.display())
    }
}

/// Why a directory of manifests can't be served at all. Each is for whoever gave the flag: one sentence, exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The directory is missing, no directory, or can't be read.
    #[error("can't read the manifests {}: {cause}", path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// The operating system's word on it.
        cause: std::io::Error,
    },
    /// The directory can't be watched for changes.
    #[error("can't watch the manifests {}: {cause}", path.display())]
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

impl From<ManifestError> for crate::process::exit_code::UsageError {
    fn from(error: ManifestError) -> Self {
        Self::new(error.to_string())
    }
}
