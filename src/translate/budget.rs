//! What one object may come to.
//!
//! The API server bounds an object's bytes, but its lists multiply: rules without a host hold for every host under `tls`,
//! annotations stand in every route, a short expression is a long program, a wildcard's routes are copied into other
//! tenants' hosts. A kilobyte could become gigabytes here and in every Envoy, and one tenant would take down all nodes.
//!
//! So there is one account for each object, in one currency, whatever the way it multiplies: bytes of Envoy's memory for
//! one table (measured on 1.40, rounded up), or of ours where they are more. It is a function of the object and of what
//! it copies. No counter is shared: what is beyond an object's budget is left out of it and told on it, and nobody else
//! can notice. A copy is on the account of the object that names the host.
//!
//! The budget is [`BASE`], and [`FACTOR`] for each byte that the object has at least, so that what an object says
//! directly, in plain paths, is never left out.

mod filters;
mod forward;
mod unit;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::facts::{ClassSelection, Dialect, class_of, other_names_of};
use crate::model::{
    Cors, Expansion, Forwarding, MAX_PROGRAM, PathMatch, PathRewrite, QueryPredicate, Redirect,
    Route, RouteAction, RouteMatch, paths,
};
use crate::objects::{Ingress, IngressBackend, IngressPath, IngressRule, IngressTls};

pub use filters::{of_authorization, of_filters, of_host_filters, of_token};
pub use forward::health_check;
pub use unit::{NAME, ROUTE, STEP, headers, of_texts};

use unit::{
    EXPRESSION, HEADER, TEXT, as_cost, expression, of_header, of_headers, of_pattern, of_rewrite,
    text_cost,
};

use super::nginx::{self, Compat, Location, Settings};
use super::path;
use super::policy::{IngressPolicy, ingress_policy};

/// What every object may come to, however small it is: 20,000 plain routes, with a thousand hosts under TLS.
pub const BASE: u64 = 80_000_000;
/// What it may come to for each of its bytes.
const FACTOR: u64 = 64;

/// A virtual host.
const HOST: u64 = 2000;
/// A wildcard's virtual host: 5 KB here, as the names that are too deep for it have a route of their own. Under TLS alone it is
/// no more.
const WILDCARD: u64 = 6500;
/// A host under TLS: its table's virtual host, its entry in the listener and what is kept of it here.
const TLS_HOST: u64 = 4000;
/// A host with more than one Secret: each combination of Secrets is a filter chain.
const COMBINATION: u64 = 20_000;
/// A TLS entry.
const ENTRY: u64 = 100;

/// A share of what is forwarded.
const SHARE: u64 = 400;

/// A cluster of Envoy's with one endpoint and its statistics: 10,000 of them, with a route each, take 574 MiB more than 1,000.
pub const CLUSTER: u64 = 64_000;

/// What forwarding costs for one host: a filter chain, and its back ends.
pub fn forwarding(forwarding: &Forwarding) -> u64 {
    connections(forwarding.shares.len())
}

/// The same of so many back ends.
pub fn connections(shares: usize) -> u64 {
    as_cost(shares)
        .saturating_mul(SHARE)
        .saturating_add(COMBINATION)
}

/// The bytes of an include, with those of the object around it, at least.
const INCLUDE_BYTES: u64 = 60;

/// What one include of a child may come to, where four can be doubled so often before they are more than the includes of it up to this
/// one in its namespace. All of them together come to as much as eight objects at most, so that a thousand hosts can have eighty routes
/// of it; and what is made in vain for those that are left out is bounded too.
pub const fn include(doublings: u32) -> u64 {
    let share = match BASE.checked_shr(doublings) {
        Some(share) => share,
        None => 0,
    };
    share.saturating_add(FACTOR * INCLUDE_BYTES)
}

/// How a message ends that says what is left out.
pub const EXCEEDED: &str = "it would be more than one object may come to";

/// What an Ingress comes to, and may come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Account {
    /// What is left when everything is paid that the object says directly.
    left: u64,
    /// How many hosts under `tls` no rule is for.
    hosts: u64,
    /// What the rules without a host cost for one of these.
    hostless: u64,
    /// How many other names its hosts have.
    names: u64,
}

impl Account {
    /// Reads an Ingress. Bounded by its bytes.
    pub fn of(
        ingress: &Ingress,
        dialect: Dialect,
        settings: &Arc<Settings>,
        compat: Compat,
    ) -> Self {
        let policy = priced(ingress, dialect, settings, compat);
        let mut meter = Meter::new(ingress);
        let (_, _, account) = meter.ingress(ingress, &policy);
        account
    }

