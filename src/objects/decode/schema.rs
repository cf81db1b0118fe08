//! The rules of a CustomResourceDefinition's schema, with the API server's words.
//!
//! An API server has checked what it stores. Manifests have no schema, so what it asks for is checked here, for both alike.
//! The messages are those of `k8s.io/kube-openapi` (`pkg/validation/errors`), the first one of an object.

use std::fmt::{self, Display};
use std::sync::Arc;

use super::super::validate::{
    FieldError, Quoted, Verdict, at_most, is_subdomain, not_supported, required,
};
use super::json::{Kept, List, Struct, Whole};

/// The path of a field, which is written only where something is wrong with it.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    /// A field of the object.
    Top(&'static str),
    /// A field of what is at a path.
    Of(&'a At<'a>, &'static str),
    /// An item of a list.
    Item(&'a At<'a>, usize),
}

impl At<'_> {
    /// A field of what is here.
    pub(super) const fn of(&self, field: &'static str) -> At<'_> {
        At::Of(self, field)
    }

    /// An item of the list that is here.
    pub(super) const fn item(&self, index: usize) -> At<'_> {
        At::Item(self, index)
    }
}

impl Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top(field) => f.write_str(field),
            Self::Of(parent, field) => write!(f, "{parent}.{field}"),
            Self::Item(list, index) => write!(f, "{list}[{index}]"),
        }
    }
}

/// What a text has to look like.
pub(super) struct Pattern {
    /// The regular expression, for the message.
    pub(super) text: &'static str,
    /// Whether a text matches it.
    pub(super) matches: fn(&str) -> bool,
}

/// A regular expression of Go durations, and what else may stand there.
macro_rules! durations {
    ($rest:literal) => {
        concat!(
            r"^(((\d*(\.\d*)?h)|(\d*(\.\d*)?m)|(\d*(\.\d*)?s)|(\d*(\.\d*)?ms)|(\d*(\.\d*)?us)|(\d*(\.\d*)?µs)|(\d*(\.\d*)?ns))+",
            $rest,
            ")$"
        )
    };
}

/// A duration.
pub(super) const DURATION: Pattern = Pattern {
    text: durations!(""),
    matches: is_duration,
};

/// A duration, or none that ends.
pub(super) const DURATION_OR_INFINITY: Pattern = Pattern {
    text: durations!("|infinity|infinite"),
    matches: |text| matches!(text, "infinity" | "infinite") || is_duration(text),
};

/// A duration, or 0.
pub(super) const DURATION_OR_ZERO: Pattern = Pattern {
    text: durations!("|0"),
    matches: |text| text == "0" || is_duration(text),
};

/// A host name, which may begin with a wildcard.
pub(super) const WILDCARD_OR_HOST: Pattern = Pattern {
    text: r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    matches: |text| is_subdomain(text.strip_prefix("*.").unwrap_or(text)),
};

/// A host name.
pub(super) const HOST: Pattern = Pattern {
    text: r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    matches: is_subdomain,
};

/// An absolute path, in one line.
pub(super) const PATH: Pattern = Pattern {
    text: r"^\/.*$",
    matches: |text| text.starts_with('/') && !text.contains('\n'),
};

