//! What is found, whatever it is written as.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::objects::{self, Field, ObjectRef};
use crate::sources::manifests::{self, Origin, rule};
use crate::translate::reason;

/// All that is found, and what was looked at.
#[derive(Debug)]
pub struct Report {
    /// Sorted: what keeps a file from being read first, since it may be why something else is missing.
    pub findings: Vec<Finding>,
    /// Objects of kinds that are read.
    pub objects: usize,
    /// Files.
    pub files: usize,
    /// Objects of other kinds, by `apiVersion` and `kind`.
    pub others: BTreeMap<(String, String), usize>,
    /// Texts that are no objects.
    pub passed_over: Vec<manifests::Problem>,
    /// Ingresses of other classes.
    pub foreign: usize,
}

impl Report {
    /// How many findings are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        let all = self.findings.iter();
        all.filter(|finding| finding.severity == severity).count()
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// An API server refuses it, or something that it says is not served as it says.
    Error,
    /// It is served, or what it names may be elsewhere.
    Warning,
}

impl Severity {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Whether it keeps a whole file from being read: then what is in it is missing elsewhere.
    is_consequence: bool,
    /// The file, where there is one.
    pub path: Option<PathBuf>,
    /// Line and column, counted from 1.
    pub place: Option<(u64, u64)>,
    /// How bad it is.
    pub severity: Severity,
    /// Which of a few things it is: a word in CamelCase.
    pub rule: &'static str,
    /// The object, where there is one.
    pub object: Option<ObjectRef>,
    /// Its field, where there is one.
    pub field: Option<String>,
    /// One sentence or more.
    pub message: String,
}

impl Finding {
    /// What is wrong with a file.
    pub fn of_file(problem: manifests::Problem) -> Self {
        let unread = [rule::FILE_NOT_READABLE, rule::MANIFEST_NOT_VALID];
        let severity = match problem.rule {
            rule::KIND_NOT_READ | rule::PASSED_OVER => Severity::Warning,
            _ => Severity::Error,
        };
        Self {
            is_consequence: !unread.contains(&problem.rule),
            path: Some(problem.path),
            place: problem.place,
            severity,
            rule: problem.rule,
            object: None,
            field: None,
            message: problem.reason,
        }
    }

    /// What is wrong with an object.
    pub fn of_object(problem: &objects::Problem, origin: Option<Origin>) -> Self {
        let field = match &problem.source.field {
            Field::At(path) => Some(path.to_string()),
            _ => None,
        };
        Self {
            is_consequence: true,
            path: origin.as_ref().map(|origin| origin.path.to_path_buf()),
            place: origin.map(|origin| origin.place),
            severity: severity(problem),
            rule: problem.reason,
            object: Some(problem.source.object.clone()),
            field,
            message: problem.message.clone(),
        }
    }

    /// The message, behind the object and the field that it is about.
    pub fn sentence(&self) -> String {
        let field = self.field.iter().map(String::as_str);
        // Many a sentence begins with its field.
        let field = field.filter(|field| !self.message.starts_with(field));
        let object = self.object.iter().map(ToString::to_string);
        let parts = object.chain(field.map(str::to_owned));
        let parts = parts.chain([self.message.clone()]);
        parts.collect::<Vec<_>>().join(": ")
    }
}

/// What is served all the same, or names something that is perhaps not in these files: a Secret is seldom where the
/// Ingress is.
const WARNINGS: &[&str] = &[
    reason::SERVICE_NOT_FOUND,
    reason::SECRET_NOT_FOUND,
    reason::ANNOTATION_UNKNOWN,
    reason::APP_PROTOCOL_NOT_SUPPORTED,
    reason::CERTIFICATE_NAME_MISMATCH,
    reason::PATH_DEFERRED,
    reason::PATH_UNLIKELY,
    // Of the Gateway API's words. Which addresses there are is said by flags.
    "AddressNotAssigned",
    "BackendNotFound",
];

fn severity(problem: &objects::Problem) -> Severity {
    let is_warning = problem
        .condition
        .is_some_and(|condition| condition.is_warning);
    if is_warning || WARNINGS.contains(&problem.reason) {
        return Severity::Warning;
    }
    Severity::Error
}
