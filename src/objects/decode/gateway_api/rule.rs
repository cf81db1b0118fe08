//! Rules of HTTPRoutes and GRPCRoutes: matches, filters, back ends.

use std::sync::Arc;

use super::super::super::gateway_api::{
    BackendRef, CorsFilter, Filter, GrpcMatch, GrpcMethod, GrpcRule, HeaderModifier, HttpMatch,
    HttpRule, MirrorFilter, NameValue, PathMatch, PathModifier, RedirectFilter, Retry, RuleBackend,
    UrlRewriteFilter, ValueMatch,
};
use super::super::super::validate::{FieldError, invalid};
use super::super::json::{Bool, Kept, List, Struct, Whole};
use super::super::schema::{
    At, HOST, each, each_of, matching, not_empty, number, number_of, one_of, perhaps, present,
    text, texts,
};
use super::super::wires::wires;
use super::reference::{BackendWire, ObjectWire, backend, name, parameters, port, said};

wires! {
    struct HttpRuleWire {
        matches: List<Struct<HttpMatchWire>>,
        filters: List<Struct<FilterWire>>,
        backend_refs: List<Struct<RuleBackendWire>>,
        timeouts: Struct<TimeoutsWire>,
        retry: Struct<RetryWire>,
        session_persistence: Struct<NothingWire>,
    }

    struct GrpcRuleWire {
        matches: List<Struct<GrpcMatchWire>>,
        filters: List<Struct<FilterWire>>,
        backend_refs: List<Struct<RuleBackendWire>>,
        session_persistence: Struct<NothingWire>,
    }

    struct OpaqueRuleWire {
        backend_refs: List<Struct<BackendWire>>,
    }

    struct NothingWire {}

    struct HttpMatchWire {
        path: Struct<ValueWire>,
        headers: List<Struct<NamedValueWire>>,
        query_params: List<Struct<NamedValueWire>>,
        method: Kept,
    }

    struct ValueWire {
        #[serde(rename = "type")]
        kind: Kept,
        value: Kept,
    }

    struct NamedValueWire {
        #[serde(rename = "type")]
        kind: Kept,
        name: Kept,
        value: Kept,
    }

    struct GrpcMatchWire {
        method: Struct<GrpcMethodWire>,
        headers: List<Struct<NamedValueWire>>,
    }

    struct GrpcMethodWire {
        #[serde(rename = "type")]
        kind: Kept,
        service: Kept,
        method: Kept,
    }

    struct TimeoutsWire {
        request: Kept,
        backend_request: Kept,
    }

    struct RetryWire {
        codes: List<Whole>,
        attempts: Whole,
        backoff: Kept,
    }

    struct RuleBackendWire {
        group: Kept,
        kind: Kept,
        name: Kept,
        namespace: Kept,
        port: Whole,
        weight: Whole,
        filters: List<Struct<FilterWire>>,
    }

    struct FilterWire {
        #[serde(rename = "type")]
        kind: Kept,
        request_header_modifier: Struct<HeadersWire>,
        response_header_modifier: Struct<HeadersWire>,
        request_redirect: Struct<RedirectWire>,
        url_rewrite: Struct<RewriteWire>,
        request_mirror: Struct<MirrorWire>,
        cors: Struct<CorsWire>,
        extension_ref: Struct<ObjectWire>,
    }

    struct HeadersWire {
        set: List<Struct<NamedValueWire>>,
        add: List<Struct<NamedValueWire>>,
        remove: List<Kept>,
    }

    struct RedirectWire {
        scheme: Kept,
        hostname: Kept,
        path: Struct<PathModifierWire>,
        port: Whole,
        status_code: Whole,
    }

    struct RewriteWire {
        hostname: Kept,
        path: Struct<PathModifierWire>,
    }

    struct PathModifierWire {
        #[serde(rename = "type")]
        kind: Kept,
        replace_full_path: Kept,
        replace_prefix_match: Kept,
    }

    struct MirrorWire {
        backend_ref: Struct<BackendWire>,
        percent: Whole,
        fraction: Struct<FractionWire>,
    }

    struct FractionWire {
        numerator: Whole,
        denominator: Whole,
    }

    struct CorsWire {
        allow_origins: List<Kept>,
        allow_methods: List<Kept>,
        allow_headers: List<Kept>,
        expose_headers: List<Kept>,
        allow_credentials: Bool,
        max_age: Whole,
    }
}

pub(super) fn http_rule(at: At<'_>, wire: HttpRuleWire) -> Result<HttpRule, FieldError> {
    let Struct(timeouts) = wire.timeouts.unwrap_or_default();
    let of_timeouts = at.of("timeouts");
    let backend_timeout = said(of_timeouts.of("backendRequest"), timeouts.backend_request)?;
    Ok(HttpRule {
        matches: each_of(at.of("matches"), wire.matches, http_match)?,
        filters: each_of(at.of("filters"), wire.filters, filter)?,
        backends: each_of(at.of("backendRefs"), wire.backend_refs, rule_backend)?,
        request_timeout: said(of_timeouts.of("request"), timeouts.request)?,
        backend_timeout,
        retry: perhaps(at.of("retry"), wire.retry, retry)?,
        has_session_persistence: wire.session_persistence.is_some(),
    })
}

