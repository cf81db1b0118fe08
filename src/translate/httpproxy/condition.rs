//! What is found wrong with an HTTPProxy, by the types and reasons that Contour has for it: tools and people match on them.
//!
//! The messages are Contour's wherever it says the same. What only we refuse has a reason of its own beside Contour's type.

use std::sync::Arc;

use crate::objects::{Condition, Field, FieldRef, ObjectRef, Problem};

/// Type and reason of an error or a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(&'static str, &'static str);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    kind: Kind,
    message: String,
}

impl Fault {
    /// An error.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// What it says.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What it says.
    #[must_use]
    pub fn into_message(self) -> String {
        self.message
    }

    /// Whether it is that something would be more than one object may come to.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.kind == TOO_LARGE
    }

    fn problem(self, object: &ObjectRef, field: &str, is_warning: bool) -> Problem {
        let field = match field.is_empty() {
            true => Field::Whole,
            false => Field::At(Arc::from(field)),
        };
        let Kind(condition_type, reason) = self.kind;
        let problem = Problem::new(FieldRef::new(object.clone(), field), reason, self.message);
        problem.of_condition(Condition {
            condition_type,
            is_warning,
        })
    }
}

/// What was found wrong so far.
#[derive(Debug, Default)]
pub struct Faults(pub Vec<Problem>);

impl Faults {
    /// Tells an error of an object. `field` is its path, empty for the whole object.
    pub fn error(&mut self, object: &ObjectRef, field: &str, fault: Fault) {
        self.0.push(fault.problem(object, field, false));
    }

    /// Tells a warning.
    pub fn warning(&mut self, object: &ObjectRef, field: &str, fault: Fault) {
        self.0.push(fault.problem(object, field, true));
    }
}

macro_rules! kinds {
    ($($name:ident = $condition_type:literal / $reason:literal;)*) => {
        $(pub const $name: Kind = Kind($condition_type, $reason);)*
    };
}

