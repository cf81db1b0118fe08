//! Rows against the real thing: the one function that asks and compares.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::notation;
use crate::rig::Rig;
use crate::row::{Answer, Ask, Check, Is, Question, Request, Row, Step};
use crate::support::client::{self, Connection, TLS12, Tls, Version};
use crate::support::stand::Stand;
use crate::verdict::{Told, Verdicts};

/// How many rows run at a time.
const AT_ONCE: usize = 32;
/// How long an answer is waited for that is asked for again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Isobath, its Envoy, and what both have.
pub(crate) struct World {
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

/// A row's objects.
pub(crate) fn objects(rig: &Rig, row: &str, lines: &[String]) -> Vec<Value> {
    let host = format!("{row}.test");
    let objects = lines.iter().map(|line| {
        let object = notation::object(line, row, &host);
        match object["like"].as_str() {
            None => object,
            Some(other) => {
                let mut like = rig.secret(other).clone();
                like["metadata"] = object["metadata"].clone();
                like
            }
        }
    });
    objects.collect()
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
        let mut all = Vec::new();
        match &ask.question {
            Question::Http(request, times) => {
                for _ in 0..*times {
                    all.push(self.http(request).await);
                }
            }
            Question::Tcp(text, times) => {
                for _ in 0..*times {
                    all.push(self.tcp(text).await);
                }
            }
            Question::Copies(backend) => {
                let host = format!("{}.test", self.row.id);
                let copies = self.world.rig.shared.requests(backend, &host);
                all.push(Seen::word(&copies.to_string()));
            }
            Question::Status(name, namespace) => {
                return compare_told(&ask.answer, &self.told("HTTPProxy", namespace, name));
            }
            Question::Extension(name) => {
                return compare_told(&ask.answer, &self.told("ExtensionService", "hp", name));
            }
        }
        compare(&ask.answer, &all)
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

    fn tls(&self, request: &Request) -> Tls {
        let host = request.host.clone();
        let host = host.unwrap_or_else(|| format!("{}.test", self.row.id));
        let host = host.split(':').next().unwrap_or("").trim_end_matches('.');
        let mut tls = match request.sni.as_deref() {
            Some("none") => Tls::no_sni(),
            Some(name) => Tls::sni(name),
            None => Tls::sni(&host.to_lowercase()),
        };
        let certificate = request.certificate.as_deref();
        tls.identity = certificate.map(|name| self.world.rig.clients[name].clone());
        match request.version.as_deref() {
            Some("TLS1.2") => tls.versions = TLS12,
            Some(_) => tls.versions = client::TLS13,
            None => {}
        }
        tls
    }

    async fn http(&self, request: &Request) -> Seen {
        let start = Instant::now();
        match self.try_http(request).await {
            Ok(mut seen) => {
                let seconds = start.elapsed().as_secs_f64();
                seen.values.insert("secs".to_owned(), seconds.to_string());
                seen
            }
            Err(why) => {
                let mut seen = Seen::word("ERR");
                seen.values.insert("why".to_owned(), format!("{why:#}"));
                seen
            }
        }
    }

    async fn try_http(&self, request: &Request) -> Result<Seen> {
        let isobath = &self.world.stand.isobath;
        let version = if request.h2 { Version::H2 } else { Version::H1 };
        let tls = request.https.then(|| self.tls(request));
        let address = if request.https {
            isobath.https()
        } else {
            isobath.http()
        };
        let mut connection = Connection::open(address, version, tls.as_ref()).await?;
        let host = format!("{}.test", self.row.id);
        let host = request.host.as_deref().unwrap_or(&host);
        let tokens: Vec<(String, String)> = request
            .headers
            .iter()
            .map(|(name, value)| match &**name {
                "token" => ("authorization".to_owned(), self.token(value)),
                _ => (name.clone(), value.clone()),
            })
            .collect();
        let headers: Vec<(&str, &str)> = tokens
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let body = Bytes::from(vec![b'x'; request.body]);
        let method = request.method.parse()?;
        let answer = connection
            .send_body(method, host, &request.path, &headers, body)
            .await?;
        let mut seen = Seen::word(&answer.status.to_string());
        let mut put = |key: &str, value: &str| {
            let held = seen.values.entry(key.to_owned()).or_default();
            if !held.is_empty() {
                held.push_str(", ");
            }
            held.push_str(value);
        };
        for (name, value) in &answer.headers {
            put(
                &format!("r:{name}"),
                &String::from_utf8_lossy(value.as_bytes()),
            );
        }
        put("loc", answer.header("location"));
        put("body", &answer.text());
        put("hv", if request.h2 { "2" } else { "1" });
        put("tlsver", connection.tls_version().unwrap_or(""));
        if let Ok(Value::Object(echo)) = serde_json::from_slice(&answer.body) {
            for (key, value) in echo {
                match value {
                    Value::Object(headers) => {
                        for (name, value) in headers {
                            put(&format!("q:{name}"), value.as_str().unwrap());
                        }
                    }
                    Value::Null => {}
                    Value::String(text) => put(&key, &text),
                    other => put(&key, &other.to_string()),
                }
            }
        }
        seen.backend = answer.backend().to_owned();
        Ok(seen)
    }

    /// `KEY NAME=VALUE …`
    fn token(&self, text: &str) -> String {
        let (key, claims) = text.split_once(' ').unwrap_or((text, ""));
        let claims = claims.split_whitespace();
        let claims = claims.filter_map(|claim| claim.split_once('='));
        let mut claims: BTreeMap<&str, Value> =
            claims.map(|(name, value)| (name, value.into())).collect();
        claims.insert("exp", 4_000_000_000_u64.into());
        let claims = serde_json::to_value(claims).unwrap();
        format!("Bearer {}", self.world.rig.issuers[key].token(&claims))
    }

    async fn tcp(&self, text: &str) -> Seen {
        match self.try_tcp(text).await {
            Ok(answer) if !answer.is_empty() => {
                let mut seen = Seen::word("TCP");
                answer
                    .split(' ')
                    .next()
                    .unwrap()
                    .clone_into(&mut seen.backend);
                seen.values.insert("body".to_owned(), answer);
                seen
            }
            _ => Seen::word("ERR"),
        }
    }

    async fn try_tcp(&self, text: &str) -> Result<String> {
        let address = self.world.stand.isobath.https();
        let mut stream = self
            .tls(&Request::default())
            .connect(address, Version::H1)
            .await?;
        stream.write_all(text.as_bytes()).await?;
        let mut bytes = [0; 256];
        let length = stream.read(&mut bytes).await?;
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }
}

/// One answer, in the words of [`crate::row`].
#[derive(Clone, Debug, Default)]
struct Seen {
    word: String,
    backend: String,
    values: BTreeMap<String, String>,
}

impl Seen {
    fn word(word: &str) -> Self {
        Self {
            word: word.to_owned(),
            ..Self::default()
        }
    }

