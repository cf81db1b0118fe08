//! Two namespaces on the same hosts: whatever the younger one brings, the older one's paths answer as before, but for
//! the exceptions that the README names. A small matcher of our own model decides; a real Envoy answers some of the
//! pairs, every request of them as the matcher says, so that the matcher may be believed for the rest.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use isobath::facts::{Changes, ClassSelection, Log, Store, hosts};
use isobath::model::{
    HeaderModifier, Host, PathMatch, Redirect, Route, RouteAction, TlsServer, VirtualHost,
};
use isobath::objects::{Event, Kind, Object, Rules, decode_versioned};
use isobath::translate::{self, HostOwnership, HostUnit, Input, Memo, Options};

use crate::support::certificate::{Authority, Leaf};
use crate::support::client::{Connection, Tls, Version};
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::manifest::Manifest;
use crate::support::stand::{Stand, apps};
use crate::tenant::{EXPRESSIONS, Pair};
use crate::{figures, rounds};

const HOSTS: [&str; 6] = [
    "a.test",
    "x.a.test",
    "y.a.test",
    "z.test",
    "deep.x.a.test",
    "other.example",
];
const PATHS: [&str; 11] = [
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
struct Question {
    tls: bool,
    host: &'static str,
    path: &'static str,
}

fn questions() -> impl Iterator<Item = Question> {
    [false, true].into_iter().flat_map(|tls| {
        HOSTS.into_iter().flat_map(move |host| {
            PATHS
                .into_iter()
                .map(move |path| Question { tls, host, path })
        })
    })
}

/// What objects come to.
struct Tables(BTreeMap<Host, HostUnit>);

/// How a request fares: on which host's routes, by which certificate, and by which route.
#[derive(Clone, Copy, Debug)]
struct Found<'a> {
    /// Whose routes they are, those that a host with nothing but a certificate takes over included.
    host: Option<&'a Host>,
    /// Whose certificate it is.
    certified: Option<&'a Host>,
    server: Option<&'a TlsServer>,
    route: Option<&'a Route>,
    /// Where no route takes it; 0 is no connection.
    status: u16,
}

impl Found<'_> {
    /// All that the client and the back end see.
    fn answer(&self) -> String {
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
    fn new(objects: &[Object], host_ownership: HostOwnership) -> Self {
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
        let input = Input::new(&store, &options, &memo, &log);
        let units = store
            .hosts()
            .map(|host| (host.clone(), translate::host(input, host)));
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

    fn ask(&self, question: Question) -> Found<'_> {
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

/// The objects with nothing but their paths: which of them takes a request, whatever is done with it then.
fn bare(objects: &[Object]) -> Vec<Object> {
    let bare = |object: &Object| match object {
        Object::Ingress(ingress) => {
            let mut ingress = (**ingress).clone();
            ingress.metadata.annotations = Default::default();
            ingress.default_backend = None;
            Object::Ingress(Arc::new(ingress))
        }
        other => other.clone(),
    };
    objects.iter().map(bare).collect()
}

/// The exceptions that the README names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kept {
    /// It is as before.
    Same,
    /// The younger one names a more specific host.
    OtherHost,
    /// The younger one has an exact path, a longer prefix, or a challenge's.
    MoreSpecific,
}

/// What became of a request that a path of the older one takes.
fn judge(
    written: &Route,
    before: Found<'_>,
    after: Found<'_>,
    new: &[Object],
) -> Result<Kept, &'static str> {
    let places = |found: Found<'_>| [found.host.cloned(), found.certified.cloned()];
    if places(before) != places(after) {
        let is_named = |object: &Object| match object {
            Object::Ingress(ingress) => {
                let named = hosts(ingress);
                let mut places = places(after).into_iter().flatten();
                places.any(|place| named.contains(&place))
            }
            _ => false,
        };
        return match new.iter().any(is_named) {
            true => Ok(Kept::OtherHost),
            false => Err("another host answers, which the younger one did not name"),
        };
    }
    if before.answer() == after.answer() {
        return Ok(Kept::Same);
    }
    if before.server != after.server {
        return Err("another certificate is presented");
    }
    let Some(route) = after
        .route
        .filter(|route| *route.source.object.name.namespace == *NEW)
    else {
        return Err("the older one answers otherwise");
    };
    let length = |path: &PathMatch| match path {
        PathMatch::PathPrefix(text) | PathMatch::StringPrefix(text) => {
            Some(text.trim_end_matches('/').len())
        }
        PathMatch::Exact(_)
        | PathMatch::Regex(_)
        | PathMatch::RegexPrefix(_)
        | PathMatch::Connect => None,
    };
    let (taker, written) = (&route.matches.path, &written.matches.path);
    let is_challenge = |path: &PathMatch| match path {
        PathMatch::PathPrefix(text) | PathMatch::StringPrefix(text) => {
            text.starts_with("/.well-known/acme-challenge")
        }
        PathMatch::Exact(_)
        | PathMatch::Regex(_)
        | PathMatch::RegexPrefix(_)
        | PathMatch::Connect => false,
    };
    let is_more_specific = match (taker, written) {
        (_, PathMatch::Exact(_)) => false,
        (PathMatch::Exact(_), _) => true,
        (_, PathMatch::Regex(_) | PathMatch::RegexPrefix(_)) => is_challenge(taker),
        _ => length(taker) > length(written),
    };
    match is_more_specific {
        true => Ok(Kept::MoreSpecific),
        false => Err("the younger one takes it"),
    }
}

