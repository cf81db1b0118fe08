//! Policies that several parts of an HTTPProxy have, and an ExtensionService some of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::super::http_proxy::{
    AuthorizationPolicy, CookieRewritePolicy, HeaderValue, HeadersPolicy, IpFilterPolicy,
    IpFilterSource, LoadBalancerPolicy, RequestHashPolicy, TimeoutPolicy, UpstreamValidation,
};
use super::super::super::validate::FieldError;
use super::super::json::{Bool, Kept, List, Struct, Whole};
use super::super::schema::{
    At, COOKIE, COOKIE_PATH, DURATION_OR_INFINITY, HOST, Pattern, each_of, long, matching, no_more,
    not_empty, one_of, perhaps, present, some, text, texts,
};
use super::super::wires::wires;

wires! {
    struct AuthorizationPolicyWire {
        disabled: Bool,
        context: BTreeMap<String, Kept>,
    }

    struct IpFilterWire {
        source: Kept,
        cidr: Kept,
    }

    struct TimeoutWire {
        response: Kept,
        idle: Kept,
        idle_connection: Kept,
    }

    struct LoadBalancerWire {
        strategy: Kept,
        request_hash_policies: List<Struct<RequestHashWire>>,
    }

    struct RequestHashWire {
        terminal: Bool,
        header_hash_options: Struct<HeaderHashWire>,
        query_parameter_hash_options: Struct<QueryParameterHashWire>,
        #[serde(rename = "hashSourceIP")]
        hash_source_ip: Bool,
    }

    struct HeaderHashWire {
        header_name: Kept,
    }

    struct QueryParameterHashWire {
        parameter_name: Kept,
    }

    struct HeadersWire {
        set: List<Struct<HeaderValueWire>>,
        remove: List<Kept>,
    }

    struct HeaderValueWire {
        name: Kept,
        value: Kept,
    }

    struct CookieWire {
        name: Kept,
        path_rewrite: Struct<ValueWire>,
        domain_rewrite: Struct<ValueWire>,
        secure: Bool,
        same_site: Kept,
    }

    struct ValueWire {
        value: Kept,
    }

    struct ValidationWire {
        ca_secret: Kept,
        subject_name: Kept,
        subject_names: List<Kept>,
    }
}

/// A port's number. 0 where there is none.
pub(in super::super) fn port(at: At<'_>, field: Option<Whole>) -> Result<u16, FieldError> {
    let Some(Whole(value)) = field else {
        return Ok(0);
    };
    let bound = match u16::try_from(value) {
        Ok(port) if port > 0 => return Ok(port),
        _ if value < 1 => "greater than or equal to 1",
        _ => "less than 65536",
    };
    Err(FieldError(format!(
        "{at}: Invalid value: {value}: {at} in body should be {bound}"
    )))
}

pub(super) fn authorization_policy(
    _: At<'_>,
    wire: AuthorizationPolicyWire,
) -> Result<AuthorizationPolicy, FieldError> {
    let context = wire.context.into_iter().flatten();
    Ok(AuthorizationPolicy {
        disabled: Bool::of(wire.disabled),
        context: context
            .map(|(key, Kept(value))| (Arc::from(key), value))
            .collect(),
    })
}

pub(super) fn ip_filter(at: At<'_>, wire: IpFilterWire) -> Result<IpFilterPolicy, FieldError> {
    let Kept(cidr) = present(at.of("cidr"), wire.cidr)?;
    let source = present(at.of("source"), wire.source)?;
    let source = one_of(at.of("source"), Some(source), &["Peer", "Remote"])?;
    Ok(IpFilterPolicy {
        source: match source.as_deref() {
            Some("Peer") => IpFilterSource::Peer,
            _ => IpFilterSource::Remote,
        },
        cidr,
    })
}

pub(in super::super) fn timeout(
    at: At<'_>,
    wire: TimeoutWire,
) -> Result<TimeoutPolicy, FieldError> {
    let duration = |field, value| matching(at.of(field), value, &DURATION_OR_INFINITY);
    Ok(TimeoutPolicy {
        response: duration("response", wire.response)?,
        idle: duration("idle", wire.idle)?,
        idle_connection: duration("idleConnection", wire.idle_connection)?,
    })
}

