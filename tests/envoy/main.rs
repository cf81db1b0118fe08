//! What the renderings of `isobath::envoy` mean to a real Envoy, and what their bytes are.
//!
//! The tests of `proxy` need Envoy's path in `ISOBATH_TEST_ENVOY` (`make` sets it). Without it they are skipped with
//! a line on standard error, and fail where `CI` is set.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access_log;
mod ads;
mod authority;
mod authorizer;
mod authorizing;
mod backend;
mod balancing;
mod bootstrap;
mod cases;
mod client;
mod client_certificates;
mod cluster_cases;
mod collector;
mod compressing;
mod cookies;
mod cost;
mod cross_origin;
mod descriptors;
mod determinism;
mod error_pages;
#[path = "../support/eventually.rs"]
mod eventually;
mod expansions;
mod features;
mod filter_cases;
mod fixture;
mod fleet_ports;
mod forwarded_addresses;
mod forwarded_certificates;
mod gateways;
mod global_limiting;
mod golden;
mod guarding;
mod header_values;
mod health;
mod hosts;
mod http3;
#[path = "../../benches/figures/envoy/inline.rs"]
mod inline;
#[path = "../support/issuer.rs"]
mod issuer;
mod leaks;
mod limiter;
mod limiting;
mod listener_histories;
mod listeners;
mod log_formats;
mod manager;
mod matching;
mod nameless;
mod node_ports;
mod outlets;
mod paths;
#[path = "../support/port.rs"]
mod port;
mod private_headers;
mod proxy;
mod quic;
mod redirecting;
#[path = "../support/rehearsed.rs"]
#[allow(dead_code, reason = "ConfigMaps are for another test")]
mod rehearsed;
mod renderings;
mod retrying;
mod rewriting;
mod routes;
mod scripted;
mod sending;
mod served;
mod server_names;
mod sessions;
mod stats;
mod tls_cases;
mod tokens;
mod tracing;
mod tunnelling;
#[path = "../support/golden.rs"]
mod update;
mod upstream_tls;
