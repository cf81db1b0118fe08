//! Conditions of includes and routes: what is merged on the way from a root to a route, and what is wrong with it.
//!
//! Paths of a chain are joined as text, and runs of slashes become one. The last item of the last list says whether the whole
//! is exact; an expression (of a route only) stands behind the quoted prefixes of its chain, so that no alternative of it
//! leaves them. Headers and query parameters are all asked for.

use std::collections::BTreeSet;

use crate::model::{
    Conditions, Expression, HeaderMatch, HeaderName, HeaderPredicate, PathMatch, QueryMatch,
    QueryPredicate, RouteMatch, StringMatch, TextMatch,
};
use crate::objects::http_proxy::{
    HeaderMatchCondition, MatchCondition, QueryParameterMatchCondition,
};

use super::condition::{self, Fault};
use super::written;

/// The conditions of a chain of includes, and of a route at its end.
#[derive(Clone, Debug, Default)]
pub struct Chain<'a> {
    items: Vec<&'a MatchCondition>,
    cost: u64,
}

impl<'a> Chain<'a> {
    /// The same with more at its end.
    #[must_use]
    pub fn then(&self, conditions: &'a [MatchCondition]) -> Self {
        Self {
            items: self.items.iter().copied().chain(conditions).collect(),
            cost: self.cost.saturating_add(written::conditions(conditions)),
        }
    }

    /// What it costs to read all of it.
    #[must_use]
    pub const fn cost(&self) -> u64 {
        self.cost
    }

    /// Looks for contradictions over the whole of it.
    ///
    /// # Errors
    ///
    /// What is wrong with the last list, in Contour's words.
    pub fn check(&self) -> Result<(), Fault> {
        let headers = self.items.iter().filter_map(|it| it.header.as_deref());
        check_headers(headers)?;
        let query = self
            .items
            .iter()
            .filter_map(|it| it.query_parameter.as_deref());
        check_query(query)
    }

    /// The prefix, as includes have it; `/` for none.
    #[must_use]
    pub fn prefix(&self) -> String {
        let texts = self.items.iter().flat_map(|it| [&*it.prefix, &*it.exact]);
        let joined = collapse_slashes(&texts.collect::<String>());
        match joined.is_empty() {
            true => "/".to_owned(),
            false => joined,
        }
    }

    /// Whether the path is a prefix, and no exact path or expression.
    #[must_use]
    pub fn is_prefix(&self) -> bool {
        let has_regex = self.items.iter().any(|it| !it.regex.is_empty());
        let is_exact = self.items.last().is_some_and(|it| !it.exact.is_empty());
        !has_regex && !is_exact
    }

    /// What they come to.
    ///
    /// # Errors
    ///
    /// What Envoy would refuse.
    pub fn matches(&self) -> Result<RouteMatch, Fault> {
        let mut headers = Vec::new();
        for header in self.items.iter().filter_map(|it| it.header.as_deref()) {
            headers.extend(header_match(header)?);
        }
        let mut query = Vec::new();
        for parameter in self
            .items
            .iter()
            .filter_map(|it| it.query_parameter.as_deref())
        {
            query.push(query_match(parameter)?);
        }
        // In whatever order they are written, they ask for the same.
        headers.sort_unstable();
        query.sort_unstable();
        Ok(RouteMatch::path(self.path()?).and(Conditions {
            headers,
            query,
            grpc: false,
            without_certificate: false,
        }))
    }

    fn path(&self) -> Result<PathMatch, Fault> {
        let Some(regex) = self.items.iter().rfind(|it| !it.regex.is_empty()) else {
            let text = self.prefix().into();
            return Ok(match self.is_prefix() {
                true => PathMatch::StringPrefix(text),
                false => PathMatch::Exact(text),
            });
        };
        let prefixes = self.items.iter().map(|it| &*it.prefix).collect::<String>();
        let prefix = collapse_slashes(&prefixes);
        let prefix = prefix.trim_end_matches('/');
        let expression = match prefix.is_empty() {
            true => regex.regex.to_string(),
            false => format!("{}(?:{})", quoted(prefix), regex.regex),
        };
        let fault = |why| {
            let message = format!("regex invalid after merging with include prefix: {why}");
            Fault::new(condition::ROUTE_PATH, message)
        };
        Expression::new(expression)
            .map(PathMatch::Regex)
            .map_err(fault)
    }
}

