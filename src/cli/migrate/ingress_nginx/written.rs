//! The report, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Move, Moves, Verdict};

/// Lines for people, the worst first, and totals.
#[must_use]
pub fn text(moves: &Moves) -> String {
    let mut out = String::new();
    for ingress in moves.all() {
        let _ = writeln!(out, "{}", head(ingress));
        let named = ingress.lines.iter();
        for line in named.filter(|line| line.verdict != Verdict::Same || !line.text.is_empty()) {
            let word = line.verdict.word();
            let _ = match line.text.is_empty() {
                true => writeln!(out, "  {word:<15} {}", line.what),
                false => writeln!(out, "  {word:<15} {}: {}", line.what, line.text),
            };
        }
        let same: Vec<&str> = ingress
            .lines
            .iter()
            .filter(|line| line.verdict == Verdict::Same && line.text.is_empty())
            .map(|line| &*line.what)
            .collect();
        if !same.is_empty() {
            let word = Verdict::Same.word();
            let _ = writeln!(out, "  {word:<15} {}", same.join(", "));
        }
        if ingress.lines.is_empty() {
            let _ = writeln!(out, "  nothing is said in the dialect");
        }
        out.push('\n');
    }
    for unread in &moves.unread {
        let _ = writeln!(out, "not read: {unread}");
    }
    if let Some(replay) = &moves.replay {
        let _ = writeln!(out, "{replay}");
    }
    let _ = writeln!(out, "{}", totals(moves));
    out
}

/// How many there are of each.
pub fn totals(moves: &Moves) -> String {
    let counts = Verdict::ALL.map(|verdict| format!("{} {}", moves.count(verdict), verdict.word()));
    let counts = counts.join(", ");
    let foreign = match moves.foreign {
        0 => String::new(),
        foreign => format!("; {foreign} of other classes are not looked at"),
    };
    let ingresses = match moves.ingresses.len() {
        1 => "1 Ingress".to_owned(),
        count => format!("{count} Ingresses"),
    };
    format!("{ingresses}: {counts}{foreign}")
}

/// The name, where it stands, and how many lines there are of each verdict.
pub fn head(ingress: &Move) -> String {
    let place = ingress.origin.as_ref().map(|origin| {
        let (line, _) = origin.place;
        format!(" ({}:{line})", origin.path.display())
    });
    let kind = ingress.kind;
    format!("{kind} {}{}", ingress.name, place.unwrap_or_default())
}

/// One object.
#[must_use]
pub fn json(moves: &Moves) -> String {
    let totals: serde_json::Map<String, Value> = Verdict::ALL
        .iter()
        .map(|verdict| (verdict.key().to_owned(), moves.count(*verdict).into()))
        .collect();
    let ingresses: Vec<Value> = moves.ingresses.iter().map(of_ingress).collect();
    let value = json!({
        "configMap": moves.config_map.as_ref().map(of_ingress),
        "ingresses": ingresses,
        "totals": totals,
        "otherClasses": moves.foreign,
        "unread": moves.unread,
        "replay": moves.replay.as_ref().map(super::replay::Replay::json),
        "breaks": moves.breaks(),
    });
    format!("{value:#}\n")
}

fn of_ingress(ingress: &Move) -> Value {
    let lines = ingress.lines.iter().map(
        |line| json!({"annotation": line.what, "verdict": line.verdict.key(), "text": line.text}),
    );
    let origin = ingress.origin.as_ref();
    json!({
        "name": ingress.name,
        "file": origin.map(|origin| origin.path.display().to_string()),
        "line": origin.map(|origin| origin.place.0),
        "annotations": lines.collect::<Vec<_>>(),
    })
}
