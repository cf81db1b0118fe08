//! Random policies of HTTPProxies: valid ones mostly, some that say nothing, some that are wrong, of few values, so that routes
//! and hosts differ in one of them.

use std::sync::Arc;

use isobath::objects::http_proxy::*;
use proptest::prelude::*;
use proptest::sample::select;

use super::secret_name;

/// Either of few texts; none at times.
fn text(values: &'static [&'static str]) -> impl Strategy<Value = Arc<str>> {
    prop::option::weighted(0.7, select(values)).prop_map(|value| super::some(value))
}

fn named(values: &'static [&'static str]) -> impl Strategy<Value = Arc<str>> {
    select(values).prop_map(Arc::from)
}

/// One that is valid, and seldom one that is not: else hardly a proxy would have a route.
pub fn mostly(
    valid: &'static [&'static str],
    wrong: &'static [&'static str],
) -> impl Strategy<Value = &'static str> {
    prop_oneof![40 => select(valid), 1 => select(wrong)]
}

/// The same; none at times.
fn mostly_text(
    valid: &'static [&'static str],
    wrong: &'static [&'static str],
) -> impl Strategy<Value = Arc<str>> {
    prop::option::weighted(0.7, mostly(valid, wrong)).prop_map(super::some)
}

/// Of requests or of answers: literal and dynamic values, one header set twice or removed as well, and what may not be.
pub fn headers_policy() -> impl Strategy<Value = HeadersPolicy> {
    let values = &[
        "1",
        "2",
        "100%",
        "%REQ(x-c)%",
        "%CONTOUR_SERVICE_NAME%",
        "%CONTOUR_NAMESPACE%",
        "%DOWNSTREAM_REMOTE_ADDRESS%",
    ];
    let names = mostly(&["X-A", "x-b"], &["x-a", "Host"]);
    let value = (names, mostly(values, &["a\nb"]));
    let value = value.prop_map(|(name, value)| HeaderValue {
        name: name.into(),
        value: value.into(),
    });
    let removed = mostly(&["x-a", "x-b"], &["host"]).prop_map(Arc::from);
    let set = prop::collection::vec(value, 0..3);
    (set, prop::option::of(removed)).prop_map(|(set, remove)| HeadersPolicy {
        set: set.into(),
        remove: remove.into_iter().collect(),
    })
}

pub fn cookies() -> impl Strategy<Value = Box<[CookieRewritePolicy]>> {
    let policy = (
        named(&["one", "two"]),
        prop::option::weighted(0.95, named(&["/", "/x"])),
        prop::option::of(named(&["a.test", "b.test"])),
        prop::option::of(any::<bool>()),
        prop::option::of(named(&["Lax", "Strict"])),
    );
    let policy = policy.prop_map(|(name, path_rewrite, domain_rewrite, secure, same_site)| {
        CookieRewritePolicy {
            name,
            path_rewrite,
            domain_rewrite,
            secure,
            same_site,
        }
    });
    policy.prop_map(|policy| [policy].into())
}

pub fn ip_filters() -> impl Strategy<Value = Box<[IpFilterPolicy]>> {
    let source = select(&[IpFilterSource::Peer, IpFilterSource::Remote][..]);
    let cidr = mostly(&["10.0.0.0/8", "2001:db8:1::1"], &["nowhere"]);
    let policy = (source, cidr).prop_map(|(source, cidr)| IpFilterPolicy {
        source,
        cidr: cidr.into(),
    });
    prop::collection::vec(policy, 1..3).prop_map(Into::into)
}

fn local() -> impl Strategy<Value = LocalRateLimitPolicy> {
    let unit = select(&[RateLimitUnit::Second, RateLimitUnit::Hour][..]);
    let header = (mostly(&["x-a", "X-B"], &["x b"]), named(&["1", "%"]));
    let header = header.prop_map(|(name, value)| HeaderValue {
        name: name.into(),
        value,
    });
    (
        1..3_u32,
        unit,
        0..2_u32,
        select(&[0, 503_u32][..]),
        prop::collection::vec(header, 0..2),
    )
        .prop_map(|(requests, unit, burst, response_status_code, headers)| {
            LocalRateLimitPolicy {
                requests,
                unit,
                burst,
                response_status_code,
                response_headers_to_add: headers.into(),
            }
        })
}

