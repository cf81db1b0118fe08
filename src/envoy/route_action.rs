//! What happens to a request that a route takes.

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;
use envoy_types::util::pack_any;
use pb::redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier};
use pb::route_action::{ClusterSpecifier, HashPolicy, HostRewriteSpecifier, hash_policy};

use super::encode::{duration, u32_value};
use super::path::Rewrite;
use super::string_matcher::regex;
use crate::model::{Forward, PathRewrite, Redirect, RetryPolicy, RouteAction};

/// Safe for every request, because the back end has not seen it. Requests that may be repeated add `reset`, see
/// [`super::request_headers`].
const RETRY_ON: [&str; 2] = ["connect-failure", "refused-stream"];
const RETRIES: u32 = 2;

/// The rewrite that the action asks for.
pub(super) fn rewrite(action: &RouteAction) -> Option<&PathRewrite> {
    match action {
        RouteAction::Forward(forward) => forward.rewrite.as_ref(),
        RouteAction::Redirect(redirect) => redirect.path.as_ref(),
        RouteAction::DirectResponse(_) => None,
    }
}

/// The action, with its rewrite as [`super::path::matches`] worked it out. `host` is what the back end is to see as
/// Host instead of the client's.
pub(super) fn action(
    action: &RouteAction,
    rewrite: Rewrite,
    host: Option<String>,
) -> pb::route::Action {
    match action {
        RouteAction::Forward(to) => forward(to, rewrite, host),
        RouteAction::Redirect(to) => redirect(to, rewrite),
        RouteAction::DirectResponse(status) => direct_response(*status),
    }
}

/// An answer without body. Envoy refuses a whole response over a status outside of 200 to 599.
pub(super) fn direct_response(status: u16) -> pb::route::Action {
    let status = if (200..600).contains(&status) {
        status
    } else {
        500
    };
    pb::route::Action::DirectResponse(pb::DirectResponseAction {
        status: status.into(),
        ..Default::default()
    })
}

/// The retries of every route that has no others. On the virtual host, once, as it is long.
pub(super) fn default_retry() -> pb::RetryPolicy {
    pb::RetryPolicy {
        retry_on: RETRY_ON.join(","),
        num_retries: u32_value(RETRIES),
        // Another endpoint than the one that just failed.
        retry_host_predicate: vec![pb::retry_policy::RetryHostPredicate {
            name: "envoy.retry_host_predicates.previous_hosts".to_owned(),
            config_type: Some(
                pb::retry_policy::retry_host_predicate::ConfigType::TypedConfig(pack_any(
                    PreviousHostsPredicate::default(),
                )),
            ),
        }],
        host_selection_retry_max_attempts: 5,
        ..Default::default()
    }
}

fn forward(to: &Forward, rewrite: Rewrite, host: Option<String>) -> pb::route::Action {
    // Envoy refuses a weight sum of zero; nobody may get the request then, which is as good as no back end.
    let backends: Vec<_> = to
        .backends
        .iter()
        .filter(|backend| backend.weight > 0)
        .collect();
    let clusters = match backends.as_slice() {
        [] => return direct_response(503),
        [only] => ClusterSpecifier::Cluster(only.cluster.to_string()),
        several => ClusterSpecifier::WeightedClusters(pb::WeightedCluster {
            clusters: several
                .iter()
                .map(|backend| pb::weighted_cluster::ClusterWeight {
                    name: backend.cluster.to_string(),
                    weight: u32_value(backend.weight),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }),
    };
    let (prefix_rewrite, regex_rewrite) = match rewrite {
        Rewrite::None => (String::new(), None),
        Rewrite::Matched(replacement) => (replacement, None),
        Rewrite::Whole(path) => (String::new(), Some(whole_path(&path))),
    };
    pb::route::Action::Route(pb::RouteAction {
        cluster_specifier: Some(clusters),
        prefix_rewrite,
        regex_rewrite,
        host_rewrite_specifier: host.map(HostRewriteSpecifier::HostRewriteLiteral),
        // Zero is none. Unset would be Envoy's 15 s, which cuts downloads, streams and long polls; a stream on which
        // nothing moves is ended by the connection manager.
        timeout: duration(to.timeout.unwrap_or_default()),
        retry_policy: to.retry.as_ref().map(retry),
        hash_policy: to.hash_source_ip.then(source_ip).into_iter().collect(),
        ..Default::default()
    })
}

/// A route's policy replaces the virtual host's, so it repeats what is safe always.
fn retry(policy: &RetryPolicy) -> pb::RetryPolicy {
    let mut conditions: Vec<&str> = RETRY_ON.to_vec();
    for condition in &policy.retry_on {
        if !conditions.contains(&&**condition) {
            conditions.push(condition);
        }
    }
    pb::RetryPolicy {
        retry_on: conditions.join(","),
        num_retries: u32_value(policy.num_retries),
        per_try_timeout: policy.per_try_timeout.and_then(duration),
        ..default_retry()
    }
}

fn source_ip() -> HashPolicy {
    HashPolicy {
        policy_specifier: Some(hash_policy::PolicySpecifier::ConnectionProperties(
            hash_policy::ConnectionProperties { source_ip: true },
        )),
        ..Default::default()
    }
}

fn redirect(to: &Redirect, rewrite: Rewrite) -> pb::route::Action {
    pb::route::Action::Redirect(pb::RedirectAction {
        scheme_rewrite_specifier: match to.scheme {
            None => None,
            Some("https") => Some(SchemeRewriteSpecifier::HttpsRedirect(true)),
            Some(other) => Some(SchemeRewriteSpecifier::SchemeRedirect(other.to_owned())),
        },
        host_redirect: to.hostname.as_deref().unwrap_or_default().to_owned(),
        port_redirect: to.port.map_or(0, u32::from),
        path_rewrite_specifier: match rewrite {
            Rewrite::None => None,
            Rewrite::Matched(replacement) => Some(PathRewriteSpecifier::PrefixRewrite(replacement)),
            Rewrite::Whole(path) => Some(PathRewriteSpecifier::PathRedirect(path)),
        },
        response_code: match to.status {
            302 => RedirectResponseCode::Found,
            303 => RedirectResponseCode::SeeOther,
            307 => RedirectResponseCode::TemporaryRedirect,
            308 => RedirectResponseCode::PermanentRedirect,
            _ => RedirectResponseCode::MovedPermanently,
        }
        .into(),
        ..Default::default()
    })
}

/// Envoy has no literal for "whatever the path is"; the expression is constant, and of the replacement only the
/// backslash would mean something (a group).
fn whole_path(path: &str) -> RegexMatchAndSubstitute {
    RegexMatchAndSubstitute {
        pattern: Some(regex("^.*$")),
        substitution: path.replace('\\', "\\\\"),
    }
}
