//! A host that no rule names, and that has what another one has: an alias of it, or a redirect to it (ingress-nginx's `server-alias`
//! and `from-to-www-redirect`).
//!
//! - A rule for the name, of whatever Ingress and language, comes before all of these; so does the older of two.
//! - An alias has the paths that the namespace of its Ingress has on the other host, with all that is asked of their requests. What
//!   others have there is not taken along: they have not named this one.
//! - The first Ingress of a host that has aliases says all of them, as with ingress-nginx.
//! - A copy counts against the budget of the Ingress that asks for it.

use crate::facts::{ServedIngress, www_of};
use crate::model::{Host, PathMatch, Redirect, Route, RouteAction, RouteMatch, VirtualHost};
use crate::objects::{Field, Problem};

use super::above::{self, OnHttp};
use super::certificate::{self, Choice};
use super::ownership::{Claims, HostOwnership};
use super::reading::Reading;
use super::table::{Asked, Table, paths_of};
use super::{HostUnit, HttpsHost, Input, budget, nginx, reason};

/// So many rules of an Ingress are looked at for the host that a name is an alias of: each of 256 names looks for itself.
const MOST_HOSTS: usize = 16;

/// What a name is to another host.
enum Name {
    /// It leads there.
    Redirect(Host),
    /// It is there, too.
    Alias(Host),
}

/// What is served of a name that no rule is for.
pub fn host(input: Input<'_>, host: &Host, claims: &Claims<'_>) -> HostUnit {
    let mut unit = HostUnit::default();
    let mut served: Option<ServedIngress<'_>> = None;
    for ingress in &claims.otherwise {
        if let Some(winner) = served {
            report(
                &mut unit,
                *ingress,
                host,
                &format!("Ingress {} is older", winner.name()),
            );
            continue;
        }
        match name(input, *ingress, host) {
            Err(why) => report(&mut unit, *ingress, host, &why),
            Ok(Name::Redirect(to)) => {
                redirect(input, (host, &to), *ingress, claims, &mut unit);
                served = Some(*ingress);
            }
            Ok(Name::Alias(of)) => {
                alias(input, (host, &of), *ingress, claims, &mut unit);
                served = Some(*ingress);
            }
        }
    }
    unit
}

/// Has a name answer nobody that is another one of a host, as the Ingress `by` guards it: what it asks is not what the copy asks.
pub fn close(
    input: Input<'_>,
    host: &Host,
    claims: &Claims<'_>,
    by: ServedIngress<'_>,
) -> HostUnit {
    let mut unit = self::host(input, host, claims);
    let hosts = unit.https.iter_mut().map(|https| &mut https.virtual_host);
    for route in hosts
        .chain(&mut unit.http)
        .flat_map(|host| &mut host.routes)
    {
        *route = route.clone().answered(RouteAction::status(503));
    }
    unit.clusters.clear();
    for ingress in claims.otherwise.iter().take(1) {
        let why = format!(
            "Ingress {} names it under spec.tls, and what it asks of clients would not be asked",
            by.name()
        );
        report(&mut unit, *ingress, host, &why);
    }
    unit
}

/// What an Ingress is told whose name is somebody else's: nothing of the other one of `www.`, which then needs no redirect.
pub fn lost(
    input: Input<'_>,
    ingress: ServedIngress<'_>,
    host: &Host,
    why: &str,
) -> Option<Problem> {
    let reading = Reading::of(input, ingress);
    let nginx = reading.policy.nginx.as_deref()?;
    let mut unit = HostUnit::default();
    if nginx.aliases.contains(host) {
        report(&mut unit, ingress, host, why);
    }
    unit.problems.pop()
}

/// Tells that a name is somebody else's, or nobody's.
fn report(unit: &mut HostUnit, ingress: ServedIngress<'_>, host: &Host, why: &str) {
    let message = format!("host {host} is no other name of a host of this Ingress: {why}");
    let source = ingress.field(Field::Annotation(crate::facts::SERVER_ALIAS.into()));
    let problem = Problem::new(source, reason::HOST_CONFLICT, message);
    unit.problems.push(problem);
}

