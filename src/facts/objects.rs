//! The objects of each kind, found by the name that each of them holds.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::objects::{
    BackendTlsPolicy, ConfigMap, EndpointSlice, ExtensionService, Gateway, GatewayClass, GrpcRoute,
    HttpProxy, HttpRoute, Ingress, IngressClass, Kind, ListenerSet, Metadata, Namespace,
    NamespacedName, ObjectRef, ReferenceGrant, Secret, Service, TcpRoute, TlsCertificateDelegation,
    TlsRoute, UdpRoute, for_each_kind,
};

/// A map from a name to the object of that name. The name is in the object and nowhere else: a key of two shared
/// texts beside a pointer would be four fifths of the table, of which a third is always empty.
#[derive(Debug)]
pub struct Objects<T> {
    objects: HashTable<Arc<T>>,
    keys: RandomState,
}

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self {
            objects: HashTable::new(),
            keys: RandomState::default(),
        }
    }
}

impl<T: Stored> Objects<T> {
    /// The object of that name.
    pub fn get(&self, name: &NamespacedName) -> Option<&Arc<T>> {
        self.find(&name.namespace, &name.name)
    }

    /// The object of that name; the namespace of a cluster-scoped one is empty.
    pub fn find(&self, namespace: &str, name: &str) -> Option<&Arc<T>> {
        let hash = self.keys.hash_one((namespace, name));
        self.objects.find(hash, |object| {
            let of = &object.metadata().name;
            *of.namespace == *namespace && *of.name == *name
        })
    }

    /// Puts an object in the place of the one of its name.
    pub fn insert(&mut self, object: Arc<T>) {
        let name = &object.metadata().name;
        let hash = hash(&self.keys, name);
        let is_it = |other: &Arc<T>| other.metadata().name == *name;
        let keys = &self.keys;
        let rehash = |other: &Arc<T>| self::hash(keys, &other.metadata().name);
        match self.objects.entry(hash, is_it, rehash) {
            Entry::Occupied(mut place) => *place.get_mut() = object,
            Entry::Vacant(place) => _ = place.insert(object),
        }
    }

    /// Takes the object of that name out.
    pub fn remove(&mut self, name: &NamespacedName) {
        let is_it = |other: &Arc<T>| other.metadata().name == *name;
        if let Ok(place) = self.objects.find_entry(hash(&self.keys, name), is_it) {
            place.remove();
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.objects.len()
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.objects.iter()
    }
}

fn hash(keys: &RandomState, name: &NamespacedName) -> u64 {
    keys.hash_one((&*name.namespace, &*name.name))
}

/// What is kept of a kind.
pub trait Stored: Sized + PartialEq {
    /// The kind.
    const KIND: Kind;

    /// Its name and what else every kind has.
    fn metadata(&self) -> &Metadata;

    /// Which object it is.
    fn reference(&self) -> ObjectRef {
        ObjectRef {
            kind: Self::KIND,
            name: self.metadata().name.clone(),
        }
    }

    /// Where its objects are.
    fn table(tables: &Tables) -> &Objects<Self>;

    /// Where its objects are.
    fn table_mut(tables: &mut Tables) -> &mut Objects<Self>;
}

macro_rules! tables {
    ($($(#[$doc:meta])* $kind:ident: $api_version:literal, $name:literal, $plural:literal,
        $scope:ident, $presence:ident, $table:ident, $wire:ty;)*) => {
        /// The objects of every kind.
        #[derive(Debug, Default)]
        pub struct Tables {
            $($table: Objects<$kind>,)*
        }

        $(impl Stored for $kind {
            const KIND: Kind = Kind::$kind;

            fn metadata(&self) -> &Metadata {
                &self.metadata
            }

            fn table(tables: &Tables) -> &Objects<Self> {
                &tables.$table
            }

            fn table_mut(tables: &mut Tables) -> &mut Objects<Self> {
                &mut tables.$table
            }
        })*

        impl Tables {
            /// How many objects of a kind there are.
            pub fn count(&self, kind: Kind) -> usize {
                match kind {
                    $(Kind::$kind => self.$table.count(),)*
                    Kind::Untyped(_) => 0,
                }
            }

            /// What every kind has, of one object.
            pub fn metadata(&self, object: &ObjectRef) -> Option<&Metadata> {
                match object.kind {
                    $(Kind::$kind => self.$table.get(&object.name).map(|object| &object.metadata),)*
                    Kind::Untyped(_) => None,
                }
            }

            /// The names of all objects of a kind, in no order.
            pub fn names(&self, kind: Kind) -> Vec<NamespacedName> {
                match kind {
                    $(Kind::$kind => {
                        let objects = self.$table.iter();
                        objects.map(|object| object.metadata.name.clone()).collect()
                    })*
                    Kind::Untyped(_) => Vec::new(),
                }
            }
        }
    };
}
for_each_kind!(tables);

impl Tables {
    /// The objects of one kind.
    pub fn of<T: Stored>(&self) -> &Objects<T> {
        T::table(self)
    }

    /// Puts an object in the place of the one of that name, or takes that out.
    pub fn put<T: Stored>(&mut self, name: &NamespacedName, object: Option<Arc<T>>) {
        let objects = T::table_mut(self);
        match object {
            Some(object) => objects.insert(object),
            None => objects.remove(name),
        }
    }
}
