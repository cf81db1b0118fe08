//! A host and its routes.

use std::sync::Arc;

use super::client_certificates::ClientCheck;
use super::filters::{Filters, HostFilters};
use super::header::HeaderModifier;
use super::host::Host;
use super::redirect::Redirect;
use super::route_action::RouteAction;
use super::route_match::{PathMatch, RouteMatch};
use crate::objects::FieldRef;

/// The routes of one host on one listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VirtualHost {
    /// The host. `*.example.com` matches exactly one label more than its suffix.
    pub host: Host,
    /// In the order in which they are tried; a request that none matches is answered 404.
    pub routes: Vec<Route>,
    /// What all of them share.
    pub filters: Option<Box<HostFilters>>,
    /// What a request's connection has to have shown, or it is answered 421 (RFC 9110, 15.5.20).
    pub client_check: Option<ClientCheck>,
}

impl VirtualHost {
    /// The clusters that requests, or questions about them, go to.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<str>> {
        let filters = self.filters.iter().flat_map(|filters| filters.clusters());
        self.routes.iter().flat_map(Route::clusters).chain(filters)
    }

    /// A host that redirects every request to HTTPS (see [`Redirect::to_https`]) and does nothing else.
    #[must_use]
    pub fn https_redirect(host: Host, source: FieldRef, port: Option<u16>) -> Self {
        let redirect = Route::plain(
            RouteMatch::path(PathMatch::PathPrefix("/".into())),
            RouteAction::Redirect(Redirect::to_https(port)),
            source,
        );
        Self {
            host,
            routes: vec![redirect],
            filters: None,
            client_check: None,
        }
    }

    /// Whether it is one of [`Self::https_redirect`] to this port: all of these are alike but for their names.
    #[must_use]
    pub fn is_https_redirect(&self, port: Option<u16>) -> bool {
        let [route] = &self.routes[..] else {
            return false;
        };
        // Most hosts do something else, and are not compared as a whole.
        matches!(route.action, RouteAction::Redirect(_))
            && *self == Self::https_redirect(self.host.clone(), route.source.clone(), port)
    }
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// Which requests.
    pub matches: RouteMatch,
    /// What happens to them.
    pub action: RouteAction,
    /// Changes of the request's headers on its way to the back end.
    pub request_headers: HeaderModifier,
    /// Changes of the response's headers on its way to the client.
    pub response_headers: HeaderModifier,
    /// What is asked of requests, and changed of them, besides.
    pub filters: Option<Box<Filters>>,
    /// Who asked for the route.
    pub source: FieldRef,
}

impl Route {
    /// One that asks nothing, and changes nothing.
    #[must_use]
    pub fn plain(matches: RouteMatch, action: RouteAction, source: FieldRef) -> Self {
        Self {
            matches,
            action,
            request_headers: HeaderModifier::default(),
            response_headers: HeaderModifier::default(),
            filters: None,
            source,
        }
    }

    /// The same requests, answered so and asked nothing.
    #[must_use]
    pub fn answered(self, action: RouteAction) -> Self {
        Self::plain(self.matches, action, self.source)
    }

    /// Lets nobody through, for a guard that can't be honoured: 503.
    pub fn close(&mut self) {
        self.action = RouteAction::status(503);
    }

    /// The clusters that requests, or questions about them, go to.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<str>> {
        let filters = self.filters.iter().flat_map(|filters| filters.clusters());
        self.action.clusters().chain(filters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What few routes have is boxed: a build of ten thousand hosts has as many plain ones at a time.
    #[test]
    fn a_plain_route_stays_small() {
        assert!(size_of::<RouteAction>() <= 136);
        assert!(size_of::<Route>() <= 352);
    }
}