fn name(input: Input<'_>, ingress: ServedIngress<'_>, host: &Host) -> Result<Name, String> {
    let reading = Reading::of(input, ingress);
    let none = || "its annotations say nothing of it".to_owned();
    let policy = reading.policy.nginx.as_deref().ok_or_else(none)?;
    if policy.to_www
        && let Some(to) = www_of(host).find(|to| ingress.is_ruled(to))
    {
        return match is_its_own(input, ingress, &to) {
            true => Ok(Name::Redirect(to)),
            false => Err(format!("host {to} belongs to another namespace")),
        };
    }
    let rules = ingress.whole().rules.iter();
    let named = rules.filter_map(|rule| rule.host.clone());
    let mut hosts: Vec<Host> = named.map(Host::new).take(MOST_HOSTS + 1).collect();
    let is_cut = hosts.len() > MOST_HOSTS;
    hosts.truncate(MOST_HOSTS);
    hosts.sort();
    hosts.dedup();
    let mut why = match is_cut {
        true => format!("it is one of the hosts of the first {MOST_HOSTS} rules or of none"),
        false => none(),
    };
    for of in hosts {
        if !is_its_own(input, ingress, &of) {
            why = format!("host {of} belongs to another namespace");
            continue;
        }
        if input.on_http(&of) == OnHttp::Others {
            why = format!(
                "not only Ingresses name {of}, and what else is asked of its requests would not hold here"
            );
            continue;
        }
        match sayer(input, &of) {
            Some(first) if first.name() == ingress.name() => return Ok(Name::Alias(of)),
            Some(first) => {
                why = format!("Ingress {} says which other names {of} has", first.name());
            }
            None => {}
        }
    }
    Err(why)
}

fn is_its_own(input: Input<'_>, ingress: ServedIngress<'_>, host: &Host) -> bool {
    let claims = Claims::of(input, host);
    let mut own = claims.ingresses.iter();
    own.any(|claim| claim.name() == ingress.name())
}

/// Who says the aliases of a host.
fn sayer<'a>(input: Input<'a>, host: &Host) -> Option<ServedIngress<'a>> {
    let claims = Claims::of(input, host).ingresses.into_iter();
    let mut named = claims.filter(|ingress| ingress.is_ruled(host));
    named.find(|ingress| {
        let reading = Reading::of(input, *ingress);
        let nginx = reading.policy.nginx.as_deref();
        nginx.is_some_and(|nginx| nginx.canary.is_none() && !nginx.aliases.is_empty())
    })
}

/// The certificates of a name: its own, those of the other host where they name it, or the wildcard's above it.
fn choose(
    input: Input<'_>,
    (host, main): (&Host, &Host),
    claims: &Claims<'_>,
    unit: &mut HostUnit,
) -> Option<Choice> {
    let problems = &mut unit.problems;
    if let Some(own) = certificate::choose(input, host, &claims.ingresses, problems) {
        return Some(own);
    }
    let of_main = above::own_choice(input, main);
    let covers = |choice: &Choice| certificate::covers(input, choice, host);
    of_main
        .filter(covers)
        .or_else(|| above::choice(input, host)?.as_ref().clone())
}

fn https(choice: Choice, virtual_host: VirtualHost) -> HttpsHost {
    HttpsHost {
        server: choice.server,
        secrets: choice.secrets,
        source: choice.source,
        virtual_host,
        fallback: None,
    }
}

