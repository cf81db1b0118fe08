//! The table of ingress-nginx's annotations: all 136, by their names behind the prefix.
//!
//! It says what becomes of each. The reference, problems and tests are made from it or compared with it.

/// What the names begin with.
pub const PREFIX: &str = "nginx.ingress.kubernetes.io/";

/// One annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Its name, without [`PREFIX`].
    pub name: &'static str,
    /// What becomes of it.
    pub verdict: Verdict,
    /// For what it holds with ingress-nginx.
    pub scope: Scope,
    /// Whether it keeps requests out. One that can't be honoured closes the routes: 503.
    pub is_guard: bool,
}

/// What becomes of an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It means what it means with ingress-nginx.
    Exact,
    /// It means nearly that; the text says what differs.
    Near(&'static str),
    /// Envoy needs no such setting.
    NoOp,
    /// It never takes effect; the text says why.
    Refused(&'static str),
    /// It is not built.
    NotYet,
}

/// For what an annotation holds with ingress-nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The paths of the Ingress.
    Location,
    /// The whole host, whoever else has paths there.
    Server,
    /// The Service, whoever else sends requests to it. Here the paths of the Ingress.
    Upstream,
}

use Scope::{Location, Server, Upstream};
use Verdict::{Exact, Near, NoOp, NotYet, Refused};

const fn of(name: &'static str, scope: Scope, verdict: Verdict) -> Annotation {
    Annotation {
        name,
        verdict,
        scope,
        is_guard: false,
    }
}

const fn guard(name: &'static str, scope: Scope, verdict: Verdict) -> Annotation {
    Annotation {
        name,
        verdict,
        scope,
        is_guard: true,
    }
}

const BUFFERS: Verdict = NoOp;
const SNIPPET: Verdict =
    Refused("no text of an object becomes a part of the proxy's configuration");
const WAF: Verdict = Refused("there is no web application firewall");
const FASTCGI: Verdict = Refused("Envoy does not speak FastCGI");
const OF_SERVICE: &str =
    "it holds for the paths of the Ingress, and not for all that send to the Service";
const COUNTED: &str = "each path of the Ingress counts by itself, and of its requests those in clear, those by TLS, those of an allowed origin, and those that a header or cookie decides to send to a canary, or to keep from one";
const SHARED: Verdict = Refused(
    "Envoy limits the bytes of a route, and not of an answer: all clients would share them",
);

