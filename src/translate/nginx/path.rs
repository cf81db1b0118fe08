//! What a path matches in ingress-nginx's dialect, and what it becomes.
//!
//! A path is one by elements, whatever its type says besides `Exact`: characters of expressions mean nothing, unless the Ingress asks
//! for expressions (`use-regex`), or for a path that the back end sees instead (`rewrite-target`). Then a path of type
//! `ImplementationSpecific` is one, and one of type `Prefix` where it is rewritten or looks like one: matched from the beginning on,
//! whatever follows, and without regard to case. With ingress-nginx that holds for all Ingresses of a host as soon as one asks; here
//! it is the own matter of each.

use crate::model::{Expression, PathMatch, PathRewrite, Redirect, Substitution};
use crate::objects::{IngressPath, PathType};
use crate::translate::path as own;

use super::policy::Policy;

/// What a path matches. `is_spread` is whether all paths of its host are expressions, as some strict Ingress has it.
///
/// # Errors
///
/// One sentence on why an expression can't be used, or why no request can have such a path.
pub fn path_match(
    path: &IngressPath,
    policy: &Policy,
    is_spread: bool,
) -> Result<PathMatch, String> {
    let is_rewritten = is_rewritten(&path.path, policy);
    let is_expression = match path.path_type {
        _ if is_spread => true,
        PathType::Exact => false,
        PathType::ImplementationSpecific => policy.use_regex || is_rewritten,
        PathType::Prefix => is_rewritten || (policy.use_regex && looks_like_one(&path.path)),
    };
    if is_expression && &*path.path != "/" {
        let (text, _) = plain(&path.path);
        return Expression::ignoring_case(text).map(PathMatch::RegexPrefix);
    }
    let path_type = match path.path_type {
        PathType::Exact => PathType::Exact,
        PathType::Prefix | PathType::ImplementationSpecific => PathType::Prefix,
    };
    own::path_match(&IngressPath {
        path_type,
        ..path.clone()
    })
}

fn looks_like_one(text: &str) -> bool {
    text.contains([
        '^', '$', '(', ')', '[', ']', '{', '}', '*', '+', '?', '|', '\\',
    ])
}

/// Whether `rewrite-target` does anything to a path.
pub fn is_rewritten(path: &str, policy: &Policy) -> bool {
    policy
        .rewrite
        .as_ref()
        .is_some_and(|target| **target != *path)
}

/// An expression without what RE2's caller can't use: groups with names become plain ones, and a blank is what it is in a request.
fn plain(text: &str) -> (String, Vec<Option<String>>) {
    let mut plain = String::with_capacity(text.len());
    let mut groups = Vec::new();
    let (mut rest, mut is_class) = (text, false);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => first.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        rest = behind;
        match token {
            "[" => is_class = true,
            "]" => is_class = false,
            "(" if !is_class => match named(rest) {
                Some((name, behind)) => {
                    groups.push(Some(name.to_owned()));
                    rest = behind;
                }
                None if !rest.starts_with('?') => groups.push(None),
                None => {}
            },
            _ => {}
        }
        plain.push_str(if token == " " { "%20" } else { token });
    }
    (plain, groups)
}

/// The name of a group, and what is behind it.
fn named(rest: &str) -> Option<(&str, &str)> {
    let rest = rest
        .strip_prefix("?P<")
        .or_else(|| rest.strip_prefix("?<"))?;
    let (name, behind) = rest.split_once('>')?;
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || it == b'_');
    is_name.then_some((name, behind))
}

/// What `rewrite-target` makes of a path.
#[derive(Debug, PartialEq)]
pub enum Rewritten {
    /// Another path.
    Path(PathRewrite),
    /// A redirect: the target is a URL.
    Elsewhere(Redirect),
}

/// What the whole of a request's path becomes; none where it stays. `matched` is what [`path_match`] made of `path`.
///
/// # Errors
///
/// One sentence on why the target can't be used.
pub fn rewrite(
    path: &str,
    matched: &PathMatch,
    policy: &Policy,
) -> Result<Option<Rewritten>, String> {
    let Some(target) = policy
        .rewrite
        .as_ref()
        .filter(|_| is_rewritten(path, policy))
    else {
        return Ok(None);
    };
    let url = ["http", "https"].into_iter().find_map(|scheme| {
        let rest = target.strip_prefix(scheme)?.strip_prefix("://")?;
        Some((scheme, rest))
    });
    let Some((scheme, rest)) = url else {
        let rewrite = to(target, path, matched)?;
        return Ok(Some(Rewritten::Path(rewrite)));
    };
    let (authority, path_to) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (hostname, port) = match authority.split_once(':') {
        Some((hostname, port)) => (hostname, Some(port)),
        None => (authority, None),
    };
    let port = match port.map(str::parse) {
        None => None,
        Some(Ok(port @ 1_u16..)) => Some(port),
        Some(_) => return Err("it has no port from 1 to 65535".into()),
    };
    if hostname.is_empty() || hostname.contains('$') {
        return Err("it has no host".into());
    }
    let path_to = if path_to.is_empty() { "/" } else { path_to };
    Ok(Some(Rewritten::Elsewhere(Redirect {
        scheme: Some(scheme),
        hostname: Some(hostname.into()),
        port,
        path: Some(to(path_to, path, matched)?),
        strip_query: false,
        status: 302,
    })))
}

