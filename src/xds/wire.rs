//! The messages of the two variants as they travel, and nothing of them that Isobath does not use.
//!
//! Own definitions instead of generated ones for two reasons: `Any.value` is shared bytes here, so that one
//! serialisation of a resource serves every stream; and a request is decoded without the parts of `Node` that
//! nobody reads. Field numbers are those of `envoy/service/discovery/v3/discovery.proto`; a test compares both.
//! None of these types prints its contents: a resource may be a private key, and so may the text of a refusal.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use prost::DecodeError;
use prost::encoding::{DecodeContext, decode_key, skip_field};

/// `envoy.config.core.v3.Node`: who the client says it is. A name for logs, never an authentication.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Node {
    /// Its identifier.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Its program.
    #[prost(string, tag = "6")]
    pub user_agent_name: String,
    /// The program's version.
    #[prost(message, optional, tag = "8")]
    pub user_agent_build_version: Option<BuildVersion>,
}

/// `envoy.config.core.v3.BuildVersion`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BuildVersion {
    /// The version.
    #[prost(message, optional, tag = "1")]
    pub version: Option<SemanticVersion>,
}

/// `envoy.type.v3.SemanticVersion`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SemanticVersion {
    /// The first number.
    #[prost(uint32, tag = "1")]
    pub major_number: u32,
    /// The second.
    #[prost(uint32, tag = "2")]
    pub minor_number: u32,
    /// The third.
    #[prost(uint32, tag = "3")]
    pub patch: u32,
}

/// A request, whose names are counted before they are decoded: an empty one is 2 bytes on the wire and 24 and more in
/// memory.
pub trait Request: prost::Message + Default {
    /// The numbers of the fields that are lists of names.
    const LISTS: &'static [u32];
}

/// How many names a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameCount {
    /// In the longest of its lists.
    pub of_longest_list: usize,
    /// In all of them.
    pub all: usize,
}

/// How many entries these lists have in an encoded message.
///
/// # Errors
///
/// If the bytes are no message.
pub fn count_names(mut bytes: &[u8], lists: &[u32]) -> Result<NameCount, DecodeError> {
    let mut counts = vec![0; lists.len()];
    while !bytes.is_empty() {
        let (tag, wire_type) = decode_key(&mut bytes)?;
        let of_list = lists.iter().position(|list| *list == tag);
        if let Some(count) = of_list.and_then(|list| counts.get_mut(list)) {
            *count += 1;
        }
        skip_field(wire_type, tag, &mut bytes, DecodeContext::default())?;
    }
    Ok(NameCount {
        of_longest_list: counts.iter().copied().max().unwrap_or_default(),
        all: counts.into_iter().sum(),
    })
}

/// `google.rpc.Status`: why a response was refused.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct Status {
    /// The gRPC code.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// The reason. For a Secret it can quote the whole Secret.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// `DeltaDiscoveryRequest`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct DeltaDiscoveryRequest {
    /// Who asks; surely there in the first request of a stream only.
    #[prost(message, optional, tag = "1")]
    pub node: Option<Node>,
    /// The type asked for.
    #[prost(string, tag = "2")]
    pub type_url: String,
    /// Names to add to the subscription.
    #[prost(string, repeated, tag = "3")]
    pub resource_names_subscribe: Vec<String>,
    /// Names to take out of it.
    #[prost(string, repeated, tag = "4")]
    pub resource_names_unsubscribe: Vec<String>,
    /// What the client says it holds from an earlier stream.
    #[prost(btree_map = "string, string", tag = "5")]
    pub initial_resource_versions: BTreeMap<String, String>,
    /// The response that this acknowledges or refuses, if any.
    #[prost(string, tag = "6")]
    pub response_nonce: String,
    /// Present: a refusal.
    #[prost(message, optional, tag = "7")]
    pub error_detail: Option<Status>,
}

impl Request for DeltaDiscoveryRequest {
    const LISTS: &'static [u32] = &[3, 4, 5];
}

/// `DiscoveryRequest`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct DiscoveryRequest {
    /// The last version that the client took.
    #[prost(string, tag = "1")]
    pub version_info: String,
    /// Who asks; surely there in the first request of a stream only.
    #[prost(message, optional, tag = "2")]
    pub node: Option<Node>,
    /// The whole subscription.
    #[prost(string, repeated, tag = "3")]
    pub resource_names: Vec<String>,
    /// The type asked for.
    #[prost(string, tag = "4")]
    pub type_url: String,
    /// The last response that the client received.
    #[prost(string, tag = "5")]
    pub response_nonce: String,
    /// Present: a refusal.
    #[prost(message, optional, tag = "6")]
    pub error_detail: Option<Status>,
}

impl Request for DiscoveryRequest {
    const LISTS: &'static [u32] = &[3];
}

/// `envoy.config.core.v3.ControlPlane`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ControlPlane {
    /// Which process answered.
    #[prost(string, tag = "1")]
    pub identifier: String,
}

/// `google.protobuf.Any` with shared bytes.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct Any {
    /// The type of the message in it.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The encoded message.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