    /// How many hosts under `tls` it has no rules for.
    pub const fn hosts(&self) -> u64 {
        self.hosts
    }

    /// Whether each of these hosts can have the rules without a host.
    pub const fn affords_hostless(&self) -> bool {
        self.hostless.saturating_mul(self.hosts) <= self.left
    }

    /// What each of these hosts may take over from others, and each other name of a host. All have the same share, so that none
    /// depends on another.
    pub const fn share(&self) -> u64 {
        match self.left.checked_div(self.hosts.saturating_add(self.names)) {
            Some(share) => share,
            None => 0,
        }
    }
}

/// What an object's price depends on besides itself: flags, and so the same as long as the process runs.
#[derive(Clone, Copy, Debug)]
pub struct Prices<'a> {
    /// Which classes are served.
    pub classes: &'a ClassSelection,
    /// How Ingresses in the dialect of ingress-nginx answer that do not say so.
    pub nginx_compat: Compat,
}

/// The policy that an Ingress pays for.
fn priced(
    ingress: &Ingress,
    dialect: Dialect,
    settings: &Arc<Settings>,
    compat: Compat,
) -> IngressPolicy {
    let (mut policy, _) = ingress_policy(&ingress.metadata, dialect, settings);
    if let Some(nginx) = &mut policy.nginx {
        nginx.compat.get_or_insert(compat);
    }
    policy
}

/// The Ingress without what is beyond its budget, which it says in [`Ingress::left_out`].
///
/// To be asked for every Ingress before it is kept: what is left out has no host, no index and no problem. Of the rules
/// and of the TLS entries the first ones stay, as written.
///
/// Whether its IngressClass asks for the dialect of ingress-nginx is not known here, as classes change. So what it says in that dialect
/// counts in any case, and what the dialect adds to an Ingress that says nothing where a flag asks for it. Where only an IngressClass
/// does, that is about three times what the same Ingress costs in Isobath's own words, and is only in `Account`. So is what the
/// operator says for all Ingresses in ingress-nginx's own ConfigMap: it is an object, too.
#[must_use]
pub fn within_budget(ingress: Arc<Ingress>, prices: Prices<'_>) -> Arc<Ingress> {
    if !nginx::has_some(&ingress.metadata) && is_small(&ingress) {
        return ingress;
    }
    let dialect = match nginx::has_some(&ingress.metadata) {
        true => Dialect::IngressNginx,
        false => prices.classes.named_dialect(class_of(&ingress).as_deref()),
    };
    let policy = priced(&ingress, dialect, &Settings::usual(), prices.nginx_compat);
    let (rules, tls, _) = Meter::new(&ingress).ingress(&ingress, &policy);
    let (paths, hosts) = (count_paths(&rules), count_hosts(&tls));
    let (all_paths, all_hosts) = (count_paths(&ingress.rules), count_hosts(&ingress.tls));
    let is_whole = rules.len() == ingress.rules.len()
        && tls.len() == ingress.tls.len()
        && (paths, hosts) == (all_paths, all_hosts);
    if is_whole {
        return ingress;
    }
    let message = format!(
        "only the first {paths} of its {all_paths} paths in {} of its {} rules are served, and the first {hosts} of its {all_hosts} hosts in {} of its {} entries of spec.tls: {EXCEEDED}",
        rules.len(),
        ingress.rules.len(),
        tls.len(),
        ingress.tls.len(),
    );
    Arc::new(Ingress {
        rules: rules.into(),
        tls: tls.into(),
        left_out: Some(message.into()),
        ..(*ingress).clone()
    })
}

/// What a host costs that is served in clear or by TLS.
pub const fn host() -> u64 {
    TLS_HOST
}

/// As how many hosts one counts that is served by TLS: each wildcard above it that stands for names of any depth has a virtual host
/// for it that answers 421, and there may be one for each of its labels. Names that people use have a few.
pub fn depth(host: &str) -> u64 {
    const USUAL: usize = 8;
    let labels = host.bytes().filter(|byte| *byte == b'.').count() + 1;
    let more = as_cost(labels.saturating_sub(USUAL));
    1 + more.saturating_mul(HOST).div_ceil(TLS_HOST)
}

/// What so many entries of an index cost.
pub fn entries(count: usize) -> u64 {
    ENTRY.saturating_mul(as_cost(count))
}

/// What a route costs: all that it says, in each route of Envoy that it is.
pub fn route(route: &Route) -> u64 {
    let filters = route.filters.as_ref();
    let own = filters.and_then(|filters| filters.cors.as_ref());
    of_route(route, own)
}

