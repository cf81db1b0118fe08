//! What the annotations of one Ingress say, in ingress-nginx's dialect.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;

use crate::facts::aliases;
use crate::model::{AddressRules, CipherSuite, Host, LocalRateLimit};
use crate::objects::{Annotations, Field, Metadata, NamespacedName, Problem};
use crate::translate::reason;

use super::annotations::{self, PREFIX};
use super::authentication::{self, Authentication};
use super::canary::{self, Canary};
use super::config_map::Settings;
use super::cors::{self, CrossOrigin};
use super::errors::{self, Errors};
use super::limits;
use super::mirror::{self, MirrorTarget};
use super::mode::Compat;
use super::reader::{Closed, Reader};
use super::redirect::{self, Redirection};
use super::tls::{self, ClientTls};
use super::upstream::{self, Upstream};
use super::value;

/// What an Ingress decides for all of its paths.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// What the operator says for all.
    pub settings: Arc<Settings>,
    /// `isobath.dev/nginx-compat`; none until somebody says which.
    pub compat: Option<Compat>,
    /// `preserve-trailing-slash`.
    pub keeps_slash: bool,
    /// Which routes are closed.
    pub closed: Closed,
    /// Whether all routes of its hosts are, whoever else has some there.
    pub closes_hosts: bool,
    /// `auth-tls-secret` and its family.
    pub clients: Option<ClientTls>,
    /// `use-regex`.
    pub use_regex: bool,
    /// `rewrite-target`.
    pub rewrite: Option<Arc<str>>,
    /// `x-forwarded-prefix`.
    pub forwarded_prefix: Option<Arc<str>>,
    /// `permanent-redirect`, `temporal-redirect`.
    pub redirect: Option<Redirection>,
    /// `ssl-redirect`: to HTTPS, where the host has a certificate.
    pub ssl_redirect: bool,
    /// `force-ssl-redirect`: to HTTPS in any case.
    pub force_ssl_redirect: bool,
    /// `server-alias`.
    pub aliases: Vec<Host>,
    /// `from-to-www-redirect`.
    pub to_www: bool,
    /// `app-root`.
    pub app_root: Option<Arc<str>>,
    /// `proxy-body-size`; none for no limit.
    pub max_body: Option<NonZeroU64>,
    /// `allowlist-source-range`, `denylist-source-range`.
    pub addresses: Option<AddressRules>,
    /// `auth-type`, `auth-url`, `satisfy` and their families.
    pub authentication: Option<Box<Authentication>>,
    /// `limit-rps`, `limit-rpm`.
    pub limits: Vec<LocalRateLimit>,
    /// `enable-cors` and its family.
    pub cors: Option<CrossOrigin>,
    /// `canary` and its family: the Ingress brings no path of its own.
    pub canary: Option<Canary>,
    /// `enable-access-log`.
    pub is_logged: bool,
    /// `enable-opentelemetry`; none leaves it to the operator.
    pub is_traced: Option<bool>,
    /// `opentelemetry-operation-name`.
    pub operation: Option<Arc<str>>,
    /// `ssl-ciphers`.
    pub cipher_suites: Vec<CipherSuite>,
    /// `mirror-target`.
    pub mirror: Option<MirrorTarget>,
    /// `default-backend`, `custom-http-errors`.
    pub errors: Errors,
    /// `ssl-passthrough`.
    pub passes_tls: bool,
    /// How back ends are spoken to.
    pub upstream: Upstream,
}

impl Policy {
    /// Reads the annotations of an Ingress.
    #[must_use]
    pub fn read(metadata: &Metadata, settings: &Arc<Settings>) -> (Self, Vec<Problem>) {
        Self::of(&mut Reader::new(metadata, settings), settings)
    }

    /// What is wrong with the settings of a ConfigMap, by key.
    #[must_use]
    pub fn problems_of(name: &NamespacedName, settings: &Arc<Settings>) -> Vec<Problem> {
        let metadata = Metadata {
            name: name.clone(),
            uid: "".into(),
            created: None,
            annotations: Annotations::from_iter([]),
        };
        let mut reader = Reader::of_settings(&metadata, settings);
        let mut problems = settings.problems().to_vec();
        problems.extend(Self::of(&mut reader, settings).1);
        problems
    }

