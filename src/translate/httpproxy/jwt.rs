//! `virtualhost.jwtProviders`: who issues the tokens that requests by TLS must bring.
//!
//! Keys are fetched by name, from a host of the outside that the owner of the proxy chooses ([`outside_name`]).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    ClusterSettings, DnsLookupFamily, JwtKeys, JwtProvider, JwtProviders, JwtRequirement,
    RemoteKeys, ServerName, UpstreamProtocol, UpstreamTls, Verification,
};
use crate::objects::http_proxy::{
    self, HttpProxy, JwtVerificationPolicy, RemoteJwks, UpstreamValidation,
};
use crate::translate::{ClusterSource, NamedBackend, budget, outside_name};

use super::condition::{self, Fault, Kind};
use super::context::Context;
use super::duration::{Timeout, duration, timeout};
use super::tcp;
use super::upstream_validation::{self, Words};

/// How long fetching keys may take, and how long they are kept, where nobody says.
const TIMEOUT: Duration = Duration::from_secs(1);
const KEPT: Duration = Duration::from_secs(300);

/// A host's providers, and the one whose tokens its routes require where they don't say.
#[derive(Clone, Debug, Default)]
pub struct Providers {
    /// By name.
    pub providers: JwtProviders,
    default: Option<Arc<str>>,
}

impl Providers {
    /// What a route requires; `None` for nothing.
    ///
    /// # Errors
    ///
    /// The name of a provider that the host does not have. Then no request passes.
    #[must_use]
    pub fn of_route(
        &self,
        policy: Option<&JwtVerificationPolicy>,
    ) -> (Option<JwtRequirement>, Option<Fault>) {
        let Some(name) = self.required(policy) else {
            return (None, None);
        };
        let fault = (!self.providers.contains(name)).then(|| {
            let message = format!("Route references an undefined JWT provider \"{name}\"");
            Fault::new(condition::JWT_NOT_DEFINED, message)
        });
        let requirement = JwtRequirement {
            providers: BTreeSet::from([name.clone()]),
            may_be_missing: false,
        };
        (Some(requirement), fault)
    }

    /// Whether a route requires a token.
    #[must_use]
    pub fn is_required(&self, policy: Option<&JwtVerificationPolicy>) -> bool {
        self.required(policy).is_some()
    }

    /// What that costs, without making it.
    #[must_use]
    pub fn cost_of_route(&self, policy: Option<&JwtVerificationPolicy>) -> u64 {
        self.required(policy)
            .map_or(0, |name| budget::of_token(name))
    }

    fn required<'a>(&'a self, policy: Option<&'a JwtVerificationPolicy>) -> Option<&'a Arc<str>> {
        match policy {
            Some(policy) if policy.disabled => None,
            Some(policy) if !policy.require.is_empty() => Some(&policy.require),
            _ => self.default.as_ref(),
        }
    }
}

/// Reads the providers of a root.
///
/// # Errors
///
/// What ends the host.
pub fn providers(
    context: &mut Context<'_>,
    root: &HttpProxy,
    written: &[http_proxy::JwtProvider],
) -> Result<Providers, Fault> {
    let mut found = Providers::default();
    for (index, provider) in written.iter().enumerate() {
        let fault = |kind, why: &str| {
            let message = format!("Spec.VirtualHost.JWTProviders is invalid: {why}");
            Fault::new(kind, message)
        };
        if found.providers.contains(&provider.name) {
            let why = format!("duplicate name {}", provider.name);
            return Err(fault(condition::JWT_DUPLICATE, &why));
        }
        if provider.is_default && found.default.replace(provider.name.clone()).is_some() {
            let why = "at most one provider can be set as the default";
            return Err(fault(condition::JWT_DEFAULTS, why));
        }
        let at = format!("spec.virtualhost.jwtProviders[{index}].remoteJWKS");
        let keys = keys(context, root, &at, &provider.remote_jwks)?;
        let mut read = JwtProvider::new(JwtKeys::Remote(keys));
        read.issuer = (!provider.issuer.is_empty()).then(|| provider.issuer.clone());
        read.audiences = provider.audiences.to_vec();
        read.forwards_token = provider.forward_jwt;
        let added = found.providers.add(&provider.name, read);
        added.map_err(|why| fault(condition::JWT_DUPLICATE, &why))?;
    }
    Ok(found)
}

