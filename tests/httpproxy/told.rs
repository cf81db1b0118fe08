//! What is told of every object of every row, as a golden; and that there is no text in the translation that none of them shows.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::golden;
use crate::rig::{Rig, objects};
use crate::row::{Row, Step, rows};
use crate::tables::{
    CLIENT_CERTIFICATE_MISSING, CONFIGURED, CONFIGURED_FLAGS, EXTERNAL_NAMES, EXTERNAL_NAMES_FLAGS,
    OF_ALL, OF_ALL_FLAGS, OPERATOR, OPERATOR_FLAGS, ROOT_NAMESPACES, ROOT_NAMESPACES_FLAGS, TABLES,
};
use crate::verdict::Verdicts;
use crate::worlds::CLIENT_CERTIFICATE_MISSING_FLAGS;

/// Rows for what they are told alone.
const TOLD: &str = include_str!("rows/told.txt");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file() -> PathBuf {
    root().join("tests/httpproxy/told.txt")
}

/// What is told of the objects of a row, a line each.
fn lines(rig: &Rig, row: &Row, present: &[String], verdicts: &Verdicts, all: &mut String) {
    for object in objects(rig, &row.id, present) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = text(&object["kind"]);
        let [namespace, name] = ["namespace", "name"].map(|key| text(&object["metadata"][key]));
        for problem in verdicts.problems(&kind, &namespace, &name) {
            writeln!(all, "{}: {kind} {namespace}/{name} {problem}", row.id).unwrap();
        }
    }
}

/// The same of all rows of a world, and of what those that change become.
fn world(rig: &Rig, rows: &[Row], flags: &[&str], all: &mut String) {
    let mut everything: Vec<Value> = rig.objects.clone();
    for row in rows {
        everything.extend(objects(rig, &row.id, &row.objects));
    }
    let verdicts = Verdicts::new(&everything, flags);
    for row in rows {
        lines(rig, row, &row.objects, &verdicts, all);
        let mut present = row.objects.clone();
        let named = |line: &String| {
            let object = &objects(rig, &row.id, std::slice::from_ref(line))[0];
            (object["kind"].clone(), object["metadata"]["name"].clone())
        };
        for step in &row.steps {
            match step {
                Step::Add(line) => {
                    present.retain(|it| named(it) != named(line));
                    present.push(line.clone());
                }
                Step::Remove(kind, name) => {
                    present.retain(|it| named(it) != (kind.as_str().into(), name.as_str().into()));
                }
                Step::Ask(_) => continue,
            }
            let mut then = rig.objects.clone();
            then.extend(objects(rig, &row.id, &present));
            lines(rig, row, &present, &Verdicts::new(&then, flags), all);
        }
    }
}

async fn told() -> String {
    let rig = Rig::start(Ipv4Addr::LOCALHOST).await;
    let of = |text: &str| rows(&rig.fill(text));
    let plain: Vec<Row> = TABLES.iter().flat_map(|(_, text)| of(text)).collect();
    let mut all = String::new();
    world(&rig, &plain, &[], &mut all);
    for (text, flags) in [
        (EXTERNAL_NAMES, EXTERNAL_NAMES_FLAGS),
        (CONFIGURED, CONFIGURED_FLAGS),
        (OF_ALL, OF_ALL_FLAGS),
        (CLIENT_CERTIFICATE_MISSING, CLIENT_CERTIFICATE_MISSING_FLAGS),
        (OPERATOR, OPERATOR_FLAGS),
        (ROOT_NAMESPACES, ROOT_NAMESPACES_FLAGS),
    ] {
        world(&rig, &of(text), flags, &mut all);
    }
    world(&rig, &of(TOLD), &[], &mut all);
    let fallback = "row t-connections\nroot: tls {secretName: web, enableFallbackCertificate: true}; tcpproxy a:443\n";
    world(&rig, &of(fallback), OPERATOR_FLAGS, &mut all);
    let twice = "row t-nginx\nroot: class nginx; ipAllowPolicy: [{source: Peer, cidr: 127.0.0.0/8}]; /p > a\nnginx: {whitelist-source-range: 10.0.0.0/8}; P /i > b\n";
    world(&rig, &of(twice), &["--ingress-class", "nginx"], &mut all);
    let default = [
        "--rate-limit-service-extension",
        "hp/nosuch",
        "--rate-limit-service-default-policy",
        r#"{"descriptors":[{"entries":[{"genericKey":{"value":"default"}}]}]}"#,
    ];
    world(&rig, &of("row t-limit\nroot: > a\n"), &default, &mut all);
    let open = [&default[..], &["--rate-limit-service-fail-open"]].concat();
    let own = "row t-open\nroot: rateLimitPolicy: {global: {descriptors: [{entries: [{remoteAddress: {}}]}]}}; > a\n";
    world(&rig, &of(own), &open, &mut all);
    long(&rig, &mut all);
    all
}

