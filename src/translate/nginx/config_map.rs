//! ingress-nginx's own ConfigMap (`--nginx-configmap`): what it says for all Ingresses of the dialect.
//!
//! Most of its keys are what an annotation is where an Ingress does not say it, and are read as that annotation is. What is wrong with
//! one is told of the ConfigMap, once; only a guard that can't be honoured is told of each Ingress whose routes it closes. A ConfigMap
//! that is not there may have had guards, and closes them all.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::model::{AddressSource, Cidr, Rejection};
use crate::objects::{ConfigMap, Field, FieldRef, Kind, NamespacedName, ObjectRef, Problem};
use crate::translate::reason;

use super::value;

/// Keys, and the annotation that each is where an Ingress does not have it.
const DEFAULTS: [(&str, &str); 23] = [
    ("custom-http-errors", "custom-http-errors"),
    ("denylist-source-range", "denylist-source-range"),
    (
        "disable-proxy-intercept-errors",
        "disable-proxy-intercept-errors",
    ),
    ("enable-opentelemetry", "enable-opentelemetry"),
    ("force-ssl-redirect", "force-ssl-redirect"),
    ("load-balance", "load-balance"),
    ("preserve-trailing-slash", "preserve-trailing-slash"),
    ("proxy-body-size", "proxy-body-size"),
    ("proxy-connect-timeout", "proxy-connect-timeout"),
    ("proxy-cookie-domain", "proxy-cookie-domain"),
    ("proxy-cookie-path", "proxy-cookie-path"),
    ("proxy-next-upstream", "proxy-next-upstream"),
    ("proxy-next-upstream-timeout", "proxy-next-upstream-timeout"),
    ("proxy-next-upstream-tries", "proxy-next-upstream-tries"),
    ("proxy-read-timeout", "proxy-read-timeout"),
    ("proxy-redirect-from", "proxy-redirect-from"),
    ("proxy-redirect-to", "proxy-redirect-to"),
    ("proxy-request-buffering", "proxy-request-buffering"),
    ("proxy-send-timeout", "proxy-send-timeout"),
    ("service-upstream", "service-upstream"),
    ("ssl-ciphers", "ssl-ciphers"),
    ("ssl-redirect", "ssl-redirect"),
    ("whitelist-source-range", "allowlist-source-range"),
];

/// The same of keys that hold together: where an Ingress asks nobody itself.
const GLOBAL: [(&str, &str); 9] = [
    ("global-auth-always-set-cookie", "auth-always-set-cookie"),
    ("global-auth-cache-duration", "auth-cache-duration"),
    ("global-auth-cache-key", "auth-cache-key"),
    ("global-auth-method", "auth-method"),
    ("global-auth-request-redirect", "auth-request-redirect"),
    ("global-auth-response-headers", "auth-response-headers"),
    ("global-auth-signin", "auth-signin"),
    (
        "global-auth-signin-redirect-param",
        "auth-signin-redirect-param",
    ),
    ("global-auth-url", "auth-url"),
];

/// Keys that are read here.
const OWN: [&str; 11] = [
    "block-cidrs",
    "hsts",
    "hsts-include-subdomains",
    "hsts-max-age",
    "hsts-preload",
    "http-redirect-code",
    "limit-req-status-code",
    "no-auth-locations",
    "no-tls-redirect-locations",
    "retry-non-idempotent",
    "use-http2",
];

/// Keys that guard and can't be honoured, unless they say this.
const REFUSED: [(&str, &str); 4] = [
    ("block-referers", ""),
    ("block-user-agents", ""),
    ("enable-modsecurity", "false"),
    ("enable-owasp-modsecurity-crs", "false"),
];

