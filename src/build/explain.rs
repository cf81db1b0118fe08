//! Who answers a request, and why: the way that it takes through what is rendered, without a proxy that takes it.
//!
//! It is a view on the units that are served: the host's unit is made once more from the same facts, its routes are gone
//! through as the proxy goes through them ([`crate::envoy::request`]), and every step says which field of which object it
//! comes from. It changes nothing.

mod guards;
mod way;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::envoy::edge::Edge;
use crate::envoy::request::{self, Admitted, Outcome, Request};
use crate::facts::Log;
use crate::model::{AddressRules, Front, Host, Route, RouteAction, RouteMatch, VirtualHost};
use crate::objects::{FieldRef, ObjectRef, Problem, slips};
use crate::translate::{self, HostUnit, HttpsHost, Input, Memo};

pub use way::Unit;

use super::{Builder, describe};
use guards::{guards, is_preflight};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The request.
    pub request: Request,
    /// The name that the client asks for in TLS; `None` where it asks for none.
    pub server_name: Option<String>,
    /// The address that Envoy takes the client for; `None` where lists of addresses are not asked.
    pub from: Option<IpAddr>,
}

/// The answer to a question.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// What was decided, in this order.
    pub steps: Vec<Step>,
    /// What the client gets; several where a draw decides, each with its weight.
    pub answers: Vec<(u32, Answer)>,
    /// What is wrong with the objects on the way.
    pub problems: Vec<Problem>,
    /// Names that are nearly right.
    pub suggestions: Vec<String>,
    /// What decided it.
    pub decided: Decided,
    /// What Envoy needs for this answer, each by the name that it knows it by.
    pub units: Vec<Unit>,
    /// How many hosts were made again to find it: what it cost.
    pub made: usize,
}

/// What decided an answer, so that two states can be asked whether it is the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// The host whose TLS the connection has, or that closes it.
    pub connection: Option<Host>,
    /// The host whose routes were tried.
    pub host: Option<Host>,
    /// What the route asks for that took the request.
    pub route: Option<RouteMatch>,
}

/// One decision.
#[derive(Clone, Debug)]
pub struct Step {
    /// About what: `listener`, `tls`, `host`, `route`, `guard`, `request`, `cluster`.
    pub about: &'static str,
    /// One sentence.
    pub says: String,
    /// What says so.
    pub source: Option<FieldRef>,
    /// The path of the field, where it is known.
    pub field: Option<String>,
}

/// What a client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its connection is closed.
    Closed(String),
    /// Envoy answers with this status.
    Envoy {
        /// The status.
        status: u16,
        /// Why.
        why: String,
        /// Where it leads.
        location: Option<String>,
    },
    /// A back end answers.
    Backend {
        /// The cluster.
        cluster: Arc<str>,
        /// The path with its query that it sees.
        path: String,
        /// The Host that it sees; `None` for the DNS name of the endpoint.
        host: Option<String>,
        /// Who may answer; empty where a DNS name says.
        endpoints: Vec<SocketAddr>,
    },
}

impl Explanation {
    fn step(&mut self, about: &'static str, says: impl Into<String>, source: Option<&FieldRef>) {
        self.steps.push(Step {
            about,
            says: says.into(),
            source: source.cloned(),
            field: None,
        });
    }

    fn envoy(mut self, status: u16, why: impl Into<String>, location: Option<String>) -> Self {
        let why = why.into();
        self.answers.push((
            1,
            Answer::Envoy {
                status,
                why,
                location,
            },
        ));
        self
    }
}

/// A virtual host, and the unit that it is of.
struct Found {
    unit: HostUnit,
    host: Host,
    tls: bool,
}

impl Found {
    fn virtual_host(&self) -> Option<&VirtualHost> {
        match self.tls {
            true => self.unit.https.as_ref().map(|https| &https.virtual_host),
            false => self.unit.http.as_ref(),
        }
    }
}

impl Builder {
    /// Goes the way of a request on the fleet's listeners, as they are after the last [`Builder::build`]. `edge` is what the
    /// builder was made with.
    #[must_use]
    pub fn explain(&self, edge: &Edge, question: &Question) -> Explanation {
        let (memo, log) = (Memo::default(), Log::default());
        let input = Input::new(&self.store, &self.options, &memo, &log);
        let walk = Walk {
            builder: self,
            input,
            edge,
            from: question.from.map(|address| address.to_canonical()),
            made: Cell::new(0),
        };
        let mut told = walk.explain(question);
        told.made = walk.made.get();
        for step in &mut told.steps {
            let source = step.source.as_ref();
            step.field = source.and_then(|source| self.store.path(source));
        }
        told
    }
}

