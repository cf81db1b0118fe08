//! The connection managers that listeners share, each one resource by ECDS.
//!
//! A listener names its manager and has none of its bytes, so what operators decide, or what another version of Isobath
//! makes of it, changes these resources and no listener. A connection keeps the manager that it was accepted with, and with
//! it the routes of now; new connections get the new one.
//!
//! Where Envoy refuses a manager, it goes on with the one that it has. One that has none answers 403 to everything, which
//! readiness tells ([`crate::xds::Missing`]). A filter that guards something belongs in every manager, disabled where nothing
//! asks for it: one that came later would not be asked on connections from before.

use std::collections::BTreeSet;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3::{Filter, filter::ConfigType};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as pb;
use envoy_types::util::pack_any;
use pb::HttpConnectionManager;
use pb::http_connection_manager::RouteSpecifier;
use pb::scoped_routes::scope_key_builder::fragment_builder::header_value_extractor::ExtractType;
use pb::scoped_routes::scope_key_builder::{FragmentBuilder, fragment_builder};
use pb::scoped_routes::{ConfigSpecifier, ScopeKeyBuilder};
use prost::Name as _;

use super::edge::Edge;
use super::encode::{ads, own_part, reference, seconds};
use super::{early_header_mutation, http_connection_manager as hcm, http_filter, request_checks};
use crate::xds::{Reference, Resource, ResourceType};

/// Name of the manager of connections in clear, of its statistics and of its route table.
pub const HTTP: &str = "http";
/// Name of the manager of connections whose server name is a host that is named, and of the statistics of all of TLS.
pub const HTTPS: &str = "https";
/// Name of the manager of connections whose server name only a wildcard stands for.
pub const HTTPS_WILDCARD: &str = "https-wildcard";

/// The server name of the connection. Strangers can't set it, and back ends don't see it.
pub(super) const SERVER_NAME: &str = "x-isobath-server-name";
/// The key of the scope, where that is not the server name.
const SCOPE: &str = "x-isobath-scope";

/// What route tables of TLS remove.
pub(super) const PRIVATE_HEADERS: [&str; 2] = [SCOPE, SERVER_NAME];

/// All managers, which are there from the first snapshot on.
#[must_use]
pub fn all(edge: &Edge) -> [Resource; 3] {
    let routes = reference(ResourceType::Route, &Arc::from(HTTP));
    let http = HttpConnectionManager {
        route_specifier: Some(http_routes()),
        ..hcm::without_routes(HTTP, edge)
    };
    let exact = scoped(edge, &[(SERVER_NAME, "%REQUESTED_SERVER_NAME%")]);
    let wildcard = scoped(
        edge,
        &[
            (SCOPE, "%FILTER_CHAIN_NAME%"),
            (SERVER_NAME, "%REQUESTED_SERVER_NAME%"),
        ],
    );
    [
        manager(HTTP, http, BTreeSet::from([routes])),
        manager(HTTPS, exact, BTreeSet::new()),
        manager(HTTPS_WILDCARD, wildcard, BTreeSet::new()),
    ]
}

/// A manager that sets these headers, the first of which is the key of the scope.
fn scoped(edge: &Edge, headers: &[(&str, &str)]) -> HttpConnectionManager {
    let key = headers.first().map_or("", |(name, _)| name);
    let mut manager = HttpConnectionManager {
        route_specifier: Some(scopes(key)),
        ..hcm::without_routes(HTTPS, edge)
    };
    let set = early_header_mutation::set(headers);
    manager.early_header_mutation_extensions.push(set);
    manager
}

/// Routes from the table whose scope has the header's value as its key.
fn scopes(header: &str) -> RouteSpecifier {
    let extractor = fragment_builder::HeaderValueExtractor {
        name: header.to_owned(),
        extract_type: Some(ExtractType::Index(0)),
        ..Default::default()
    };
    RouteSpecifier::ScopedRoutes(pb::ScopedRoutes {
        name: HTTPS.to_owned(),
        scope_key_builder: Some(ScopeKeyBuilder {
            fragments: vec![FragmentBuilder {
                r#type: Some(fragment_builder::Type::HeaderValueExtractor(extractor)),
            }],
        }),
        rds_config_source: Some(ads()),
        config_specifier: Some(ConfigSpecifier::ScopedRds(pb::ScopedRds {
            scoped_rds_config_source: Some(ads()),
            ..Default::default()
        })),
    })
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
        http_filters: vec![request_checks::refusal(), http_filter::router()],
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

/// Routes for TLS: by the server name.
pub(super) fn https_routes() -> RouteSpecifier {
    scopes(SERVER_NAME)
}