/// What it costs besides that the host of a route has a policy for other origins: the route is more of Envoy's where it has none
/// that passes its requests on. The policy itself is [`of_filters`].
pub fn with_cors(route: &Route, cors: Option<&Cors>) -> u64 {
    of_route(route, cors).saturating_sub(self::route(route))
}

fn of_route(route: &Route, cors: Option<&Cors>) -> u64 {
    let Route {
        matches,
        action,
        request_headers,
        response_headers,
        filters,
        source: _,
    } = route;
    let answers = text_cost(of_headers(response_headers));
    let own = filters.as_ref().map_or(0, |it| of_filters(it));
    let all = ROUTE
        + of_match(matches)
        + text_cost(of_headers(request_headers))
        + answers
        + own
        + match action {
            RouteAction::Redirect(redirect) => text_cost(of_redirect(redirect)),
            RouteAction::Forward(to) => forward::of_forward(to),
            RouteAction::DirectResponse(answer) => forward::of_answer(answer),
        };
    let shares = match action {
        RouteAction::Forward(to) => forward::of_shares(to),
        RouteAction::Redirect(_) | RouteAction::DirectResponse(_) => 0,
    };
    let Expansion { routes, of_share } = action.expansion(&matches.path, cors);
    let pages = filters.as_ref().and_then(|it| it.error_pages.as_ref());
    let pages = pages.map_or(0, |pages| forward::of_pages(pages, answers + own));
    all.saturating_mul(as_cost(routes))
        .saturating_add(shares.saturating_mul(as_cost(of_share)))
        .saturating_add(pages)
}

fn of_match(matches: &RouteMatch) -> u64 {
    let headers = matches.headers().iter().map(of_header);
    let query = matches.query().iter().map(|parameter| {
        let pattern = match &parameter.value {
            QueryPredicate::Is(pattern) => of_pattern(pattern),
            QueryPredicate::Present | QueryPredicate::Absent => 0,
        };
        text_cost(parameter.name.len()) + pattern
    });
    expression_of(&matches.path) + headers.chain(query).sum::<u64>()
}

/// How many ports of a Service can have so many endpoints each: at least one.
pub fn ports(endpoints: usize) -> usize {
    /// An endpoint of a cluster.
    const ENDPOINT: u64 = 1300;
    /// What it takes in its slice, at least.
    const BYTES: u64 = 26;
    let endpoints = as_cost(endpoints);
    let budget = BASE + FACTOR.saturating_mul(BYTES).saturating_mul(endpoints);
    let ports = budget.checked_div(ENDPOINT.saturating_mul(endpoints));
    ports.map_or(usize::MAX, |ports| {
        usize::try_from(ports.max(1)).unwrap_or(usize::MAX)
    })
}

/// Whether it can't come to its budget, whatever is in it: true for nearly all, and found without looking closely.
fn is_small(ingress: &Ingress) -> bool {
    /// The largest program that is taken.
    const LONGEST: u64 = EXPRESSION + STEP * MAX_PROGRAM;
    let annotations: usize = ingress
        .metadata
        .annotations
        .iter()
        .map(|(_, value)| value.len())
        .sum();
    let paths = ingress.rules.iter().flat_map(|rule| &rule.paths);
    let (paths, texts) = paths.fold((0_u64, 0_usize), |(count, texts), path| {
        (count + 1, texts + path.path.len())
    });
    let hosts = ingress.tls.iter().map(|tls| tls.hosts.len()).sum::<usize>();
    let units = as_cost(ingress.rules.len() + ingress.tls.len() + hosts + 1);
    // A header is at least three bytes of its annotation, and a path with another prefix may be two routes, or have two clusters of
    // its own.
    let each = ROUTE + LONGEST + CLUSTER + TEXT * (HEADER / 2) * as_cost(annotations);
    let direct = (paths + units).saturating_mul(2 * each) + 2 * text_cost(texts);
    direct.saturating_add(units * (WILDCARD + TLS_HOST + COMBINATION)) <= BASE / 2
}

fn count_paths(rules: &[IngressRule]) -> usize {
    rules.iter().map(|rule| rule.paths.len()).sum()
}

fn count_hosts(tls: &[IngressTls]) -> usize {
    tls.iter().map(|tls| tls.hosts.len()).sum()
}

