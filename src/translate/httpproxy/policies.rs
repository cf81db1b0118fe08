//! What a root says of all routes of its host, and how it is put on each of them.

use crate::model::{
    AddressRules, Authorization, Cors, Filters, GlobalRateLimit, Host, HostFilters, LocalRateLimit,
    Route, RouteAction, VirtualHost,
};
use crate::objects::http_proxy::{
    AuthorizationPolicy, HttpProxy, JwtVerificationPolicy, VirtualHost as Written,
};
use crate::translate::budget;

use super::authorization::{self, Asked, OfOthers};
use super::condition::{self, Fault};
use super::context::{Context, within};
use super::filters;
use super::global_rate_limit::{self, Global, global};
use super::jwt::{self, Providers};
use super::operator;
use super::route::Entry;

/// What stands before what is wrong with a rate limit.
const OF: &str = "Spec.VirtualHost.RateLimitPolicy";

/// What a root says of all routes of its host.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    cors: Option<Cors>,
    addresses: Option<AddressRules>,
    local_rate_limit: Option<LocalRateLimit>,
    global_rate_limit: Option<GlobalRateLimit>,
    guards: Guards,
}

/// What is asked of requests.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    /// Who is asked about those by TLS.
    authorization: Option<Asked>,
    /// Who is asked about those in clear: whom the operator names for all.
    in_clear: Option<Asked>,
    /// What is asked about those to routes of Ingresses, in clear and by TLS.
    of_ingresses: [OfOthers; 2],
    /// Who issues the tokens that they must bring.
    providers: Providers,
}

impl Guards {
    /// Reads what a root says.
    ///
    /// # Errors
    ///
    /// What ends the host.
    pub fn read(
        context: &mut Context<'_>,
        root: &HttpProxy,
        written: &Written,
    ) -> Result<Self, Fault> {
        let server = written.authorization.as_ref();
        let namespace = &root.metadata.name.namespace;
        let asked = server
            .map(|server| authorization::of_server(context, namespace, server))
            .transpose()?
            .flatten();
        let of_all = operator::global_authorization(context)?;
        let policy = server.and_then(|server| server.auth_policy.as_ref());
        let of_ingresses = [None, asked.as_ref()];
        let of_ingresses = of_ingresses.map(|own| OfOthers::of(of_all.as_ref(), own, policy));
        let of_all = of_all.map(|asked| match server {
            Some(_) => asked.with_policy(policy),
            None => asked,
        });
        Ok(Self {
            authorization: asked.or_else(|| of_all.clone()),
            in_clear: of_all,
            of_ingresses,
            providers: jwt::providers(context, root, &written.jwt_providers)?,
        })
    }

    /// Puts on a route by TLS what the host asks of it, and what the route says of that.
    fn put_on(
        &self,
        route: &mut Route,
        token: Option<&JwtVerificationPolicy>,
        asked: Option<&AuthorizationPolicy>,
    ) {
        if let (Some(token), _) = self.providers.of_route(token) {
            filters_of(route).jwt = Some(token);
        }
        let authorization = self.authorization.as_ref();
        ask(route, authorization.and_then(|it| it.of_route(asked)));
    }

    /// The same in clear.
    fn put_on_in_clear(&self, route: &mut Route, asked: Option<&AuthorizationPolicy>) {
        let authorization = self.in_clear.as_ref();
        ask(route, authorization.and_then(|it| it.of_route(asked)));
    }

    /// What is asked by TLS of requests to a route, and is not in clear.
    fn only_by_tls(&self, entry: &Entry) -> Option<OnlyByTls> {
        if self.providers.is_required(entry.jwt_policy.as_ref()) {
            return Some(OnlyByTls::Token);
        }
        let asked = self.authorization.as_ref();
        let is_asked = asked.is_some_and(|asked| asked.is_asked(entry.auth_policy.as_ref()));
        (is_asked && self.authorization != self.in_clear).then_some(OnlyByTls::Authorization)
    }

    /// What one of a root's routes costs with what is asked about it, on the dearer listener.
    fn cost_of_route(&self, entry: &Entry) -> u64 {
        let asked = [&self.authorization, &self.in_clear].into_iter().flatten();
        let asked = asked.map(|asked| asked.cost_of_route(entry.auth_policy.as_ref()));
        let token = self.providers.cost_of_route(entry.jwt_policy.as_ref());
        token.saturating_add(asked.max().unwrap_or(0))
    }

    /// The same of a route of an Ingress.
    fn cost_of_ingress(&self) -> u64 {
        let asked = self.of_ingresses.iter().map(OfOthers::cost).max();
        self.providers.cost_of_route(None) + asked.unwrap_or(0)
    }
}

/// What is asked of requests that come by TLS alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnlyByTls {
    /// That a client shows a certificate.
    ClientCertificate,
    /// That they bring a token.
    Token,
    /// That somebody lets them pass.
    Authorization,
}

/// From which addresses requests are taken, and which ranges are none.
#[derive(Clone, Debug)]
pub struct Addresses {
    rules: Option<AddressRules>,
    faults: Vec<Fault>,
}

