//! What texts, headers and expressions cost.

use crate::model::{
    Expression, HeaderChange, HeaderMatch, HeaderModifier, HeaderPart, HeaderPredicate,
    PathRewrite, StringMatch,
};

/// A byte of text in a route: it stands in two tables, in the bytes they are made of, and more than once while these are.
pub const TEXT: u64 = 12;
/// A route to a back end: 3.5 KB in Envoy.
pub const ROUTE: u64 = 3200;
/// A name, or anything that is listed, beside its text.
pub const NAME: u64 = 100;
/// What a header takes beside its text.
pub const HEADER: u64 = 40;
/// A filter of a route, beside its texts: it is an object of Envoy's for each route that has it.
pub const FILTER: u64 = 2000;
/// An expression beside its program.
pub const EXPRESSION: u64 = 1500;
/// An instruction of an expression's program: 40 bytes for counted repetitions, 55 for text.
pub const STEP: u64 = 50;
pub fn expression(expression: &Expression) -> u64 {
    EXPRESSION + STEP * expression.size()
}

pub fn of_headers(headers: &HeaderModifier) -> usize {
    let set = headers.set.iter();
    let set = set.map(|(name, value)| name.as_str().len() + value.len());
    let each = set.chain(headers.remove.iter().map(|name| name.as_str().len()));
    each.map(|text| text + HEADER as usize).sum()
}

/// What headers cost of which the texts are so long.
pub fn headers(texts: impl IntoIterator<Item = usize>) -> u64 {
    let each = texts.into_iter();
    let each = each.map(|text| TEXT.saturating_mul(as_cost(text).saturating_add(HEADER)));
    each.fold(0, u64::saturating_add)
}

pub fn text_cost(bytes: usize) -> u64 {
    TEXT.saturating_mul(as_cost(bytes))
}

pub fn as_cost(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// What a header costs that a request is to have.
pub fn of_header(header: &HeaderMatch) -> u64 {
    let pattern = match &header.value {
        HeaderPredicate::Is(text) => of_pattern(&text.pattern),
        HeaderPredicate::Present | HeaderPredicate::Absent => 0,
    };
    text_cost(header.name.as_str().len()) + pattern
}

pub fn of_pattern(pattern: &StringMatch) -> u64 {
    text_cost(pattern.text().len())
        + match pattern {
            StringMatch::Regex(text) => expression(text),
            _ => 0,
        }
}

/// Bytes of text in what a path is replaced with.
pub fn of_rewrite(rewrite: &PathRewrite) -> usize {
    match rewrite {
        PathRewrite::ReplacePrefix(path) | PathRewrite::ReplaceFullPath(path) => path.len(),
        PathRewrite::ReplaceMatches(it) => it.pattern().as_str().len() + it.replacement().len(),
    }
}

/// What names and values in a filter cost.
pub fn of_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    let texts = texts.into_iter();
    texts.map(|text| NAME + text_cost(text.len())).sum()
}

/// What a change of a header costs.
pub fn of_change(change: &HeaderChange) -> u64 {
    let texts = change.value().iter().map(|part| match part {
        HeaderPart::Text(text) => text.len(),
        HeaderPart::Value(_) => 64,
    });
    HEADER + text_cost(change.name().len() + texts.sum::<usize>())
}