/// The bytes that the object has at least, as JSON.
fn bytes(ingress: &Ingress) -> u64 {
    let path = |path: &IngressPath| {
        let backend = match &path.backend {
            IngressBackend::Service { name, .. } => 40 + name.len(),
            IngressBackend::Resource { kind, name } => 20 + kind.len() + name.len(),
            IngressBackend::Missing => 0,
        };
        48 + path.path.len() + backend
    };
    let rules = ingress.rules.iter().map(|rule| {
        let paths = rule.paths.iter().map(path).sum::<usize>();
        2 + rule.host.as_ref().map_or(0, |host| 10 + host.len()) + paths
    });
    let tls = ingress.tls.iter().map(|tls| {
        let hosts = tls.hosts.iter().map(|host| 3 + host.len()).sum::<usize>();
        3 + hosts + tls.secret_name.as_ref().map_or(0, |name| 15 + name.len())
    });
    let annotations = ingress.metadata.annotations.iter();
    let annotations = annotations.map(|(key, value)| 6 + key.len() + value.len());
    as_cost(rules.chain(tls).chain(annotations).sum())
}

/// Takes costs off a budget until one does not fit; from then on nothing does.
struct Meter {
    left: u64,
}

impl Meter {
    fn new(ingress: &Ingress) -> Self {
        Self {
            left: BASE + FACTOR.saturating_mul(bytes(ingress)),
        }
    }

    fn take(&mut self, cost: u64) -> bool {
        let left = self.left.checked_sub(cost);
        self.left = left.unwrap_or_default();
        left.is_some()
    }

    /// The rules and TLS entries that are paid, and what is left. TLS entries may take half.
    fn ingress(
        &mut self,
        ingress: &Ingress,
        policy: &IngressPolicy,
    ) -> (Vec<IngressRule>, Vec<IngressTls>, Account) {
        let repeated = Repeated::of(policy);
        // The root of each host, which nobody has to say.
        let implicit = repeated.nginx.as_ref();
        let implicit = implicit.map_or(0, |said| said.cost + repeated.cost);
        let default = match &ingress.default_backend {
            Some(_) => ROUTE + repeated.cost + implicit,
            None => 0,
        };
        let reserved = self.left / 2;
        self.left -= reserved;
        let (tls, named) = self.tls(ingress, default);
        self.left += reserved;
        let names = match &repeated.nginx {
            Some(_) => other_names_of(ingress),
            None => BTreeSet::new(),
        };
        for name in &names {
            let name = name.as_str();
            let _ = self.take(virtual_host(name) + TLS_HOST.saturating_mul(depth(name)));
        }
        let is_any = tls.iter().any(|tls| tls.hosts.is_empty());
        let each_host = default.max(implicit) + if is_any { TLS_HOST } else { 0 };
        let (rules, ruled) = self.rules(ingress, each_host, &repeated);
        let hostless = rules.iter().filter(|rule| rule.host.is_none());
        let account = Account {
            left: self.left,
            hosts: as_cost(named.difference(&ruled).count()),
            names: as_cost(names.len()),
            hostless: hostless
                .flat_map(|rule| &rule.paths)
                .map(|path| path_cost(path, &repeated))
                .fold(implicit, u64::saturating_add),
        };
        (rules, tls, account)
    }

    fn tls<'a>(
        &mut self,
        ingress: &'a Ingress,
        default: u64,
    ) -> (Vec<IngressTls>, HashSet<&'a str>) {
        let mut secrets: HashMap<&str, Option<&str>> = HashMap::new();
        let mut tls = Vec::with_capacity(ingress.tls.len());
        for entry in &ingress.tls {
            if !self.take(ENTRY) {
                break;
            }
            let secret = entry.secret_name.as_deref();
            let mut cost = |host: &'a str| match secrets.insert(host, secret) {
                None if host.starts_with('*') => WILDCARD + TLS_HOST * (depth(host) - 1) + default,
                None => TLS_HOST.saturating_mul(depth(host)) + default,
                Some(first) if first == secret => ENTRY,
                Some(_) => COMBINATION,
            };
            let hosts = entry.hosts.iter();
            let hosts: Box<[_]> = hosts
                .take_while(|host| self.take(cost(host)))
                .cloned()
                .collect();
            let is_whole = hosts.len() == entry.hosts.len();
            // Without hosts it would be about all hosts.
            if is_whole || !hosts.is_empty() {
                tls.push(IngressTls {
                    hosts,
                    secret_name: entry.secret_name.clone(),
                });
            }
            if !is_whole {
                break;
            }
        }
        (tls, secrets.into_keys().collect())
    }

    fn rules<'a>(
        &mut self,
        ingress: &'a Ingress,
        each_host: u64,
        repeated: &Repeated,
    ) -> (Vec<IngressRule>, HashSet<&'a str>) {
        let mut hosts = HashSet::new();
        let mut backends: HashSet<&IngressBackend> = HashSet::new();
        let policy = repeated.nginx.as_ref().map(|said| &said.policy);
        let is_canary = policy.is_some_and(|policy| policy.canary.is_some());
        let clusters = match is_canary {
            true => 2,
            false => policy.map_or(0, |policy| as_cost(policy.own_clusters())),
        };
        let mut rules = Vec::with_capacity(ingress.rules.len());
        for rule in &ingress.rules {
            let host = rule.host.as_deref();
            let new = host.filter(|host| hosts.insert(*host));
            let of_host = new.map_or(0, |host| each_host + virtual_host(host));
            if !self.take(ENTRY + of_host) {
                break;
            }
            let paths = rule.paths.iter();
            let paths: Box<[_]> = paths
                .take_while(|path| {
                    // Those of a canary are spoken to as each path's own Ingress says.
                    let own = match backends.insert(&path.backend) || is_canary {
                        true => clusters.saturating_mul(CLUSTER),
                        false => 0,
                    };
                    self.take(path_cost(path, repeated).saturating_add(own))
                })
                .cloned()
                .collect();
            let is_whole = paths.len() == rule.paths.len();
            rules.push(IngressRule {
                host: rule.host.clone(),
                paths,
            });
            if !is_whole {
                break;
            }
        }
        (rules, hosts)
    }
}