kinds! {
    FQDN_NOT_SPECIFIED = "VirtualHostError" / "FQDNNotSpecified";
    DUPLICATE_VHOST = "VirtualHostError" / "DuplicateVhost";
    HOST_RATE_LIMIT = "VirtualHostError" / "RateLimitPolicyNotValid";
    ROOT_NAMESPACE = "RootNamespaceError" / "RootProxyNotAllowedInNamespace";
    // Ours: what the API server refuses, where manifests have it.
    OBJECT_NOT_VALID = "SpecError" / "ObjectNotValid";
    NOTHING_DEFINED = "SpecError" / "NothingDefined";
    IGNORED_FIELD = "SpecError" / "IgnoredField";
    // Ours: what is not built yet closes what asks for it.
    NOT_SUPPORTED = "SpecError" / "NotSupported";
    // Ours: Contour expands whatever there is.
    TOO_LARGE = "SpecError" / "TooLarge";
    TLS_INCOMPATIBLE = "TLSError" / "TLSIncompatibleFeatures";
    TLS_CONFIG = "TLSError" / "TLSConfigNotValid";
    SECRET_NOT_VALID = "TLSError" / "SecretNotValid";
    DELEGATION_NOT_PERMITTED = "TLSError" / "DelegationNotPermitted";
    CLIENT_VALIDATION = "TLSError" / "ClientValidationInvalid";
    FALLBACK_NOT_PRESENT = "TLSError" / "FallbackNotPresent";
    FALLBACK_NOT_DELEGATED = "TLSError" / "FallbackNotDelegated";
    FALLBACK_NOT_VALID = "TLSError" / "FallbackNotValid";
    CA_NOT_DELEGATED = "TLSError" / "CACertificateNotDelegated";
    JWT_NOT_PERMITTED = "JWTVerificationError" / "JWTVerificationNotPermitted";
    JWT_DUPLICATE = "JWTVerificationError" / "DuplicateProviderName";
    JWT_DEFAULTS = "JWTVerificationError" / "MultipleDefaultProvidersSpecified";
    JWT_NOT_DEFINED = "JWTVerificationError" / "JWTProviderNotDefined";
    JWT_POLICY = "JWTVerificationError" / "InvalidJWTVerificationPolicy";
    JWKS_URI = "JWTVerificationError" / "RemoteJWKSURIInvalid";
    JWKS_SCHEME = "JWTVerificationError" / "RemoteJWKSSchemeInvalid";
    JWKS_PORT = "JWTVerificationError" / "RemoteJWKSPortInvalid";
    JWKS_TIMEOUT = "JWTVerificationError" / "RemoteJWKSTimeoutInvalid";
    JWKS_CACHE = "JWTVerificationError" / "RemoteJWKSCacheDurationInvalid";
    JWKS_VALIDATION = "JWTVerificationError" / "RemoteJWKSUpstreamValidationInvalid";
    JWKS_CA_NOT_DELEGATED = "JWTVerificationError" / "RemoteJWKSCACertificateNotDelegated";
    AUTH_NOT_PERMITTED = "AuthError" / "AuthNotPermitted";
    AUTH_VERSION = "AuthError" / "AuthBadResourceVersion";
    AUTH_TIMEOUT = "AuthError" / "AuthResponseTimeoutInvalid";
    EXTENSION_NOT_FOUND = "AuthError" / "ExtensionServiceNotFound";
    EXTENSION_TIMEOUT = "SpecError" / "TimeoutPolicyNotValid";
    EXTENSION_PROTOCOL = "SpecError" / "InconsistentProtocol";
    EXTENSION_VALIDATION = "SpecError" / "TLSUpstreamValidation";
    SERVICE_TYPE = "ServiceError" / "UnsupportedServiceType";
    CORS = "CORSError" / "PolicyDidNotParse";
    ADDRESSES_INCOMPATIBLE = "IPFilterError" / "IncompatibleIPAddressFilters";
    INVALID_CIDR = "IPFilterError" / "InvalidCIDR";
    ADDRESSES_NOT_VALID = "IPFilterError" / "IPFilterPolicyNotValid";
    INCLUDE_PATH = "IncludeError" / "PathMatchConditionsNotValid";
    INCLUDE_DUPLICATE = "IncludeError" / "DuplicateMatchConditions";
    INCLUDE_NOT_FOUND = "IncludeError" / "IncludeNotFound";
    ROOT_INCLUDES_ROOT = "IncludeError" / "RootIncludesRoot";
    INCLUDE_CYCLE = "IncludeError" / "IncludeCreatesCycle";
    // Ours.
    INCLUDE_TOO_DEEP = "IncludeError" / "IncludeTooDeep";
    ROUTE_ACTION_COUNT = "RouteError" / "RouteActionCountNotValid";
    ROUTE_PATH = "RouteError" / "PathMatchConditionsNotValid";
    HEADER_MATCH = "RouteError" / "HeaderMatchConditionsNotValid";
    QUERY_MATCH = "RouteError" / "QueryParameterMatchConditionsNotValid";
    ROUTE_REQUEST_HEADERS = "RouteError" / "RequestHeadersPolicyInvalid";
    // Contour's spelling.
    ROUTE_RESPONSE_HEADERS = "RouteError" / "ResponseHeaderPolicyInvalid";
    SERVICE_REQUEST_HEADERS = "ServiceError" / "RequestHeadersPolicyInvalid";
    SERVICE_RESPONSE_HEADERS = "ServiceError" / "ResponseHeadersPolicyInvalid";
    // Of services too, as in Contour.
    ROUTE_COOKIES = "RouteError" / "CookieRewritePoliciesInvalid";
    TIMEOUT_POLICY = "RouteError" / "TimeoutPolicyNotValid";
    // Ours.
    RETRY_POLICY = "RouteError" / "RetryPolicyNotValid";
    ROUTE_RATE_LIMIT = "RouteError" / "RateLimitPolicyNotValid";
    REQUEST_REDIRECT = "RouteError" / "RequestRedirectPolicy";
    // Ours.
    DIRECT_RESPONSE = "RouteError" / "DirectResponsePolicyNotValid";
    // Ours.
    INTERNAL_REDIRECT = "RouteError" / "InternalRedirectPolicyNotValid";
    HEALTH_CHECK = "RouteError" / "HealthCheckPolicyInvalid";
    MUST_HAVE_PREFIX = "PrefixReplaceError" / "MustHavePrefix";
    DUPLICATE_REPLACEMENT = "PrefixReplaceError" / "DuplicateReplacement";
    AMBIGUOUS_REPLACEMENT = "PrefixReplaceError" / "AmbiguousReplacement";
    SERVICE_UNRESOLVED = "ServiceError" / "ServiceUnresolvedReference";
    UPSTREAM_VALIDATION = "ServiceError" / "TLSUpstreamValidation";
    SLOW_START = "ServiceError" / "SlowStartInvalid";
    ONLY_ONE_MIRROR = "ServiceError" / "OnlyOneMirror";
    // Ours.
    WEIGHT = "ServiceError" / "WeightNotValid";
    TCP_TLS = "TCPProxyError" / "TLSMustBeConfigured";
    TCP_NOTHING_DEFINED = "TCPProxyError" / "NothingDefined";
    TCP_SERVICES_AND_INCLUDE = "TCPProxyError" / "NoServicesAndInclude";
    TCP_UNRESOLVED = "TCPProxyError" / "ServiceUnresolvedReference";
    TCP_IGNORED_FIELD = "TCPProxyError" / "IgnoredField";
    TCP_INCLUDE_NOT_FOUND = "TCPProxyIncludeError" / "IncludeNotFound";
    TCP_ROOT_INCLUDES_ROOT = "TCPProxyIncludeError" / "RootIncludesRoot";
    TCP_INCLUDE_CYCLE = "TCPProxyIncludeError" / "IncludeCreatesCycle";
}
