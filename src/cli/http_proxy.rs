//! Flags for HTTPProxies: Contour's settings that change what objects mean, by their names there.

use std::sync::Arc;
use std::time::Duration;

use crate::objects::http_proxy::{
    AuthorizationPolicy, AuthorizationServer, AuthorizationServerBufferSettings,
    ExtensionServiceReference, GlobalRateLimitPolicy, HeaderValue, HeadersPolicy,
};
use crate::objects::{NamespacedName, global_rate_limit_policy};
use crate::process::duration::duration_within;
use crate::translate::{HeaderPolicies, HttpProxyOptions, RateLimitService};

/// What HTTPProxies may say.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "HTTPProxy")]
pub struct HttpProxyArgs {
    /// Serve root HTTPProxies of these namespaces only (comma-separated), with Secrets of these namespaces only.
    #[arg(
        long,
        env = "ISOBATH_ROOT_NAMESPACES",
        value_name = "NAMES",
        value_delimiter = ','
    )]
    pub root_namespaces: Vec<String>,
    /// Redirect every route of an HTTPProxy with TLS to HTTPS, whatever its permitInsecure says.
    #[arg(long, env = "ISOBATH_DISABLE_PERMIT_INSECURE")]
    pub disable_permit_insecure: bool,
    /// The Secret with the certificate for clients that ask for no name in TLS, or for one that nobody serves
    /// (enableFallbackCertificate).
    #[arg(
        long,
        env = "ISOBATH_TLS_FALLBACK_CERTIFICATE",
        value_name = "NAMESPACE/NAME",
        value_parser = namespaced_name
    )]
    pub tls_fallback_certificate: Option<NamespacedName>,
    /// The ExtensionService that counts requests for global rate limits of HTTPProxies; without it these say nothing.
    #[arg(
        long,
        env = "ISOBATH_RATE_LIMIT_SERVICE_EXTENSION",
        value_name = "NAMESPACE/NAME",
        value_parser = namespaced_name
    )]
    pub rate_limit_service_extension: Option<NamespacedName>,
    /// The name that the rate limit service has for the configuration of these requests.
    #[arg(
        long,
        env = "ISOBATH_RATE_LIMIT_SERVICE_DOMAIN",
        value_name = "TEXT",
        default_value = "contour"
    )]
    pub rate_limit_service_domain: String,
    /// Let requests pass that the rate limit service does not answer for.
    #[arg(long, env = "ISOBATH_RATE_LIMIT_SERVICE_FAIL_OPEN")]
    pub rate_limit_service_fail_open: bool,
    /// Tell clients what the rate limits are (X-RateLimit-Limit, -Remaining and -Reset).
    #[arg(long, env = "ISOBATH_RATE_LIMIT_SERVICE_ENABLE_X_RATELIMIT_HEADERS")]
    pub rate_limit_service_enable_x_ratelimit_headers: bool,
    /// End calls of gRPC that are too many with RESOURCE_EXHAUSTED instead of UNAVAILABLE.
    #[arg(
        long,
        env = "ISOBATH_RATE_LIMIT_SERVICE_ENABLE_RESOURCE_EXHAUSTED_CODE"
    )]
    pub rate_limit_service_enable_resource_exhausted_code: bool,
    /// What the rate limit service is told of requests of HTTPProxies that say nothing of it: a global policy as an HTTPProxy has
    /// it, in JSON ({"descriptors":[{"entries":[{"remoteAddress":{}}]}]}).
    #[arg(
        long,
        env = "ISOBATH_RATE_LIMIT_SERVICE_DEFAULT_POLICY",
        value_name = "JSON",
        requires = "rate_limit_service_extension",
        value_parser = global_rate_limit_policy
    )]
    pub rate_limit_service_default_policy: Option<GlobalRateLimitPolicy>,
    /// Who is asked about requests of all hosts.
    #[command(flatten)]
    pub global_ext_auth: GlobalExtAuthArgs,
    /// What is done to headers everywhere.
    #[command(flatten)]
    pub policy: HeaderPolicyArgs,
}