fn redirect(
    input: Input<'_>,
    (host, to): (&Host, &Host),
    ingress: ServedIngress<'_>,
    claims: &Claims<'_>,
    unit: &mut HostUnit,
) {
    let reading = Reading::of(input, ingress);
    let nginx = reading.policy.nginx.as_ref();
    let route = Route::plain(
        RouteMatch::path(PathMatch::PathPrefix("/".into())),
        RouteAction::Redirect(Redirect {
            hostname: Some(to.shared()),
            status: nginx.map_or(308, |it| it.settings.https_status),
            ..Redirect::default()
        }),
        ingress.field(Field::Annotation(crate::facts::FROM_TO_WWW.into())),
    );
    let is_strict = reading
        .policy
        .nginx
        .as_ref()
        .is_some_and(|it| it.is_strict());
    let cut = match &route.action {
        RouteAction::Redirect(redirect) if is_strict => nginx::without_slash(redirect),
        _ => None,
    };
    let cut = cut
        .zip(nginx::ends_with_slash())
        .map(|(cut, conditions)| Route {
            matches: route.matches.clone().and(conditions),
            action: RouteAction::Redirect(cut),
            ..route.clone()
        });
    let virtual_host = VirtualHost {
        host: host.clone(),
        routes: cut.into_iter().chain([route]).collect(),
        filters: None,
        client_check: None,
    };
    let choice = choose(input, (host, to), claims, unit);
    unit.is_closed = choice.is_none() && is_owned(input);
    unit.https = choice.map(|choice| https(choice, virtual_host.clone()));
    unit.http = Some(virtual_host);
}

fn is_owned(input: Input<'_>) -> bool {
    input.options.host_ownership == HostOwnership::Namespace
}

fn alias(
    input: Input<'_>,
    (host, of): (&Host, &Host),
    ingress: ServedIngress<'_>,
    claims: &Claims<'_>,
    unit: &mut HostUnit,
) {
    let namespace = &ingress.name().namespace;
    let mut ingresses = Claims::of(input, of).ingresses;
    ingresses.retain(|claim| claim.name().namespace == *namespace);
    let share = input.account(ingress.name()).share();
    let too_large = || {
        let key = format!("{}server-alias", nginx::PREFIX);
        let message = format!(
            "host {host} is no alias of {of}: a copy of its routes: {}",
            budget::EXCEEDED
        );
        let source = ingress.field(Field::Annotation(key.into()));
        Problem::new(source, reason::TOO_LARGE, message)
    };
    // What is too much in any case is not made first.
    let most = usize::try_from(share / budget::ROUTE).unwrap_or(usize::MAX);
    let paths = ingresses.iter().map(|it| paths_of(input, *it, of).1.len());
    if paths.fold(0, usize::saturating_add) > most {
        unit.problems.push(too_large());
        unit.is_closed = is_owned(input);
        return;
    }
    let mut table = Table::new(input, of).served_as(host);
    table.merge(&ingresses);
    // What is wrong with its paths is told by the other host.
    let in_clear = table.virtual_host(Asked::ByHttp);
    let choice = choose(input, (host, of), claims, unit);
    let by_tls = choice.is_some().then(|| table.virtual_host(Asked::ByHttps));
    let routes = in_clear.routes.iter();
    let routes = routes.chain(by_tls.iter().flat_map(|it| &it.routes));
    let cost: u64 = routes.map(budget::route).fold(0, u64::saturating_add);
    if cost > share {
        unit.problems.push(too_large());
        unit.is_closed = is_owned(input);
        return;
    }
    let clients = table.clients.clone();
    unit.is_closed = choice.is_none() && is_owned(input);
    unit.https = choice.zip(by_tls).map(|(choice, virtual_host)| {
        let choice = match clients {
            None => choice,
            Some(clients) => Choice {
                server: choice.server.asking(clients),
                ..choice
            },
        };
        https(choice, virtual_host)
    });
    unit.http = Some(in_clear);
    unit.clusters = table.clusters;
    let hosts = unit.https.iter().map(|https| &https.virtual_host);
    let hosts = hosts.chain(&unit.http);
    let used: std::collections::BTreeSet<_> =
        hosts.flat_map(|host| host.clusters().cloned()).collect();
    unit.clusters.retain(|name, _| used.contains(name));
}
