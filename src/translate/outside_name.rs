//! Names of hosts outside of the cluster, where an object chooses one that Envoy is to reach: of a Service of type ExternalName, and
//! of whoever publishes the keys of tokens.
//!
//! Never an address in any spelling that a resolver takes for one, nor a name that is known to lead to the pod, the node, another
//! tenant's Service or the cloud's metadata. What a name resolves to is the resolver's.

use std::net::IpAddr;

use super::annotation;

/// Whether it is one.
///
/// # Errors
///
/// What it is instead: the rest of a sentence that begins with the name.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    // inet_aton takes one to four parts, decimal, octal or hexadecimal: 127.1, 0x7f000001, 017700000001.
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = !last.is_empty() && (is_digits(last) || last.starts_with("0x"));
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if is_number || bare.parse::<IpAddr>().is_ok() {
        return Err("is an address");
    }
    let name = annotation::dns_name(&name).map_err(|_| "is no DNS name")?;
    let is_below = |domain: &str| {
        *name == *domain
            || name
                .strip_suffix(domain)
                .is_some_and(|rest| rest.ends_with('.'))
    };
    let forbidden = [
        "localhost",
        "localdomain",
        "localdomain4",
        "localdomain6",
        "local",
        "internal",
        "svc",
        // Contour's name for 127.0.0.1, which its documentation is full of.
        "local.projectcontour.io",
    ];
    if !name.contains('.') || forbidden.into_iter().any(is_below) {
        return Err("leads inside the cluster");
    }
    // By RFC 6761 nobody has such a name, and programs of ours use it for what is no host.
    if is_below("invalid") {
        return Err("leads nowhere");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_outside_are_taken_and_no_others() {
        for (name, expected) in [
            ("keys.example", Ok(())),
            ("KEYS.example.com.", Ok(())),
            ("127.0.0.1", Err("is an address")),
            ("10.0.0.1", Err("is an address")),
            ("169.254.169.254", Err("is an address")),
            ("127.1", Err("is an address")),
            ("0x7f000001", Err("is an address")),
            ("017700000001", Err("is an address")),
            ("::1", Err("is an address")),
            ("[::1]", Err("is an address")),
            ("[fd00::1]", Err("is an address")),
            ("", Err("is no DNS name")),
            ("a_b.example", Err("is no DNS name")),
            ("user@keys.example", Err("is no DNS name")),
            ("localhost", Err("leads inside the cluster")),
            ("x.localhost", Err("leads inside the cluster")),
            ("localhost.localdomain", Err("leads inside the cluster")),
            ("metadata", Err("leads inside the cluster")),
            ("metadata.google.internal", Err("leads inside the cluster")),
            ("web.other.svc", Err("leads inside the cluster")),
            (
                "web.other.svc.cluster.local.",
                Err("leads inside the cluster"),
            ),
            ("local.projectcontour.io", Err("leads inside the cluster")),
            ("6e73.cluster.invalid", Err("leads nowhere")),
            ("invalid.example", Ok(())),
        ] {
            assert_eq!(check_name(name), expected, "{name:?}");
        }
    }
}
