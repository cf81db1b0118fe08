//! An answer in words, and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::build::explain::{Answer, Explanation};
use crate::cli::delivery::Delivery;
use crate::objects::ObjectRef;
use crate::sources::manifests::Inspection;

/// So many routes that were looked at are shown to people, the first ones and the last ones: one screen. The route that takes the
/// request is the last of all.
const ROUTES: (usize, usize) = (4, 16);

/// So many endpoints are named.
const ENDPOINTS: usize = 8;

/// What a step about a route is called.
const ROUTE: &str = "route";

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
            let named = endpoints.iter().take(ENDPOINTS).map(ToString::to_string);
            let named = named.collect::<Vec<_>>().join(", ");
            let by = match endpoints.len() {
                0 => String::new(),
                1..=ENDPOINTS => format!(" ({named})"),
                all => format!(" ({named} and {} more)", all - ENDPOINTS),
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
    let routes = told.steps.iter().filter(|step| step.about == ROUTE).count();
    let left_out = ROUTES.0..routes.saturating_sub(ROUTES.1);
    let mut route = 0;
    for step in &told.steps {
        if step.about == ROUTE {
            route += 1;
            if left_out.contains(&(route - 1)) {
                if route - 1 == left_out.start {
                    let more = left_out.len();
                    let says = format!("{more} more do not take it: --output json has them");
                    let _ = writeln!(out, "  {ROUTE:8} {says}");
                }
                continue;
            }
        }
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

#[cfg(test)]
mod tests {
    use crate::build::explain::Step;

    use super::*;

    fn step(about: &'static str, says: String) -> Step {
        Step {
            about,
            says,
            source: None,
            field: None,
        }
    }

    fn explained(routes: usize, endpoints: u8) -> Explanation {
        let mut steps = vec![step("host", "the host".to_owned())];
        steps.extend((1..=routes).map(|number| step(ROUTE, format!("/{number} is looked at"))));
        steps.push(step("cluster", "the cluster".to_owned()));
        let endpoints = (1..=endpoints).map(|number| ([192, 0, 2, number], 80).into());
        let answer = Answer::Backend {
            cluster: "a".into(),
            path: "/".to_owned(),
            host: None,
            endpoints: endpoints.collect(),
        };
        Explanation {
            answers: vec![(1, answer)],
            steps,
            ..Explanation::default()
        }
    }

    #[test]
    fn an_answer_is_one_screen() {
        let lines = |routes, endpoints| -> Vec<String> {
            let text = text("http://a/", &explained(routes, endpoints), None, None);
            text.lines().map(ToOwned::to_owned).collect()
        };
        // The URL, the answer, the host, the routes, and the cluster.
        assert_eq!(lines(20, 8).len(), 2 + 1 + 20 + 1);
        let long = lines(2000, 9);
        assert_eq!(long.len(), 2 + 1 + 21 + 1);
        assert_eq!(long[6], "  route    /4 is looked at");
        assert_eq!(
            long[7],
            "  route    1980 more do not take it: --output json has them"
        );
        assert_eq!(long[8], "  route    /1985 is looked at");
        assert_eq!(long[23], "  route    /2000 is looked at");
        assert!(long[1].contains("192.0.2.8:80 and 1 more"), "{}", long[1]);
    }
}
