//! An action as those of several routes.
//!
//! A share with more of its own than Envoy's weighted clusters have is a route of its own ([`Forward::is_split`]): Envoy draws
//! one number for a request and compares it with the fraction of each route, so cumulative fractions give each its share. Where
//! sessions stay with a back end ([`Forward::cookie_of_shares`]), each has one more route before those, which takes the requests
//! that bring the back end's cookie.

use std::borrow::Cow;
use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::route::v3::CookieMatcher;
use xxhash_rust::xxh3::xxh3_64;

use super::forward::status;
use super::string_matcher::exact;
use crate::model::{
    BackendOptions, Forward, Fraction, RouteAction, SessionCookie, WeightedCluster,
};

/// The action of a route.
pub(super) struct Share<'a> {
    /// What it does.
    pub(super) action: Cow<'a, RouteAction>,
    /// Up to which part of the requests it is for it: none where it is for all that are left.
    pub(super) up_to: Option<Fraction>,
    /// The cookie that the request brings.
    pub(super) brings: Option<CookieMatcher>,
    /// The cookie that the client gets.
    pub(super) gives: Option<String>,
}

impl<'a> Share<'a> {
    fn all(action: Cow<'a, RouteAction>) -> Self {
        Self {
            action,
            up_to: None,
            brings: None,
            gives: None,
        }
    }
}

/// The actions of the routes that an action is.
pub(super) fn shares(action: &RouteAction) -> Vec<Share<'_>> {
    let RouteAction::Forward(forward) = action else {
        return vec![Share::all(Cow::Borrowed(action))];
    };
    if !forward.is_split() {
        return vec![Share::all(Cow::Borrowed(action))];
    }
    let backends: Vec<_> = forward.served().collect();
    let (refused, cookie) = (forward.refused(), forward.cookie_of_shares());
    let mut routes = Vec::new();
    let mut shares = Vec::new();
    for (backend, id) in backends.iter().zip(ids(&backends)) {
        if let Some(cookie) = cookie {
            routes.push(Share {
                brings: Some(brings(cookie, &id)),
                ..Share::all(Cow::Owned(of_one(forward, backend)))
            });
        }
        let gives = cookie.map(|cookie| gives(cookie, &id));
        shares.push((of_one(forward, backend), backend.weight, gives));
    }
    shares.extend(refused.map(|it| {
        let action = RouteAction::status(status(it.status));
        (action, it.weight, None)
    }));
    let sum = shares.iter().map(|(_, weight, _)| u64::from(*weight)).sum();
    let last = shares.len() - 1;
    let mut so_far = 0;
    for (index, (action, weight, gives)) in shares.into_iter().enumerate() {
        so_far += u64::from(weight);
        routes.push(Share {
            up_to: (index < last).then(|| Fraction::of(so_far, sum)),
            gives,
            ..Share::all(Cow::Owned(action))
        });
    }
    routes
}

/// What is done to all, and to the share of this back end, as if it were all.
fn of_one(forward: &Forward, backend: &WeightedCluster) -> RouteAction {
    let of_backend = backend.options.as_deref().cloned().unwrap_or_default();
    let mut options = forward.options.as_deref().cloned().unwrap_or_default();
    options.refused = None;
    options.mirrors.extend(of_backend.mirrors);
    let only = WeightedCluster {
        options: Some(Box::new(BackendOptions {
            rewrite: None,
            mirrors: Vec::new(),
            ..of_backend
        })),
        ..backend.clone()
    };
    // By its fields: a clone of all would have every other back end of every share.
    RouteAction::Forward(Forward {
        backends: vec![only],
        service: forward.service.clone(),
        timeout: forward.timeout,
        retry: forward.retry.clone(),
        rewrite: of_backend.rewrite.or_else(|| forward.rewrite.clone()),
        options: Some(Box::new(options)),
    })
}

/// What clients know back ends by: of their names without the settings, so that a setting ends no session. The same one
/// twice is told apart by its place.
fn ids(backends: &[&WeightedCluster]) -> Vec<String> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let ids = backends.iter().map(|backend| {
        let base = backend.cluster.split('?').next().unwrap_or_default();
        let times = seen.entry(base).or_default();
        *times += 1;
        let id = format!("{:016x}", xxh3_64(base.as_bytes()));
        if *times > 1 {
            format!("{id}-{times}")
        } else {
            id
        }
    });
    ids.collect()
}

fn name(cookie: &SessionCookie) -> String {
    format!("{}{}", cookie.cookie().name(), SessionCookie::OF_SHARE)
}

fn brings(cookie: &SessionCookie, id: &str) -> CookieMatcher {
    CookieMatcher {
        name: name(cookie),
        string_match: Some(exact(id)),
        invert_match: false,
    }
}

/// In the order in which Envoy writes the session's own.
fn gives(cookie: &SessionCookie, id: &str) -> String {
    let mut text = format!("{}={id}", name(cookie));
    if let Some(set) = cookie.cookie().set() {
        if let Some(ttl) = set.ttl() {
            text.push_str(&format!("; Max-Age={}", ttl.as_secs()));
        }
        if !set.path().is_empty() {
            text.push_str(&format!("; Path={}", set.path()));
        }
        for (name, value) in set.attributes() {
            match (name.eq_ignore_ascii_case("HttpOnly"), value.is_empty()) {
                (true, _) => {}
                (false, true) => text.push_str(&format!("; {name}")),
                (false, false) => text.push_str(&format!("; {name}={value}")),
            }
        }
    }
    text + "; HttpOnly"
}