pub(in super::super) fn load_balancer(
    at: At<'_>,
    wire: LoadBalancerWire,
) -> Result<LoadBalancerPolicy, FieldError> {
    let policies = at.of("requestHashPolicies");
    Ok(LoadBalancerPolicy {
        strategy: text(wire.strategy),
        request_hash_policies: each_of(policies, wire.request_hash_policies, request_hash)?,
    })
}

fn request_hash(at: At<'_>, wire: RequestHashWire) -> Result<RequestHashPolicy, FieldError> {
    let header = at.of("headerHashOptions");
    let header = perhaps(header, wire.header_hash_options, |at, options| {
        let at = at.of("headerName");
        some(at, Some(present(at, options.header_name)?))
    })?;
    let query = at.of("queryParameterHashOptions");
    let query = perhaps(query, wire.query_parameter_hash_options, |at, options| {
        let at = at.of("parameterName");
        some(at, Some(present(at, options.parameter_name)?))
    })?;
    Ok(RequestHashPolicy {
        terminal: Bool::of(wire.terminal),
        header_name: header,
        parameter_name: query,
        hash_source_ip: Bool::of(wire.hash_source_ip),
    })
}

pub(super) fn headers(at: At<'_>, wire: HeadersWire) -> Result<HeadersPolicy, FieldError> {
    Ok(HeadersPolicy {
        set: each_of(at.of("set"), wire.set, header_value)?,
        remove: texts(wire.remove),
    })
}

pub(super) fn header_value(at: At<'_>, wire: HeaderValueWire) -> Result<HeaderValue, FieldError> {
    let name = present(at.of("name"), wire.name)?;
    let value = present(at.of("value"), wire.value)?;
    Ok(HeaderValue {
        name: some(at.of("name"), Some(name))?,
        value: some(at.of("value"), Some(value))?,
    })
}

pub(super) fn cookie(at: At<'_>, wire: CookieWire) -> Result<CookieRewritePolicy, FieldError> {
    /// A text that has to be there and match, of so many characters at most.
    fn bounded(at: At<'_>, field: Option<Kept>, as_in: &Pattern) -> Result<Arc<str>, FieldError> {
        const LIMIT: usize = 4096;
        let bounded = long(at, Some(present(at, field)?), LIMIT)?;
        matching(at, Some(Kept(bounded)), as_in)
    }
    let value = |field, wire, pattern| {
        perhaps(at.of(field), wire, |at, wire: ValueWire| {
            bounded(at.of("value"), wire.value, pattern)
        })
    };
    let same_site = ["Strict", "Lax", "None"];
    Ok(CookieRewritePolicy {
        name: bounded(at.of("name"), wire.name, &COOKIE)?,
        path_rewrite: value("pathRewrite", wire.path_rewrite, &COOKIE_PATH)?,
        domain_rewrite: value("domainRewrite", wire.domain_rewrite, &HOST)?,
        secure: wire.secure.map(|Bool(secure)| secure),
        same_site: one_of(at.of("sameSite"), wire.same_site, &same_site)?,
    })
}

pub(in super::super) fn validation(
    at: At<'_>,
    wire: ValidationWire,
) -> Result<UpstreamValidation, FieldError> {
    /// A Secret's name and its namespace, with what stands between them.
    const SECRET_LIMIT: usize = 317;
    const SUBJECT_LIMIT: usize = 250;
    const SUBJECTS: usize = 8;
    let secret = present(at.of("caSecret"), wire.ca_secret)?;
    let ca_secret = long(at.of("caSecret"), Some(secret), SECRET_LIMIT)?;
    let name = present(at.of("subjectName"), wire.subject_name)?;
    let name = long(at.of("subjectName"), Some(name), SUBJECT_LIMIT)?;
    let names = at.of("subjectNames");
    not_empty(names, &wire.subject_names)?;
    no_more(names, &wire.subject_names, SUBJECTS)?;
    let names = texts(wire.subject_names);
    if names.first().is_some_and(|first| *first != name) {
        let why = "subjectNames[0] must equal subjectName if set";
        return Err(FieldError(format!("{at}: Invalid value: {why}")));
    }
    Ok(UpstreamValidation {
        ca_secret,
        subject_names: match names.is_empty() {
            true => Box::new([name]),
            false => names,
        },
    })
}
