//! One xDS resource: encoded bytes, a version that is their hash, and what they refer to.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};
use imbl::OrdMap;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// The types that Isobath serves. **The order is the order of a push**: make before break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// CDS.
    Cluster,
    /// EDS.
    Endpoint,
    /// LDS.
    Listener,
    /// RDS.
    Route,
    /// SDS.
    Secret,
}

impl ResourceType {
    /// All types in the order of a push.
    pub const ALL: [Self; 5] = [
        Self::Cluster,
        Self::Endpoint,
        Self::Listener,
        Self::Route,
        Self::Secret,
    ];

    /// The type URL of the resource.
    #[must_use]
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoint => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        }
    }

    /// The type of a URL, `None` for types that Isobath does not serve.
    #[must_use]
    pub fn from_type_url(url: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|resource_type| resource_type.type_url() == url)
    }

    /// The name of its discovery service in lower case, as metrics and `isobath xds` spell it.
    #[must_use]
    pub const fn service(self) -> &'static str {
        match self {
            Self::Cluster => "cds",
            Self::Endpoint => "eds",
            Self::Listener => "lds",
            Self::Route => "rds",
            Self::Secret => "sds",
        }
    }

    /// Whether a subscription without names means every resource: LDS and CDS only. For the others it would
    /// hand out everything, private keys included.
    #[must_use]
    pub const fn has_wildcard(self) -> bool {
        matches!(self, Self::Listener | Self::Cluster)
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.service())
    }
}

/// A resource that another one needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its name.
    pub name: Arc<str>,
}

/// One unit of a resource: a virtual host of a table, a filter chain of a listener, or a whole cluster,
/// assignment or secret. A refusal is contained per part.
#[derive(Clone)]
pub struct Part {
    /// Encoded fields of the resource's message. Fields of a message concatenate: that is protobuf's own rule.
    pub bytes: Bytes,
    /// What it needs to work.
    pub references: Arc<[Reference]>,
    /// The objects it was made from, as logs and metrics name them; empty for parts that no object owns.
    pub owners: Arc<[Arc<str>]>,
}

impl fmt::Debug for Part {
    /// Length only: the bytes of a secret hold a private key (I10).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("length", &self.bytes.len())
            .field("references", &self.references)
            .field("owners", &self.owners)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.owners == other.owners
    }
}

/// One resource: the fields that are always there (`head`), then its parts in the order of their keys.
pub struct Resource {
    name: Arc<str>,
    head: Part,
    parts: OrdMap<Arc<str>, Arc<Part>>,
    /// Concatenated on first use, once for all streams.
    encoded: OnceLock<(Bytes, Arc<str>)>,
}

impl Resource {
    /// A resource that is one unit.
    #[must_use]
    pub fn whole(name: Arc<str>, part: Part) -> Self {
        Self::composite(name, part, OrdMap::new())
    }

    /// A resource of many units.
    #[must_use]
    pub fn composite(name: Arc<str>, head: Part, parts: OrdMap<Arc<str>, Arc<Part>>) -> Self {
        Self {
            name,
            head,
            parts,
            encoded: OnceLock::new(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The fields that are in it whatever its parts are.
    #[must_use]
    pub fn head(&self) -> &Part {
        &self.head
    }

    /// Its parts by key; none where the resource is one unit.
    #[must_use]
    pub fn parts(&self) -> &OrdMap<Arc<str>, Arc<Part>> {
        &self.parts
    }

    /// The encoded message.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.encoded().0
    }

    /// The hash of the bytes, 16 hexadecimal digits: same bytes, same version (I3).
    #[must_use]
    pub fn version(&self) -> &Arc<str> {
        &self.encoded().1
    }

    /// All that it needs.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.head
            .references
            .iter()
            .chain(self.parts.values().flat_map(|part| part.references.iter()))
    }

    /// The same resource less the parts of these keys.
    #[must_use]
    pub fn without(&self, keys: &BTreeSet<Arc<str>>) -> Self {
        let mut parts = self.parts.clone();
        for key in keys {
            parts.remove(key);
        }
        Self::composite(self.name.clone(), self.head.clone(), parts)
    }

    fn encoded(&self) -> &(Bytes, Arc<str>) {
        self.encoded.get_or_init(|| {
            if self.parts.is_empty() {
                let hash = xxh3_64(&self.head.bytes);
                return (self.head.bytes.clone(), format!("{hash:016x}").into());
            }
            let length = self
                .parts
                .values()
                .map(|part| part.bytes.len())
                .sum::<usize>();
            let mut bytes = BytesMut::with_capacity(self.head.bytes.len() + length);
            let mut hasher = Xxh3::new();
            for part in std::iter::once(&self.head).chain(self.parts.values().map(|part| &**part)) {
                bytes.put_slice(&part.bytes);
                hasher.update(&part.bytes);
            }
            (bytes.freeze(), format!("{:016x}", hasher.digest()).into())
        })
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || (self.name == other.name && self.bytes() == other.bytes())
    }
}

impl fmt::Debug for Resource {
    /// Name and version only: the bytes of a secret hold a private key (I10).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource")
            .field("name", &self.name)
            .field("version", self.version())
            .finish_non_exhaustive()
    }
}