/// What is a flag here, or a policy of the operator's.
const FLAGS: [(&str, &str); 35] = [
    (
        "add-headers",
        "--policy-response-headers-set, with --policy-apply-to-ingress",
    ),
    ("client-body-timeout", "--envoy-request-timeout"),
    ("client-header-timeout", "--envoy-request-timeout"),
    ("compute-full-forwarded-for", "--envoy-trusted-hops"),
    ("disable-access-log", "--envoy-access-log"),
    ("enable-real-ip", "--envoy-trusted-hops"),
    ("enable-underscores-in-headers", "--envoy-underscores"),
    ("forwarded-for-header", "--envoy-trusted-hops"),
    (
        "hide-headers",
        "--policy-response-headers-remove, with --policy-apply-to-ingress",
    ),
    (
        "http2-max-concurrent-streams",
        "--envoy-http2-max-concurrent-streams",
    ),
    ("ignore-invalid-headers", "--envoy-underscores"),
    ("keep-alive", "--envoy-idle-timeout"),
    ("keep-alive-requests", "--envoy-max-requests-per-connection"),
    ("large-client-header-buffers", "--envoy-max-headers-kib"),
    ("log-format-escape-json", "--envoy-access-log"),
    (
        "log-format-upstream",
        "--envoy-access-log-text, or --envoy-access-log-fields",
    ),
    (
        "opentelemetry-operation-name",
        "nginx.ingress.kubernetes.io/opentelemetry-operation-name",
    ),
    ("otel-sampler", "--envoy-tracing-sampling"),
    ("otel-sampler-ratio", "--envoy-tracing-sampling"),
    ("otel-service-name", "--envoy-tracing-service"),
    ("otlp-collector-host", "--envoy-tracing-collector"),
    ("otlp-collector-port", "--envoy-tracing-collector"),
    ("proxy-real-ip-cidr", "--envoy-trusted-hops"),
    (
        "proxy-set-headers",
        "--policy-request-headers-set, with --policy-apply-to-ingress",
    ),
    ("server-tokens", "--envoy-server-header"),
    ("ssl-protocols", "--tls-minimum-protocol-version"),
    (
        "upstream-keepalive-requests",
        "--envoy-upstream-max-requests-per-connection",
    ),
    (
        "upstream-keepalive-timeout",
        "--envoy-upstream-idle-timeout",
    ),
    ("use-forwarded-headers", "--envoy-trusted-hops"),
    ("use-proxy-protocol", "--envoy-proxy-protocol"),
    ("use-port-in-redirects", "--envoy-https-redirect-to"),
    ("allow-backend-server-header", "--envoy-server-header"),
    ("opentelemetry-trust-incoming-span", "--envoy-trusted-hops"),
    ("http2-max-header-size", "--envoy-max-headers-kib"),
    ("proxy-protocol-header-timeout", "--envoy-proxy-protocol"),
];

/// `Strict-Transport-Security` of answers by TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hsts {
    /// How long it holds.
    pub seconds: u64,
    /// Whether for all names below.
    pub with_subdomains: bool,
    /// Whether browsers may have it built in.
    pub preload: bool,
}

/// What holds for all Ingresses of the dialect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Whose they are; none where no ConfigMap is read.
    name: Option<NamespacedName>,
    /// By annotation: the key, and its value.
    values: BTreeMap<&'static str, (&'static str, Arc<str>)>,
    /// Why all routes are closed.
    pub closes: Option<Arc<str>>,
    /// `http-redirect-code`.
    pub https_status: u16,
    /// `hsts` and its family; none where it is off.
    pub hsts: Option<Hsts>,
    /// `limit-req-status-code`.
    pub limit_status: u16,
    /// `retry-non-idempotent`.
    pub repeats_all: bool,
    /// `block-cidrs`.
    pub blocked: Vec<(AddressSource, Cidr)>,
    /// `no-tls-redirect-locations`.
    unredirected: Vec<Arc<str>>,
    /// `no-auth-locations`.
    unauthenticated: Vec<Arc<str>>,
    /// What is wrong with it, by key.
    problems: Vec<Problem>,
}

impl Default for Settings {
    /// ingress-nginx's own.
    fn default() -> Self {
        Self {
            name: None,
            values: BTreeMap::new(),
            closes: None,
            https_status: 308,
            hsts: Some(Hsts {
                seconds: 31_536_000,
                with_subdomains: true,
                preload: false,
            }),
            limit_status: 503,
            repeats_all: false,
            blocked: Vec::new(),
            unredirected: Vec::new(),
            unauthenticated: Vec::new(),
            problems: Vec::new(),
        }
    }
}

