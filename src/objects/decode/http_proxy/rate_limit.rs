//! Rate limits, of a host or of a route.

use super::super::super::http_proxy::{
    GlobalRateLimitPolicy, LocalRateLimitPolicy, RateLimitDescriptorEntry, RateLimitPolicy,
    RateLimitUnit, RequestHeaderValueMatch,
};
use super::super::super::validate::FieldError;
use super::super::json::{Bool, Kept, List, Struct, Whole};
use super::super::schema::{At, each_of, not_empty, number, one_of, perhaps, present, some, text};
use super::super::wires::wires;
use super::condition::{HeaderWire, header};
use super::policy::{HeaderValueWire, header_value};

wires! {
    struct RateLimitWire {
        local: Struct<LocalWire>,
        global: Struct<GlobalWire>,
    }

    struct LocalWire {
        requests: Whole,
        unit: Kept,
        burst: Whole,
        response_status_code: Whole,
        response_headers_to_add: List<Struct<HeaderValueWire>>,
    }

    struct GlobalWire {
        disabled: Bool,
        descriptors: List<Struct<DescriptorWire>>,
    }

    struct DescriptorWire {
        entries: List<Struct<EntryWire>>,
    }

    struct EntryWire {
        generic_key: Struct<GenericKeyWire>,
        request_header: Struct<RequestHeaderWire>,
        request_header_value_match: Struct<ValueMatchWire>,
        remote_address: Struct<RemoteAddressWire>,
    }

    struct GenericKeyWire {
        key: Kept,
        value: Kept,
    }

    struct RequestHeaderWire {
        header_name: Kept,
        descriptor_key: Kept,
    }

    struct ValueMatchWire {
        headers: List<Struct<HeaderWire>>,
        expect_match: Bool,
        value: Kept,
    }

    struct RemoteAddressWire {
    }
}

/// What a Go `uint32` and the format of the schema's field both have.
const LIMIT: u32 = i32::MAX.unsigned_abs();

pub(super) fn rate_limit(at: At<'_>, wire: RateLimitWire) -> Result<RateLimitPolicy, FieldError> {
    Ok(RateLimitPolicy {
        local: perhaps(at.of("local"), wire.local, local)?,
        global: perhaps(at.of("global"), wire.global, global)?,
    })
}

/// Reads a policy of its own, as an operator's configuration has one.
///
/// # Errors
///
/// One sentence.
pub fn global_rate_limit_policy(json: &str) -> Result<GlobalRateLimitPolicy, String> {
    let Struct(wire) = serde_json::from_str::<Struct<GlobalWire>>(json)
        .map_err(|error| format!("it is no global rate limit policy in JSON: {error}"))?;
    global(At::Top("policy"), wire).map_err(|FieldError(why)| why)
}

fn local(at: At<'_>, wire: LocalWire) -> Result<LocalRateLimitPolicy, FieldError> {
    let requests = present(at.of("requests"), wire.requests)?;
    let unit = present(at.of("unit"), wire.unit)?;
    let unit = one_of(at.of("unit"), Some(unit), &["second", "minute", "hour"])?;
    let status = number(
        at.of("responseStatusCode"),
        wire.response_status_code,
        400,
        599,
    )?;
    let headers = at.of("responseHeadersToAdd");
    Ok(LocalRateLimitPolicy {
        requests: number(at.of("requests"), Some(requests), 1, LIMIT)?.unwrap_or(1),
        unit: match unit.as_deref() {
            Some("second") => RateLimitUnit::Second,
            Some("minute") => RateLimitUnit::Minute,
            _ => RateLimitUnit::Hour,
        },
        burst: number(at.of("burst"), wire.burst, 0, LIMIT)?.unwrap_or_default(),
        response_status_code: status.unwrap_or_default(),
        response_headers_to_add: each_of(headers, wire.response_headers_to_add, header_value)?,
    })
}

fn global(at: At<'_>, wire: GlobalWire) -> Result<GlobalRateLimitPolicy, FieldError> {
    not_empty(at.of("descriptors"), &wire.descriptors)?;
    let descriptors = each_of(at.of("descriptors"), wire.descriptors, |at, wire| {
        let entries = Some(present(at.of("entries"), wire.entries)?);
        not_empty(at.of("entries"), &entries)?;
        each_of(at.of("entries"), entries, entry)
    })?;
    Ok(GlobalRateLimitPolicy {
        disabled: Bool::of(wire.disabled),
        descriptors,
    })
}

fn entry(at: At<'_>, wire: EntryWire) -> Result<RateLimitDescriptorEntry, FieldError> {
    let generic_key = perhaps(at.of("genericKey"), wire.generic_key, |at, wire| {
        let value = present(at.of("value"), wire.value)?;
        Ok((text(wire.key), some(at.of("value"), Some(value))?))
    })?;
    let request_header = perhaps(at.of("requestHeader"), wire.request_header, |at, wire| {
        let name = present(at.of("headerName"), wire.header_name)?;
        let key = present(at.of("descriptorKey"), wire.descriptor_key)?;
        Ok((
            some(at.of("headerName"), Some(name))?,
            some(at.of("descriptorKey"), Some(key))?,
        ))
    })?;
    let value_match = at.of("requestHeaderValueMatch");
    Ok(RateLimitDescriptorEntry {
        generic_key,
        request_header,
        request_header_value_match: perhaps(
            value_match,
            wire.request_header_value_match,
            request_header_value_match,
        )?,
        remote_address: wire.remote_address.is_some(),
    })
}

fn request_header_value_match(
    at: At<'_>,
    wire: ValueMatchWire,
) -> Result<RequestHeaderValueMatch, FieldError> {
    not_empty(at.of("headers"), &wire.headers)?;
    let value = present(at.of("value"), wire.value)?;
    Ok(RequestHeaderValueMatch {
        headers: each_of(at.of("headers"), wire.headers, header)?,
        expect_match: wire.expect_match.is_none_or(|Bool(expected)| expected),
        value: some(at.of("value"), Some(value))?,
    })
}
