//! Two lists of routes, side by side. A route is the same one where it asks for the same; what stands between has been added,
//! removed or moved.
//!
//! It is sound: a request whose route is the same before and after, and is told neither as changed nor as moved, is not taken
//! from it by another route that is not told. Routes that keep their order stay in front of what they were in front of.

use std::collections::{HashMap, VecDeque};

use crate::model::{
    AddressRules, AddressSource, Authorization, BackendOptions, Cidr, Filters, Forward,
    ForwardOptions, HeaderChange, HeaderModifier, PathRewrite, Redirect, Route, RouteAction,
    RouteMatch, WeightedCluster,
};
use crate::objects::FieldRef;

use super::super::describe;
use super::detail::{Detail, Settings};

/// A route that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteDifference {
    /// How.
    pub change: Change,
    /// What it asks for.
    pub matches: RouteMatch,
    /// The same in words.
    pub says: String,
    /// Whose it is, or was.
    pub source: FieldRef,
    /// What differs; of one that is added all that it does, of one that is removed all that it did.
    pub details: Vec<Detail>,
}

/// How something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It was not there.
    Added,
    /// It is not there any more.
    Removed,
    /// It does something else.
    Changed,
    /// Another route is tried before it that was tried after it, or the other way around. It may do something else, too.
    Moved,
}

/// What differs, in the order of the routes: those of before that are gone stand where they stood.
pub fn differences(before: &[Route], after: &[Route]) -> Vec<RouteDifference> {
    let mut places: HashMap<&RouteMatch, VecDeque<usize>> = HashMap::new();
    for (place, route) in after.iter().enumerate() {
        places.entry(&route.matches).or_default().push_back(place);
    }
    let pairs: Vec<Option<usize>> = before
        .iter()
        .map(|route| places.get_mut(&route.matches)?.pop_front())
        .collect();
    let mut was: Vec<Option<&Route>> = vec![None; after.len()];
    for (old, place) in before.iter().zip(&pairs) {
        if let Some(slot) = place.and_then(|place| was.get_mut(place)) {
            *slot = Some(old);
        }
    }
    let stays = in_order(&pairs, after.len());
    let none = Settings::default();
    let mut differences: Vec<RouteDifference> = Vec::new();
    for ((new, old), stays) in after.iter().zip(was).zip(stays) {
        let settings = of_route(new);
        let (change, details) = match old {
            None => (Change::Added, Settings::differences(&none, &settings)),
            Some(old) => {
                let details = Settings::differences(&of_route(old), &settings);
                match (stays, details.is_empty()) {
                    (true, true) => continue,
                    (true, false) => (Change::Changed, details),
                    (false, _) => (Change::Moved, details),
                }
            }
        };
        differences.push(difference(change, new, details));
    }
    for (old, _) in before.iter().zip(&pairs).filter(|(_, at)| at.is_none()) {
        let details = Settings::differences(&of_route(old), &none);
        differences.push(difference(Change::Removed, old, details));
    }
    differences
}

fn difference(change: Change, route: &Route, details: Vec<Detail>) -> RouteDifference {
    RouteDifference {
        change,
        matches: route.matches.clone(),
        says: describe::matches(&route.matches),
        source: route.source.clone(),
        details,
    }
}

/// Which places of the new list keep their order: a longest increasing subsequence of the places where the old ones are now.
fn in_order(pairs: &[Option<usize>], count: usize) -> Vec<bool> {
    // For each length the place that ends the subsequence which ends lowest, and for each place the one in front of it.
    let mut ends: Vec<usize> = Vec::new();
    let mut in_front: HashMap<usize, Option<usize>> = HashMap::new();
    for place in pairs.iter().flatten().copied() {
        let length = ends.partition_point(|end| *end < place);
        let front = length.checked_sub(1).and_then(|at| ends.get(at)).copied();
        in_front.insert(place, front);
        match ends.get_mut(length) {
            Some(end) => *end = place,
            None => ends.push(place),
        }
    }
    let mut stays = vec![false; count];
    let mut at = ends.last().copied();
    while let Some(place) = at {
        if let Some(stays) = stays.get_mut(place) {
            *stays = true;
        }
        at = in_front.get(&place).copied().flatten();
    }
    stays
}

/// All fields by name: one that is forgotten here would be a change that nobody is told of.
pub(super) fn of_route(route: &Route) -> Settings {
    let Route {
        matches: _,
        action,
        request_headers,
        response_headers,
        filters,
        source: _,
    } = route;
    let mut settings = Settings::default();
    match action {
        RouteAction::Forward(forward) => of_forward(forward, &mut settings),
        RouteAction::Redirect(redirect) => settings.is("answer", redirect, redirects(redirect)),
        RouteAction::DirectResponse(response) => {
            let says = format!("{} by Envoy itself", response.status());
            settings.is("answer", response, says);
            // A guard that can't be honoured closes its route so.
            let closed = Some(response).filter(|response| response.status() == 503);
            settings.guard("closed route", closed, |_| "503 for everybody".to_owned());
        }
    }
    of_headers(
        "headers of the request",
        "removed headers of the request",
        request_headers,
        &mut settings,
    );
    of_headers(
        "headers of the answer",
        "removed headers of the answer",
        response_headers,
        &mut settings,
    );
    if let Some(filters) = filters {
        of_filters(filters, &mut settings);
    }
    settings
}

