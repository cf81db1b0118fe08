//! Requests that go to clusters: shares, copies, and what changes on the way.
//!
//! Back ends that can't be are a cluster that nobody ever makes: the names of all others have two slashes.

use envoy_types::pb::envoy::config::core::v3::{
    HeaderValueOption, RuntimeFractionalPercent, TypedExtensionConfig,
};
use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::extensions::internal_redirect as predicates;
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use envoy_types::util::pack_any;
use pb::route_action::{
    ClusterNotFoundResponseCode, ClusterSpecifier, HostRewriteSpecifier, RequestMirrorPolicy,
    UpgradeConfig, upgrade_config::ConnectConfig,
};
use pb::weighted_cluster::{ClusterWeight, cluster_weight};

use super::direct_response::direct_response;
use super::encode::{bool_value, duration, u32_value};
use super::filters::cookies;
use super::hash_policy::hash_policy;
use super::header;
use super::path::{self, Rewrite};
use super::retry::retry;
use crate::model::{
    Connect, CrossScheme, Forward, ForwardOptions, Fraction, HeaderChange, HeaderModifier,
    HostRewrite, InternalRedirects, Mirror, Refused, RefusedStatus, WeightedCluster,
};

/// So many of all requests.
pub(super) fn fraction(fraction: Fraction) -> RuntimeFractionalPercent {
    RuntimeFractionalPercent {
        default_value: Some(FractionalPercent {
            numerator: fraction.millionths(),
            denominator: DenominatorType::Million.into(),
        }),
        ..Default::default()
    }
}

/// The action, with its rewrite as [`super::path::matches`] worked it out.
pub(super) fn forward(to: &Forward, rewrite: Rewrite, host: Option<String>) -> pb::route::Action {
    let refused = to.refused();
    let Some(clusters) = clusters(to, refused) else {
        let status = refused.map_or(503, |refused| status(refused.status));
        return direct_response(status, None);
    };
    let (prefix_rewrite, regex_rewrite) = match rewrite {
        Rewrite::None => (String::new(), None),
        Rewrite::Matched(replacement) => (replacement, None),
        Rewrite::Whole(whole) => (String::new(), Some(path::whole_path(&whole))),
        Rewrite::Within(substitution) => (String::new(), Some(path::substitution(&substitution))),
    };
    let action = pb::RouteAction {
        cluster_specifier: Some(clusters),
        cluster_not_found_response_code: not_found(refused).into(),
        prefix_rewrite,
        regex_rewrite,
        host_rewrite_specifier: host.map(HostRewriteSpecifier::HostRewriteLiteral),
        // Zero is none. Unset would be Envoy's 15 s, which cuts downloads, streams and long polls; a stream on which
        // nothing moves is ended by the connection manager.
        timeout: duration(to.timeout.unwrap_or_default()),
        retry_policy: to.retry.as_deref().map(retry),
        ..Default::default()
    };
    pb::route::Action::Route(match to.options.as_deref() {
        None => action,
        Some(options) => with_options(action, options),
    })
}

fn with_options(action: pb::RouteAction, options: &ForwardOptions) -> pb::RouteAction {
    let host = options.host.as_ref().map(|host| match host {
        HostRewrite::Header(name) => HostRewriteSpecifier::HostRewriteHeader(name.to_string()),
        HostRewrite::Endpoint => {
            HostRewriteSpecifier::AutoHostRewrite(bool_value(true).unwrap_or_default())
        }
    });
    pb::RouteAction {
        host_rewrite_specifier: action.host_rewrite_specifier.or(host),
        idle_timeout: options.idle_timeout.and_then(duration),
        hash_policy: options
            .hash_policies
            .iter()
            .filter_map(hash_policy)
            .collect(),
        request_mirror_policies: options.mirrors.iter().filter_map(mirror).collect(),
        internal_redirect_policy: options.internal_redirects.as_ref().map(internal_redirects),
        upgrade_configs: upgrades(options),
        ..action
    }
}

/// Changes of protocol, and tunnels, which are one to Envoy.
fn upgrades(options: &ForwardOptions) -> Vec<UpgradeConfig> {
    let upgrades = options.upgrades.iter();
    let upgrades = upgrades.map(|(upgrade, is_allowed)| UpgradeConfig {
        upgrade_type: upgrade.as_str().to_owned(),
        enabled: bool_value(*is_allowed),
        ..Default::default()
    });
    let connect = options.connect.map(|connect| UpgradeConfig {
        upgrade_type: "CONNECT".to_owned(),
        enabled: bool_value(true),
        connect_config: (connect == Connect::Terminate).then(ConnectConfig::default),
    });
    upgrades.chain(connect).collect()
}

/// What its status is.
pub(super) const fn status(refused: RefusedStatus) -> u16 {
    match refused {
        RefusedStatus::InternalServerError => 500,
        RefusedStatus::ServiceUnavailable => 503,
    }
}

const fn not_found(refused: Option<Refused>) -> ClusterNotFoundResponseCode {
    match refused {
        Some(Refused {
            status: RefusedStatus::InternalServerError,
            ..
        }) => ClusterNotFoundResponseCode::InternalServerError,
        _ => ClusterNotFoundResponseCode::ServiceUnavailable,
    }
}