fn proxy(name: &str, host: Option<&str>, rest: Value) -> Value {
    let mut spec = rest;
    if let Some(host) = host {
        spec["virtualhost"]["fqdn"] = host.into();
    }
    json!({
        "apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy",
        "metadata": {"namespace": "hp", "name": name}, "spec": spec,
    })
}

/// What no row is short enough for: each text once.
fn long(rig: &Rig, all: &mut String) {
    let services = json!([{"name": "a", "port": 80}]);
    let include =
        |name: String, prefix: &str| json!([{"name": name, "conditions": [{"prefix": prefix}]}]);
    let mut objects = rig.objects.clone();
    // A chain of includes.
    objects.push(proxy(
        "deep",
        Some("deep.test"),
        json!({"includes": include("d0".to_owned(), "/")}),
    ));
    for i in 0..70 {
        let includes = include(format!("d{}", i + 1), "/");
        objects.push(proxy(
            &format!("d{i}"),
            None,
            json!({ "includes": includes }),
        ));
    }
    // An expression that is as long as one may be, and longer below an include.
    let prefix = format!("/{}", "p".repeat(900));
    let long = json!([{"conditions": [{"regex": "/[a]{900}"}], "services": services}]);
    objects.push(proxy(
        "merged",
        Some("merged.test"),
        json!({"includes": include("m0".to_owned(), &prefix)}),
    ));
    objects.push(proxy("m0", None, json!({ "routes": long })));
    // One child of many roots.
    let each = |i: usize| {
        json!({
            "conditions": [{"prefix": format!("/{i}")}], "services": services,
            "timeoutPolicy": {"idleConnection": format!("{}s", i + 1)},
        })
    };
    let routes: Vec<Value> = (0..80).map(each).collect();
    objects.push(proxy("child", None, json!({ "routes": routes })));
    for i in 0..140 {
        let includes = include("child".to_owned(), "/c");
        let host = format!("s{i}.test");
        objects.push(proxy(
            &format!("s{i:03}"),
            Some(&host),
            json!({ "includes": includes }),
        ));
    }
    // Addresses of a host, on the many paths of an Ingress.
    let denied: Vec<Value> = (0..3000)
        .map(|i| json!({"source": "Peer", "cidr": format!("10.{}.{}.0/24", i / 250, i % 250)}))
        .collect();
    let mut guarded = proxy(
        "guarded",
        Some("guarded.test"),
        json!({"routes": [{"services": services}]}),
    );
    guarded["spec"]["virtualhost"]["ipDenyPolicy"] = denied.into();
    objects.push(guarded);
    let backend = json!({"service": {"name": "b", "port": {"number": 80}}});
    let paths: Vec<Value> = (0..300)
        .map(|i| json!({"path": format!("/{i}"), "pathType": "Exact", "backend": backend}))
        .collect();
    objects.push(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"namespace": "hp", "name": "many"},
        "spec": {"rules": [{"host": "guarded.test", "http": {"paths": paths}}]},
    }));
    let verdicts = Verdicts::new(&objects, &[]);
    let mut seen = BTreeSet::new();
    for object in objects.iter().skip(rig.objects.len()) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = text(&object["kind"]);
        let metadata = &object["metadata"];
        let name = text(&metadata["name"]);
        for problem in verdicts.problems(&kind, &text(&metadata["namespace"]), &name) {
            if seen.insert(problem.clone()) {
                writeln!(all, "long: {kind} {name} {problem}").unwrap();
            }
        }
    }
}

