//! Problems for those who run the cluster: a metric and one line in the log each.
//!
//! Runs on every replica, leader or not, and without Kubernetes: it makes no call.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
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
use crate::model::verdict::{ObjectProblems, Statuses};
use crate::objects::{ObjectRef, Problem};

/// How many problems of one object are told each by itself: in the log, and as Events on it.
const FEW: usize = 10;

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
        let mut line = || {
            lines += 1;
            lines <= LINES
        };
        for Change { object, over, new } in changes(before, now) {
            over.iter().for_each(|problem| self.count(problem, -1));
            new.iter().for_each(|problem| self.count(problem, 1));
            let Few { told, more } = few(over);
            for problem in told.into_iter().filter(|_| line()) {
                let message = one_line(&problem.message);
                info!(%object, reason = problem.reason, "put right: {message}");
            }
            if !more.is_empty() && line() {
                info!(%object, "put right: {more}");
            }
            let place = locate(object).map(|place| place + ": ");
            let place = place.unwrap_or_default();
            let Few { told, more } = few(new);
            for problem in told.into_iter().filter(|_| line()) {
                let message = one_line(&problem.message);
                let field = problem.source.field.path(None);
                warn!(%object, reason = problem.reason, field, "{place}{message}");
            }
            if !more.is_empty() && line() {
                warn!(%object, "{place}{more}");
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
            ("kind", problem.source.object.kind.name().to_owned()),
            (
                "namespace",
                problem.source.object.name.namespace.to_string(),
            ),
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

/// What is told of one object's problems: one with ten thousand of them must not drown what others are told.
pub(super) struct Few<'a> {
    /// Each by itself.
    pub(super) told: Vec<&'a Problem>,
    /// All others, as numbers.
    pub(super) more: More,
}

/// How many problems there are beside those that are told, by reason.
pub(super) struct More(BTreeMap<&'static str, usize>);

impl More {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} more problems", self.0.values().sum::<usize>())?;
        for (at, (reason, count)) in self.0.iter().enumerate() {
            let separator = if at == 0 { ": " } else { ", " };
            write!(f, "{separator}{count} {reason}")?;
        }
        Ok(())
    }
}

/// The first few problems of one object. Reasons have turns, so that no frequent one hides a rare one.
pub(super) fn few<'a>(problems: impl IntoIterator<Item = &'a Problem>) -> Few<'a> {
    let mut by_reason: BTreeMap<&'static str, Vec<&Problem>> = BTreeMap::new();
    for problem in problems {
        by_reason.entry(problem.reason).or_default().push(problem);
    }
    let longest = by_reason.values().map(Vec::len).max().unwrap_or_default();
    let in_turn = (0..longest).flat_map(|turn| {
        let of_reason = by_reason.values();
        of_reason.filter_map(move |problems| problems.get(turn).copied())
    });
    let told: Vec<_> = in_turn.take(FEW).collect();
    for problem in &told {
        if let Some(left) = by_reason.get_mut(problem.reason) {
            left.pop();
        }
    }
    let more = by_reason
        .into_iter()
        .map(|(reason, left)| (reason, left.len()));
    Few {
        told,
        more: More(more.filter(|(_, count)| *count > 0).collect()),
    }
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

/// The problems that are not among the others. One that has but moved to another place is no other one.
fn without<'a>(problems: &'a [Problem], others: &[Problem]) -> Vec<&'a Problem> {
    fn said(problem: &Problem) -> (&'static str, &str) {
        (problem.reason, &problem.message)
    }
    let others: BTreeSet<_> = others.iter().map(said).collect();
    let problems = problems.iter();
    problems
        .filter(|problem| !others.contains(&said(problem)))
        .collect()
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
        } => Change {
            object: name,
            over: without(&old.problems, &new.problems),
            new: without(&new.problems, &old.problems),
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::BTreeMap;

    use super::*;
    use crate::objects::{Field, Kind};

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
    fn of_many_problems_the_first_few_are_told_and_how_many_more() {
        let problem = |reason, number: usize| {
            let object = ObjectRef::new(Kind::Ingress, "shop", "web");
            Problem::new(object, reason, format!("{number:02}"))
        };
        let check = |counts: &[(&'static str, usize)], expected: &[(&str, &str)], more: &str| {
            let problems: Vec<_> = counts
                .iter()
                .flat_map(|(reason, count)| (0..*count).map(|number| problem(reason, number)))
                .collect();
            let few = few(&problems);
            let told: Vec<_> = few
                .told
                .iter()
                .map(|problem| (problem.reason, problem.message.as_str()))
                .collect();
            assert_eq!(told, expected);
            assert_eq!(few.more.to_string(), more);
        };
        check(&[], &[], "0 more problems");
        check(
            &[("A", 1), ("B", 2)],
            &[("A", "00"), ("B", "00"), ("B", "01")],
            "0 more problems",
        );
        let b = |number| ("B", number);
        check(
            &[("A", 2), ("B", 30)],
            &[
                ("A", "00"),
                b("00"),
                ("A", "01"),
                b("01"),
                b("02"),
                b("03"),
                b("04"),
                b("05"),
                b("06"),
                b("07"),
            ],
            "22 more problems: 22 B",
        );
        check(
            &[("A", 100), ("B", 6)],
            &[
                ("A", "00"),
                b("00"),
                ("A", "01"),
                b("01"),
                ("A", "02"),
                b("02"),
                ("A", "03"),
                b("03"),
                ("A", "04"),
                b("04"),
            ],
            "96 more problems: 95 A, 1 B",
        );
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
        // What has but moved is the same.
        let mut moved = now.clone();
        for (object, mut of) in now.clone() {
            let mut problems = of.problems.to_vec();
            problems[0].source.field = Field::At("spec.rules[0]".into());
            of.problems = problems.into();
            moved.insert(object, of);
        }
        assert!(moved != now);
        let all = changes(&now, &moved).map(|change| change.over.len() + change.new.len());
        assert_eq!(all.sum::<usize>(), 0);
    }
}
