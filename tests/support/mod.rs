//! What the integration tests share: real processes, real back ends, real clients.
//!
//! Each part starts one real thing on free ports, waits for it by condition and ends it on drop. Nothing in here
//! knows what an answer should be: that is the tests' business.

// Every test binary compiles these modules and uses its part of them.
#![allow(dead_code)]

pub(crate) mod ads;
pub(crate) mod authz;
pub(crate) mod backend;
pub(crate) mod certificate;
pub(crate) mod client;
pub(crate) mod envoy;
pub(crate) mod eventually;
pub(crate) mod isobath;
pub(crate) mod load;
pub(crate) mod manifest;
pub(crate) mod network;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod relay;
pub(crate) mod resolver;
pub(crate) mod script;
pub(crate) mod stand;
pub(crate) mod xds_proxy;
