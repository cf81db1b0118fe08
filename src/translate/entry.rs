//! One route of a host while the table is put together: whose it is, and what it comes to by HTTP and by HTTPS.

use std::sync::Arc;

use crate::facts::ServedIngress;
use crate::model::{
    ErrorPages, HeaderChange, HeaderName, HeaderValue, Host, PathMatch, Redirect, Route,
    RouteAction, RouteMatch,
};
use crate::objects::{Field, FieldRef, PathType};

use super::nginx::{self, CanaryBackend, ClientTls, Location, Resolved};
use super::order::Ordered;
use super::path;
use super::policy::IngressPolicy;

/// A path of one Ingress and what answers it.
pub struct Entry<'a> {
    pub path: PathMatch,
    pub is_default: bool,
    /// The rank of its namespace among those that name the host: 0 is the oldest.
    pub owner: usize,
    pub policy: Arc<IngressPolicy>,
    pub ingress: ServedIngress<'a>,
    /// The field of the Ingress.
    pub field: Field,
    pub action: RouteAction,
    /// What only ingress-nginx's annotations make of it.
    pub nginx: Nginx,
}

/// What ingress-nginx's annotations make of a path.
#[derive(Default)]
pub struct Nginx {
    /// The path as it is written.
    pub written: Arc<str>,
    /// Its type; none where nobody writes the path.
    pub path_type: Option<PathType>,
    /// The Host that the back end sees, where it is not the client's.
    pub host: Option<HeaderValue>,
    /// The cluster of requests by TLS, where that is another one.
    pub by_tls: Option<Arc<str>>,
    /// What clients of the host have to show by TLS.
    pub clients: Option<Arc<ClientTls>>,
    /// What is asked of requests.
    pub authentication: Option<Arc<Resolved>>,
    /// Who gets a part of the requests.
    pub canary: Option<CanaryBackend>,
    /// What its back end is told besides, where that stands in the place of another.
    pub told: Vec<HeaderChange>,
    /// What is answered in the place of errors.
    pub pages: Option<Box<ErrorPages>>,
    /// Whether its host is closed by an annotation.
    pub is_closed: bool,
    /// Whether its expression has the place of a prefix of its length.
    pub is_by_length: bool,
}

impl Entry<'_> {
    pub fn only_redirects_http(&self) -> bool {
        self.policy.force_ssl_redirect && !self.is_acme()
    }

    pub fn is_acme(&self) -> bool {
        path::is_acme_challenge(&self.path)
    }

    pub fn source(&self) -> FieldRef {
        self.ingress.field(self.field.clone())
    }

    /// Whether it is for HTTPS only. Requests over HTTP that it matches must not fall through to later routes.
    pub fn is_closed(&self) -> bool {
        !(self.policy.allow_http || self.policy.force_ssl_redirect || self.is_acme())
    }

    /// The route for plain HTTP where that is a 404 or the redirect to HTTPS; `None` where HTTP gets what HTTPS gets. It has
    /// none of the Ingress's headers: a host that only redirects is part of a shared virtual host that has none either.
    pub fn in_clear(&self, https_port: Option<u16>) -> Option<Route> {
        let action = if self.is_closed() {
            RouteAction::status(404)
        } else if self.only_redirects_http() {
            RouteAction::Redirect(Redirect::to_https(https_port))
        } else {
            return None;
        };
        Some(self.served().answered(action))
    }

    /// Its routes by TLS.
    pub fn by_tls(&self) -> Vec<Route> {
        match self.location(None) {
            None if self.nginx.is_closed => vec![Route {
                action: RouteAction::status(503),
                ..self.served()
            }],
            None => vec![self.served()],
            Some(location) => location.routes(true),
        }
    }

    /// Its routes in clear, on a host of which an entry of `tls` is about, of the namespace of this rank.
    pub fn by_http(
        &self,
        host: &Host,
        tls_of: Option<usize>,
        https_port: Option<u16>,
    ) -> Vec<Route> {
        if let Some(route) = self.in_clear(https_port) {
            return vec![route];
        }
        let policy = self.policy.nginx.as_deref().filter(|_| !self.is_acme());
        let has_tls = tls_of.is_some_and(|owner| owner <= self.owner);
        let policy = policy.filter(|it| !it.settings.is_unredirected(&self.nginx.written));
        let redirect = policy.and_then(|policy| nginx::to_https(policy, host, has_tls, https_port));
        // Nobody has shown anything there.
        let clients = self.nginx.clients.as_ref();
        let asks = |it: &Arc<nginx::ClientTls>| it.is_required || it.subject.is_some();
        let is_closed = clients.is_some_and(asks) && !self.is_acme();
        match self.location(redirect) {
            None if self.nginx.is_closed && !self.is_acme() => vec![Route {
                action: RouteAction::status(503),
                ..self.served()
            }],
            None => vec![self.served()],
            Some(location) => {
                let is_closed = location.is_closed || is_closed;
                Location {
                    is_closed,
                    ..location
                }
                .routes(false)
            }
        }
    }

    fn location(&self, to_https: Option<Redirect>) -> Option<Location<'_>> {
        let policy = self.policy.nginx.as_deref()?;
        Some(Location {
            policy,
            served: self.served_as(self.nginx.host.as_ref()),
            path: &self.nginx.written,
            by_tls: self.nginx.by_tls.as_ref(),
            clients: self.nginx.clients.as_deref(),
            // Whoever proves that a name is his can't bring a password.
            authentication: self
                .nginx
                .authentication
                .as_deref()
                .filter(|_| !self.is_acme())
                .filter(|_| !policy.settings.is_unauthenticated(&self.nginx.written)),
            canary: self.nginx.canary.as_ref(),
            told: &self.nginx.told,
            pages: self.nginx.pages.as_deref(),
            is_closed: self.nginx.is_closed || policy.closes(self.is_acme()),
            to_https,
        })
    }

    fn served_as(&self, host: Option<&HeaderValue>) -> Route {
        let mut route = self.served();
        if let Some(host) = host {
            let set = &mut route.request_headers.set;
            set.insert(HeaderName::host(), host.clone());
        }
        route
    }

    pub fn served(&self) -> Route {
        Route {
            matches: RouteMatch::path(self.path.clone()),
            action: self.action.clone(),
            request_headers: self.policy.request_headers.clone(),
            response_headers: self.policy.response_headers.clone(),
            filters: None,
            source: self.source(),
        }
    }
}

impl Ordered for Entry<'_> {
    fn path(&self) -> &PathMatch {
        &self.path
    }

    fn owner(&self) -> usize {
        self.owner
    }

    fn is_default(&self) -> bool {
        self.is_default
    }

    fn is_expression(&self) -> bool {
        self.path.expression().is_some() && !self.nginx.is_by_length
    }
}
