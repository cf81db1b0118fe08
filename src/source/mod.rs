//! Where objects come from.
//!
//! A source sends [`Event`](crate::k8s::Event)s into one channel and nothing else: whoever receives them
//! can't tell an API server from a folder of manifests. A source never interprets an object and never
//! sends half a list.

pub mod kubernetes;
pub mod manifests;
