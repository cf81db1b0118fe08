//! What is gathered while the rules of a route are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::PathRewrite;
use crate::objects::ObjectRef;
use crate::objects::gateway_api::PathModifier;
use crate::translate::{ClusterSource, Input};

use super::fault::Fault;

/// One sentence on what is asked for that is not served.
#[derive(Debug)]
pub struct Unserved(pub String);

/// What is gathered while rules are read.
pub struct Made<'a> {
    /// The objects.
    pub input: Input<'a>,
    /// The route.
    pub route: &'a ObjectRef,
    /// Whether its rules are for gRPC.
    pub is_grpc: bool,
    /// The clusters that are named.
    pub clusters: BTreeMap<Arc<str>, ClusterSource>,
    /// What of its references can't be used.
    pub references: Vec<Fault>,
}

/// A new path, as a filter says it.
pub fn rewrite(path: &PathModifier) -> PathRewrite {
    match path {
        PathModifier::ReplaceFullPath(path) if path.is_empty() => {
            PathRewrite::ReplaceFullPath("/".into())
        }
        PathModifier::ReplaceFullPath(path) => PathRewrite::ReplaceFullPath(path.clone()),
        PathModifier::ReplacePrefixMatch(prefix) => PathRewrite::ReplacePrefix(prefix.clone()),
    }
}
