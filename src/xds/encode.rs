//! A response as a gRPC message: what is its own in memory of just its size, and between it the pieces of resources, whose
//! memory all clients share. In one piece of memory a table of ten thousand hosts would be copied for each client.

use bytes::{BufMut, Bytes};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use super::{Resource, wire};

/// Before each message: whether it is compressed, and its length (gRPC over HTTP/2, "Length-Prefixed-Message").
pub const PREFIX: usize = 5;

/// From so many bytes on a piece is shared and not copied: each memory of a message is a frame of its own on the wire, and a
/// fleet of hosts under TLS has a small table each.
const SHARED: usize = 16 << 10;

/// A message in the pieces of memory that it has, in order, its prefix included.
pub type Message = Vec<Bytes>;

/// A message while it is written, field by field.
pub struct Encoder {
    done: Vec<Memory>,
    own: Vec<u8>,
}

enum Memory {
    Own(Vec<u8>),
    Shared(Bytes),
}

/// The length of a field that has a length itself, number and length included.
pub fn field_length(number: u32, length: usize) -> usize {
    key_len(number) + encoded_len_varint(as_u64(length)) + length
}

/// How much of a resource's encoded message is copied.
pub fn copied_length(resource: &Resource) -> usize {
    let copied = resource
        .pieces()
        .map(Bytes::len)
        .filter(|piece| *piece < SHARED);
    resource.head().bytes.len() + copied.sum::<usize>()
}

/// The length of the `Any` of a resource.
pub fn any_length(resource: &Resource, type_url: &str) -> usize {
    field_length(wire::Any::TYPE_URL, type_url.len())
        + field_length(wire::Any::VALUE, resource.length())
}

impl Encoder {
    /// With memory for so many bytes that are the message's own.
    pub fn with_capacity(own: usize) -> Self {
        let mut own = Vec::with_capacity(PREFIX + own);
        own.put_bytes(0, PREFIX);
        Self {
            done: Vec::new(),
            own,
        }
    }

    /// Begins a field of so many bytes.
    pub fn field(&mut self, number: u32, length: usize) {
        encode_key(number, WireType::LengthDelimited, &mut self.own);
        encode_varint(as_u64(length), &mut self.own);
    }

    /// A field that is text.
    pub fn text(&mut self, number: u32, text: &str) {
        self.field(number, text.len());
        self.own.put_slice(text.as_bytes());
    }

    /// The fields of the `Any` of a resource.
    pub fn any(&mut self, resource: &Resource, type_url: &str) {
        self.text(wire::Any::TYPE_URL, type_url);
        self.field(wire::Any::VALUE, resource.length());
        resource.head().bytes.put_into(&mut self.own);
        for piece in resource.pieces() {
            if piece.len() < SHARED {
                self.own.put_slice(piece);
                continue;
            }
            if !self.own.is_empty() {
                let mut own = std::mem::take(&mut self.own);
                // It has room for what comes behind the piece as well.
                own.shrink_to_fit();
                self.done.push(Memory::Own(own));
            }
            self.done.push(Memory::Shared(piece.clone()));
        }
    }

    /// The message; `None` for one of 4 GiB and more, of which gRPC can't say the length.
    pub fn finish(mut self) -> Option<Message> {
        self.done.push(Memory::Own(self.own));
        let lengths = self.done.iter().map(|memory| match memory {
            Memory::Own(own) => own.len(),
            Memory::Shared(shared) => shared.len(),
        });
        let length = u32::try_from(lengths.sum::<usize>() - PREFIX).ok()?;
        if let Some(Memory::Own(first)) = self.done.first_mut() {
            first.splice(1..PREFIX, length.to_be_bytes());
        }
        let done = self.done.into_iter().map(|memory| match memory {
            Memory::Own(own) => own.into(),
            Memory::Shared(shared) => shared,
        });
        Some(done.filter(|bytes: &Bytes| !bytes.is_empty()).collect())
    }
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::sync::Arc;

    use envoy_types::pb::envoy::config::core::v3::ControlPlane;
    use envoy_types::pb::envoy::service::discovery::v3 as discovery;
    use envoy_types::pb::google::protobuf::Any;
    use prost::Message as _;

    use super::*;
    use crate::xds::delta::Delta;
    use crate::xds::message::{Protocol, Response};
    use crate::xds::sotw::Sotw;
    use crate::xds::{Part, ResourceType};

    fn part(length: usize) -> Part {
        Part {
            bytes: vec![7; length].into(),
            references: Arc::new([]),
            owners: Arc::new([]),
        }
    }

    /// A resource of a head and so many parts, each a tenth of a piece or so.
    fn resource(name: &str, head: usize, parts: usize) -> Arc<Resource> {
        let parts = (0..parts).map(|n| (Arc::from(n.to_string()), Arc::new(part(3000 + n))));
        Arc::new(Resource::composite(
            name.into(),
            part(head),
            parts.collect(),
        ))
    }

