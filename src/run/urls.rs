//! What to open and what to type: one URL and one curl line per host.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::k8s::Ingress;

use super::reachable;

/// What is known of a host.
#[derive(Default)]
struct Served {
    /// The shortest path that has a route: most often the front page.
    path: Option<Arc<str>>,
    tls: bool,
}

/// The list for a terminal: each host, its URL (by HTTPS where the host has TLS), and a curl line that works as it
/// stands. Names under `localhost` need no entry in /etc/hosts; for others the curl line brings the address.
pub fn list<'a>(
    ingresses: impl IntoIterator<Item = &'a Ingress>,
    http: SocketAddr,
    https: SocketAddr,
) -> String {
    let mut hosts: BTreeMap<Arc<str>, Served> = BTreeMap::new();
    for ingress in ingresses {
        for (host, path, tls) in routes(ingress) {
            let served = hosts.entry(host).or_default();
            served.tls |= tls;
            if served
                .path
                .as_ref()
                .is_none_or(|old| (path.len(), &path) < (old.len(), old))
            {
                served.path = Some(path);
            }
        }
    }
    let mut text = String::new();
    for (host, served) in &hosts {
        let (url, curl) = lines(host, served, http, https);
        // Writing to a String can't fail.
        let _ = writeln!(text, "  {url}\n      {curl}");
    }
    if text.is_empty() {
        text.push_str("  no Ingress has a route\n");
    }
    text
}

/// Every host of the Ingress with a path of it, and whether it has TLS.
fn routes(ingress: &Ingress) -> Vec<(Arc<str>, Arc<str>, bool)> {
    let mut routes = Vec::new();
    for rule in &ingress.rules {
        let host = rule.host.clone().unwrap_or_else(|| "*".into());
        for path in &rule.paths {
            routes.push((host.clone(), path.path.clone(), has_tls(ingress, &host)));
        }
        if ingress.default_backend.is_some() {
            routes.push((host.clone(), "/".into(), has_tls(ingress, &host)));
        }
    }
    if ingress.default_backend.is_some() && ingress.rules.is_empty() {
        routes.push(("*".into(), "/".into(), false));
    }
    routes
}

/// Whether one of `tls` with a Secret names the host, or a wildcard above it, or no host at all.
fn has_tls(ingress: &Ingress, host: &str) -> bool {
    let covers = |name: &Arc<str>| {
        let parent = |name: &str| name.split_once('.').map(|(_, parent)| parent.to_owned());
        **name == *host || (name.starts_with("*.") && parent(name) == parent(host))
    };
    ingress
        .tls
        .iter()
        .filter(|tls| tls.secret_name.is_some() && host != "*")
        .any(|tls| tls.hosts.is_empty() || tls.hosts.iter().any(covers))
}

fn lines(host: &str, served: &Served, http: SocketAddr, https: SocketAddr) -> (String, String) {
    let (scheme, address, usual) = if served.tls {
        ("https", reachable(https), 443)
    } else {
        ("http", reachable(http), 80)
    };
    // `curl -k`: the certificate may be one that was made a moment ago.
    let options = if served.tls { "-k " } else { "" };
    let path = served.path.as_deref().unwrap_or("/");
    let port = match address.port() {
        port if port == usual => String::new(),
        port => format!(":{port}"),
    };
    let name = match host.strip_prefix("*.") {
        _ if host == "*" => address.ip().to_string(),
        Some(parent) => format!("any.{parent}"),
        None => host.to_owned(),
    };
    let name_in_url = if name.contains(':') {
        format!("[{name}]")
    } else {
        name.clone()
    };
    let url = format!("{scheme}://{name_in_url}{port}{path}");
    let resolves = host == "*" || name == "localhost" || name.ends_with(".localhost");
    let curl = if resolves {
        format!("curl {options}{url}")
    } else {
        let ip = match address {
            SocketAddr::V4(v4) => v4.ip().to_string(),
            SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
        };
        format!(
            "curl {options}--resolve {name}:{}:{ip} {url}",
            address.port()
        )
    };
    (url, curl)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::super::overlay::tests::{ingress, tls};
    use super::*;

    fn check(ingresses: &[Ingress], expected: &[&str]) {
        let http = "0.0.0.0:8080".parse().unwrap();
        let https = "127.0.0.1:443".parse().unwrap();
        let text = list(ingresses, http, https);
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn every_host_has_a_url_and_a_curl_line() {
        check(&[], &["no Ingress has a route"]);
        check(
            &[
                ingress(
                    "web",
                    &[("shop.localhost", "/api"), ("shop.localhost", "/")],
                ),
                ingress("other", &[("shop.localhost", "/a")]),
            ],
            &[
                "http://shop.localhost:8080/",
                "curl http://shop.localhost:8080/",
            ],
        );
        check(
            &[ingress("web", &[("shop.example.com", "/api"), ("*", "/")])],
            &[
                "http://127.0.0.1:8080/",
                "curl http://127.0.0.1:8080/",
                "http://shop.example.com:8080/api",
                "curl --resolve shop.example.com:8080:127.0.0.1 http://shop.example.com:8080/api",
            ],
        );
    }

    #[test]
    fn tls_hosts_are_shown_with_https() {
        let web = ingress(
            "web",
            &[
                ("a.localhost", "/"),
                ("b.example.com", "/"),
                ("c.localhost", "/"),
            ],
        );
        check(
            &[tls(web, "some", &["a.localhost", "*.example.com"])],
            &[
                "https://a.localhost/",
                "curl -k https://a.localhost/",
                "https://b.example.com/",
                "curl -k --resolve b.example.com:443:127.0.0.1 https://b.example.com/",
                "http://c.localhost:8080/",
                "curl http://c.localhost:8080/",
            ],
        );
    }
}