pub(super) fn grpc_rule(at: At<'_>, wire: GrpcRuleWire) -> Result<GrpcRule, FieldError> {
    Ok(GrpcRule {
        matches: each_of(at.of("matches"), wire.matches, grpc_match)?,
        filters: each_of(at.of("filters"), wire.filters, filter)?,
        backends: each_of(at.of("backendRefs"), wire.backend_refs, rule_backend)?,
        has_session_persistence: wire.session_persistence.is_some(),
    })
}

/// The back ends of a rule of a route that has nothing else.
pub(super) fn opaque_rule(
    at: At<'_>,
    wire: OpaqueRuleWire,
) -> Result<Box<[BackendRef]>, FieldError> {
    let backends = present(at.of("backendRefs"), wire.backend_refs).map(Some)?;
    not_empty(at.of("backendRefs"), &backends)?;
    each_of(at.of("backendRefs"), backends, backend)
}

fn http_match(at: At<'_>, wire: HttpMatchWire) -> Result<HttpMatch, FieldError> {
    let path = perhaps(at.of("path"), wire.path, |at, wire| {
        let kinds = ["Exact", "PathPrefix", "RegularExpression"];
        let kind = one_of(at.of("type"), wire.kind, &kinds)?;
        let value = wire.value.map_or_else(|| "/".into(), |Kept(value)| value);
        let is_absolute = value.starts_with('/');
        match kind.as_deref() {
            Some("RegularExpression") => return Ok(PathMatch::RegularExpression(value)),
            _ if !is_absolute => {
                let why = "value must be an absolute path and start with '/'";
                return Err(invalid(at, &value, why));
            }
            _ => {}
        }
        Ok(match kind.as_deref() {
            Some("Exact") => PathMatch::Exact(value),
            _ => PathMatch::Prefix(value),
        })
    })?;
    Ok(HttpMatch {
        path,
        headers: each_of(at.of("headers"), wire.headers, value_match)?,
        query: each_of(at.of("queryParams"), wire.query_params, value_match)?,
        method: said(at.of("method"), wire.method)?,
    })
}

fn value_match(at: At<'_>, wire: NamedValueWire) -> Result<ValueMatch, FieldError> {
    let kind = one_of(at.of("type"), wire.kind, &["Exact", "RegularExpression"])?;
    let Kept(value) = present(at.of("value"), wire.value)?;
    Ok(ValueMatch {
        name: name(at, wire.name)?,
        value,
        is_regex: kind.is_some_and(|kind| &*kind == "RegularExpression"),
    })
}

fn grpc_match(at: At<'_>, wire: GrpcMatchWire) -> Result<GrpcMatch, FieldError> {
    Ok(GrpcMatch {
        method: perhaps(at.of("method"), wire.method, |at, wire| {
            let kind = one_of(at.of("type"), wire.kind, &["Exact", "RegularExpression"])?;
            let not_blank = |name: Option<Kept>| {
                let name = name.map(|Kept(name)| name);
                name.filter(|name| !name.is_empty())
            };
            Ok(GrpcMethod {
                service: not_blank(wire.service),
                method: not_blank(wire.method),
                is_regex: kind.is_some_and(|kind| &*kind == "RegularExpression"),
            })
        })?,
        headers: each_of(at.of("headers"), wire.headers, value_match)?,
    })
}

fn retry(at: At<'_>, wire: RetryWire) -> Result<Retry, FieldError> {
    let attempts = number(at.of("attempts"), wire.attempts, 0, i64::MAX)?;
    Ok(Retry {
        codes: each(at.of("codes"), wire.codes, |at, code| {
            Ok(number(at, Some(code), 400, 599)?.unwrap_or_default())
        })?,
        attempts: attempts.map_or(1, |it| u32::try_from(it).unwrap_or(u32::MAX)),
        backoff: said(at.of("backoff"), wire.backoff)?,
    })
}

fn rule_backend(at: At<'_>, wire: RuleBackendWire) -> Result<RuleBackend, FieldError> {
    let named = BackendWire {
        group: wire.group,
        kind: wire.kind,
        name: wire.name,
        namespace: wire.namespace,
        port: wire.port,
        weight: wire.weight,
    };
    Ok(RuleBackend {
        backend: backend(at, named)?,
        filters: each_of(at.of("filters"), wire.filters, filter)?,
    })
}