/// A bad list ends the host where Contour would put in its routes, after those have been read.
pub fn addresses(written: &Written) -> Result<Addresses, Fault> {
    let incompatible = "Spec.VirtualHost.IPAllowFilterPolicy and Spec.VirtualHost.IPDepnyFilterPolicy cannot both be defined.";
    match filters::addresses(
        &written.ip_allow_policy,
        &written.ip_deny_policy,
        incompatible,
    ) {
        Ok(rules) => Ok(Addresses {
            rules,
            faults: Vec::new(),
        }),
        Err(_) if !written.ip_allow_policy.is_empty() && !written.ip_deny_policy.is_empty() => {
            Err(Fault::new(condition::ADDRESSES_INCOMPATIBLE, incompatible))
        }
        Err(faults) => Ok(Addresses {
            rules: None,
            faults,
        }),
    }
}

fn host_global_limit(
    context: &mut Context<'_>,
    root: &HttpProxy,
    written: &Written,
) -> Result<Option<GlobalRateLimit>, Fault> {
    let global = global(
        context,
        written.rate_limit_policy.as_ref(),
        condition::HOST_RATE_LIMIT,
        OF,
    )?;
    Ok(match global {
        Global::Limit(limit) => Some(*limit),
        Global::Unsaid => global_rate_limit::of_all(context)?,
        Global::Disabled => None,
        Global::Nobody(warning) => {
            let at = "spec.virtualhost.rateLimitPolicy.global";
            context.faults.warning(&root.reference(), at, warning);
            None
        }
    })
}

impl Policies {
    /// Reads what a root says, of which the rest has been read before its routes.
    ///
    /// # Errors
    ///
    /// What ends the host.
    pub fn read(
        context: &mut Context<'_>,
        root: &HttpProxy,
        written: &Written,
        addresses: Addresses,
        guards: Guards,
    ) -> Result<Self, Fault> {
        let cors = written.cors_policy.as_ref();
        let policies = Self {
            cors: cors.map(filters::cors).transpose()?,
            addresses: addresses.rules,
            local_rate_limit: filters::local_rate_limit(
                written.rate_limit_policy.as_ref(),
                condition::HOST_RATE_LIMIT,
                OF,
            )?,
            global_rate_limit: host_global_limit(context, root, written)?,
            guards,
        };
        if addresses.faults.is_empty() {
            return Ok(policies);
        }
        let why = addresses.faults.last();
        let why = why.and_then(|fault| fault.message().split_once(" failed to parse: "));
        let why = why.map_or_else(String::new, |(_, why)| format!(": {why}"));
        for fault in addresses.faults {
            let at = "spec.virtualhost";
            context.faults.error(&root.reference(), at, fault);
        }
        let message = format!(
            "Spec.VirtualHost.IPAllowFilterPolicy or Spec.VirtualHost.IPDenyFilterPolicy is invalid{why}"
        );
        Err(Fault::new(condition::ADDRESSES_NOT_VALID, message))
    }

    /// That a route asks for a token of nobody.
    #[must_use]
    pub fn undefined_provider(&self, entry: &Entry) -> Option<Fault> {
        self.guards.providers.of_route(entry.jwt_policy.as_ref()).1
    }

    /// What is asked by TLS of requests to a route, beside certificates, and is not in clear.
    #[must_use]
    pub fn only_by_tls(&self, entry: &Entry) -> Option<OnlyByTls> {
        self.guards.only_by_tls(entry)
    }

    /// From which addresses the host is for.
    #[must_use]
    pub const fn addresses(&self) -> Option<&AddressRules> {
        self.addresses.as_ref()
    }

    /// Whether nothing is asked of requests in clear. Who is redirected to HTTPS is asked about there.
    pub fn is_none(&self) -> bool {
        self.cors.is_none()
            && self.addresses.is_none()
            && self.local_rate_limit.is_none()
            && self.global_rate_limit.is_none()
    }

    /// What the host asks of each of its routes, and of these of Ingresses, is bounded as what any object comes to.
    ///
    /// # Errors
    ///
    /// Where it would be more.
    pub fn check_cost(&self, entries: &[Entry], of_ingresses: &[Route]) -> Result<(), Fault> {
        let filters = Filters {
            cors: self.cors.clone(),
            addresses: self.addresses.clone(),
            ..Filters::default()
        };
        let each = budget::of_filters(&filters);
        let own = entries.iter();
        let own = own.map(|entry| (&entry.route, self.guards.cost_of_route(entry)));
        let guards = self.guards.cost_of_ingress();
        let theirs = of_ingresses.iter().map(|route| (route, guards));
        let all = own.chain(theirs);
        let all = all.map(|(route, guards)| self.cost_on(route, each.saturating_add(guards)));
        let host = HostFilters {
            jwt_providers: self.guards.providers.providers.clone(),
            ..self.host_filters()
        };
        let cost = all.fold(budget::of_host_filters(&host), u64::saturating_add);
        within(cost, budget::BASE, entries.len() + of_ingresses.len())
    }

