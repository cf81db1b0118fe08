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
use envoy_types::pb::google::protobuf::Any;
use envoy_types::util::pack_any;
use pb::HttpConnectionManager;
use pb::http_connection_manager::RouteSpecifier;
use pb::scoped_routes::scope_key_builder::fragment_builder::header_value_extractor::ExtractType;
use pb::scoped_routes::scope_key_builder::{FragmentBuilder, fragment_builder};
use pb::scoped_routes::{ConfigSpecifier, ScopeKeyBuilder};
use prost::Name as _;

use super::edge::Edge;
use super::encode::{ads, own_part, reference, seconds};
use super::private_header::{SCOPE, SERVER_NAME};
use super::{
    early_header_mutation, forwarded_certificate, http_connection_manager as hcm, http_filter,
    request_checks, scope,
};
use crate::model::Listener;
use crate::xds::{Reference, Resource, ResourceType};

pub(super) const SERVER_NAME_FORMAT: &str = "%REQUESTED_SERVER_NAME%";

/// The filter state of a connection that has the key of its scope, where its chain says it.
pub(super) const SCOPE_STATE: &str = "isobath.scope";
const SCOPE_OF_CONNECTION: &str = "%FILTER_STATE(isobath.scope:PLAIN)%";

/// What all managers call the scopes: those of one name are one subscription of Envoy's.
const SCOPES: &str = "https";

/// The managers of a listener for TLS: of connections whose server name is a host that is named, and of those whose server
/// name only a wildcard stands for. No two listeners have one name: see [`scope::prefix`].
#[must_use]
pub fn names(listener: &str) -> [Arc<str>; 2] {
    match listener == Listener::HTTPS {
        true => [listener.into(), format!("{listener}-wildcard").into()],
        false => ["exact", "wildcard"].map(|which| format!("{listener}>{which}").into()),
    }
}

/// The one manager of a listener for clear text, and its table, which no table of TLS has the name of.
#[must_use]
pub fn in_clear(listener: &str) -> Arc<str> {
    match listener == Listener::HTTP {
        true => listener.into(),
        false => format!("{listener}>http").into(),
    }
}

/// The listener whose manager has this name.
#[must_use]
pub fn listener_of(manager: &str) -> &str {
    let (listener, _) = manager.split_once('>').unwrap_or((manager, ""));
    match names(Listener::HTTPS)
        .iter()
        .any(|name| **name == *listener)
    {
        true => Listener::HTTPS,
        false => listener,
    }
}

/// The manager of a listener for clear text, whose table has its name too.
#[must_use]
pub fn http(listener: &Arc<str>, edge: &Edge) -> Resource {
    let name = in_clear(listener);
    let mut references = collector(edge);
    references.insert(reference(ResourceType::Route, &name));
    let http = HttpConnectionManager {
        route_specifier: Some(http_routes(listener)),
        ..hcm::without_routes(listener, edge)
    };
    extension(name, pack_any(http), references)
}

/// The managers of a listener for TLS.
#[must_use]
pub fn tls(listener: &str, edge: &Edge) -> [Resource; 2] {
    let server_name = (SERVER_NAME, SERVER_NAME_FORMAT.to_owned());
    let scope = |format| (SCOPE, format!("{}{format}", scope::prefix(listener)));
    let exact = match scope_header(listener) {
        SERVER_NAME => vec![server_name.clone()],
        _ => vec![scope(SERVER_NAME_FORMAT), server_name.clone()],
    };
    let wildcard = vec![scope("%FILTER_CHAIN_NAME%"), server_name];
    let [exact_name, wildcard_name] = names(listener);
    [(exact_name, exact), (wildcard_name, wildcard)].map(|(name, headers)| {
        let of = hcm::without_routes(listener, edge);
        let mut manager = pack_any(scoped(of, &headers));
        manager.value.extend(forwarded_certificate::of_manager());
        extension(name, manager, collector(edge))
    })
}

/// The manager of a listener for TLS over QUIC, of all its connections. Their chains say which scope they have
/// ([`super::http3`]), and each has it in its own bytes: Envoy takes no filter there that is to come later (1.40).
pub(super) fn over_quic(listener: &str, edge: &Edge) -> Filter {
    let scope = format!("{}{SCOPE_OF_CONNECTION}", scope::prefix(listener));
    let headers = [(SCOPE, scope), (SERVER_NAME, SERVER_NAME_FORMAT.to_owned())];
    hcm::filter(scoped(hcm::over_quic(listener, edge), &headers))
}

/// What traces are sent to. Envoy refuses a manager whose collector it does not know.
pub(super) fn collector(edge: &Edge) -> BTreeSet<Reference> {
    let clusters = edge.tracing.iter().map(|it| it.collector.cluster());
    clusters
        .map(|cluster| reference(ResourceType::Cluster, cluster))
        .collect()
}

/// The header that has the key of the scope where the server name is that of a host.
fn scope_header(listener: &str) -> &'static str {
    match scope::prefix(listener).is_empty() {
        true => SERVER_NAME,
        false => SCOPE,
    }
}

/// The manager with these headers set, the first of which is the key of the scope.
fn scoped(of: HttpConnectionManager, headers: &[(&str, String)]) -> HttpConnectionManager {
    let key = headers.first().map_or("", |(name, _)| name);
    let mut manager = HttpConnectionManager {
        route_specifier: Some(scopes(key)),
        ..of
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
        name: SCOPES.to_owned(),
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

fn extension(name: Arc<str>, manager: Any, references: BTreeSet<Reference>) -> Resource {
    let extension = core::TypedExtensionConfig {
        name: name.to_string(),
        typed_config: Some(manager),
    };
    Resource::whole(name, own_part(&extension, references))
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
pub(super) fn http_routes(listener: &str) -> RouteSpecifier {
    hcm::rds(&in_clear(listener))
}

/// Routes for TLS: by the server name.
pub(super) fn tls_routes(listener: &str) -> RouteSpecifier {
    scopes(scope_header(listener))
}
