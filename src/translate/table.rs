//! The routes of one host while they are gathered from the Ingresses that name it: who has which path, in which order they
//! are tried, and who is told of what.

mod authentication;
mod dialect;
mod passthrough;
mod substitute;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::facts::ServedIngress;
use crate::model::{
    AddressRules, ClientCertificates, FieldRef, Forward, Host, PathMatch, PathRewrite, Redirect,
    Route, RouteAction, Scheme, VirtualHost, WeightedCluster,
};
use crate::objects::{
    Field, IngressBackend, IngressPath, IngressRule, NamespacedName, PathType, Problem, as_place,
};

use super::backend::ResolvedBackend;
use super::entry::{Entry, Nginx};
use super::nginx::Shown;
use super::order::{self, Deferred};
use super::policy::IngressPolicy;
use super::reading::Reading;
use super::{ClusterSource, Input, Passthrough, backend, nginx, path, reason};

/// By which scheme the requests of a table were asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    ByHttp,
    ByHttps,
    /// Each request says.
    IsTold,
}

/// The routes of one host while they are gathered.
pub struct Table<'a> {
    input: Input<'a>,
    host: Host,
    /// The name by which it is served, where that is another one.
    alias: Option<Host>,
    /// The namespaces of which an Ingress has all paths of the host be expressions, where it is strict.
    spread: BTreeSet<Arc<str>>,
    /// Whether a rule, or a default backend, brings the host into being: TLS alone does not.
    pub is_named: bool,
    entries: Vec<Entry<'a>>,
    /// Who has a path, for the message to the one who comes too late.
    taken: BTreeMap<PathMatch, ServedIngress<'a>>,
    /// The rank of the oldest namespace of which an entry of `tls` is about the host, where a dialect wants to know. It is to
    /// those of younger ones too, and not to older ones.
    tls_of: Option<usize>,
    /// Where `/` leads, before all paths.
    app_root: Option<(Redirect, FieldRef)>,
    /// Whether its oldest namespace asks clients for what they can't be asked: then nothing is served here, be it taken over from
    /// another host.
    pub is_closed: bool,
    /// Whether what clients have to show is asked on each of its routes, so that none that is taken over has it.
    pub asks_on_routes: bool,
    /// What clients have to show by TLS.
    pub clients: Option<Box<ClientCertificates>>,
    /// Where its connections by TLS go as they are, and from which addresses they are taken.
    pub passthrough: Option<(Passthrough, Option<AddressRules>)>,
    /// What clients are answered by TLS, before all paths, that have shown no good one.
    error_page: Option<Route>,
    pub clusters: BTreeMap<Arc<str>, ClusterSource>,
    /// What back ends of an Ingress are shown by TLS, for all of its paths.
    shown: BTreeMap<NamespacedName, Option<Shown>>,
    pub problems: Vec<Problem>,
}