impl Settings {
    /// Where no ConfigMap is read.
    #[must_use]
    pub fn usual() -> Arc<Self> {
        static USUAL: LazyLock<Arc<Settings>> = LazyLock::new(Arc::default);
        USUAL.clone()
    }

    /// Those of this ConfigMap, if it is there.
    #[must_use]
    pub fn of(name: &NamespacedName, map: Option<&ConfigMap>) -> Self {
        let mut settings = Self {
            name: Some(name.clone()),
            ..Self::default()
        };
        let Some(data) = map.and_then(|map| map.nginx.as_deref()) else {
            let why = format!(
                "ConfigMap {name} (--nginx-configmap) does not exist, or has no key of ingress-nginx's, and it may guard them"
            );
            settings.closes = Some(why.into());
            return settings;
        };
        let mut others = Vec::new();
        for (key, value) in data {
            let Some(value) = value else {
                settings.unread(key);
                continue;
            };
            let value = value.trim();
            if !value.is_empty() {
                settings.put(key, value, &mut others);
            }
        }
        settings.tell_others(&others);
        settings.tell_without_url();
        settings
    }

    /// What an annotation is where an Ingress does not have it.
    pub fn value(&self, annotation: &str) -> Option<&str> {
        self.values.get(annotation).map(|(_, value)| &**value)
    }

    /// The key that says it, in words.
    pub fn words(&self, annotation: &str) -> Option<String> {
        let (key, _) = self.values.get(annotation)?;
        let name = self.name.as_ref()?;
        Some(format!("key {key} of ConfigMap {name}"))
    }

    /// The field that says it.
    pub fn source(&self, annotation: &str) -> Option<FieldRef> {
        let (key, _) = self.values.get(annotation)?;
        Some(of_key(self.name.as_ref()?, key))
    }

    /// Whether an annotation is of the keys that hold together.
    pub fn is_global(annotation: &str) -> bool {
        GLOBAL.iter().any(|(_, name)| *name == annotation)
    }

