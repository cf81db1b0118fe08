//! Paths of an Ingress: what they match, and in which order they are tried.

use std::sync::Arc;

use regex_syntax::ast::{Ast, ClassSet, ClassSetItem, GroupKind, RepetitionKind, RepetitionRange};

use crate::k8s::{IngressPath, PathType};
use crate::model::PathMatch;

/// Where cert-manager's HTTP-01 solvers answer: such a path is neither redirected nor hidden from plain HTTP.
const ACME_CHALLENGE: &str = "/.well-known/acme-challenge/";

/// Longest expression that is taken, in bytes.
const MAX_REGEX_LENGTH: usize = 1024;
/// Largest program that is taken, as estimated by [`program_size`]. RE2 counts somewhat less.
const MAX_REGEX_PROGRAM: u64 = 2000;
/// RE2's own limit of a counted repetition.
const MAX_REPETITION: u32 = 1000;

/// What a path matches, by the documentation of `pathType`. `ImplementationSpecific` is a prefix of the string,
/// or, with any of `^ + * [ ] %` in it, a regular expression for the whole path: Contour's rule.
///
/// # Errors
///
/// One sentence on why a regular expression can't be used.
pub fn path_match(path: &IngressPath) -> Result<PathMatch, String> {
    let text = &path.path;
    match path.path_type {
        PathType::Exact => Ok(PathMatch::Exact(text.clone())),
        PathType::Prefix => {
            let trimmed = text.trim_end_matches('/');
            Ok(PathMatch::PathPrefix(match trimmed {
                "" => "/".into(),
                _ => trimmed.into(),
            }))
        }
        PathType::ImplementationSpecific if text.contains(['^', '+', '*', '[', ']', '%']) => {
            let expression = text.strip_prefix('^').unwrap_or(text);
            check_regex(expression)?;
            Ok(PathMatch::Regex(expression.into()))
        }
        // Every path, in both readings: one match, so that two Ingresses that want it both are told.
        PathType::ImplementationSpecific if &**text == "/" => Ok(PathMatch::PathPrefix("/".into())),
        PathType::ImplementationSpecific => Ok(PathMatch::StringPrefix(text.clone())),
    }
}

/// Whether the path is one of an ACME solver.
#[must_use]
pub fn is_acme_challenge(path: &IngressPath) -> bool {
    path.path.starts_with(ACME_CHALLENGE)
}

/// The order of routes within a host: ACME solvers, then exact paths, regular expressions, prefixes; the longer
/// first. Of two equal prefixes the one by elements is the narrower and comes first. The text decides the rest,
/// so that the order depends on nothing else.
pub fn rank(acme: bool, path: &PathMatch) -> (bool, u8, std::cmp::Reverse<usize>, u8, Arc<str>) {
    let (class, narrow, text) = match path {
        PathMatch::Exact(text) => (0, 0, text),
        PathMatch::Regex(text) => (1, 0, text),
        PathMatch::PathPrefix(text) => (2, 0, text),
        PathMatch::StringPrefix(text) => (2, 1, text),
    };
    (
        !acme,
        class,
        std::cmp::Reverse(text.len()),
        narrow,
        text.clone(),
    )
}

/// Takes the expressions that mean the same to Rust's parser and to RE2, and that stay small: Envoy refuses a
/// whole table for one expression that it can't compile, without naming the route.
fn check_regex(expression: &str) -> Result<(), String> {
    if expression.len() > MAX_REGEX_LENGTH {
        return Err(format!(
            "the expression is longer than {MAX_REGEX_LENGTH} bytes"
        ));
    }
    if !expression.is_ascii() {
        return Err("the expression has characters that are not ASCII".into());
    }
    let ast = regex_syntax::ast::parse::Parser::new()
        .parse(expression)
        .map_err(|error| format!("the expression is not valid: {}", error.kind()))?;
    let size = program_size(&ast)?;
    if size > MAX_REGEX_PROGRAM {
        return Err(format!("the expression is too large: about {size} steps"));
    }
    Ok(())
}

