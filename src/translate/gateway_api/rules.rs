//! The rules of a route as routes of the model: one set for each certificate that Gateways show to back ends, whatever listener they
//! are served on.
//!
//! What a rule asks for that is not served closes the whole route, and says so: a filter is never skipped. A back end that can't
//! be answers 500 in its share (503 to gRPC, which knows that as UNAVAILABLE).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    BackOff, Claimable, Filters, Forward, ForwardOptions, Forwarding, Mirror, PathMatch,
    PathRewrite, Redirect, RefusedStatus, RetryPolicy, Route, RouteAction, RouteMatch,
};
use crate::objects::gateway_api::{Filter, RedirectFilter, Retry, RuleBackend};
use crate::objects::{Field, FieldRef, Kind, NamespacedName, ObjectRef};
use crate::translate::{ClusterSource, Input, backend, budget};

use super::attachment::Attachment;
use super::backends::{forwarding, mirror, shares};
use super::context::{Carries, Made, Unserved, check_cost, rewrite, twice};
use super::cors::cors;
use super::duration::duration;
use super::fault::{Fault, first_of};
use super::headers::Changes;
use super::matches::{grpc_matches, http_matches};
use super::shown::Shown;

/// What the rules of a route come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RouteRules {
    /// Its routes, as written: which rule, which of its matches, and the route.
    pub routes: Box<[(u32, u32, Route)]>,
    /// Where connections go, of a route of what is not looked into.
    pub forwarding: Forwarding,
    /// Where a TLSRoute has that go which comes out of connections whose TLS ends here.
    pub ended: Forwarding,
    /// The clusters that they name.
    pub clusters: BTreeMap<Arc<str>, ClusterSource>,
    /// What of its references can't be used.
    pub references_fault: Option<Fault>,
    /// What it asks for that is not served. Then it has no routes.
    pub unserved: Option<Fault>,
    /// What is not as it says, and keeps nothing from being served.
    pub told: Option<Fault>,
    /// The Services that are named, of which a policy may say how they are spoken to.
    pub services: BTreeSet<NamespacedName>,
    /// What its routes cost for one host.
    pub cost: u64,
}

impl RouteRules {
    /// Its ways to Services with policies, through each Gateway that it is attached to.
    pub fn reached(
        &self,
        input: Input<'_>,
        attachment: &Attachment,
    ) -> impl Iterator<Item = Claimable> {
        let gateways = attachment.speaking();
        let services = self.services.iter();
        let policed = services.filter(move |service| input.reader.is_policed(service));
        policed.flat_map(move |service| {
            let gateways = gateways.clone().into_iter();
            gateways.map(|gateway| Claimable::Reached(service.clone(), gateway.clone()))
        })
    }

    /// The clusters that something is forwarded to.
    pub fn clusters_of(&self, forwarding: &Forwarding) -> BTreeMap<Arc<str>, ClusterSource> {
        let shares = forwarding.shares.iter();
        let found = shares.filter_map(|share| self.clusters.get_key_value(&share.cluster));
        found
            .map(|(name, source)| (name.clone(), source.clone()))
            .collect()
    }

    /// What it comes to at so many hosts.
    pub const fn at(&self, hosts: u64) -> u64 {
        hosts.saturating_mul(self.cost.saturating_add(budget::host()))
    }

    /// Reads a route, whose back ends are shown this.
    pub fn of(input: Input<'_>, route: &ObjectRef, shown: &Shown) -> Self {
        let mut made = Made {
            input,
            route,
            shown,
            carries: Carries::of(route.kind),
            clusters: BTreeMap::new(),
            references: Vec::new(),
            services: BTreeSet::new(),
            told: Vec::new(),
            cost: 0,
        };
        if made.carries.is_opaque() {
            return made.opaque();
        }
        let routes = match made.routes() {
            Ok(routes) => routes,
            Err(Unserved(message)) => {
                return Self {
                    references_fault: first_of(&made.references).err(),
                    unserved: Some(Fault::new("UnsupportedValue", message)),
                    ..Self::default()
                };
            }
        };
        Self {
            forwarding: Forwarding::default(),
            ended: Forwarding::default(),
            cost: made.cost,
            routes: routes.into(),
            clusters: made.clusters,
            references_fault: first_of(&made.references).err(),
            unserved: None,
            told: first_of(&made.told).err(),
            services: made.services,
        }
    }
}

