//! The hosts that Ingresses name and that nobody gets an answer from: each with its reason, and what to do. Of HTTPProxies what
//! is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::facts::class_of;
use crate::model::verdict::Statuses;
use crate::objects::{Ingress, Kind, ObjectRef, Problem};
use crate::sources::Locator;
use crate::translate::reason;

use super::event_filter::MADE;

/// So many hosts of one Ingress are named in one line.
const NAMED: usize = 5;
/// What is said of an HTTPProxy that is not ours.
const OTHER_CLASS: &str = "its class is not ours: `--ingress-class` names those that are served";

/// What Ingresses of ours ask for a host.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Whether one of them wants it under TLS.
    pub tls: bool,
    /// The Ingresses.
    pub ingresses: BTreeSet<ObjectRef>,
}

/// The hosts that Ingresses of ours name.
#[must_use]
pub fn wanted(statuses: &Statuses) -> BTreeMap<Arc<str>, Wanted> {
    let mut all: BTreeMap<Arc<str>, Wanted> = BTreeMap::new();
    for facts in statuses.ingresses.values().filter(|facts| facts.served) {
        let Some(ingress) = &facts.ingress else {
            continue;
        };
        for host in hosts(ingress) {
            let wanted = all.entry(host.clone()).or_default();
            wanted.tls |= wants_tls(ingress, &host);
            wanted.ingresses.insert(ingress.reference());
        }
    }
    all
}

/// One line for each Ingress and HTTPProxy that is served in part or not at all; `served` are the hosts that are.
#[must_use]
pub fn lines(
    statuses: &Statuses,
    locate: &Locator,
    ingress_class: Option<&str>,
    served: &BTreeSet<&str>,
) -> Vec<String> {
    let mut lines = Vec::new();
    for facts in statuses.ingresses.values() {
        let Some(ingress) = &facts.ingress else {
            continue;
        };
        let missing: Vec<_> = hosts(ingress)
            .into_iter()
            .filter(|host| !served.contains(&**host))
            .collect();
        if missing.is_empty() || ingress.metadata.name.to_string() == MADE {
            continue;
        }
        let object = ingress.reference();
        let why = if facts.served {
            let problems = statuses.problems.get(&object);
            why(ingress, problems.map_or(&[], |of| &of.problems))
        } else {
            class(ingress, ingress_class)
        };
        lines.push(format!(
            "{}: {}: {why}",
            named(&missing),
            located(&object, locate)
        ));
    }
    for (name, facts) in &statuses.http_proxies {
        let object = ObjectRef {
            kind: Kind::HttpProxy,
            name: name.clone(),
        };
        if !facts.served {
            lines.push(format!("{}: {OTHER_CLASS}", located(&object, locate)));
        } else if !facts.errors.is_empty() {
            let errors: BTreeSet<&str> = facts.errors.iter().map(|it| &*it.message).collect();
            let errors: Vec<&str> = errors.into_iter().collect();
            lines.push(format!(
                "{}: {}",
                located(&object, locate),
                errors.join("; ")
            ));
        }
    }
    for (object, of) in &statuses.problems {
        let is_read = match object.kind {
            Kind::Ingress => statuses.ingresses.contains_key(&object.name),
            Kind::HttpProxy => statuses.http_proxies.contains_key(&object.name),
            _ => true,
        };
        if !is_read {
            let is_whole = |problem: &Problem| problem.reason == reason::OBJECT_NOT_VALID;
            let why = sentences(&of.problems, is_whole);
            if !why.is_empty() {
                lines.push(format!("{}: {why}", located(object, locate)));
            }
        }
    }
    lines
}

/// Sentences about what is wrong, in one line.
#[must_use]
pub fn sentences(problems: &[Problem], is_about: impl Fn(&Problem) -> bool) -> String {
    let sentences: BTreeSet<&str> = problems
        .iter()
        .filter(|problem| is_about(problem))
        .map(|problem| &*problem.message)
        .collect();
    sentences.into_iter().collect::<Vec<_>>().join("; ")
}

fn why(ingress: &Ingress, problems: &[Problem]) -> String {
    let allow_http = ingress
        .metadata
        .annotations
        .get("kubernetes.io/ingress.allow-http");
    let mut why = Vec::new();
    if allow_http.is_some_and(|value| &**value == "false") {
        let tls = ingress.tls.iter().any(|tls| tls.secret_name.is_some());
        why.push(if tls {
            "kubernetes.io/ingress.allow-http is \"false\", and there is no HTTPS".to_owned()
        } else {
            "kubernetes.io/ingress.allow-http is \"false\", and no entry of spec.tls names a Secret: \
             add one, or take the annotation away"
                .to_owned()
        });
    }
    let problems = sentences(problems, |_| true);
    if !problems.is_empty() {
        why.push(problems);
    }
    if why.is_empty() {
        why.push("no rule gives it a path".to_owned());
    }
    why.join("; ")
}

fn class(ingress: &Ingress, chosen: Option<&str>) -> String {
    match (class_of(ingress), chosen) {
        (Some(class), Some(chosen)) => {
            format!("class {class} is none of `--ingress-class {chosen}`")
        }
        (Some(class), None) => {
            format!("class {class} is not ours: `--ingress-class {class}` serves that one instead")
        }
        (None, _) => {
            "it has no class, and no class of ours is the default one: set spec.ingressClassName"
                .to_owned()
        }
    }
}

fn located(object: &ObjectRef, locate: &Locator) -> String {
    match locate(object) {
        Some(place) => format!("{object} ({place})"),
        None => object.to_string(),
    }
}

fn named(hosts: &[Arc<str>]) -> String {
    let first: Vec<&str> = hosts.iter().take(NAMED).map(|host| &**host).collect();
    match hosts.len().checked_sub(NAMED + 1) {
        Some(more) => format!("{} and {} more", first.join(", "), more + 1),
        None => first.join(", "),
    }
}

/// The hosts that an Ingress names: by rules, by TLS, and `*` where it is for all.
fn hosts(ingress: &Ingress) -> BTreeSet<Arc<str>> {
    let any = || Arc::from("*");
    let rules = ingress
        .rules
        .iter()
        .map(|rule| rule.host.clone().unwrap_or_else(any));
    // A wildcard of TLS alone is a certificate for the hosts of the rules.
    let tls = ingress.tls.iter().flat_map(|tls| tls.hosts.iter().cloned());
    let tls = tls.filter(|host| !host.starts_with('*'));
    let default = ingress.default_backend.iter().map(|_| any());
    rules.chain(tls).chain(default).collect()
}

/// Whether one of `tls` names the host, or a wildcard above it, or no host at all.
fn wants_tls(ingress: &Ingress, host: &str) -> bool {
    let parent = |name: &str| name.split_once('.').map(|(_, parent)| parent.to_owned());
    let covers = |name: &Arc<str>| {
        **name == *host || (name.starts_with("*.") && parent(name) == parent(host))
    };
    host != "*"
        && ingress
            .tls
            .iter()
            .any(|tls| tls.hosts.is_empty() || tls.hosts.iter().any(covers))
}
