//! One route of a host while the table is put together: whose it is, and what it comes to by HTTP and by HTTPS.

use std::sync::Arc;

use crate::facts::ServedIngress;
use crate::model::{HeaderModifier, PathMatch, Redirect, Route, RouteAction, RouteMatch};
use crate::objects::{Field, FieldRef};

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
        Some(Route {
            action,
            request_headers: HeaderModifier::default(),
            response_headers: HeaderModifier::default(),
            filters: None,
            ..self.served()
        })
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
}