/// Who is asked about requests of all hosts.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct GlobalExtAuthArgs {
    /// The ExtensionService that is asked about requests of every host, in clear and by TLS, whose HTTPProxy does not name another;
    /// without it nobody is.
    #[arg(
        long,
        env = "ISOBATH_GLOBAL_EXT_AUTH_EXTENSION",
        value_name = "NAMESPACE/NAME",
        value_parser = namespaced_name
    )]
    pub global_ext_auth_extension: Option<NamespacedName>,
    /// How long an answer may take, an hour at most; without it what the ExtensionService says, or 200ms.
    #[arg(
        long,
        env = "ISOBATH_GLOBAL_EXT_AUTH_RESPONSE_TIMEOUT",
        value_name = "TIME",
        value_parser = answer_time
    )]
    pub global_ext_auth_response_timeout: Option<Duration>,
    /// Let requests pass that are not answered for.
    #[arg(long, env = "ISOBATH_GLOBAL_EXT_AUTH_FAIL_OPEN")]
    pub global_ext_auth_fail_open: bool,
    /// Ask only where a host or a route says so (authPolicy).
    #[arg(long, env = "ISOBATH_GLOBAL_EXT_AUTH_DISABLED")]
    pub global_ext_auth_disabled: bool,
    /// What is told with every request, where a host does not say it (may be repeated; in the variable one a
    /// line).
    #[arg(
        long,
        env = "ISOBATH_GLOBAL_EXT_AUTH_CONTEXT",
        value_name = "KEY=VALUE",
        value_delimiter = '\n',
        value_parser = pair
    )]
    pub global_ext_auth_context: Vec<(Arc<str>, Arc<str>)>,
    /// Tell so many bytes of the body with every request.
    #[arg(
        long,
        env = "ISOBATH_GLOBAL_EXT_AUTH_MAX_REQUEST_BYTES",
        value_name = "BYTES",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub global_ext_auth_max_request_bytes: Option<u32>,
    /// Tell the beginning of a body that is longer, instead of answering 413.
    #[arg(
        long,
        env = "ISOBATH_GLOBAL_EXT_AUTH_ALLOW_PARTIAL_MESSAGE",
        requires = "global_ext_auth_max_request_bytes"
    )]
    pub global_ext_auth_allow_partial_message: bool,
    /// Tell bodies that are no text.
    #[arg(
        long,
        env = "ISOBATH_GLOBAL_EXT_AUTH_PACK_AS_BYTES",
        requires = "global_ext_auth_max_request_bytes"
    )]
    pub global_ext_auth_pack_as_bytes: bool,
}

/// What is done to headers everywhere.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct HeaderPolicyArgs {
    /// Set a header of requests that no service or route of an HTTPProxy sets (may be repeated; in the variable one a line). The value may
    /// have what an HTTPProxy's may.
    #[arg(
        long,
        env = "ISOBATH_POLICY_REQUEST_HEADERS_SET",
        value_name = "NAME=VALUE",
        value_delimiter = '\n',
        value_parser = pair
    )]
    pub policy_request_headers_set: Vec<(Arc<str>, Arc<str>)>,
    /// Remove headers of requests (comma-separated).
    #[arg(
        long,
        env = "ISOBATH_POLICY_REQUEST_HEADERS_REMOVE",
        value_name = "NAMES",
        value_delimiter = ','
    )]
    pub policy_request_headers_remove: Vec<String>,
    /// Set a header of answers, likewise.
    #[arg(
        long,
        env = "ISOBATH_POLICY_RESPONSE_HEADERS_SET",
        value_name = "NAME=VALUE",
        value_delimiter = '\n',
        value_parser = pair
    )]
    pub policy_response_headers_set: Vec<(Arc<str>, Arc<str>)>,
    /// Remove headers of answers (comma-separated).
    #[arg(
        long,
        env = "ISOBATH_POLICY_RESPONSE_HEADERS_REMOVE",
        value_name = "NAMES",
        value_delimiter = ','
    )]
    pub policy_response_headers_remove: Vec<String>,
    /// Do the same on routes of Ingresses.
    #[arg(long, env = "ISOBATH_POLICY_APPLY_TO_INGRESS")]
    pub policy_apply_to_ingress: bool,
}

