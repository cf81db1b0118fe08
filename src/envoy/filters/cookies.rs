//! Changes of cookies, and of where answers lead, by the one Lua filter of every manager.
//!
//! Envoy's own changes of headers see all `Set-Cookie` of an answer as one value. So this is a script, always the same, and
//! what a route or a share asks for is data that the script is given. A filter within a route's chain would be an
//! interpreter of its own for each route, made anew with every change of the table.

use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use envoy_types::pb::envoy::extensions::filters::http::lua::v3::{Lua, LuaPerRoute};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter;
use envoy_types::pb::google::protobuf::Any;
use prost::Name as _;

use super::super::encode::{nested, struct_bytes};
use super::super::http_filter;
use crate::model::{AttributeRewrite, CookieRewrite, LocationRewrite};

/// The name of the filter in every manager.
pub(in crate::envoy) const NAME: &str = "isobath.cookies";

/// The filter, which does nothing without a context.
pub(super) fn filter() -> HttpFilter {
    let script = DataSource {
        specifier: Some(Specifier::InlineString(
            include_str!("cookies.lua").to_owned(),
        )),
        ..Default::default()
    };
    let config = Lua {
        default_source_code: Some(script),
        ..Default::default()
    };
    http_filter::filter(NAME, config)
}

/// `LuaPerRoute.filter_context`, and the fields of the generic values in it.
const CONTEXT: u32 = 4;
const STRUCT_FIELDS: u32 = 1;
const MAP_KEY: u32 = 1;
const MAP_VALUE: u32 = 2;
const STRUCT_VALUE: u32 = 5;
const LIST_VALUE: u32 = 6;
const LIST_VALUES: u32 = 1;

/// What a route or a share tells the filter, where it tells anything. Encoded by hand, as the generated type is a hash map.
pub(in crate::envoy) fn context<'a>(
    rewrites: impl IntoIterator<Item = &'a CookieRewrite>,
    location: Option<&LocationRewrite>,
) -> Option<Any> {
    let mut rules = Vec::new();
    for rewrite in rewrites {
        let rule = nested(STRUCT_VALUE, &struct_bytes(&fields(rewrite)));
        rules.extend(nested(LIST_VALUES, &rule));
    }
    let location = location.map(|it| {
        nested(
            STRUCT_VALUE,
            &struct_bytes(&[("from", it.from()), ("to", it.to())]),
        )
    });
    let rules = (!rules.is_empty()).then(|| nested(LIST_VALUE, &rules));
    let all = [("location", location), ("rules", rules)];
    let mut said = Vec::new();
    for (key, value) in all {
        let Some(value) = value else { continue };
        let mut entry = nested(MAP_KEY, key.as_bytes());
        entry.extend(nested(MAP_VALUE, &value));
        said.extend(nested(STRUCT_FIELDS, &entry));
    }
    (!said.is_empty()).then(|| Any {
        type_url: LuaPerRoute::type_url(),
        value: nested(CONTEXT, &said),
    })
}

/// What the script reads of one.
fn fields(rewrite: &CookieRewrite) -> Vec<(&'static str, &str)> {
    let flag = |flag: bool| if flag { "true" } else { "false" };
    let (path, domain) = (rewrite.path_rewrite(), rewrite.domain_rewrite());
    let fields = [
        ("cookie", rewrite.name()),
        ("domain", domain.map(to)),
        ("domain_from", domain.and_then(from)),
        ("httponly", rewrite.http_only.map(flag)),
        ("path", path.map(to)),
        ("path_from", path.and_then(from)),
        ("samesite", rewrite.same_site.map(|it| it.as_str())),
        ("secure", rewrite.secure.map(flag)),
    ];
    let fields = fields.into_iter();
    fields
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

fn to(rewrite: &AttributeRewrite) -> &str {
    match rewrite {
        AttributeRewrite::Set(to) | AttributeRewrite::Replace { to, .. } => to,
    }
}

fn from(rewrite: &AttributeRewrite) -> Option<&str> {
    match rewrite {
        AttributeRewrite::Set(_) => None,
        AttributeRewrite::Replace { from, .. } => Some(from),
    }
}
