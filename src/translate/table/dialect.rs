//! What ingress-nginx's annotations do to the routes of others on a host, or to all of it.
//!
//! - A canary brings no path. Its Service takes a part of the requests of the same path, of the same type, of another Ingress of its
//!   namespace; the oldest canary of a path does.
//! - Paths that nobody names are answered by what the oldest Ingress says of them, as if it had the path `/` without a back end:
//!   its redirects lead on, its guards keep out, and what is left is 404.
//! - `app-root` of any Ingress of the oldest namespace leads `/` elsewhere, before all paths.
//! - An entry of `tls` has plain HTTP redirected on all paths of its host, but for those of older namespaces.
//! - Where one of the oldest namespace asks for client certificates, they are asked for by the whole host: as the oldest that asks
//!   has it. Where they can't be, all of its paths are closed. Another Ingress of that namespace that asks for something else has
//!   its own paths closed; where one of another namespace asks, those of its namespace are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::facts::ServedIngress;
use crate::model::{
    Conditions, FieldRef, Filters, Fraction, HeaderModifier, Mirror, PathMatch, PathRewrite,
    Redirect, Route, RouteAction, RouteMatch, Scheme,
};
use crate::objects::{Field, IngressBackend, IngressPath, NamespacedName, PathType, Problem};
use crate::translate::entry::{Entry, Nginx};
use crate::translate::nginx::{self, CanaryBackend, ClientTls, Rewritten, Shown};
use crate::translate::policy::IngressPolicy;
use crate::translate::{backend, reason};

use super::{Asked, Table, paths_of, ranks, service_of};

/// A path as it is written, and its type.
type Written = (Arc<str>, Option<PathType>);

