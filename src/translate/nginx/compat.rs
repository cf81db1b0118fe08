//! Where ingress-nginx answers otherwise than Kubernetes says, or than anybody means: what is done then.

use std::sync::LazyLock;

use crate::model::{
    Conditions, Expression, HeaderMatch, HeaderName, HeaderPredicate, PathRewrite, Redirect,
    StringMatch, Substitution, TextMatch,
};
use crate::objects::{Field, Ingress, IngressPath, PathType};

use super::mode::ANNOTATION;
use super::path::is_rewritten;
use super::policy::Policy;

/// Whether an Ingress has all paths of its hosts be expressions, with ingress-nginx: it asks for it, or for a path that another one
/// becomes.
#[must_use]
pub fn spreads<'a>(policy: &Policy, mut paths: impl Iterator<Item = &'a IngressPath>) -> bool {
    // Every host has a root, be it written or not.
    let of_root = is_rewritten("/", policy);
    policy.use_regex || of_root || paths.any(|path| is_rewritten(&path.path, policy))
}

/// Whether a path with a slash at its end takes what is below it, and what lacks the slash is led there.
#[must_use]
pub fn is_slashed(path: &IngressPath) -> bool {
    path.path_type != PathType::Exact && path.path.len() > 1 && path.path.ends_with('/')
}

/// The request ends with a slash, its query included, as nginx looks at it.
pub fn ends_with_slash() -> Option<Conditions> {
    static ENDS: LazyLock<Option<Conditions>> = LazyLock::new(|| {
        let pattern = StringMatch::Regex(Expression::new(".*/").ok()?);
        Some(Conditions {
            headers: vec![HeaderMatch {
                name: HeaderName::of_request(":path").ok()?,
                value: HeaderPredicate::Is(TextMatch::of(pattern)),
            }],
            ..Conditions::default()
        })
    });
    ENDS.clone()
}

/// The same redirect, without the slash at the end of the path.
pub fn without_slash(redirect: &Redirect) -> Option<Redirect> {
    static SLASH: LazyLock<Option<Substitution>> =
        LazyLock::new(|| Substitution::new(Expression::new("/$").ok()?, "").ok());
    let slash = SLASH.clone()?;
    Some(Redirect {
        path: Some(PathRewrite::ReplaceMatches(Box::new(slash))),
        ..redirect.clone()
    })
}

/// Where ingress-nginx answers otherwise, in an Ingress that is sane: the field, and one sentence. As many as there are kinds.
#[must_use]
pub fn differences(ingress: &Ingress, policy: &Policy) -> Vec<(Field, String)> {
    if policy.is_strict() || policy.canary.is_some() {
        return Vec::new();
    }
    let mut told = Vec::new();
    let all = || {
        let rules = ingress.rules.iter().enumerate();
        rules.flat_map(|(rule, said)| {
            let paths = said.paths.iter().enumerate();
            paths.map(move |(at, path)| (rule, at, path))
        })
    };
    let is_plain = |path: &IngressPath| !policy.use_regex && !is_rewritten(&path.path, policy);
    let slashed = all().find(|(.., path)| is_slashed(path) && is_plain(path));
    if let Some((rule, at, path)) = slashed {
        let text = &path.path;
        let bare = text.trim_end_matches('/');
        let message = format!(
            "path {text:?} takes {bare} as well, which ingress-nginx redirects to {text}; {ANNOTATION}: strict does so"
        );
        told.push((Field::of_path(ingress, rule, at), message));
    }
    if spreads(policy, all().map(|(.., path)| path)) {
        let name = match policy.use_regex {
            true => "use-regex",
            false => "rewrite-target",
        };
        let key = format!("{}{name}", super::PREFIX);
        let message = format!(
            "annotation {key} is about the paths of this Ingress; ingress-nginx makes all paths of its hosts expressions by it, whoever has them: without regard to case, and whatever follows; {ANNOTATION}: strict does so within the namespace"
        );
        told.push((Field::Annotation(key.into()), message));
    }
    told
}
