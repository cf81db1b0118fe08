//! Rows against the real thing: the one function that asks and compares.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use serde_json::Value;

use crate::answers::{Seen, Told, compare, compare_told};
use crate::asker::Asker;
use crate::rig::{Rig, objects};
use crate::row::{Ask, Question, Row, Step};
use crate::support::authz::Authz;
use crate::support::stand::Stand;
use crate::verdict::Verdicts;

/// How many rows run at a time.
const AT_ONCE: usize = 32;
/// How long an answer is waited for that is asked for again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Isobath, its Envoy, and what both have.
pub(crate) struct World {
    /// It goes first: its socket is in the control plane's directory.
    pub(crate) authz: Authz,
    pub(crate) stand: Stand,
    pub(crate) rig: Rig,
    /// What is told of everything that is there from the first.
    pub(crate) verdicts: Verdicts,
    /// Flags, for verdicts that are made again.
    pub(crate) flags: Vec<&'static str>,
}

impl World {
    /// Runs the rows side by side, and panics once with all answers that are not the wanted ones.
    pub(crate) async fn check(&self, rows: &[Row]) {
        let runs = rows.iter().map(|row| async move {
            let mut run = Run {
                world: self,
                row,
                objects: row.objects.clone(),
                asked: 0,
                wrong: Vec::new(),
            };
            run.go().await;
            (run.asked, run.wrong)
        });
        let runs: Vec<_> = futures::stream::iter(runs)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let asked: usize = runs.iter().map(|(asked, _)| asked).sum();
        let wrong: Vec<String> = runs.into_iter().flat_map(|(_, wrong)| wrong).collect();
        assert!(asked > 0, "nothing was asked");
        println!("{} rows, {asked} asked", rows.len());
        assert!(
            wrong.is_empty(),
            "{} of {asked} are not as wanted:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
        self.check_taken().await;
    }

    /// Whatever rows say, Envoy has refused none of it: a change of somebody else never waits for what is wrong.
    async fn check_taken(&self) {
        let page = "/stats?usedonly&filter=update_rejected$";
        let stats = self.stand.envoy.get(page).await.expect("Envoy's counts");
        let refused: Vec<&str> = stats
            .lines()
            .filter(|line| !line.ends_with(": 0"))
            .collect();
        assert!(refused.is_empty(), "Envoy has refused: {refused:?}");
    }
}

/// The text of a row's file of manifests.
pub(crate) fn file(rig: &Rig, row: &str, lines: &[String]) -> String {
    let objects = objects(rig, row, lines);
    objects
        .iter()
        .map(|object| format!("---\n{object}\n"))
        .collect()
}

struct Run<'a> {
    world: &'a World,
    row: &'a Row,
    objects: Vec<String>,
    asked: usize,
    wrong: Vec<String>,
}

impl Run<'_> {
    async fn go(&mut self) {
        let row = self.row;
        for step in &row.steps {
            match step {
                Step::Add(line) => {
                    let kept = |it: &String| self.named(it) != self.named(line);
                    let mut objects: Vec<String> =
                        self.objects.iter().filter(|it| kept(it)).cloned().collect();
                    objects.push(line.clone());
                    self.write(objects);
                }
                Step::Remove(kind, name) => {
                    let kept = |it: &&String| self.named(it) != (kind.clone(), name.clone());
                    let objects = self.objects.iter().filter(kept).cloned().collect();
                    self.write(objects);
                }
                Step::Ask(ask) if row.asks(ask) => self.ask(ask).await,
                Step::Ask(_) => {}
            }
        }
    }

    fn named(&self, line: &str) -> (String, String) {
        let object = &objects(&self.world.rig, &self.row.id, &[line.to_owned()])[0];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&object["kind"]), text(&object["metadata"]["name"]))
    }

    fn write(&mut self, objects: Vec<String>) {
        self.objects = objects;
        let text = file(&self.world.rig, &self.row.id, &self.objects);
        let name = format!("{}.yaml", self.row.id);
        self.world.stand.isobath.write_text(&name, &text);
    }

    async fn ask(&mut self, ask: &Ask) {
        self.asked += 1;
        let start = Instant::now();
        loop {
            match self.try_ask(ask).await {
                Ok(()) => return,
                Err(_) if ask.until && start.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(why) => {
                    let wrong = format!("{}: {}\n    {why}", self.row.id, ask.line);
                    return self.wrong.push(wrong);
                }
            }
        }
    }

    async fn try_ask(&self, ask: &Ask) -> Result<(), String> {
        let told = match &ask.question {
            Question::Status(name, namespace) => self.told("HTTPProxy", namespace, name),
            Question::Extension(name) => self.told("ExtensionService", "hp", name),
            Question::Envoy(list, name) => {
                let has = self.envoy_has(list, name).await;
                return compare(&ask.answer, &[has]);
            }
            question => {
                let asker = Asker {
                    rig: &self.world.rig,
                    row: &self.row.id,
                    http: self.world.stand.isobath.http(),
                    https: self.world.stand.isobath.https(),
                };
                let all = asker.answers(question).await;
                return compare(&ask.answer, &all.unwrap_or_default());
            }
        };
        compare_told(&ask.answer, &told)
    }

    /// What Envoy has of this list, as one line of JSON; 404 for nothing.
    async fn envoy_has(&self, list: &str, name: &str) -> Seen {
        let page = format!("/config_dump?resource={list}&name_regex={name}");
        let page = match self.world.stand.envoy.get(&page).await {
            Ok(page) => page,
            Err(why) => return Seen::error(format!("{why:#}")),
        };
        let dump: Value = serde_json::from_str(&page).unwrap_or_default();
        let has = &dump["configs"];
        let mut seen = match has.as_array().is_some_and(|has| !has.is_empty()) {
            true => Seen::word("200"),
            false => Seen::word("404"),
        };
        seen.values.insert("body".to_owned(), has.to_string());
        seen
    }

    fn told(&self, kind: &str, namespace: &str, name: &str) -> Told {
        let moves = |step: &Step| matches!(step, Step::Add(_) | Step::Remove(..));
        if !self.row.steps.iter().any(moves) {
            return self.world.verdicts.of(kind, namespace, name);
        }
        let mut all = self.world.rig.objects.clone();
        all.extend(objects(&self.world.rig, &self.row.id, &self.objects));
        Verdicts::new(&all, &self.world.flags).of(kind, namespace, name)
    }
}
