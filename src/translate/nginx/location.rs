//! One path of a host, as the routes that it is.
//!
//! nginx asks in this order: preflights, redirects, the redirect to HTTPS, limits, addresses, the body's size. What comes before
//! another thing here stands before it as a route, or among the filters of one.

use std::sync::Arc;

use crate::model::{
    BackendPage, Conditions, DynamicValue, ErrorPages, Filters, Forward, ForwardOptions, Fraction,
    HeaderChange, HeaderMode, HeaderModifier, HeaderPart, Host, Mirror, Page, PathMatch,
    PathRewrite, Redirect, Route, RouteAction, RouteMatch, RouteTracing, WeightedCluster,
};
use crate::objects::{Field, FieldRef, Kind, ObjectRef};

use super::authentication::Resolved;
use super::canary::CanaryBackend;
use super::compat;
use super::config_map::Hsts;
use super::errors::{self, Asker};
use super::policy::Policy;
use super::redirect;
use super::tls::ClientTls;

/// One path.
pub struct Location<'a> {
    /// What its Ingress says.
    pub policy: &'a Policy,
    /// What it matches, and where its requests go.
    pub served: Route,
    /// The path as it is written.
    pub path: &'a str,
    /// The cluster of requests by TLS, where that is another one.
    pub by_tls: Option<&'a Arc<str>>,
    /// What clients of its host by TLS have shown.
    pub clients: Option<&'a ClientTls>,
    /// What is asked of requests.
    pub authentication: Option<&'a Resolved>,
    /// Who gets a part of its requests.
    pub canary: Option<&'a CanaryBackend>,
    /// What its back end is told besides, where that is another one than it asks for.
    pub told: &'a [HeaderChange],
    /// What is answered in the place of errors.
    pub pages: Option<&'a ErrorPages>,
    /// Whether it answers 503 and nothing else.
    pub is_closed: bool,
    /// Where plain HTTP is redirected to.
    pub to_https: Option<Redirect>,
}