/// More retries of one request would be a storm.
const MOST_RETRIES: u32 = 100;

/// What a rule asks for, of whatever kind.
struct Rule<'a> {
    index: usize,
    matches: Vec<RouteMatch>,
    filters: &'a [Filter],
    backends: &'a [RuleBackend],
    timeout: Option<Duration>,
    retry: Option<RetryPolicy>,
}

type Routes = Vec<(u32, u32, Route)>;

impl Made<'_> {
    /// A route of what is not looked into.
    fn opaque(mut self) -> RouteRules {
        let head = self.input.reader.route_head(self.route);
        let unserved = head
            .is_some_and(|head| head.uses_default_gateways)
            .then(|| {
                let message = "spec.useDefaultGateways is not served yet";
                Fault::new("UnsupportedValue", message)
            });
        let backends = self.input.reader.opaque_backends(self.route);
        let through = forwarding(&mut self, backends);
        let mut references_fault = first_of(&self.references).err();
        let mut ended = Forwarding::default();
        if self.route.kind == Kind::TlsRoute {
            self.carries = Carries::Ended;
            self.references.clear();
            ended = forwarding(&mut self, backends);
            references_fault = references_fault.or_else(|| first_of(&self.references).err());
        }
        RouteRules {
            cost: budget::forwarding(&through),
            forwarding: through,
            ended,
            clusters: self.clusters,
            references_fault,
            unserved,
            services: self.services,
            ..RouteRules::default()
        }
    }
}

