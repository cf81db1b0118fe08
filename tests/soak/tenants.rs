//! Two namespaces on the same hosts: whatever the younger one brings, the older one's paths answer as before, but for
//! the exceptions that deploy/ingress.md names. A small matcher of our own model decides; a real Envoy answers some of the
//! pairs, every request of them as the matcher says, so that the matcher may be believed for the rest.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use isobath::facts::hosts;
use isobath::model::{Host, PathMatch, Redirect, RefusedStatus, Route, RouteAction};
use isobath::objects::{Kind, Object, Rules, decode_versioned};
use isobath::translate::HostOwnership;

use crate::answers::{Found, Question, Tables, questions};
use crate::support::certificate::{Authority, Leaf};
use crate::support::client::{Connection, Tls, Version};
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::manifest::Manifest;
use crate::support::stand::{Stand, apps};
use crate::tenant::{Pair, kind};
use crate::{figures, rounds};

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

/// Whether an object names a host.
fn names(object: &Object, place: &Host) -> bool {
    match object {
        Object::Ingress(ingress) => hosts(ingress).contains(place),
        Object::HttpProxy(proxy) => {
            let host = proxy.virtual_host.as_ref();
            host.is_some_and(|host| Host::new(host.fqdn.clone()) == *place)
        }
        Object::HttpRoute(route) => {
            let mut names = route.head.hostnames.iter();
            names.any(|name| **name == *place.as_str())
        }
        Object::Gateway(gateway) => {
            let mut names = gateway
                .listeners
                .iter()
                .filter_map(|it| it.hostname.as_ref());
            names.any(|name| **name == *place.as_str())
        }
        _ => false,
    }
}

/// Whether it is an Ingress's path that comes before a prefix of the HTTPProxy that is as long: an exact one, an expression, or whole
/// segments.
fn comes_before(taker: Option<&Route>, written: &PathMatch) -> bool {
    let taker = taker.filter(|it| it.source.object.kind == Kind::Ingress);
    match (taker.map(|it| &it.matches.path), written) {
        (Some(PathMatch::PathPrefix(taker)), PathMatch::StringPrefix(written)) => {
            taker.trim_end_matches('/').len() >= written.trim_end_matches('/').len()
        }
        (
            Some(PathMatch::Exact(_) | PathMatch::Regex(_) | PathMatch::RegexPrefix(_)),
            PathMatch::StringPrefix(_),
        ) => true,
        _ => false,
    }
}

/// The exceptions that deploy/ingress.md names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kept {
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
        let is_named = |object: &Object| {
            let mut places = places(after).into_iter().flatten();
            places.any(|place| names(object, &place))
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
    question: Question,
    before: Found<'_>,
    after: Found<'_>,
    old: &[Object],
    new: &[Object],
) -> Result<Kept, &'static str> {
    // Over TLS for another name nothing is answered, nor without a connection.
    let is_unanswered =
        |found: Found<'_>| found.route.is_none() && [0, 421].contains(&found.status);
    let are_unanswered = question.tls && is_unanswered(before) && is_unanswered(after);
    if before.answer() == after.answer() || are_unanswered {
        return Ok(Kept::Same);
    }
    let named =
        |objects: &[Object], place: &Host| objects.iter().any(|object| names(object, place));
    // One that cannot be served is closed, and hides what is above it as well.
    let place = match question.tls {
        true => before.certified,
        false => before.host,
    };
    let mut nearer = covering(question.host).take_while(|other| Some(other) != place);
    match nearer.any(|other| named(new, &other) && !named(old, &other)) {
        true => Ok(Kept::OtherHost),
        false => Err("the older one's host answers otherwise"),
    }
}

/// The hosts that a name may be of, the most specific first.
fn covering(name: &str) -> impl Iterator<Item = Host> + use<> {
    let parents = name
        .match_indices('.')
        .map(|(dot, _)| format!("*{}", &name[dot..]));
    let all: Vec<String> = std::iter::once(name.to_owned())
        .chain(parents)
        .chain(["*".to_owned()])
        .collect();
    all.into_iter().map(Host::new)
}

const NEW: &str = "new";

