//! Rows, asked of both side by side.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use futures::future::join;
use serde_json::Value;

use crate::cluster::{Reference, reference};
use crate::differences::{Difference, between};
use crate::rig::objects;
use crate::row::{Question, Row, Step};
use crate::side::{Outcome, Side};

/// How many rows run at a time.
const AT_ONCE: usize = 16;

/// What came of one row.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// How many asks were made of both.
    pub(crate) asked: usize,
    pub(crate) differences: Vec<Difference>,
    /// Where Isobath is not as the row says.
    pub(crate) wrong: Vec<String>,
    /// Keys of what differs whatever the row.
    pub(crate) everywhere: BTreeSet<&'static str>,
}

/// One ask of one side.
struct Asked {
    line: String,
    outcome: Outcome,
    is: Result<(), String>,
}

/// Runs the rows. Both sides have rows of the same names, each with its own ports in it.
pub(crate) async fn run(ours: (&Side, &[Row]), theirs: (&Side, &[Row])) -> Vec<(Row, Report)> {
    let pairs: Vec<(&Row, &Row)> = ours.1.iter().zip(theirs.1).collect();
    let one = |(our_row, their_row): (&Row, &Row)| {
        assert_eq!(our_row.id, their_row.id);
        let (our_row, their_row) = (our_row.clone(), their_row.clone());
        async move {
            let walks = join(
                walk(ours.0, &our_row, false),
                walk(theirs.0, &their_row, true),
            );
            let (one, other) = walks.await;
            let report = report(&our_row, one, other);
            (our_row, report)
        }
    };
    // Envoy allows three retries at a time of one Service, unless it is told otherwise, and Contour does not.
    let (retries, others): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(row, _)| retries(row));
    let mut reports: Vec<_> = futures::stream::iter(others.into_iter().map(one))
        .buffered(AT_ONCE)
        .collect()
        .await;
    for pair in retries {
        reports.push(one(pair).await);
    }
    reports
}

fn retries(row: &Row) -> bool {
    let mut asks = row.steps.iter().filter_map(|step| match step {
        Step::Ask(ask) => Some(ask),
        _ => None,
    });
    asks.any(|ask| ask.line.contains("fail="))
}

/// Does all that a row says on one side. `is_peer`: asks for what is not built are for Contour, others for Isobath.
async fn walk(side: &Side, row: &Row, is_peer: bool) -> Vec<Asked> {
    let mut present: Vec<Value> = objects(&side.rig, &row.id, &row.objects);
    let mut asked = Vec::new();
    let mut has_changed = false;
    let is_asked = |now: bool| match row.awaits {
        None => !now,
        Some(_) => now != is_peer,
    };
    for step in &row.steps {
        match step {
            Step::Add(line) => {
                let added = objects(&side.rig, &row.id, std::slice::from_ref(line));
                for object in added {
                    side.cluster.apply(&object).await;
                    present.push(object);
                }
                has_changed = true;
            }
            Step::Remove(kind, name) => {
                let gone = |it: &Reference| it.0 == *kind && it.2 == *name;
                let found = present.iter().map(reference).find(gone);
                side.cluster.remove(&found.expect("it is there")).await;
                has_changed = true;
            }
            // What Envoy has under our names nobody else has.
            Step::Ask(ask) if matches!(ask.question, Question::Envoy(..)) => {}
            Step::Ask(ask) if is_asked(ask.now) => {
                let (outcome, is) = side.ask(row, ask, has_changed).await;
                asked.push(Asked {
                    line: ask.line.clone(),
                    outcome,
                    is,
                });
            }
            Step::Ask(_) => {}
        }
    }
    // What nobody asks for is compared as well.
    let mut told = BTreeSet::new();
    for step in &row.steps {
        if let Step::Ask(ask) = step
            && let Question::Status(name, namespace) = &ask.question
        {
            told.insert((namespace.clone(), name.clone()));
        }
    }
    for object in &present {
        let reference = reference(object);
        let (kind, namespace, name) = &reference;
        let is_judged = matches!(&**kind, "HTTPProxy" | "ExtensionService");
        if is_judged && told.insert((namespace.clone(), name.clone())) {
            let outcome = Outcome::Told(side.cluster.told(&reference).await);
            let line = format!("({kind} {namespace}/{name})");
            asked.push(Asked {
                line,
                outcome,
                is: Ok(()),
            });
        }
    }
    asked
}

fn report(row: &Row, ours: Vec<Asked>, theirs: Vec<Asked>) -> Report {
    let mut report = Report {
        asked: ours.len() + theirs.len(),
        ..Report::default()
    };
    for asked in &ours {
        if let Err(why) = &asked.is {
            report
                .wrong
                .push(format!("{}: {}\n    {why}", row.id, asked.line));
        }
    }
    for theirs in &theirs {
        let asked = theirs.line.clone();
        match ours.iter().find(|it| it.line == theirs.line) {
            Some(ours) => {
                let found = between(
                    &row.id,
                    &asked,
                    &ours.outcome,
                    &theirs.outcome,
                    &mut report.everywhere,
                );
                // Shares and orders are compared with what the row says.
                if let (true, Err(why)) = (found.is_empty(), &theirs.is) {
                    report.differences.push(Difference {
                        row: row.id.clone(),
                        asked,
                        is_words: false,
                        ours: "as the row says".to_owned(),
                        theirs: why.clone(),
                    });
                }
                report.differences.extend(found);
            }
            // A feature that is not built: Contour is as the row says, or the row is wrong.
            None => {
                if let Err(why) = &theirs.is {
                    report
                        .wrong
                        .push(format!("{}: of Contour: {asked}\n    {why}", row.id));
                }
            }
        }
    }
    report
}