impl<'a> Table<'a> {
    pub(super) fn merge_dialect(
        &mut self,
        ingresses: &[ServedIngress<'a>],
        policies: &[Arc<IngressPolicy>],
    ) {
        let ranks = ranks(ingresses);
        let rank = |ingress: &ServedIngress<'_>| ranks.get(&*ingress.name().namespace).copied();
        let with_tls = ingresses.iter().filter(|ingress| self.has_tls(**ingress));
        self.tls_of = with_tls.filter_map(rank).min();
        let all = || ingresses.iter().copied().zip(policies);
        self.attach_canaries(all().filter(|(_, policy)| policy.is_canary()));
        let mut main = all().filter(|(_, policy)| !policy.is_canary());
        self.app_root = main.clone().find_map(|(ingress, policy)| {
            // What is before all paths of a host is its owner's.
            if rank(&ingress) != Some(0) {
                return None;
            }
            let path = policy.nginx.as_ref()?.app_root.as_ref()?;
            let source = ingress.field(Field::Host(self.host.shared()));
            Some((nginx::to_app_root(path), source))
        });
        let passing = main.clone().find(|(ingress, policy)| {
            let said = policy.nginx.as_deref().filter(|_| rank(ingress) == Some(0));
            said.is_some_and(|said| said.passes_tls)
        });
        // A guard of an older Ingress of the owner's would be passed by as well as its own; of others nobody turns it off.
        let guarding = main.clone().find(|(ingress, policy)| {
            let said = policy.nginx.as_deref().filter(|_| rank(ingress) == Some(0));
            said.is_some_and(|it| it.asks_of_requests().is_some() || it.addresses.is_some())
                && passing.is_some_and(|(passing, _)| passing.name() != ingress.name())
        });
        if let Some((ingress, policy)) = passing {
            self.pass_through(ingress, policy, guarding.map(|(guarding, _)| guarding));
        }
        if let Some((ingress, policy)) = main.next() {
            self.add_implicit(ingress, policy);
        }
        let namespaces = |entry: &Entry<'_>| entry.ingress.name().namespace.clone();
        let mut owners = self.entries.iter().map(namespaces);
        let first = owners.next();
        if owners.all(|owner| Some(owner) == first) {
            for entry in self.entries.iter_mut() {
                entry.nginx.is_by_length = entry.policy.nginx.is_some();
            }
        }
    }

    /// The path that every host has with ingress-nginx.
    fn add_implicit(&mut self, ingress: ServedIngress<'a>, policy: &Arc<IngressPolicy>) {
        let root = PathMatch::PathPrefix("/".into());
        let Some(nginx) = policy.nginx.as_ref() else {
            return;
        };
        if self.host.is_any() || !self.is_named || self.taken.contains_key(&root) {
            return;
        }
        let action = match nginx::rewrite("/", &root, nginx) {
            Ok(Some(Rewritten::Elsewhere(redirect))) => RouteAction::Redirect(redirect),
            _ => RouteAction::status(404),
        };
        self.entries.push(Entry {
            path: root,
            is_default: true,
            owner: 0,
            policy: policy.clone(),
            ingress,
            field: Field::Host(self.host.shared()),
            action,
            nginx: Nginx {
                written: "/".into(),
                ..Nginx::default()
            },
        });
    }

    /// Leads paths to the same with a slash at their end, where nobody has them.
    pub(super) fn lead_to_slashes(
        &mut self,
        ingress: ServedIngress<'a>,
        policy: &Arc<IngressPolicy>,
    ) {
        let Some(said) = policy.nginx.as_deref() else {
            return;
        };
        let is_spread = self.spread.contains(&ingress.name().namespace) && said.is_strict();
        for (field, path) in paths_of(self.input, ingress, &self.host).1 {
            let Ok(PathMatch::PathPrefix(bare)) = nginx::path_match(path, said, is_spread) else {
                continue;
            };
            let slashed = Arc::from(format!("{bare}/"));
            let owner = self
                .taken
                .get(&PathMatch::StringPrefix(Arc::clone(&slashed)));
            if nginx::is_slashed(path) && owner.is_some_and(|it| it.name() == ingress.name()) {
                self.lead_to_slash(ingress, policy, &field, [bare, slashed]);
            }
        }
    }

    fn lead_to_slash(
        &mut self,
        ingress: ServedIngress<'a>,
        policy: &Arc<IngressPolicy>,
        field: &Field,
        [bare, slashed]: [Arc<str>; 2],
    ) {
        let bare = PathMatch::Exact(bare);
        if self.taken.contains_key(&bare) {
            return;
        }
        self.taken.insert(bare.clone(), ingress);
        self.entries.push(Entry {
            path: bare,
            is_default: false,
            owner: 0,
            policy: policy.clone(),
            ingress,
            field: field.clone(),
            action: RouteAction::Redirect(Redirect {
                path: Some(PathRewrite::ReplaceFullPath(Arc::clone(&slashed))),
                status: 301,
                ..Redirect::default()
            }),
            nginx: Nginx {
                written: slashed,
                ..Nginx::default()
            },
        });
    }

    fn attach_canaries<'b>(
        &mut self,
        canaries: impl Iterator<Item = (ServedIngress<'a>, &'b Arc<IngressPolicy>)>,
    ) {
        // By what is written: what the Ingress of a path makes of it, and its canary does not, is no matter.
        let mut places: Option<BTreeMap<Written, usize>> = None;
        for (ingress, policy) in canaries {
            let places = places.get_or_insert_with(|| {
                let entries = self.entries.iter().enumerate();
                let mut places = BTreeMap::new();
                for (at, entry) in entries {
                    let written = (entry.nginx.written.clone(), entry.nginx.path_type);
                    places.entry(written).or_insert(at);
                }
                places
            });
            for (field, path) in paths_of(self.input, ingress, &self.host).1 {
                let place = places.get(&(path.path.clone(), Some(path.path_type)));
                let place = place.copied();
                self.attach(ingress, policy, (field, path), place);
            }
        }
    }