/// What tells the conditions of an include from those of another one of the same HTTPProxy. The bare `/` may stand twice.
#[must_use]
pub fn include_key(conditions: &[MatchCondition]) -> Option<(String, Vec<String>, Vec<String>)> {
    let prefix = Chain::default().then(conditions).prefix();
    let headers = conditions.iter().filter_map(|it| it.header.as_deref());
    let query = conditions
        .iter()
        .filter_map(|it| it.query_parameter.as_deref());
    let mut headers: Vec<String> = headers.map(|it| format!("{it:?}")).collect();
    let mut query: Vec<String> = query.map(|it| format!("{it:?}")).collect();
    let is_bare = prefix == "/" && headers.is_empty() && query.is_empty();
    headers.sort_unstable();
    query.sort_unstable();
    (!is_bare).then_some((prefix, headers, query))
}

/// Checks the paths of an include's own conditions.
///
/// # Errors
///
/// Contour's words.
pub fn check_include(conditions: &[MatchCondition]) -> Result<(), Fault> {
    let refused = |what: &str| {
        let message = format!("include: {what} conditions are not allowed in includes block");
        Err(Fault::new(condition::INCLUDE_PATH, message))
    };
    if conditions.iter().any(|it| !it.exact.is_empty()) {
        return refused("exact");
    }
    if conditions.iter().any(|it| !it.regex.is_empty()) {
        return refused("regex");
    }
    check_paths(conditions).map_err(|why| {
        let message = format!("include: {why}");
        Fault::new(condition::INCLUDE_PATH, message)
    })
}

/// Checks the paths of a route's own conditions.
///
/// # Errors
///
/// Contour's words.
pub fn check_route(conditions: &[MatchCondition]) -> Result<(), Fault> {
    check_paths(conditions).map_err(|why| {
        let message = format!("route: {why}");
        Fault::new(condition::ROUTE_PATH, message)
    })
}

fn check_paths(conditions: &[MatchCondition]) -> Result<(), String> {
    let mut count = 0;
    for it in conditions {
        for (what, text) in [
            ("prefix", &it.prefix),
            ("exact", &it.exact),
            ("regex", &it.regex),
        ] {
            if text.is_empty() {
                continue;
            }
            count += 1;
            if !text.starts_with('/') {
                return Err(format!(
                    "{what} conditions must start with /, {text} was supplied"
                ));
            }
        }
        if !it.regex.is_empty()
            && let Err(why) = Expression::new(it.regex.clone())
        {
            return Err(format!(
                "supplied regex: {} invalid. error: {why}",
                it.regex
            ));
        }
    }
    if count > 1 {
        return Err(
            "more than one prefix, exact or regex is not allowed in a condition block".to_owned(),
        );
    }
    Ok(())
}

fn check_headers<'a>(headers: impl Iterator<Item = &'a HeaderMatchCondition>) -> Result<(), Fault> {
    let fault = |message: String| Err(Fault::new(condition::HEADER_MATCH, message));
    let contradictory = |one: &str, other: &str| {
        fault(format!(
            "cannot specify contradictory '{one}' and '{other}' conditions for the same route and header"
        ))
    };
    let mut exact = BTreeSet::new();
    let mut seen: BTreeSet<(String, &str, &str)> = BTreeSet::new();
    for header in headers {
        let name = header.name.to_ascii_lowercase();
        let (operator, opposite, value) = match header {
            it if !it.exact.is_empty() => ("exact", "notexact", &*it.exact),
            it if !it.not_exact.is_empty() => ("notexact", "exact", &*it.not_exact),
            it if !it.contains.is_empty() => ("contains", "notcontains", &*it.contains),
            it if !it.not_contains.is_empty() => ("notcontains", "contains", &*it.not_contains),
            it if it.present => ("present", "notpresent", ""),
            it if it.not_present => ("notpresent", "present", ""),
            it if !it.regex.is_empty() => {
                if Expression::new(it.regex.clone()).is_err() {
                    return fault(
                        "invalid regular expression specified for 'regex' condition".to_owned(),
                    );
                }
                continue;
            }
            _ => continue,
        };
        if operator == "exact" && !exact.insert(name.clone()) {
            return fault(
                "cannot specify duplicate header 'exact match' conditions in the same route"
                    .to_owned(),
            );
        }
        if seen.contains(&(name.clone(), opposite, value)) {
            // Contour names the positive one first.
            return match operator.strip_prefix("not") {
                Some(positive) => contradictory(positive, operator),
                None => contradictory(operator, opposite),
            };
        }
        seen.insert((name, operator, value));
    }
    Ok(())
}