    /// What it costs to put this much on a route, in each route of Envoy that it is then.
    fn cost_on(&self, route: &Route, each: u64) -> u64 {
        let cors = self.cors_of(route);
        let routes = route.action.expansion(&route.matches.path, cors).routes;
        let each = each.saturating_mul(u64::try_from(routes).unwrap_or(u64::MAX));
        each.saturating_add(budget::with_cors(route, cors))
    }

    /// A host with these routes.
    pub fn virtual_host(&self, host: &Host, routes: Vec<Route>) -> VirtualHost {
        let filters = self.host_filters();
        VirtualHost {
            host: host.clone(),
            routes,
            filters: (filters != HostFilters::default()).then(|| Box::new(filters)),
            client_check: None,
        }
    }

    /// A route with what its host asks of it, where it says nothing itself.
    pub fn apply(&self, route: &Route, entry: &Entry) -> Route {
        let mut route = route.clone();
        if !entry.replaces.addresses {
            route = self.guard(route);
        }
        self.add_cors(&mut route);
        route
    }

    /// A route in clear.
    pub fn in_clear(&self, entry: &Entry) -> Route {
        let mut route = self.apply(&entry.route, entry);
        let asked = entry.auth_policy.as_ref();
        self.guards.put_on_in_clear(&mut route, asked);
        route
    }

    /// A route by TLS.
    pub fn secured(&self, entry: &Entry) -> Route {
        let mut route = self.apply(&entry.route, entry);
        let (token, asked) = (entry.jwt_policy.as_ref(), entry.auth_policy.as_ref());
        self.guards.put_on(&mut route, token, asked);
        route
    }

    /// A host by TLS with these routes.
    pub fn secured_host(&self, host: &Host, routes: Vec<Route>) -> VirtualHost {
        let mut filters = self.host_filters();
        filters.jwt_providers = self.guards.providers.providers.clone();
        VirtualHost {
            filters: (filters != HostFilters::default()).then(|| Box::new(filters)),
            ..self.virtual_host(host, routes)
        }
    }

    /// A route of an Ingress on this host, in clear.
    pub fn of_ingress(&self, route: Route) -> Route {
        let mut route = self.guard(route);
        self.add_cors(&mut route);
        let [in_clear, _] = &self.guards.of_ingresses;
        if !matches!(route.action, RouteAction::Redirect(_)) {
            ask_others(&mut route, in_clear);
        }
        route
    }

    /// The same by TLS: an Ingress can say nothing of the guards, so what the host says holds.
    pub fn of_ingress_by_tls(&self, route: Route) -> Route {
        let mut route = self.guard(route);
        self.add_cors(&mut route);
        if let (Some(token), _) = self.guards.providers.of_route(None) {
            filters_of(&mut route).jwt = Some(token);
        }
        let [_, by_tls] = &self.guards.of_ingresses;
        ask_others(&mut route, by_tls);
        route
    }

    /// Whether routes of Ingresses by TLS would have to be asked about by two.
    #[must_use]
    pub const fn closes_ingresses(&self) -> bool {
        let [_, by_tls] = &self.guards.of_ingresses;
        matches!(by_tls, OfOthers::Closed)
    }

    /// What all routes of the host share.
    fn host_filters(&self) -> HostFilters {
        HostFilters {
            local_rate_limits: self.local_rate_limit.iter().cloned().collect(),
            global_rate_limit: self.global_rate_limit.clone(),
            ..HostFilters::default()
        }
    }

    /// Lets this hold for a host that Ingresses alone bring to a listener.
    pub fn share_with(&self, host: &mut VirtualHost) {
        host.filters = self.virtual_host(&host.host, Vec::new()).filters;
    }

    /// A route with the host's addresses.
    pub fn guard(&self, mut route: Route) -> Route {
        if let Some(addresses) = &self.addresses {
            filters_of(&mut route).addresses = Some(addresses.clone());
        }
        route
    }

    /// Envoy asks it of requests that are passed on; a preflight of a redirect is redirected.
    fn cors_of(&self, route: &Route) -> Option<&Cors> {
        let is_forward = matches!(route.action, RouteAction::Forward(_));
        self.cors.as_ref().filter(|_| is_forward)
    }

    fn add_cors(&self, route: &mut Route) {
        if let Some(cors) = self.cors_of(route) {
            filters_of(route).cors = Some(cors.clone());
        }
    }
}

/// Has somebody asked about a route's requests, or nobody.
fn ask(route: &mut Route, asked: Option<Authorization>) {
    if asked.is_some() || route.filters.is_some() {
        filters_of(route).authorization = asked;
    }
}

/// Has somebody asked about a route of an Ingress. Whom the operator names for all is there already, and is never taken away.
fn ask_others(route: &mut Route, asked: &OfOthers) {
    match asked {
        OfOthers::Nothing => {}
        OfOthers::Asked(asked) => filters_of(route).authorization = Some((**asked).clone()),
        OfOthers::Closed => route.close(),
    }
}

fn filters_of(route: &mut Route) -> &mut Filters {
    route.filters.get_or_insert_default()
}
