//! Contour's configuration: the file of `contour serve --config-path`, the ConfigMap that holds it, or a ContourConfiguration.
//!
//! The settings are those of Contour 1.33. One that it does not have is told, as Contour itself would refuse it.

use super::document::{Node, Says};
use super::report::{Report, Weight};
use super::setting::Is;

/// A setting: its keys in the file, its keys below `spec` of a ContourConfiguration (either may be blank), and what it comes to.
pub type Row = (&'static str, &'static str, Is);

const ADDRESSES: &str = "Isobath's manifests have its own addresses and ports";

/// All of them.
pub const SETTINGS: &[Row] = &[
    // What Contour asks of Kubernetes.
    (
        "incluster",
        "",
        Is::Fine("Isobath finds the cluster that it runs in by itself"),
    ),
    ("kubeconfig", "", Is::Flag("--kubeconfig")),
    (
        "kubernetesClientQPS",
        "",
        Is::Fine("Isobath watches, and limits what it writes by itself"),
    ),
    (
        "kubernetesClientBurst",
        "",
        Is::Fine("Isobath watches, and limits what it writes by itself"),
    ),
    ("server", "xdsServer", Is::Fine(ADDRESSES)),
    ("", "debug", Is::Fine(ADDRESSES)),
    ("", "health", Is::Fine(ADDRESSES)),
    ("", "envoy.health", Is::Fine(ADDRESSES)),
    ("", "envoy.http", Is::Fine(ADDRESSES)),
    ("", "envoy.https", Is::Fine(ADDRESSES)),
    (
        "network.admin-port",
        "envoy.network.adminPort",
        Is::Fine(ADDRESSES),
    ),
    (
        "metrics",
        "metrics",
        Is::Lost("metrics are at --metrics-address, and in clear"),
    ),
    (
        "",
        "envoy.metrics",
        Is::Lost("Envoy's metrics are at --envoy-stats-address, and in clear"),
    ),
    (
        "featureFlags",
        "featureFlags",
        Is::Fine("EndpointSlices are what Isobath reads"),
    ),
    (
        "gateway",
        "gateway",
        Is::Lost("no Gateway is chosen by its name"),
    ),
    (
        "omEnforcedHealthListener",
        "envoy.omEnforcedHealth",
        Is::Lost("there is no listener for health checks that ends under load"),
    ),
    // What objects mean.
    ("", "ingress.classNames", Is::List("--ingress-class")),
    (
        "ingress-status-address",
        "ingress.statusAddress",
        Is::Flag("--ingress-status-address"),
    ),
    ("", "envoy.service", Is::Name("--envoy-service")),
    (
        "",
        "httpproxy.rootNamespaces",
        Is::List("--root-namespaces"),
    ),
    (
        "disablePermitInsecure",
        "httpproxy.disablePermitInsecure",
        Is::Switch("--disable-permit-insecure"),
    ),
    (
        "tls.fallback-certificate",
        "httpproxy.fallbackCertificate",
        Is::Name("--tls-fallback-certificate"),
    ),
    (
        "enableExternalNameService",
        "enableExternalNameService",
        Is::Switch("--allow-external-names"),
    ),
    (
        "policy.request-headers.set",
        "policy.requestHeaders.set",
        Is::Pairs("--policy-request-headers-set"),
    ),
    (
        "policy.request-headers.remove",
        "policy.requestHeaders.remove",
        Is::List("--policy-request-headers-remove"),
    ),
    (
        "policy.response-headers.set",
        "policy.responseHeaders.set",
        Is::Pairs("--policy-response-headers-set"),
    ),
    (
        "policy.response-headers.remove",
        "policy.responseHeaders.remove",
        Is::List("--policy-response-headers-remove"),
    ),
    (
        "policy.applyToIngress",
        "policy.applyToIngress",
        Is::Switch("--policy-apply-to-ingress"),
    ),
    // Who is asked.
    (
        "rateLimitService.extensionService",
        "rateLimitService.extensionService",
        Is::Name("--rate-limit-service-extension"),
    ),
    (
        "rateLimitService.domain",
        "rateLimitService.domain",
        Is::Flag("--rate-limit-service-domain"),
    ),
    (
        "rateLimitService.failOpen",
        "rateLimitService.failOpen",
        Is::Switch("--rate-limit-service-fail-open"),
    ),
    (
        "rateLimitService.enableXRateLimitHeaders",
        "rateLimitService.enableXRateLimitHeaders",
        Is::Switch("--rate-limit-service-enable-x-ratelimit-headers"),
    ),
    (
        "rateLimitService.enableResourceExhaustedCode",
        "rateLimitService.enableResourceExhaustedCode",
        Is::Switch("--rate-limit-service-enable-resource-exhausted-code"),
    ),
    (
        "rateLimitService.defaultGlobalRateLimitPolicy",
        "rateLimitService.defaultGlobalRateLimitPolicy",
        Is::Json("--rate-limit-service-default-policy"),
    ),
    (
        "globalExtAuth.extensionService",
        "globalExtAuth.extensionRef",
        Is::Name("--global-ext-auth-extension"),
    ),
    (
        "globalExtAuth.responseTimeout",
        "globalExtAuth.responseTimeout",
        Is::Wait("--global-ext-auth-response-timeout"),
    ),
    (
        "globalExtAuth.failOpen",
        "globalExtAuth.failOpen",
        Is::Switch("--global-ext-auth-fail-open"),
    ),
    (
        "globalExtAuth.authPolicy.disabled",
        "globalExtAuth.authPolicy.disabled",
        Is::Switch("--global-ext-auth-disabled"),
    ),
    (
        "globalExtAuth.authPolicy.context",
        "globalExtAuth.authPolicy.context",
        Is::Pairs("--global-ext-auth-context"),
    ),
    (
        "globalExtAuth.withRequestBody.maxRequestBytes",
        "globalExtAuth.withRequestBody.maxRequestBytes",
        Is::Flag("--global-ext-auth-max-request-bytes"),
    ),
    (
        "globalExtAuth.withRequestBody.allowPartialMessage",
        "globalExtAuth.withRequestBody.allowPartialMessage",
        Is::Switch("--global-ext-auth-allow-partial-message"),
    ),
    (
        "globalExtAuth.withRequestBody.packAsBytes",
        "globalExtAuth.withRequestBody.packAsBytes",
        Is::Switch("--global-ext-auth-pack-as-bytes"),
    ),
    // Traces.
    (
        "tracing.extensionService",
        "tracing.extensionService",
        Is::Lost(
            "traces go to --envoy-tracing-collector, which is an address and no ExtensionService, and no span names the pod",
        ),
    ),
    (
        "tracing.serviceName",
        "tracing.serviceName",
        Is::Flag("--envoy-tracing-service"),
    ),
    (
        "tracing.overallSampling",
        "tracing.overallSampling",
        Is::Percent("--envoy-tracing-sampling"),
    ),
    (
        "tracing.customTags",
        "tracing.customTags",
        Is::Tags("--envoy-tracing-tag"),
    ),
    (
        "tracing.includePodDetail",
        "tracing.includePodDetail",
        Is::Lost("no span names the pod"),
    ),
    (
        "tracing.maxPathTagLength",
        "tracing.maxPathTagLength",
        Is::LostBut("256", "a path in a span is cut after 256 bytes"),
    ),
    // TLS.
    (
        "tls.minimum-protocol-version",
        "envoy.listener.tls.minimumProtocolVersion",
        Is::Flag("--tls-minimum-protocol-version"),
    ),
    (
        "tls.maximum-protocol-version",
        "envoy.listener.tls.maximumProtocolVersion",
        Is::Flag("--tls-maximum-protocol-version"),
    ),
    (
        "tls.cipher-suites",
        "envoy.listener.tls.cipherSuites",
        Is::Ciphers("--tls-cipher-suites"),
    ),
    (
        "tls.envoy-client-certificate",
        "envoy.clientCertificate",
        Is::Name("--tls-envoy-client-certificate"),
    ),
    (
        "default-http-versions",
        "envoy.defaultHTTPVersions",
        Is::List("--default-http-versions"),
    ),
    // What clients may do.
    (
        "timeouts.request-timeout",
        "envoy.timeouts.requestTimeout",
        Is::Limit("--envoy-request-timeout"),
    ),
    (
        "timeouts.connection-idle-timeout",
        "envoy.timeouts.connectionIdleTimeout",
        Is::Time("--envoy-idle-timeout"),
    ),
    (
        "timeouts.stream-idle-timeout",
        "envoy.timeouts.streamIdleTimeout",
        Is::Time("--envoy-stream-idle-timeout"),
    ),
    (
        "timeouts.max-connection-duration",
        "envoy.timeouts.maxConnectionDuration",
        Is::Time("--envoy-max-connection-duration"),
    ),
    (
        "timeouts.delayed-close-timeout",
        "envoy.timeouts.delayedCloseTimeout",
        Is::Time("--envoy-delayed-close-timeout"),
    ),
    (
        "timeouts.connection-shutdown-grace-period",
        "envoy.timeouts.connectionShutdownGracePeriod",
        Is::Time("--envoy-connection-shutdown-grace-period"),
    ),
    (
        "timeouts.connect-timeout",
        "envoy.timeouts.connectTimeout",
        Is::Length("--envoy-upstream-connect-timeout"),
    ),
    (
        "network.num-trusted-hops",
        "envoy.network.numTrustedHops",
        Is::Flag("--envoy-trusted-hops"),
    ),
    (
        "network.strip-trailing-host-dot",
        "envoy.network.stripTrailingHostDot",
        Is::Fine("a host with a dot at its end is the host without, always"),
    ),
    (
        "disableAllowChunkedLength",
        "envoy.listener.disableAllowChunkedLength",
        Is::Fine("a message with Content-Length and Transfer-Encoding is refused, always"),
    ),
    (
        "disableMergeSlashes",
        "envoy.listener.disableMergeSlashes",
        Is::Not("--envoy-merge-slashes"),
    ),
    (
        "serverHeaderTransformation",
        "envoy.listener.serverHeaderTransformation",
        Is::Words(
            "--envoy-server-header",
            &[
                ("overwrite", "overwrite"),
                ("append_if_absent", "append-if-absent"),
                ("pass_through", "pass-through"),
            ],
        ),
    ),
    (
        "compression.algorithm",
        "envoy.listener.compression.algorithm",
        Is::LostBut("disabled", "answers are passed on as back ends write them"),
    ),
    (
        "",
        "envoy.listener.useProxyProtocol",
        Is::Switch("--envoy-proxy-protocol"),
    ),
    (
        "listener.connection-balancer",
        "envoy.listener.connectionBalancer",
        Is::Lost("the kernel spreads connections over Envoy's threads"),
    ),
    (
        "listener.max-requests-per-connection",
        "envoy.listener.maxRequestsPerConnection",
        Is::Flag("--envoy-max-requests-per-connection"),
    ),
    (
        "listener.per-connection-buffer-limit-bytes",
        "envoy.listener.per-connection-buffer-limit-bytes",
        Is::Lost("a client's connection holds back 32 KiB"),
    ),
    (
        "listener.socket-options",
        "envoy.listener.socketOptions",
        Is::Lost("packets are not marked"),
    ),
    (
        "listener.max-requests-per-io-cycle",
        "envoy.listener.maxRequestsPerIOCycle",
        Is::Lost("a client's requests are read as they come"),
    ),
    (
        "listener.http2-max-concurrent-streams",
        "envoy.listener.httpMaxConcurrentStreams",
        Is::Flag("--envoy-http2-max-concurrent-streams"),
    ),
    (
        "listener.max-connections-per-listener",
        "envoy.listener.maxConnectionsPerListener",
        Is::Lost("Envoy's bootstrap limits the connections of all listeners together"),
    ),
    // How endpoints are spoken to.
    (
        "cluster.dns-lookup-family",
        "envoy.cluster.dnsLookupFamily",
        Is::Flag("--envoy-dns-lookup-family"),
    ),
    (
        "cluster.max-requests-per-connection",
        "envoy.cluster.maxRequestsPerConnection",
        Is::Flag("--envoy-upstream-max-requests-per-connection"),
    ),
    (
        "cluster.per-connection-buffer-limit-bytes",
        "envoy.cluster.per-connection-buffer-limit-bytes",
        Is::Flag("--envoy-upstream-buffer-limit"),
    ),
    (
        "cluster.circuit-breakers.max-connections",
        "envoy.cluster.circuitBreakers.maxConnections",
        Is::Flag("--circuit-breakers-max-connections"),
    ),
    (
        "cluster.circuit-breakers.max-pending-requests",
        "envoy.cluster.circuitBreakers.maxPendingRequests",
        Is::Flag("--circuit-breakers-max-pending-requests"),
    ),
    (
        "cluster.circuit-breakers.max-requests",
        "envoy.cluster.circuitBreakers.maxRequests",
        Is::Flag("--circuit-breakers-max-requests"),
    ),
    (
        "cluster.circuit-breakers.max-retries",
        "envoy.cluster.circuitBreakers.maxRetries",
        Is::Flag("--circuit-breakers-max-retries"),
    ),
    (
        "cluster.circuit-breakers.per-host-max-connections",
        "envoy.cluster.circuitBreakers.perHostMaxConnections",
        Is::Flag("--circuit-breakers-per-host-max-connections"),
    ),
    (
        "cluster.upstream-tls.minimum-protocol-version",
        "envoy.cluster.upstreamTLS.minimumProtocolVersion",
        Is::Flag("--upstream-tls-minimum-protocol-version"),
    ),
    (
        "cluster.upstream-tls.maximum-protocol-version",
        "envoy.cluster.upstreamTLS.maximumProtocolVersion",
        Is::Flag("--upstream-tls-maximum-protocol-version"),
    ),
    (
        "cluster.upstream-tls.cipher-suites",
        "envoy.cluster.upstreamTLS.cipherSuites",
        Is::Ciphers("--upstream-tls-cipher-suites"),
    ),
    // Logs.
    (
        "accesslog-format",
        "envoy.logging.accessLogFormat",
        Is::Words("--envoy-access-log", &[("envoy", "text"), ("json", "json")]),
    ),
    (
        "accesslog-format-string",
        "envoy.logging.accessLogFormatString",
        Is::LogText("--envoy-access-log-text"),
    ),
    (
        "json-fields",
        "envoy.logging.accessLogJSONFields",
        Is::LogFields("--envoy-access-log-fields"),
    ),
    (
        "accesslog-level",
        "envoy.logging.accessLogLevel",
        Is::LostBut(
            "info",
            "every request is logged, and none with `--envoy-access-log=off`",
        ),
    ),
];