impl Location<'_> {
    /// The routes that it is, by TLS or in clear.
    #[must_use]
    pub fn routes(&self, by_tls: bool) -> Vec<Route> {
        let mut routes = self.of_scheme(by_tls);
        let subject = self.clients.filter(|_| by_tls);
        if let Some(subject) = subject.and_then(|clients| clients.subject.as_ref()) {
            // With nginx it is asked before everything else of the host.
            for route in &mut routes {
                let filters = route.filters.get_or_insert_default();
                filters.client_subject = Some(subject.clone());
            }
        }
        routes
    }

    fn of_scheme(&self, by_tls: bool) -> Vec<Route> {
        let to_https = self.to_https.as_ref().filter(|_| !by_tls);
        if self.is_closed {
            let action = match to_https {
                Some(redirect) => RouteAction::Redirect(redirect.clone()),
                None => RouteAction::status(503),
            };
            return vec![self.answer(action, Vec::new())];
        }
        let mut told: Vec<HeaderChange> = Vec::new();
        if let Some(hsts) = self.policy.settings.hsts.filter(|_| by_tls) {
            let Hsts {
                seconds,
                with_subdomains,
                preload,
            } = hsts;
            let told_of = HeaderChange::strict_transport_security;
            told.push(told_of(seconds, with_subdomains, preload));
        }
        let routes = if let Some(redirection) = &self.policy.redirect {
            let location = redirection.location.iter().cloned();
            let told = told.iter().cloned().chain(location).collect();
            vec![self.answer(redirection.action.clone(), told)]
        } else if let Some(redirect) = to_https {
            self.to_https(redirect, &told)
        } else {
            self.served(by_tls, &told)
        };
        self.with_cors(routes, &told)
    }

    /// The redirect to HTTPS. ingress-nginx takes a slash off the end of what is asked for.
    fn to_https(&self, redirect: &Redirect, told: &[HeaderChange]) -> Vec<Route> {
        let route = |redirect: &Redirect| {
            let action = RouteAction::Redirect(redirect.clone());
            self.answer(action, told.to_vec())
        };
        let is_cut = self.policy.is_strict() && !self.policy.keeps_slash;
        let cut = compat::without_slash(redirect).zip(compat::ends_with_slash());
        let cut = cut.filter(|_| is_cut);
        let cut = cut.map(|(cut, conditions)| asked(route(&cut), &conditions));
        cut.into_iter().chain([route(redirect)]).collect()
    }

    /// The routes that a path of this policy is at most, whatever the path is and wherever it leads: what its object pays for.
    #[must_use]
    pub fn sample(policy: &Policy) -> Vec<Route> {
        let source = ObjectRef::new(Kind::Ingress, "", "");
        let served = Route::plain(
            RouteMatch::path(PathMatch::PathPrefix("/".into())),
            RouteAction::Forward(Forward {
                backends: vec![WeightedCluster::new("", 1)],
                rewrite: policy.rewrite.clone().map(PathRewrite::ReplaceFullPath),
                options: policy.mirror.as_ref().map(|_| {
                    Box::new(ForwardOptions {
                        mirrors: vec![Mirror {
                            cluster: "".into(),
                            fraction: Fraction::ALL,
                        }],
                        ..ForwardOptions::default()
                    })
                }),
                ..Forward::default()
            }),
            FieldRef::new(source, Field::Whole),
        );
        // What a canary brings stands in the routes of another Ingress, as often as that says.
        let canary = policy.canary.as_ref().map(|canary| CanaryBackend {
            cluster: "".into(),
            by_tls: None,
            service: None,
            canary: canary.clone(),
        });
        let asker = Asker {
            namespace: &"a".repeat(63),
            ingress: &"a".repeat(253),
            service: &"a".repeat(63),
            port: "65535",
        };
        let has_default = policy.errors.default_backend.is_some();
        let told = match has_default {
            true => errors::told(&asker, false),
            false => Vec::new(),
        };
        let mut pages = ErrorPages::default();
        let page = Page::Backend(BackendPage {
            to: Forward {
                backends: vec![WeightedCluster::new("a".repeat(400), 1)],
                rewrite: Some(PathRewrite::ReplaceFullPath("/".into())),
                ..Forward::default()
            },
            keeps_status: false,
            told: errors::told(&asker, true),
        });
        let has_pages = pages.add(&policy.errors.statuses, page).is_ok();
        let times = if canary.is_some() { 4 } else { 1 } + usize::from(policy.is_strict());
        let authentication = policy.authentication.as_ref();
        let authentication = authentication.and_then(|it| {
            let cluster = it.service().map(|_| Arc::from(""));
            it.resolved(cluster, policy.addresses.as_ref())
        });
        let location = Location {
            policy,
            served,
            path: "/",
            by_tls: None,
            clients: policy.clients.as_ref(),
            authentication: authentication.as_ref(),
            canary: canary.as_ref(),
            told: &told,
            pages: has_pages.then_some(&pages),
            is_closed: false,
            to_https: None,
        };
        let routes = location.routes(true);
        std::iter::repeat_n(routes, times).flatten().collect()
    }

    /// An answer before which nobody is asked.
    fn answer(&self, action: RouteAction, told: Vec<HeaderChange>) -> Route {
        let filters = Filters {
            is_not_logged: !self.policy.is_logged,
            response_headers: told,
            ..Filters::default()
        };
        Route {
            matches: self.served.matches.clone(),
            action,
            request_headers: HeaderModifier::default(),
            response_headers: HeaderModifier::default(),
            filters: boxed(filters),
            source: self.served.source.clone(),
        }
    }

    /// What answers where nothing else has.
    fn served(&self, by_tls: bool, told: &[HeaderChange]) -> Vec<Route> {
        let asked = self.authentication;
        let has_addresses = asked.is_some_and(|it| it.has_addresses);
        let filters = Filters {
            is_not_logged: !self.policy.is_logged,
            local_rate_limits: self.policy.limits.clone(),
            addresses: match has_addresses {
                true => self.policy.blocked(),
                false => self.policy.addresses.clone(),
            },
            authorization: asked
                .map(|it| it.authorization_of(&self.served.source.object, self.path)),
            response_headers: told.to_vec(),
            ..Filters::default()
        };
        match &self.served.action {
            RouteAction::Redirect(_) => vec![Route {
                filters: boxed(Filters {
                    local_rate_limits: Vec::new(),
                    addresses: None,
                    authorization: None,
                    ..filters
                }),
                ..self.served.clone()
            }],
            RouteAction::DirectResponse(_) => vec![Route {
                filters: boxed(filters),
                ..self.served.clone()
            }],
            RouteAction::Forward(forward) => self.forwarded(forward, filters, by_tls),
        }
    }

    fn forwarded(&self, forward: &Forward, filters: Filters, by_tls: bool) -> Vec<Route> {
        let filters = Filters {
            max_body: self.policy.max_body,
            tracing: (self.policy.is_traced == Some(false)).then(|| RouteTracing {
                sampling: Fraction::NONE,
                tags: Vec::new(),
            }),
            operation: self.policy.operation.clone(),
            error_pages: self.pages.cloned(),
            request_headers: self.request_headers(by_tls),
            ..filters
        };
        let upstream = &self.policy.upstream;
        let mut main = forward.clone();
        if let (true, Some(cluster), Some(first)) = (by_tls, self.by_tls, main.backends.first_mut())
        {
            first.cluster = cluster.clone();
        }
        upstream.put_on(&mut main, self.path, by_tls);
        let mut ways = Vec::new();
        if let Some(backend) = self.canary.filter(|_| !main.backends.is_empty()) {
            let own = backend.by_tls.as_ref().filter(|_| by_tls);
            let cluster = own.unwrap_or(&backend.cluster);
            let canary = Forward {
                backends: vec![WeightedCluster::new(cluster.clone(), 1)],
                service: backend.service.clone(),
                ..main.clone()
            };
            for (conditions, is_canary) in backend.canary.conditions() {
                let way = if is_canary { &canary } else { &main };
                ways.push((conditions, way.clone()));
            }
            let rest = backend.canary.total - backend.canary.weight;
            main.backends
                .iter_mut()
                .for_each(|share| share.weight = rest);
            let share = WeightedCluster::new(cluster.clone(), backend.canary.weight);
            main.backends.push(share);
            main.backends.retain(|share| share.weight > 0);
        }
        ways.push((Conditions::default(), main));
        let mut routes = Vec::new();
        let mut retries = upstream.retries();
        if !self.policy.limits.is_empty() {
            // Each route counts by itself: a client would have as many requests again by another method.
            retries.drain(..retries.len().saturating_sub(1));
        }
        for (conditions, forward) in ways {
            for (more, retry) in retries.iter().cloned() {
                let forward = Forward {
                    retry: Some(Box::new(retry)),
                    ..forward.clone()
                };
                let route = Route {
                    action: RouteAction::Forward(forward),
                    filters: boxed(filters.clone()),
                    ..self.served.clone()
                };
                routes.push(asked(asked(route, &conditions), &more));
            }
        }
        routes
    }

    /// What back ends are told, besides what all of them are.
    fn request_headers(&self, by_tls: bool) -> Vec<HeaderChange> {
        let said = |name: &str, value: DynamicValue| {
            HeaderChange::new(name, vec![HeaderPart::Value(value)], HeaderMode::Set).ok()
        };
        let clients = self.clients.filter(|_| by_tls).map(ClientTls::headers);
        let clients = clients.unwrap_or_default();
        let is_rewritten =
            matches!(&self.served.action, RouteAction::Forward(to) if to.rewrite.is_some());
        let prefix = self.policy.forwarded_prefix.as_ref();
        let prefix = prefix.filter(|_| is_rewritten);
        let prefix = prefix
            .and_then(|it| HeaderChange::literal("x-forwarded-prefix", it, HeaderMode::Set).ok());
        [
            said("x-real-ip", DynamicValue::ClientAddress),
            said("x-forwarded-scheme", DynamicValue::Scheme),
            said("x-scheme", DynamicValue::Scheme),
            prefix,
        ]
        .into_iter()
        .flatten()
        .chain(clients)
        .chain(self.told.iter().cloned())
        .collect()
    }

    /// The same with what other origins are told, where they may use it.
    fn with_cors(&self, routes: Vec<Route>, told: &[HeaderChange]) -> Vec<Route> {
        let Some(cors) = &self.policy.cors else {
            return routes;
        };
        let mut all = Vec::new();
        if let Some(preflight) = cors.preflight() {
            let told = told.iter().chain(&cors.headers).cloned().collect();
            let route = self.answer(RouteAction::status(204), told);
            all.push(asked(route, &preflight));
        }
        let with_headers = |mut route: Route| {
            let filters = route.filters.get_or_insert_default();
            filters
                .response_headers
                .extend(cors.headers.iter().cloned());
            route
        };
        match cors.condition() {
            None => all.extend(routes.into_iter().map(with_headers)),
            Some(origin) => {
                let conditions = Conditions {
                    headers: vec![origin],
                    ..Conditions::default()
                };
                let allowed = routes.iter().cloned().map(with_headers);
                all.extend(allowed.map(|route| asked(route, &conditions)));
                all.extend(routes);
            }
        }
        all
    }
}

/// The redirect to HTTPS that a location of this policy is, on a host with or without a certificate.
#[must_use]
pub fn to_https(
    policy: &Policy,
    host: &Host,
    has_tls: bool,
    port: Option<u16>,
) -> Option<Redirect> {
    let is_asked = policy.force_ssl_redirect || (policy.ssl_redirect && has_tls);
    is_asked.then(|| Redirect {
        status: policy.settings.https_status,
        ..redirect::to_https(host, port)
    })
}

fn boxed(filters: Filters) -> Option<Box<Filters>> {
    (filters != Filters::default()).then(|| Box::new(filters))
}

/// The same, of which more is asked.
fn asked(mut route: Route, more: &Conditions) -> Route {
    let mut conditions = route.matches.conditions.take().unwrap_or_default();
    conditions.headers.extend(more.headers.iter().cloned());
    route.matches = route.matches.and(*conditions);
    route
}