/// All of them, by what they are about.
pub const ANNOTATIONS: [Annotation; 136] = [
    // Paths, rewriting, redirects.
    of(
        "use-regex",
        Location,
        Near(
            "expressions are RE2's, and only paths of type ImplementationSpecific of this Ingress become some, and Prefix ones that look like one",
        ),
    ),
    of(
        "rewrite-target",
        Location,
        Near("%2F in a path stays as it is"),
    ),
    of("app-root", Server, Exact),
    of(
        "ssl-redirect",
        Location,
        Near("a slash at the end of the path stays"),
    ),
    of(
        "force-ssl-redirect",
        Location,
        Near("a slash at the end of the path stays"),
    ),
    of("preserve-trailing-slash", Location, Exact),
    of("use-port-in-redirects", Location, Exact),
    of("permanent-redirect", Location, Exact),
    of("permanent-redirect-code", Location, Exact),
    of("temporal-redirect", Location, Exact),
    of("temporal-redirect-code", Location, Exact),
    of("relative-redirects", Location, Exact),
    of(
        "from-to-www-redirect",
        Server,
        Near(
            "a slash at the end of the path stays, and no port is written; by TLS a certificate has to name both",
        ),
    ),
    of(
        "server-alias",
        Server,
        Near(
            "an expression (~) is none; an alias has what the Ingress's namespace has on the host, and a wildcard stands for one label",
        ),
    ),
    of("x-forwarded-prefix", Location, Near("it is literal text")),
    // Time-outs, bodies, buffers, retries.
    of("proxy-connect-timeout", Location, Exact),
    of(
        "proxy-read-timeout",
        Location,
        Near("a stream ends where both directions are silent for so long"),
    ),
    of(
        "proxy-send-timeout",
        Location,
        Near("a stream ends where both directions are silent for so long"),
    ),
    of("proxy-body-size", Location, Exact),
    of("client-body-buffer-size", Location, BUFFERS),
    of(
        "proxy-request-buffering",
        Location,
        Near("bodies stream to the back end, whatever it says"),
    ),
    of("proxy-buffering", Location, BUFFERS),
    of("proxy-buffer-size", Location, BUFFERS),
    of("proxy-buffers-number", Location, BUFFERS),
    of("proxy-busy-buffers-size", Location, BUFFERS),
    of("proxy-max-temp-file-size", Location, BUFFERS),
    of(
        "proxy-http-version",
        Location,
        Near("back ends are spoken to in HTTP/1.1"),
    ),
    of(
        "proxy-next-upstream",
        Location,
        Near(
            "what the back end has not seen is always tried again, unless it is off; beside limit-rps or limit-rpm only non_idempotent tries anything else again",
        ),
    ),
    of(
        "proxy-next-upstream-tries",
        Location,
        Near("0 is ten tries"),
    ),
    of(
        "proxy-next-upstream-timeout",
        Location,
        Near(
            "it is so many tries as can begin until then, where each is silent for proxy-read-timeout",
        ),
    ),
    // Headers.
    of(
        "upstream-vhost",
        Location,
        Near("of nginx's variables it may have $service_name, $namespace and $service_port"),
    ),
    guard(
        "custom-headers",
        Location,
        Refused(
            "no header is allowed for it; ingress-nginx answers 503 too, where its ConfigMap allows none",
        ),
    ),
    of(
        "connection-proxy-header",
        Location,
        Near("close ends a connection to a back end after each request"),
    ),
    of(
        "proxy-redirect-from",
        Location,
        Near("a path stays one, and is not made a URL of this host"),
    ),
    of("proxy-redirect-to", Location, Exact),
    of(
        "proxy-cookie-path",
        Location,
        Near("the beginning of a path is replaced, and not an expression"),
    ),
    of(
        "proxy-cookie-domain",
        Location,
        Near("a domain is replaced as a whole, and not an expression"),
    ),
    of("http2-push-preload", Location, NoOp),
    // TLS of clients.
    of(
        "ssl-passthrough",
        Server,
        Near(
            "it is for the path /, whatever the controller's flag was; what is asked of requests keeps it from taking effect, and addresses are asked for of connections",
        ),
    ),
    of(
        "ssl-ciphers",
        Server,
        Near("suites are those of TLS 1.2 that Envoy has, and the host's owner says them"),
    ),
    of(
        "ssl-prefer-server-ciphers",
        Server,
        Near("the server's order always counts"),
    ),
    guard(
        "auth-tls-secret",
        Server,
        Near(
            "of its own namespace; a client that shows none, or a bad one, is refused in the handshake and not by 400; plain HTTP beside is closed",
        ),
    ),
    of(
        "auth-tls-verify-client",
        Server,
        Near("where it is optional, back ends are not told ssl-client-verify"),
    ),
    of("auth-tls-verify-depth", Server, Exact),
    of(
        "auth-tls-error-page",
        Server,
        Near("it is for those who show no certificate, or a bad one, where one is required"),
    ),
    of("auth-tls-pass-certificate-to-upstream", Server, Exact),
    guard(
        "auth-tls-match-cn",
        Server,
        Near("the expression is RE2's, and what redirects in clear does so"),
    ),
    // TLS of back ends, and protocols.
    of("backend-protocol", Location, Near("FCGI is refused")),
    guard("proxy-ssl-secret", Server, Exact),
    of("proxy-ssl-verify", Server, Exact),
    of(
        "proxy-ssl-verify-depth",
        Server,
        Near("as many certificates may stand between as there are"),
    ),
    of("proxy-ssl-name", Server, Exact),
    of("proxy-ssl-server-name", Server, Exact),
    of("proxy-ssl-protocols", Server, Exact),
    of(
        "proxy-ssl-ciphers",
        Server,
        Near("suites are those of TLS 1.2 that Envoy has"),
    ),
    of("service-upstream", Upstream, Near(OF_SERVICE)),
    of("fastcgi-index", Location, FASTCGI),
    of("fastcgi-params-configmap", Location, FASTCGI),
    // Balancing, sessions, canaries, mirrors.
    of(
        "load-balance",
        Upstream,
        Near("ewma is the endpoint with fewer requests of two"),
    ),
    of(
        "upstream-hash-by",
        Upstream,
        Near("another endpoint has another share of the texts"),
    ),
    of(
        "upstream-hash-by-subset",
        Upstream,
        Near("all endpoints are one subset"),
    ),
    of(
        "upstream-hash-by-subset-size",
        Upstream,
        Near("all endpoints are one subset"),
    ),
    of("affinity", Upstream, Near(OF_SERVICE)),
    of(
        "affinity-mode",
        Upstream,
        Near("a persistent cookie tells the address of the endpoint"),
    ),
    of(
        "affinity-canary-behavior",
        Upstream,
        Near("the rules of a canary always decide, as with legacy"),
    ),
    of("session-cookie-name", Upstream, Exact),
    of("session-cookie-path", Upstream, Exact),
    of("session-cookie-domain", Upstream, Exact),
    of("session-cookie-samesite", Upstream, Exact),
    of(
        "session-cookie-conditional-samesite-none",
        Upstream,
        Near("browsers of before 2020 get SameSite=None too"),
    ),
    of("session-cookie-secure", Upstream, Exact),
    of("session-cookie-max-age", Upstream, Exact),
    of(
        "session-cookie-expires",
        Upstream,
        Near("the cookie has Max-Age and no Expires"),
    ),
    of(
        "session-cookie-change-on-failure",
        Upstream,
        Near("a session always moves on where its endpoint fails"),
    ),
    of("canary", Upstream, Near(OF_SERVICE)),
    of("canary-weight", Upstream, Exact),
    of(
        "canary-weight-total",
        Upstream,
        Near("a total below 100 is what it says"),
    ),
    of("canary-by-header", Upstream, Exact),
    of("canary-by-header-value", Upstream, Exact),
    of(
        "canary-by-header-pattern",
        Upstream,
        Near("the expression is RE2's"),
    ),
    of("canary-by-cookie", Upstream, Exact),
    of(
        "mirror-target",
        Location,
        Near("it is a Service of the Ingress's namespace, and copies have the path of the request"),
    ),
    of(
        "mirror-host",
        Location,
        Refused("a copy has the Host of the request"),
    ),
    of(
        "mirror-request-body",
        Location,
        Near("a copy always has the body of the request"),
    ),
    // Access: addresses, other origins, limits.
    guard("allowlist-source-range", Location, Exact),
    guard("denylist-source-range", Location, Exact),
    of("enable-cors", Location, Exact),
    of(
        "cors-allow-origin",
        Location,
        Near("an origin is the whole of it, and not its end"),
    ),
    of("cors-allow-credentials", Location, Exact),
    of("cors-allow-methods", Location, Exact),
    of("cors-allow-headers", Location, Exact),
    of("cors-expose-headers", Location, Exact),
    of("cors-max-age", Location, Exact),
    guard("limit-rps", Location, Near(COUNTED)),
    guard("limit-rpm", Location, Near(COUNTED)),
    of("limit-burst-multiplier", Location, Exact),
    guard(
        "limit-connections",
        Location,
        Refused("Envoy does not count the requests under way of a client"),
    ),
    of("limit-allowlist", Location, Exact),
    of("limit-rate", Location, SHARED),
    of("limit-rate-after", Location, SHARED),
    // Authentication.
    guard(
        "auth-type",
        Location,
        Near("digest is refused; passwords by DES and yescrypt are not checked"),
    ),
    of(
        "auth-secret",
        Location,
        Near("it is a Secret of the Ingress's own namespace"),
    ),
    of("auth-secret-type", Location, Exact),
    of("auth-realm", Location, Exact),
    guard(
        "auth-url",
        Location,
        Near(
            "it asks a Service of the Ingress's namespace in clear, one that the operator lets all ask, or a name of the outside; never an address, nor what DNS says is inside",
        ),
    ),
    of("auth-method", Location, Exact),
    of("auth-signin", Location, Exact),
    of("auth-signin-redirect-param", Location, Exact),
    of("auth-response-headers", Location, Exact),
    guard("auth-proxy-set-headers", Location, NotYet),
    of("auth-request-redirect", Location, Exact),
    of(
        "auth-always-set-cookie",
        Location,
        Near("a cookie of a yes reaches the client whatever the back end answers"),
    ),
    of(
        "auth-cache-key",
        Location,
        Near("what is known by nothing is not kept, and answers are kept by the whole URL"),
    ),
    of("auth-cache-duration", Location, Exact),
    of("auth-keepalive", Location, NoOp),
    of("auth-keepalive-share-vars", Location, NoOp),
    of("auth-keepalive-requests", Location, NoOp),
    of("auth-keepalive-timeout", Location, NoOp),
    of("enable-global-auth", Location, Exact),
    of("satisfy", Location, Exact),
    // Errors, logs, traces, firewalls, snippets.
    of(
        "custom-http-errors",
        Location,
        Near(
            "an answer of a guard, or to a HEAD, stays as it is, and so do all without a default-backend; a back end that does not answer is 503",
        ),
    ),
    of("default-backend", Location, Exact),
    of(
        "disable-proxy-intercept-errors",
        Location,
        Near("true leaves Envoy's own answers as they are, too"),
    ),
    of("enable-access-log", Location, Exact),
    of("enable-rewrite-log", Location, NoOp),
    of(
        "enable-opentelemetry",
        Location,
        Near("false is off, and how many are traced otherwise is the operator's"),
    ),
    of(
        "opentelemetry-trust-incoming-span",
        Location,
        Near("false has no effect: whether traces of clients are followed is the operator's"),
    ),
    of("opentelemetry-operation-name", Location, Exact),
    guard("enable-modsecurity", Location, WAF),
    of("enable-owasp-core-rules", Location, WAF),
    of("modsecurity-transaction-id", Location, WAF),
    of("configuration-snippet", Location, SNIPPET),
    of("server-snippet", Server, SNIPPET),
    of("stream-snippet", Server, SNIPPET),
    of("auth-snippet", Location, SNIPPET),
    of("modsecurity-snippet", Location, SNIPPET),
];

/// Older names of some.
pub const ALIASES: [(&str, &str); 2] = [
    ("whitelist-source-range", "allowlist-source-range"),
    ("limit-whitelist", "limit-allowlist"),
];

/// The entry of a name, or of what it is an older name of.
#[must_use]
pub fn find(name: &str) -> Option<&'static Annotation> {
    let mut aliases = ALIASES.iter();
    let name = aliases
        .find(|(old, _)| *old == name)
        .map_or(name, |(_, new)| new);
    ANNOTATIONS.iter().find(|it| it.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_is_there_once() {
        let names: BTreeSet<&str> = ANNOTATIONS.iter().map(|it| it.name).collect();
        assert_eq!(names.len(), ANNOTATIONS.len());
        assert_eq!(
            find("whitelist-source-range"),
            find("allowlist-source-range")
        );
        assert_eq!(find("proxy-buffer-numbers"), None);
        assert!(find("limit-whitelist").is_some());
    }
}