fn keys(
    context: &mut Context<'_>,
    root: &HttpProxy,
    at: &str,
    jwks: &RemoteJwks,
) -> Result<RemoteKeys, Fault> {
    let fault = |kind: Kind, what: &str, why: &str| {
        let message = format!("Spec.VirtualHost.JWTProviders.RemoteJWKS.{what} is invalid: {why}");
        Fault::new(kind, message)
    };
    let uri = |why: &str| fault(condition::JWKS_URI, "URI", why);
    let (scheme, rest) = jwks
        .uri
        .split_once("://")
        .ok_or_else(|| uri("it has no scheme"))?;
    let is_tls = match scheme {
        "https" => true,
        "http" => false,
        other => {
            let message = format!(
                "Spec.VirtualHost.JWTProviders.RemoteJWKS.URI has invalid scheme {other:?}, must be http or https"
            );
            return Err(Fault::new(condition::JWKS_SCHEME, message));
        }
    };
    let verification = verification(context, root, jwks.validation.as_ref(), is_tls)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (hostname, port) = match authority.rsplit_once(':') {
        Some((hostname, port)) if !port.ends_with(']') => {
            let port = port.parse().ok().filter(|port| *port > 0);
            let wrong = || fault(condition::JWKS_PORT, "Port", "it is no port");
            (hostname, port.ok_or_else(wrong)?)
        }
        _ => (authority, if is_tls { 443 } else { 80 }),
    };
    let refused = |what| uri(&format!("host {hostname:?} {what}"));
    outside_name::check_name(hostname).map_err(refused)?;
    let timeout = match timeout(&jwks.timeout)
        .map_err(|why| fault(condition::JWKS_TIMEOUT, "Timeout", &why))?
    {
        Timeout::Default => TIMEOUT,
        Timeout::Infinite => Duration::from_secs(3600),
        Timeout::Of(timeout) => timeout,
    };
    let kept = match jwks.cache_duration.is_empty() {
        true => KEPT,
        false => duration(&jwks.cache_duration)
            .map_err(|why| fault(condition::JWKS_CACHE, "CacheDuration", &why))?,
    };
    let settings = ClusterSettings {
        protocol: match is_tls {
            true => UpstreamProtocol::Tls,
            false => UpstreamProtocol::Http1,
        },
        tls: UpstreamTls {
            verification,
            server_name: ServerName::new(hostname).unwrap_or_default(),
            ..UpstreamTls::default()
        },
        dns_lookup_family: family(jwks),
        ..ClusterSettings::default()
    };
    let backend = NamedBackend {
        hostname: hostname.into(),
        port,
        settings,
        source: tcp::at(root, at),
    };
    let cluster = backend.cluster_name();
    let keys = RemoteKeys::new(cluster.clone(), &jwks.uri, timeout, kept);
    let keys = keys.map_err(|why| uri(&why))?;
    let source = ClusterSource::Name(Arc::new(backend));
    context.pay_cluster(&cluster, None)?;
    context.clusters.insert(cluster, source);
    Ok(keys)
}

/// Whom keys are fetched from. Of who shows no certificate that can't be asked, and nothing is fetched instead.
fn verification(
    context: &Context<'_>,
    root: &HttpProxy,
    validation: Option<&UpstreamValidation>,
    is_tls: bool,
) -> Result<Option<Verification>, Fault> {
    let Some(validation) = validation else {
        return Ok(None);
    };
    if !is_tls {
        let message = "Spec.VirtualHost.JWTProviders.RemoteJWKS.UpstreamValidation must not be specified when URI scheme is http.";
        return Err(Fault::new(condition::JWKS_VALIDATION, message));
    }
    let words = Words {
        kind: condition::JWKS_VALIDATION,
        of: "Spec.VirtualHost.JWTProviders.RemoteJWKS.UpstreamValidation is invalid: ",
        not_delegated: condition::JWKS_CA_NOT_DELEGATED,
        field: "Spec.VirtualHost.JWTProviders.RemoteJWKS.UpstreamValidation.CACertificate",
    };
    let namespace = &root.metadata.name.namespace;
    upstream_validation::verification(context, namespace, validation, words).map(Some)
}

fn family(jwks: &RemoteJwks) -> DnsLookupFamily {
    match &*jwks.dns_lookup_family {
        "auto" => DnsLookupFamily::Auto,
        "v4" => DnsLookupFamily::V4,
        "v6" => DnsLookupFamily::V6,
        _ => DnsLookupFamily::default(),
    }
}