fn to(target: &str, path: &str, matched: &PathMatch) -> Result<PathRewrite, String> {
    let (text, groups) = match matched {
        PathMatch::RegexPrefix(_) => plain(path),
        _ => (String::new(), Vec::new()),
    };
    let (replacement, names_group) = replacement(target, &groups)?;
    if !names_group {
        return Ok(PathRewrite::ReplaceFullPath(replacement.into()));
    }
    let pattern = Expression::ignoring_case(format!("^(?:{text}).*$"))?;
    let substitution = Substitution::new(pattern, &replacement)?;
    Ok(PathRewrite::ReplaceMatches(Box::new(substitution)))
}

/// The target with the groups as Envoy names them, and whether there is any. A group that the path has not is empty.
fn replacement(target: &str, groups: &[Option<String>]) -> Result<(String, bool), String> {
    let mut parts = target.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    let mut names_group = false;
    for part in parts {
        let is_number = part.starts_with(|it: char| it.is_ascii_digit());
        let end = match is_number {
            true => 1,
            false => part
                .find(|it: char| !it.is_ascii_alphanumeric() && it != '_')
                .unwrap_or(part.len()),
        };
        let (name, rest) = part.split_at(end);
        let group = match name.parse::<usize>() {
            Ok(number) => Some(number).filter(|number| (1..=groups.len()).contains(number)),
            Err(_) => {
                let is_named = |group: &Option<String>| group.as_deref() == Some(name);
                let place = groups.iter().position(is_named);
                Some(
                    1 + place.ok_or_else(|| {
                        format!("it names ${name}, and the path has no such group")
                    })?,
                )
            }
        };
        match group {
            Some(group @ 1..=9) => {
                names_group = true;
                text.push('\\');
                text.push_str(&group.to_string());
            }
            Some(_) => return Err("it names a group beyond the ninth".into()),
            None => {}
        }
        text.push_str(rest);
    }
    Ok((text, names_group))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::objects::{Annotations, IngressBackend, Metadata, NamespacedName};

    fn rewritten(path: &str, target: &str) -> Result<Option<Rewritten>, String> {
        let key = format!("{}rewrite-target", super::super::PREFIX);
        let metadata = Metadata {
            name: NamespacedName::new("a", "b"),
            uid: "".into(),
            created: None,
            annotations: Annotations::from_iter([(key.into(), target.into())]),
        };
        let (policy, _) = Policy::read(&metadata, &std::sync::Arc::default());
        let said = IngressPath {
            path: path.into(),
            path_type: PathType::ImplementationSpecific,
            backend: IngressBackend::Missing,
        };
        let matched = path_match(&said, &policy, false)?;
        rewrite(path, &matched, &policy)
    }

    #[test]
    fn groups_of_the_path_stand_in_the_target() {
        for (path, target, pattern, replacement) in [
            ("/a(/|$)(.*)", "/$2", "^(?:/a(/|$)(.*)).*$", r"/\2"),
            ("/a/(?<rest>.*)", "/$rest", "^(?:/a/(.*)).*$", r"/\1"),
            (
                r"/a\((?:b)[(](c)",
                "/x/$1$2",
                r"^(?:/a\((?:b)[(](c)).*$",
                r"/x/\1",
            ),
        ] {
            let Ok(Some(Rewritten::Path(PathRewrite::ReplaceMatches(found)))) =
                rewritten(path, target)
            else {
                panic!("{path} {target}: {:?}", rewritten(path, target));
            };
            let found = (found.pattern().as_str(), found.replacement());
            assert_eq!(found, (pattern, replacement), "{path} {target}");
        }
        for (path, target, expected) in [("/a", "/b$1", "/b"), ("/", "/app/$1", "/app/")] {
            let expected = PathRewrite::ReplaceFullPath(expected.into());
            assert_eq!(
                rewritten(path, target),
                Ok(Some(Rewritten::Path(expected))),
                "{path}"
            );
        }
        assert_eq!(rewritten("/a", "/a"), Ok(None));
        for (path, target) in [
            ("/a", "/$host"),
            ("/a", "https://"),
            ("/(a", "/$1"),
            ("/a", "https://$1/"),
        ] {
            assert!(rewritten(path, target).is_err(), "{path} {target}");
        }
        let Ok(Some(Rewritten::Elsewhere(found))) = rewritten("/o/(.*)", "https://b.test:81/$1")
        else {
            panic!("a redirect");
        };
        assert_eq!(
            (found.hostname.as_deref(), found.port, found.status),
            (Some("b.test"), Some(81), 302)
        );
    }
}