/// The same where hosts belong to namespaces: all requests are the older one's that a host of its answers, be it with 404.
fn judge_owned(
    before: Found<'_>,
    after: Found<'_>,
    old: &[Object],
    new: &[Object],
) -> Result<Kept, &'static str> {
    if before.answer() == after.answer() {
        return Ok(Kept::Same);
    }
    let named = |objects: &[Object], place: &Host| {
        objects.iter().any(|object| match object {
            Object::Ingress(ingress) => hosts(ingress).contains(place),
            _ => false,
        })
    };
    let mut places = [after.host, after.certified].into_iter().flatten();
    match places.any(|place| named(new, place) && !named(old, place)) {
        true => Ok(Kept::OtherHost),
        false => Err("the older one's host answers otherwise"),
    }
}

const NEW: &str = "new";

/// What came of the older one's requests in many pairs.
#[derive(Clone, Debug, Default)]
struct Counts {
    asked: usize,
    of_older: usize,
    kept: BTreeMap<Kept, usize>,
    wrong: Vec<String>,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests, {} of them on an older one's path: {:?}",
            self.asked, self.of_older, self.kept
        )
    }
}

impl Counts {
    fn add(&mut self, pair: &Pair, secrets: &[Object; 2], ownership: HostOwnership) {
        let old = [&pair.old[..], &secrets[..1]].concat();
        let new = [&pair.new[..], &secrets[1..]].concat();
        let before = Tables::new(&old, ownership);
        let written = Tables::new(&bare(&old), ownership);
        let after = Tables::new(&[&old[..], &new[..]].concat(), ownership);
        let is_owned = ownership == HostOwnership::Namespace;
        for question in questions() {
            self.asked += 1;
            let (was, is) = (before.ask(question), after.ask(question));
            let path = written.ask(question);
            // What no path of the older one takes is not its own: unknown paths, and its default back end.
            let route = path.route.filter(|_| {
                was.status != 0 && path.host == was.host && path.certified == was.certified
            });
            let judged = match route {
                _ if is_owned && was.host.is_some() => judge_owned(was, is, &old, &new),
                Some(route) if !is_owned => judge(route, was, is, &new),
                _ => continue,
            };
            self.of_older += 1;
            match judged {
                Ok(kept) => *self.kept.entry(kept).or_default() += 1,
                Err(why) => self.wrong.push(format!(
                    "{question:?}: {why}\nbefore {}\nafter {}\nwritten {:?}\n{}",
                    was.answer(),
                    is.answer(),
                    route.map(|route| &route.matches.path),
                    pair.text()
                )),
            }
        }
    }
}

impl Counts {
    /// The first few requests that the older one lost.
    fn assert_kept(&self) {
        let first: Vec<&str> = self.wrong.iter().take(5).map(String::as_str).collect();
        assert!(
            first.is_empty(),
            "{} requests are lost:\n{}",
            self.wrong.len(),
            first.join("\n\n")
        );
    }
}

fn decoded(kind: Kind, manifest: &Manifest) -> Object {
    let object = decode_versioned(kind, &manifest.0.to_string(), Rules::Stored)
        .unwrap()
        .object;
    assert!(!matches!(object, Object::Invalid(_)), "{object:?}");
    object
}

fn leaves() -> [Leaf; 2] {
    let authority = Authority::new();
    let names = &["a.test", "*.a.test", "*.test"];
    [authority.leaf(names), authority.leaf(names)]
}

fn secrets(leaves: &[Leaf; 2]) -> [Object; 2] {
    let [old, new] = leaves;
    [old.secret_in("old", "cert"), new.secret_in(NEW, "cert")]
        .map(|secret| decoded(Kind::Secret, &secret))
}

#[test]
fn an_older_namespace_keeps_what_it_has() {
    let pairs = rounds(400, 10_000);
    let secrets = secrets(&leaves());
    let mut counts = Counts::default();
    for seed in 0..pairs {
        counts.add(&Pair::new(seed), &secrets, HostOwnership::Shared);
    }
    figures("tenants", format_args!("{pairs} pairs, {counts}"));
    counts.assert_kept();
    // They do meet, and every exception happens.
    assert!(counts.of_older * 4 > counts.asked, "{counts}");
    for kept in [Kept::Same, Kept::OtherHost, Kept::MoreSpecific] {
        assert!(
            counts.kept.get(&kept).is_some_and(|count| *count > pairs),
            "{kept:?} of {counts}"
        );
    }
}