    /// The annotations of these.
    pub fn global() -> impl Iterator<Item = &'static str> {
        GLOBAL.iter().map(|(_, name)| *name)
    }

    /// The namespace of the ConfigMap.
    pub fn namespace(&self) -> Option<&str> {
        self.name.as_ref().map(|name| &*name.namespace)
    }

    /// Whether a path, as it is written, is served in clear whatever else is said.
    #[must_use]
    pub fn is_unredirected(&self, path: &str) -> bool {
        self.unredirected.iter().any(|it| path.starts_with(&**it))
    }

    /// The same of one of which nobody is asked.
    #[must_use]
    pub fn is_unauthenticated(&self, path: &str) -> bool {
        self.unauthenticated
            .iter()
            .any(|it| path.starts_with(&**it))
    }

    /// What is wrong with the ConfigMap, but for keys that are read as annotations are.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn put(&mut self, key: &str, value: &str, others: &mut Vec<Arc<str>>) {
        let mut named = DEFAULTS.iter().chain(&GLOBAL);
        if let Some((key, annotation)) = named.find(|(it, _)| *it == key) {
            self.values.insert(annotation, (key, value.into()));
        } else if OWN.contains(&key) {
            if let Err(what) = self.put_own(key, value) {
                self.wrong(key, &what);
            }
        } else if let Some((key, off)) = REFUSED.iter().find(|(it, _)| *it == key) {
            if value::boolean(value) != Ok(false) || off.is_empty() {
                self.close(format!(
                    "key {key}: Envoy has nothing that does what it asks for"
                ));
            }
        } else {
            others.push(key.into());
        }
    }

    fn put_own(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "http-redirect-code" => {
                self.https_status = match value::number(value)? {
                    status @ (301 | 302 | 307 | 308) => u16::try_from(status).unwrap_or(308),
                    _ => return Err("must be 301, 302, 307 or 308".into()),
                };
            }
            "limit-req-status-code" => {
                let status = u16::try_from(value::number(value)?).unwrap_or_default();
                // Of some numbers Envoy makes no answer.
                Rejection::new(status, Vec::new()).map_err(|why| format!("can't be: {why}"))?;
                self.limit_status = status;
            }
            "hsts" if !value::boolean(value)? => self.hsts = None,
            "hsts-max-age" => {
                let seconds = value::count(value)?;
                self.change_hsts(|hsts| hsts.seconds = seconds.into());
            }
            "hsts-include-subdomains" => {
                let with_subdomains = value::boolean(value)?;
                self.change_hsts(|hsts| hsts.with_subdomains = with_subdomains);
            }
            "hsts-preload" => {
                let preload = value::boolean(value)?;
                self.change_hsts(|hsts| hsts.preload = preload);
            }
            "retry-non-idempotent" => self.repeats_all = value::boolean(value)?,
            "no-tls-redirect-locations" => self.unredirected = prefixes(value)?,
            "no-auth-locations" => self.unauthenticated = prefixes(value)?,
            "block-cidrs" => match value::addresses(value) {
                Ok(ranges) => self.blocked = ranges,
                Err(what) => self.close(format!("key {key} {what}")),
            },
            // HTTP/2 is always there; `hsts: true` is what is usual.
            _ => drop(value::boolean(value)?),
        }
        Ok(())
    }

    fn change_hsts(&mut self, change: impl FnOnce(&mut Hsts)) {
        if let Some(hsts) = &mut self.hsts {
            change(hsts);
        }
    }

    /// A value that is not kept.
    fn unread(&mut self, key: &str) {
        let what = "has a value that is too long, or one that is never read";
        let is_guard = [
            "whitelist-source-range",
            "denylist-source-range",
            "block-cidrs",
            "global-auth-url",
        ];
        match is_guard.contains(&key) {
            true => self.close(format!("key {key} {what}")),
            false => self.wrong(key, what),
        }
    }

    /// Closes all routes for a guard.
    fn close(&mut self, why: String) {
        let Some(name) = &self.name else {
            return;
        };
        let message = format!(
            "the routes of all Ingresses of ingress-nginx's dialect are closed (503): {why}"
        );
        let key = why.split([' ', ':']).nth(1).unwrap_or_default();
        let problem = Problem::new(of_key(name, key), reason::ROUTE_CLOSED, message);
        self.closes.get_or_insert_with(|| {
            format!("ConfigMap {name} (--nginx-configmap) guards them by {why}").into()
        });
        self.problems.push(problem);
    }

    fn wrong(&mut self, key: &str, what: &str) {
        if let Some(name) = &self.name {
            let message = format!("key {key} is ignored: it {what}");
            let problem = Problem::new(of_key(name, key), reason::KEY_NOT_VALID, message);
            self.problems.push(problem);
        }
    }

    /// Tells what is said of who is asked where nobody is.
    fn tell_without_url(&mut self) {
        let (Some(name), None) = (self.name.clone(), self.value("auth-url")) else {
            return;
        };
        let said = GLOBAL
            .iter()
            .filter(|(_, annotation)| self.value(annotation).is_some());
        let told = said.map(|(key, _)| {
            let message = format!("key {key} has no effect: there is no global-auth-url");
            Problem::new(of_key(&name, key), reason::KEY_NOT_SUPPORTED, message)
        });
        let told: Vec<Problem> = told.collect();
        self.problems.extend(told);
    }

    /// Tells what has no effect: what is a flag here one by one, the rest together.
    fn tell_others(&mut self, others: &[Arc<str>]) {
        let Some(name) = self.name.clone() else {
            return;
        };
        let mut tell = |key: &str, message: String| {
            let problem = Problem::new(of_key(&name, key), reason::KEY_NOT_SUPPORTED, message);
            self.problems.push(problem);
        };
        let mut rest = Vec::new();
        for key in others {
            match self::key(key) {
                Err(Some(flag)) => tell(key, format!("key {key} has no effect: use {flag}")),
                _ => rest.push(&**key),
            }
        }
        if let Some(first) = rest.first() {
            /// So many are named.
            const NAMED: usize = 20;
            let named = rest
                .iter()
                .take(NAMED)
                .copied()
                .collect::<Vec<_>>()
                .join(", ");
            let more = match rest.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            tell(
                first,
                format!("what has no effect, and no counterpart here: {named}{more}"),
            );
        }
    }
}

