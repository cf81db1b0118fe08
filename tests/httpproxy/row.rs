//! Rows as data: what is there, what is asked, what is answered.
//!
//! ```text
//! row ID                    the host of its requests is ID.test, which stands for $h in all that follows
//! OBJECT                    see notation.rs
//! ASK -> ANSWER             in this order
//! until ASK -> ANSWER       asked again until it is so
//! add OBJECT                while it runs: from here on it is there (or is another one)
//! remove KIND NAME          from here on it is gone
//! differs KEY: TEXT         what Contour does instead, and where deploy/contour.md says why
//! awaits FEATURE            not built yet: of the asks only those with `now` in front are made
//! now ASK -> ANSWER
//! ```
//!
//! An ask is `[METHOD] [https] [h2] PATH [host=HOST] [sni=NAME|none] [cert=NAME] [TLS1.2] [websocket] [body=BYTES] [xTIMES]`
//! with `[name: value]` for each header (`[token KEY CLAIMS]` is for a token), `tcp 'TEXT' [xTIMES]` for bytes over TLS, `status [NAME][@NAMESPACE]` for what is said
//! of an HTTPProxy, `extension NAME` of an ExtensionService, `copies BACKEND` for how many requests of the host it got, `envoy LIST
//! EXPRESSION` for what Envoy itself says that it has, of a list of its `/config_dump` with that name: for what no request shows.
//!
//! An answer begins with a status (`ERR`: no connection, or no answer; `TCP`: bytes) and maybe the back end; or is one word
//! about all answers of an ask that is made often: `same`, `spread`, `shares a=80 b=20`, `only a`, `all a b`. Behind it
//! stands what else holds (`$backend` is the back end's name): `KEY=VALUE`, `KEY~PART`, `KEY!` (absent), `KEY!~PART`, `KEY>NUMBER` (there is no `<`: how long a thing may
//! take is the scheduler's to say). Keys are path, host, method, proto,
//! sni, tls, peer, port, blen (as the back end saw it), loc, body, secs, hv, tlsver, `q:HEADER` (as the back end got it) and
//! `r:HEADER` (of the answer). Of a status it is `valid`, `invalid`, `orphaned`, `unread` or `unserved`, with `er=TYPE/REASON,…`, `wa=…` and
//! `msg~PART`.

use std::fmt;

use crate::notation::{split, tokens};

/// One row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) id: String,
    /// The objects that are there from the first, as lines.
    pub(crate) objects: Vec<String>,
    /// What is done.
    pub(crate) steps: Vec<Step>,
    /// Keys of the table of deploy/contour.md, and what Contour does.
    pub(crate) differs: Vec<(String, String)>,
    /// The feature that is not built.
    pub(crate) awaits: Option<String>,
}

/// One line that is done.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a table of some hundred rows that lives as long as a test"
)]
pub(crate) enum Step {
    /// An object is there from now on.
    Add(String),
    /// An object goes.
    Remove(String, String),
    /// Something is asked.
    Ask(Ask),
}

/// What is asked, and what is to come of it.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// The line, for messages.
    pub(crate) line: String,
    /// Whether it is asked until it is so.
    pub(crate) until: bool,
    /// Whether it holds only as long as a feature is not built.
    pub(crate) now: bool,
    /// What is asked.
    pub(crate) question: Question,
    /// What is to come of it.
    pub(crate) answer: Answer,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    /// A request, so many times.
    Http(Request, usize),
    /// Bytes over TLS to the row's host, so many times.
    Tcp(String, usize),
    /// What is told of an HTTPProxy: its name, and its namespace.
    Status(String, String),
    /// What is told of an ExtensionService.
    Extension(String),
    /// How many requests of the row's host this back end got.
    Copies(String),
    /// What Envoy has under names that this expression matches, of this list.
    #[allow(dead_code, reason = "what Contour's Envoy has is under other names")]
    Envoy(String, String),
}

/// A request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) https: bool,
    pub(crate) h2: bool,
    pub(crate) path: String,
    pub(crate) host: Option<String>,
    pub(crate) sni: Option<String>,
    pub(crate) certificate: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: usize,
}