#[test]
fn a_namespace_keeps_its_hosts() {
    let pairs = rounds(400, 10_000);
    let secrets = secrets(&leaves());
    let mut counts = Counts::default();
    for seed in 0..pairs {
        counts.add(&Pair::new(seed), &secrets, HostOwnership::Namespace);
    }
    figures("tenants", format_args!("{pairs} pairs, owned, {counts}"));
    counts.assert_kept();
    assert!(counts.of_older * 4 > counts.asked, "{counts}");
    for kept in [Kept::Same, Kept::OtherHost] {
        assert!(
            counts.kept.get(&kept).is_some_and(|count| *count > pairs),
            "{kept:?} of {counts}"
        );
    }
}

/// The word for what the matcher says, as [`heard`] has it for Envoy.
fn word(found: Found<'_>, question: Question) -> String {
    let certificate = match found.server {
        Some(server) if server.name.starts_with("old/") => "old: ",
        Some(_) => "new: ",
        None => "",
    };
    let scheme = if question.tls { "https" } else { "http" };
    let answer = match found.route.map(|route| &route.action) {
        None if found.status == 0 => "refused".to_owned(),
        None => found.status.to_string(),
        Some(RouteAction::DirectResponse(answer)) => answer.status().to_string(),
        Some(RouteAction::Forward(forward)) => match forward.backends.first() {
            Some(backend) => backend
                .cluster
                .split('/')
                .next()
                .unwrap_or_default()
                .to_owned(),
            None => "503".to_owned(),
        },
        Some(RouteAction::Redirect(redirect)) if *redirect == Redirect::to_https(None) => {
            format!("301 https://{}{}", question.host, question.path)
        }
        Some(RouteAction::Redirect(redirect)) => {
            format!("{} {scheme}://{}/moved", redirect.status, question.host)
        }
    };
    format!("{certificate}{answer}")
}

/// What a real client hears, and whose certificate it sees.
async fn heard(stand: &Stand, leaves: &[Leaf; 2], question: Question) -> String {
    let tls = question.tls.then(|| Tls::sni(question.host));
    let address = if question.tls {
        stand.isobath.https()
    } else {
        stand.isobath.http()
    };
    let Ok(mut connection) = Connection::open(address, Version::H1, tls.as_ref()).await else {
        return "refused".to_owned();
    };
    let certificate = match connection.certificate() {
        Some(seen) if *seen == leaves[0].der => "old: ",
        Some(_) => "new: ",
        None => "",
    };
    let answer = match connection.get(question.host, question.path).await {
        Err(error) => format!("{error:#}"),
        Ok(answer) if answer.status == 200 => answer.backend().to_owned(),
        Ok(answer) => format!("{} {}", answer.status, answer.header("location"))
            .trim_end()
            .to_owned(),
    };
    format!("{certificate}{answer}")
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_answers_as_the_matcher_says() {
    answers_as_the_matcher_says(HostOwnership::Shared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_answers_as_the_matcher_says_where_hosts_are_owned() {
    answers_as_the_matcher_says(HostOwnership::Namespace).await;
}

async fn answers_as_the_matcher_says(ownership: HostOwnership) {
    let pairs = rounds(3, 200);
    let leaves = leaves();
    let objects = secrets(&leaves);
    let (_backends, services) = apps(&["old", NEW]).await;
    let mut there: Vec<Manifest> = services
        .into_iter()
        .map(|manifest| {
            let text = manifest.0.to_string();
            let namespace = if text.contains("\"old") { "old" } else { NEW };
            manifest.namespace(namespace)
        })
        .collect();
    there.extend([
        leaves[0].secret_in("old", "cert"),
        leaves[1].secret_in(NEW, "cert"),
    ]);
    let mode = match ownership {
        HostOwnership::Shared => "shared",
        HostOwnership::Namespace => "namespace",
    };
    let isobath = Isobath::start_with(&there, &["--host-ownership", mode]).await;
    let stand = Stand::on(isobath).await;
    let mut counts = Counts::default();
    for seed in 0..pairs {
        // Others than those of the ordinary run.
        let pair = Pair::new(1_000_000 + seed);
        counts.add(&pair, &objects, ownership);
        for manifests in [&pair.manifests[..pair.old.len()], &pair.manifests[..]] {
            let tables = Tables::new(
                &manifests
                    .iter()
                    .map(|manifest| decoded(kind(manifest), manifest))
                    .chain(objects.iter().cloned())
                    .collect::<Vec<_>>(),
                ownership,
            );
            stand
                .isobath
                .write("manifests.yaml", &[&there[..], manifests].concat());
            eventually(
                &format!(
                    "Envoy answers as the matcher says of pair {seed}\n{}",
                    pair.text()
                ),
                async || {
                    for question in questions() {
                        let (want, got) = (
                            word(tables.ask(question), question),
                            heard(&stand, &leaves, question).await,
                        );
                        anyhow::ensure!(want == got, "{question:?}: {got} and not {want}");
                    }
                    Ok(())
                },
            )
            .await;
        }
    }
    figures(
        "tenants",
        format_args!("{pairs} pairs by Envoy, {mode}, {counts}"),
    );
    counts.assert_kept();
}

fn kind(manifest: &Manifest) -> Kind {
    match manifest.0["kind"].as_str() {
        Some("Service") => Kind::Service,
        _ => Kind::Ingress,
    }
}
