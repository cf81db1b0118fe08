//! `pathRewritePolicy`: which replacement holds for a route.
//!
//! Contour makes two routes of one, with and without a slash at its end, where it is alone with its prefix. Here a replaced prefix
//! never loses or doubles a slash, so `/api` to `/` gives `/x` for `/api/x` whatever other routes there are. The prefix `/` has no
//! second form: its replacement is put before the rest of the path, as text.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Expression, PathRewrite, Substitution};

use super::condition::{self, Fault};
use super::conditions::Chain;

/// Reads the replacements of a route: the one whose prefix is that of the chain, or else the one without a prefix.
///
/// # Errors
///
/// Contour's words.
pub fn rewrite(
    replacements: &[(Arc<str>, Arc<str>)],
    chain: &Chain<'_>,
) -> Result<Option<PathRewrite>, Fault> {
    if replacements.is_empty() {
        return Ok(None);
    }
    if !chain.is_prefix() {
        let message = "cannot specify prefix replacements without a prefix condition";
        return Err(Fault::new(condition::MUST_HAVE_PREFIX, message));
    }
    let mut prefixes = BTreeSet::new();
    for (prefix, _) in replacements {
        if prefixes.insert(prefix) {
            continue;
        }
        return Err(match prefix.is_empty() {
            true => Fault::new(
                condition::AMBIGUOUS_REPLACEMENT,
                "ambiguous prefix replacement",
            ),
            false => Fault::new(
                condition::DUPLICATE_REPLACEMENT,
                format!("duplicate replacement prefix '{prefix}'"),
            ),
        });
    }
    let prefix = chain.prefix();
    let named = replacements.iter().find(|(named, _)| **named == *prefix);
    let any = || replacements.iter().find(|(named, _)| named.is_empty());
    let found = named.or_else(any);
    let Some((_, replacement)) = found else {
        return Ok(None);
    };
    if prefix == "/" && !replacement.ends_with('/') {
        let before =
            Expression::new("^/").and_then(|root| Substitution::new(root, &escaped(replacement)));
        let fault = |why| Fault::new(condition::MUST_HAVE_PREFIX, why);
        let before = before.map_err(fault)?;
        return Ok(Some(PathRewrite::ReplaceMatches(Box::new(before))));
    }
    Ok(Some(PathRewrite::ReplacePrefix(replacement.clone())))
}

/// In a replacement a backslash means something.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\")
}