/// What becomes of a key.
///
/// # Errors
///
/// That it has no effect, with what to use in its place, where there is something.
pub fn key(key: &str) -> Result<(), Option<&'static str>> {
    let mut read = DEFAULTS.iter().chain(&GLOBAL).map(|(key, _)| *key);
    let refused = REFUSED.iter().any(|(it, _)| *it == key);
    if read.any(|it| it == key) || OWN.contains(&key) || refused {
        return Ok(());
    }
    let flag = FLAGS.iter().find(|(it, _)| *it == key);
    Err(flag.map(|(_, flag)| *flag))
}

/// A key of the ConfigMap.
fn of_key(name: &NamespacedName, key: &str) -> FieldRef {
    let object = ObjectRef {
        kind: Kind::ConfigMap,
        name: name.clone(),
    };
    FieldRef::new(object, Field::At(format!("data.{key}").into()))
}

/// Beginnings of paths, by comma.
fn prefixes(value: &str) -> Result<Vec<Arc<str>>, String> {
    let all = value::list(value)?.into_iter();
    let all = all.map(|prefix| match prefix.starts_with('/') {
        true => Ok(Arc::from(prefix)),
        false => Err("must be paths, by comma".to_owned()),
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::objects::{Annotations, Metadata, NGINX_KEYS};

    fn settings(data: &[(&str, &str)]) -> Settings {
        let data = data.iter();
        let map = ConfigMap {
            metadata: Metadata {
                name: NamespacedName::new("ingress-nginx", "controller"),
                uid: "".into(),
                created: None,
                annotations: Annotations::from_iter([]),
            },
            authorities: Err("it has no ca.crt".into()),
            nginx: Some(
                data.map(|(key, value)| (Arc::from(*key), Some(Arc::from(*value))))
                    .collect(),
            ),
        };
        Settings::of(&map.metadata.name.clone(), Some(&map))
    }

    #[test]
    fn keys_are_known() {
        let named = DEFAULTS.iter().chain(&GLOBAL).map(|(key, _)| *key);
        let named = named.chain(OWN).chain(REFUSED.map(|(key, _)| key));
        for key in named.chain(FLAGS.map(|(key, _)| key)) {
            assert!(NGINX_KEYS.contains(&key), "{key}");
        }
        for (_, annotation) in DEFAULTS.iter().chain(&GLOBAL) {
            assert!(super::super::find(annotation).is_some(), "{annotation}");
        }
    }

    #[test]
    fn one_that_is_not_there_closes() {
        let name = NamespacedName::new("ingress-nginx", "controller");
        assert!(Settings::of(&name, None).closes.is_some());
        assert_eq!(settings(&[]).closes, None);
        for (key, value, closes) in [
            ("block-cidrs", "10.0.0.0/8", false),
            ("block-cidrs", "bad", true),
            ("block-user-agents", "~*bot", true),
            ("block-user-agents", "", false),
            ("enable-modsecurity", "true", true),
            ("enable-modsecurity", "false", false),
            ("http-redirect-code", "bad", false),
        ] {
            let found = settings(&[(key, value)]);
            assert_eq!(found.closes.is_some(), closes, "{key}: {value}");
        }
    }

    /// What is wrong is told of the ConfigMap, key by key, and what has no effect too.
    #[test]
    fn what_is_wrong_is_told() {
        for (key, value, expected) in [
            ("http-redirect-code", "404", reason::KEY_NOT_VALID),
            ("hsts-max-age", "x", reason::KEY_NOT_VALID),
            ("limit-req-status-code", "420", reason::KEY_NOT_VALID),
            ("block-cidrs", "bad", reason::ROUTE_CLOSED),
            ("global-auth-method", "GET", reason::KEY_NOT_SUPPORTED),
            ("use-forwarded-headers", "true", reason::KEY_NOT_SUPPORTED),
            ("worker-processes", "4", reason::KEY_NOT_SUPPORTED),
        ] {
            let found = settings(&[(key, value)]);
            let problem = found.problems().first().unwrap();
            assert_eq!(problem.reason, expected, "{key}");
            assert!(problem.message.contains(key), "{}", problem.message);
            let field = problem.source.field.path(None).unwrap();
            assert_eq!(field, format!("data.{key}"));
        }
        assert_eq!(
            settings(&[("proxy-body-size", "8m"), ("hsts", "false")]).problems(),
            []
        );
    }
}