fn filter(at: At<'_>, wire: FilterWire) -> Result<Filter, FieldError> {
    let Kept(kind) = present(at.of("type"), wire.kind)?;
    Ok(match &*kind {
        "RequestHeaderModifier" => {
            let at = at.of("requestHeaderModifier");
            let Struct(wire) = present(at, wire.request_header_modifier)?;
            Filter::RequestHeaderModifier(headers(at, wire)?)
        }
        "ResponseHeaderModifier" => {
            let at = at.of("responseHeaderModifier");
            let Struct(wire) = present(at, wire.response_header_modifier)?;
            Filter::ResponseHeaderModifier(headers(at, wire)?)
        }
        "RequestRedirect" => {
            let at = at.of("requestRedirect");
            let Struct(wire) = present(at, wire.request_redirect)?;
            Filter::RequestRedirect(redirect(at, wire)?)
        }
        "URLRewrite" => {
            let at = at.of("urlRewrite");
            let Struct(wire) = present(at, wire.url_rewrite)?;
            Filter::UrlRewrite(UrlRewriteFilter {
                hostname: hostname(at, wire.hostname)?,
                path: perhaps(at.of("path"), wire.path, path_modifier)?,
            })
        }
        "RequestMirror" => {
            let at = at.of("requestMirror");
            let Struct(wire) = present(at, wire.request_mirror)?;
            Filter::RequestMirror(mirror(at, wire)?)
        }
        "CORS" => {
            let at = at.of("cors");
            let Struct(wire) = present(at, wire.cors)?;
            Filter::Cors(cors(at, wire)?)
        }
        "ExtensionRef" => {
            let at = at.of("extensionRef");
            let Struct(wire) = present(at, wire.extension_ref)?;
            let named = parameters(at, wire)?;
            Filter::ExtensionRef([named.group, named.kind, named.name])
        }
        _ => Filter::Other(kind),
    })
}

fn headers(at: At<'_>, wire: HeadersWire) -> Result<HeaderModifier, FieldError> {
    let named = |at: At<'_>, wire: NamedValueWire| {
        let Kept(value) = present(at.of("value"), wire.value)?;
        Ok(NameValue {
            name: name(at, wire.name)?,
            value,
        })
    };
    Ok(HeaderModifier {
        set: each_of(at.of("set"), wire.set, named)?,
        add: each_of(at.of("add"), wire.add, named)?,
        remove: texts(wire.remove),
    })
}

fn hostname(at: At<'_>, field: Option<Kept>) -> Result<Option<Arc<str>>, FieldError> {
    let is_said = field.is_some();
    let name = matching(at.of("hostname"), field, &HOST)?;
    Ok(is_said.then_some(name))
}

fn redirect(at: At<'_>, wire: RedirectWire) -> Result<RedirectFilter, FieldError> {
    const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];
    let status = number_of(at.of("statusCode"), wire.status_code, &STATUSES)?;
    Ok(RedirectFilter {
        scheme: one_of(at.of("scheme"), wire.scheme, &["http", "https"])?,
        hostname: hostname(at, wire.hostname)?,
        path: perhaps(at.of("path"), wire.path, path_modifier)?,
        port: port(at.of("port"), wire.port)?,
        status: status.unwrap_or(302),
    })
}

fn path_modifier(at: At<'_>, wire: PathModifierWire) -> Result<PathModifier, FieldError> {
    let kind = present(at.of("type"), wire.kind)?;
    let kinds = ["ReplaceFullPath", "ReplacePrefixMatch"];
    let kind = one_of(at.of("type"), Some(kind), &kinds)?;
    // The schema takes any text.
    Ok(match kind.as_deref() {
        Some("ReplaceFullPath") => PathModifier::ReplaceFullPath(text(wire.replace_full_path)),
        _ => PathModifier::ReplacePrefixMatch(text(wire.replace_prefix_match)),
    })
}

fn mirror(at: At<'_>, wire: MirrorWire) -> Result<MirrorFilter, FieldError> {
    const MOST: u32 = i32::MAX.unsigned_abs();
    let Struct(to) = present(at.of("backendRef"), wire.backend_ref)?;
    let percent = number(at.of("percent"), wire.percent, 0, 100_u32)?;
    let part = perhaps(at.of("fraction"), wire.fraction, |at, wire| {
        let numerator = present(at.of("numerator"), wire.numerator)?;
        let numerator = number(at.of("numerator"), Some(numerator), 0, MOST)?;
        let denominator = number(at.of("denominator"), wire.denominator, 1, MOST)?;
        let (numerator, denominator) = (numerator.unwrap_or_default(), denominator.unwrap_or(100));
        if numerator > denominator {
            let why = "numerator must be less than or equal to denominator";
            return Err(invalid(at, "", why));
        }
        Ok((numerator, denominator))
    })?;
    Ok(MirrorFilter {
        backend: backend(at.of("backendRef"), to)?,
        fraction: part.unwrap_or((percent.unwrap_or(100), 100)),
    })
}

fn cors(at: At<'_>, wire: CorsWire) -> Result<CorsFilter, FieldError> {
    let max_age = number(at.of("maxAge"), wire.max_age, 1, i32::MAX.unsigned_abs())?;
    Ok(CorsFilter {
        origins: texts(wire.allow_origins),
        methods: texts(wire.allow_methods),
        headers: texts(wire.allow_headers),
        exposed: texts(wire.expose_headers),
        credentials: Bool::of(wire.allow_credentials),
        max_age: max_age.unwrap_or(5),
    })
}
