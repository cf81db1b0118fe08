//! What the `stats` listener answers: `/ready`, `/metrics`, and 404 to everything else.

use envoy_types::pb::envoy::config::listener::v3::Filter;
use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::http::health_check::v3::HealthCheck;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use hcm::http_connection_manager::{PathWithEscapedSlashesAction, RouteSpecifier};

use super::bootstrap::ADMIN_CLUSTER;
use super::edge::Edge;
use super::encode::{bool_value, seconds};
use super::http_connection_manager::{edge_defaults, filter};
use super::http_filter;
use super::route_match::exact_header;

/// Name of the listener, of its statistics and of its routes.
pub const NAME: &str = "stats";

/// No access log: the kubelet asks every few seconds. No path is normalised: both paths are compared as they were
/// sent, and what is not equal is 404 (CVE-2025-24030: a prefix and `..` reached `/quitquitquit`).
pub(super) fn network_filter() -> Filter {
    filter(hcm::HttpConnectionManager {
        stat_prefix: NAME.to_owned(),
        normalize_path: bool_value(false),
        merge_slashes: false,
        path_with_escaped_slashes_action: PathWithEscapedSlashesAction::KeepUnchanged.into(),
        route_specifier: Some(RouteSpecifier::RouteConfig(routes())),
        http_filters: vec![ready(), http_filter::router()],
        ..edge_defaults(&Edge::default())
    })
}

/// Answered by Envoy itself: 200, and 503 from `POST /healthcheck/fail` (the start of a drain) on.
fn ready() -> hcm::HttpFilter {
    http_filter::filter(
        "envoy.filters.http.health_check",
        HealthCheck {
            pass_through_mode: bool_value(false),
            headers: vec![exact_header(":path", "/ready")],
            ..Default::default()
        },
    )
}

/// `:path` is compared too because it has the query, and a query reaches Envoy's admin: a filter there is an
/// expression that runs over every statistic on the main thread.
fn routes() -> pb::RouteConfiguration {
    let metrics = pb::Route {
        r#match: Some(pb::RouteMatch {
            path_specifier: Some(pb::route_match::PathSpecifier::Path("/metrics".to_owned())),
            headers: vec![
                exact_header(":path", "/metrics"),
                exact_header(":method", "GET"),
            ],
            ..Default::default()
        }),
        action: Some(pb::route::Action::Route(pb::RouteAction {
            cluster_specifier: Some(pb::route_action::ClusterSpecifier::Cluster(
                ADMIN_CLUSTER.to_owned(),
            )),
            prefix_rewrite: "/stats/prometheus".to_owned(),
            timeout: seconds(30),
            ..Default::default()
        })),
        ..Default::default()
    };
    pb::RouteConfiguration {
        name: NAME.to_owned(),
        virtual_hosts: vec![pb::VirtualHost {
            name: NAME.to_owned(),
            domains: vec!["*".to_owned()],
            routes: vec![metrics],
            ..Default::default()
        }],
        // An Envoy whose bootstrap has no admin cluster must still take the listener, for `/ready`.
        validate_clusters: bool_value(false),
        ..Default::default()
    }
}