/// Keys that are read together: where the addresses of a Service are what objects get as theirs.
const ENVOY_SERVICE: [&str; 2] = ["envoy-service-namespace", "envoy-service-name"];

/// Reads a configuration.
///
/// # Errors
///
/// The line, and one sentence, where it is none.
pub fn contour(text: &str) -> Result<Report, (u64, String)> {
    let document = Node::read(text)?;
    let kind = document.of("kind").and_then(Node::word);
    let mut report = Report::default();
    match kind {
        None => file(&document, &mut report),
        Some("ConfigMap") => {
            let data = document.of("data");
            let held = data.and_then(|data| data.of("contour.yaml"));
            let Some((held, text)) = held.and_then(|held| Some((held, held.word()?))) else {
                let line = data.map_or(document.line, |data| data.line);
                return Err((line, "the ConfigMap has no data.contour.yaml".to_owned()));
            };
            // The text begins in the line behind its key.
            let inner = Node::read(text).map_err(|(line, why)| (line + held.line, why))?;
            file(&inner.below(held.line), &mut report);
        }
        Some("ContourConfiguration") => custom(document.of("spec"), "spec", &mut report),
        Some("ContourDeployment") => {
            let spec = document.of("spec");
            let runtime = spec.and_then(|spec| spec.of("runtimeSettings"));
            custom(runtime, "spec.runtimeSettings", &mut report);
        }
        Some(other) => {
            let why = format!(
                "it is a {other:?}, and no configuration file of Contour's, ConfigMap or ContourConfiguration"
            );
            return Err((document.line, why));
        }
    }
    Ok(report)
}