fn check_query<'a>(
    query: impl Iterator<Item = &'a QueryParameterMatchCondition>,
) -> Result<(), Fault> {
    let fault = |message: &str| Err(Fault::new(condition::QUERY_MATCH, message));
    let mut exact = BTreeSet::new();
    for it in query {
        let texts = [&it.exact, &it.prefix, &it.suffix, &it.regex, &it.contains];
        let set = texts.iter().filter(|text| !text.is_empty()).count();
        match set + usize::from(it.present) {
            0 => return fault("must specify at least one query parameter condition"),
            1 => {}
            _ => {
                return fault(
                    "cannot specify more than one condition in the same match condition branch",
                );
            }
        }
        if !it.exact.is_empty() && !exact.insert(it.name.to_ascii_lowercase()) {
            return fault(
                "cannot specify duplicate query parameter 'exact match' conditions in the same route",
            );
        }
    }
    Ok(())
}

/// Reads a condition on a header. The first operator that is set counts; of one without any nothing is asked.
///
/// # Errors
///
/// What Envoy would refuse.
pub fn header_match(it: &HeaderMatchCondition) -> Result<Option<HeaderMatch>, Fault> {
    let fault = |why| Fault::new(condition::HEADER_MATCH, why);
    let name = HeaderName::of_request(&it.name).map_err(fault)?;
    let text = |pattern: Result<StringMatch, String>, negated: bool| {
        let mut pattern = pattern.map_err(fault)?;
        if it.ignore_case && !matches!(pattern, StringMatch::Regex(_)) {
            pattern = pattern.ignoring_case().map_err(fault)?;
        }
        Ok(HeaderPredicate::Is(TextMatch {
            pattern,
            negated,
            missing_is_empty: negated && it.treat_missing_as_empty,
        }))
    };
    let value = if it.present {
        HeaderPredicate::Present
    } else if it.not_present {
        HeaderPredicate::Absent
    } else if !it.contains.is_empty() {
        text(StringMatch::contains(&it.contains), false)?
    } else if !it.not_contains.is_empty() {
        text(StringMatch::contains(&it.not_contains), true)?
    } else if !it.exact.is_empty() {
        text(Ok(StringMatch::exact(&it.exact)), false)?
    } else if !it.not_exact.is_empty() {
        text(Ok(StringMatch::exact(&it.not_exact)), true)?
    } else if !it.regex.is_empty() {
        text(StringMatch::regex(&it.regex), false)?
    } else {
        return Ok(None);
    };
    Ok(Some(HeaderMatch { name, value }))
}

fn query_match(it: &QueryParameterMatchCondition) -> Result<QueryMatch, Fault> {
    let fault = |why| Fault::new(condition::QUERY_MATCH, why);
    let value = if it.present {
        QueryPredicate::Present
    } else {
        let pattern = if !it.exact.is_empty() {
            Ok(StringMatch::exact(&it.exact))
        } else if !it.prefix.is_empty() {
            StringMatch::prefix(&it.prefix)
        } else if !it.suffix.is_empty() {
            StringMatch::suffix(&it.suffix)
        } else if !it.regex.is_empty() {
            StringMatch::regex(&it.regex)
        } else {
            StringMatch::contains(&it.contains)
        };
        let mut pattern = pattern.map_err(fault)?;
        if it.ignore_case && !matches!(pattern, StringMatch::Regex(_)) {
            pattern = pattern.ignoring_case().map_err(fault)?;
        }
        QueryPredicate::Is(pattern)
    };
    QueryMatch::new(&it.name, value).map_err(fault)
}

fn collapse_slashes(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    for it in text.chars() {
        if it != '/' || !collapsed.ends_with('/') {
            collapsed.push(it);
        }
    }
    collapsed
}

/// As text within an expression.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for it in text.chars() {
        if it.is_ascii_punctuation() && !matches!(it, '/' | '_' | '-') {
            quoted.push('\\');
        }
        quoted.push(it);
    }
    quoted
}
