//! What happens to a request that a route takes.

use envoy_types::pb::envoy::config::route::v3 as pb;
use pb::redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier};

use super::direct_response::direct_response;
use super::forward::forward;
use super::path::{self, Rewrite};
use crate::model::{PathRewrite, Redirect, RouteAction};

/// The rewrite that the action asks for.
pub(super) fn rewrite(action: &RouteAction) -> Option<&PathRewrite> {
    match action {
        RouteAction::Forward(forward) => forward.rewrite.as_ref(),
        RouteAction::Redirect(redirect) => redirect.path.as_ref(),
        RouteAction::DirectResponse(_) => None,
    }
}

/// The action, with its rewrite as [`super::path::matches`] worked it out. `host` is what the back end is to see as
/// Host instead of the client's.
pub(super) fn action(
    action: &RouteAction,
    rewrite: Rewrite,
    host: Option<String>,
) -> pb::route::Action {
    match action {
        RouteAction::Forward(to) => forward(to, rewrite, host),
        RouteAction::Redirect(to) => redirect(to, rewrite),
        RouteAction::DirectResponse(answer) => direct_response(answer.status(), answer.body()),
    }
}

fn redirect(to: &Redirect, rewrite: Rewrite) -> pb::route::Action {
    pb::route::Action::Redirect(pb::RedirectAction {
        scheme_rewrite_specifier: match to.scheme {
            None => None,
            Some("https") => Some(SchemeRewriteSpecifier::HttpsRedirect(true)),
            Some(other) => Some(SchemeRewriteSpecifier::SchemeRedirect(other.to_owned())),
        },
        host_redirect: to.hostname.as_deref().unwrap_or_default().to_owned(),
        port_redirect: to.port.map_or(0, u32::from),
        path_rewrite_specifier: match rewrite {
            Rewrite::None => None,
            Rewrite::Matched(replacement) => Some(PathRewriteSpecifier::PrefixRewrite(replacement)),
            Rewrite::Whole(path) => Some(PathRewriteSpecifier::PathRedirect(path)),
            Rewrite::Within(substitution) => Some(PathRewriteSpecifier::RegexRewrite(
                path::substitution(&substitution),
            )),
        },
        response_code: match to.status {
            302 => RedirectResponseCode::Found,
            303 => RedirectResponseCode::SeeOther,
            307 => RedirectResponseCode::TemporaryRedirect,
            308 => RedirectResponseCode::PermanentRedirect,
            _ => RedirectResponseCode::MovedPermanently,
        }
        .into(),
        strip_query: to.strip_query,
    })
}
