//! Problems for those who run the cluster: a metric and one line in the log each.
//!
//! Runs on every replica, leader or not, and without Kubernetes: it makes no call.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use jiff::Timestamp;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::expiry::{self, Expiry};
use crate::k8s::{ObjectRef, Problem};
use crate::verdict::{ObjectProblems, Statuses};

/// Lines per change: a deleted Secret that a thousand Ingresses name is one event to a reader of logs.
const LINES: usize = 100;

type Labels = [(&'static str, String); 3];

/// Counts and logs the problems of objects.
#[derive(Clone, Debug, Default)]
pub struct Reporter {
    problems: Family<Labels, Gauge>,
}

impl Reporter {
    /// Adds its metric; `registry` brings the prefix `isobath_`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "object_problems",
            "Problems found in objects, by kind, namespace and reason; the log and the objects' Events say which",
            self.problems.clone(),
        );
    }

    /// Follows `statuses` until it is closed. `locate` says where an object stands, where that is known.
    pub async fn run(
        self,
        mut statuses: watch::Receiver<Arc<Statuses>>,
        locate: impl Fn(&ObjectRef) -> Option<String>,
    ) {
        let mut told = OrdMap::new();
        let mut expiry = Expiry::default();
        let mut time = tokio::time::interval(expiry::INTERVAL);
        time.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (current, certificates) = {
                let statuses = statuses.borrow_and_update();
                (statuses.problems.clone(), statuses.certificates.clone())
            };
            self.report(&told, &current, &locate);
            told = current;
            if !expiry.has_seen(&certificates) {
                expiry.report(&certificates, Timestamp::now());
            }
            tokio::select! {
                changed = statuses.changed() => if changed.is_err() { return },
                _ = time.tick() => expiry.report(&certificates, Timestamp::now()),
            }
        }
    }

    fn report(
        &self,
        before: &OrdMap<ObjectRef, ObjectProblems>,
        now: &OrdMap<ObjectRef, ObjectProblems>,
        locate: impl Fn(&ObjectRef) -> Option<String>,
    ) {
        let mut lines = 0;
        for Change { over, new, .. } in changes(before, now) {
            for problem in over {
                self.count(problem, -1);
                if lines < LINES {
                    let message = one_line(&problem.message);
                    info!(object = %problem.object, reason = problem.reason, "put right: {message}");
                }
                lines += 1;
            }
            for problem in new {
                self.count(problem, 1);
                if lines < LINES {
                    let place = locate(&problem.object).map(|place| place + ": ");
                    let place = place.unwrap_or_default();
                    let message = one_line(&problem.message);
                    warn!(object = %problem.object, reason = problem.reason, "{place}{message}");
                }
                lines += 1;
            }
        }
        if lines > LINES {
            warn!(
                more = lines - LINES,
                "further problems of objects; see their Events"
            );
        }
    }

    fn count(&self, problem: &Problem, by: i64) {
        let labels = [
            ("kind", problem.object.kind.name().to_owned()),
            ("namespace", problem.object.name.namespace.to_string()),
            ("reason", problem.reason.to_owned()),
        ];
        // A series that is back at zero is dropped, or every deleted namespace would leave some.
        let count = {
            let gauge = self.problems.get_or_create(&labels);
            gauge.inc_by(by) + by
        };
        if count <= 0 {
            self.problems.remove(&labels);
        }
    }
}

/// What users wrote can hold line breaks and worse.
fn one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for letter in message.chars() {
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}

/// The problems of one object that differ between two verdicts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change<'a> {
    /// The object.
    pub(super) object: &'a ObjectRef,
    /// In the first only.
    pub(super) over: Vec<&'a Problem>,
    /// In the second only.
    pub(super) new: Vec<&'a Problem>,
}

/// What differs, at the cost of what differs.
pub(super) fn changes<'a>(
    before: &'a OrdMap<ObjectRef, ObjectProblems>,
    now: &'a OrdMap<ObjectRef, ObjectProblems>,
) -> impl Iterator<Item = Change<'a>> {
    before.diff(now).map(|item| match item {
        DiffItem::Add(name, object) => Change {
            object: name,
            over: Vec::new(),
            new: object.problems.iter().collect(),
        },
        DiffItem::Remove(name, object) => Change {
            object: name,
            over: object.problems.iter().collect(),
            new: Vec::new(),
        },
        DiffItem::Update {
            old: (_, old),
            new: (name, new),
        } => {
            let before: BTreeSet<_> = old.problems.iter().collect();
            let now: BTreeSet<_> = new.problems.iter().collect();
            Change {
                object: name,
                over: before.difference(&now).copied().collect(),
                new: now.difference(&before).copied().collect(),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::BTreeMap;

    use super::*;
    use crate::k8s::Kind;

    fn statuses(problems: &[(&str, &'static str)]) -> OrdMap<ObjectRef, ObjectProblems> {
        let mut grouped: BTreeMap<ObjectRef, BTreeSet<Problem>> = BTreeMap::new();
        for (name, reason) in problems {
            let object = ObjectRef::new(Kind::Ingress, "shop", *name);
            let problem = Problem::new(object.clone(), reason, "text");
            grouped.entry(object).or_default().insert(problem);
        }
        let finish = |problems: BTreeSet<_>| ObjectProblems {
            uid: "uid".into(),
            problems: problems.into_iter().collect(),
        };
        grouped
            .into_iter()
            .map(|(object, problems)| (object, finish(problems)))
            .collect()
    }

    #[test]
    fn the_metric_counts_what_is_there_now() {
        let reporter = Reporter::default();
        let mut registry = Registry::default();
        reporter.register(&mut registry);
        let mut before = OrdMap::new();
        let mut check = |problems: &[(&str, &'static str)], expected: &[&str]| {
            let now = statuses(problems);
            reporter.report(&before, &now, |_| None);
            before = now;
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            let mut series: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
            series.sort_unstable();
            assert_eq!(series, expected);
        };
        check(&[], &[]);
        let missing = r#"object_problems{kind="Ingress",namespace="shop",reason="SecretNotFound"}"#;
        let port = r#"object_problems{kind="Ingress",namespace="shop",reason="PortNotFound"}"#;
        check(&[("a", "SecretNotFound")], &[&format!("{missing} 1")]);
        check(
            &[
                ("a", "SecretNotFound"),
                ("a", "PortNotFound"),
                ("b", "SecretNotFound"),
            ],
            &[&format!("{port} 1"), &format!("{missing} 2")],
        );
        check(
            &[("a", "PortNotFound"), ("b", "SecretNotFound")],
            &[&format!("{port} 1"), &format!("{missing} 1")],
        );
        check(&[], &[]);
    }

    #[test]
    fn only_what_differs_is_told() {
        let before = statuses(&[("a", "SecretNotFound"), ("b", "PortNotFound")]);
        let mut now = before.clone();
        assert_eq!(changes(&before, &now).count(), 0);
        now.extend(statuses(&[("b", "ServiceNotFound")]));
        let all: Vec<_> = changes(&before, &now).collect();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].over[0].reason, "PortNotFound");
        assert_eq!(all[0].new[0].reason, "ServiceNotFound");
    }
}