#[tokio::test]
async fn what_is_told_of_each_row_is_as_it_was() {
    let found = told().await;
    if golden::updates() {
        fs::write(file(), &found).unwrap();
    }
    let wanted = fs::read_to_string(file()).unwrap_or_default();
    let wrong = found
        .lines()
        .zip(wanted.lines().chain(std::iter::repeat("")));
    let wrong = wrong.filter(|(one, other)| one != other);
    let wrong: Vec<String> = wrong
        .take(5)
        .map(|(one, other)| format!("{one}\ninstead of\n{other}"))
        .collect();
    assert!(
        found == wanted,
        "another text: UPDATE_GOLDEN=1 writes it\n{}",
        wrong.join("\n")
    );
}

/// The texts in a file of Rust, without those of comments and of its tests, and what is filled in.
fn texts(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut all = Vec::new();
    let mut rest = source.chars().peekable();
    let (mut is_comment, mut text, mut before) = (false, None::<String>, ' ');
    while let Some(next) = rest.next() {
        match (&mut text, next) {
            _ if is_comment => is_comment = next != '\n',
            (None, '/') if rest.peek() == Some(&'/') => is_comment = true,
            // A character.
            (None, '"') if before == '\'' => {}
            (None, '"') => text = Some(String::new()),
            (None, _) => {}
            (Some(_), '"') => all.extend(text.take()),
            (Some(text), '\\') => match rest.next() {
                Some('\n') => while rest.next_if(|it| it.is_whitespace()).is_some() {},
                Some(escaped) => text.push(escaped),
                None => {}
            },
            (Some(text), next) => text.push(next),
        }
        before = next;
    }
    all
}

/// The parts of a text that stand as they are: where something is filled in, it is cut.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for next in text.chars() {
        match next {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                parts.push(String::new());
            }
            next if depth == 0 => parts.last_mut().unwrap().push(next),
            _ => {}
        }
    }
    parts.retain(|part| part.trim().len() > 6);
    parts
}

/// Texts that no object brings about, and where they are shown.
const ELSEWHERE: [(&str, &str); 14] = [
    (
        "an invalid empty query parameter name",
        "the schema keeps it away",
    ),
    ("is no range of statuses", "the schema keeps it away"),
    ("Fqdn must be specified", "the schema keeps it away"),
    ("{flag}-set and -remove", "tests/program/exit_code.rs"),
    ("-default-policy: {why}", "tests/program/exit_code.rs"),
    (
        "time: missing unit",
        "a test of duration.rs: the schema keeps it away",
    ),
    (
        "time: unknown unit",
        "a test of duration.rs: the schema keeps it away",
    ),
    ("is no SameSite", "the schema keeps it away"),
    ("is no scheme", "the schema keeps it away"),
    (
        "{status} is no status",
        "of a rejection: the schema keeps it away",
    ),
    ("aggression {:?} is no number", "the schema keeps it away"),
    (
        "missing subject alternative name",
        "the schema keeps it away",
    ),
    ("spec.services names no service", "the schema keeps it away"),
    ("in range, see above", "why a lint is off"),
];

#[test]
fn every_text_has_a_golden_that_shows_it() {
    let mut shown = fs::read_to_string(file()).unwrap();
    let folder = root().join("tests/golden/http_proxies");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "txt") {
            shown += &fs::read_to_string(path).unwrap();
        }
    }
    let mut counted = 0;
    let mut missing = Vec::new();
    for entry in fs::read_dir(root().join("src/translate/httpproxy")).unwrap() {
        let path = entry.unwrap().path();
        let source = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for text in texts(&source) {
            // Words with a space between them are a sentence, or a part of one.
            if !text.trim().contains(' ') || text.len() < 12 {
                continue;
            }
            counted += 1;
            let is_elsewhere = ELSEWHERE.iter().any(|(it, _)| text.contains(it));
            if !is_elsewhere
                && !parts(&text)
                    .iter()
                    .all(|part| shown.contains(part.as_str()))
            {
                missing.push(format!("{name}: {text}"));
            }
        }
    }
    assert!(counted > 120, "{counted} texts");
    missing.sort();
    assert!(
        missing.is_empty(),
        "{} of {counted} texts are in no golden:\n{}",
        missing.len(),
        missing.join("\n")
    );
}
