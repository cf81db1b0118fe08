//! Flags for HTTPProxies: Contour's settings that change what objects mean, by their names there.

use std::sync::Arc;

use crate::objects::NamespacedName;
use crate::translate::{HttpProxyOptions, RateLimitService};

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
}

fn namespaced_name(text: &str) -> Result<NamespacedName, String> {
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
            rate_limit_service: self.rate_limit_service_extension.as_ref().map(|extension| {
                RateLimitService {
                    extension: extension.clone(),
                    domain: Arc::from(self.rate_limit_service_domain.as_str()),
                    fail_open: self.rate_limit_service_fail_open,
                    enable_x_ratelimit_headers: self.rate_limit_service_enable_x_ratelimit_headers,
                    enable_resource_exhausted_code: self
                        .rate_limit_service_enable_resource_exhausted_code,
                }
            }),
        }
    }
}
