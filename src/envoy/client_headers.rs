//! What a client may say about itself: nothing that only a proxy in front of a back end can know.
//!
//! [`CLAIMS`] is the one list, and the rule for each of its rows is the same: the header is removed from every request
//! before Envoy looks at it, unless trusted hops or the names of the headers to keep say otherwise. What Envoy itself
//! writes of these (`X-Forwarded-For`, `-Proto`, `X-Envoy-External-Address`) it writes afterwards, so a back end that
//! reads the first entry of a list is told the same as one that reads the last. Routes set headers later still.

use std::collections::BTreeSet;
use std::str::FromStr;

/// What lets a header through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unless {
    /// Proxies in front that are trusted, or its name: what balancers and proxies commonly say of a connection.
    TrustedHops,
    /// Its name only. That a proxy counts as a hop does not mean that it writes, or removes, this one.
    Named,
    /// Nothing: it is Envoy's own.
    Never,
}

/// Headers that strangers must not bring, by their lower-case names; with a `*` at the end, all that begin so. Sorted.
pub const CLAIMS: [(&str, Unless); 48] = [
    ("cf-connecting-ip", Unless::Named),
    ("client-ip", Unless::Named),
    ("fastly-client-ip", Unless::Named),
    ("forwarded", Unless::TrustedHops),
    ("front-end-https", Unless::TrustedHops),
    // CGI makes HTTP_PROXY of it, which many clients take for their own proxy (CVE-2016-5385 and its siblings).
    ("proxy", Unless::Named),
    ("remote-user", Unless::Named),
    ("ssl-client-*", Unless::Named),
    ("true-client-ip", Unless::Named),
    ("x-auth-request-*", Unless::Named),
    ("x-client-ip", Unless::Named),
    ("x-cluster-client-ip", Unless::Named),
    ("x-envoy-*", Unless::Never),
    ("x-forwarded", Unless::TrustedHops),
    // Those that nobody knows. The known ones follow, for when others of them are let through.
    ("x-forwarded-*", Unless::TrustedHops),
    ("x-forwarded-access-token", Unless::Named),
    ("x-forwarded-by", Unless::TrustedHops),
    ("x-forwarded-client-cert", Unless::Never),
    ("x-forwarded-email", Unless::Named),
    ("x-forwarded-for", Unless::TrustedHops),
    ("x-forwarded-groups", Unless::Named),
    ("x-forwarded-host", Unless::TrustedHops),
    ("x-forwarded-method", Unless::Named),
    ("x-forwarded-path", Unless::Named),
    ("x-forwarded-port", Unless::TrustedHops),
    ("x-forwarded-preferred-username", Unless::Named),
    ("x-forwarded-prefix", Unless::TrustedHops),
    ("x-forwarded-proto", Unless::TrustedHops),
    ("x-forwarded-protocol", Unless::TrustedHops),
    ("x-forwarded-scheme", Unless::TrustedHops),
    ("x-forwarded-server", Unless::TrustedHops),
    ("x-forwarded-ssl", Unless::TrustedHops),
    ("x-forwarded-uri", Unless::Named),
    ("x-forwarded-user", Unless::Named),
    ("x-host", Unless::Named),
    ("x-http-host-override", Unless::Named),
    ("x-original-forwarded-for", Unless::Named),
    ("x-original-host", Unless::Named),
    ("x-original-method", Unless::Named),
    ("x-original-uri", Unless::Named),
    // Some back ends believe it over the path (CVE-2018-14773).
    ("x-original-url", Unless::Named),
    ("x-real-ip", Unless::TrustedHops),
    ("x-remote-*", Unless::Named),
    ("x-rewrite-url", Unless::Named),
    ("x-scheme", Unless::TrustedHops),
    ("x-ssl-client-*", Unless::Named),
    ("x-url-scheme", Unless::TrustedHops),
    ("x-webauth-*", Unless::Named),
];

/// A row of [`CLAIMS`] that `--envoy-keep-request-header` lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptHeader(&'static str);