    fn of(reader: &mut Reader<'_>, settings: &Arc<Settings>) -> (Self, Vec<Problem>) {
        let (new, old) = ("allowlist-source-range", "whitelist-source-range");
        let allow = match (reader.own(new), reader.own(old)) {
            (None, Some(_)) => old,
            _ => new,
        };
        let policy = Self {
            settings: settings.clone(),
            compat: None,
            keeps_slash: reader.boolean("preserve-trailing-slash").unwrap_or(false),
            closed: Closed::No,
            closes_hosts: false,
            clients: tls::of_clients(reader),
            use_regex: reader.boolean("use-regex").unwrap_or(false),
            rewrite: reader.read("rewrite-target", value::path_with_groups),
            forwarded_prefix: reader.read("x-forwarded-prefix", forwarded_prefix),
            redirect: redirect::read(reader),
            ssl_redirect: reader.boolean("ssl-redirect").unwrap_or(true),
            force_ssl_redirect: reader.boolean("force-ssl-redirect").unwrap_or(false),
            aliases: reader.read("server-alias", aliases).unwrap_or_default(),
            to_www: reader.boolean("from-to-www-redirect").unwrap_or(false),
            app_root: reader.read("app-root", redirect::app_root),
            max_body: reader
                .read("proxy-body-size", value::size)
                .unwrap_or(NonZeroU64::new(1 << 20)),
            addresses: limits::addresses(reader, allow),
            authentication: authentication::read(reader).map(Box::new),
            limits: limits::rates(reader),
            cors: cors::read(reader),
            canary: canary::read(reader),
            is_logged: reader.boolean("enable-access-log").unwrap_or(true),
            is_traced: reader.boolean("enable-opentelemetry"),
            operation: reader.read("opentelemetry-operation-name", operation),
            cipher_suites: tls::of_hosts(reader),
            mirror: mirror::read(reader),
            errors: errors::read(reader),
            passes_tls: reader.boolean("ssl-passthrough").unwrap_or(false),
            upstream: upstream::read(reader),
        };
        let _ = reader.boolean("use-port-in-redirects");
        let _ = reader.boolean("enable-global-auth");
        if reader.boolean("opentelemetry-trust-incoming-span") == Some(false) {
            let why = "traces of clients are followed where proxies in front are trusted, as the operator says";
            reader.without_effect("opentelemetry-trust-incoming-span", why);
        }
        reader.rest(&["auth-proxy-set-headers"]);
        // What clients have to show is the host's to ask, and so holds for the paths of all Ingresses that name it.
        let is_asked = |problem: &Problem| match &problem.source.field {
            Field::Annotation(key) => {
                problem.reason == reason::ROUTE_CLOSED && key.contains("/auth-tls-")
            }
            _ => false,
        };
        let closes_hosts = reader.problems.iter().any(is_asked);
        reader.close_by_settings();
        let policy = match policy.canary {
            Some(_) => {
                of_canary(reader);
                policy
            }
            None => Self {
                closed: reader.closed,
                closes_hosts,
                ..policy
            },
        };
        (policy, std::mem::take(&mut reader.problems))
    }

    /// Whom nothing lets in, not even where one of several things is enough.
    #[must_use]
    pub fn blocked(&self) -> Option<AddressRules> {
        let blocked = &self.settings.blocked;
        (!blocked.is_empty()).then(|| AddressRules::deny(blocked.clone()))
    }

    /// Whether it answers as ingress-nginx, whatever that is.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.compat == Some(Compat::Strict)
    }

    /// How many clusters its back ends have each that no other Ingress need have.
    #[must_use]
    pub fn own_clusters(&self) -> usize {
        let each = self.upstream.own_clusters();
        match self.errors.default_backend {
            Some(_) => each + each.max(1),
            None => each,
        }
    }

    /// What is asked of requests that can't be asked of connections, but for addresses.
    #[must_use]
    pub fn asks_of_requests(&self) -> Option<&'static str> {
        if self.closed != Closed::No {
            Some("its routes are closed")
        } else if self.clients.is_some() {
            Some("clients are asked for certificates")
        } else if self.authentication.is_some() {
            Some("requests are authenticated")
        } else if !self.limits.is_empty() {
            Some("requests are counted")
        } else {
            None
        }
    }

    /// Whether a location of its answers 503.
    #[must_use]
    pub fn closes(&self, is_challenge: bool) -> bool {
        match self.closed {
            Closed::No => false,
            Closed::ButChallenges => !is_challenge,
            Closed::All => true,
        }
    }
}

