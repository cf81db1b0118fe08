//! The program as its users and its manifests start it: exit codes, signals, children, a real Envoy's admin socket.
//!
//! The tests of `drain` and `run_envoy` need Envoy's path in `ISOBATH_TEST_ENVOY` (`make` sets it). Without it they are
//! skipped with a loud line, and fail on CI.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../envoy/ads.rs"]
mod ads;
mod completions;
mod drain;
mod exit_code;
mod flame_graph;
mod log_level;
#[path = "../support/port.rs"]
mod port;
mod process;
mod run;
mod run_envoy;
mod run_sources;
#[path = "../support/script.rs"]
mod script;
mod stop;
mod supervise;
mod tether;
mod xds;
