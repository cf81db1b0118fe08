//! All that was found, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::finding::{Checked, Severity, counted};

/// So many findings of one check are shown to people: one screen.
const SHOWN: usize = 4;

/// What came of all checks.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was looked at: the installation, and how it is there.
    pub about: String,
    /// In the order in which one is the cause of another.
    pub checks: Vec<Checked>,
    /// What leads kubectl to the cluster that was asked: `--context=dev`, empty for its own choice.
    pub cluster: String,
}

impl Report {
    /// Whether nothing was found.
    pub fn is_well(&self) -> bool {
        self.checks.iter().all(|check| check.findings.is_empty())
    }

    fn count(&self, severity: Severity) -> usize {
        let findings = self.checks.iter().flat_map(|check| &check.findings);
        findings.filter(|it| it.severity == severity).count()
    }

    /// A command with the cluster that it is for.
    fn command(&self, command: &str) -> String {
        if self.cluster.is_empty() {
            return command.to_owned();
        }
        let named = format!("kubectl {} ", self.cluster);
        let rest = command.strip_prefix("kubectl ");
        let command = rest.map_or_else(|| command.to_owned(), |rest| format!("{named}{rest}"));
        [" && ", " | "].iter().fold(command, |command, joint| {
            command.replace(&format!("{joint}kubectl "), &format!("{joint}{named}"))
        })
    }
}

/// What is wrong first, the worst first of each check, each with its command; then what is well.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    let summary = match report.is_well() {
        true => "nothing is wrong".to_owned(),
        false => {
            let counts = [Severity::Error, Severity::Warning, Severity::Unknown];
            let counts = counts.map(|severity| (report.count(severity), severity));
            let counts = counts.into_iter().filter(|(count, _)| *count > 0);
            let counts = counts.map(|(count, severity)| match severity {
                Severity::Unknown => format!("{count} unknown"),
                _ => counted(count, severity.word()),
            });
            counts.collect::<Vec<_>>().join(", ")
        }
    };
    // Writing to a String can't fail.
    let _ = writeln!(out, "{summary}: {}", report.about);
    for severity in [Severity::Error, Severity::Warning, Severity::Unknown] {
        for check in &report.checks {
            let found = check.findings.iter().filter(|it| it.severity == severity);
            for finding in found.clone().take(SHOWN) {
                let (word, message) = (severity.word(), &finding.message);
                let _ = writeln!(out, "\n{word}: {message} [{}]", check.name);
                let _ = writeln!(out, "  $ {}", report.command(&finding.command));
            }
            let more = found.count().saturating_sub(SHOWN);
            if more > 0 {
                let _ = writeln!(
                    out,
                    "\n{more} more of [{}]: --output json has all",
                    check.name
                );
            }
        }
    }
    let mut is_first = true;
    for check in report.checks.iter().filter(|it| it.findings.is_empty()) {
        if is_first {
            out.push('\n');
        }
        is_first = false;
        let _ = writeln!(out, "ok: {} [{}]", check.says, check.name);
    }
    out
}

/// One object.
pub fn json(report: &Report) -> String {
    let checks = report.checks.iter().map(|check| {
        let findings = check.findings.iter().map(|finding| {
            json!({
                "severity": finding.severity.word(),
                "message": finding.message,
                "command": report.command(&finding.command),
            })
        });
        json!({
            "check": check.name,
            "says": check.says,
            "findings": findings.collect::<Vec<Value>>(),
        })
    });
    let value = json!({
        "about": report.about,
        "errors": report.count(Severity::Error),
        "warnings": report.count(Severity::Warning),
        "unknown": report.count(Severity::Unknown),
        "checks": checks.collect::<Vec<Value>>(),
    });
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::super::finding::Finding;
    use super::*;

    fn report(cluster: &str) -> Report {
        let unread = || Finding::unknown("unread", "kubectl c");
        Report {
            about: "isobath in namespace isobath".to_owned(),
            checks: vec![
                Checked {
                    name: "server",
                    says: "v1.36.3".to_owned(),
                    findings: Vec::new(),
                },
                Checked {
                    name: "rights",
                    says: String::new(),
                    findings: vec![
                        Finding::warning("later", "kubectl a && kubectl b | kubectl c"),
                        Finding::error("now", "make"),
                        unread(),
                        unread(),
                        unread(),
                        unread(),
                        unread(),
                    ],
                },
            ],
            cluster: cluster.to_owned(),
        }
    }

    #[test]
    fn the_worst_is_first_and_one_screen_is_enough() {
        let unread = "\nunknown: unread [rights]\n  $ kubectl --context=dev c\n";
        let expected = format!(
            "1 error, 1 warning, 5 unknown: isobath in namespace isobath\n\
             \nerror: now [rights]\n  $ make\n\
             \nwarning: later [rights]\n  $ kubectl --context=dev a && kubectl --context=dev b | kubectl --context=dev c\n\
             {unread}{unread}{unread}{unread}\
             \n1 more of [rights]: --output json has all\n\
             \nok: v1.36.3 [server]\n"
        );
        assert_eq!(text(&report("--context=dev")), expected);
        let value: Value = serde_json::from_str(&json(&report(""))).unwrap();
        assert_eq!(value["checks"][1]["findings"].as_array().unwrap().len(), 7);
        assert_eq!(
            value["checks"][1]["findings"][0]["command"],
            "kubectl a && kubectl b | kubectl c"
        );
        assert_eq!(
            (&value["errors"], &value["unknown"]),
            (&json!(1), &json!(5))
        );
    }

    #[test]
    fn what_is_well_is_said() {
        let mut report = report("");
        report.checks.pop();
        assert!(report.is_well());
        let expected = "nothing is wrong: isobath in namespace isobath\n\nok: v1.36.3 [server]\n";
        assert_eq!(text(&report), expected);
    }
}
