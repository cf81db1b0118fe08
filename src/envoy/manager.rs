//! The connection managers that listeners share, each one resource by ECDS.
//!
//! A listener names its manager and has none of its bytes, so what operators decide, or what another version of Isobath
//! makes of it, changes these resources and no listener. A connection keeps the manager that it was accepted with, and with
//! it the routes of now; new connections get the new one.
//!
//! Where Envoy refuses a manager, it goes on with the one that it has. One that has none answers 403 to everything, which
//! readiness tells ([`crate::xds::Missing`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3::{Filter, filter::ConfigType};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use envoy_types::util::pack_any;
use prost::Name as _;

use super::edge::Edge;
use super::encode::{ads, own_part, reference, seconds};
use super::{http_connection_manager as hcm, request_checks};
use crate::xds::{Reference, Resource, ResourceType};

/// Name of the manager of connections in clear, of its statistics and of its route table.
pub const HTTP: &str = "http";

/// All managers, which are there from the first snapshot on.
#[must_use]
pub fn all(edge: &Edge) -> [Resource; 1] {
    let routes = reference(ResourceType::Route, &Arc::from(HTTP));
    let http = HttpConnectionManager {
        route_specifier: Some(http_routes()),
        ..hcm::without_routes(HTTP, edge)
    };
    [manager(HTTP, http, BTreeSet::from([routes]))]
}

fn manager(
    name: &str,
    manager: HttpConnectionManager,
    references: BTreeSet<Reference>,
) -> Resource {
    let extension = core::TypedExtensionConfig {
        name: name.to_owned(),
        typed_config: Some(pack_any(manager)),
    };
    Resource::whole(name.into(), own_part(&extension, references))
}

/// The network filter that is the manager of that name. While there is none it answers 403 to everything.
///
/// That is not for its answers: a manager that comes when its listener is open can't begin a subscription (Envoy 1.40: its
/// requests would be 404 for good), so this one has begun it.
pub(super) fn filter(name: &str, routes: RouteSpecifier) -> Filter {
    let none = HttpConnectionManager {
        stat_prefix: name.to_owned(),
        route_specifier: Some(routes),
        http_filters: vec![request_checks::refusal(), hcm::router()],
        ..Default::default()
    };
    Filter {
        name: name.to_owned(),
        config_type: Some(ConfigType::ConfigDiscovery(core::ExtensionConfigSource {
            config_source: Some(core::ConfigSource {
                // It is always there; without it nothing is served.
                initial_fetch_timeout: seconds(0),
                ..ads()
            }),
            default_config: Some(pack_any(none)),
            type_urls: vec![HttpConnectionManager::type_url()],
            ..Default::default()
        })),
    }
}

/// Routes for clear text.
pub(super) fn http_routes() -> RouteSpecifier {
    hcm::rds(HTTP)
}