/// An entry with a field, with two, or with none.
fn entry() -> impl Strategy<Value = RateLimitDescriptorEntry> {
    let header = HeaderMatchCondition {
        name: "x-a".into(),
        present: true,
        ..HeaderMatchCondition::default()
    };
    let count = prop_oneof![40 => 1..3_usize, 1 => Just(0)];
    let matched =
        (count, any::<bool>(), named(&["v", "w"])).prop_map(move |(count, expect_match, value)| {
            RateLimitDescriptorEntry {
                request_header_value_match: Some(RequestHeaderValueMatch {
                    headers: vec![header.clone(); count].into(),
                    expect_match,
                    value,
                }),
                ..RateLimitDescriptorEntry::default()
            }
        });
    let generic =
        (text(&["k"]), named(&["limited", "unlimited"])).prop_map(|it| RateLimitDescriptorEntry {
            generic_key: Some(it),
            ..RateLimitDescriptorEntry::default()
        });
    let header = (named(&["x-a", "x-b"]), named(&["d"])).prop_map(|it| RateLimitDescriptorEntry {
        request_header: Some(it),
        ..RateLimitDescriptorEntry::default()
    });
    let address = prop::bool::weighted(0.95).prop_map(|remote_address| RateLimitDescriptorEntry {
        remote_address,
        ..RateLimitDescriptorEntry::default()
    });
    prop_oneof![3 => generic, 2 => header, 2 => matched, 1 => address]
}

pub fn rate_limits() -> impl Strategy<Value = RateLimitPolicy> {
    let descriptor = prop::collection::vec(entry(), 1..3).prop_map(Into::into);
    let global = (
        prop::bool::weighted(0.2),
        prop::collection::vec(descriptor, 0..3),
    );
    let global = global.prop_map(|(disabled, descriptors)| GlobalRateLimitPolicy {
        disabled,
        descriptors: descriptors.into(),
    });
    (prop::option::of(local()), prop::option::of(global))
        .prop_map(|(local, global)| RateLimitPolicy { local, global })
}

pub fn retries() -> impl Strategy<Value = RetryPolicy> {
    (
        -1..3_i64,
        mostly_text(&["1s", "infinity"], &["s"]),
        prop::collection::vec(named(&["5xx", "reset", "retriable-status-codes"]), 0..2),
        prop::collection::vec(select(&[409, 503_u32][..]), 0..2),
    )
        .prop_map(|(count, per_try_timeout, retry_on, codes)| RetryPolicy {
            count,
            per_try_timeout,
            retry_on: retry_on.into(),
            retriable_status_codes: codes.into(),
        })
}

pub fn redirect() -> impl Strategy<Value = HttpRequestRedirectPolicy> {
    (
        prop::option::of(named(&["http", "https"])),
        prop::option::of(named(&["a.test", "elsewhere.test"])),
        prop::option::weighted(0.3, Just(8443)),
        select(&[301, 302_u16][..]),
        prop_oneof![
            1 => Just((None, None)),
            1 => Just((Some("/path".into()), None)),
            2 => named(&["/prefix", "/"]).prop_map(|it| (None, Some(it))),
        ],
    )
        .prop_map(|(scheme, hostname, port, status_code, (path, prefix))| {
            HttpRequestRedirectPolicy {
                scheme,
                hostname,
                port,
                status_code,
                path,
                prefix,
            }
        })
}

pub fn direct_response() -> impl Strategy<Value = HttpDirectResponsePolicy> {
    let status_code = select(&[200, 404, 503_u16][..]);
    (status_code, text(&["body", "other"]))
        .prop_map(|(status_code, body)| HttpDirectResponsePolicy { status_code, body })
}

pub fn internal_redirect() -> impl Strategy<Value = HttpInternalRedirectPolicy> {
    (
        0..3_u32,
        prop::collection::vec(select(&[302, 303_u16][..]), 0..2),
        text(&["Always", "SafeOnly", "Never"]),
        any::<bool>(),
    )
        .prop_map(
            |(max_internal_redirects, codes, cross, deny_repeated_route_redirect)| {
                HttpInternalRedirectPolicy {
                    max_internal_redirects,
                    redirect_response_codes: codes.into(),
                    allow_cross_scheme_redirect: cross,
                    deny_repeated_route_redirect,
                }
            },
        )
}

/// Of a provider that is there, of one that is not, or both said.
pub fn verification() -> impl Strategy<Value = JwtVerificationPolicy> {
    (
        mostly_text(&["one", "two"], &["none"]),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(require, disabled)| JwtVerificationPolicy { require, disabled })
}

