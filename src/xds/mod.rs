//! Named, versioned bytes, and the protocol that brings them to a client.
//!
//! Nothing in here knows what the bytes mean: neither Kubernetes nor Envoy's resources appear, only their names,
//! their types and what they refer to. One thing is known of scopes, how their names stand to each other
//! (`stream/orphaned_scopes.rs`). The protocol is a state machine without IO; `server` alone has sockets.
//!
//! - `resource_type`, `part`, `pieces`, `resource`, `snapshot`, `difference`: what there is;
//! - `wire`, `client`, `message`, `encode`, `delta`, `sotw`: requests and responses of the two variants;
//! - `overlay`, `names`, `subscription`, `held`, `channel`, `refusal`, `removal`, `stream`: what one client is sent, and when;
//! - `report`, `metrics`: what others see of it;
//! - `address`, `transport`, `server`: sockets, TLS and gRPC.

mod address;
pub mod channel;
mod client;
pub mod delta;
mod difference;
pub mod encode;
pub mod held;
pub mod message;
mod metrics;
pub mod names;
pub mod overlay;
mod part;
mod pieces;
pub mod refusal;
pub mod removal;
mod report;
mod resource;
mod resource_type;
pub mod server;
mod snapshot;
pub mod sotw;
pub mod stream;
pub mod subscription;
pub mod transport;
pub mod wire;

pub use address::Address;
pub use client::{Client, NEWEST_ENVOY, OLDEST_ENVOY, Version};
pub use difference::{Change, Difference};
pub use message::{Ask, RefusalText, Request, Response, Variant};
pub use metrics::Metrics;
pub use part::{ELSEWHERE, Encoded, Part, Reference, elsewhere};
pub use report::{
    Missing, Progress, RefusedUnit, RefusedUnits, Rejected, Reports, StreamReport, TypeReport,
};
pub use resource::Resource;
pub use resource_type::ResourceType;
pub use snapshot::{Snapshot, packed};
pub use stream::FALLBACK_SCOPE;

/// A snapshot that clients may be sent, and when it was ready.
#[derive(Clone, Debug)]
pub struct Published {
    /// All resources.
    pub snapshot: std::sync::Arc<Snapshot>,
    /// When it was published.
    pub at: tokio::time::Instant,
}