impl Any {
    /// The number of [`Self::type_url`].
    pub const TYPE_URL: u32 = 1;
    /// The number of [`Self::value`].
    pub const VALUE: u32 = 2;
}

/// `envoy.service.discovery.v3.Resource`. There is no time to live: a resource of an ingress must outlive its
/// control plane.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct Resource {
    /// The hash of its bytes.
    #[prost(string, tag = "1")]
    pub version: String,
    /// The message.
    #[prost(message, optional, tag = "2")]
    pub resource: Option<Any>,
    /// Its name.
    #[prost(string, tag = "3")]
    pub name: String,
}

/// `DeltaDiscoveryResponse`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct DeltaDiscoveryResponse {
    /// For people who debug; clients do not use it.
    #[prost(string, tag = "1")]
    pub system_version_info: String,
    /// New, changed or asked for.
    #[prost(message, repeated, tag = "2")]
    pub resources: Vec<Resource>,
    /// The type of all of them.
    #[prost(string, tag = "4")]
    pub type_url: String,
    /// What the acknowledgement will carry.
    #[prost(string, tag = "5")]
    pub nonce: String,
    /// Names that do not exist.
    #[prost(string, repeated, tag = "6")]
    pub removed_resources: Vec<String>,
    /// Which process answered.
    #[prost(message, optional, tag = "7")]
    pub control_plane: Option<ControlPlane>,
}

/// `DiscoveryResponse`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct DiscoveryResponse {
    /// The version of this response.
    #[prost(string, tag = "1")]
    pub version_info: String,
    /// For LDS and CDS all of them, else new, changed or asked for.
    #[prost(message, repeated, tag = "2")]
    pub resources: Vec<Any>,
    /// The type of all of them.
    #[prost(string, tag = "4")]
    pub type_url: String,
    /// What the acknowledgement will carry.
    #[prost(string, tag = "5")]
    pub nonce: String,
    /// Which process answered.
    #[prost(message, optional, tag = "6")]
    pub control_plane: Option<ControlPlane>,
}

/// `ScopedRouteConfiguration` with a key of one text, which is the scope's name: the form that all scopes have here.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ScopedTable {
    /// The scope.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The table that it leads to.
    #[prost(string, tag = "2")]
    pub table: String,
    /// Its key.
    #[prost(message, optional, tag = "3")]
    pub key: Option<ScopeKey>,
}

impl ScopedTable {
    /// The scope of that name.
    #[must_use]
    pub fn new(name: &str, table: &str) -> Self {
        let fragments = vec![ScopeKeyFragment {
            string_key: Some(name.to_owned()),
        }];
        Self {
            name: name.to_owned(),
            table: table.to_owned(),
            key: Some(ScopeKey { fragments }),
        }
    }
}

/// `ScopedRouteConfiguration.Key`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ScopeKey {
    /// What requests are asked for, in order.
    #[prost(message, repeated, tag = "1")]
    pub fragments: Vec<ScopeKeyFragment>,
}

/// `ScopedRouteConfiguration.Key.Fragment`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ScopeKeyFragment {
    /// A text.
    #[prost(string, optional, tag = "1")]
    pub string_key: Option<String>,
}

/// A message with a name in field 1, as `RouteConfiguration` and `ClusterLoadAssignment` both are. But for this and
/// [`ScopedTable`] nothing is known here of any resource's contents.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Named {
    /// The name.
    #[prost(string, tag = "1")]
    pub name: String,
}

macro_rules! silent {
    ($($message:ident),*) => {$(
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($message)).finish_non_exhaustive()
            }
        }
    )*};
}