/// Of a header, of a parameter, of an address, or of nothing.
pub fn hashes() -> impl Strategy<Value = Box<[RequestHashPolicy]>> {
    let policy = (
        any::<bool>(),
        prop::option::weighted(0.8, mostly(&["x-a", "X-B"], &["x b"])),
        prop::option::weighted(0.1, named(&["q"])),
        prop::bool::weighted(0.1),
    );
    let policy = policy.prop_map(|(terminal, header_name, parameter_name, hash_source_ip)| {
        RequestHashPolicy {
            terminal,
            header_name: header_name.map(Arc::from),
            parameter_name,
            hash_source_ip,
        }
    });
    prop::collection::vec(policy, 0..3).prop_map(Into::into)
}

pub fn slow_start() -> impl Strategy<Value = SlowStartPolicy> {
    (
        mostly(&["5s"], &["s"]),
        mostly_text(&["1.5"], &["none"]),
        select(&[0, 10_u32][..]),
    )
        .prop_map(|(window, aggression, min_weight_percent)| SlowStartPolicy {
            window: window.into(),
            aggression,
            min_weight_percent,
        })
}

pub fn cors() -> impl Strategy<Value = CorsPolicy> {
    let origins = &["*", "https://a.test", "https://.*[.]a[.]test"];
    let origin = mostly(origins, &["x["]).prop_map(Arc::from);
    (
        any::<bool>(),
        prop::collection::vec(origin, 1..3),
        mostly_text(&["10m", "0"], &["-1s"]),
        text(&["x-a"]),
    )
        .prop_map(
            |(allow_credentials, allow_origin, max_age, header)| CorsPolicy {
                allow_credentials,
                allow_origin: allow_origin.into(),
                allow_methods: ["GET".into()].into(),
                allow_headers: [header].into_iter().filter(|it| !it.is_empty()).collect(),
                max_age,
                ..CorsPolicy::default()
            },
        )
}

/// Some by one name, some that are all the default, with keys of here, of a server that is verified, or of nowhere.
pub fn jwt_providers() -> impl Strategy<Value = Box<[JwtProvider]>> {
    let validation = secret_name().prop_map(|secret| UpstreamValidation {
        ca_secret: secret.into(),
        subject_names: ["keys.test".into()].into(),
    });
    let keys = (
        mostly(
            &["https://keys.test/jwks", "https://keys.test:3000/jwks"],
            &["http://keys.test/jwks", "https:///x", "ftp://x"],
        ),
        prop::option::weighted(0.1, validation),
        mostly_text(&["2s"], &["x"]),
        text(&["v4", "all"]),
    );
    let keys = keys.prop_map(|(uri, validation, timeout, dns_lookup_family)| RemoteJwks {
        uri: uri.into(),
        validation,
        timeout,
        cache_duration: Arc::default(),
        dns_lookup_family,
    });
    let provider = (
        named(&["one", "two"]),
        prop::bool::weighted(0.4),
        text(&["issuer"]),
        any::<bool>(),
        keys,
    );
    let provider =
        provider.prop_map(
            |(name, is_default, issuer, forward_jwt, remote_jwks)| JwtProvider {
                name,
                is_default,
                issuer,
                audiences: ["all".into()].into(),
                remote_jwks,
                forward_jwt,
            },
        );
    let several = prop::collection::vec(provider.boxed(), 2..3);
    prop_oneof![4 => several.clone().prop_map(|all| all[..1].into()), 1 => several.prop_map(Into::into)]
}

/// Of a body, or of a context; the operator's words are of the same kind.
pub fn buffer() -> impl Strategy<Value = AuthorizationServerBufferSettings> {
    (1..3_u32, any::<bool>(), any::<bool>()).prop_map(
        |(max_request_bytes, allow_partial_message, pack_as_bytes)| {
            AuthorizationServerBufferSettings {
                max_request_bytes,
                allow_partial_message,
                pack_as_bytes,
            }
        },
    )
}

pub fn authorization() -> impl Strategy<Value = AuthorizationPolicy> {
    (prop::bool::weighted(0.3), named(&["1", "2"])).prop_map(|(disabled, value)| {
        AuthorizationPolicy {
            disabled,
            context: [("k".into(), value)].into(),
        }
    })
}
