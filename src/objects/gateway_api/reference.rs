//! How objects of the Gateway API name others.

use std::sync::Arc;

/// An object in whatever namespace, that of who names it where none is said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectReference {
    /// `group`, empty for the core group.
    pub group: Arc<str>,
    /// `kind`.
    pub kind: Arc<str>,
    /// `name`.
    pub name: Arc<str>,
    /// `namespace`.
    pub namespace: Option<Arc<str>>,
}

/// `parametersRef`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ParametersReference {
    /// `group`.
    pub group: Arc<str>,
    /// `kind`.
    pub kind: Arc<str>,
    /// `name`.
    pub name: Arc<str>,
}

/// A Gateway or ListenerSet that a route is to be attached to. A status has it as it is here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParentReference {
    /// `group`.
    pub group: Arc<str>,
    /// `kind`.
    pub kind: Arc<str>,
    /// `namespace`: that of the route where none is said.
    pub namespace: Option<Arc<str>>,
    /// `name`.
    pub name: Arc<str>,
    /// `sectionName`: one listener.
    pub section_name: Option<Arc<str>>,
    /// `port`: the listeners of this port.
    pub port: Option<u16>,
}

/// What requests, copies of them, or connections go to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackendRef {
    /// The object.
    pub object: ObjectReference,
    /// `port`.
    pub port: Option<u16>,
    /// `weight`.
    pub weight: u32,
}