impl FromStr for KeptHeader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = text.to_ascii_lowercase();
        let same = |(row, _): &&(&'static str, Unless)| *row == wanted;
        match CLAIMS.iter().find(same) {
            Some((_, Unless::Never)) => Err("it is Envoy's own and never let through".to_owned()),
            Some((row, _)) => Ok(Self(row)),
            None => match CLAIMS.iter().find(|(row, _)| covers(row, &wanted)) {
                Some((family, _)) => Err(format!("it is let through as `{family}` only")),
                None => Err("it is not removed, so it need not be kept".to_owned()),
            },
        }
    }
}

/// Whether the row is of a family, and the name belongs to it.
fn covers(row: &str, name: &str) -> bool {
    let prefix = row.strip_suffix('*');
    prefix.is_some_and(|prefix| name != row && name.starts_with(prefix))
}

/// The rows that are removed. A family goes as one where no row of it is kept, else by the names that are known.
pub(super) fn removed(trusted_hops: u32, kept: &BTreeSet<KeptHeader>) -> Vec<&'static str> {
    let is_kept = |(row, unless): &(&'static str, Unless)| {
        let named = kept.contains(&KeptHeader(row));
        match unless {
            Unless::TrustedHops => named || trusted_hops > 0,
            Unless::Named => named,
            Unless::Never => false,
        }
    };
    let (kept, mut removed): (Vec<_>, Vec<_>) = CLAIMS.into_iter().partition(is_kept);
    removed.retain(|(row, _)| !kept.iter().any(|(name, _)| covers(row, name)));
    let families = removed.clone();
    removed.retain(|(row, _)| !families.iter().any(|(family, _)| covers(family, row)));
    removed.into_iter().map(|(row, _)| row).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn removed_with(trusted_hops: u32, kept: &[&str]) -> Vec<&'static str> {
        let kept = kept.iter().map(|name| name.parse().unwrap()).collect();
        removed(trusted_hops, &kept)
    }

    #[test]
    fn rows_are_sorted_and_lower_case() {
        assert!(CLAIMS.is_sorted_by_key(|(row, _)| *row));
        for (row, _) in CLAIMS {
            assert_eq!(row, row.to_ascii_lowercase());
        }
    }

    /// Whether a name is removed: trusted hops, what is kept by name, the name, and the answer.
    #[test]
    fn a_row_is_removed_unless() {
        for (hops, kept, name, expected) in [
            (0, &[][..], "x-forwarded-for", true),
            (1, &[], "x-forwarded-for", false),
            (0, &["X-Forwarded-For"], "x-forwarded-for", false),
            (0, &[], "x-forwarded-made-up", true),
            (1, &[], "x-forwarded-made-up", false),
            (0, &["x-forwarded-user"], "x-forwarded-made-up", false),
            (0, &["x-forwarded-user"], "x-forwarded-user", false),
            (0, &["x-forwarded-user"], "x-forwarded-email", true),
            (0, &["x-forwarded-user"], "x-forwarded-host", true),
            (1, &[], "x-forwarded-user", true),
            (1, &["x-forwarded-user"], "x-forwarded-user", false),
            (1, &[], "true-client-ip", true),
            (1, &["true-client-ip"], "true-client-ip", false),
            (0, &[], "x-auth-request-user", true),
            (0, &["x-auth-request-*"], "x-auth-request-user", false),
            (9, &[], "x-envoy-made-up", true),
            (9, &[], "x-forwarded-client-cert", true),
            (0, &[], "x-request-id", false),
        ] {
            let rows = removed_with(hops, kept);
            let is_removed = rows.iter().any(|row| *row == name || covers(row, name));
            assert_eq!(is_removed, expected, "{hops} {kept:?} {name}");
        }
    }

    #[test]
    fn what_can_not_be_kept_is_told() {
        for (name, expected) in [
            ("x-envoy-*", "it is Envoy's own and never let through"),
            ("x-envoy-internal", "it is let through as `x-envoy-*` only"),
            (
                "x-auth-request-user",
                "it is let through as `x-auth-request-*` only",
            ),
            ("accept", "it is not removed, so it need not be kept"),
            ("", "it is not removed, so it need not be kept"),
        ] {
            assert_eq!(
                name.parse::<KeptHeader>(),
                Err(expected.to_owned()),
                "{name}"
            );
        }
    }
}