fn file(document: &Node, report: &mut Report) {
    read(document, |(file, ..)| file, report);
    let [namespace, name] = ENVOY_SERVICE.map(|key| document.of(key).and_then(Node::word));
    if namespace.is_some() || name.is_some() {
        // Contour's defaults.
        let (namespace, name) = (
            namespace.unwrap_or("projectcontour"),
            name.unwrap_or("envoy"),
        );
        report
            .flags
            .push(format!("--envoy-service={namespace}/{name}"));
    }
}

fn custom(spec: Option<&Node>, at: &str, report: &mut Report) {
    let mut found = Report::default();
    if let Some(spec) = spec {
        read(spec, |(_, custom, _)| custom, &mut found);
    }
    for note in &mut found.notes {
        note.setting = format!("{at}.{}", note.setting);
    }
    report.flags.append(&mut found.flags);
    report.notes.append(&mut found.notes);
}

/// Reads all settings, and what some of them mean for others.
fn read(settings: &Node, key: fn(&Row) -> &'static str, report: &mut Report) {
    walk(settings, "", key, report);
    let below = |group, key| settings.of(group).and_then(|group| group.of(key));
    // Contour tells something of the body as soon as this is there, and this much of it where nobody says how much.
    if let Some(told) = below("globalExtAuth", "withRequestBody")
        && matches!(told.says, Says::Map(_))
        && told.of("maxRequestBytes").is_none_or(Node::is_unsaid)
    {
        let flag = "--global-ext-auth-max-request-bytes=1024";
        report.flags.push(flag.to_owned());
    }
    let counts = below("rateLimitService", "extensionService");
    if counts.is_none_or(Node::is_unsaid)
        && let Some(policy) = below("rateLimitService", "defaultGlobalRateLimitPolicy")
    {
        let is_policy = |flag: &String| flag.starts_with("--rate-limit-service-default-policy=");
        report.flags.retain(|flag| !is_policy(flag));
        report.note(
            policy.line,
            "rateLimitService.defaultGlobalRateLimitPolicy",
            Weight::Fine,
            "it says nothing without rateLimitService.extensionService, in Contour neither",
        );
    }
}

/// Goes over all that is said.
fn walk(node: &Node, path: &str, key: fn(&Row) -> &'static str, report: &mut Report) {
    let Says::Map(entries) = &node.says else {
        if !node.is_unsaid() {
            let sentence = "it is no setting, but a group of them";
            report.note(node.line, path, Weight::Wrong, sentence);
        }
        return;
    };
    for (name, value) in entries {
        let path = match path.is_empty() {
            true => name.clone(),
            false => format!("{path}.{name}"),
        };
        if let Some((.., is)) = SETTINGS.iter().find(|row| key(row) == path) {
            is.carry(&path, value, report);
            continue;
        }
        let group = format!("{path}.");
        if SETTINGS.iter().any(|row| key(row).starts_with(&group)) {
            walk(value, &path, key, report);
        } else if !ENVOY_SERVICE.contains(&path.as_str()) {
            let sentence = "Contour 1.33 has no such setting";
            report.note(value.line, &path, Weight::Wrong, sentence);
        }
    }
}
