//! `spec.virtualhost`: what holds for a host as a whole.

use std::sync::Arc;

use super::super::super::http_proxy::{
    AuthorizationServer, AuthorizationServerBufferSettings, ClientCertificateDetails, CorsPolicy,
    DownstreamValidation, ExtensionServiceReference, JwtProvider, RemoteJwks, Tls, VirtualHost,
};
use super::super::super::validate::FieldError;
use super::super::json::{Bool, Kept, List, Struct, Whole};
use super::super::schema::{
    At, DURATION, DURATION_OR_INFINITY, DURATION_OR_ZERO, TOKEN, WILDCARD_OR_HOST, each, each_of,
    matching, not_empty, number, one_of, perhaps, present, some, text, texts,
};
use super::super::wires::wires;
use super::policy::{
    AuthorizationPolicyWire, IpFilterWire, ValidationWire, authorization_policy, ip_filter,
    validation,
};
use super::rate_limit::{RateLimitWire, rate_limit};

wires! {
    struct VirtualHostWire {
        fqdn: Kept,
        tls: Struct<TlsWire>,
        authorization: Struct<AuthorizationWire>,
        cors_policy: Struct<CorsWire>,
        rate_limit_policy: Struct<RateLimitWire>,
        jwt_providers: List<Struct<JwtProviderWire>>,
        ip_allow_policy: List<Struct<IpFilterWire>>,
        ip_deny_policy: List<Struct<IpFilterWire>>,
    }

    struct TlsWire {
        secret_name: Kept,
        minimum_protocol_version: Kept,
        maximum_protocol_version: Kept,
        passthrough: Bool,
        client_validation: Struct<ClientValidationWire>,
        enable_fallback_certificate: Bool,
    }

    struct ClientValidationWire {
        ca_secret: Kept,
        skip_client_cert_validation: Bool,
        forward_client_certificate: Struct<ClientCertificateWire>,
        crl_secret: Kept,
        crl_only_verify_leaf_cert: Bool,
        optional_client_certificate: Bool,
    }

    struct ClientCertificateWire {
        subject: Bool,
        cert: Bool,
        chain: Bool,
        dns: Bool,
        uri: Bool,
    }

    struct AuthorizationWire {
        extension_ref: Struct<ExtensionRefWire>,
        auth_policy: Struct<AuthorizationPolicyWire>,
        response_timeout: Kept,
        fail_open: Bool,
        with_request_body: Struct<RequestBodyWire>,
    }

    struct ExtensionRefWire {
        api_version: Kept,
        namespace: Kept,
        name: Kept,
    }

    struct RequestBodyWire {
        max_request_bytes: Whole,
        allow_partial_message: Bool,
        pack_as_bytes: Bool,
    }

    struct CorsWire {
        allow_credentials: Bool,
        allow_origin: List<Kept>,
        allow_methods: List<Kept>,
        allow_headers: List<Kept>,
        expose_headers: List<Kept>,
        max_age: Kept,
        allow_private_network: Bool,
    }

    struct JwtProviderWire {
        name: Kept,
        default: Bool,
        issuer: Kept,
        audiences: List<Kept>,
        #[serde(rename = "remoteJWKS")]
        remote_jwks: Struct<RemoteJwksWire>,
        #[serde(rename = "forwardJWT")]
        forward_jwt: Bool,
    }

    struct RemoteJwksWire {
        uri: Kept,
        validation: Struct<ValidationWire>,
        timeout: Kept,
        cache_duration: Kept,
        dns_lookup_family: Kept,
    }
}

pub(super) fn virtual_host(at: At<'_>, wire: VirtualHostWire) -> Result<VirtualHost, FieldError> {
    let fqdn = present(at.of("fqdn"), wire.fqdn)?;
    let limits = at.of("rateLimitPolicy");
    let authorizations = at.of("authorization");
    Ok(VirtualHost {
        // It has no upper case.
        fqdn: matching(at.of("fqdn"), Some(fqdn), &WILDCARD_OR_HOST)?,
        tls: perhaps(at.of("tls"), wire.tls, tls)?,
        authorization: perhaps(authorizations, wire.authorization, authorization)?,
        cors_policy: perhaps(at.of("corsPolicy"), wire.cors_policy, cors)?,
        rate_limit_policy: perhaps(limits, wire.rate_limit_policy, rate_limit)?,
        jwt_providers: each_of(at.of("jwtProviders"), wire.jwt_providers, jwt_provider)?,
        ip_allow_policy: each_of(at.of("ipAllowPolicy"), wire.ip_allow_policy, ip_filter)?,
        ip_deny_policy: each_of(at.of("ipDenyPolicy"), wire.ip_deny_policy, ip_filter)?,
    })
}

fn tls(at: At<'_>, wire: TlsWire) -> Result<Tls, FieldError> {
    let clients = at.of("clientValidation");
    Ok(Tls {
        secret_name: text(wire.secret_name),
        minimum_protocol_version: text(wire.minimum_protocol_version),
        maximum_protocol_version: text(wire.maximum_protocol_version),
        passthrough: Bool::of(wire.passthrough),
        client_validation: perhaps(clients, wire.client_validation, client_validation)?,
        enable_fallback_certificate: Bool::of(wire.enable_fallback_certificate),
    })
}

