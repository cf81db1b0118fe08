//! An answer in words, and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::build::explain::{Answer, Explanation};
use crate::cli::delivery::Delivery;
use crate::objects::ObjectRef;
use crate::sources::manifests::Inspection;

/// What the client gets, in one line.
fn sentence(answer: &Answer) -> String {
    match answer {
        Answer::Closed(why) => format!("the connection is closed: {why}"),
        Answer::Envoy {
            status,
            why,
            location: None,
        } => format!("{status} from Envoy: {why}"),
        Answer::Envoy {
            status,
            why,
            location: Some(location),
        } => format!("{status} from Envoy, Location {location}: {why}"),
        Answer::Backend {
            cluster,
            path,
            host,
            endpoints,
        } => {
            let endpoints: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
            let by = match endpoints.is_empty() {
                true => String::new(),
                false => format!(" ({})", endpoints.join(", ")),
            };
            let host = host.as_deref().unwrap_or("its own name");
            format!("the answer of {cluster}{by}, which sees Host {host} and path {path}")
        }
    }
}

/// The answer in words. Of a control plane that runs, with how far its Envoys have come.
#[must_use]
pub fn text(
    url: &str,
    told: &Explanation,
    inspection: Option<&Inspection>,
    delivery: Option<&Delivery>,
) -> String {
    let mut out = format!("{url}\n");
    let all: u64 = told
        .answers
        .iter()
        .map(|(weight, _)| u64::from(*weight))
        .sum();
    for (weight, answer) in &told.answers {
        let share = match told.answers.len() {
            1 => String::new(),
            _ => format!("{weight} of {all}: "),
        };
        // Writing to a String can't fail.
        let _ = writeln!(out, "  → {share}{}", sentence(answer));
    }
    for suggestion in &told.suggestions {
        let _ = writeln!(out, "  perhaps {suggestion} was meant");
    }
    for problem in &told.problems {
        let place = inspection.and_then(|inspection| inspection.locate(problem));
        let place = place.map_or_else(String::new, |place| format!(" ({place})"));
        let object = &problem.source.object;
        let _ = writeln!(out, "  ! {object}: {}{place}", problem.message);
    }
    if let Some(delivery) = delivery {
        for refused in &delivery.refused {
            let _ = writeln!(out, "  ! {refused}");
        }
        for says in delivery.sentences() {
            let _ = writeln!(out, "  {:8} {says}", "envoy");
        }
    }
    for step in &told.steps {
        let source = step.source.as_ref().map(|source| {
            let path = step.field.as_ref();
            let path = path.map_or_else(String::new, |path| format!(" {path}"));
            format!("  [{}{path}]", source.object)
        });
        let source = source.unwrap_or_default();
        let _ = writeln!(out, "  {:8} {}{source}", step.about, step.says);
    }
    out
}

/// The same as JSON.
#[must_use]
pub fn to_json(url: &str, told: &Explanation, delivery: Option<&Delivery>) -> Value {
    let object = |object: &ObjectRef| {
        json!({
            "kind": object.kind.name(),
            "namespace": &*object.name.namespace,
            "name": &*object.name.name,
        })
    };
    let answers = told.answers.iter().map(|(weight, answer)| match answer {
        Answer::Closed(why) => json!({"weight": weight, "closed": true, "why": why}),
        Answer::Envoy {
            status,
            why,
            location,
        } => {
            json!({"weight": weight, "status": status, "why": why, "location": location})
        }
        Answer::Backend {
            cluster,
            path,
            host,
            endpoints,
        } => json!({
            "weight": weight, "cluster": &**cluster, "path": path, "host": host,
            "endpoints": endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
    });
    let steps = told.steps.iter().map(|step| {
        let source = step.source.as_ref();
        json!({
            "about": step.about,
            "says": step.says,
            "object": source.map(|source| object(&source.object)),
            "field": step.field,
        })
    });
    let problems = told.problems.iter().map(|problem| {
        json!({
            "object": object(&problem.source.object),
            "reason": problem.reason,
            "message": problem.message,
        })
    });
    let mut written = json!({
        "url": url,
        "answers": answers.collect::<Value>(),
        "suggestions": told.suggestions,
        "steps": steps.collect::<Value>(),
        "problems": problems.collect::<Value>(),
    });
    if let Some(delivery) = delivery {
        written["delivery"] = json!(delivery);
    }
    written
}
