//! What a check finds.

/// How bad it is; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something is not served, or not written, because of it.
    Error,
    /// Something will be, or is not as somebody means it.
    Warning,
    /// It could not be looked at.
    Unknown,
}

impl Severity {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, where, what comes of it and what is to be done.
    pub message: String,
    /// What mends it, or shows what is to be mended: lines of a shell.
    pub command: String,
}

impl Finding {
    /// Something is not served because of it.
    pub fn error(message: impl Into<String>, command: impl Into<String>) -> Self {
        Self::new(Severity::Error, message, command)
    }

    /// Something will not be.
    pub fn warning(message: impl Into<String>, command: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message, command)
    }

    /// It could not be looked at.
    pub fn unknown(message: impl Into<String>, command: impl Into<String>) -> Self {
        Self::new(Severity::Unknown, message, command)
    }

    fn new(severity: Severity, message: impl Into<String>, command: impl Into<String>) -> Self {
        Self {
            severity,
            message: message.into(),
            command: command.into(),
        }
    }
}

/// What came of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The check.
    pub name: &'static str,
    /// What was looked at, in a few words.
    pub says: String,
    /// What is wrong, if anything.
    pub findings: Vec<Finding>,
}

/// A few of these, and how many more there are.
pub fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>();
    match names.len() {
        0..=SHOWN => shown.join(", "),
        all => format!("{} and {} more", shown.join(", "), all - SHOWN),
    }
}

/// A count with its noun.
pub fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => match noun.strip_suffix('s') {
            Some(_) => format!("{count} {noun}es"),
            None => format!("{count} {noun}s"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_short() {
        let names = ["a", "b", "c", "d", "e"].map(String::from);
        assert_eq!(some_of(&names[..1]), "a");
        assert_eq!(some_of(&names[..3]), "a, b, c");
        assert_eq!(some_of(&names), "a, b, c and 2 more");
        assert_eq!(counted(1, "Ingress"), "1 Ingress");
        assert_eq!(counted(2, "Ingress"), "2 Ingresses");
        assert_eq!(counted(0, "pod"), "0 pods");
    }
}
