//! Redirects that annotations ask for.

use std::sync::Arc;

use crate::model::{HeaderChange, HeaderMode, Host, PathRewrite, Redirect, RouteAction};

use super::reader::Reader;
use super::value;

/// An answer that leads elsewhere, whatever path was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Redirection {
    /// What answers.
    pub action: RouteAction,
    /// Where to, where the answer has to be told.
    pub location: Option<HeaderChange>,
}

/// The statuses by which Envoy redirects.
const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

/// `permanent-redirect` and `temporal-redirect`, which wins, with their codes.
pub fn read(reader: &mut Reader<'_>) -> Option<Redirection> {
    let is_relative = reader.boolean("relative-redirects").unwrap_or(false);
    let mut status = |name: &str, default: u16, most: i64| {
        let code = reader.read(name, value::number)?;
        let within = (300..=most).contains(&code);
        Some(
            u16::try_from(code)
                .ok()
                .filter(|_| within)
                .unwrap_or(default),
        )
    };
    let permanent = status("permanent-redirect-code", 301, 308).unwrap_or(301);
    // 308 is not temporary, and ingress-nginx takes it for a mistake.
    let temporal = status("temporal-redirect-code", 302, 307).unwrap_or(302);
    let permanent_to = reader.read("permanent-redirect", value::url);
    let temporal_to = reader.read("temporal-redirect", absolute);
    let (to, status) = match (temporal_to, permanent_to) {
        (Some(to), _) => (to, temporal),
        (None, Some(to)) => (to, permanent),
        (None, None) => return None,
    };
    Some(redirection(&to, status, is_relative))
}

fn absolute(text: &str) -> Result<Arc<str>, String> {
    match text.starts_with("http") {
        true => value::url(text),
        false => Err("must begin with http".into()),
    }
}

/// The path of the same host, or whatever is written, as it is written.
pub fn redirection(to: &str, status: u16, is_relative: bool) -> Redirection {
    if to.starts_with('/') && !is_relative && !to.contains('?') && STATUSES.contains(&status) {
        let redirect = Redirect {
            path: Some(PathRewrite::ReplaceFullPath(to.into())),
            strip_query: true,
            status,
            ..Redirect::default()
        };
        return Redirection {
            action: RouteAction::Redirect(redirect),
            location: None,
        };
    }
    Redirection {
        action: RouteAction::status(status),
        // Of its class of text every value is one.
        location: HeaderChange::literal("location", to, HeaderMode::Set).ok(),
    }
}

/// `app-root`: a path of the same host.
pub fn app_root(text: &str) -> Result<Arc<str>, String> {
    match value::basic(text) {
        Ok(path) if path.starts_with('/') => Ok(path),
        _ => Err("must be an absolute path of letters, digits and /-._~:".into()),
    }
}

/// The redirect of `/` to it.
pub fn to_app_root(path: &Arc<str>) -> Redirect {
    Redirect {
        path: Some(PathRewrite::ReplaceFullPath(path.clone())),
        strip_query: true,
        status: 302,
        ..Redirect::default()
    }
}

/// The redirect to HTTPS: 308, so that a POST stays one. Without a port, as the one that the client asked for is that of plain
/// HTTP: Envoy leaves it out where the host is said, which a wildcard can't, and writes one that is told even if it is 443.
pub fn to_https(host: &Host, port: Option<u16>) -> Redirect {
    Redirect {
        hostname: (port.is_none() && !host.is_wildcard()).then(|| host.shared()),
        status: 308,
        ..Redirect::to_https(port)
    }
}