fn client_validation(
    at: At<'_>,
    wire: ClientValidationWire,
) -> Result<DownstreamValidation, FieldError> {
    let forward = wire.forward_client_certificate;
    Ok(DownstreamValidation {
        ca_secret: some(at.of("caSecret"), wire.ca_secret)?,
        skip_client_cert_validation: Bool::of(wire.skip_client_cert_validation),
        forward_client_certificate: forward.map(|Struct(wire)| ClientCertificateDetails {
            subject: Bool::of(wire.subject),
            cert: Bool::of(wire.cert),
            chain: Bool::of(wire.chain),
            dns: Bool::of(wire.dns),
            uri: Bool::of(wire.uri),
        }),
        crl_secret: some(at.of("crlSecret"), wire.crl_secret)?,
        crl_only_verify_leaf_cert: Bool::of(wire.crl_only_verify_leaf_cert),
        optional_client_certificate: Bool::of(wire.optional_client_certificate),
    })
}

fn authorization(at: At<'_>, wire: AuthorizationWire) -> Result<AuthorizationServer, FieldError> {
    let reference = perhaps(at.of("extensionRef"), wire.extension_ref, |at, wire| {
        Ok(ExtensionServiceReference {
            api_version: some(at.of("apiVersion"), wire.api_version)?,
            namespace: some(at.of("namespace"), wire.namespace)?,
            name: some(at.of("name"), wire.name)?,
        })
    })?;
    let body = perhaps(
        at.of("withRequestBody"),
        wire.with_request_body,
        |at, wire| {
            let most = at.of("maxRequestBytes");
            let most = number(most, wire.max_request_bytes, 1, i32::MAX.unsigned_abs())?;
            Ok(AuthorizationServerBufferSettings {
                max_request_bytes: most.unwrap_or(1024),
                allow_partial_message: Bool::of(wire.allow_partial_message),
                pack_as_bytes: Bool::of(wire.pack_as_bytes),
            })
        },
    )?;
    let time_out = at.of("responseTimeout");
    Ok(AuthorizationServer {
        extension_ref: reference.unwrap_or_default(),
        auth_policy: perhaps(at.of("authPolicy"), wire.auth_policy, authorization_policy)?,
        response_timeout: matching(time_out, wire.response_timeout, &DURATION_OR_INFINITY)?,
        fail_open: Bool::of(wire.fail_open),
        with_request_body: body,
    })
}

fn cors(at: At<'_>, wire: CorsWire) -> Result<CorsPolicy, FieldError> {
    let methods = Some(present(at.of("allowMethods"), wire.allow_methods)?);
    let origins = Some(present(at.of("allowOrigin"), wire.allow_origin)?);
    not_empty(at.of("allowOrigin"), &origins)?;
    let tokens = |field, list: Option<List<Kept>>| {
        not_empty(at.of(field), &list)?;
        each(at.of(field), list, |at, token| {
            matching(at, Some(token), &TOKEN)
        })
    };
    Ok(CorsPolicy {
        allow_credentials: Bool::of(wire.allow_credentials),
        allow_origin: texts(origins),
        allow_methods: tokens("allowMethods", methods)?,
        allow_headers: tokens("allowHeaders", wire.allow_headers)?,
        expose_headers: tokens("exposeHeaders", wire.expose_headers)?,
        max_age: matching(at.of("maxAge"), wire.max_age, &DURATION_OR_ZERO)?,
        allow_private_network: Bool::of(wire.allow_private_network),
    })
}

fn jwt_provider(at: At<'_>, wire: JwtProviderWire) -> Result<JwtProvider, FieldError> {
    let name = present(at.of("name"), wire.name)?;
    let Struct(jwks) = present(at.of("remoteJWKS"), wire.remote_jwks)?;
    Ok(JwtProvider {
        name: some(at.of("name"), Some(name))?,
        is_default: Bool::of(wire.default),
        issuer: text(wire.issuer),
        audiences: texts(wire.audiences),
        remote_jwks: remote_jwks(at.of("remoteJWKS"), jwks)?,
        forward_jwt: Bool::of(wire.forward_jwt),
    })
}

fn remote_jwks(at: At<'_>, wire: RemoteJwksWire) -> Result<RemoteJwks, FieldError> {
    let uri = present(at.of("uri"), wire.uri)?;
    let family: Option<Arc<str>> = one_of(
        at.of("dnsLookupFamily"),
        wire.dns_lookup_family,
        &["auto", "v4", "v6"],
    )?;
    Ok(RemoteJwks {
        uri: some(at.of("uri"), Some(uri))?,
        validation: perhaps(at.of("validation"), wire.validation, validation)?,
        timeout: matching(at.of("timeout"), wire.timeout, &DURATION)?,
        cache_duration: matching(at.of("cacheDuration"), wire.cache_duration, &DURATION)?,
        dns_lookup_family: family.unwrap_or_default(),
    })
}