/// What is to come of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// The words before the checks.
    pub(crate) words: Vec<String>,
    /// What else holds.
    pub(crate) checks: Vec<Check>,
}

/// What holds of one part of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) key: String,
    pub(crate) is: Is,
    pub(crate) value: String,
}

/// How it compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    Equal,
    Like,
    Absent,
    Unlike,
    More,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}", self.key, self.is, self.value)
    }
}

/// The rows of a file.
pub(crate) fn rows(text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(id) = line.strip_prefix("row ") {
            rows.push(Row {
                id: id.to_owned(),
                ..Row::default()
            });
            continue;
        }
        let row = rows.last_mut().expect("a row before its lines");
        let host = format!("{}.test", row.id);
        let line = line.replace("$h", &host);
        let (first, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match first.trim_end_matches(':') {
            "differs" => {
                let (key, text) = rest.split_once(": ").expect("KEY: TEXT");
                row.differs.push((key.to_owned(), text.to_owned()));
            }
            "awaits" => row.awaits = Some(rest.to_owned()),
            "add" => row.steps.push(Step::Add(rest.to_owned())),
            "remove" => {
                let (kind, name) = rest.split_once(' ').expect("KIND NAME");
                row.steps
                    .push(Step::Remove(kind.to_owned(), name.to_owned()));
            }
            "root" | "child" | "ingress" | "nginx" | "extension" | "secret" | "object"
                if !line.contains(" -> ") =>
            {
                row.objects.push(line.clone());
            }
            _ => row.steps.push(Step::Ask(ask(&line, &row.id))),
        }
    }
    rows
}

fn ask(line: &str, row: &str) -> Ask {
    let (mut asked, answer) = line
        .split_once(" -> ")
        .unwrap_or_else(|| panic!("{row}: no answer in {line:?}"));
    let mut flag = |name: &str| match asked.strip_prefix(name) {
        Some(rest) => {
            asked = rest;
            true
        }
        None => false,
    };
    let now = flag("now ");
    let until = flag("until ");
    Ask {
        line: line.to_owned(),
        until,
        now,
        question: question(asked, row),
        answer: self::answer(answer),
    }
}

fn question(text: &str, row: &str) -> Question {
    let words = tokens(text);
    match words[..] {
        ["status"] => Question::Status(row.to_owned(), "hp".to_owned()),
        ["status", name] => {
            let (name, namespace) = name.split_once('@').unwrap_or((name, "hp"));
            Question::Status(name.to_owned(), namespace.to_owned())
        }
        ["extension", name] => Question::Extension(name.to_owned()),
        ["copies", name] => Question::Copies(name.to_owned()),
        ["envoy", list, name] => Question::Envoy(list.to_owned(), name.to_owned()),
        ["tcp", text] => Question::Tcp(unquoted(text), 1),
        ["tcp", text, times] => Question::Tcp(unquoted(text), times[1..].parse().unwrap()),
        _ => {
            let (request, times) = request(&words, text);
            Question::Http(request, times)
        }
    }
}

fn request(words: &[&str], text: &str) -> (Request, usize) {
    let mut request = Request {
        method: "GET".to_owned(),
        ..Request::default()
    };
    let mut times = 1;
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match (key, value) {
            _ if word.starts_with('/') => request.path = (*word).to_owned(),
            _ if word.starts_with('[') => {
                let inner = &word[1..word.len() - 1];
                let (name, value) = match inner.strip_prefix("token ") {
                    Some(claims) => ("token", claims),
                    None => inner.split_once(':').expect("a header"),
                };
                let header = (name.trim().to_owned(), value.trim().to_owned());
                request.headers.push(header);
            }
            ("https", "") => request.https = true,
            ("h2", "") => request.h2 = true,
            ("websocket", "") => {
                let headers = [
                    ("Connection", "Upgrade"),
                    ("Upgrade", "websocket"),
                    ("Sec-WebSocket-Version", "13"),
                    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ];
                let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
                request.headers.extend(headers.map(owned));
            }
            ("TLS1.2" | "TLS1.3", "") => request.version = Some((*word).to_owned()),
            ("GET" | "HEAD" | "POST" | "PUT" | "OPTIONS" | "TRACE", "") => {
                request.method = (*word).to_owned();
            }
            ("host", host) => request.host = Some(host.to_owned()),
            ("sni", name) => request.sni = Some(name.to_owned()),
            ("cert", name) => request.certificate = Some(name.to_owned()),
            ("body", bytes) => request.body = bytes.parse().unwrap(),
            _ if word.starts_with('x') => times = word[1..].parse().expect(text),
            _ => panic!("{text}: {word}"),
        }
    }
    assert!(!request.path.is_empty(), "{text}: no path");
    (request, times)
}