/// A canary closes nothing: it has no routes, and those of which it takes a part are guarded by what their own Ingress says. Its own
/// guards are told, be they right or wrong.
fn of_canary(reader: &mut Reader<'_>) {
    let closes = |problem: &Problem| problem.reason == reason::ROUTE_CLOSED;
    let closing: BTreeSet<String> = reader
        .problems
        .iter()
        .filter(|problem| closes(problem))
        .filter_map(|problem| match &problem.source.field {
            Field::Annotation(key) => Some(key.strip_prefix(PREFIX)?.to_owned()),
            _ => None,
        })
        .collect();
    reader.problems.retain(|problem| !closes(problem));
    let has_no_effect = |name: &&str| {
        closing.contains(*name) || annotations::find(name).is_some_and(|it| it.is_guard)
    };
    for name in reader.names().into_iter().filter(has_no_effect) {
        let why = "the Ingress is a canary, and its requests are kept out by what the Ingress says whose path they have";
        reader.without_effect(name, why);
    }
}

/// The name of a span.
fn operation(text: &str) -> Result<Arc<str>, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    match text.len() <= 256 && text.bytes().all(is_name) {
        true => Ok(text.into()),
        false => Err("must have letters, digits and -_ only, and 256 of them at most".into()),
    }
}

fn forwarded_prefix(text: &str) -> Result<Arc<str>, String> {
    match value::path_with_groups(text)? {
        literal if !literal.contains('$') => Ok(literal),
        _ => Err("has a $, and is literal text here".into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::annotations::{ALIASES, ANNOTATIONS, Annotation, PREFIX, Verdict};
    use super::super::location::Location;
    use super::*;

    fn read(annotations: &[(&str, &str)]) -> (Policy, Vec<Problem>) {
        Policy::read(&metadata(annotations), &Settings::usual())
    }

    fn metadata(annotations: &[(&str, &str)]) -> Metadata {
        let annotations = annotations
            .iter()
            .map(|(name, value)| (format!("{PREFIX}{name}").into(), Arc::from(*value)));
        Metadata {
            name: NamespacedName::new("shop", "web"),
            uid: "".into(),
            created: None,
            annotations: Annotations::from_iter(annotations),
        }
    }

    /// Each guard closes its routes where its value is none, and tells it.
    #[test]
    fn no_guard_opens() {
        let guards = ANNOTATIONS.iter().filter(|it| it.is_guard);
        let aliases = ALIASES.iter().filter_map(|(old, new)| {
            let is_guard = |it: &&Annotation| it.name == *new && it.is_guard;
            ANNOTATIONS.iter().find(is_guard).map(|_| *old)
        });
        let names: Vec<&str> = guards.map(|it| it.name).chain(aliases).collect();
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            for value in ["no value; of any", "\u{e4}", "1.5", "10.0.0.0/8, bad"] {
                let (policy, problems) = read(&[(name, value)]);
                assert_ne!(policy.closed, Closed::No, "{name}: {value}");
                let is_told = |it: &Problem| it.reason == reason::ROUTE_CLOSED;
                assert!(problems.iter().any(is_told), "{name}: {problems:?}");
            }
            // Of these such a value is one by which they are off.
            let is_off = [
                "limit-rps",
                "limit-rpm",
                "limit-connections",
                "enable-modsecurity",
            ];
            for value in ["0", "f"] {
                let (policy, _) = read(&[(name, value)]);
                let is_open = policy.closed == Closed::No;
                assert!(!is_open || is_off.contains(&name), "{name}: {value}");
            }
        }
    }

    /// Keys are read as annotations are, and what is wrong with one is told of the ConfigMap alone, unless it closes.
    #[test]
    fn a_wrong_key_is_told_of_the_config_map() {
        let name = NamespacedName::new("ingress-nginx", "controller");
        for (key, value, expected) in [
            ("proxy-body-size", "1.5m", Some(reason::KEY_NOT_VALID)),
            ("whitelist-source-range", "bad", Some(reason::ROUTE_CLOSED)),
            (
                "global-auth-url",
                "ftp://a.test",
                Some(reason::ROUTE_CLOSED),
            ),
            ("custom-http-errors", "404", Some(reason::KEY_NOT_SUPPORTED)),
            ("proxy-read-timeout", "5", None),
            ("global-auth-url", "http://auth.sso.svc/", None),
        ] {
            let map = crate::objects::ConfigMap {
                metadata: Metadata {
                    name: name.clone(),
                    uid: "".into(),
                    created: None,
                    annotations: Annotations::from_iter([]),
                },
                authorities: Err("".into()),
                nginx: Some([(Arc::from(key), Some(Arc::from(value)))].into()),
            };
            let settings = Arc::new(Settings::of(&name, Some(&map)));
            let told = Policy::problems_of(&name, &settings);
            let reasons: Vec<&str> = told.iter().map(|it| it.reason).collect();
            assert_eq!(reasons, Vec::from_iter(expected), "{key}: {told:?}");
            let (policy, told) = Policy::read(&metadata(&[]), &settings);
            let closes = expected == Some(reason::ROUTE_CLOSED);
            assert_eq!(policy.closed != Closed::No, closes, "{key}");
            assert_eq!(!told.is_empty(), closes, "{key}: {told:?}");
        }
    }

    /// Nobody looks at what a canary closes, so it must not be told so.
    #[test]
    fn guards_of_a_canary_are_told_to_have_no_effect() {
        let guards = ANNOTATIONS.iter().filter(|it| it.is_guard);
        for name in guards.map(|it| it.name).chain(["whitelist-source-range"]) {
            for value in ["10.0.0.0/8", "no value; of any"] {
                let (policy, problems) = read(&[("canary", "true"), (name, value)]);
                assert_eq!(policy.closed, Closed::No, "{name}: {value}");
                assert!(!policy.closes_hosts, "{name}: {value}");
                let told = problems.iter().filter(|it| it.message.contains(name));
                let reasons: Vec<&str> = told.map(|it| it.reason).collect();
                assert_eq!(
                    reasons,
                    [reason::ANNOTATION_NOT_SUPPORTED],
                    "{name}: {value}"
                );
            }
        }
    }

    /// Nothing is dropped in silence: what takes no effect is told by name.
    #[test]
    fn what_has_no_effect_is_told() {
        for it in &ANNOTATIONS {
            if matches!(it.verdict, Verdict::Refused(_) | Verdict::NotYet) {
                let (_, problems) = read(&[(it.name, "value")]);
                let is_told = |problem: &Problem| problem.message.contains(it.name);
                assert!(problems.iter().any(is_told), "{}", it.name);
            }
        }
        let (_, problems) = read(&[("proxy-buffer-numbers", "4")]);
        assert_eq!(problems.len(), 1);
    }

    /// Of these names there is a reader for each, which sees a wrong value.
    #[test]
    fn a_wrong_value_is_told() {
        for it in &ANNOTATIONS {
            if matches!(it.verdict, Verdict::Exact | Verdict::Near(_)) {
                let unread = [
                    "affinity-canary-behavior",
                    "session-cookie-change-on-failure",
                    "session-cookie-conditional-samesite-none",
                    "upstream-hash-by-subset",
                    "upstream-hash-by-subset-size",
                ];
                let (_, problems) = read(&[(it.name, "no value; of \u{e4}")]);
                assert_eq!(
                    problems.is_empty(),
                    unread.contains(&it.name),
                    "{}",
                    it.name
                );
            }
        }
    }

    fn value() -> impl Strategy<Value = String> {
        const KNOWN: &[&str] = &[
            "true",
            "false",
            "1",
            "0",
            "-1",
            "5",
            "99999999999",
            "8m",
            "/",
            "/$1",
            "/$1$2$name",
            "https://a.test/$1",
            "10.0.0.0/8",
            "cookie",
            "GRPC",
            "error http_503",
            "a, b",
            "*",
            "https://*.a.test",
            "$request_uri",
            "never",
            "^a(b|c)$",
            "(",
            "X-A",
        ];
        prop_oneof![
            4 => select(KNOWN).prop_map(str::to_owned),
            1 => any::<String>(),
            1 => "[ -~]{0,40}",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

        /// Whatever is written, it comes to routes, few of them, and to problems that can be told.
        #[test]
        fn any_values_are_read(
            said in prop::collection::vec((select(&ANNOTATIONS[..]), value()), 0..12),
        ) {
            let said: Vec<(&str, &str)> = said.iter().map(|(it, value)| (it.name, &**value)).collect();
            let (policy, problems) = read(&said);
            let routes = Location::sample(&policy);
            prop_assert!((1..=200).contains(&routes.len()), "{}", routes.len());
            for problem in problems {
                prop_assert!(problem.message.len() < 20_000);
            }
        }
    }
}
