//! Hostnames of listeners and routes. A wildcard stands for names of any depth.

use crate::model::Host;

/// The hostname of an object, all names where it says none.
pub fn host(name: Option<&std::sync::Arc<str>>) -> Host {
    name.map_or_else(Host::any, |name| Host::new(name.clone()))
}

/// Whether one hostname stands for all names that another one stands for.
pub fn covers(wide: &Host, narrow: &Host) -> bool {
    let is_below = |suffix: &str| narrow.as_str().ends_with(suffix);
    wide.is_any() || wide == narrow || wide.wildcard_suffix().is_some_and(is_below)
}

/// The names that both stand for, if there is any: one of the two.
pub fn common(one: &Host, other: &Host) -> Option<Host> {
    if covers(one, other) {
        return Some(other.clone());
    }
    covers(other, one).then(|| one.clone())
}

/// The hostnames that cover one, itself first, the narrower before the wider, and `*` last.
pub fn covering(host: &Host) -> Vec<Host> {
    let mut hosts = vec![host.clone()];
    if !host.is_any() {
        hosts.extend(host.wildcards_above());
        hosts.push(Host::any());
    }
    hosts
}

/// Ranks hostnames that cover one name: the narrowest has the smallest rank.
pub fn rank(host: &Host) -> (bool, std::cmp::Reverse<usize>) {
    let length = match host.is_any() {
        true => 0,
        false => host.as_str().len(),
    };
    (host.is_wildcard(), std::cmp::Reverse(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_of_any_depth() {
        for (one, other, expected) in [
            ("*", "*", Some("*")),
            ("*", "a.test", Some("a.test")),
            ("*.test", "a.test", Some("a.test")),
            ("*.test", "b.a.test", Some("b.a.test")),
            ("*.test", "*.a.test", Some("*.a.test")),
            ("*.a.test", "a.test", None),
            ("*.a.test", "b.test", None),
            ("a.test", "b.test", None),
            ("*.a.test", "*.b.test", None),
            ("*.est", "a.test", None),
        ] {
            let (one, other) = (Host::new(one), Host::new(other));
            let expected = expected.map(Host::new);
            assert_eq!(common(&one, &other), expected, "{one} {other}");
            assert_eq!(common(&other, &one), expected, "{other} {one}");
        }
        let names = |host: &str| -> Vec<String> {
            let hosts = covering(&Host::new(host)).into_iter();
            hosts.map(|host| host.to_string()).collect()
        };
        assert_eq!(names("a.b.test"), ["a.b.test", "*.b.test", "*.test", "*"]);
        assert_eq!(names("*.b.test"), ["*.b.test", "*.test", "*"]);
        assert_eq!(names("*"), ["*"]);
        let mut hosts = ["*", "*.test", "a.b.test", "*.b.test"].map(Host::new);
        hosts.sort_by_key(rank);
        let sorted = hosts.each_ref().map(Host::as_str);
        assert_eq!(sorted, ["a.b.test", "*.b.test", "*.test", "*"]);
    }
}