fn answer(text: &str) -> Answer {
    let mut answer = Answer::default();
    for word in tokens(text) {
        let Some(end) = word.find(['=', '~', '!', '>']) else {
            answer.words.push(word.to_owned());
            continue;
        };
        let (key, rest) = word.split_at(end);
        let (is, value) = match rest.split_at(1) {
            ("=", value) => (Is::Equal, value),
            ("~", value) => (Is::Like, value),
            (">", value) => (Is::More, value),
            _ => match rest.strip_prefix("!~") {
                Some(value) => (Is::Unlike, value),
                None => (Is::Absent, ""),
            },
        };
        answer.checks.push(Check {
            key: key.to_owned(),
            is,
            value: unquoted(value),
        });
    }
    answer
}

fn unquoted(text: &str) -> String {
    let quoted = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    let inner = quoted('\'').or_else(|| quoted('"'));
    inner.unwrap_or(text).to_owned()
}

impl Row {
    /// Whether this ask is made.
    pub(crate) fn asks(&self, ask: &Ask) -> bool {
        ask.now == self.awaits.is_some()
    }
}

#[test]
fn lines_are_asks_and_answers() {
    let [row] = &rows(
        "# nothing\nrow x\nroot: > a\nPOST https h2 /p?a=b host=y.$h sni=none cert=c TLS1.2 body=3 [A: b: c] [D: ] x7 -> 200 a path=/p?x=y r:x-y~'a b' q:z! body!~q secs>1\n\
         until tcp 'a b' x2 -> spread\nnow status k@n -> invalid er=A/B msg~'c d'\nadd child k: > b\nremove Secret s\ndiffers some thing: text: more\nawaits jwt\ncopies m -> 1",
    )[..] else {
        panic!("one row");
    };
    assert_eq!((&*row.id, row.objects.len(), row.steps.len()), ("x", 1, 6));
    assert_eq!(
        row.differs,
        [("some thing".to_owned(), "text: more".to_owned())]
    );
    let Step::Ask(first) = &row.steps[0] else {
        panic!("an ask");
    };
    assert!(!row.asks(first));
    let Question::Http(request, 7) = &first.question else {
        panic!("{first:?}");
    };
    assert_eq!(
        format!("{request:?}"),
        r#"Request { method: "POST", https: true, h2: true, path: "/p?a=b", host: Some("y.x.test"), sni: Some("none"), certificate: Some("c"), version: Some("TLS1.2"), headers: [("A", "b: c"), ("D", "")], body: 3 }"#
    );
    assert_eq!(first.answer.words, ["200", "a"]);
    let checks: Vec<String> = first
        .answer
        .checks
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        checks.join("; "),
        r#"path Equal "/p?x=y"; r:x-y Like "a b"; q:z Absent ""; body Unlike "q"; secs More "1""#
    );
    let Step::Ask(Ask {
        until: true,
        question: Question::Tcp(text, 2),
        ..
    }) = &row.steps[1]
    else {
        panic!("{:?}", row.steps[1]);
    };
    assert_eq!(text, "a b");
    let Step::Ask(now) = &row.steps[2] else {
        panic!("an ask");
    };
    assert!(
        row.asks(now)
            && matches!(&now.question, Question::Status(name, space) if name == "k" && space == "n")
    );
    assert_eq!(split("a;(b;c);'d;e'", ';'), ["a", "(b;c)", "'d;e'"]);
}
