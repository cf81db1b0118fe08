//! The fields of custom resources, of which k8s-openapi knows nothing: those of their definitions, Contour's here.

mod gateway_api;

use std::cell::RefCell;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::Deserialize;
use serde_json::{Map, Value};

use super::fields::{Node, Path, Step, UnknownField};

/// What the fields are taken from, for messages.
const VERSION: &str = "Contour 1.33";

/// Each type with its fields; of those that are objects, or lists of objects, which type they are.
const TYPES: &[(&str, &str)] = &[
    (
        "TLSCertificateDelegation",
        "apiVersion kind metadata:ObjectMeta spec:TLSCertificateDelegationSpec status",
    ),
    (
        "TLSCertificateDelegationSpec",
        "delegations:CertificateDelegation",
    ),
    ("CertificateDelegation", "secretName targetNamespaces"),
    (
        "ExtensionService",
        "apiVersion kind metadata:ObjectMeta spec:ExtensionServiceSpec status",
    ),
    (
        "ExtensionServiceSpec",
        "services:ExtensionServiceTarget validation:UpstreamValidation protocol loadBalancerPolicy:LoadBalancerPolicy timeoutPolicy:TimeoutPolicy \
         protocolVersion circuitBreakerPolicy:CircuitBreakers",
    ),
    ("ExtensionServiceTarget", "name port weight"),
    (
        "CircuitBreakers",
        "maxConnections maxPendingRequests maxRequests maxRetries perHostMaxConnections",
    ),
    (
        "HTTPProxy",
        "apiVersion kind metadata:ObjectMeta spec:HTTPProxySpec status",
    ),
    (
        "HTTPProxySpec",
        "virtualhost:VirtualHost routes:Route tcpproxy:TCPProxy includes:Include ingressClassName",
    ),
    (
        "VirtualHost",
        "fqdn tls:TLS authorization:AuthorizationServer corsPolicy:CORSPolicy rateLimitPolicy:RateLimitPolicy jwtProviders:JWTProvider \
         ipAllowPolicy:IPFilterPolicy ipDenyPolicy:IPFilterPolicy",
    ),
    (
        "TLS",
        "secretName minimumProtocolVersion maximumProtocolVersion passthrough clientValidation:DownstreamValidation enableFallbackCertificate",
    ),
    (
        "DownstreamValidation",
        "caSecret skipClientCertValidation forwardClientCertificate:ClientCertificateDetails crlSecret crlOnlyVerifyLeafCert \
         optionalClientCertificate",
    ),
    ("ClientCertificateDetails", "subject cert chain dns uri"),
    (
        "AuthorizationServer",
        "extensionRef:ExtensionServiceReference authPolicy:AuthorizationPolicy responseTimeout failOpen \
         withRequestBody:AuthorizationServerBufferSettings",
    ),
    ("ExtensionServiceReference", "apiVersion namespace name"),
    ("AuthorizationPolicy", "disabled context"),
    (
        "AuthorizationServerBufferSettings",
        "maxRequestBytes allowPartialMessage packAsBytes",
    ),
    (
        "CORSPolicy",
        "allowCredentials allowOrigin allowMethods allowHeaders exposeHeaders maxAge allowPrivateNetwork",
    ),
    (
        "RateLimitPolicy",
        "local:LocalRateLimitPolicy global:GlobalRateLimitPolicy",
    ),
    (
        "LocalRateLimitPolicy",
        "requests unit burst responseStatusCode responseHeadersToAdd:HeaderValue",
    ),
    (
        "GlobalRateLimitPolicy",
        "disabled descriptors:RateLimitDescriptor",
    ),
    ("RateLimitDescriptor", "entries:RateLimitDescriptorEntry"),
    (
        "RateLimitDescriptorEntry",
        "genericKey:GenericKeyDescriptor requestHeader:RequestHeaderDescriptor \
         requestHeaderValueMatch:RequestHeaderValueMatchDescriptor remoteAddress:RemoteAddressDescriptor",
    ),
    ("GenericKeyDescriptor", "key value"),
    ("RequestHeaderDescriptor", "headerName descriptorKey"),
    (
        "RequestHeaderValueMatchDescriptor",
        "headers:HeaderMatchCondition expectMatch value",
    ),
    ("RemoteAddressDescriptor", ""),
    (
        "JWTProvider",
        "name default issuer audiences remoteJWKS:RemoteJWKS forwardJWT",
    ),
    (
        "RemoteJWKS",
        "uri validation:UpstreamValidation timeout cacheDuration dnsLookupFamily",
    ),
    ("IPFilterPolicy", "source cidr"),
    ("Include", "name namespace conditions:MatchCondition"),
    (
        "MatchCondition",
        "prefix exact regex header:HeaderMatchCondition queryParameter:QueryParameterMatchCondition",
    ),
    (
        "HeaderMatchCondition",
        "name present notpresent contains notcontains ignoreCase exact notexact regex treatMissingAsEmpty",
    ),
    (
        "QueryParameterMatchCondition",
        "name exact prefix suffix regex contains ignoreCase present",
    ),
    (
        "Route",
        "conditions:MatchCondition services:Service enableWebsockets permitInsecure authPolicy:AuthorizationPolicy timeoutPolicy:TimeoutPolicy \
         retryPolicy:RetryPolicy healthCheckPolicy:HTTPHealthCheckPolicy loadBalancerPolicy:LoadBalancerPolicy \
         pathRewritePolicy:PathRewritePolicy requestHeadersPolicy:HeadersPolicy responseHeadersPolicy:HeadersPolicy \
         cookieRewritePolicies:CookieRewritePolicy rateLimitPolicy:RateLimitPolicy requestRedirectPolicy:HTTPRequestRedirectPolicy \
         directResponsePolicy:HTTPDirectResponsePolicy internalRedirectPolicy:HTTPInternalRedirectPolicy \
         jwtVerificationPolicy:JWTVerificationPolicy ipAllowPolicy:IPFilterPolicy ipDenyPolicy:IPFilterPolicy",
    ),
    ("TimeoutPolicy", "response idle idleConnection"),
    (
        "RetryPolicy",
        "count perTryTimeout retryOn retriableStatusCodes",
    ),
    (
        "HTTPHealthCheckPolicy",
        "path host intervalSeconds timeoutSeconds unhealthyThresholdCount healthyThresholdCount expectedStatuses:HTTPStatusRange",
    ),
    ("HTTPStatusRange", "start end"),
    (
        "LoadBalancerPolicy",
        "strategy requestHashPolicies:RequestHashPolicy",
    ),
    (
        "RequestHashPolicy",
        "terminal headerHashOptions:HeaderHashOptions queryParameterHashOptions:QueryParameterHashOptions hashSourceIP",
    ),
    ("HeaderHashOptions", "headerName"),
    ("QueryParameterHashOptions", "parameterName"),
    ("PathRewritePolicy", "replacePrefix:ReplacePrefix"),
    ("ReplacePrefix", "prefix replacement"),
    ("HeadersPolicy", "set:HeaderValue remove"),
    ("HeaderValue", "name value"),
    (
        "CookieRewritePolicy",
        "name pathRewrite:CookiePathRewrite domainRewrite:CookieDomainRewrite secure sameSite",
    ),
    ("CookiePathRewrite", "value"),
    ("CookieDomainRewrite", "value"),
    (
        "HTTPRequestRedirectPolicy",
        "scheme hostname port statusCode path prefix",
    ),
    ("HTTPDirectResponsePolicy", "statusCode body"),
    (
        "HTTPInternalRedirectPolicy",
        "maxInternalRedirects redirectResponseCodes allowCrossSchemeRedirect denyRepeatedRouteRedirect",
    ),
    ("JWTVerificationPolicy", "require disabled"),
    (
        "Service",
        "name port weight protocol mirror healthPort validation:UpstreamValidation requestHeadersPolicy:HeadersPolicy \
         responseHeadersPolicy:HeadersPolicy cookieRewritePolicies:CookieRewritePolicy slowStartPolicy:SlowStartPolicy",
    ),
    ("UpstreamValidation", "caSecret subjectName subjectNames"),
    ("SlowStartPolicy", "window aggression minWeightPercent"),
    (
        "TCPProxy",
        "loadBalancerPolicy:LoadBalancerPolicy services:Service include:TCPProxyInclude includes:TCPProxyInclude \
         healthCheckPolicy:TCPHealthCheckPolicy",
    ),
    ("TCPProxyInclude", "name namespace"),
    (
        "TCPHealthCheckPolicy",
        "intervalSeconds timeoutSeconds unhealthyThresholdCount healthyThresholdCount",
    ),
];