fn of_headers(
    set: &'static str,
    removed: &'static str,
    headers: &HeaderModifier,
    settings: &mut Settings,
) {
    let HeaderModifier {
        set: values,
        remove,
    } = headers;
    let names = |names: Vec<&str>| names.join(", ");
    settings.has(set, Some(values).filter(|it| !it.is_empty()), |values| {
        names(values.keys().map(|name| name.as_str()).collect())
    });
    settings.has(
        removed,
        Some(remove).filter(|it| !it.is_empty()),
        |removed| names(removed.iter().map(|name| name.as_str()).collect()),
    );
}

fn of_forward(forward: &Forward, settings: &mut Settings) {
    let Forward {
        backends,
        // Which Service statistics name is nothing that clients see.
        service: _,
        timeout,
        retry,
        rewrite,
        options,
    } = forward;
    let shares: Vec<(&str, u32)> = backends
        .iter()
        .map(
            |WeightedCluster {
                 cluster,
                 weight,
                 options: _,
             }| (&**cluster, *weight),
        )
        .collect();
    let says = match &shares[..] {
        [] => "503: no back end can be used".to_owned(),
        [(cluster, _)] => format!("of {cluster}"),
        several => {
            let of = |(cluster, weight): &(&str, u32)| format!("{weight} of {cluster}");
            several.iter().map(of).collect::<Vec<_>>().join(", ")
        }
    };
    settings.is("answer", &shares, says);
    let changes: Vec<(usize, &BackendOptions)> = backends
        .iter()
        .enumerate()
        .filter_map(|(at, it)| Some((at, it.options.as_deref()?)))
        .collect();
    let changes = Some(changes).filter(|changes| !changes.is_empty());
    settings.has("changes for one back end", changes.as_ref(), |changes| {
        format!("of {}", counted(changes.len(), "back end"))
    });
    settings.is(
        "time-out",
        timeout,
        match timeout {
            Some(limit) => format!("{limit:?}"),
            None => "none".to_owned(),
        },
    );
    settings.has("retries", retry.as_ref(), |retry| match retry.num_retries {
        0 => "none".to_owned(),
        count => format!("{count} on {}", retry.retry_on.join(", ")),
    });
    settings.has("path for the back end", rewrite.as_ref(), rewrites);
    if let Some(options) = options {
        of_options(options, settings);
    }
}

fn of_options(options: &ForwardOptions, settings: &mut Settings) {
    let ForwardOptions {
        refused,
        mirrors,
        hash_policies,
        host,
        idle_timeout,
        internal_redirects,
        session,
        cookie_rewrites,
        location_rewrite,
        upgrades,
        connect,
    } = options;
    settings.has("share that nobody answers", refused.as_ref(), |refused| {
        format!("weight {}", refused.weight)
    });
    let mirrors = Some(mirrors).filter(|mirrors| !mirrors.is_empty());
    settings.has("copies", mirrors, |mirrors| {
        let names = mirrors.iter().map(|mirror| &*mirror.cluster);
        format!("to {}", names.collect::<Vec<_>>().join(", "))
    });
    let hashed = Some(hash_policies).filter(|policies| !policies.is_empty());
    settings.has("choice of the endpoint", hashed, |_| "by a hash".to_owned());
    settings.has("Host for the back end", host.as_ref(), |_| {
        "another one".to_owned()
    });
    settings.has("idle time", idle_timeout.as_ref(), |limit| {
        format!("{limit:?}")
    });
    settings.has(
        "redirects that Envoy follows",
        internal_redirects.as_ref(),
        |it| format!("up to {}", it.max),
    );
    settings.has("session", session.as_ref(), |_| {
        "kept with an endpoint".to_owned()
    });
    let cookies = Some(cookie_rewrites).filter(|it| **it != Default::default());
    settings.has("cookies of the back end", cookies, |_| {
        "rewritten".to_owned()
    });
    settings.has("where answers lead", location_rewrite.as_ref(), |_| {
        "rewritten".to_owned()
    });
    let upgrades = Some(upgrades).filter(|upgrades| !upgrades.is_empty());
    settings.has("changes of protocol", upgrades, |upgrades| {
        let names = upgrades.iter().map(|(name, is_allowed)| match is_allowed {
            true => name.as_str().to_owned(),
            false => format!("no {}", name.as_str()),
        });
        names.collect::<Vec<_>>().join(", ")
    });
    settings.has("tunnel", connect.as_ref(), |_| "allowed".to_owned());
}

