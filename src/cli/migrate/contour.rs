//! Contour's configuration: the file of `contour serve --config-path`, the ConfigMap that holds it, or a ContourConfiguration.
//!
//! The settings are those of Contour 1.33. One that it does not have is told, as Contour itself would refuse it.

use super::defaults;
use super::document::{Node, Says};
use super::report::{Report, Weight};
use super::settings::{Row, SETTINGS};

/// Settings that may not be the other way round: the flags of the least and of the most.
const BOUNDS: [(&str, &str); 2] = [
    (
        "--tls-minimum-protocol-version",
        "--tls-maximum-protocol-version",
    ),
    (
        "--upstream-tls-minimum-protocol-version",
        "--upstream-tls-maximum-protocol-version",
    ),
];

/// Keys that are read together: where the addresses of a Service are what objects get as theirs.
const ENVOY_SERVICE: [&str; 2] = ["envoy-service-namespace", "envoy-service-name"];

/// Reads a configuration.
///
/// # Errors
///
/// The line, and one sentence, where it is none.
pub fn contour(text: &str) -> Result<Report, (u64, String)> {
    let document = Node::read(text)?;
    let kind = document.of("kind").and_then(Node::word);
    let mut report = Report::default();
    match kind {
        None => file(&document, &mut report),
        Some("ConfigMap") => {
            let data = document.of("data");
            let held = data.and_then(|data| data.of("contour.yaml"));
            let Some((held, text)) = held.and_then(|held| Some((held, held.word()?))) else {
                let line = data.map_or(document.line, |data| data.line);
                return Err((line, "the ConfigMap has no data.contour.yaml".to_owned()));
            };
            // The text begins in the line behind its key.
            let inner = Node::read(text).map_err(|(line, why)| (line + held.line, why))?;
            file(&inner.below(held.line), &mut report);
        }
        Some("ContourConfiguration") => custom(document.of("spec"), "spec", &mut report),
        Some("ContourDeployment") => {
            let spec = document.of("spec");
            let runtime = spec.and_then(|spec| spec.of("runtimeSettings"));
            custom(runtime, "spec.runtimeSettings", &mut report);
        }
        Some(other) => {
            let why = format!(
                "it is a {other:?}, and no configuration file of Contour's, ConfigMap or ContourConfiguration"
            );
            return Err((document.line, why));
        }
    }
    Ok(report)
}

fn file(document: &Node, report: &mut Report) {
    read(document, |(file, ..)| file, report);
    defaults::tell(document, 0, "", report);
    let [namespace, name] = ENVOY_SERVICE.map(|key| document.of(key).and_then(Node::word));
    if namespace.is_some() || name.is_some() {
        // Contour's defaults.
        let (namespace, name) = (
            namespace.unwrap_or("projectcontour"),
            name.unwrap_or("envoy"),
        );
        report
            .flags
            .push(format!("--envoy-service={namespace}/{name}"));
    }
}

fn custom(spec: Option<&Node>, at: &str, report: &mut Report) {
    let mut found = Report::default();
    if let Some(spec) = spec {
        read(spec, |(_, custom, _)| custom, &mut found);
    }
    for note in &mut found.notes {
        note.setting = format!("{at}.{}", note.setting);
    }
    report.flags.append(&mut found.flags);
    report.notes.append(&mut found.notes);
    let none = Node {
        line: 1,
        ..Node::default()
    };
    defaults::tell(spec.unwrap_or(&none), 1, at, report);
}

/// Reads all settings, and what some of them mean for others.
fn read(settings: &Node, key: fn(&Row) -> &'static str, report: &mut Report) {
    walk(settings, "", key, report);
    for (least, most) in BOUNDS {
        check_bounds(settings, least, most, key, report);
    }
    let below = |group, key| settings.of(group).and_then(|group| group.of(key));
    // Contour tells something of the body as soon as this is there, and this much of it where nobody says how much.
    if let Some(told) = below("globalExtAuth", "withRequestBody")
        && matches!(told.says, Says::Map(_))
        && told.of("maxRequestBytes").is_none_or(Node::is_unsaid)
    {
        let flag = "--global-ext-auth-max-request-bytes=1024";
        report.flags.push(flag.to_owned());
    }
    let counts = below("rateLimitService", "extensionService");
    if counts.is_none_or(Node::is_unsaid)
        && let Some(policy) = below("rateLimitService", "defaultGlobalRateLimitPolicy")
    {
        let is_policy = |flag: &String| flag.starts_with("--rate-limit-service-default-policy=");
        report.flags.retain(|flag| !is_policy(flag));
        report.note(
            policy.line,
            "rateLimitService.defaultGlobalRateLimitPolicy",
            Weight::Fine,
            "it says nothing without rateLimitService.extensionService, in Contour neither",
        );
    }
}

/// Contour refuses a least version of TLS that is above the most, whichever of them is its default.
fn check_bounds(
    settings: &Node,
    least: &str,
    most: &str,
    key: fn(&Row) -> &'static str,
    report: &mut Report,
) {
    let said = |flag: &str| {
        let row = SETTINGS.iter().find(|(.., is)| is.flag() == Some(flag))?;
        let path = key(row);
        let node = path.split('.').try_fold(settings, Node::of)?;
        Some((path, node.line, node.word()?))
    };
    if let (Some((path, line, "1.3")), Some((.., "1.2"))) = (said(least), said(most)) {
        let why = "it is above the maximum: Contour does not start with it";
        report.note(line, path, Weight::Wrong, why);
    }
}

/// Goes over all that is said.
fn walk(node: &Node, path: &str, key: fn(&Row) -> &'static str, report: &mut Report) {
    let Says::Map(entries) = &node.says else {
        if !node.is_unsaid() {
            let sentence = "it is no setting, but a group of them";
            report.note(node.line, path, Weight::Wrong, sentence);
        }
        return;
    };
    for (name, value) in entries {
        let path = match path.is_empty() {
            true => name.clone(),
            false => format!("{path}.{name}"),
        };
        if let Some((.., is)) = SETTINGS.iter().find(|row| key(row) == path) {
            is.carry(&path, value, report);
            continue;
        }
        let group = format!("{path}.");
        if SETTINGS.iter().any(|row| key(row).starts_with(&group)) {
            walk(value, &path, key, report);
        } else if !ENVOY_SERVICE.contains(&path.as_str()) {
            let sentence = "Contour 1.33 has no such setting";
            report.note(value.line, &path, Weight::Wrong, sentence);
        }
    }
}
