//! What is served, for somebody who looks: the hosts by name, and one host with its routes, their Services and these one's endpoints.
//!
//! It is a view on the units, as [`super::explain`] is: a host's unit is made once more from the same facts. It changes nothing, and
//! what it makes is bounded whatever an object asks for. A listener without hosts (of TCP, of UDP) is not in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::facts::Log;
use crate::model::{Discovery, Front, Host, Route, RouteAction};
use crate::objects::{FieldRef, NamespacedName, ObjectRef, Problem};
use crate::translate::{self, ClusterSource, HostUnit, Input, Memo};

use super::diff::{Detail, host_settings, route_settings};
use super::{Builder, describe};

/// Most routes of a host that are shown at once.
pub const ROUTES: usize = 200;

/// Most clusters of these routes.
const CLUSTERS: usize = 100;

/// Most endpoints of each.
const ENDPOINTS: usize = 50;

/// Most endpoints that are looked at for all of them: after it clusters are told without.
const LOOKED_AT: usize = 5000;

/// Most problems that are told with a host.
const PROBLEMS: usize = 50;

/// Most clusters that are named with a host in the list.
const NAMED: usize = 3;

/// How much is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Hosts, over all listeners.
    pub hosts: usize,
    /// Clusters.
    pub clusters: usize,
}

/// A part of the list of hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// How many there are like it, with those that are not in this part.
    pub found: usize,
    /// Those of this part, by front and name.
    pub hosts: Vec<ListedHost>,
}

/// A host in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedHost {
    /// Where it is served.
    pub front: Front,
    /// Its name.
    pub host: Host,
    /// How many clusters its routes name.
    pub clusters: usize,
    /// The first of them.
    pub first: Vec<Arc<str>>,
}

/// One host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostView {
    /// Whoever names it, the oldest first.
    pub claims: Vec<ObjectRef>,
    /// The Secrets that it is served with by TLS, and when each ends to be good.
    pub certificates: Vec<(NamespacedName, Option<jiff::Timestamp>)>,
    /// What holds for all of it: in clear, and by TLS.
    pub settings: [Vec<Detail>; 2],
    /// How many routes there are like those that were asked for.
    pub found: usize,
    /// A part of them, in the order in which they are tried.
    pub routes: Vec<RouteView>,
    /// Where they lead.
    pub clusters: Vec<ClusterView>,
    /// What is wrong with the objects that name it.
    pub problems: Vec<Problem>,
}

/// One route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteView {
    /// What it asks for, in words.
    pub says: String,
    /// Whether requests in clear are tried.
    pub http: bool,
    /// Whether requests by TLS are.
    pub https: bool,
    /// What it does, setting by setting.
    pub details: Vec<Detail>,
    /// The clusters that it leads to, and the share of each.
    pub targets: Vec<(Arc<str>, u32)>,
    /// What says so.
    pub source: FieldRef,
    /// The path of that field, where it is known.
    pub field: Option<String>,
}

/// One cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterView {
    /// Its name.
    pub name: Arc<str>,
    /// The ports of Services that it is of.
    pub ports: Vec<(NamespacedName, u16)>,
    /// The DNS name, or the socket, in the place of endpoints.
    pub found_by: Option<String>,
    /// How many endpoints it has; `None` where they were not counted any more.
    pub count: Option<usize>,
    /// The first of them.
    pub endpoints: Vec<EndpointView>,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointView {
    /// Its address.
    pub address: SocketAddr,
    /// Its zone; empty where it has none.
    pub zone: Arc<str>,
    /// Its share, where they are not alike.
    pub weight: Option<NonZeroU32>,
}