fn of_filters(filters: &Filters, settings: &mut Settings) {
    let Filters {
        is_not_logged,
        tracing,
        operation,
        cors,
        local_rate_limits,
        addresses,
        client_subject,
        ignores_host,
        jwt,
        max_body,
        authorization,
        global_rate_limit,
        ignores_global_limit,
        error_pages,
        grpc_web,
        compression,
        request_headers,
        response_headers,
    } = filters;
    settings.guard("addresses", addresses.as_ref(), from_addresses);
    settings.guard(
        "subject of the client's certificate",
        client_subject.as_ref(),
        |subject| format!("403 unless it is like {}", subject.as_str()),
    );
    let limits = Some(local_rate_limits).filter(|limits| !limits.is_empty());
    settings.guard("rate limit", limits, |limits| {
        format!("429 beyond {}", counted(limits.len(), "limit"))
    });
    settings.guard("token", jwt.as_ref(), |_| "401 without one".to_owned());
    settings.guard(
        "authorization",
        authorization.as_ref(),
        |it: &Authorization| describe::authorization(it).join("; "),
    );
    settings.guard("size of the body", max_body.as_ref(), |most| {
        format!("413 beyond {most} bytes")
    });
    settings.guard("counted rate limit", global_rate_limit.as_ref(), |limit| {
        format!("429 as {} says", limit.cluster)
    });
    let set = |is: &bool| Some(()).filter(|()| *is);
    let on = |(): &()| "yes".to_owned();
    settings.has(
        "without the host's rate limits",
        set(ignores_host).as_ref(),
        on,
    );
    settings.has(
        "without the host's counted rate limit",
        set(ignores_global_limit).as_ref(),
        on,
    );
    settings.has(
        "left out of the access log",
        set(is_not_logged).as_ref(),
        on,
    );
    settings.has("gRPC-Web", set(grpc_web).as_ref(), on);
    settings.has("CORS", cors.as_ref(), |_| "answered by Envoy".to_owned());
    settings.has("traces", tracing.as_ref(), |_| {
        "its own settings".to_owned()
    });
    settings.has("name of spans", operation.as_ref(), ToString::to_string);
    settings.has("error pages", error_pages.as_ref(), |_| {
        "its own".to_owned()
    });
    settings.has("compression", compression.as_ref(), |_| "on".to_owned());
    of_changes(request_headers, response_headers, settings);
}

fn of_changes(
    request_headers: &[HeaderChange],
    response_headers: &[HeaderChange],
    settings: &mut Settings,
) {
    for (about, changes) in [
        ("further headers of the request", request_headers),
        ("further headers of the answer", response_headers),
    ] {
        let changes = Some(&changes).filter(|changes| !changes.is_empty());
        settings.has(about, changes, |changes| {
            let names = changes.iter().map(|change| change.name().to_string());
            names.collect::<Vec<_>>().join(", ")
        });
    }
}

/// So many ranges are named.
const RANGES: usize = 4;

pub(super) fn from_addresses(rules: &AddressRules) -> String {
    let ranges = |ranges: &[(AddressSource, Cidr)]| {
        let named = ranges
            .iter()
            .take(RANGES)
            .map(|(_, range)| range.to_string());
        let named = named.collect::<Vec<_>>().join(", ");
        match ranges.len().checked_sub(RANGES) {
            None | Some(0) => named,
            Some(more) => format!("{named} and {more} more"),
        }
    };
    match (rules.allowed(), rules.denied()) {
        (Some([]), _) => "403 for everybody".to_owned(),
        (Some(allowed), []) => format!("403 but from {}", ranges(allowed)),
        (Some(allowed), denied) => {
            format!(
                "403 but from {} without {}",
                ranges(allowed),
                ranges(denied)
            )
        }
        (None, denied) => format!("403 from {}", ranges(denied)),
    }
}

pub(super) fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

fn rewrites(rewrite: &PathRewrite) -> String {
    match rewrite {
        PathRewrite::ReplacePrefix(prefix) => format!("{prefix} instead of the prefix"),
        PathRewrite::ReplaceFullPath(path) => path.to_string(),
        PathRewrite::ReplaceMatches(it) => {
            format!("{} instead of {}", it.replacement(), it.pattern().as_str())
        }
    }
}

fn redirects(redirect: &Redirect) -> String {
    let Redirect {
        scheme,
        hostname,
        port,
        path,
        strip_query: _,
        status,
    } = redirect;
    let mut says = format!("redirect {status}");
    if let Some(scheme) = scheme {
        says += &format!(" to {scheme}");
    }
    if let Some(hostname) = hostname {
        says += &format!(", host {hostname}");
    }
    if let Some(port) = port {
        says += &format!(", port {port}");
    }
    if let Some(path) = path {
        says += &format!(", path {}", rewrites(path));
    }
    says
}
