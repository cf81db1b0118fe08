//! Transcripts and properties of a stream.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bounds;
mod claimed_scopes;
mod client;
mod cost;
mod delta;
mod order;
mod properties;
mod reconnect;
mod refusals;
mod scopes;
mod script;
mod search;
mod sotw;
mod world;
