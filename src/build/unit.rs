//! What is made: the units, in the order in which they are.

use std::sync::Arc;

use crate::model::{Front, Host};
use crate::objects::{NamespacedName, ObjectRef};
use crate::translate::Derived;

/// A unit, by its key. A unit reads what sorts before its kind, so that making them in this order is enough.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// What others read.
    Derived(Box<Derived>),
    /// A host that somebody names, on all listeners of its front.
    Host(Front, Host),
    /// A cluster that some unit names.
    Cluster(Arc<str>),
    /// The endpoints of such a cluster.
    Endpoints(Arc<str>),
    /// The certificate of a Secret that some host is served with.
    Secret(NamespacedName),
    /// What is to be said of an object by itself.
    Object(ObjectRef),
}
