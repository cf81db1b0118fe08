//! The annotations of an Ingress: what holds for all of its routes.

use std::sync::Arc;
use std::time::Duration;

use crate::facts::Dialect;
use crate::model::{HeaderModifier, Redirect, RetryPolicy, TlsSettings};
use crate::objects::{Field, Kind, Metadata, Problem};

use super::{annotation, nginx, reason, source};

/// What an Ingress decides for all of its routes. A wrong value counts as a missing one, so the routes stay.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IngressPolicy {
    /// `kubernetes.io/ingress.allow-http`: whether the routes are on plain HTTP.
    pub allow_http: bool,
    /// `ingress.kubernetes.io/force-ssl-redirect`: whether plain HTTP redirects to HTTPS. Wins over the other.
    pub force_ssl_redirect: bool,
    /// `projectcontour.io/response-timeout`, or its older name `request-timeout`; none where it is missing.
    pub timeout: Option<Duration>,
    /// `projectcontour.io/retry-on`, `num-retries`, `per-try-timeout`.
    pub retry: Option<RetryPolicy>,
    /// `projectcontour.io/tls-minimum-protocol-version`, `tls-maximum-protocol-version`.
    pub tls: TlsSettings,
    /// `isobath.dev/rewrite-prefix`.
    pub rewrite_prefix: Option<std::sync::Arc<str>>,
    /// `isobath.dev/redirect`.
    pub redirect: Option<Redirect>,
    /// `isobath.dev/request-headers`.
    pub request_headers: HeaderModifier,
    /// `isobath.dev/response-headers`.
    pub response_headers: HeaderModifier,
    /// Those of ingress-nginx, where the class asks for them.
    pub nginx: Option<Box<nginx::Policy>>,
}

impl Default for IngressPolicy {
    /// That of an Ingress without annotations.
    fn default() -> Self {
        Self {
            allow_http: true,
            force_ssl_redirect: false,
            timeout: None,
            retry: None,
            tls: TlsSettings::default(),
            rewrite_prefix: None,
            redirect: None,
            request_headers: HeaderModifier::default(),
            response_headers: HeaderModifier::default(),
            nginx: None,
        }
    }
}

impl IngressPolicy {
    /// Whether the Ingress brings no paths, and takes a part of the requests of another's.
    pub fn is_canary(&self) -> bool {
        let nginx = self.nginx.as_ref();
        nginx.is_some_and(|nginx| nginx.canary.is_some())
    }
}

/// The annotations that translation reads. `projectcontour.io/websocket-routes` is accepted and has no
/// effect, because every route takes WebSocket upgrades. With what each says, as `deploy/reference.md` has it.
pub const INGRESS_ANNOTATIONS: [(&str, &str); 18] = [
    (
        "ingress.kubernetes.io/force-ssl-redirect",
        "`\"true\"`: plain HTTP answers 301 to HTTPS",
    ),
    (
        "isobath.dev/nginx-compat",
        "`sane` or `strict`, in the place of `--nginx-compat`",
    ),
    (
        "isobath.dev/redirect",
        "`[STATUS ]TARGET`: `301 https://example.com`, `/elsewhere`; the status is 302 if missing",
    ),
    (
        "isobath.dev/request-headers",
        "headers of requests, one `Name: value` a line; no value removes the header. Values are literal",
    ),
    (
        "isobath.dev/response-headers",
        "headers of answers, likewise",
    ),
    (
        "isobath.dev/rewrite-prefix",
        "the path that takes the place of the matched one: `/` strips it",
    ),
    (
        "kubernetes.io/ingress.allow-http",
        "`\"false\"`: plain HTTP answers 404 on these paths, whatever other path would take them",
    ),
    (
        "kubernetes.io/ingress.class",
        "the class, in the place of `spec.ingressClassName`",
    ),
    (
        "projectcontour.io/ingress.class",
        "the same; it counts before the other",
    ),
    (
        "projectcontour.io/num-retries",
        "how often, 1 if missing or 0; -1 is never. Needs `retry-on`",
    ),
    (
        "projectcontour.io/per-try-timeout",
        "for each try. Needs `retry-on`",
    ),
    (
        "projectcontour.io/request-timeout",
        "the older name of `projectcontour.io/response-timeout`",
    ),
    (
        "projectcontour.io/response-timeout",
        "for the whole response: `30s`, `1m30s`, `infinity`",
    ),
    (
        "projectcontour.io/retry-on",
        "Envoy's conditions, by comma: `5xx,reset`",
    ),
    (
        "projectcontour.io/tls-cert-namespace",
        "where the Secret is; its namespace must delegate it by a TLSCertificateDelegation",
    ),
    (
        "projectcontour.io/tls-maximum-protocol-version",
        "the highest version of TLS: `\"1.2\"` or `\"1.3\"`",
    ),
    (
        "projectcontour.io/tls-minimum-protocol-version",
        "the lowest version of TLS: `\"1.2\"` or `\"1.3\"`",
    ),
    (
        "projectcontour.io/websocket-routes",
        "accepted and not needed: every route takes WebSocket upgrades",
    ),
];

