//! The tables.

use std::collections::BTreeSet;

use crate::row::{Row, rows};

/// The files of rows that are asked together, without flags.
pub(crate) const TABLES: &[(&str, &str)] = &[
    ("addresses", include_str!("rows/addresses.txt")),
    ("authorization", include_str!("rows/authorization.txt")),
    ("balancing", include_str!("rows/balancing.txt")),
    ("beside-ingress", include_str!("rows/beside-ingress.txt")),
    ("changes", include_str!("rows/changes.txt")),
    (
        "client-certificates",
        include_str!("rows/client-certificates.txt"),
    ),
    ("cookies", include_str!("rows/cookies.txt")),
    ("cors", include_str!("rows/cors.txt")),
    ("edge", include_str!("rows/edge.txt")),
    (
        "extension-services",
        include_str!("rows/extension-services.txt"),
    ),
    ("header-policies", include_str!("rows/header-policies.txt")),
    ("headers", include_str!("rows/headers.txt")),
    ("health", include_str!("rows/health.txt")),
    ("hosts", include_str!("rows/hosts.txt")),
    ("includes", include_str!("rows/includes.txt")),
    ("jwt", include_str!("rows/jwt.txt")),
    ("messages", include_str!("rows/messages.txt")),
    ("paths", include_str!("rows/paths.txt")),
    ("queries", include_str!("rows/queries.txt")),
    ("rate-limits", include_str!("rows/rate-limits.txt")),
    ("redirects", include_str!("rows/redirects.txt")),
    ("refused", include_str!("rows/refused.txt")),
    ("retries", include_str!("rows/retries.txt")),
    ("rewriting", include_str!("rows/rewriting.txt")),
    ("schema", include_str!("rows/schema.txt")),
    ("services", include_str!("rows/services.txt")),
    ("tcpproxy", include_str!("rows/tcpproxy.txt")),
    ("tls", include_str!("rows/tls.txt")),
    ("wrong-guards", include_str!("rows/wrong-guards.txt")),
];
/// With `--allow-external-names` and a trusted hop.
pub(crate) const EXTERNAL_NAMES: &str = include_str!("rows/external-names.txt");
/// Its flags.
pub(crate) const EXTERNAL_NAMES_FLAGS: &[&str] = &[
    "--allow-external-names",
    "--envoy-trusted-hops",
    "1",
    "--envoy-dns-lookup-family",
    "v4",
];
/// With authorization for all, and more that Contour's operator may configure.
pub(crate) const CONFIGURED: &str = include_str!("rows/configured.txt");
/// Its flags.
pub(crate) const CONFIGURED_FLAGS: &[&str] = &[
    "--global-ext-auth-extension",
    "team1/gauth",
    "--global-ext-auth-context",
    "g=1",
    "--disable-permit-insecure",
    "--envoy-merge-slashes",
    "false",
    "--envoy-server-header",
    "overwrite",
    "--envoy-idle-timeout",
    "60s",
    "--envoy-max-connection-duration",
    "1h",
    "--envoy-delayed-close-timeout",
    "2s",
    "--envoy-connection-shutdown-grace-period",
    "10s",
    "--envoy-max-requests-per-connection",
    "1000",
    "--envoy-http2-max-concurrent-streams",
    "50",
    "--envoy-upstream-connect-timeout",
    "5s",
    "--envoy-upstream-max-requests-per-connection",
    "100",
    "--envoy-upstream-buffer-limit",
    "1048576",
    "--envoy-dns-lookup-family",
    "all",
    "--circuit-breakers-max-connections",
    "1000",
    "--circuit-breakers-max-retries",
    "3",
    "--upstream-tls-minimum-protocol-version",
    "1.3",
    "--upstream-tls-cipher-suites",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "--tls-minimum-protocol-version",
    "1.3",
    "--default-http-versions",
    "HTTP/1.1",
    "--rate-limit-service-extension",
    "hp/rls",
    "--rate-limit-service-default-policy",
    r#"{"descriptors":[{"entries":[{"genericKey":{"value":"default"}}]}]}"#,
];
/// With header policies for all, and a certificate that endpoints are shown.
pub(crate) const OF_ALL: &str = include_str!("rows/of-all.txt");
/// Its flags.
pub(crate) const OF_ALL_FLAGS: &[&str] = &[
    "--tls-envoy-client-certificate",
    "hp/envoyclient",
    "--policy-request-headers-set",
    "X-Global=g",
    "--policy-request-headers-set",
    "X-Over=global",
    "--policy-request-headers-set",
    "X-Ns=%CONTOUR_NAMESPACE%",
    "--policy-request-headers-set",
    "X-Service=%CONTOUR_SERVICE_NAME%",
    "--policy-request-headers-set",
    "X-From=%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "--policy-request-headers-set",
    "X-Mixed=%REQ(x-q)% of %CONTOUR_SERVICE_NAME%",
    "--policy-request-headers-remove",
    "X-Drop",
    "--policy-response-headers-set",
    "X-Gresp=g",
    "--policy-apply-to-ingress",
];
/// With a client certificate for endpoints that is not there.
pub(crate) const CLIENT_CERTIFICATE_MISSING: &str =
    include_str!("rows/client-certificate-missing.txt");
/// With a rate limit service, and a fallback certificate.
pub(crate) const OPERATOR: &str = include_str!("rows/operator.txt");
/// Its flags.
pub(crate) const OPERATOR_FLAGS: &[&str] = &[
    "--rate-limit-service-extension",
    "hp/rls",
    "--rate-limit-service-domain",
    "dom",
    "--rate-limit-service-enable-x-ratelimit-headers",
    "--tls-fallback-certificate",
    "certs/fallback",
];
/// With a root namespace, two classes, and `--disable-permit-insecure`.
pub(crate) const ROOT_NAMESPACES: &str = include_str!("rows/root-namespaces.txt");
/// Its flags.
pub(crate) const ROOT_NAMESPACES_FLAGS: &[&str] = &[
    "--root-namespaces",
    "team1",
    "--ingress-class",
    "pub,priv",
    "--disable-permit-insecure",
];

/// For an Envoy that is started anew.
pub(crate) const RESTARTED: &str = include_str!("rows/restarted.txt");

/// All rows that there are.
pub(crate) fn all() -> Vec<Row> {
    let mut all: Vec<Row> = TABLES.iter().flat_map(|(_, text)| rows(text)).collect();
    all.extend(rows(EXTERNAL_NAMES));
    all.extend(rows(CONFIGURED));
    all.extend(rows(OF_ALL));
    all.extend(rows(CLIENT_CERTIFICATE_MISSING));
    all.extend(rows(OPERATOR));
    all.extend(rows(ROOT_NAMESPACES));
    all.extend(rows(RESTARTED));
    all
}

/// Two rows of one name would share a host, and one without an ask would say nothing.
#[test]
fn rows_are_told_apart_and_ask() {
    let all = all();
    assert!(all.len() > 330, "{}", all.len());
    let mut seen = BTreeSet::new();
    for row in &all {
        assert!(seen.insert(&row.id), "{} is there twice", row.id);
        let asks = row.steps.iter().filter(|step| match step {
            crate::row::Step::Ask(ask) => row.asks(ask),
            _ => false,
        });
        assert!(asks.count() > 0, "{} asks nothing", row.id);
    }
}
