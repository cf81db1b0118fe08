//! `spec.virtualhost`: what holds for a host as a whole.

use std::sync::Arc;

use super::policy::{AuthorizationPolicy, IpFilterPolicy, UpstreamValidation};
use super::rate_limit::RateLimitPolicy;

/// `VirtualHost`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VirtualHost {
    /// `fqdn`, lower-case; `*.example.com` stands for one label. Blank where it says nothing.
    pub fqdn: Arc<str>,
    /// `tls`.
    pub tls: Option<Tls>,
    /// `authorization`.
    pub authorization: Option<AuthorizationServer>,
    /// `corsPolicy`.
    pub cors_policy: Option<CorsPolicy>,
    /// `rateLimitPolicy`.
    pub rate_limit_policy: Option<RateLimitPolicy>,
    /// `jwtProviders`.
    pub jwt_providers: Box<[JwtProvider]>,
    /// `ipAllowPolicy`.
    pub ip_allow_policy: Box<[IpFilterPolicy]>,
    /// `ipDenyPolicy`.
    pub ip_deny_policy: Box<[IpFilterPolicy]>,
}

/// `TLS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// `secretName`: `name` or `namespace/name`; blank where it says nothing.
    pub secret_name: Arc<str>,
    /// `minimumProtocolVersion`; blank where it says nothing.
    pub minimum_protocol_version: Arc<str>,
    /// `maximumProtocolVersion`; blank where it says nothing.
    pub maximum_protocol_version: Arc<str>,
    /// `passthrough`.
    pub passthrough: bool,
    /// `clientValidation`.
    pub client_validation: Option<DownstreamValidation>,
    /// `enableFallbackCertificate`.
    pub enable_fallback_certificate: bool,
}

/// `DownstreamValidation`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DownstreamValidation {
    /// `caSecret`: `name` or `namespace/name`; blank where it says nothing.
    pub ca_secret: Arc<str>,
    /// `skipClientCertValidation`.
    pub skip_client_cert_validation: bool,
    /// `forwardClientCertificate`.
    pub forward_client_certificate: Option<ClientCertificateDetails>,
    /// `crlSecret`: `name` or `namespace/name`; blank where it says nothing.
    pub crl_secret: Arc<str>,
    /// `crlOnlyVerifyLeafCert`.
    pub crl_only_verify_leaf_cert: bool,
    /// `optionalClientCertificate`.
    pub optional_client_certificate: bool,
}

/// `ClientCertificateDetails`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificateDetails {
    /// `subject`.
    pub subject: bool,
    /// `cert`.
    pub cert: bool,
    /// `chain`.
    pub chain: bool,
    /// `dns`.
    pub dns: bool,
    /// `uri`.
    pub uri: bool,
}

/// `AuthorizationServer`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizationServer {
    /// `extensionRef`.
    pub extension_ref: ExtensionServiceReference,
    /// `authPolicy`.
    pub auth_policy: Option<AuthorizationPolicy>,
    /// `responseTimeout`; blank where it says nothing.
    pub response_timeout: Arc<str>,
    /// `failOpen`.
    pub fail_open: bool,
    /// `withRequestBody`.
    pub with_request_body: Option<AuthorizationServerBufferSettings>,
}

/// `ExtensionServiceReference`; blank where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionServiceReference {
    /// `apiVersion`.
    pub api_version: Arc<str>,
    /// `namespace`.
    pub namespace: Arc<str>,
    /// `name`.
    pub name: Arc<str>,
}

/// `AuthorizationServerBufferSettings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthorizationServerBufferSettings {
    /// `maxRequestBytes`, at least 1; by default 1024.
    pub max_request_bytes: u32,
    /// `allowPartialMessage`.
    pub allow_partial_message: bool,
    /// `packAsBytes`.
    pub pack_as_bytes: bool,
}

/// `CORSPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsPolicy {
    /// `allowCredentials`.
    pub allow_credentials: bool,
    /// `allowOrigin`, at least one.
    pub allow_origin: Box<[Arc<str>]>,
    /// `allowMethods`, at least one.
    pub allow_methods: Box<[Arc<str>]>,
    /// `allowHeaders`.
    pub allow_headers: Box<[Arc<str>]>,
    /// `exposeHeaders`.
    pub expose_headers: Box<[Arc<str>]>,
    /// `maxAge`; blank where it says nothing.
    pub max_age: Arc<str>,
    /// `allowPrivateNetwork`.
    pub allow_private_network: bool,
}

/// `JWTProvider`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JwtProvider {
    /// `name`.
    pub name: Arc<str>,
    /// `default`.
    pub is_default: bool,
    /// `issuer`; blank where it says nothing.
    pub issuer: Arc<str>,
    /// `audiences`.
    pub audiences: Box<[Arc<str>]>,
    /// `remoteJWKS`.
    pub remote_jwks: RemoteJwks,
    /// `forwardJWT`.
    pub forward_jwt: bool,
}

/// `RemoteJWKS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteJwks {
    /// `uri`.
    pub uri: Arc<str>,
    /// `validation`.
    pub validation: Option<UpstreamValidation>,
    /// `timeout`; blank where it says nothing.
    pub timeout: Arc<str>,
    /// `cacheDuration`; blank where it says nothing.
    pub cache_duration: Arc<str>,
    /// `dnsLookupFamily`; blank where it says nothing.
    pub dns_lookup_family: Arc<str>,
}