/// Envoy refuses a weight sum of zero; nobody may get the request then, which is as good as no back end.
fn clusters(to: &Forward, refused: Option<Refused>) -> Option<ClusterSpecifier> {
    let backends: Vec<_> = to.served().collect();
    let clusters = match (backends.as_slice(), refused) {
        ([], _) => return None,
        ([only], None) if only.options.is_none() => {
            return Some(ClusterSpecifier::Cluster(only.cluster.to_string()));
        }
        (several, _) => several.iter().map(|backend| share(to, backend)),
    };
    let nobody = refused.map(|refused| ClusterWeight {
        name: format!("refused/{}", status(refused.status)),
        weight: u32_value(refused.weight),
        ..Default::default()
    });
    let mut clusters: Vec<_> = clusters.chain(nobody).collect();
    bound(&mut clusters);
    Some(ClusterSpecifier::WeightedClusters(pb::WeightedCluster {
        clusters,
        ..Default::default()
    }))
}

fn share(to: &Forward, backend: &WeightedCluster) -> ClusterWeight {
    let plain = ClusterWeight {
        name: backend.cluster.to_string(),
        weight: u32_value(backend.weight),
        ..Default::default()
    };
    let Some(options) = backend.options.as_deref() else {
        return plain;
    };
    // What the share says of an attribute counts before what the route says.
    let own = options.cookie_rewrites.iter();
    let of_route = to.options.iter().flat_map(|it| it.cookie_rewrites.iter());
    let cookies = match options.cookie_rewrites.is_empty() {
        true => None,
        false => {
            let of_all = to.options.as_ref();
            let location = of_all.and_then(|it| it.location_rewrite.as_ref());
            cookies::context(own.chain(of_route), location)
        }
    };
    ClusterWeight {
        typed_per_filter_config: cookies
            .map(|context| (cookies::NAME.to_owned(), context))
            .into_iter()
            .collect(),
        request_headers_to_add: added(&options.request_headers, &options.added_request_headers),
        request_headers_to_remove: header::to_remove(&options.request_headers),
        response_headers_to_add: added(&options.response_headers, &options.added_response_headers),
        response_headers_to_remove: header::to_remove(&options.response_headers),
        host_rewrite_specifier: header::host(&options.request_headers)
            .map(cluster_weight::HostRewriteSpecifier::HostRewriteLiteral),
        ..plain
    }
}

fn added(literal: &HeaderModifier, changes: &[HeaderChange]) -> Vec<HeaderValueOption> {
    let mut added = header::to_add(literal);
    added.extend(changes.iter().map(header::change));
    added
}

/// Envoy refuses a whole table over a sum of weights that has more than 32 bits.
fn bound(clusters: &mut [ClusterWeight]) {
    let weights = || {
        clusters
            .iter()
            .filter_map(|cluster| cluster.weight.as_ref())
    };
    let sum: u64 = weights().map(|weight| u64::from(weight.value)).sum();
    if sum <= u64::from(u32::MAX) {
        return;
    }
    // Half of what fits, as no share becomes nothing.
    let shift = (u64::BITS - sum.leading_zeros()).saturating_sub(u32::BITS - 1);
    for weight in clusters.iter_mut().filter_map(|it| it.weight.as_mut()) {
        weight.value = (weight.value >> shift).max(1);
    }
}

fn mirror(mirror: &Mirror) -> Option<RequestMirrorPolicy> {
    (mirror.fraction > Fraction::NONE).then(|| RequestMirrorPolicy {
        cluster: mirror.cluster.to_string(),
        runtime_fraction: (mirror.fraction != Fraction::ALL).then(|| fraction(mirror.fraction)),
        // The copy's Host would be `a.example.com-shadow`.
        disable_shadow_host_suffix_append: true,
        ..Default::default()
    })
}

fn internal_redirects(policy: &InternalRedirects) -> pb::InternalRedirectPolicy {
    let safe = (policy.cross_scheme == CrossScheme::SafeOnly).then(|| TypedExtensionConfig {
        name: "envoy.internal_redirect_predicates.safe_cross_scheme".to_owned(),
        typed_config: Some(pack_any(
            predicates::safe_cross_scheme::v3::SafeCrossSchemeConfig::default(),
        )),
    });
    let fresh = policy.deny_repeated_route.then(|| TypedExtensionConfig {
        name: "envoy.internal_redirect_predicates.previous_routes".to_owned(),
        typed_config: Some(pack_any(
            predicates::previous_routes::v3::PreviousRoutesConfig::default(),
        )),
    });
    pb::InternalRedirectPolicy {
        max_internal_redirects: u32_value(policy.max),
        redirect_response_codes: policy.statuses().iter().copied().map(u32::from).collect(),
        predicates: safe.into_iter().chain(fresh).collect(),
        allow_cross_scheme_redirect: policy.cross_scheme != CrossScheme::Never,
        ..Default::default()
    }
}