impl Made<'_> {
    fn routes(&mut self) -> Result<Routes, Unserved> {
        let mut routes = Vec::new();
        let reader = self.input.reader;
        let not_served = |field: &str| Unserved(format!("{field} is not served yet"));
        if self.carries == Carries::Grpc {
            let Some(route) = reader.grpc_route(self.route) else {
                return Ok(routes);
            };
            if route.head.uses_default_gateways {
                return Err(not_served("spec.useDefaultGateways"));
            }
            for (index, rule) in route.rules.iter().enumerate() {
                if rule.has_session_persistence {
                    return Err(not_served("sessionPersistence"));
                }
                self.add(
                    &Rule {
                        index,
                        matches: grpc_matches(&rule.matches)?,
                        filters: &rule.filters,
                        backends: &rule.backends,
                        timeout: None,
                        retry: None,
                    },
                    &mut routes,
                )?;
            }
            return Ok(routes);
        }
        let Some(route) = reader.http_route(self.route) else {
            return Ok(routes);
        };
        if route.head.uses_default_gateways {
            return Err(not_served("spec.useDefaultGateways"));
        }
        for (index, rule) in route.rules.iter().enumerate() {
            if rule.has_session_persistence {
                return Err(not_served("sessionPersistence"));
            }
            let timeout = timeout(rule.request_timeout.as_ref())?;
            let per_try = self::timeout(rule.backend_timeout.as_ref())?;
            if let Some(retry) = rule.retry.as_ref().filter(|it| it.attempts > MOST_RETRIES) {
                let attempts = retry.attempts;
                let message = format!(
                    "retry.attempts of rule {index} is {attempts}, of which {MOST_RETRIES} are made"
                );
                self.told.push(Fault::new("UnsupportedValue", message));
            }
            self.add(
                &Rule {
                    index,
                    matches: http_matches(&rule.matches)?,
                    filters: &rule.filters,
                    backends: &rule.backends,
                    timeout,
                    retry: retry(rule.retry.as_ref(), per_try)?,
                },
                &mut routes,
            )?;
        }
        Ok(routes)
    }

    fn add(&mut self, rule: &Rule<'_>, routes: &mut Routes) -> Result<(), Unserved> {
        let mut done = Done::default();
        for filter in rule.filters {
            self.filter(filter, &mut done)?;
        }
        if done.redirect.is_some() && done.is_rewritten {
            let message = "RequestRedirect and URLRewrite exclude each other";
            return Err(Unserved(message.to_owned()));
        }
        let action = match (done.redirect.take(), done.is_unknown) {
            (_, true) => RouteAction::status(500),
            (Some(redirect), false) => RouteAction::Redirect(redirect),
            (None, false) => self.forward(rule, &mut done)?,
        };
        let at = format!("spec.rules[{}]", rule.index);
        let source = FieldRef::new(self.route.clone(), Field::At(at.into()));
        let index = crate::objects::as_place(rule.index);
        let (request_headers, added) = done.request_headers.into_model()?;
        done.filters.request_headers = added;
        let (response_headers, added) = done.response_headers.into_model()?;
        done.filters.response_headers = added;
        let has_filters = done.filters != Filters::default();
        let mut route = Route {
            matches: RouteMatch::path(PathMatch::PathPrefix("/".into())),
            action,
            request_headers,
            response_headers,
            filters: has_filters.then(|| Box::new(done.filters)),
            source,
        };
        for (place, matches) in rule.matches.iter().enumerate() {
            route.matches.clone_from(matches);
            self.pay(budget::route(&route))?;
            routes.push((index, crate::objects::as_place(place), route.clone()));
        }
        Ok(())
    }

    fn filter(&mut self, filter: &Filter, done: &mut Done) -> Result<(), Unserved> {
        match filter {
            Filter::RequestHeaderModifier(change) => {
                let before = std::mem::take(&mut done.request_headers);
                done.request_headers = before.then(Changes::of(change)?);
            }
            Filter::ResponseHeaderModifier(change) => {
                let later = Changes::of_responses(change)?;
                let before = std::mem::take(&mut done.response_headers);
                done.response_headers = before.then(later);
            }
            Filter::RequestRedirect(_) if done.redirect.is_some() => {
                return Err(twice("RequestRedirect"));
            }
            Filter::RequestRedirect(wanted) => done.redirect = Some(redirect(wanted)?),
            Filter::UrlRewrite(_) if done.is_rewritten => return Err(twice("URLRewrite")),
            Filter::UrlRewrite(wanted) => {
                done.is_rewritten = true;
                if let Some(name) = &wanted.hostname {
                    done.request_headers.set_host(name)?;
                }
                done.rewrite = wanted.path.as_ref().map(rewrite).transpose()?;
            }
            Filter::RequestMirror(wanted) => done.mirrors.extend(mirror(self, wanted)?),
            Filter::Cors(_) if done.filters.cors.is_some() => return Err(twice("CORS")),
            Filter::Cors(wanted) => done.filters.cors = Some(cors(wanted).map_err(Unserved)?),
            // Its requests get an error: a filter that nobody knows is never skipped.
            Filter::ExtensionRef([_, kind, name]) => {
                let message = format!("filter {kind} {name} is of a kind that is not known");
                self.references.push(Fault::new("InvalidKind", message));
                done.is_unknown = true;
            }
            Filter::Other(kind) => {
                return Err(Unserved(format!("filters of type {kind} are not served")));
            }
        }
        Ok(())
    }

    fn forward(&mut self, rule: &Rule<'_>, done: &mut Done) -> Result<RouteAction, Unserved> {
        let shares = shares(self, rule.backends)?;
        let status = match self.carries == Carries::Grpc {
            true => RefusedStatus::ServiceUnavailable,
            false => RefusedStatus::InternalServerError,
        };
        let refused = shares.refusal(status);
        let has_options = shares.shares.iter().any(|(_, options)| options.is_some());
        let (requests, responses) = match has_options {
            // What a share says of a header holds for it: so each has all of it.
            true => (
                std::mem::take(&mut done.request_headers),
                std::mem::take(&mut done.response_headers),
            ),
            false => Default::default(),
        };
        // Each has them before it is known what the route comes to.
        let headers = requests.cost().saturating_add(responses.cost());
        let count = u64::try_from(shares.shares.len()).unwrap_or(u64::MAX);
        check_cost(headers.saturating_mul(count))?;
        let backends = shares.shares.into_iter().map(|(mut share, own)| {
            if has_options {
                let own = own.unwrap_or_default().after(&requests, &responses)?;
                share.options = Some(Box::new(own));
            }
            Ok(share)
        });
        let backends = backends.collect::<Result<_, Unserved>>()?;
        let mirrors = std::mem::take(&mut done.mirrors);
        let mut options = match shares.hash_source_ip {
            true => backend::by_source_ip(),
            false => ForwardOptions::default(),
        };
        let has_more = shares.hash_source_ip || refused.is_some() || !mirrors.is_empty();
        options.refused = refused;
        options.mirrors = mirrors;
        let service = match rule.backends {
            [only] => Some(only.backend.object.name.clone()),
            _ => None,
        };
        Ok(RouteAction::Forward(Forward {
            backends,
            service,
            timeout: rule.timeout,
            retry: rule.retry.clone().map(Box::new),
            rewrite: done.rewrite.clone(),
            options: has_more.then(|| Box::new(options)),
        }))
    }
}

