//! Whatever objects come to says where it comes from: an object that is there, and a field that its manifest has.

use isobath::facts::{Changes, Store};
use isobath::objects::{Field, FieldRef, Kind};
use isobath::translate::{self, Input, reason};
use serde_json::Value;

/// Where routes come from. A redirect of another name comes of an annotation.
const OF_ROUTES: [&str; 3] = [
    "spec.rules[",
    "spec.defaultBackend",
    "metadata.annotations[nginx.ingress.kubernetes.io/",
];

/// Checks the sources of everything that the objects come to; returns how many there are.
pub fn check(documents: &[Value], store: &Store, input: Input<'_>, changes: &Changes) -> usize {
    let mut count = 0;
    let mut has = |what: &str, source: &FieldRef, beginnings: &[&str]| {
        let path = path(store, source);
        let text = path.as_deref().unwrap_or_default();
        assert!(
            beginnings
                .iter()
                .any(|beginning| text.starts_with(beginning)),
            "{what} is of {source:?}, {text:?}"
        );
        let document = documents
            .iter()
            .rev()
            .find(|document| is_of(document, source));
        let document = document.unwrap_or_else(|| panic!("{what} is of {}", source.object));
        assert!(
            text.is_empty() || field(document, text).is_some(),
            "{what} is of {}, which has no {text}",
            source.object
        );
        count += 1;
    };
    let mut problems = Vec::new();
    for host in store.hosts() {
        let unit = translate::host(input, host);
        for route in unit.http.iter().flat_map(|table| &table.routes) {
            has("a route", &route.source, &OF_ROUTES);
        }
        if let Some(https) = &unit.https {
            for route in &https.virtual_host.routes {
                has("a route", &route.source, &OF_ROUTES);
            }
            has("a certificate's use", &https.source, &["spec.tls["]);
            has("a TLS server", &https.server.source, &["data"]);
            for secret in &https.secrets {
                let certificate = translate::certificate(input, secret).unwrap();
                has("a certificate", &certificate.source, &["data"]);
            }
        }
        for (name, backend) in &unit.clusters {
            let cluster = translate::cluster(input, backend).unwrap();
            has("a cluster", &cluster.source.unwrap(), &["spec.ports["]);
            problems.extend(translate::endpoints(input, name, backend).1);
        }
        problems.extend(unit.problems);
    }
    for object in &changes.objects {
        problems.extend(translate::Languages::default().object_problems(input, object));
    }
    for problem in &problems {
        let is_whole = problem.source.field == Field::Whole;
        // What is wrong with the whole says in its sentence where.
        let wholes = [reason::OBJECT_NOT_VALID, reason::TOO_LARGE];
        assert!(!is_whole || wholes.contains(&problem.reason), "{problem:?}");
        let beginnings: &[&str] = if is_whole {
            &[""]
        } else {
            &["metadata.", "spec."]
        };
        has(&problem.message, &problem.source, beginnings);
    }
    count
}

fn path(store: &Store, source: &FieldRef) -> Option<String> {
    let ingress = store.ingress(&source.object.name);
    let ingress = ingress.filter(|_| source.object.kind == Kind::Ingress);
    source.field.path(ingress.map(|ingress| &**ingress))
}

fn is_of(document: &Value, source: &FieldRef) -> bool {
    let metadata = &document["metadata"];
    let is =
        |value: &Value, default: &str, wanted: &str| value.as_str().unwrap_or(default) == wanted;
    let object = &source.object;
    is(&document["kind"], "", object.kind.name())
        && is(&metadata["name"], "", &object.name.name)
        && (!object.kind.is_namespaced()
            || is(&metadata["namespace"], "default", &object.name.namespace))
}

/// The field of this path, such as `spec.rules[3].http.paths[0]` or `metadata.annotations[a.b/c]`.
fn field<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = document;
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (key, after) = after.split_once(']')?;
            value = match value {
                Value::Array(items) => items.get(key.parse::<usize>().ok()?)?,
                other => other.get(key)?,
            };
            rest = after;
        } else {
            let name = rest.trim_start_matches('.');
            let end = name.find(['.', '[']).unwrap_or(name.len());
            value = value.get(&name[..end])?;
            rest = &name[end..];
        }
    }
    Some(value)
}