/// What has no effect in the dialect of ingress-nginx, and what says it there.
const WITHOUT_EFFECT: [(&str, &str); 5] = [
    ("projectcontour.io/num-retries", "proxy-next-upstream-tries"),
    ("projectcontour.io/per-try-timeout", "proxy-read-timeout"),
    ("projectcontour.io/request-timeout", "proxy-read-timeout"),
    ("projectcontour.io/response-timeout", "proxy-read-timeout"),
    ("projectcontour.io/retry-on", "proxy-next-upstream"),
];

/// Reads the annotations of an Ingress, which mean what its dialect says.
#[must_use]
pub fn ingress_policy(
    metadata: &Metadata,
    dialect: Dialect,
    settings: &Arc<nginx::Settings>,
) -> (IngressPolicy, Vec<Problem>) {
    let mut reader = Reader {
        metadata,
        problems: Vec::new(),
    };
    let timeout = reader
        .read("projectcontour.io/response-timeout", annotation::timeout)
        .or_else(|| reader.read("projectcontour.io/request-timeout", annotation::timeout))
        .flatten();
    let policy = IngressPolicy {
        allow_http: reader
            .read("kubernetes.io/ingress.allow-http", annotation::boolean)
            .unwrap_or(true),
        force_ssl_redirect: reader
            .read(
                "ingress.kubernetes.io/force-ssl-redirect",
                annotation::boolean,
            )
            .unwrap_or(false),
        timeout,
        retry: reader.retry(),
        tls: reader.tls(),
        rewrite_prefix: reader.read("isobath.dev/rewrite-prefix", annotation::path),
        redirect: reader.read("isobath.dev/redirect", annotation::redirect),
        request_headers: reader
            .read("isobath.dev/request-headers", annotation::headers)
            .unwrap_or_default(),
        response_headers: reader
            .read("isobath.dev/response-headers", annotation::headers)
            .unwrap_or_default(),
        nginx: reader.nginx(dialect, settings),
    };
    (policy, reader.problems)
}

struct Reader<'a> {
    metadata: &'a Metadata,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn read<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = self.metadata.annotation(key)?;
        match parse(value) {
            Ok(value) => Some(value),
            Err(what) => {
                let message = format!("annotation {key} is ignored: it {what}");
                self.report(key, message);
                None
            }
        }
    }

    fn nginx(
        &mut self,
        dialect: Dialect,
        settings: &Arc<nginx::Settings>,
    ) -> Option<Box<nginx::Policy>> {
        if dialect == Dialect::Own {
            if self.metadata.annotation(nginx::COMPAT_ANNOTATION).is_some() {
                let key = nginx::COMPAT_ANNOTATION;
                let message = format!(
                    "annotation {key} has no effect: the class of this Ingress does not ask for the dialect of ingress-nginx"
                );
                self.report(key, message);
            }
            return None;
        }
        let (mut policy, problems) = nginx::Policy::read(self.metadata, settings);
        self.problems.extend(problems);
        policy.compat = self.read(nginx::COMPAT_ANNOTATION, nginx::Compat::new);
        for (key, instead) in WITHOUT_EFFECT {
            if self.metadata.annotation(key).is_some() {
                let message = format!(
                    "annotation {key} has no effect: in the dialect of ingress-nginx {}{instead} says it",
                    nginx::PREFIX
                );
                self.report(key, message);
            }
        }
        Some(Box::new(policy))
    }

    fn retry(&mut self) -> Option<RetryPolicy> {
        let retry_on = self.read("projectcontour.io/retry-on", annotation::retry_conditions);
        let num_retries = self.read("projectcontour.io/num-retries", annotation::retries);
        let per_try_timeout = self.read("projectcontour.io/per-try-timeout", annotation::timeout);
        let Some(retry_on) = retry_on else {
            let without_effect = num_retries.is_some() || per_try_timeout.is_some();
            if without_effect
                && self
                    .metadata
                    .annotation("projectcontour.io/retry-on")
                    .is_none()
            {
                let key = match num_retries {
                    Some(_) => "projectcontour.io/num-retries",
                    None => "projectcontour.io/per-try-timeout",
                };
                self.report(
                    key,
                    "annotations projectcontour.io/num-retries and per-try-timeout have no effect without projectcontour.io/retry-on".to_owned(),
                );
            }
            return None;
        };
        Some(RetryPolicy {
            retry_on,
            num_retries: num_retries.unwrap_or(1),
            per_try_timeout: per_try_timeout.flatten(),
            ..RetryPolicy::default()
        })
    }

    fn tls(&mut self) -> TlsSettings {
        let default = TlsSettings::default();
        let minimum = self.read(
            "projectcontour.io/tls-minimum-protocol-version",
            annotation::tls_version,
        );
        let maximum = self.read(
            "projectcontour.io/tls-maximum-protocol-version",
            annotation::tls_version,
        );
        let settings = TlsSettings {
            minimum: minimum.unwrap_or(default.minimum),
            maximum: maximum.unwrap_or(default.maximum),
        };
        if settings.minimum > settings.maximum {
            self.report(
                "projectcontour.io/tls-minimum-protocol-version",
                "the TLS version annotations are ignored: the minimum is above the maximum"
                    .to_owned(),
            );
            return default;
        }
        settings
    }

    fn report(&mut self, key: &str, message: String) {
        let field = Field::Annotation(key.into());
        let source = source(Kind::Ingress, &self.metadata.name, field);
        self.problems
            .push(Problem::new(source, reason::ANNOTATION_NOT_VALID, message));
    }
}
