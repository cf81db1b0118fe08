//! Named, versioned bytes, and the protocol that brings them to a client.
//!
//! Nothing in here knows what the bytes mean: neither Kubernetes nor Envoy's resources appear, only their names,
//! their types and what they refer to. The protocol is a state machine without IO; `server` alone has sockets.

mod resource;
mod snapshot;

pub use resource::{Part, Reference, Resource, ResourceType};
pub use snapshot::{Published, Snapshot};
