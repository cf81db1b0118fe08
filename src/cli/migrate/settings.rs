//! The settings of Contour 1.33, and what each comes to.

use super::setting::Is;

/// A setting: its keys in the file, its keys below `spec` of a ContourConfiguration (either may be blank), and what it comes to.
pub type Row = (&'static str, &'static str, Is);

/// Those of TLS that Contour has.
const VERSIONS: &[(&str, &str)] = &[("1.2", "1.2"), ("1.3", "1.3")];
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
        Is::Number("--global-ext-auth-max-request-bytes"),
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
        Is::Words("--tls-minimum-protocol-version", VERSIONS),
    ),
    (
        "tls.maximum-protocol-version",
        "envoy.listener.tls.maximumProtocolVersion",
        Is::Words("--tls-maximum-protocol-version", VERSIONS),
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
        Is::ListOf("--default-http-versions", &["HTTP/1.1", "HTTP/2"]),
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
        Is::Number("--envoy-trusted-hops"),
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
        Is::Number("--envoy-max-requests-per-connection"),
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
        Is::Number("--envoy-http2-max-concurrent-streams"),
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
        Is::Words(
            "--envoy-dns-lookup-family",
            &[("auto", "auto"), ("v4", "v4"), ("v6", "v6"), ("all", "all")],
        ),
    ),
    (
        "cluster.max-requests-per-connection",
        "envoy.cluster.maxRequestsPerConnection",
        Is::Number("--envoy-upstream-max-requests-per-connection"),
    ),
    (
        "cluster.per-connection-buffer-limit-bytes",
        "envoy.cluster.per-connection-buffer-limit-bytes",
        Is::Number("--envoy-upstream-buffer-limit"),
    ),
    (
        "cluster.circuit-breakers.max-connections",
        "envoy.cluster.circuitBreakers.maxConnections",
        Is::Number("--circuit-breakers-max-connections"),
    ),
    (
        "cluster.circuit-breakers.max-pending-requests",
        "envoy.cluster.circuitBreakers.maxPendingRequests",
        Is::Number("--circuit-breakers-max-pending-requests"),
    ),
    (
        "cluster.circuit-breakers.max-requests",
        "envoy.cluster.circuitBreakers.maxRequests",
        Is::Number("--circuit-breakers-max-requests"),
    ),
    (
        "cluster.circuit-breakers.max-retries",
        "envoy.cluster.circuitBreakers.maxRetries",
        Is::Number("--circuit-breakers-max-retries"),
    ),
    (
        "cluster.circuit-breakers.per-host-max-connections",
        "envoy.cluster.circuitBreakers.perHostMaxConnections",
        Is::Number("--circuit-breakers-per-host-max-connections"),
    ),
    (
        "cluster.upstream-tls.minimum-protocol-version",
        "envoy.cluster.upstreamTLS.minimumProtocolVersion",
        Is::Words("--upstream-tls-minimum-protocol-version", VERSIONS),
    ),
    (
        "cluster.upstream-tls.maximum-protocol-version",
        "envoy.cluster.upstreamTLS.maximumProtocolVersion",
        Is::Words("--upstream-tls-maximum-protocol-version", VERSIONS),
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