    fn attach(
        &mut self,
        ingress: ServedIngress<'a>,
        policy: &Arc<IngressPolicy>,
        (field, path): (Field, &IngressPath),
        place: Option<usize>,
    ) {
        let main = place.and_then(|place| self.entries.get(place));
        let why = match main {
            None => Some("no other Ingress has this path with this type".to_owned()),
            Some(main) => {
                let of = main.ingress.name();
                if main.policy.nginx.is_none() || of.namespace != ingress.name().namespace {
                    Some(format!(
                        "Ingress {of} has the path, in another namespace or of another class"
                    ))
                } else if main.nginx.canary.is_some() {
                    Some(format!("the path of Ingress {of} has an older canary"))
                } else {
                    None
                }
            }
        };
        if let Some(why) = why {
            let message = format!(
                "the canary for path {:?} of host {} gets no requests: {why}",
                path.path, self.host
            );
            self.report(ingress, field, reason::PATH_CONFLICT, message);
            return;
        }
        let (Some(place), Some(main)) = (place, main) else {
            return;
        };
        let main = main.policy.clone();
        let Some(resolved) = self.resolve(ingress, &main, &field, &path.backend) else {
            return;
        };
        // As with ingress-nginx: where nobody is there for the one, the other answers all of it; and nobody is there for the path
        // where its own Service has no endpoint.
        let said = main.nginx.as_deref();
        let by_address = said.is_some_and(|said| said.upstream.is_by_service_address());
        let is_main_there = match self.entries.get(place).map(|entry| &entry.action) {
            Some(RouteAction::Forward(to)) => {
                let mut backends = to.backends.iter();
                backends.all(|backend| self.is_cluster_ready(&backend.cluster))
            }
            _ => true,
        };
        let are_there = is_main_there && self.is_ready(&resolved.port);
        if !by_address && !are_there {
            return;
        }
        let by_tls = said.and_then(|said| self.by_tls(ingress, said, &path.backend));
        let canary = policy.nginx.as_ref().and_then(|it| it.canary.clone());
        if let (Some(canary), Some(entry)) = (canary, self.entries.get_mut(place)) {
            entry.nginx.canary = Some(CanaryBackend {
                cluster: resolved.cluster,
                by_tls,
                service: service_of(&path.backend),
                canary,
            });
        }
    }

    /// The cluster of requests by TLS, where that is another one than that of those in clear.
    pub(super) fn by_tls(
        &mut self,
        ingress: ServedIngress<'_>,
        nginx: &nginx::Policy,
        backend: &IngressBackend,
    ) -> Option<Arc<str>> {
        if !nginx.upstream.is_by_scheme() {
            return None;
        }
        let namespace = &ingress.name().namespace;
        let shown = self.shown(ingress, nginx)?;
        let change = |base| nginx.upstream.settings(base, true, shown);
        // What is wrong with it is told already.
        let resolved = backend::resolve_with(self.input, namespace, backend, change).ok()?;
        self.clusters
            .insert(resolved.cluster.clone(), resolved.port);
        Some(resolved.cluster)
    }

    /// Puts in who gets copies.
    pub(super) fn mirror(
        &mut self,
        ingress: ServedIngress<'_>,
        nginx: &nginx::Policy,
        action: &mut RouteAction,
    ) {
        let (RouteAction::Forward(forward), Some(target)) = (action, &nginx.mirror) else {
            return;
        };
        let namespace = &ingress.name().namespace;
        let change = |base| target.settings(base);
        match backend::resolve_with(self.input, namespace, &target.backend(), change) {
            Ok(resolved) => {
                self.clusters
                    .insert(resolved.cluster.clone(), resolved.port);
                let options = forward.options.get_or_insert_default();
                options.mirrors.push(Mirror {
                    cluster: resolved.cluster,
                    fraction: Fraction::ALL,
                });
            }
            Err((reason, message)) => {
                let key = format!("{}mirror-target", nginx::PREFIX);
                let message = format!("annotation {key} has no effect: {message}");
                self.report(ingress, Field::Annotation(key.into()), reason, message);
            }
        }
    }

    /// Puts in the path that the back end sees, or the redirect that stands in its place.
    pub(super) fn rewrite(
        &mut self,
        ingress: ServedIngress<'_>,
        (field, matched, written): (&Field, &PathMatch, &str),
        nginx: &nginx::Policy,
        action: &mut RouteAction,
    ) {
        let RouteAction::Forward(forward) = action else {
            return;
        };
        match nginx::rewrite(written, matched, nginx) {
            Ok(None) => {}
            Ok(Some(Rewritten::Path(rewrite))) => forward.rewrite = Some(rewrite),
            Ok(Some(Rewritten::Elsewhere(redirect))) => *action = RouteAction::Redirect(redirect),
            Err(why) => {
                let message = format!(
                    "annotation {}rewrite-target is ignored for path {written:?} of host {}: {why}",
                    nginx::PREFIX,
                    self.host
                );
                self.report(
                    ingress,
                    field.clone(),
                    reason::ANNOTATION_NOT_VALID,
                    message,
                );
            }
        }
    }

