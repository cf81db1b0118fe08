//! What is found, as people, programs, code scanning and GitHub's workflows read it.

use std::fmt::Write as _;
use std::path::{Component, Path};

use serde_json::{Value, json};

use super::finding::{Finding, Report, Severity};

/// So many other kinds are named.
const KINDS: usize = 8;

/// A line for each finding, as compilers write it, and what was looked at.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        if let Some(path) = &finding.path {
            let _ = write!(out, "{}:", path.display());
            if let Some((line, column)) = finding.place {
                let _ = write!(out, "{line}:{column}:");
            }
            out.push(' ');
        }
        let severity = finding.severity.word();
        let sentence = finding.sentence();
        let _ = writeln!(out, "{severity}: {sentence} [{}]", finding.rule);
    }
    if !report.findings.is_empty() {
        out.push('\n');
    }
    let errors = counted(report.count(Severity::Error), "error");
    let warnings = counted(report.count(Severity::Warning), "warning");
    let objects = counted(report.objects, "object");
    let files = counted(report.files, "file");
    let _ = writeln!(out, "{errors}, {warnings} in {objects} of {files}");
    if report.foreign > 0 {
        let ingresses = counted(report.foreign, "Ingress");
        let _ = writeln!(
            out,
            "Not served: {ingresses} of other classes; --ingress-class names the one that is"
        );
    }
    if !report.others.is_empty() {
        let kinds = report.others.iter().take(KINDS);
        let kinds: Vec<String> = kinds
            .map(|((version, kind), count)| format!("{count} {kind} ({version})"))
            .collect();
        let more = report.others.len().saturating_sub(KINDS);
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more kinds"),
        };
        let _ = writeln!(
            out,
            "Skipped, since Isobath does not read them: {}{more}",
            kinds.join(", ")
        );
    }
    if let Some(first) = report.passed_over.first() {
        let files = counted(report.passed_over.len(), "file");
        let _ = writeln!(
            out,
            "Passed over: {files} with what is no object of Kubernetes, first {first}"
        );
    }
    out
}

fn counted(count: usize, what: &str) -> String {
    let plural = match (count, what.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{count} {what}{plural}")
}

/// One object: the findings, and what was looked at.
pub fn json(report: &Report) -> String {
    let findings: Vec<Value> = report.findings.iter().map(json_finding).collect();
    let others = report.others.iter().map(
        |((version, kind), count)| json!({"apiVersion": version, "kind": kind, "count": count}),
    );
    let others: Vec<Value> = others.collect();
    let value = json!({
        "findings": findings,
        "errors": report.count(Severity::Error),
        "warnings": report.count(Severity::Warning),
        "objects": report.objects,
        "files": report.files,
        "otherClasses": report.foreign,
        "skipped": others,
        "passedOver": report.passed_over.len(),
    });
    format!("{value:#}\n")
}

fn json_finding(finding: &Finding) -> Value {
    let object = finding.object.as_ref().map(|object| {
        json!({
            "kind": object.kind.name(),
            "namespace": &*object.name.namespace,
            "name": &*object.name.name,
        })
    });
    json!({
        "severity": finding.severity.word(),
        "rule": finding.rule,
        "file": finding.path.as_ref().map(|path| path.display().to_string()),
        "line": finding.place.map(|(line, _)| line),
        "column": finding.place.map(|(_, column)| column),
        "object": object,
        "field": finding.field,
        "message": finding.message,
    })
}

/// SARIF 2.1.0, one run.
pub fn sarif(report: &Report) -> String {
    let mut rules: Vec<&str> = report.findings.iter().map(|it| it.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    let results = report.findings.iter().map(|finding| {
        let mut result = json!({
            "ruleId": finding.rule,
            "ruleIndex": rules.binary_search(&finding.rule).unwrap_or_default(),
            "level": finding.severity.word(),
            "message": {"text": finding.sentence()},
        });
        let Some(path) = &finding.path else {
            return result;
        };
        let mut location = json!({"artifactLocation": {"uri": uri(path)}});
        if let Some((line, column)) = finding.place {
            location["region"] = json!({"startLine": line, "startColumn": column});
        }
        result["locations"] = json!([{"physicalLocation": location}]);
        result
    });
    let results: Vec<Value> = results.collect();
    let rules: Vec<Value> = rules.iter().map(|rule| json!({"id": rule})).collect();
    let value = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "isobath check",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{value:#}\n")
}

/// A reference by RFC 3986: relative to where the command was run, or with its scheme.
fn uri(path: &Path) -> String {
    let mut out = String::new();
    if path.is_absolute() {
        out.push_str("file://");
    }
    let steps = path.components();
    let mut is_first = true;
    for step in steps.filter(|step| *step != Component::CurDir) {
        if step == Component::RootDir {
            continue;
        }
        if !is_first || path.is_absolute() {
            out.push('/');
        }
        is_first = false;
        for byte in step.as_os_str().as_encoded_bytes() {
            let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
            match plain {
                true => out.push(char::from(*byte)),
                false => _ = write!(out, "%{byte:02X}"),
            }
        }
    }
    out
}

/// A command for each finding, and the count as a notice of the log.
pub fn github(report: &Report) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let _ = write!(out, "::{} ", finding.severity.word());
        if let Some(path) = &finding.path {
            let _ = write!(out, "file={},", property(&path.display().to_string()));
        }
        if let Some((line, column)) = finding.place {
            let _ = write!(out, "line={line},col={column},");
        }
        let sentence = data(&finding.sentence());
        let _ = writeln!(out, "title={}::{sentence}", property(finding.rule));
    }
    out
}

/// The toolkit's `escapeData`.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// Its `escapeProperty`.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_uris() {
        for (path, expected) in [
            ("a/b.yaml", "a/b.yaml"),
            ("./a b/ü:%.yaml", "a%20b/%C3%BC%3A%25.yaml"),
            ("/a/b.yaml", "file:///a/b.yaml"),
            ("../b.yaml", "../b.yaml"),
            ("standard input", "standard%20input"),
        ] {
            assert_eq!(uri(Path::new(path)), expected);
        }
    }

    #[test]
    fn workflow_commands_are_one_line() {
        assert_eq!(data("a%\r\nb: c, d"), "a%25%0D%0Ab: c, d");
        assert_eq!(property("a:b,c\n"), "a%3Ab%2Cc%0A");
    }
}
