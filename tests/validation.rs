//! Every object that a real API server took or refused gets the same verdict here, in the same words.
//!
//! The table is what kube-apiserver 1.36.3 answered to a dry-run create of each object, and is held against the API
//! server at hand where there is one. Where both refuse, our
//! reason has to be a part of the server's message: it names the first problem only and leaves out the regular
//! expression.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/contour.rs"]
mod contour;
#[path = "support/control_plane.rs"]
mod control_plane;

use isobath::objects::{Kind, Object, Rules, decode, decode_versioned};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Row {
    name: String,
    kind: String,
    /// The message of the API server, `None` where it took the object.
    refused: Option<String>,
    object: Value,
}

fn rows() -> Vec<(Kind, Row)> {
    include_str!("data/api-server-verdicts.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Row>(line).unwrap())
        .map(|row| {
            let kind = Kind::ALL.into_iter().find(|kind| kind.name() == row.kind);
            (kind.unwrap(), row)
        })
        .collect()
}

fn reason(object: &Object) -> Option<&str> {
    object.wrong()
}

/// Differences of spelling that nobody minds.
fn normal(message: &str) -> String {
    message
        .replace("\\x00", "\\0")
        .replace("\\u{1}", "\\x01")
        .replace(" bytes", " characters")
        .replace("spec: Invalid value: null", "spec: Invalid value: \"\"")
}

/// `None` where the verdict is the API server's.
fn disagreement(kind: Kind, row: &Row) -> Option<String> {
    let json = row.object.to_string();
    let object = decode_versioned(kind, &json, Rules::Create).unwrap().object;
    match (reason(&object), &row.refused) {
        (None, None) => None,
        // The one exception that manifests have.
        (None, Some(message)) if message.contains("may not be in the loopback range") => None,
        (Some(ours), Some(theirs)) => {
            let (ours, theirs) = (normal(ours), normal(theirs));
            let same = if theirs.contains("cannot be handled as") {
                // Go and serde differ in how they say what JSON type they met, not in where.
                let field = ours.split([':', '[']).next().unwrap_or_default();
                let field = field.strip_suffix(".a").unwrap_or(field);
                theirs.contains(field) || theirs.contains("parsing time")
            } else if theirs.contains("Checked value must be of type")
                || theirs.contains(" in body must be of type")
            {
                // The same of custom resources.
                let field = ours.split(": ").next().unwrap_or_default();
                let field = field.strip_suffix(".a").unwrap_or(field);
                theirs.contains(field)
            } else if kind == Kind::Secret && ours.starts_with("data: Invalid value: ") {
                // Keys of a Secret are not quoted.
                theirs.contains(ours.trim_start_matches("data: Invalid value: "))
            } else if theirs.contains("Duplicate value: {") {
                theirs.contains(ours.split("Duplicate").next().unwrap())
            } else if let Some((before, after)) = ours.split_once("\"…") {
                // A long value is cut.
                theirs.contains(before) && theirs.contains(after)
            } else {
                theirs.contains(&ours)
            };
            (!same).then(|| format!("{}: {ours}\n  API server: {theirs}", row.name))
        }
        (ours, theirs) => Some(format!("{}: {ours:?}\n  API server: {theirs:?}", row.name)),
    }
}

#[test]
fn verdicts_are_those_of_the_api_server() {
    let rows = rows();
    assert!(rows.len() > 600);
    let disagreements: Vec<_> = rows
        .iter()
        .filter_map(|(kind, row)| disagreement(*kind, row))
        .collect();
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
}

/// What an API server has stored is served: rules for stored objects are never stricter than those for new ones.
#[test]
fn stored_objects_are_never_refused() {
    for (kind, row) in rows() {
        if row.refused.is_none() {
            let object = decode(kind, &row.object.to_string()).unwrap();
            assert_eq!(reason(&object), None, "{}", row.name);
        }
    }
}

/// Too large for the table; the API server's verdicts on them are 201 and 422, in these words.
#[test]
fn limits() {
    let annotations = |size: usize| {
        format!(
            r#"{{"metadata":{{"name":"x","namespace":"default","annotations":{{"a":"{}"}}}},"spec":{{"rules":[{{}}]}}}}"#,
            "x".repeat(size - 1)
        )
    };
    let limit = 256 * 1024;
    let object = decode(Kind::Ingress, &annotations(limit)).unwrap();
    assert_eq!(reason(&object), None);
    let object = decode(Kind::Ingress, &annotations(limit + 1)).unwrap();
    assert_eq!(
        reason(&object),
        Some("metadata.annotations: Too long: may not be more than 262144 bytes")
    );
    let endpoints: Vec<_> = (0..1001)
        .map(|number| {
            format!(
                r#"{{"addresses":["10.1.{}.{}"]}}"#,
                number / 250,
                number % 250 + 1
            )
        })
        .collect();
    let slice = format!(
        r#"{{"metadata":{{"name":"x","namespace":"default"}},"addressType":"IPv4","endpoints":[{}]}}"#,
        endpoints.join(",")
    );
    let object = decode(Kind::EndpointSlice, &slice).unwrap();
    assert_eq!(
        reason(&object),
        Some("endpoints: Too many: 1001: must have at most 1000 items")
    );
}

/// The table tells the truth: the API server of `KUBEBUILDER_ASSETS` answers as it says.
#[tokio::test]
async fn the_api_server_still_says_so() {
    let Some(plane) = control_plane::ControlPlane::shared().await else {
        return;
    };
    let Some(definitions) = contour::definitions() else {
        return;
    };
    let admin = control_plane::ADMIN;
    plane.kubectl(admin, &["apply", "--server-side", "-f", "-"], &definitions);
    let of_contour = |kind: &Kind| kind.is_custom() && !kind.is_of_gateway_api();
    for kind in Kind::ALL.into_iter().filter(of_contour) {
        let crd = format!("crd/{}.{}", kind.plural(), kind.group());
        let established = ["wait", "--for=condition=established", &crd];
        plane.kubectl_wait(admin, &established);
    }
    let client = plane.client(admin).await;
    let mut disagreements = Vec::new();
    for (kind, row) in rows() {
        let mut object = row.object.clone();
        object["apiVersion"] = Value::from(kind.api_version());
        object["kind"] = Value::from(kind.name());
        let root = if kind.group().is_empty() {
            "api"
        } else {
            "apis"
        };
        let namespace = if kind.is_namespaced() {
            "namespaces/default/"
        } else {
            ""
        };
        let collection = format!(
            "/{root}/{}/{namespace}{}",
            kind.api_version(),
            kind.plural()
        );
        let request =
            http::Request::post(format!("{collection}?dryRun=All&fieldValidation=Ignore"))
                .header("Content-Type", "application/json")
                .body(object.to_string().into_bytes())
                .unwrap();
        let refused = match client.request::<Value>(request).await {
            Ok(_) => None,
            Err(kube::Error::Api(status)) if [400, 422].contains(&status.code) => {
                Some(status.message.clone())
            }
            Err(error) => panic!("{}: {error}", row.name),
        };
        let agree = match (&refused, &row.refused) {
            (None, None) => true,
            (Some(message), Some(recorded)) => message.contains(recorded.as_str()),
            _ => false,
        };
        if !agree {
            disagreements.push(format!("{}: {refused:?}, not {:?}", row.name, row.refused));
        }
    }
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
}
