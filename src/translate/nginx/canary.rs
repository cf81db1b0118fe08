//! Canaries: an Ingress whose Service takes a part of the requests of another one's paths.
//!
//! Its rules come in this order: the header, the cookie, the weight. What a header or cookie says `never` to stays with the main
//! Service, whatever comes after.

use std::sync::Arc;

use crate::model::{
    Conditions, Expression, HeaderMatch, HeaderName, HeaderPredicate, StringMatch, TextMatch,
};

use super::reader::Reader;
use super::value;

/// Which requests go to the canary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Canary {
    /// What decides first, in this order, and whether it decides for the canary.
    pub rules: Vec<(HeaderMatch, bool)>,
    /// Its share of the rest.
    pub weight: u32,
    /// The sum of the shares.
    pub total: u32,
}

/// Reads the family; none where the Ingress is no canary.
pub fn read(reader: &mut Reader<'_>) -> Option<Canary> {
    let is_canary = reader.boolean("canary").unwrap_or(false);
    let weight = reader.read("canary-weight", value::number).unwrap_or(0);
    let total = reader.read("canary-weight-total", value::number);
    let total = total
        .filter(|total| *total > 0)
        .unwrap_or(100)
        .min(1_000_000);
    let header = reader.read("canary-by-header", |text| {
        HeaderName::new(&value::basic(text)?)
    });
    let value = reader.read("canary-by-header-value", value::basic);
    let pattern = reader.read("canary-by-header-pattern", |text| {
        let text = value::expression(text)?;
        // By itself first: brackets that do not match must not be made to by those around it.
        StringMatch::regex(&text)?;
        // It is looked for anywhere in the value.
        StringMatch::regex(&format!(".*(?:{text}).*"))
    });
    let cookie = reader.read("canary-by-cookie", cookie);
    if !is_canary {
        return None;
    }
    let mut rules = Vec::new();
    if let Some(name) = header {
        let is = |pattern| HeaderMatch {
            name: name.clone(),
            value: HeaderPredicate::Is(TextMatch::of(pattern)),
        };
        match (value, pattern) {
            (Some(value), _) => rules.push((is(StringMatch::exact(&value)), true)),
            (None, Some(pattern)) => rules.push((is(pattern), true)),
            (None, None) => {
                rules.push((is(StringMatch::exact("never")), false));
                rules.push((is(StringMatch::exact("always")), true));
            }
        }
    }
    for (rule, is_canary) in cookie.into_iter().flatten() {
        rules.push((rule, is_canary));
    }
    let total = u32::try_from(total).unwrap_or(100);
    Some(Canary {
        rules,
        weight: u32::try_from(weight.max(0)).unwrap_or(total).min(total),
        total,
    })
}

/// The two rules of a cookie. Its name has no case, with ingress-nginx, and its value has.
fn cookie(text: &str) -> Result<Vec<(HeaderMatch, bool)>, String> {
    let name = value::basic(text)?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !name.bytes().all(is_token) {
        return Err("must be the name of a cookie".into());
    }
    let letters: String = name
        .chars()
        .map(|it| match it {
            'a'..='z' | 'A'..='Z' => {
                format!("[{}{}]", it.to_ascii_lowercase(), it.to_ascii_uppercase())
            }
            '.' => r"\.".to_owned(),
            other => other.to_string(),
        })
        .collect();
    let rule = |value: &str| {
        let text = format!("(?:.*;)? *{letters}={value} *(?:;.*)?");
        Ok::<_, String>(HeaderMatch {
            name: HeaderName::new("cookie")?,
            value: HeaderPredicate::Is(TextMatch::of(StringMatch::Regex(Expression::new(text)?))),
        })
    };
    Ok(vec![(rule("never")?, false), (rule("always")?, true)])
}

impl Canary {
    /// The conditions of the rules, in their order, and whether each is for the canary.
    pub fn conditions(&self) -> impl Iterator<Item = (Conditions, bool)> {
        self.rules.iter().map(|(rule, is_canary)| {
            let conditions = Conditions {
                headers: vec![rule.clone()],
                ..Conditions::default()
            };
            (conditions, *is_canary)
        })
    }
}

/// The Service of a canary, as a path has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryBackend {
    /// Its cluster.
    pub cluster: Arc<str>,
    /// The cluster of requests by TLS, where that is another one.
    pub by_tls: Option<Arc<str>>,
    /// Its name.
    pub service: Option<Arc<str>>,
    /// Which requests go there.
    pub canary: Canary,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let rules = cookie("c.a").unwrap();
        let HeaderPredicate::Is(always) = &rules[1].0.value else {
            panic!("a text");
        };
        for (value, expected) in [
            ("c.a=always", true),
            ("x=1; C.A=always; y=2", true),
            ("x=1;c.a=always", true),
            ("c.a=Always", false),
            ("cxa=always", false),
            ("bc.a=always", false),
            ("c.a=always2", false),
        ] {
            assert_eq!(always.pattern.matches(value), expected, "{value}");
        }
        assert!(cookie("a:b").is_err());
    }
}