impl<'a> Table<'a> {
    pub fn new(input: Input<'a>, host: &Host) -> Self {
        Self {
            input,
            host: host.clone(),
            alias: None,
            spread: BTreeSet::new(),
            is_named: false,
            entries: Vec::new(),
            taken: BTreeMap::new(),
            tls_of: None,
            app_root: None,
            is_closed: false,
            asks_on_routes: false,
            clients: None,
            passthrough: None,
            error_page: None,
            clusters: BTreeMap::new(),
            shown: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// The same, served by another name.
    pub fn served_as(mut self, name: &Host) -> Self {
        self.alias = Some(name.clone());
        self
    }

    /// The name by which it is served.
    pub fn name(&self) -> &Host {
        self.alias.as_ref().unwrap_or(&self.host)
    }

    /// Adds what Ingresses, oldest first, say of the host.
    pub fn merge(&mut self, ingresses: &[ServedIngress<'a>]) {
        let policies: Vec<_> = ingresses
            .iter()
            .map(|ingress| Reading::of(self.input, *ingress).policy.clone())
            .collect();
        // A canary brings no path and no host.
        let merged = || {
            let all = ingresses.iter().copied().zip(&policies);
            all.filter(|(_, policy)| !policy.is_canary())
        };
        let strict = merged().filter(|(_, policy)| {
            let nginx = policy.nginx.as_ref();
            nginx.is_some_and(|nginx| nginx.is_strict())
        });
        for (ingress, policy) in strict {
            let paths = paths_of(self.input, ingress, &self.host).1;
            let paths = paths.into_iter().map(|(_, path)| path);
            if policy
                .nginx
                .as_ref()
                .is_some_and(|it| nginx::spreads(it, paths))
            {
                self.spread.insert(ingress.name().namespace.clone());
            }
        }
        for (ingress, policy) in merged() {
            let (is_named, paths) = paths_of(self.input, ingress, &self.host);
            self.is_named |= is_named;
            for (field, path) in paths {
                self.add_path(ingress, policy, field, path);
            }
        }
        // Whoever has such a path itself has come by now.
        for (ingress, policy) in merged() {
            if policy.nginx.as_ref().is_some_and(|it| it.is_strict()) {
                self.lead_to_slashes(ingress, policy);
            }
        }
        // Default backends last, so that no default of an older Ingress hides a path of a younger one.
        // With ingress-nginx one beside rules for hosts is not for hosts that nobody names.
        let is_of_hosts = |ingress: ServedIngress<'_>, policy: &IngressPolicy| {
            self.host.is_any() && policy.nginx.is_some() && ingress.has_ruled_host()
        };
        let defaults: Vec<_> = merged()
            .filter(|(ingress, policy)| !is_of_hosts(*ingress, policy))
            .collect();
        for (ingress, policy) in defaults {
            if let Some(backend) = ingress.default_backend() {
                self.is_named = true;
                self.add_default(ingress, policy, backend);
            }
        }
        if policies.iter().any(|policy| policy.nginx.is_some()) {
            self.merge_dialect(ingresses, &policies);
        }
        self.rank_owners(ingresses);
        self.guard_hosts(ingresses, &policies);
        self.authenticate(ingresses, &policies);
        let deferred = order::arrange(&mut self.entries);
        self.report_deferred(&deferred);
    }

    /// Namespaces by the oldest Ingress of each, which is the first in the order of age.
    fn rank_owners(&mut self, ingresses: &[ServedIngress<'a>]) {
        let ranks = ranks(ingresses);
        for entry in &mut self.entries {
            let namespace = &*entry.ingress.name().namespace;
            entry.owner = ranks.get(namespace).copied().unwrap_or_default();
        }
    }

    /// Both sides hear of an expression that waits for the paths of an older owner: each Ingress once on each side,
    /// however many expressions or paths it has.
    fn report_deferred(&mut self, deferred: &[Deferred]) {
        let (mut told, mut told_older) = (BTreeSet::new(), BTreeSet::new());
        for deferred in deferred {
            let (Some(expression), Some(after)) = (
                self.entries.get(deferred.expression),
                self.entries.get(deferred.after),
            ) else {
                continue;
            };
            let (younger, older) = (expression.ingress, after.ingress);
            let fields = (&expression.field, &after.field);
            let (expression, after) = (expression.path.text(), after.path.text());
            if told.insert(younger.name()) {
                let message = format!(
                    "the regular expression {expression:?} of host {} takes only what path {after:?} of Ingress {}, whose namespace named the host first, leaves to it; so do its other expressions",
                    self.host,
                    older.name()
                );
                let source = younger.field(fields.0.clone());
                let problem = Problem::new(source, reason::PATH_DEFERRED, message);
                self.problems.push(problem);
            }
            if told_older.insert(older.name()) {
                let message = format!(
                    "host {} is shared with Ingress {} of another namespace, whose regular expression {expression:?} takes only what path {after:?} leaves to it",
                    self.host,
                    younger.name()
                );
                let source = older.field(fields.1.clone());
                let problem = Problem::new(source, reason::PATH_DEFERRED, message);
                self.problems.push(problem);
            }
        }
    }

    fn add_path(
        &mut self,
        ingress: ServedIngress<'a>,
        policy: &Arc<IngressPolicy>,
        field: Field,
        path: &IngressPath,
    ) {
        let matched = match &policy.nginx {
            None => path::path_match(path),
            Some(nginx) => {
                let is_spread = self.spread.contains(&ingress.name().namespace);
                nginx::path_match(path, nginx, is_spread && nginx.is_strict())
            }
        };
        let matched = match matched {
            Ok(matched) => matched,
            Err(why) => {
                let message = format!(
                    "path {:?} of host {} is left out: {why}",
                    path.path, self.host
                );
                self.report(ingress, field, reason::PATH_NOT_VALID, message);
                return;
            }
        };
        let is_strict = policy.nginx.as_ref().is_some_and(|it| it.is_strict());
        // In the form that requests have: what is written may be spelt in another way, or be no value of a header.
        let matched = match matched {
            PathMatch::PathPrefix(text) if is_strict && nginx::is_slashed(path) => {
                PathMatch::StringPrefix(format!("{text}/").into())
            }
            matched => matched,
        };
        if let Some(winner) = self.taker(&matched, ingress) {
            let message = format!(
                "path {:?} ({:?}) of host {} is already served by Ingress {}",
                path.path,
                path.path_type,
                self.host,
                winner.name()
            );
            self.report(ingress, field, reason::PATH_CONFLICT, message);
            return;
        }
        self.taken.insert(matched.clone(), ingress);
        let written = (&path.path, path.path_type);
        self.push(ingress, policy, (field, matched, written), &path.backend);
    }

    /// The Ingress that has the path already. In another namespace also one that has the same text with a wider type: the
    /// narrower path would be tried first, and take nearly all of its requests.
    fn taker(&self, path: &PathMatch, ingress: ServedIngress<'_>) -> Option<ServedIngress<'a>> {
        let namespace = &ingress.name().namespace;
        let is_of_others = |winner: &ServedIngress<'a>| winner.name().namespace != *namespace;
        let wider = || {
            let mut paths = order::wider(path);
            paths.find_map(|path| self.taken.get(&path).copied().filter(is_of_others))
        };
        self.taken.get(path).copied().or_else(wider)
    }

    fn add_default(
        &mut self,
        ingress: ServedIngress<'a>,
        policy: &Arc<IngressPolicy>,
        backend: &IngressBackend,
    ) {
        let root = PathMatch::PathPrefix("/".into());
        // A rule for `/` of the same Ingress is no conflict, it is what its owner wrote.
        match self.taken.get(&root) {
            None => {
                self.taken.insert(root.clone(), ingress);
                let written = (&"/".into(), PathType::Prefix);
                let place = (Field::DefaultBackend, root, written);
                self.push(ingress, policy, place, backend);
            }
            Some(winner) if winner.name() == ingress.name() => {}
            Some(winner) => {
                let message = format!(
                    "the default backend is not used for host {}, where Ingress {} serves every path",
                    self.host,
                    winner.name()
                );
                self.report(
                    ingress,
                    Field::DefaultBackend,
                    reason::PATH_CONFLICT,
                    message,
                );
            }
        }
    }

    fn push(
        &mut self,
        ingress: ServedIngress<'a>,
        policy: &Arc<IngressPolicy>,
        (field, path, (written, path_type)): (Field, PathMatch, (&Arc<str>, PathType)),
        backend: &IngressBackend,
    ) {
        let is_acme = path::is_acme_challenge(&path);
        let substitute = self.substitute(ingress, policy, (&field, backend));
        let (instead, told) = substitute.instead.unzip();
        let backend = instead.as_ref().unwrap_or(backend);
        let mut action = match &policy.redirect {
            Some(redirect) if !is_acme => RouteAction::Redirect(redirect.clone()),
            _ => self.forward(ingress, policy, (&field, &path), is_acme, backend),
        };
        let mut nginx = Nginx {
            written: written.clone(),
            path_type: Some(path_type),
            told: told.unwrap_or_default(),
            pages: substitute.pages,
            ..Nginx::default()
        };
        if let Some(said) = &policy.nginx {
            nginx.by_tls = self.by_tls(ingress, said, backend);
            nginx.host = said.upstream.host(&ingress.name().namespace, backend);
            self.mirror(ingress, said, &mut action);
            self.rewrite(ingress, (&field, &path, written), said, &mut action);
        }
        self.entries.push(Entry {
            path,
            is_default: field == Field::DefaultBackend,
            owner: 0,
            policy: policy.clone(),
            ingress,
            field,
            action,
            nginx,
        });
    }

    /// The cluster of a back end. What keeps it from being one is told.
    fn resolve(
        &mut self,
        ingress: ServedIngress<'_>,
        policy: &IngressPolicy,
        field: &Field,
        backend: &IngressBackend,
    ) -> Option<ResolvedBackend> {
        let namespace = &ingress.name().namespace;
        let resolved = match &policy.nginx {
            None => backend::resolve(self.input, namespace, backend),
            Some(nginx) => {
                let shown = self.shown(ingress, nginx)?;
                backend::resolve_with(self.input, namespace, backend, |base| {
                    nginx.upstream.settings(base, false, shown)
                })
            }
        };
        match resolved {
            Ok(resolved) => {
                self.clusters
                    .insert(resolved.cluster.clone(), resolved.port.clone());
                Some(resolved)
            }
            Err((reason, message)) => {
                self.report(ingress, field.clone(), reason, message);
                None
            }
        }
    }

    fn forward(
        &mut self,
        ingress: ServedIngress<'_>,
        policy: &IngressPolicy,
        (field, path): (&Field, &PathMatch),
        is_acme: bool,
        backend: &IngressBackend,
    ) -> RouteAction {
        let resolved = self.resolve(ingress, policy, field, backend);
        let hash_source_ip = resolved.as_ref().is_some_and(|it| it.hash_source_ip);
        let backends = resolved.map(|it| WeightedCluster::new(it.cluster, 1));
        let rewrite = policy.rewrite_prefix.clone().filter(|_| !is_acme);
        RouteAction::Forward(Forward {
            backends: backends.into_iter().collect(),
            service: service_of(backend),
            timeout: policy.timeout,
            retry: policy.retry.clone().map(Box::new),
            rewrite: rewrite.and_then(|prefix| match path {
                PathMatch::Exact(_) => Some(PathRewrite::ReplaceFullPath(prefix)),
                PathMatch::PathPrefix(_) | PathMatch::StringPrefix(_) => {
                    Some(PathRewrite::ReplacePrefix(prefix))
                }
                // There is no prefix to replace; the object's own problems say so.
                PathMatch::Regex(_) | PathMatch::RegexPrefix(_) | PathMatch::Connect => None,
            }),
            options: hash_source_ip.then(|| Box::new(backend::by_source_ip())),
        })
    }

    pub fn virtual_host(&self, listener: Asked) -> VirtualHost {
        let https_port = self.input.options.https_port;
        let asked = match self.input.options.scheme_is_told {
            true => Asked::IsTold,
            false => listener,
        };
        let clients = self.clients.as_ref().filter(|_| asked != Asked::ByHttp);
        let client_check = clients.and_then(|clients| clients.check());
        let entries = self.entries.iter();
        if asked != Asked::ByHttps
            && self.app_root.is_none()
            && let Some(first) = self.entries.first()
            && entries.clone().all(Entry::only_redirects_http)
        {
            let source = first.source();
            let mut host = VirtualHost::https_redirect(self.name().clone(), source, https_port);
            if asked == Asked::IsTold {
                for route in &mut host.routes {
                    route.matches.scheme = Some(Scheme::Http);
                }
                host.routes.extend(entries.flat_map(Entry::by_tls));
                host.routes.splice(..0, self.to_error_page(asked));
                host.client_check = client_check;
            }
            return host;
        }
        let mut routes: Vec<Route> = match asked {
            Asked::ByHttps => entries.flat_map(Entry::by_tls).collect(),
            Asked::ByHttp => {
                // What no route takes is 404 anyway.
                let end = entries.clone().rposition(|entry| !entry.is_closed());
                entries
                    .take(end.map_or(0, |at| at + 1))
                    .flat_map(|entry| entry.by_http(self.name(), self.tls_of, https_port))
                    .collect()
            }
            Asked::IsTold => entries
                .flat_map(|entry| {
                    let is_other = entry.policy.nginx.is_some();
                    let in_clear = match is_other {
                        true => entry.by_http(self.name(), self.tls_of, https_port),
                        false => entry.in_clear(https_port).into_iter().collect(),
                    };
                    let in_clear = in_clear.into_iter().map(|mut route| {
                        route.matches.scheme = Some(Scheme::Http);
                        route
                    });
                    in_clear.chain(entry.by_tls())
                })
                .collect(),
        };
        routes.splice(..0, self.to_app_root());
        routes.splice(..0, self.to_error_page(asked));
        VirtualHost {
            host: self.name().clone(),
            routes,
            client_check,
            filters: None,
        }
    }

    /// `force-ssl-redirect` is obeyed without a certificate too: whoever asks for it does not want to be served in
    /// clear because a Secret is gone. A Secret that is named and not there is told already; that none is named is
    /// told here.
    pub fn report_redirects_to_nowhere(&self, problems: &mut Vec<Problem>) {
        // A redirect keeps the host of the request, and of those that nobody names any could have a certificate.
        if self.host.is_any() {
            return;
        }
        let redirecting: BTreeMap<_, _> = self
            .entries
            .iter()
            .filter(|entry| entry.only_redirects_http())
            .map(|entry| (entry.ingress.name(), entry.ingress))
            .collect();
        for ingress in redirecting.into_values() {
            if !self.has_tls(ingress) {
                let message = format!(
                    "host {} is redirected to HTTPS, where it has no certificate: no entry of spec.tls is about it",
                    self.host
                );
                let field = Field::Annotation("ingress.kubernetes.io/force-ssl-redirect".into());
                let source = ingress.field(field);
                problems.push(Problem::new(source, reason::HTTPS_NOT_SERVED, message));
            }
        }
    }

    /// Whether an entry of `tls` is about the host: one names it, or one names none and a rule does.
    fn has_tls(&self, ingress: ServedIngress<'_>) -> bool {
        !ingress.tls_naming(&self.host).is_empty()
            || (ingress.is_ruled(&self.host) && Reading::of(self.input, ingress).has_tls_of_rules)
    }

    fn report(
        &mut self,
        ingress: ServedIngress<'_>,
        field: Field,
        reason: &'static str,
        message: String,
    ) {
        let problem = Problem::new(ingress.field(field), reason, message);
        self.problems.push(problem);
    }
}

/// The namespaces that name a host, each with its rank by age.
fn ranks<'a>(ingresses: &[ServedIngress<'a>]) -> BTreeMap<&'a str, usize> {
    let mut ranks: BTreeMap<&str, usize> = BTreeMap::new();
    for ingress in ingresses {
        let rank = ranks.len();
        ranks.entry(&ingress.name().namespace).or_insert(rank);
    }
    ranks
}

/// The Service that a back end names.
fn service_of(backend: &IngressBackend) -> Option<Arc<str>> {
    match backend {
        IngressBackend::Service { name, .. } => Some(name.clone()),
        IngressBackend::Resource { .. } | IngressBackend::Missing => None,
    }
}

/// The paths that an Ingress brings to a host, each with its field, and whether a rule of its names the host.
pub fn paths_of<'a>(
    input: Input<'a>,
    ingress: ServedIngress<'a>,
    host: &Host,
) -> (bool, Vec<(Field, &'a IngressPath)>) {
    let name = (!host.is_any()).then(|| host.as_str());
    let mut rules = ingress.rules(name).peekable();
    if host.is_any() || rules.peek().is_some() {
        let is_named = rules.peek().is_some();
        return (is_named, paths_in(rules));
    }
    // A host under `tls` only.
    let hostless = ingress.rules(None);
    let paths = paths_in(hostless);
    let is_named = !paths.is_empty();
    // That it would be too much is told once for the object, not by each of its hosts.
    if is_named && !input.affords_hostless(ingress.name()) {
        return (false, Vec::new());
    }
    (is_named, paths)
}

/// The paths of the rules for one host.
fn paths_in<'a>(rules: impl Iterator<Item = &'a IngressRule>) -> Vec<(Field, &'a IngressPath)> {
    let of_rule = |(at, rule): (usize, &'a IngressRule)| {
        let paths = rule.paths.iter().enumerate();
        paths.map(move |(path, said)| {
            let field = Field::Path {
                host: rule.host.clone(),
                rule: as_place(at),
                path: as_place(path),
            };
            (field, said)
        })
    };
    rules.enumerate().flat_map(of_rule).collect()
}

/// Whether a path of this type has a prefix that `isobath.dev/rewrite-prefix` can replace.
pub fn can_rewrite(path: &IngressPath) -> bool {
    path.path_type != PathType::ImplementationSpecific
        || !matches!(path::path_match(path), Ok(PathMatch::Regex(_)) | Err(_))
}