    fn response(resources: Vec<Arc<Resource>>, removed: &[&str]) -> Response {
        Response {
            resource_type: ResourceType::Route,
            nonce: 77,
            version: "0123456789abcdef".into(),
            resources,
            removed: removed.iter().map(|name| (*name).into()).collect(),
        }
    }

    fn any(resource: &Resource) -> Any {
        Any {
            type_url: ResourceType::Route.type_url().to_owned(),
            value: resource.bytes().into(),
        }
    }

    fn control_plane() -> Option<ControlPlane> {
        Some(ControlPlane {
            identifier: "me".to_owned(),
        })
    }

    fn delta(response: &Response) -> Vec<u8> {
        let resources = response
            .resources
            .iter()
            .map(|resource| discovery::Resource {
                name: resource.name().to_string(),
                version: resource.version().to_string(),
                resource: Some(any(resource)),
                ..Default::default()
            });
        let message = discovery::DeltaDiscoveryResponse {
            system_version_info: response.version.to_string(),
            resources: resources.collect(),
            type_url: response.resource_type.type_url().to_owned(),
            nonce: "77".to_owned(),
            removed_resources: response.removed.iter().map(ToString::to_string).collect(),
            control_plane: control_plane(),
            ..Default::default()
        };
        message.encode_to_vec()
    }

    fn sotw(response: &Response) -> Vec<u8> {
        let message = discovery::DiscoveryResponse {
            version_info: response.version.to_string(),
            resources: response
                .resources
                .iter()
                .map(|resource| any(resource))
                .collect(),
            type_url: response.resource_type.type_url().to_owned(),
            nonce: "77".to_owned(),
            control_plane: control_plane(),
            ..Default::default()
        };
        message.encode_to_vec()
    }

    /// Byte by byte what the generated types make, whatever is in pieces and whatever is not.
    fn check<P: Protocol>(response: &Response, generated: fn(&Response) -> Vec<u8>) {
        let message = P::encode(response, "me").unwrap();
        let all = message.concat();
        let (prefix, rest) = all.split_first_chunk::<PREFIX>().unwrap();
        assert!(rest == generated(response), "{:?}", P::VARIANT);
        let length = u32::try_from(rest.len()).unwrap().to_be_bytes();
        assert_eq!((prefix[0], &prefix[1..]), (0, &length[..]));
        // What is small is sent as one frame, and nobody copies what is large.
        let pieces = response.resources.iter().flat_map(|of| of.pieces());
        let (shared, copied): (Vec<_>, Vec<_>) = pieces.partition(|piece| piece.len() >= SHARED);
        let is_in = |piece: &&Bytes| message.iter().any(|of| of.as_ptr() == piece.as_ptr());
        assert!(shared.iter().all(is_in) && !copied.iter().any(is_in));
        assert!(message.len() <= 2 * shared.len() + 1);
    }

    #[test]
    fn messages_are_those_of_envoy() {
        for resources in [
            vec![],
            vec![resource("a", 3, 0)],
            vec![resource("a", 3, 0), resource("b", 70_000, 0)],
            vec![resource("a", 3, 2), resource("b", 200, 0)],
            (0..20).map(|n| resource(&n.to_string(), 30, 1)).collect(),
            vec![
                resource("a", 300, 0),
                resource("b", 3, 100),
                resource("c", 3, 40),
            ],
        ] {
            for removed in [&[][..], &["gone", "gone/too"]] {
                let response = response(resources.clone(), removed);
                check::<Delta>(&response, delta);
                check::<Sotw>(&response, sotw);
            }
        }
    }

    /// A resource that follows another one has the pieces of that one in which nothing differs, and the version that it
    /// would have by itself.
    #[test]
    fn a_resource_follows_another() {
        let old = resource("a", 3, 400);
        let version = old.version().clone();
        let mut parts = old.parts().clone();
        parts.insert("200".into(), Arc::new(part(12)));
        let alone = Resource::composite("a".into(), part(3), parts.clone());
        // One in between that nobody is sent.
        let between =
            Resource::composite("a".into(), part(3), old.parts().without("7")).after(&old);
        for before in [&*old, &between] {
            let new = Resource::composite("a".into(), part(3), parts.clone()).after(before);
            assert_eq!(
                (new.bytes(), new.version()),
                (alone.bytes(), alone.version())
            );
            assert_ne!(*new.version(), version);
            assert!(new == alone && new != *old);
            let is_old = |piece: &&Bytes| old.pieces().any(|old| old.as_ptr() == piece.as_ptr());
            let shared = new.pieces().filter(is_old).count();
            assert_eq!(shared + 1, new.pieces().count());
        }
    }
}