fn program_size(ast: &Ast) -> Result<u64, String> {
    let unsupported =
        |what: &str| Err(format!("the expression has {what}, which is not supported"));
    Ok(match ast {
        Ast::Empty(_) => 1,
        Ast::Literal(_) | Ast::Assertion(_) => 1,
        // A dot is any UTF-8 sequence.
        Ast::Dot(_) => 12,
        Ast::ClassPerl(class) if class.negated => 12,
        Ast::ClassPerl(_) => 4,
        Ast::ClassBracketed(class) => class_size(&class.kind)? + u64::from(class.negated) * 12,
        Ast::ClassUnicode(_) => return unsupported("a Unicode class"),
        Ast::Flags(_) => return unsupported("flags"),
        Ast::Repetition(repetition) => {
            let inner = program_size(&repetition.ast)?;
            let times = match repetition.op.kind {
                RepetitionKind::ZeroOrOne
                | RepetitionKind::ZeroOrMore
                | RepetitionKind::OneOrMore => 1,
                RepetitionKind::Range(ref range) => match *range {
                    RepetitionRange::Exactly(n) => n,
                    RepetitionRange::AtLeast(n) => n + 1,
                    RepetitionRange::Bounded(_, n) => n,
                },
            };
            if times > MAX_REPETITION {
                return Err(format!(
                    "the expression repeats more than {MAX_REPETITION} times"
                ));
            }
            inner.saturating_mul(u64::from(times)).saturating_add(1)
        }
        Ast::Group(group) => match &group.kind {
            GroupKind::CaptureIndex(_) => program_size(&group.ast)?.saturating_add(2),
            GroupKind::NonCapturing(flags) if flags.items.is_empty() => program_size(&group.ast)?,
            GroupKind::NonCapturing(_) => return unsupported("flags"),
            GroupKind::CaptureName { .. } => return unsupported("a named group"),
        },
        Ast::Alternation(alternation) => sum(&alternation.asts)?,
        Ast::Concat(concat) => sum(&concat.asts)?,
    })
}

fn sum(asts: &[Ast]) -> Result<u64, String> {
    asts.iter().try_fold(1_u64, |total, ast| {
        Ok(total.saturating_add(program_size(ast)?))
    })
}

fn class_size(set: &ClassSet) -> Result<u64, String> {
    fn item_size(item: &ClassSetItem) -> Result<u64, String> {
        match item {
            ClassSetItem::Empty(_) => Ok(0),
            ClassSetItem::Literal(_) | ClassSetItem::Range(_) | ClassSetItem::Ascii(_) => Ok(1),
            ClassSetItem::Perl(_) => Ok(4),
            ClassSetItem::Unicode(_) => {
                Err("the expression has a Unicode class, which is not supported".into())
            }
            ClassSetItem::Bracketed(_) => {
                Err("the expression has a class within a class, which is not supported".into())
            }
            ClassSetItem::Union(union) => union
                .items
                .iter()
                .try_fold(0, |total, item| Ok(total + item_size(item)?)),
        }
    }
    match set {
        ClassSet::Item(item) => item_size(item),
        ClassSet::BinaryOp(_) => {
            Err("the expression has a set operation in a class, which is not supported".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path_type: PathType, path: &str, expected: Result<PathMatch, &str>) {
        let path = IngressPath {
            path: path.into(),
            path_type,
            backend: crate::k8s::IngressBackend::Missing,
        };
        match (path_match(&path), expected) {
            (Ok(got), Ok(want)) => assert_eq!(got, want),
            (Err(got), Err(want)) => assert!(got.contains(want), "{got:?} does not say {want:?}"),
            (got, want) => panic!("{:?}: {got:?} instead of {want:?}", path.path),
        }
    }

    #[test]
    fn paths_match_as_documented() {
        use PathMatch::{Exact, PathPrefix, Regex, StringPrefix};
        use PathType::{ImplementationSpecific, Prefix};
        check(PathType::Exact, "/foo/", Ok(Exact("/foo/".into())));
        check(Prefix, "/", Ok(PathPrefix("/".into())));
        check(Prefix, "/foo/", Ok(PathPrefix("/foo".into())));
        check(Prefix, "/foo//", Ok(PathPrefix("/foo".into())));
        check(
            ImplementationSpecific,
            "/foo",
            Ok(StringPrefix("/foo".into())),
        );
        check(
            ImplementationSpecific,
            "/foo/",
            Ok(StringPrefix("/foo/".into())),
        );
        check(
            ImplementationSpecific,
            "^/v[0-9]+/.*",
            Ok(Regex("/v[0-9]+/.*".into())),
        );
        check(ImplementationSpecific, "/a%20b", Ok(Regex("/a%20b".into())));
    }

    #[test]
    fn expressions_that_envoy_could_refuse_are_refused() {
        let check = |path: &str, reason| check(PathType::ImplementationSpecific, path, Err(reason));
        check("/[", "not valid");
        check("/*(", "not valid");
        check("/a{1001}+", "repeats more than");
        check("/((a{100}){100}){100}+", "too large");
        check("/(?i)a+", "flags");
        check("/(?P<x>a)+", "named group");
        check("/[a&&b]", "set operation");
        check("/\\p{Greek}+", "Unicode class");
        check("/ä+", "not ASCII");
        check(&format!("/{}+", "a".repeat(1024)), "longer than");
    }
}