    /// What the back ends of an Ingress are shown by TLS; none where they may not be sent anything.
    pub(super) fn shown(
        &mut self,
        ingress: ServedIngress<'_>,
        nginx: &nginx::Policy,
    ) -> Option<Shown> {
        let Some(tls) = &nginx.upstream.tls else {
            return Some(Shown::default());
        };
        if let Some(shown) = self.shown.get(ingress.name()) {
            return *shown;
        }
        let shown = match tls.check(self.input) {
            Ok(shown) => Some(shown),
            Err(why) => {
                self.report_closed(ingress, "proxy-ssl-secret", &why);
                None
            }
        };
        self.shown.insert(ingress.name().clone(), shown);
        shown
    }

    pub(super) fn report_closed(&mut self, ingress: ServedIngress<'_>, name: &str, why: &str) {
        let key = format!("{}{name}", nginx::PREFIX);
        let message = format!(
            "the routes of host {} are closed (503): annotation {key} guards them, and {why}",
            self.host
        );
        let field = Field::Annotation(key.into());
        self.report(ingress, field, reason::ROUTE_CLOSED, message);
    }

    /// Asks clients of the host for certificates, where an Ingress of its oldest namespace does: the oldest that does decides for all
    /// of the host. Where that can't be, closes its paths. What others ask besides can't be: their own paths are closed.
    pub(super) fn guard_hosts(
        &mut self,
        ingresses: &[ServedIngress<'a>],
        policies: &[Arc<IngressPolicy>],
    ) {
        if policies.iter().all(|policy| policy.nginx.is_none()) {
            return;
        }
        let ranks = ranks(ingresses);
        let all = ingresses.iter().copied().zip(policies);
        let asking = all.filter_map(|(by, policy)| {
            let nginx = policy.nginx.as_deref().filter(|it| it.canary.is_none())?;
            // None where what it asks can't be, which is told already.
            let clients = nginx.clients.as_ref().filter(|_| !nginx.closes_hosts);
            let rank = ranks.get(&*by.name().namespace).copied()?;
            (nginx.closes_hosts || clients.is_some()).then_some((rank, by, clients))
        });
        let (of_owner, of_others): (Vec<_>, Vec<_>) = asking.partition(|(rank, ..)| *rank == 0);
        // By rank, and by name: whose paths are closed.
        let mut namespaces: BTreeMap<usize, ServedIngress<'a>> = BTreeMap::new();
        let mut single: BTreeSet<&NamespacedName> = BTreeSet::new();
        if let Some((first, others)) = of_owner.split_first() {
            let (_, by, asked) = *first;
            match self.ask_clients(by, asked) {
                None => drop(namespaces.insert(0, by)),
                Some(chosen) => {
                    for (_, other, asked) in others {
                        if asked.is_some_and(|it| !self.is_asked_of_all(*other, it, (by, chosen))) {
                            single.insert(other.name());
                        }
                    }
                }
            }
        }
        for (rank, by, asked) in of_others {
            if asked.is_some() {
                let why = "the host belongs to an older namespace";
                self.report_closed(by, "auth-tls-secret", why);
            }
            namespaces.entry(rank).or_insert(by);
        }
        self.close_paths(&namespaces, &single);
    }

    /// Asks clients for what an Ingress of the owner asks; none where that can't be.
    fn ask_clients<'b>(
        &mut self,
        by: ServedIngress<'_>,
        asked: Option<&'b ClientTls>,
    ) -> Option<&'b ClientTls> {
        let asked = asked?;
        match asked.certificates(self.input) {
            Err(why) => {
                self.report_closed(by, "auth-tls-secret", &why);
                None
            }
            Ok(certificates) => {
                self.clients = Some(Box::new(certificates));
                let clients = Arc::new(asked.clone());
                for entry in &mut self.entries {
                    entry.nginx.clients = Some(clients.clone());
                    // Of another class: nobody asks there for a subject.
                    entry.nginx.is_closed |=
                        asked.subject.is_some() && entry.policy.nginx.is_none();
                }
                self.asks_on_routes = asked.subject.is_some() || asked.to_error_page().is_some();
                self.error_page = asked.to_error_page().map(|(action, headers)| Route {
                    matches: RouteMatch::path(PathMatch::PathPrefix("/".into())).and(Conditions {
                        without_certificate: true,
                        ..Conditions::default()
                    }),
                    action,
                    request_headers: HeaderModifier::default(),
                    response_headers: HeaderModifier::default(),
                    filters: Some(Box::new(Filters {
                        response_headers: headers.into_iter().collect(),
                        ..Filters::default()
                    })),
                    source: by.field(Field::Host(self.host.shared())),
                });
                Some(asked)
            }
        }
    }

    /// Whether what an Ingress asks is what all clients of the host are asked. What differs is told.
    fn is_asked_of_all(
        &mut self,
        ingress: ServedIngress<'_>,
        asked: &ClientTls,
        (by, chosen): (ServedIngress<'_>, &ClientTls),
    ) -> bool {
        let of = by.name();
        if !asked.asks_the_same(chosen) {
            let why = format!("Ingress {of} asks clients of the host for something else");
            self.report_closed(ingress, "auth-tls-secret", &why);
            return false;
        }
        if asked != chosen {
            let key = format!("{}auth-tls-pass-certificate-to-upstream", nginx::PREFIX);
            let message = format!(
                "annotation {key} has no effect on host {}: Ingress {of} decides for all of it",
                self.host
            );
            let field = Field::Annotation(key.into());
            self.report(ingress, field, reason::HOST_CONFLICT, message);
        }
        true
    }

    /// Closes the paths that others take over, where clients here have to show what theirs do not.
    pub fn close_copies(&mut self) {
        let is_required = self.clients.as_ref().is_some_and(|it| it.is_required);
        if is_required || self.error_page.is_some() {
            for entry in &mut self.entries {
                entry.nginx.is_closed = true;
            }
        }
    }

    /// Closes the paths of namespaces, by their rank, of which an Ingress asks clients for what they can't be asked, and those of
    /// single Ingresses. What the oldest namespace asks is asked for all of the host.
    fn close_paths(
        &mut self,
        namespaces: &BTreeMap<usize, ServedIngress<'a>>,
        single: &BTreeSet<&NamespacedName>,
    ) {
        self.is_closed = namespaces.contains_key(&0);
        if self.is_closed {
            self.app_root = None;
        }
        let mut told: Vec<(FieldRef, &NamespacedName)> = Vec::new();
        for entry in &mut self.entries {
            if entry.policy.nginx.is_none() {
                continue;
            }
            let by = namespaces.get(&0).or_else(|| namespaces.get(&entry.owner));
            entry.nginx.is_closed |= by.is_some() || single.contains(entry.ingress.name());
            let Some(by) = by.filter(|by| by.name() != entry.ingress.name()) else {
                continue;
            };
            let source = entry.ingress.field(Field::Host(self.host.shared()));
            if told.last().is_none_or(|(last, _)| *last != source) {
                told.push((source, by.name()));
            }
        }
        for (source, by) in told {
            let message = format!(
                "the routes of host {} are closed (503): Ingress {by} asks for client certificates, which hold for all of a host",
                self.host
            );
            self.problems
                .push(Problem::new(source, reason::ROUTE_CLOSED, message));
        }
    }

    /// The route that leads clients to a page that show no good certificate.
    pub(super) fn to_error_page(&self, asked: Asked) -> Option<Route> {
        let mut route = self.error_page.clone().filter(|_| asked != Asked::ByHttp)?;
        route.matches.scheme = (asked == Asked::IsTold).then_some(Scheme::Https);
        Some(route)
    }

    /// The route that leads `/` elsewhere.
    pub(super) fn to_app_root(&self) -> Option<Route> {
        let (redirect, source) = self.app_root.as_ref()?;
        let root = RouteMatch::path(PathMatch::Exact("/".into()));
        let action = RouteAction::Redirect(redirect.clone());
        Some(Route::plain(root, action, source.clone()))
    }
}