struct Walk<'a> {
    builder: &'a Builder,
    input: Input<'a>,
    edge: &'a Edge,
    from: Option<IpAddr>,
    made: Cell<usize>,
}

impl Walk<'_> {
    fn explain(&self, question: &Question) -> Explanation {
        let mut told = Explanation::default();
        let tls = question.request.tls;
        let listener = match tls {
            true => "the listener for HTTPS",
            false => "the listener for HTTP",
        };
        told.step("listener", listener, None);
        told.units.extend(way::of_listener(tls));
        let server = match tls.then(|| self.server(question, &mut told)) {
            None => None,
            Some(Some(server)) => Some(server),
            Some(None) => return told,
        };
        let request = match request::admit(self.edge, question.request.clone()) {
            Admitted::Request(request) => request,
            Admitted::Answer(status, why, location) => {
                return told.envoy(status, why, location);
            }
        };
        if request.path != question.request.path {
            let says = format!("the path is {} to routes and back ends", request.path);
            told.step("request", says, None);
        }
        let (name, _) = request::split_host(&request.host);
        let name = name.to_ascii_lowercase();
        let found = match self.find(&name, server.as_ref()) {
            Ok(found) => found,
            Err(Some(why)) => return told.envoy(421, why, None),
            Err(None) => {
                told.suggestions = self.hosts_like(&name);
                let why = format!("no object names the host {name} here, and no wildcard takes it");
                return told.envoy(404, why, None);
            }
        };
        self.host(told, found, &name, &request)
    }

    fn unit(&self, host: &Host) -> HostUnit {
        self.made.set(self.made.get() + 1);
        let languages = &self.builder.languages;
        languages.host(self.input, &Front::Fleet, host)
    }

    /// The server that ends the client's TLS; `None` where none does, and the answer is told.
    fn server(&self, question: &Question, told: &mut Explanation) -> Option<HttpsHost> {
        let Some(name) = &question.server_name else {
            let any = self.unit(&Host::any());
            let Some(https) = any.https else {
                let why = "the client names no host in TLS (SNI), and no object serves every host by HTTPS";
                told.answers.push((1, Answer::Closed(why.to_owned())));
                return None;
            };
            told.decided.connection = Some(Host::any());
            self.tell_server(&Host::any(), &https, told);
            return Some(https);
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let exact = Host::new(&*name);
        let above: Vec<Host> = exact.wildcards_above().collect();
        for host in std::iter::once(exact).chain(above).chain([Host::any()]) {
            let unit = self.unit(&host);
            told.decided.connection = Some(host.clone());
            if unit.is_forwarded() {
                let refused = self.refusal(unit.addresses.as_ref());
                let why = refused.unwrap_or_else(|| {
                    format!("connections for {host} are forwarded, and no request is looked at")
                });
                told.answers.push((1, Answer::Closed(why)));
                return None;
            }
            if let Some(https) = unit.https {
                self.tell_server(&host, &https, told);
                return Some(https);
            }
            self.tell_problems_of(&unit, told);
            if unit.is_closed {
                let why =
                    format!("{host} has no usable certificate, and no wildcard answers for it");
                told.answers.push((1, Answer::Closed(why)));
                return None;
            }
        }
        told.decided.connection = None;
        told.suggestions = self.hosts_like(&name);
        let why = format!("nothing serves {name} by HTTPS");
        told.answers.push((1, Answer::Closed(why)));
        None
    }

    fn tell_server(&self, host: &Host, https: &HttpsHost, told: &mut Explanation) {
        told.units.extend(way::of_server(host, https));
        let names: Vec<String> = https.secrets.iter().map(ToString::to_string).collect();
        let says = format!("the certificate of Secret {}", names.join(" or "));
        told.step("tls", says, Some(&https.source));
        for secret in &https.secrets {
            let Some(certificate) = translate::certificate(self.input, secret) else {
                continue;
            };
            let until = certificate.validity.not_after;
            told.step(
                "tls",
                format!("Secret {secret} is good until {until}"),
                None,
            );
        }
    }

    /// The virtual host of a name; an error with a sentence is 421, one without 404.
    fn find(&self, name: &str, server: Option<&HttpsHost>) -> Result<Found, Option<String>> {
        let exact = Host::new(name);
        let above: Vec<Host> = exact.wildcards_above().collect();
        for host in std::iter::once(exact).chain(above).chain([Host::any()]) {
            let unit = self.unit(&host);
            let Some(server) = server else {
                if unit.http.is_some() {
                    let tls = false;
                    return Ok(Found { unit, host, tls });
                }
                continue;
            };
            match &unit.https {
                Some(https) if https.server.name == server.server.name => {
                    let tls = true;
                    return Ok(Found { unit, host, tls });
                }
                Some(_) if host.as_str() == name => {
                    return Err(Some(format!(
                        "{name} is served with another certificate than the one of this connection"
                    )));
                }
                _ => {}
            }
        }
        Err(server.map(|_| format!("the connection's certificate is not for the host {name}")))
    }

    fn host(
        &self,
        mut told: Explanation,
        found: Found,
        name: &str,
        request: &Request,
    ) -> Explanation {
        told.decided.host = Some(found.host.clone());
        self.tell_problems_of(&found.unit, &mut told);
        let Some(virtual_host) = found.virtual_host() else {
            return told.envoy(404, "nothing serves the host", None);
        };
        let server = found.unit.https.as_ref().filter(|_| found.tls);
        let unit = way::of_virtual_host(&found.host, server, virtual_host);
        told.units.push(unit);
        let routes = match virtual_host.routes.len() {
            1 => "1 route".to_owned(),
            count => format!("{count} routes"),
        };
        let of_host = match found.host.as_str() == name {
            true => String::new(),
            false => format!(", which takes {name}"),
        };
        let says = format!("{}{of_host}: {routes}", found.host);
        told.step("host", says, None);
        let labels = |host: &str| host.split('.').count();
        let is_too_deep = found.host.wildcard_suffix().is_some()
            && !found.unit.any_depth
            && labels(name) != labels(found.host.as_str());
        if is_too_deep {
            let why = format!("{} takes one label in the place of the star", found.host);
            let status = if found.tls { 421 } else { 404 };
            return told.envoy(status, why, None);
        }
        if virtual_host.client_check.is_some() {
            let says = "421 unless the client has shown its certificate";
            told.step("guard", says, None);
        }
        if let Some(filters) = &virtual_host.filters {
            if !filters.local_rate_limits.is_empty() {
                let says = "429 beyond the local rate limit of the host";
                told.step("guard", says, None);
            }
            if filters.global_rate_limit.is_some() {
                let says = "429 as the rate limit service says of the host";
                told.step("guard", says, None);
            }
        }
        let mut paths = Vec::new();
        for route in &virtual_host.routes {
            let pattern = describe::path(&route.matches.path);
            match request::mismatch(self.edge, &route.matches, request) {
                Some(why) => {
                    paths.push(route.matches.path.text().to_owned());
                    let says = format!("{pattern} does not take it: {why}");
                    told.step("route", says, Some(&route.source));
                }
                None => {
                    told.step("route", format!("{pattern} takes it"), Some(&route.source));
                    told.decided.route = Some(route.matches.clone());
                    self.tell_problems(&route.source.object, &mut told);
                    return self.route(told, &found.unit, route, request);
                }
            }
        }
        let (path, _) = request.path.split_once('?').unwrap_or((&request.path, ""));
        told.suggestions = nearest(path, paths);
        told.envoy(404, format!("no route of {} takes it", found.host), None)
    }

    /// What is wrong with the objects of a host, as it is told to their owners.
    fn tell_problems_of(&self, unit: &HostUnit, told: &mut Explanation) {
        let objects: BTreeSet<&ObjectRef> = unit
            .problems
            .iter()
            .map(|problem| &problem.source.object)
            .collect();
        for object in objects {
            self.tell_problems(object, told);
        }
    }

    fn tell_problems(&self, object: &ObjectRef, told: &mut Explanation) {
        let known = self.builder.statuses.problems.get(object);
        let problems = known.iter().flat_map(|known| known.problems.iter());
        told.problems.extend(problems.cloned());
        told.problems.sort();
        told.problems.dedup();
    }

    fn route(
        &self,
        mut told: Explanation,
        unit: &HostUnit,
        route: &Route,
        request: &Request,
    ) -> Explanation {
        if let Some(filters) = route.filters.as_deref() {
            for says in guards(filters, self.from.is_some()) {
                told.step("guard", says, Some(&route.source));
            }
            told.units.extend(filters.clusters().map(Unit::cluster));
            if !(filters.cors.is_some() && is_preflight(request)) {
                if let Some(why) = self.refusal(filters.addresses.as_ref()) {
                    told.step("guard", format!("403: {why}"), Some(&route.source));
                    return told.envoy(403, why, None);
                }
                if let (Some(from), Some(_)) = (self.from, &filters.addresses) {
                    let says = format!("the address {from} is let in");
                    told.step("guard", says, Some(&route.source));
                }
            }
        }
        for (name, value) in &route.request_headers.set {
            let says = format!("the request's header {name} is set to {value}");
            told.step("request", says, Some(&route.source));
        }
        for name in &route.request_headers.remove {
            let says = format!("the request's header {name} is removed");
            told.step("request", says, Some(&route.source));
        }
        let filters = route.filters.as_deref();
        for change in filters.iter().flat_map(|it| &it.request_headers) {
            let says = format!("the request's header {} is changed", change.name());
            told.step("request", says, Some(&route.source));
        }
        if let RouteAction::Forward(forward) = &route.action {
            let limit = match forward.timeout {
                Some(limit) => format!("the whole answer may take {limit:?}"),
                None => "the answer may take as long as something moves".to_owned(),
            };
            told.step("request", limit, Some(&route.source));
        }
        for (weight, outcome) in request::outcomes(self.edge, route, request) {
            let answer = self.answer(&mut told, unit, route, outcome);
            told.answers.push((weight, answer));
        }
        told
    }

    fn answer(
        &self,
        told: &mut Explanation,
        unit: &HostUnit,
        route: &Route,
        outcome: Outcome,
    ) -> Answer {
        let envoy = |status, why: String, location| Answer::Envoy {
            status,
            why,
            location,
        };
        let (cluster, path, host) = match outcome {
            Outcome::Answer(status, Some(location)) => {
                return envoy(status, "the route redirects".to_owned(), Some(location));
            }
            Outcome::Answer(status, None) => {
                let source = &route.source.object;
                let why = match matches!(route.action, RouteAction::Forward(_)) {
                    true => format!("the route of {source} has no back end that can be used"),
                    false => format!("the route of {source} answers so by itself"),
                };
                return envoy(status, why, None);
            }
            Outcome::Forward {
                cluster,
                path,
                host,
            } => (Arc::<str>::from(cluster), path, host),
        };
        told.units.extend(way::of_cluster(&cluster));
        let Some(source) = unit.clusters.get(&cluster) else {
            return envoy(503, format!("there is no cluster {cluster}"), None);
        };
        let Some(model) = translate::cluster(self.input, source) else {
            let why = format!("the Service of cluster {cluster}, or its port, does not exist");
            return envoy(503, why, None);
        };
        if !matches!(model.discovery, crate::model::Discovery::Endpoints) {
            told.step(
                "cluster",
                format!("{cluster}, by DNS"),
                model.source.as_ref(),
            );
            return Answer::Backend {
                cluster,
                path,
                host,
                endpoints: Vec::new(),
            };
        }
        if let Some(source) = &model.source {
            self.tell_problems(&source.object, told);
        }
        let (assignment, _) = translate::endpoints(self.input, &cluster, source);
        let endpoints: Vec<SocketAddr> = assignment
            .localities
            .values()
            .flatten()
            .map(|endpoint| SocketAddr::new(endpoint.ip, endpoint.port))
            .collect();
        let says = format!("{cluster}: {} endpoints", endpoints.len());
        told.step("cluster", says, model.source.as_ref());
        if endpoints.is_empty() {
            let why = format!("cluster {cluster} has no ready endpoints");
            return envoy(503, why, None);
        }
        Answer::Backend {
            cluster,
            path,
            host,
            endpoints,
        }
    }

    /// Why the client is refused, where its address is asked for and is not let in.
    fn refusal(&self, rules: Option<&AddressRules>) -> Option<String> {
        let from = self.from?;
        (!rules?.takes(from)).then(|| format!("the address {from} is not let in"))
    }

    fn hosts_like(&self, name: &str) -> Vec<String> {
        let hosts = self.builder.hosts.hosts(&Front::Fleet);
        nearest(name, hosts.map(|host| host.as_str().to_owned()))
    }
}

/// How many names are suggested.
const SUGGESTED: usize = 3;

/// Those of `words` that are spelt nearly like `word`, the nearest first.
fn nearest(word: &str, words: impl IntoIterator<Item = String>) -> Vec<String> {
    let words = words.into_iter().filter(|other| other != word);
    let mut near: Vec<(usize, String)> = words
        .filter_map(|other| Some((slips(word, &other)?, other)))
        .collect();
    near.sort();
    near.dedup();
    near.truncate(SUGGESTED);
    near.into_iter().map(|(_, word)| word).collect()
}
