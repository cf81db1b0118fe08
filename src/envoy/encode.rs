//! Small pieces that every rendering needs: wrapped scalars, extensions, parts.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::SdsSecretConfig;
use envoy_types::pb::google::protobuf;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::model::ObjectRef;
use crate::xds::{Encoded, Part, Reference, ResourceType};

/// Ten years. Envoy refuses a whole response over a duration that its clocks can't hold, and objects can ask for any.
const LONGEST: Duration = Duration::from_secs(315_360_000);

/// A text where Envoy could read a file as well.
pub(super) fn inline_text(text: &str) -> core::DataSource {
    core::DataSource {
        specifier: Some(core::data_source::Specifier::InlineString(text.to_owned())),
        ..Default::default()
    }
}

/// An encoded message (or fragment of one) as a part.
pub(super) fn part(
    message: &impl Message,
    references: BTreeSet<Reference>,
    owners: BTreeSet<&ObjectRef>,
) -> Part {
    encoded_part(message.encode_to_vec(), references, owners)
}

/// A fragment that is already encoded as a part.
pub(super) fn encoded_part(
    bytes: impl Into<Encoded>,
    references: BTreeSet<Reference>,
    owners: BTreeSet<&ObjectRef>,
) -> Part {
    let owners = owners.into_iter();
    Part {
        bytes: bytes.into(),
        references: slice(references.into_iter()),
        owners: slice(owners.map(|owner| Arc::from(owner.to_string()))),
    }
}

/// Most parts lack one or the other: the empty slice is one for all of them, where collecting would make it anew.
fn slice<T>(items: impl ExactSizeIterator<Item = T>) -> Arc<[T]> {
    match items.len() {
        0 => Arc::default(),
        _ => items.collect(),
    }
}

/// A part that no object owns.
pub(super) fn own_part(message: &impl Message, references: BTreeSet<Reference>) -> Part {
    part(message, references, BTreeSet::new())
}

pub(super) fn reference(resource_type: ResourceType, name: &Arc<str>) -> Reference {
    Reference {
        resource_type,
        name: name.clone(),
    }
}

/// "From the stream that this resource came by". **These bytes are an ABI** (a golden test freezes them): Envoy keys
/// subscriptions by them, and a change makes it subscribe anew to names that it already holds.
///
/// `initial_fetch_timeout` stays at Envoy's 15 s: with 0 one missing secret or table would hold all others.
pub(super) fn ads() -> core::ConfigSource {
    core::ConfigSource {
        resource_api_version: core::ApiVersion::V3.into(),
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
            core::AggregatedConfigSource::default(),
        )),
        ..Default::default()
    }
}

/// A secret by its name, and never inline: what is in a Secret can change without a change of a listener or cluster, which
/// would close connections.
pub(super) fn sds(name: &Arc<str>) -> SdsSecretConfig {
    SdsSecretConfig {
        name: name.to_string(),
        sds_config: Some(ads()),
    }
}

/// An address to listen on. `[::]` takes IPv4 as well, as everybody expects of it.
pub(super) fn listen_address(address: SocketAddr) -> core::Address {
    let mut address_pb = socket_address(address.ip().to_string(), address.port());
    address_pb.ipv4_compat = address.is_ipv6() && address.ip().is_unspecified();
    core::Address {
        address: Some(core::address::Address::SocketAddress(address_pb)),
    }
}

/// The same for datagrams.
pub(super) fn listen_datagrams(address: SocketAddr) -> core::Address {
    let mut address = listen_address(address);
    if let Some(core::address::Address::SocketAddress(address)) = &mut address.address {
        address.protocol = core::socket_address::Protocol::Udp.into();
    }
    address
}

/// An address to connect to: an IP address or a DNS name.
pub(super) fn peer_address(host: String, port: u16) -> core::Address {
    core::Address {
        address: Some(core::address::Address::SocketAddress(socket_address(
            host, port,
        ))),
    }
}

fn socket_address(address: String, port: u16) -> core::SocketAddress {
    core::SocketAddress {
        address,
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port.into())),
        ..Default::default()
    }
}

pub(super) const fn u32_value(value: u32) -> Option<protobuf::UInt32Value> {
    Some(protobuf::UInt32Value { value })
}

pub(super) const fn u64_value(value: u64) -> protobuf::UInt64Value {
    protobuf::UInt64Value { value }
}

pub(super) const fn bool_value(value: bool) -> Option<protobuf::BoolValue> {
    Some(protobuf::BoolValue { value })
}

pub(super) fn duration(value: Duration) -> Option<protobuf::Duration> {
    let value = value.min(LONGEST);
    Some(protobuf::Duration {
        seconds: value.as_secs().cast_signed(),
        nanos: value.subsec_nanos().cast_signed(),
    })
}

pub(super) fn seconds(value: u64) -> Option<protobuf::Duration> {
    duration(Duration::from_secs(value))
}

/// A `google.protobuf.Struct` of text, encoded in the order of `fields`. The generated type keeps a hash map, whose
/// order is random; one entry at a time has only one order.
pub(super) fn struct_bytes(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.extend(text_struct(name, value).encode_to_vec());
    }
    bytes
}

/// A `google.protobuf.Struct` of one text.
pub(super) fn text_struct(name: &str, value: &str) -> protobuf::Struct {
    let value = protobuf::Value {
        kind: Some(protobuf::value::Kind::StringValue(value.to_owned())),
    };
    protobuf::Struct {
        fields: [(name.to_owned(), value)].into(),
    }
}

/// A length-delimited field around bytes that are already encoded.
pub(super) fn nested(tag: u32, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len();
    let head = key_len(tag) + encoded_len_varint(length as u64);
    let mut field = Vec::with_capacity(head + length);
    encode_key(tag, WireType::LengthDelimited, &mut field);
    encode_varint(length as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}
