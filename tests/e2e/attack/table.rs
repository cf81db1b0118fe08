//! The tables: text files of rows, each with what is sent, byte by byte, and what comes back.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::support::backend::Backend;
use crate::support::envoy;
use crate::support::manifest::PathType::Prefix;
use crate::support::manifest::{ingress, site};
use crate::support::stand::{Stand, apps};

/// No row takes longer: an Envoy that hangs is a wrong answer.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// One attack.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// Each line with the marks before it.
    pub(super) lines: Vec<(&'static str, &'static str)>,
    pub(super) want: &'static str,
}

/// The rows of a table. Panics where it is none.
pub(super) fn rows(table: &'static str) -> Vec<Row> {
    let mut rows = Vec::<Row>::new();
    for line in table.lines() {
        let (mark, text) = line.split_once(' ').unwrap_or((line, ""));
        match mark {
            "" | "#" => {}
            "==" => rows.push(Row {
                name: text,
                lines: Vec::new(),
                want: "",
            }),
            "=" => rows.last_mut().unwrap().want = text,
            _ => rows.last_mut().unwrap().lines.push((mark, text)),
        }
    }
    for row in &rows {
        assert!(!row.want.is_empty() && !row.lines.is_empty(), "{row:?}");
    }
    rows
}

/// How often a line is said: `>*100` is a hundred times `>`.
pub(super) fn times(mark: &str) -> usize {
    mark.split_once('*')
        .map_or(1, |(_, times)| times.parse().unwrap())
}

/// The bytes that a text of a table stands for.
pub(super) fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, byte) = match (first, rest.as_bytes().get(1)) {
            ('{', _) => {
                let (inner, after) = rest[1..].split_once('}').unwrap();
                let (unit, times) = inner.rsplit_once('*').unwrap();
                bytes.extend(self::bytes(unit).repeat(times.parse().unwrap()));
                rest = after;
                continue;
            }
            ('\\', Some(b'x')) => (4, u8::from_str_radix(&rest[2..4], 16).unwrap()),
            ('\\', Some(b'r')) => (2, b'\r'),
            ('\\', Some(b'n')) => (2, b'\n'),
            ('\\', Some(b't')) => (2, b'\t'),
            ('\\', Some(b'0')) => (2, 0),
            ('\\', Some(b'\\')) => (2, b'\\'),
            (other, _) => (1, u8::try_from(other).expect("tables are ASCII")),
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    bytes
}

/// The hosts of the tables, in clear: `web.test`, `other.test`, `*.wild.test`, each with a back end of its own, and
/// `shut.test`, whose /admin is `admin`'s. What follows is the back end of web.test/smuggled.
pub(super) async fn stand() -> (Stand, Vec<Backend>, Backend) {
    let names = ["web", "other", "wild", "admin", "smuggled"];
    let (mut backends, mut manifests) = apps(&names).await;
    manifests.extend([
        ingress("web").rule(
            "web.test",
            &[
                ("/", Prefix, "web:80"),
                ("/smuggled", Prefix, "smuggled:80"),
            ],
        ),
        site("other", "other.test", "other:80"),
        site("wild", "*.wild.test", "wild:80"),
        ingress("shut").rule(
            "shut.test",
            &[("/", Prefix, "web:80"), ("/admin", Prefix, "admin:80")],
        ),
    ]);
    let smuggled = backends.pop().unwrap();
    (Stand::start(&manifests).await, backends, smuggled)
}

/// What Envoy 1.39 answers otherwise: `..;` is a name like any other to it.
const ON_1_39: &[(&str, &str)] = &[(
    "dots with a parameter",
    "200 web /a/..;/admin, 200 web /probe",
)];

/// Goes through a table, many rows at a time, and panics once with all answers that were not the wanted ones.
pub(super) async fn check(
    table: &'static str,
    fewest: usize,
    answer: impl AsyncFn(SocketAddr, &Row) -> String,
) {
    let (stand, _backends, smuggled) = stand().await;
    let rows = rows(table);
    assert!(rows.len() >= fewest, "{} rows", rows.len());
    let version = Command::new(envoy::binary()).arg("--version").output();
    let is_old = String::from_utf8_lossy(&version.unwrap().stdout).contains("/1.39.");
    let mut wrong = Vec::new();
    for some in rows.chunks(25) {
        let answers = some.iter().map(|row| answer(stand.isobath.http(), row));
        let answers = futures::future::join_all(answers).await;
        for (row, got) in some.iter().zip(answers) {
            let on_old = ON_1_39.iter().find(|(name, _)| is_old && *name == row.name);
            let want = on_old.map_or(row.want, |(_, want)| *want);
            if got != want {
                wrong.push(format!("{}: want {want}, got {got}", row.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(
        smuggled.requests(),
        0,
        "a request within another was served"
    );
}
