//! What the chain of a connection says of it: text that requests are told apart by, and that strangers can't reach.

use envoy_types::pb::envoy::config::core::v3::substitution_format_string::Format;
use envoy_types::pb::envoy::config::core::v3::{
    DataSource, SubstitutionFormatString, data_source::Specifier,
};
use envoy_types::pb::envoy::config::listener::v3::{Filter, filter::ConfigType};
use envoy_types::pb::envoy::extensions::filters::common::set_filter_state::v3 as state;
use envoy_types::pb::envoy::extensions::filters::network::set_filter_state::v3::Config;
use envoy_types::util::pack_any;
use state::filter_state_value::{Key, Value};

/// Sets the key of each connection to a format.
pub(super) fn set(key: &str, format: String) -> Filter {
    let text = DataSource {
        specifier: Some(Specifier::InlineString(format)),
        ..Default::default()
    };
    let value = state::FilterStateValue {
        factory_key: "envoy.string".to_owned(),
        key: Some(Key::ObjectKey(key.to_owned())),
        value: Some(Value::FormatString(SubstitutionFormatString {
            format: Some(Format::TextFormatSource(text)),
            ..Default::default()
        })),
        ..Default::default()
    };
    let config = Config {
        on_new_connection: vec![value],
        ..Default::default()
    };
    Filter {
        name: "envoy.filters.network.set_filter_state".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack_any(config))),
    }
}