impl Builder {
    /// How much is served.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let fronts = self.hosts.fronts();
        Counts {
            hosts: fronts.map(|front| self.hosts.count(front)).sum(),
            clusters: self.clusters.len(),
        }
    }

    /// The hosts that have `word` in their names or in those of their clusters, less the first `skip`, and at most `take`.
    #[must_use]
    pub fn hosts_with(&self, word: &str, skip: usize, take: usize) -> Hosts {
        let word = word.to_ascii_lowercase();
        let mut list = Hosts::default();
        for front in self.hosts.fronts() {
            for (host, state) in self.hosts.kept(front) {
                let mut names = state.clusters.iter();
                if !host.as_str().contains(&word) && !names.any(|name| name.contains(&word)) {
                    continue;
                }
                list.found += 1;
                if list.found > skip && list.hosts.len() < take {
                    list.hosts.push(ListedHost {
                        front: front.clone(),
                        host: host.clone(),
                        clusters: state.clusters.len(),
                        first: state.clusters.iter().take(NAMED).cloned().collect(),
                    });
                }
            }
        }
        list
    }

    /// One host as it is after the last [`Builder::build`], with those of its routes that have `word` in what they ask for, less
    /// the first `skip`; `None` where nobody names it.
    #[must_use]
    pub fn view(&self, front: &Front, host: &Host, word: &str, skip: usize) -> Option<HostView> {
        let (memo, log) = (Memo::default(), Log::default());
        let input = Input::new(&self.store, &self.options, &memo, &log);
        let claims = input.reader().claimants(front, host);
        if claims.is_empty() {
            return None;
        }
        let unit = self.languages.host(input, front, host);
        let (found, routes) = self.routes(&unit, word, skip);
        let secrets = unit.https.iter().flat_map(|https| &https.secrets);
        let secrets = secrets.chain(unit.tcp.iter().flat_map(|tcp| &tcp.secrets));
        let certificates = secrets.map(|secret| {
            let certificate = translate::certificate(input, secret);
            let until = certificate.map(|it| it.validity.not_after);
            (secret.clone(), until)
        });
        Some(HostView {
            certificates: certificates.collect(),
            settings: [false, true].map(|tls| host_settings(&unit, tls)),
            found,
            clusters: self.cluster_views(input, &unit, &routes),
            routes,
            problems: self.problems_of(&claims, &unit),
            claims,
        })
    }

    /// The routes of both schemes: one that is in both is told once, and one that only TLS has comes behind.
    fn routes(&self, unit: &HostUnit, word: &str, skip: usize) -> (usize, Vec<RouteView>) {
        let http = unit.http.as_ref().map_or(&[][..], |it| &it.routes);
        let https = unit.https.as_ref().map(|it| &it.virtual_host);
        let https = https.map_or(&[][..], |it| &it.routes);
        let mut by_tls: HashMap<&Route, bool> = https.iter().map(|route| (route, false)).collect();
        let mut all: Vec<(&Route, bool, bool)> = Vec::new();
        for route in http {
            let in_both = by_tls.get_mut(route);
            let is_in_both = in_both.map(|told| *told = true).is_some();
            all.push((route, true, is_in_both));
        }
        let rest = https
            .iter()
            .filter(|route| by_tls.get(*route) == Some(&false));
        all.extend(rest.map(|route| (route, false, true)));
        let mut views: Vec<RouteView> = Vec::new();
        let mut found = 0;
        for (route, http, https) in all {
            let says = describe::matches(&route.matches);
            if !says.contains(word) {
                continue;
            }
            found += 1;
            if found > skip && views.len() < ROUTES {
                views.push(self.route(route, says, http, https));
            }
        }
        if let Some(view) = self.forwarded(unit).filter(|it| it.says.contains(word)) {
            found += 1;
            if found > skip && views.len() < ROUTES {
                views.push(view);
            }
        }
        (found, views)
    }

    fn route(&self, route: &Route, says: String, http: bool, https: bool) -> RouteView {
        let targets = match &route.action {
            RouteAction::Forward(forward) => {
                let backends = forward.backends.iter();
                let backends = backends.filter(|backend| backend.weight > 0);
                let shares = backends.map(|backend| (backend.cluster.clone(), backend.weight));
                shares.take(CLUSTERS).collect()
            }
            RouteAction::Redirect(_) | RouteAction::DirectResponse(_) => Vec::new(),
        };
        RouteView {
            says,
            http,
            https,
            details: route_settings(route),
            targets,
            field: self.store.path(&route.source),
            source: route.source.clone(),
        }
    }

    /// Connections that are no requests.
    fn forwarded(&self, unit: &HostUnit) -> Option<RouteView> {
        let (says, source) = match (&unit.passthrough, &unit.tcp) {
            (Some(passthrough), _) => ("connections by TLS, as they are", &passthrough.source),
            (None, Some(tcp)) => ("what is inside of connections by TLS", &tcp.source),
            (None, None) => return None,
        };
        let shares = unit.forwarding().map_or(&[][..], |it| &it.shares);
        let targets = shares.iter().take(CLUSTERS);
        Some(RouteView {
            says: says.to_owned(),
            http: false,
            https: true,
            details: Vec::new(),
            targets: targets.map(|it| (it.cluster.clone(), it.weight)).collect(),
            field: self.store.path(source),
            source: source.clone(),
        })
    }

    fn cluster_views(
        &self,
        input: Input<'_>,
        unit: &HostUnit,
        routes: &[RouteView],
    ) -> Vec<ClusterView> {
        let targets = routes.iter().flat_map(|route| &route.targets);
        let names: BTreeSet<&Arc<str>> = targets.map(|(name, _)| name).collect();
        let known = |name: &Arc<str>| -> Option<ClusterSource> {
            let own = unit.clusters.get(name);
            own.or(self.clusters.get(name).map(|it| &it.backend))
                .cloned()
        };
        let sources: BTreeMap<&Arc<str>, ClusterSource> = names
            .into_iter()
            .take(CLUSTERS)
            .filter_map(|name| Some((name, known(name)?)))
            .collect();
        let mut looked_at = 0;
        let views = sources.into_iter().map(|(name, source)| {
            let mut view = ClusterView {
                name: name.clone(),
                ports: ports(&source),
                found_by: None,
                count: None,
                endpoints: Vec::new(),
            };
            let cluster = translate::cluster(input, &source);
            match cluster.map(|cluster| cluster.discovery) {
                Some(Discovery::Dns { hostname, port }) => {
                    view.found_by = Some(format!("{hostname}:{port}"));
                }
                Some(Discovery::Socket(path)) => view.found_by = Some(path.as_str().to_owned()),
                Some(Discovery::Endpoints) if looked_at < LOOKED_AT => {
                    let count = add_endpoints(input, &source, &mut view);
                    looked_at += count;
                    view.count = Some(count);
                }
                Some(Discovery::Endpoints) => {}
                None => view.count = Some(0),
            }
            view
        });
        views.collect()
    }

    fn problems_of(&self, claims: &[ObjectRef], unit: &HostUnit) -> Vec<Problem> {
        let of_unit = unit.problems.iter().map(|it| &it.source.object);
        let objects: BTreeSet<&ObjectRef> = claims.iter().chain(of_unit).collect();
        let known = objects.into_iter();
        let known = known.filter_map(|object| self.statuses.problems.get(object));
        let problems = known.flat_map(|known| known.problems.iter());
        problems.take(PROBLEMS).cloned().collect()
    }
}

fn ports(source: &ClusterSource) -> Vec<(NamespacedName, u16)> {
    let ports: Vec<_> = match source {
        ClusterSource::Port(port) => vec![port],
        ClusterSource::Ports(ports) => ports.iter().collect(),
        ClusterSource::Shares(shares) => shares.iter().map(|(port, _)| port).collect(),
        ClusterSource::Name(_) => Vec::new(),
    };
    let ports = ports.into_iter().take(CLUSTERS);
    ports.map(|it| (it.service.clone(), it.port)).collect()
}

/// Adds the first endpoints, and returns how many there are.
fn add_endpoints(input: Input<'_>, source: &ClusterSource, view: &mut ClusterView) -> usize {
    let (assignment, _) = translate::endpoints(input, &view.name, source);
    let localities = assignment.localities.iter();
    let all = localities.flat_map(|(zone, all)| all.iter().map(move |it| (zone, it)));
    let first = all.clone().take(ENDPOINTS);
    view.endpoints.extend(first.map(|(zone, it)| EndpointView {
        address: SocketAddr::new(it.ip, it.port),
        zone: zone.clone(),
        weight: it.weight,
    }));
    all.count()
}
