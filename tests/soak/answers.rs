//! What objects come to for a request, by our own model: a small matcher that a real Envoy is held to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use isobath::facts::{Changes, ClassSelection, Log, Store};
use isobath::model::{
    Claimable, Front, HeaderModifier, Host, PathMatch, Route, RouteAction, TlsServer, VirtualHost,
};
use isobath::objects::{Event, Object, ObjectRef};
use isobath::translate::{HostOwnership, HostUnit, Input, Languages, Memo, Options};

use crate::tenant::EXPRESSIONS;

pub const HOSTS: [&str; 6] = [
    "a.test",
    "x.a.test",
    "y.a.test",
    "z.test",
    "deep.x.a.test",
    "other.example",
];
pub const PATHS: [&str; 11] = [
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/a/b/c",
    "/ab",
    "/b/b",
    "/zzz",
    "/.well-known/acme-challenge",
    "/.well-known/acme-challenge/t",
    "/.well-known/acme-challenge/u",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    pub tls: bool,
    pub host: &'static str,
    pub path: &'static str,
}

pub fn questions() -> impl Iterator<Item = Question> {
    [false, true].into_iter().flat_map(|tls| {
        HOSTS.into_iter().flat_map(move |host| {
            PATHS
                .into_iter()
                .map(move |path| Question { tls, host, path })
        })
    })
}

/// What objects come to.
pub struct Tables(BTreeMap<Host, HostUnit>);

/// How a request fares: on which host's routes, by which certificate, and by which route.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Whose routes they are, those that a host with nothing but a certificate takes over included.
    pub host: Option<&'a Host>,
    /// Whose certificate it is.
    pub certified: Option<&'a Host>,
    pub server: Option<&'a TlsServer>,
    pub route: Option<&'a Route>,
    /// Where no route takes it; 0 is no connection.
    pub status: u16,
}

impl Found<'_> {
    /// All that the client and the back end see.
    pub fn answer(&self) -> String {
        match self.route {
            // An answer of nobody's, be it a route's or for want of one.
            Some(Route {
                action: RouteAction::DirectResponse(answer),
                request_headers,
                response_headers,
                ..
            }) if [request_headers, response_headers]
                .iter()
                .all(|headers| **headers == HeaderModifier::default()) =>
            {
                format!("{:?} DirectResponse({})", self.server, answer.status())
            }
            Some(route) => format!(
                "{:?} {:?} {:?} {:?}",
                self.server, route.action, route.request_headers, route.response_headers
            ),
            None => format!("{:?} DirectResponse({})", self.server, self.status),
        }
    }
}

impl Tables {
    pub fn new(objects: &[Object], host_ownership: HostOwnership) -> Self {
        let mut store = Store::new(ClassSelection {
            names: Arc::default(),
            manifests: true,
        });
        let mut changes = Changes::unread();
        for object in objects {
            store.apply(Event::Apply(object.clone()), &mut changes);
        }
        let options = Options {
            host_ownership,
            ..Options::default()
        };
        let (memo, log) = (Memo::default(), Log::default());
        let languages = Languages::default();
        // Routes claim what their Gateways let them, so those come first.
        let mut hosts: BTreeSet<Host> = store.hosts().cloned().collect();
        let objects: BTreeSet<ObjectRef> = changes.objects.iter().cloned().collect();
        for _ in 0..2 {
            for object in &objects {
                let claims = languages.claims(Input::new(&store, &options, &memo, &log), object);
                hosts.extend(claims.iter().filter_map(|claim| match claim {
                    Claimable::Host(Front::Fleet, host) => Some(host.clone()),
                    _ => None,
                }));
                store.claim(object, claims, &mut changes);
            }
        }
        let input = Input::new(&store, &options, &memo, &log);
        let units = hosts.into_iter().map(|host| {
            let unit = languages.host(input, &Front::Fleet, &host);
            (host, unit)
        });
        Self(units.collect())
    }

    /// The exact host, or the longest wildcard above it, of any depth, or the hosts that nobody names.
    fn find(
        &self,
        name: &str,
        is_served: impl Fn(&HostUnit) -> bool,
    ) -> Option<(&Host, &HostUnit)> {
        let parents = name
            .match_indices('.')
            .map(|(dot, _)| format!("*{}", &name[dot..]));
        let mut names = std::iter::once(name.to_owned())
            .chain(parents)
            .chain(["*".to_owned()]);
        names.find_map(|name| {
            let found = self.0.get_key_value(&Host::new(name))?;
            is_served(found.1).then_some(found)
        })
    }

    pub fn ask(&self, question: Question) -> Found<'_> {
        let http = self.find(question.host, |unit| unit.http.is_some());
        // Where hosts belong to namespaces, one without a certificate is refused whatever is above it.
        let https = self.find(question.host, |unit| unit.https.is_some() || unit.is_closed);
        let https = https.filter(|(_, unit)| question.tls && !unit.is_closed);
        let mut found = Found {
            host: http.map(|(host, _)| host),
            certified: https.map(|(host, _)| host),
            server: None,
            route: None,
            status: if question.tls { 0 } else { 404 },
        };
        let Some((host, unit)) = (if question.tls { https } else { http }) else {
            return found;
        };
        let table: &VirtualHost = match (&unit.https, &unit.http) {
            (Some(https), _) if question.tls => {
                found.server = Some(&https.server);
                &https.virtual_host
            }
            (_, Some(http)) => http,
            _ => return found,
        };
        let is_one_label = |wildcard: &str| {
            let rest = question.host.split_once('.').map(|(_, rest)| rest);
            rest == Some(&wildcard[2..])
        };
        if host.wildcard_suffix().is_some() && !is_one_label(host.as_str()) {
            found.status = if question.tls { 421 } else { 404 };
            return found;
        }
        found.status = 404;
        found.route = table
            .routes
            .iter()
            .find(|route| takes(&route.matches.path, question.path));
        found
    }
}

fn takes(path: &PathMatch, request: &str) -> bool {
    match path {
        PathMatch::Exact(text) => *request == **text,
        PathMatch::StringPrefix(text) => request.starts_with(&**text),
        PathMatch::PathPrefix(text) => {
            let rest = request.strip_prefix(text.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        PathMatch::Regex(expression) | PathMatch::RegexPrefix(expression) => {
            let mut known = EXPRESSIONS.iter();
            let (_, is_match) = known
                .find(|(known, _)| *known == expression.as_str())
                .expect("a known expression");
            is_match(request)
        }
        PathMatch::Connect => false,
    }
}
