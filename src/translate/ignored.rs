//! Annotations and paths that have no effect, or hardly the one that was meant. They are reported once for each object.

use super::finding::{Finding, more};
use super::policy::INGRESS_ANNOTATIONS;
use super::service_policy::SERVICE_ANNOTATIONS;
use super::{nginx, reason};
use crate::facts::Dialect;
use crate::objects::{Field, Ingress, IngressPath, Metadata, PathType, is_of_other_controller};

/// Whose annotations can only be meant for us.
const OURS: [&str; 4] = [
    "isobath.dev/",
    "projectcontour.io/",
    "ingress.kubernetes.io/",
    "kubernetes.io/ingress.",
];

/// So many misspelt annotations are named, and searched for what is meant: a search costs some microseconds.
const NAMED: usize = 3;

/// Of an Ingress in this dialect.
pub fn of_ingress(ingress: &Ingress, dialect: Dialect) -> Vec<Finding> {
    let mut told = unknown(
        &ingress.metadata,
        &INGRESS_ANNOTATIONS,
        (&SERVICE_ANNOTATIONS, "a Service"),
    );
    let keys = ingress.metadata.annotations.iter().map(|(key, _)| key);
    if dialect == Dialect::Own {
        told.extend(nginx::without_dialect(&ingress.metadata));
    }
    let is_others = |key: &&str| is_of_other_controller(key) && !key.starts_with(nginx::PREFIX);
    let mut others = keys.filter(is_others);
    if let Some(first) = others.next() {
        let message = format!(
            "annotation {first}{} is another controller's and has no effect; deploy/reference.md lists those that have",
            more(others.count())
        );
        let field = Field::Annotation(first.into());
        told.push((field, reason::ANNOTATION_UNKNOWN, message));
    }
    told.extend(unlikely(ingress, dialect));
    told
}

/// Of a Service that is used.
pub fn of_service(metadata: &Metadata) -> Vec<Finding> {
    unknown(
        metadata,
        &SERVICE_ANNOTATIONS,
        (&INGRESS_ANNOTATIONS, "an Ingress"),
    )
}

/// Annotations under our own prefixes that mean nothing on this kind of object.
fn unknown(
    metadata: &Metadata,
    known: &[(&str, &str)],
    (elsewhere, kind): (&[(&str, &str)], &str),
) -> Vec<Finding> {
    let keys = metadata.annotations.iter().map(|(key, _)| key);
    let mut unknown =
        keys.filter(|key| OURS.iter().any(|prefix| key.starts_with(prefix)) && !has(known, key));
    let named = |key: &str| {
        let hint = if has(elsewhere, key) {
            format!("it belongs on {kind}")
        } else if let Some(meant) = meant(key, known) {
            format!("is {meant} meant?")
        } else {
            "there is none of this name".to_owned()
        };
        let message = format!("annotation {key} has no effect: {hint}");
        (
            Field::Annotation(key.into()),
            reason::ANNOTATION_UNKNOWN,
            message,
        )
    };
    let mut told: Vec<Finding> = unknown.by_ref().take(NAMED).map(named).collect();
    if let Some(next) = unknown.next() {
        let rest = 1 + unknown.count();
        let message = format!("{rest} more annotations like these have no effect");
        let field = Field::Annotation(next.into());
        told.push((field, reason::ANNOTATION_UNKNOWN, message));
    }
    told
}

fn has(known: &[(&str, &str)], key: &str) -> bool {
    known.iter().any(|(name, _)| *name == key)
}

/// The name that is nearest to a misspelt one.
fn meant<'a>(key: &str, known: &[(&'a str, &str)]) -> Option<&'a str> {
    let near = known
        .iter()
        .map(|(name, _)| (strsim::jaro_winkler(key, name), *name));
    let nearest = near.max_by(|(a, _), (b, _)| a.total_cmp(b));
    // The common prefix makes all of them similar, so the rest must be much alike.
    nearest
        .filter(|(likeness, _)| *likeness > 0.94)
        .map(|(_, name)| name)
}

/// Paths with a `*` that is taken literally: with other controllers it is a wildcard.
fn unlikely(ingress: &Ingress, dialect: Dialect) -> Option<Finding> {
    // There a star is an expression's, or told as what can't be one.
    if dialect == Dialect::IngressNginx {
        return None;
    }
    let paths = places(ingress);
    let mut unlikely = paths.filter(|(_, _, path)| is_unlikely(path));
    let (rule, path, first) = unlikely.next()?;
    let base = first.path.split('*').next().unwrap_or_default();
    let base = match base.trim_end_matches(['/', '.', '(']) {
        "" => "/",
        base => base,
    };
    let why = match first.path_type {
        PathType::ImplementationSpecific => {
            "is a regular expression, in which the star repeats the slash and nothing else"
        }
        PathType::Exact | PathType::Prefix => "takes only requests with a star in their path",
    };
    let message = format!(
        "path {:?} ({:?}){} {why}: for everything below {base} write {base:?} with pathType Prefix",
        first.path,
        first.path_type,
        more(unlikely.count())
    );
    let field = Field::of_path(ingress, rule, path);
    Some((field, reason::PATH_UNLIKELY, message))
}

/// Every path of an Ingress, with the places of its rule and of itself.
pub fn places(ingress: &Ingress) -> impl Iterator<Item = (usize, usize, &IngressPath)> {
    let rules = ingress.rules.iter().enumerate();
    rules.flat_map(|(rule, said)| {
        let paths = said.paths.iter().enumerate();
        paths.map(move |(at, path)| (rule, at, path))
    })
}

fn is_unlikely(path: &IngressPath) -> bool {
    match path.path_type {
        PathType::ImplementationSpecific => path.path.ends_with("/*"),
        PathType::Exact | PathType::Prefix => path.path.contains('*'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_recognized() {
        let check = |key: &str, expected: Option<&str>| {
            assert_eq!(meant(key, &INGRESS_ANNOTATIONS), expected, "{key}");
        };
        check("isobath.dev/redirct", Some("isobath.dev/redirect"));
        check(
            "isobath.dev/rewrite-prefx",
            Some("isobath.dev/rewrite-prefix"),
        );
        check(
            "isobath.dev/request-header",
            Some("isobath.dev/request-headers"),
        );
        check(
            "projectcontour.io/response-time-out",
            Some("projectcontour.io/response-timeout"),
        );
        check("isobath.dev/canary", None);
        check("projectcontour.io/auth-service", None);
    }
}
