//! One xDS resource: encoded bytes, a version that is their hash, and what they refer to.

use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use bytes::{Bytes, BytesMut};
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use xxhash_rust::xxh3::Xxh3;

use super::pieces::Pieces;
use super::{Part, Reference};

/// One resource: the fields that are always there (`head`), then its parts in the order of their keys.
///
/// A cluster is one of ten thousand and has no parts, so what only composite resources need stands apart.
pub struct Resource {
    name: Arc<str>,
    head: Part,
    version: OnceLock<Arc<str>>,
    composite: Option<Box<Composite>>,
}

struct Composite {
    parts: OrdMap<Arc<str>, Arc<Part>>,
    /// Encoded on first use, once for all streams.
    pieces: OnceLock<Arc<Pieces>>,
    /// Those of an earlier form, of which most are the same.
    before: Option<Arc<Pieces>>,
}

impl Composite {
    fn pieces(&self) -> &Arc<Pieces> {
        self.pieces
            .get_or_init(|| Arc::new(Pieces::new(&self.parts, self.before.as_deref())))
    }
}

static NO_PARTS: LazyLock<OrdMap<Arc<str>, Arc<Part>>> = LazyLock::new(OrdMap::new);

impl Resource {
    /// A resource that is one unit.
    #[must_use]
    pub fn whole(name: Arc<str>, part: Part) -> Self {
        Self::composite(name, part, OrdMap::new())
    }

    /// A resource of many units.
    #[must_use]
    pub fn composite(name: Arc<str>, head: Part, parts: OrdMap<Arc<str>, Arc<Part>>) -> Self {
        let composite = (!parts.is_empty()).then(|| {
            Box::new(Composite {
                parts,
                pieces: OnceLock::new(),
                before: None,
            })
        });
        Self {
            name,
            head,
            version: OnceLock::new(),
            composite,
        }
    }

    /// The same resource, which is encoded and hashed at the cost of what differs from an earlier form.
    #[must_use]
    pub fn after(mut self, before: &Self) -> Self {
        if let (Some(composite), Some(before)) = (&mut self.composite, &before.composite) {
            let pieces = before.pieces.get().or(before.before.as_ref());
            composite.before = pieces.cloned();
        }
        self
    }

    /// The same resource with a version of its maker's, which tells every form of this name apart.
    #[must_use]
    pub fn with_version(mut self, version: Arc<str>) -> Self {
        self.version = OnceLock::from(version);
        self
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
        match &self.composite {
            Some(composite) => &composite.parts,
            None => &NO_PARTS,
        }
    }

    /// The encoded message in one piece, which is a copy where it has parts.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        if self.composite.is_none() {
            return self.head.bytes.to_bytes();
        }
        let mut bytes = BytesMut::with_capacity(self.length());
        self.head.bytes.put_into(&mut bytes);
        for piece in self.pieces() {
            bytes.extend_from_slice(piece);
        }
        bytes.freeze()
    }

    /// What follows the head in the encoded message: the same memory for all who ask.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        let composite = self.composite.iter();
        composite.flat_map(|composite| composite.pieces().iter())
    }

    /// Length of the encoded message.
    #[must_use]
    pub fn length(&self) -> usize {
        self.units().map(|part| part.bytes.len()).sum()
    }

    /// The hash of the bytes, 16 hexadecimal digits: same bytes, same version (I3); for a scope the name of its table.
    #[must_use]
    pub fn version(&self) -> &Arc<str> {
        self.version.get_or_init(|| {
            let mut hasher = Xxh3::new();
            self.head.bytes.hash_into(&mut hasher);
            if let Some(composite) = &self.composite {
                hasher.update(&composite.pieces().hash().to_le_bytes());
            }
            format!("{:016x}", hasher.digest()).into()
        })
    }

    /// All that it needs.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.units().flat_map(|part| part.references.iter())
    }

    /// The same resource less the part of this key.
    #[must_use]
    pub fn without(&self, key: &str) -> Self {
        let parts = self.parts().without(key);
        Self::composite(self.name.clone(), self.head.clone(), parts).after(self)
    }

    fn units(&self) -> impl Iterator<Item = &Part> {
        std::iter::once(&self.head).chain(self.parts().values().map(|part| &**part))
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        let same_bytes = || {
            self.head.bytes == other.head.bytes
                && self.parts().diff(other.parts()).all(|item| match item {
                    // Owners are no bytes.
                    DiffItem::Update { old, new } => old.1.bytes == new.1.bytes,
                    DiffItem::Add(..) | DiffItem::Remove(..) => false,
                })
        };
        std::ptr::eq(self, other) || (self.name == other.name && same_bytes())
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
