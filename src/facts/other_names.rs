//! Names that a host has besides its own by ingress-nginx's annotations: `server-alias`, and the other one of `www.` by
//! `from-to-www-redirect`.
//!
//! Whoever names a host by a rule or a TLS entry comes before all who name it so, whatever their age: there nginx drops the alias.

use std::collections::BTreeSet;

use crate::model::Host;
use crate::objects::{Ingress, Metadata};

/// Names by comma.
pub const SERVER_ALIAS: &str = "nginx.ingress.kubernetes.io/server-alias";
/// `true` for a redirect of the other name.
pub const FROM_TO_WWW: &str = "nginx.ingress.kubernetes.io/from-to-www-redirect";
/// An Ingress that brings no host.
const CANARY: &str = "nginx.ingress.kubernetes.io/canary";

/// Most names of a list that is looked at.
const MOST: usize = 256;

/// Go's `ParseBool`, where it says yes.
fn is_true(metadata: &Metadata, key: &str) -> bool {
    let value = metadata.annotation(key).map(str::trim);
    matches!(value, Some("1" | "t" | "T" | "true" | "TRUE" | "True"))
}

/// The names of `server-alias`, in lower case.
///
/// # Errors
///
/// One sentence where one of them is none.
pub fn aliases(text: &str) -> Result<Vec<Host>, String> {
    let names = text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let mut hosts = Vec::new();
    for name in names {
        if name.starts_with('~') {
            return Err("has an expression (~), and no host can be one".into());
        }
        let name = name.to_ascii_lowercase();
        if !is_name(&name) {
            return Err("must be names of hosts, by comma".into());
        }
        if hosts.len() == MOST {
            return Err(format!("must not have more than {MOST} names"));
        }
        hosts.push(Host::new(name));
    }
    match hosts.is_empty() {
        true => Err("must have a name".into()),
        false => Ok(hosts),
    }
}

fn is_name(name: &str) -> bool {
    let rest = name.strip_prefix("*.").unwrap_or(name);
    let is_label = |label: &str| {
        let is_byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(is_byte)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && rest.split('.').all(is_label)
}

/// The other one of two names, of which one begins with `www.`; none for what can have no other.
#[must_use]
pub fn of_www(host: &str) -> Option<Host> {
    let other = match host.strip_prefix("www.") {
        Some(bare) => bare.to_owned(),
        None => format!("www.{host}"),
    };
    (!host.starts_with('*') && is_name(&other)).then(|| Host::new(other))
}

/// The hosts of which a name is the other one of `www.`.
pub fn www_of(name: &Host) -> impl Iterator<Item = Host> {
    let bare = name.as_str().strip_prefix("www.").map(Host::new);
    let www = Host::new(format!("www.{name}"));
    let of = |host: &Host| of_www(host.as_str()).as_ref() == Some(name);
    bare.into_iter().chain([www]).filter(of)
}

/// Whether a name is among those of [`of_ingress`], without a look at all hosts of the Ingress: `is_ruled` says whether a rule of it is
/// for a host.
#[must_use]
pub fn has(metadata: &Metadata, name: &Host, is_ruled: impl Fn(&Host) -> bool) -> bool {
    if is_true(metadata, CANARY) {
        return false;
    }
    let aliases = metadata.annotation(SERVER_ALIAS).and_then(aliases_of);
    aliases.is_some_and(|aliases| aliases.contains(name))
        || is_true(metadata, FROM_TO_WWW) && www_of(name).any(|host| is_ruled(&host))
}

/// Whether an Ingress may have any: false for nearly all, and found without looking closely.
#[must_use]
pub fn has_some(metadata: &Metadata) -> bool {
    let annotations = &metadata.annotations;
    annotations.get(SERVER_ALIAS).is_some() || annotations.get(FROM_TO_WWW).is_some()
}

/// All of an Ingress whose class asks for the dialect, those among them that it names by a rule as well.
#[must_use]
pub fn of_ingress(ingress: &Ingress) -> BTreeSet<Host> {
    let metadata = &ingress.metadata;
    if !has_some(metadata) || is_true(metadata, CANARY) {
        return BTreeSet::new();
    }
    let aliases = metadata.annotation(SERVER_ALIAS);
    let aliases = aliases.and_then(aliases_of).unwrap_or_default();
    let is_led = is_true(metadata, FROM_TO_WWW);
    let hosts = ingress.rules.iter().filter_map(|rule| rule.host.as_ref());
    let others = hosts.filter(|_| is_led).filter_map(|host| of_www(host));
    aliases.into_iter().chain(others).collect()
}

fn aliases_of(text: &str) -> Option<Vec<Host>> {
    aliases(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_hosts() {
        for (text, expected) in [
            ("a.test", Some(&["a.test"][..])),
            (" A.test, *.b.test,", Some(&["a.test", "*.b.test"])),
            ("~^a[0-9]$", None),
            ("a b;", None),
            ("a..test", None),
            ("-a.test", None),
            ("*", None),
            ("", None),
        ] {
            let found = aliases(text).ok();
            let found: Option<Vec<&str>> = found
                .as_ref()
                .map(|hosts| hosts.iter().map(Host::as_str).collect());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        let many = vec!["a.test"; MOST + 1].join(",");
        assert!(aliases(&many).is_err());
        for (host, expected) in [
            ("a.test", Some("www.a.test")),
            ("www.a.test", Some("a.test")),
            ("*.a.test", None),
            ("www.", None),
        ] {
            let found = of_www(host);
            assert_eq!(found.as_ref().map(Host::as_str), expected, "{host}");
        }
    }
}
