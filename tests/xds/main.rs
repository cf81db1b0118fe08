//! The xDS server over real sockets, with clients of its own and with a real Envoy. One test binary, because every one
//! of them costs a link.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod connections;
mod envoy;
mod grpc;
mod server;
mod tls;