silent!(
    Status,
    DeltaDiscoveryRequest,
    DiscoveryRequest,
    Any,
    Resource,
    DeltaDiscoveryResponse,
    DiscoveryResponse
);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use envoy_types::pb::envoy::config::core::v3 as core;
    use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;
    use envoy_types::pb::envoy::service::discovery::v3 as discovery;
    use envoy_types::pb::envoy::r#type::v3::SemanticVersion as GeneratedVersion;
    use envoy_types::pb::google::protobuf::Any as GeneratedAny;
    use envoy_types::pb::google::rpc::Status as GeneratedStatus;
    use prost::Message;

    use super::*;

    /// Ours encoded and decoded as the generated type, and back: the bytes must be equal both ways.
    fn check<G: Message + Default + PartialEq, O: Message + Default + PartialEq>(
        generated: &G,
        ours: &O,
    ) {
        assert!(G::decode(&*ours.encode_to_vec()).unwrap() == *generated);
        assert!(O::decode(&*generated.encode_to_vec()).unwrap() == *ours);
    }

    #[test]
    fn requests_are_those_of_envoy() {
        check(
            &discovery::DeltaDiscoveryRequest {
                node: Some(core::Node {
                    id: "node".into(),
                    user_agent_name: "envoy".into(),
                    user_agent_version_type: Some(UserAgentVersionType::UserAgentBuildVersion(
                        core::BuildVersion {
                            version: Some(GeneratedVersion {
                                major_number: 1,
                                minor_number: 40,
                                patch: 2,
                            }),
                            metadata: None,
                        },
                    )),
                    ..Default::default()
                }),
                type_url: "type".into(),
                resource_names_subscribe: vec!["a".into()],
                resource_names_unsubscribe: vec!["b".into()],
                initial_resource_versions: [("c".into(), "1".into())].into(),
                response_nonce: "7".into(),
                error_detail: Some(GeneratedStatus {
                    code: 13,
                    message: "bad".into(),
                    details: vec![],
                }),
                ..Default::default()
            },
            &DeltaDiscoveryRequest {
                node: Some(Node {
                    id: "node".into(),
                    user_agent_name: "envoy".into(),
                    user_agent_build_version: Some(BuildVersion {
                        version: Some(SemanticVersion {
                            major_number: 1,
                            minor_number: 40,
                            patch: 2,
                        }),
                    }),
                }),
                type_url: "type".into(),
                resource_names_subscribe: vec!["a".into()],
                resource_names_unsubscribe: vec!["b".into()],
                initial_resource_versions: [("c".into(), "1".into())].into(),
                response_nonce: "7".into(),
                error_detail: Some(Status {
                    code: 13,
                    message: "bad".into(),
                }),
            },
        );
        check(
            &discovery::DiscoveryRequest {
                version_info: "1".into(),
                resource_names: vec!["a".into()],
                type_url: "type".into(),
                response_nonce: "7".into(),
                ..Default::default()
            },
            &DiscoveryRequest {
                version_info: "1".into(),
                node: None,
                resource_names: vec!["a".into()],
                type_url: "type".into(),
                response_nonce: "7".into(),
                error_detail: None,
            },
        );
    }

    /// X-31 too: the generated types have a time to live, and it is not set.
    #[test]
    fn responses_are_those_of_envoy() {
        let control_plane = core::ControlPlane {
            identifier: "me".into(),
        };
        let any = GeneratedAny {
            type_url: "type".into(),
            value: b"bytes".to_vec(),
        };
        let our_any = Any {
            type_url: "type".into(),
            value: Bytes::from_static(b"bytes"),
        };
        check(
            &discovery::DeltaDiscoveryResponse {
                system_version_info: "1".into(),
                resources: vec![discovery::Resource {
                    name: "a".into(),
                    version: "2".into(),
                    resource: Some(any.clone()),
                    ttl: None,
                    ..Default::default()
                }],
                type_url: "type".into(),
                removed_resources: vec!["b".into()],
                nonce: "7".into(),
                control_plane: Some(control_plane.clone()),
                ..Default::default()
            },
            &DeltaDiscoveryResponse {
                system_version_info: "1".into(),
                resources: vec![Resource {
                    name: "a".into(),
                    version: "2".into(),
                    resource: Some(our_any.clone()),
                }],
                type_url: "type".into(),
                removed_resources: vec!["b".into()],
                nonce: "7".into(),
                control_plane: Some(ControlPlane {
                    identifier: "me".into(),
                }),
            },
        );
        check(
            &discovery::DiscoveryResponse {
                version_info: "1".into(),
                resources: vec![any],
                type_url: "type".into(),
                nonce: "7".into(),
                control_plane: Some(control_plane),
                ..Default::default()
            },
            &DiscoveryResponse {
                version_info: "1".into(),
                resources: vec![our_any],
                type_url: "type".into(),
                nonce: "7".into(),
                control_plane: Some(ControlPlane {
                    identifier: "me".into(),
                }),
            },
        );
    }

    /// The lists of both requests are counted, and what is no message is told.
    #[test]
    fn names_are_counted_before_they_are_decoded() {
        let names = |count: usize| vec![String::new(); count];
        let delta = |subscribe, unsubscribe, claimed: usize| DeltaDiscoveryRequest {
            type_url: "type".into(),
            resource_names_subscribe: names(subscribe),
            resource_names_unsubscribe: names(unsubscribe),
            initial_resource_versions: (0..claimed)
                .map(|n| (n.to_string(), String::new()))
                .collect(),
            ..Default::default()
        };
        for (request, of_longest_list, all) in [
            (delta(0, 0, 0), 0, 0),
            (delta(3, 1, 2), 3, 6),
            (delta(1, 30, 2), 30, 33),
            (delta(1, 2, 300), 300, 303),
        ] {
            let bytes = request.encode_to_vec();
            let counted = count_names(&bytes, DeltaDiscoveryRequest::LISTS).unwrap();
            let expected = NameCount {
                of_longest_list,
                all,
            };
            assert_eq!(counted, expected);
        }
        let sotw = DiscoveryRequest {
            resource_names: names(7),
            ..Default::default()
        };
        let bytes = sotw.encode_to_vec();
        let lists = DiscoveryRequest::LISTS;
        assert_eq!(count_names(&bytes, lists).unwrap().all, 7);
        assert!(count_names(&[0xff], lists).is_err());
    }

    #[test]
    fn nothing_secret_is_printed() {
        let any = Any {
            type_url: "type".into(),
            value: Bytes::from_static(b"PRIVATE"),
        };
        let status = Status {
            code: 3,
            message: "PRIVATE".into(),
        };
        assert!(!format!("{any:?} {status:?}").contains("PRIVATE"));
    }
}