/// What the model takes for one; zero would be said nowhere.
fn answer_time(text: &str) -> Result<Duration, String> {
    duration_within(text, Duration::from_millis(1)..=Duration::from_secs(3600))
}

fn pair(text: &str) -> Result<(Arc<str>, Arc<str>), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err("it must be NAME=VALUE".to_owned()),
    }
}

impl GlobalExtAuthArgs {
    fn server(&self) -> Option<AuthorizationServer> {
        let extension = self.global_ext_auth_extension.as_ref()?;
        let timeout = self.global_ext_auth_response_timeout;
        let mut context = self.global_ext_auth_context.clone();
        // Of one key the last holds.
        context.reverse();
        context.sort_by(|(one, _), (other, _)| one.cmp(other));
        context.dedup_by(|(one, _), (other, _)| one == other);
        Some(AuthorizationServer {
            extension_ref: ExtensionServiceReference {
                api_version: Arc::default(),
                namespace: extension.namespace.clone(),
                name: extension.name.clone(),
            },
            auth_policy: Some(AuthorizationPolicy {
                disabled: self.global_ext_auth_disabled,
                context: context.into(),
            }),
            response_timeout: timeout.map_or_else(Arc::default, |timeout| {
                Arc::from(format!("{}ms", timeout.as_millis()))
            }),
            fail_open: self.global_ext_auth_fail_open,
            with_request_body: self.global_ext_auth_max_request_bytes.map(|bytes| {
                AuthorizationServerBufferSettings {
                    max_request_bytes: bytes,
                    allow_partial_message: self.global_ext_auth_allow_partial_message,
                    pack_as_bytes: self.global_ext_auth_pack_as_bytes,
                }
            }),
        })
    }
}

impl HeaderPolicyArgs {
    fn policies(&self) -> HeaderPolicies {
        let policy = |set: &[(Arc<str>, Arc<str>)], remove: &[String]| HeadersPolicy {
            set: set
                .iter()
                .map(|(name, value)| HeaderValue {
                    name: name.clone(),
                    value: value.clone(),
                })
                .collect(),
            remove: remove.iter().map(|name| Arc::from(name.as_str())).collect(),
        };
        HeaderPolicies {
            requests: policy(
                &self.policy_request_headers_set,
                &self.policy_request_headers_remove,
            ),
            responses: policy(
                &self.policy_response_headers_set,
                &self.policy_response_headers_remove,
            ),
            apply_to_ingress: self.policy_apply_to_ingress,
        }
    }
}

pub(super) fn namespaced_name(text: &str) -> Result<NamespacedName, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok(NamespacedName::new(namespace, name))
        }
        _ => Err("it must be NAMESPACE/NAME".to_owned()),
    }
}

impl HttpProxyArgs {
    /// For the translation.
    #[must_use]
    pub fn options(&self) -> HttpProxyOptions {
        let namespaces = self.root_namespaces.iter();
        let named = namespaces.filter(|name| !name.is_empty());
        HttpProxyOptions {
            root_namespaces: named.map(|name| Arc::from(name.as_str())).collect(),
            disable_permit_insecure: self.disable_permit_insecure,
            fallback_certificate: self.tls_fallback_certificate.clone(),
            headers: self.policy.policies(),
            global_authorization: self.global_ext_auth.server(),
            rate_limit_service: self.rate_limit_service_extension.as_ref().map(|extension| {
                RateLimitService {
                    extension: extension.clone(),
                    domain: Arc::from(self.rate_limit_service_domain.as_str()),
                    fail_open: self.rate_limit_service_fail_open,
                    enable_x_ratelimit_headers: self.rate_limit_service_enable_x_ratelimit_headers,
                    enable_resource_exhausted_code: self
                        .rate_limit_service_enable_resource_exhausted_code,
                    default_policy: self.rate_limit_service_default_policy.clone(),
                }
            }),
        }
    }
}