/// Tells the fields of an object that its type does not have, and looks into those that it has.
pub(super) fn walk(
    of: &'static str,
    object: &Map<String, Value>,
    path: &Path,
    found: &RefCell<Vec<UnknownField>>,
) {
    let types = [(VERSION, TYPES), (gateway_api::VERSION, gateway_api::TYPES)];
    let mut types = types.into_iter().flat_map(|(version, types)| {
        let types = types.iter();
        types.map(move |(name, fields)| (version, *name, *fields))
    });
    let Some((version, of, fields)) = types.find(|(_, name, _)| *name == of) else {
        return;
    };
    let fields: Vec<(&'static str, &'static str)> = fields
        .split_whitespace()
        .map(|field| field.split_once(':').unwrap_or((field, "")))
        .collect();
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    for (key, value) in object {
        let path = path.with(Step::Key(key.clone()));
        match fields.iter().find(|(name, _)| name == key) {
            None => UnknownField::tell(found, path, of, &names, version),
            Some((_, "ObjectMeta")) => {
                // What else is wrong with it is said when it is decoded.
                let _ = ObjectMeta::deserialize(Node { value, path, found });
            }
            Some((_, of)) => walk_value(of, value, &path, found),
        }
    }
}

fn walk_value(of: &'static str, value: &Value, path: &Path, found: &RefCell<Vec<UnknownField>>) {
    match value {
        Value::Object(object) => walk(of, object, path, found),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk_value(of, item, &path.with(Step::Index(index)), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Names are of one table only: they are looked for in all of them.
    #[test]
    fn every_type_that_is_named_is_there_and_is_named() {
        let all = [TYPES, gateway_api::TYPES].concat();
        let names: BTreeSet<_> = all.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), all.len());
        for (types, expected) in [
            (
                TYPES,
                &["ExtensionService", "HTTPProxy", "TLSCertificateDelegation"][..],
            ),
            (
                gateway_api::TYPES,
                &[
                    "BackendTLSPolicy",
                    "GRPCRoute",
                    "Gateway",
                    "GatewayClass",
                    "HTTPRoute",
                    "ListenerSet",
                    "ReferenceGrant",
                    "TCPRoute",
                    "TLSRoute",
                    "UDPRoute",
                ],
            ),
        ] {
            let named: BTreeSet<_> = types
                .iter()
                .flat_map(|(_, fields)| fields.split_whitespace())
                .filter_map(|field| field.split_once(':'))
                .map(|(_, of)| of)
                .collect();
            let are: BTreeSet<_> = types.iter().map(|(name, _)| *name).collect();
            let missing: Vec<_> = named.difference(&are).collect();
            assert_eq!(missing, [&"ObjectMeta"]);
            let tops: Vec<_> = are.difference(&named).copied().collect();
            assert_eq!(tops, expected);
        }
    }
}