/// The name of a header or a method.
pub(super) const TOKEN: Pattern = Pattern {
    text: "^[a-zA-Z0-9!#$%&'*+.^_`|~-]+$",
    matches: |text| {
        let is_of_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+.^_`|~-".contains(&byte);
        !text.is_empty() && text.bytes().all(is_of_token)
    },
};

/// The name of a cookie.
pub(super) const COOKIE: Pattern = Pattern {
    text: r#"^[^()<>@,;:\\"\/[\]?={} \t\x7f\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f]+$"#,
    matches: |text| {
        let is_other = |c: char| r#"()<>@,;:\"/[]?={} "#.contains(c) || c.is_ascii_control();
        !text.is_empty() && !text.contains(is_other)
    },
};

/// The path of a cookie.
pub(super) const COOKIE_PATH: Pattern = Pattern {
    text: r"^[^;\x7f\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f]+$",
    matches: |text| !text.is_empty() && !text.contains(|c: char| c == ';' || c.is_ascii_control()),
};

/// A positive number in decimals.
pub(super) const DECIMAL: Pattern = Pattern {
    text: r"^([0-9]+([.][0-9]+)?|[.][0-9]+)$",
    matches: |text| {
        let are_digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.split_once('.') {
            None => are_digits(text),
            Some((before, after)) => (before.is_empty() || are_digits(before)) && are_digits(after),
        }
    },
};

/// `(\d*(\.\d*)?unit)+`: numbers may be missing, and each of `m` and `s` is a unit, so `ms` is nothing of its own.
fn is_duration(text: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    let mut rest = text;
    while !rest.is_empty() {
        rest = rest.trim_start_matches(is_digit);
        if let Some(fraction) = rest.strip_prefix('.') {
            rest = fraction.trim_start_matches(is_digit);
        }
        let units = ["h", "m", "s", "us", "µs", "ns"];
        match units.into_iter().find_map(|unit| rest.strip_prefix(unit)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    !text.is_empty()
}

/// A field that has to be there.
pub(super) fn present<T>(at: At<'_>, field: Option<T>) -> Result<T, FieldError> {
    field.ok_or_else(|| required(at, ""))
}

/// A text; blank where there is none.
pub(super) fn text(field: Option<Kept>) -> Arc<str> {
    field.unwrap_or_default().0
}

/// A text that matches, where there is one; else it is blank.
pub(super) fn matching(
    at: At<'_>,
    field: Option<Kept>,
    pattern: &Pattern,
) -> Result<Arc<str>, FieldError> {
    let Some(Kept(text)) = field else {
        return Ok(Arc::default());
    };
    match (pattern.matches)(&text) {
        true => Ok(text),
        false => Err(FieldError(format!(
            "{at}: Invalid value: {}: {at} in body should match '{}'",
            Quoted(&text),
            pattern.text
        ))),
    }
}

/// One of these texts, where there is one.
pub(super) fn one_of(
    at: At<'_>,
    field: Option<Kept>,
    supported: &[&str],
) -> Result<Option<Arc<str>>, FieldError> {
    match field {
        Some(Kept(text)) if !supported.contains(&&*text) => {
            Err(not_supported(at, &text, supported))
        }
        field => Ok(field.map(|Kept(text)| text)),
    }
}

/// A text of so many characters at most, and not blank, where there is one; else it is blank.
pub(super) fn long(at: At<'_>, field: Option<Kept>, limit: usize) -> Result<Arc<str>, FieldError> {
    let Some(Kept(text)) = field else {
        return Ok(Arc::default());
    };
    if text.is_empty() {
        return Err(FieldError(format!(
            "{at}: Invalid value: \"\": {at} in body should be at least 1 chars long"
        )));
    }
    if text.chars().count() > limit {
        return Err(FieldError(format!(
            "{at}: Too long: may not be more than {limit} bytes"
        )));
    }
    Ok(text)
}

/// A text that is not blank, where there is one; else it is blank.
pub(super) fn some(at: At<'_>, field: Option<Kept>) -> Result<Arc<str>, FieldError> {
    long(at, field, usize::MAX)
}

/// A number within these bounds, where there is one.
pub(super) fn number<T>(
    at: At<'_>,
    field: Option<Whole>,
    from: T,
    to: T,
) -> Result<Option<T>, FieldError>
where
    T: TryFrom<i128> + Copy,
    i128: From<T>,
{
    let Some(Whole(value)) = field else {
        return Ok(None);
    };
    let (least, most) = (i128::from(from), i128::from(to));
    let bound = if value < least {
        format!("greater than or equal to {least}")
    } else if value > most {
        format!("less than or equal to {most}")
    } else {
        return Ok(T::try_from(value).ok());
    };
    Err(FieldError(format!(
        "{at}: Invalid value: {value}: {at} in body should be {bound}"
    )))
}

/// One of these numbers, where there is one.
pub(super) fn number_of(
    at: At<'_>,
    field: Option<Whole>,
    supported: &[u16],
) -> Result<Option<u16>, FieldError> {
    let Some(Whole(value)) = field else {
        return Ok(None);
    };
    let number = u16::try_from(value).ok();
    match number.filter(|number| supported.contains(number)) {
        Some(number) => Ok(Some(number)),
        None => {
            let supported: Vec<_> = supported.iter().map(u16::to_string).collect();
            Err(FieldError(format!(
                "{at}: Unsupported value: {value}: supported values: {}",
                supported
                    .iter()
                    .map(|text| format!("\"{text}\""))
                    .collect::<Vec<_>>()
                    .join(", ")
            )))
        }
    }
}

/// What each item of a list comes to; nothing where there is no list.
pub(super) fn each<W, T>(
    at: At<'_>,
    field: Option<List<W>>,
    check: impl Fn(At<'_>, W) -> Result<T, FieldError>,
) -> Result<Box<[T]>, FieldError> {
    let Some(List(items)) = field else {
        return Ok(Box::default());
    };
    let items = items.into_iter().enumerate();
    items
        .map(|(index, item)| check(at.item(index), item))
        .collect()
}

/// The same of objects.
pub(super) fn each_of<W, T>(
    at: At<'_>,
    field: Option<List<Struct<W>>>,
    check: impl Fn(At<'_>, W) -> Result<T, FieldError>,
) -> Result<Box<[T]>, FieldError> {
    each(at, field, |at, Struct(item)| check(at, item))
}

/// What an object comes to, where there is one.
pub(super) fn perhaps<W, T>(
    at: At<'_>,
    field: Option<Struct<W>>,
    check: impl Fn(At<'_>, W) -> Result<T, FieldError>,
) -> Result<Option<T>, FieldError> {
    field.map(|Struct(object)| check(at, object)).transpose()
}

/// All texts of a list; none where there is no list.
pub(super) fn texts(field: Option<List<Kept>>) -> Box<[Arc<str>]> {
    let texts = field.into_iter().flat_map(|List(items)| items);
    texts.map(|Kept(text)| text).collect()
}

/// A list, where there is one, has an item.
pub(super) fn not_empty<T>(at: At<'_>, field: &Option<List<T>>) -> Verdict {
    match field {
        Some(List(items)) if items.is_empty() => Err(FieldError(format!(
            "{at}: Invalid value: 0: {at} in body should have at least 1 items"
        ))),
        _ => Ok(()),
    }
}

/// A list has so many items at most.
pub(super) fn no_more<T>(at: At<'_>, field: &Option<List<T>>, limit: usize) -> Verdict {
    let items = field.as_ref().map_or(0, |List(items)| items.len());
    at_most(at, items, limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each matcher is its regular expression, on texts that are near its edges.
    #[test]
    #[allow(clippy::unwrap_used)]
    fn a_pattern_is_its_regular_expression() {
        let texts = concat!(
            ",0,00,h,1h,1.5h,.5h,.h,1.h,1hms,1ms,5us,5µs,5μs,3ns,3n,1h ,-1h,1d,ten,infinity,",
            "infinite,infinity1s,1sinfinity,1h2m3.5s,1..5s,1.5.5s,*,*.,*.a,*.*.a,a,A,a.b,a..b,a.,",
            ".a,-a,a-,a-b,1,localhost,/,/a,a/,/a\nb,/\n,a b,a;b,a\tb,é,a=b,a{b,a\u{7f},a\u{80},",
            "x-a,x_a,~,`,a:b,1.0,1.,.1,.,1.2.3,1e3,+1,a\\b,a\"b,GET",
        );
        for pattern in [
            DURATION,
            DURATION_OR_INFINITY,
            DURATION_OR_ZERO,
            WILDCARD_OR_HOST,
            HOST,
            PATH,
            TOKEN,
            COOKIE,
            COOKIE_PATH,
            DECIMAL,
        ] {
            // In Go digits are those of ASCII, and slashes may be escaped.
            let go = pattern
                .text
                .replace(r"\d", "[0-9]")
                .replace(r"\/", "/")
                .replace("/[\\]", "/\\[\\]");
            let regex = regex::Regex::new(&go).unwrap();
            for text in texts.split(',') {
                assert_eq!(
                    (pattern.matches)(text),
                    regex.is_match(text),
                    "{text:?} and {}",
                    pattern.text
                );
            }
        }
    }
}