/// What the filters of a rule ask for.
#[derive(Default)]
struct Done {
    request_headers: Changes,
    response_headers: Changes,
    redirect: Option<Redirect>,
    /// Whether there is a filter that rewrites.
    is_rewritten: bool,
    rewrite: Option<PathRewrite>,
    mirrors: Vec<Mirror>,
    filters: Filters,
    /// Whether one is of a kind that nobody knows.
    is_unknown: bool,
}

/// A redirect as far as it does not depend on the listener ([`super::virtual_host`]).
fn redirect(filter: &RedirectFilter) -> Result<Redirect, Unserved> {
    Ok(Redirect {
        scheme: match filter.scheme.as_deref() {
            Some("https") => Some("https"),
            Some("http") => Some("http"),
            _ => None,
        },
        hostname: filter.hostname.clone(),
        port: filter.port,
        path: filter.path.as_ref().map(rewrite).transpose()?,
        strip_query: false,
        status: filter.status,
    })
}

/// No time-out where none is said, or where it is zero.
fn timeout(text: Option<&Arc<str>>) -> Result<Option<Duration>, Unserved> {
    let Some(text) = text else {
        return Ok(None);
    };
    match duration(text) {
        Some(time) => Ok(Some(time).filter(|time| !time.is_zero())),
        None => Err(Unserved(format!("{text:?} is no duration (GEP-2257)"))),
    }
}

/// Without a stanza a request is tried again as on every route: where no back end has seen it.
fn retry(
    wanted: Option<&Retry>,
    per_try_timeout: Option<Duration>,
) -> Result<Option<RetryPolicy>, Unserved> {
    /// As many as every route has that says nothing.
    const RETRIES: u32 = 2;
    let Some(wanted) = wanted else {
        return Ok(per_try_timeout.map(|_| RetryPolicy {
            num_retries: RETRIES,
            per_try_timeout,
            ..RetryPolicy::default()
        }));
    };
    let back_off = wanted.backoff.as_ref().map(|text| {
        let time = duration(text).ok_or_else(|| format!("{text:?} is no duration (GEP-2257)"))?;
        BackOff::new(time, None)
    });
    let codes = wanted.codes.iter().copied();
    Ok(Some(RetryPolicy {
        num_retries: wanted.attempts.min(MOST_RETRIES),
        per_try_timeout,
        status_codes: codes.collect::<BTreeSet<u16>>(),
        back_off: back_off.transpose().map_err(Unserved)?,
        ..RetryPolicy::default()
    }))
}
