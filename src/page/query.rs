//! What a query asks for.

use crate::objects::{Kind, ObjectRef};
use crate::process::admin::Unasked;

/// Most rows of one answer.
const ROWS: usize = 200;

/// Rows where nobody says how many.
const USUAL: usize = 50;

/// A part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// How many are left out in front.
    pub offset: usize,
    /// How many there are at most.
    pub limit: usize,
}

/// The value of a parameter; empty where it is not given.
pub fn value<'a>(query: impl IntoIterator<Item = (&'a str, &'a str)>, name: &str) -> &'a str {
    let mut query = query.into_iter();
    let found = query.find(|(own, _)| *own == name);
    found.map_or("", |(_, value)| value)
}

/// The pairs of a query that keeps their order.
pub fn pairs(query: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> + Clone {
    query
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
}

/// `offset` and `limit`.
///
/// # Errors
///
/// One sentence, where one is no number.
pub fn part<'a>(
    query: impl IntoIterator<Item = (&'a str, &'a str)> + Clone,
) -> Result<Part, String> {
    let number = |name: &str, usual: usize| match value(query.clone(), name) {
        "" => Ok(usual),
        text => text
            .parse::<usize>()
            .map_err(|_| format!("{name}: {text:?} is no number")),
    };
    Ok(Part {
        offset: number("offset", 0)?,
        limit: number("limit", USUAL)?.min(ROWS),
    })
}

/// A kind by its name.
///
/// # Errors
///
/// One sentence, where it is none.
pub fn kind(name: &str) -> Result<Kind, String> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    kind.ok_or_else(|| {
        let names = Kind::ALL.map(Kind::name).join(", ");
        format!("kind: {name:?} is none of {names}")
    })
}

/// The object that is named by `kind`, `namespace` and `name`.
///
/// # Errors
///
/// One sentence, where it is none.
pub fn object<'a>(
    query: impl IntoIterator<Item = (&'a str, &'a str)> + Clone,
) -> Result<ObjectRef, String> {
    let of = |name: &str| value(query.clone(), name);
    Ok(ObjectRef::new(
        kind(of("kind"))?,
        of("namespace"),
        of("name"),
    ))
}

/// A wrong query.
pub fn wrong(says: String) -> Unasked {
    Unasked::Query(says)
}
