//! What a source tells the controller.

use std::sync::Arc;

use super::{
    BackendTlsPolicy, ConfigMap, EndpointSlice, ExtensionService, Gateway, GatewayClass, GrpcRoute,
    HttpProxy, HttpRoute, Ingress, IngressClass, Kind, ListenerSet, Metadata, Namespace, ObjectRef,
    ReferenceGrant, Secret, Service, TcpRoute, TlsCertificateDelegation, TlsRoute, UdpRoute,
    Untyped, for_each_kind,
};

/// One change of the set of objects. Sources send nothing else, whether they read an API server or files.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The object is now this one, whatever it was before.
    Apply(Object),
    /// The object is gone. Deleting an unknown object is no error.
    Delete(ObjectRef),
    /// The objects of this kind (and of this namespace, where watches are namespaced) are exactly these:
    /// a cold start and a relist alike. A source buffers a list until it is whole.
    Replace {
        /// The kind that was listed.
        kind: Kind,
        /// The namespace that was listed, `None` for all of them.
        namespace: Option<Arc<str>>,
        /// All objects of the list; of two with one name the last holds.
        objects: Vec<Object>,
    },
    /// Changes that happened at once, in this order: whoever receives them acts once, after the last, so that nothing
    /// in between is ever served or told. (An Ingress and its Service saved in one file are one change.)
    Batch(Vec<Event>),
}

macro_rules! object {
    ($($(#[$doc:meta])* $kind:ident: $api_version:literal, $name:literal, $plural:literal,
        $scope:ident, $presence:ident, $table:ident, $wire:ty;)*) => {
        /// An object, or what stands in the place of one that could not be decoded.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Object {
            $($(#[$doc])* $kind(Arc<$kind>),)*
            /// One of a kind without a type.
            Untyped(Arc<Untyped>),
            /// It has a name and nothing else that can be used; it takes the place of the object that was there.
            Invalid(Arc<Invalid>),
            /// It is there, and nothing of it is ever used: as if it were not.
            Unused(ObjectRef),
        }

        impl Object {
            /// The name under which the object is kept.
            #[must_use]
            pub fn reference(&self) -> ObjectRef {
                match self {
                    $(Self::$kind(object) => ObjectRef {
                        kind: Kind::$kind,
                        name: object.metadata.name.clone(),
                    },)*
                    Self::Untyped(object) => object.reference(),
                    Self::Invalid(invalid) => invalid.reference.clone(),
                    Self::Unused(reference) => reference.clone(),
                }
            }

            /// What every kind has; `None` where it could not be decoded.
            pub fn metadata_mut(&mut self) -> Option<&mut Metadata> {
                match self {
                    $(Self::$kind(object) => Some(&mut Arc::make_mut(object).metadata),)*
                    Self::Untyped(object) => Some(&mut Arc::make_mut(object).metadata),
                    Self::Invalid(_) | Self::Unused(_) => None,
                }
            }
        }
    };
}
for_each_kind!(object);

/// An object that is wrong as a whole: it can't be decoded, or breaks a rule that the API server enforces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Which object.
    pub reference: ObjectRef,
    /// One sentence for its owner. Never quotes a value of a Secret.
    pub reason: String,
}

impl Object {
    /// What is wrong with it as a whole, in one sentence.
    #[must_use]
    pub fn wrong(&self) -> Option<&str> {
        match self {
            Self::Invalid(invalid) => Some(&invalid.reason),
            Self::BackendTlsPolicy(policy) => {
                let wrong = policy.validation.as_ref().err();
                wrong.map(|why| &**why)
            }
            Self::HttpProxy(proxy) => proxy.wrong.as_deref(),
            _ => None,
        }
    }
}