/// What came of the older one's requests in many pairs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) asked: usize,
    pub(crate) of_older: usize,
    pub(crate) kept: BTreeMap<Kept, usize>,
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
    pub(crate) fn add(&mut self, pair: &Pair, secrets: &[Object; 2], ownership: HostOwnership) {
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
                _ if is_owned && was.host.is_some() => judge_owned(question, was, is, &old, &new),
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
    /// The same of the requests on hosts that a root of the older one has, where hosts are shared.
    pub(crate) fn add_rooted(&mut self, pair: &Pair, secrets: &[Object; 2]) {
        let old = [&pair.old[..], &secrets[..1]].concat();
        let new = [&pair.new[..], &secrets[1..]].concat();
        let shared = HostOwnership::Shared;
        let before = Tables::new(&old, shared);
        let after = Tables::new(&[&old[..], &new[..]].concat(), shared);
        let is_rooted = |found: Found<'_>| {
            let roots = old.iter().filter(|it| matches!(it, Object::HttpProxy(_)));
            found.host.is_some_and(|host| {
                let mut roots = roots.clone();
                roots.any(|root| names(root, host)) && found.certified.is_none_or(|it| it == host)
            })
        };
        for question in questions() {
            self.asked += 1;
            let (was, is) = (before.ask(question), after.ask(question));
            let of_proxy = |route: &&Route| route.source.object.kind == Kind::HttpProxy;
            let Some(route) = was.route.filter(of_proxy).filter(|_| is_rooted(was)) else {
                continue;
            };
            self.of_older += 1;
            match judge(route, was, is, &new) {
                Err(_) if comes_before(is.route, &route.matches.path) => {
                    *self.kept.entry(Kept::MoreSpecific).or_default() += 1;
                }
                Ok(kept) => *self.kept.entry(kept).or_default() += 1,
                Err(why) => self.wrong.push(format!(
                    "{question:?}: {why}\nbefore {}\nafter {}\nwritten {:?}\n{}",
                    was.answer(),
                    is.answer(),
                    route.matches.path,
                    pair.text()
                )),
            }
        }
    }
}

impl Counts {
    /// The first few requests that the older one lost.
    pub(crate) fn assert_kept(&self) {
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

pub(crate) fn leaves() -> [Leaf; 2] {
    let authority = Authority::new();
    let names = &["a.test", "*.a.test", "*.test"];
    [authority.leaf(names), authority.leaf(names)]
}

pub(crate) fn secrets(leaves: &[Leaf; 2]) -> [Object; 2] {
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
            // The Gateway API has it answer 500.
            None => {
                let refused = forward.options.as_ref().and_then(|it| it.refused);
                match refused.map(|refused| refused.status) {
                    Some(RefusedStatus::InternalServerError) => "500".to_owned(),
                    Some(RefusedStatus::ServiceUnavailable) | None => "503".to_owned(),
                }
            }
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
    answers_as_the_matcher_says(
        HostOwnership::Shared,
        rounds(3, 200),
        Some(Counts::default()),
        Pair::new,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_answers_as_the_matcher_says_where_hosts_are_owned() {
    answers_as_the_matcher_says(
        HostOwnership::Namespace,
        rounds(3, 200),
        Some(Counts::default()),
        Pair::new,
    )
    .await;
}

/// Has a real Envoy answer for so many pairs, with the older one's objects alone and with all. What the older one keeps is counted
/// where that is asked for.
pub(crate) async fn answers_as_the_matcher_says(
    ownership: HostOwnership,
    pairs: usize,
    mut counts: Option<Counts>,
    pair_of: impl Fn(usize) -> Pair,
) {
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
    for seed in 0..pairs {
        // Others than those of the ordinary run.
        let pair = pair_of(1_000_000 + seed);
        if let Some(counts) = &mut counts {
            counts.add(&pair, &objects, ownership);
        }
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
    let said = counts.as_ref().map(|counts| format!(", {counts}"));
    let said = said.unwrap_or_default();
    figures(
        "tenants",
        format_args!("{pairs} pairs by Envoy, {mode}{said}"),
    );
    if let Some(counts) = counts {
        counts.assert_kept();
    }
}
