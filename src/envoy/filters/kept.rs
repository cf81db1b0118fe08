//! What is kept of a request beside it, as its headers are others by the time that it is needed: for pages of back ends
//! ([`super::error_page`]), and for redirects that are followed.
//!
//! Envoy finds the routes of a request that it sends itself by the headers that the first one was sent with, and the table
//! has removed those that chose the table. No filter sees a request behind the router, so a route whose redirects are
//! followed sends them: its back ends see of which server name the connection is, which is no secret.

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::filters::common::set_filter_state::v3 as state;
use envoy_types::pb::envoy::extensions::filters::http::set_filter_state::v3 as set_filter_state;

use super::super::encode::inline_text;
use super::super::header::formatted;
use super::super::http_filter::in_chain;
use super::super::private_header;
use crate::model::{Route, RouteAction};
use core::header_value_option::HeaderAppendAction;

/// Something that is kept.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    /// Its key in the state of the request.
    key: &'static str,
    /// Where it comes from.
    from: &'static str,
}

pub(super) const HOST: Kept = Kept {
    key: "isobath.kept.host",
    from: "%REQ(:AUTHORITY)%",
};
pub(super) const METHOD: Kept = Kept {
    key: "isobath.kept.method",
    from: "%REQ(:METHOD)%",
};
pub(super) const PATH: Kept = Kept {
    key: "isobath.kept.path",
    from: "%REQ(:PATH)%",
};
pub(super) const SCOPE: Kept = Kept {
    key: "isobath.kept.scope",
    from: "%REQ(X-ISOBATH-SCOPE)%",
};
pub(super) const SERVER_NAME: Kept = Kept {
    key: "isobath.kept.server-name",
    from: "%REQ(X-ISOBATH-SERVER-NAME)%",
};
const ALL: [Kept; 5] = [HOST, METHOD, PATH, SCOPE, SERVER_NAME];

impl Kept {
    /// It, in a format of Envoy's.
    pub(super) fn format(self) -> String {
        format!("%FILTER_STATE({}:PLAIN)%", self.key)
    }
}

/// The filter that keeps all of it.
pub(super) fn filter() -> core::TypedExtensionConfig {
    let kept = ALL.iter().map(|kept| state::FilterStateValue {
        key: Some(state::filter_state_value::Key::ObjectKey(
            kept.key.to_owned(),
        )),
        factory_key: "envoy.string".to_owned(),
        skip_if_empty: true,
        value: Some(state::filter_state_value::Value::FormatString(
            core::SubstitutionFormatString {
                omit_empty_values: true,
                format: Some(core::substitution_format_string::Format::TextFormatSource(
                    inline_text(kept.from),
                )),
                ..Default::default()
            },
        )),
        ..Default::default()
    });
    let config = set_filter_state::Config {
        on_request_headers: kept.collect(),
        ..Default::default()
    };
    in_chain("kept", config)
}

/// Whether redirects of the route's back ends are followed.
pub(super) fn follows_redirects(route: &Route) -> bool {
    let RouteAction::Forward(forward) = &route.action else {
        return false;
    };
    let options = forward.options.as_deref();
    options.is_some_and(|options| options.internal_redirects.is_some())
}

/// What a route sends whose redirects are followed. In clear text there is nothing of it, and nothing is sent.
pub(in crate::envoy) fn headers(
    route: &Route,
) -> impl Iterator<Item = core::HeaderValueOption> + use<> {
    let sent = [
        (private_header::SCOPE, SCOPE),
        (private_header::SERVER_NAME, SERVER_NAME),
    ];
    let sent = follows_redirects(route).then_some(sent);
    let overwrite = HeaderAppendAction::OverwriteIfExistsOrAdd;
    let sent = sent.into_iter().flatten();
    sent.map(move |(name, kept)| formatted(name, kept.format(), overwrite))
}