    fn satisfies(&self, wanted: &Answer) -> Result<(), String> {
        let wrong = match &wanted.words[..] {
            [word] => self.word != *word,
            [word, backend] => self.word != *word || self.backend != *backend,
            _ => panic!("{wanted:?}"),
        };
        let held = |check: &&Check| {
            let value = self.values.get(&check.key).map(String::as_str);
            match &*check.value {
                "$backend" => value != Some(&self.backend),
                _ => !holds(check, value),
            }
        };
        match wanted.checks.iter().find(held) {
            None if !wrong => Ok(()),
            None => Err(format!(
                "got {} {} {:?}",
                self.word, self.backend, self.values
            )),
            Some(check) => Err(format!(
                "{check}, but got {} {} {:?}",
                self.word, self.backend, self.values
            )),
        }
    }
}

fn holds(check: &Check, value: Option<&str>) -> bool {
    let number = |text: &str| text.parse::<f64>().expect("a number");
    let text = value.unwrap_or("");
    match check.is {
        Is::Equal => text == check.value,
        Is::Like => text.contains(&check.value),
        Is::Absent => value.is_none(),
        Is::Unlike => !text.contains(&check.value),
        Is::Less => value.is_some_and(|value| number(value) < number(&check.value)),
        Is::More => value.is_some_and(|value| number(value) > number(&check.value)),
    }
}

fn compare(wanted: &Answer, all: &[Seen]) -> Result<(), String> {
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for seen in all {
        *counted.entry(&seen.backend).or_default() += 1;
    }
    let is_good = all.iter().all(|seen| matches!(&*seen.word, "200" | "TCP"));
    let found = format!(
        "{counted:?} of {:?}",
        all.iter().map(|it| &it.word).collect::<Vec<_>>()
    );
    let word = wanted.words.first().map(String::as_str);
    let holds = match word {
        Some("same") => counted.len() == 1,
        Some("spread") => counted.len() > 1,
        Some("all") => wanted.words[1..]
            .iter()
            .all(|it| counted.contains_key(&**it)),
        Some("only") => counted.len() == 1 && counted.contains_key(&*wanted.words[1]),
        Some("shares") => wanted.checks.iter().all(|share| {
            // Far beyond what chance does.
            let per_cent = share.value.parse::<f64>().unwrap();
            let part = counted.get(&*share.key).copied().unwrap_or(0);
            let part = 100.0 * f64::from(u32::try_from(part).unwrap());
            let all = f64::from(u32::try_from(all.len()).unwrap());
            (part / all - per_cent).abs() < 18.0
        }),
        _ => return all.iter().try_for_each(|seen| seen.satisfies(wanted)),
    };
    match is_good && holds {
        true => Ok(()),
        false => Err(format!("got {found}")),
    }
}

/// What is told of an object, against what should be.
fn compare_told(wanted: &Answer, told: &Told) -> Result<(), String> {
    let sorted = |text: &str| {
        let mut parts: Vec<String> = text.split(',').map(str::to_owned).collect();
        parts.retain(|part| !part.is_empty());
        parts.sort();
        parts
    };
    let mut right = wanted.words == [told.word.clone()];
    for check in &wanted.checks {
        right &= match (&*check.key, check.is) {
            ("er", Is::Equal) => sorted(&told.errors.join(",")) == sorted(&check.value),
            ("wa", Is::Equal) => sorted(&told.warnings.join(",")) == sorted(&check.value),
            ("msg", Is::Like) => told.messages.iter().any(|it| it.contains(&check.value)),
            _ => panic!("{check} is nothing to ask of a status"),
        };
    }
    match right {
        true => Ok(()),
        false => Err(format!("got {told:?}")),
    }
}

#[test]
fn wrong_answers_are_found() {
    let [row] = &crate::row::rows(
        "row x\n/ -> 200 a path=/ secs<2 q:z!\n/ x3 -> same\n/ x3 -> shares a=50 b=50\n/ x2 -> only a",
    )[..] else {
        panic!("one row");
    };
    let asks: Vec<&Ask> = row
        .steps
        .iter()
        .map(|step| match step {
            Step::Ask(ask) => ask,
            _ => panic!("an ask"),
        })
        .collect();
    let seen = |word: &str, backend: &str, values: &[(&str, &str)]| Seen {
        word: word.to_owned(),
        backend: backend.to_owned(),
        values: values
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    };
    let good = seen("200", "a", &[("path", "/"), ("secs", "1.5")]);
    assert_eq!(
        compare(&asks[0].answer, std::slice::from_ref(&good)),
        Ok(())
    );
    for bad in [
        seen("404", "a", &[("path", "/"), ("secs", "1.5")]),
        seen("200", "b", &[("path", "/"), ("secs", "1.5")]),
        seen("200", "a", &[("path", "/x"), ("secs", "1.5")]),
        seen("200", "a", &[("path", "/"), ("secs", "2.5")]),
        seen("200", "a", &[("path", "/"), ("secs", "1.5"), ("q:z", "")]),
        seen("200", "a", &[]),
    ] {
        assert!(
            compare(&asks[0].answer, std::slice::from_ref(&bad)).is_err(),
            "{bad:?}"
        );
    }
    let [a, b, down] = [
        seen("200", "a", &[]),
        seen("200", "b", &[]),
        seen("503", "a", &[]),
    ];
    let check = |ask: usize, all: [&Seen; 2], is: bool| {
        let all = all.map(Clone::clone);
        assert_eq!(
            compare(&asks[ask].answer, &all).is_ok(),
            is,
            "{ask} {all:?}"
        );
    };
    check(1, [&a, &a], true);
    check(1, [&a, &b], false);
    check(1, [&down, &down], false);
    check(2, [&a, &b], true);
    check(2, [&a, &a], false);
    check(3, [&a, &a], true);
    check(3, [&b, &b], false);
    check(3, [&a, &down], false);
}
