//! Scopes instead of one table (SRDS), and connection managers that ask for them.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use envoy_types::pb::envoy::config::common::mutation_rules::v3::{HeaderMutation, header_mutation};
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{
    HeaderValue, HeaderValueOption, TypedExtensionConfig,
};
use envoy_types::pb::envoy::config::listener::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::ScopedRouteConfiguration;
use envoy_types::pb::envoy::config::route::v3::scoped_route_configuration::{Key, key};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::envoy::extensions::http::early_header_mutation::header_mutation::v3 as early;
use envoy_types::util::pack_any;
use hcm::http_connection_manager::RouteSpecifier;
use hcm::scoped_routes::scope_key_builder::fragment_builder::header_value_extractor::ExtractType;
use hcm::scoped_routes::scope_key_builder::{FragmentBuilder, fragment_builder};
use hcm::scoped_routes::{ConfigSpecifier, ScopeKeyBuilder};
use prost::Message as _;

use super::inline::ads;

/// The scope that leads a key to a table.
pub fn scope(value: &str, table: &str) -> Bytes {
    let fragment = key::Fragment {
        r#type: Some(key::fragment::Type::StringKey(value.to_owned())),
    };
    let scope = ScopedRouteConfiguration {
        name: value.to_owned(),
        route_configuration_name: table.to_owned(),
        key: Some(Key {
            fragments: vec![fragment],
        }),
        ..ScopedRouteConfiguration::default()
    };
    scope.encode_to_vec().into()
}

/// The listener (or fragment of one) with other connection managers.
pub fn with_managers(
    listener: &Bytes,
    edit: impl Fn(&mut hcm::HttpConnectionManager),
) -> Result<Bytes> {
    let mut listener = pb::Listener::decode(listener.clone())?;
    let chains = listener.filter_chains.iter_mut();
    for filter in chains.flat_map(|chain| &mut chain.filters) {
        let Some(pb::filter::ConfigType::TypedConfig(any)) = &mut filter.config_type else {
            bail!("a filter without configuration");
        };
        let mut manager = hcm::HttpConnectionManager::decode(&*any.value)?;
        edit(&mut manager);
        *any = pack_any(manager);
    }
    Ok(listener.encode_to_vec().into())
}

/// The listener (or fragment of one) with scopes by a header instead of one table; `value` is what the header is set to before.
pub fn scoped_by(listener: &Bytes, header: &str, value: Option<&str>) -> Result<Bytes> {
    with_managers(listener, |manager| set_scopes(manager, header, value))
}

/// A manager by ECDS with scopes by a header instead of one table; `value` is what the header is set to before.
pub fn extension_scoped_by(extension: &Bytes, header: &str, value: Option<&str>) -> Result<Bytes> {
    let mut extension = TypedExtensionConfig::decode(extension.clone())?;
    let any = extension.typed_config.as_mut();
    let any = any.context("an extension without configuration")?;
    let mut manager = hcm::HttpConnectionManager::decode(&*any.value)?;
    set_scopes(&mut manager, header, value);
    *any = pack_any(manager);
    Ok(extension.encode_to_vec().into())
}

fn set_scopes(manager: &mut hcm::HttpConnectionManager, header: &str, value: Option<&str>) {
    let extractor = fragment_builder::HeaderValueExtractor {
        name: header.to_owned(),
        extract_type: Some(ExtractType::Index(0)),
        ..Default::default()
    };
    manager.route_specifier = Some(RouteSpecifier::ScopedRoutes(hcm::ScopedRoutes {
        name: "scopes".to_owned(),
        scope_key_builder: Some(ScopeKeyBuilder {
            fragments: vec![FragmentBuilder {
                r#type: Some(fragment_builder::Type::HeaderValueExtractor(extractor)),
            }],
        }),
        rds_config_source: Some(ads()),
        config_specifier: Some(ConfigSpecifier::ScopedRds(hcm::ScopedRds {
            scoped_rds_config_source: Some(ads()),
            srds_resources_locator: String::new(),
        })),
    }));
    let Some(value) = value else {
        return;
    };
    let set = HeaderValueOption {
        header: Some(HeaderValue {
            key: header.to_owned(),
            value: value.to_owned(),
            ..HeaderValue::default()
        }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    };
    let mutation = HeaderMutation {
        action: Some(header_mutation::Action::Append(set)),
    };
    let mutations = TypedExtensionConfig {
        name: "envoy.http.early_header_mutation.header_mutation".to_owned(),
        typed_config: Some(pack_any(early::HeaderMutation {
            mutations: vec![mutation],
        })),
    };
    manager.early_header_mutation_extensions.push(mutations);
}
