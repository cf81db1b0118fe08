//! Conditions of routes and of includes.

use super::super::super::http_proxy::{
    HeaderMatchCondition, Include, MatchCondition, QueryParameterMatchCondition,
};
use super::super::super::validate::FieldError;
use super::super::json::{Bool, Kept, List, Struct};
use super::super::schema::{At, each_of, perhaps, present, text};
use super::super::wires::wires;

wires! {
    struct IncludeWire {
        name: Kept,
        namespace: Kept,
        conditions: List<Struct<ConditionWire>>,
    }

    struct ConditionWire {
        prefix: Kept,
        exact: Kept,
        regex: Kept,
        header: Struct<HeaderWire>,
        query_parameter: Struct<QueryParameterWire>,
    }

    struct HeaderWire {
        name: Kept,
        present: Bool,
        notpresent: Bool,
        contains: Kept,
        notcontains: Kept,
        ignore_case: Bool,
        exact: Kept,
        notexact: Kept,
        regex: Kept,
        treat_missing_as_empty: Bool,
    }

    struct QueryParameterWire {
        name: Kept,
        exact: Kept,
        prefix: Kept,
        suffix: Kept,
        regex: Kept,
        contains: Kept,
        ignore_case: Bool,
        present: Bool,
    }
}

pub(super) fn include(at: At<'_>, wire: IncludeWire) -> Result<Include, FieldError> {
    let Kept(name) = present(at.of("name"), wire.name)?;
    Ok(Include {
        name,
        namespace: text(wire.namespace),
        conditions: each_of(at.of("conditions"), wire.conditions, condition)?,
    })
}

pub(super) fn condition(at: At<'_>, wire: ConditionWire) -> Result<MatchCondition, FieldError> {
    let query_parameter = perhaps(
        at.of("queryParameter"),
        wire.query_parameter,
        query_parameter,
    )?;
    Ok(MatchCondition {
        prefix: text(wire.prefix),
        exact: text(wire.exact),
        regex: text(wire.regex),
        header: perhaps(at.of("header"), wire.header, header)?.map(Box::new),
        query_parameter: query_parameter.map(Box::new),
    })
}

pub(super) fn header(at: At<'_>, wire: HeaderWire) -> Result<HeaderMatchCondition, FieldError> {
    let Kept(name) = present(at.of("name"), wire.name)?;
    Ok(HeaderMatchCondition {
        name,
        present: Bool::of(wire.present),
        not_present: Bool::of(wire.notpresent),
        contains: text(wire.contains),
        not_contains: text(wire.notcontains),
        ignore_case: Bool::of(wire.ignore_case),
        exact: text(wire.exact),
        not_exact: text(wire.notexact),
        regex: text(wire.regex),
        treat_missing_as_empty: Bool::of(wire.treat_missing_as_empty),
    })
}

fn query_parameter(
    at: At<'_>,
    wire: QueryParameterWire,
) -> Result<QueryParameterMatchCondition, FieldError> {
    let Kept(name) = present(at.of("name"), wire.name)?;
    Ok(QueryParameterMatchCondition {
        name,
        exact: text(wire.exact),
        prefix: text(wire.prefix),
        suffix: text(wire.suffix),
        regex: text(wire.regex),
        contains: text(wire.contains),
        ignore_case: Bool::of(wire.ignore_case),
        present: Bool::of(wire.present),
    })
}