/// What a host costs, whatever is served of it.
fn virtual_host(host: &str) -> u64 {
    if host.starts_with('*') {
        WILDCARD
    } else {
        HOST
    }
}

/// What a path costs, whether it can be served or is told of.
fn path_cost(path: &IngressPath, repeated: &Repeated) -> u64 {
    let matched = match &repeated.nginx {
        None => path::path_match(path),
        Some(said) => {
            let text = text_cost(path.path.len());
            let matched = nginx::path_match(path, &said.policy, said.policy.is_strict());
            let expression =
                matched.map_or(0, |matched| matched.expression().map_or(0, expression));
            // It stands in what it matches, and in what is replaced.
            let each = 2 * expression + text;
            return said.cost + repeated.cost + said.routes.saturating_mul(each);
        }
    };
    let (expression, routes) = matched.map_or((0, 1), |matched| {
        let expression = matched.expression().map_or(0, expression);
        (expression, paths(&matched, repeated.rewrite.as_ref()))
    });
    let each = ROUTE + expression + text_cost(path.path.len()) + repeated.cost;
    each.saturating_mul(as_cost(routes))
}

fn expression_of(path: &PathMatch) -> u64 {
    text_cost(path.text().len()) + path.expression().map_or(0, expression)
}

/// What every route of the Ingress repeats.
struct Repeated {
    cost: u64,
    rewrite: Option<PathRewrite>,
    nginx: Option<OfNginx>,
}

/// What a path comes to by ingress-nginx's annotations.
struct OfNginx {
    policy: Box<nginx::Policy>,
    /// So many routes.
    routes: u64,
    /// What they cost, but for their paths.
    cost: u64,
}

impl OfNginx {
    fn of(policy: &nginx::Policy) -> Self {
        let routes = Location::sample(policy);
        Self {
            policy: Box::new(policy.clone()),
            routes: as_cost(routes.len()),
            cost: routes.iter().map(route).fold(0, u64::saturating_add),
        }
    }
}

impl Repeated {
    fn of(policy: &IngressPolicy) -> Self {
        let rewrite = policy.rewrite_prefix.clone();
        Self {
            cost: text_cost(repeated(policy)),
            rewrite: rewrite.map(PathRewrite::ReplacePrefix),
            nginx: policy.nginx.as_deref().map(OfNginx::of),
        }
    }
}

/// Bytes of text that every route of the Ingress repeats.
fn repeated(policy: &IngressPolicy) -> usize {
    let redirect = policy.redirect.as_ref().map_or(0, of_redirect);
    let rewrite = policy.rewrite_prefix.as_ref().map_or(0, |path| path.len());
    let retry = policy.retry.iter().flat_map(|retry| &retry.retry_on);
    let retry = retry.map(|condition| 1 + condition.len()).sum::<usize>();
    of_headers(&policy.request_headers)
        + of_headers(&policy.response_headers)
        + redirect
        + rewrite
        + retry
}

fn of_redirect(redirect: &Redirect) -> usize {
    let path = redirect.path.as_ref().map_or(0, of_rewrite);
    path + redirect.hostname.as_ref().map_or(0, |name| name.len())
}

#[cfg(test)]
mod tests;
