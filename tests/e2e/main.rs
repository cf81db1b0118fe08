//! The end-to-end suite: the real binary, the real Envoy, real requests to real back ends.
//!
//! One test binary, because every one of them costs a link. Each test starts its own pair of processes on free
//! ports (about a third of a second) and ends them; tables of requests and answers are data with one `check`.
//! [`support::envoy::Envoy`] fails any test in whose course Envoy refused an update.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod acme;
mod annotations;
mod attack;
mod backends;
mod certificates;
mod changes;
mod check;
mod diff;
mod edge;
mod explain;
mod expressions;
mod external_names;
mod harness;
mod hosts;
mod ingress_metrics;
mod ipv6;
mod ownership;
mod paths;
mod requests;
mod restart;
mod retries;
mod routing;
mod run;
mod scale;
mod schemes;
mod scripted;
mod serve;
mod sni;
mod tls_moves;
mod traces;
mod windows;
mod worlds;
