//! The Gateway API's own conformance suite, unchanged, against the real binary on a real API server.
//!
//! | file | about |
//! |---|---|
//! | `profiles` | which tests of it have to pass |
//! | `statuses` | how long it takes until each of many routes has its status |
//! | `suite` | the suite: its test binary, its flags, what it says |
//! | `world` | the cluster that they run in |
//! | `kubelet` | binds pods to the one node and runs them |
//! | `programmed` | that a Gateway is programmed once an Envoy has acknowledged it, and not while one refuses it |
//! | `services` | Gateways with a Service of their own |
//! | `shared` | Gateways that are reached as Ingresses are |
//! | `pod` | a pod: a network namespace with the suite's echo server in it |
//! | `pod_logs` | what pods say, for `kubectl logs` and for the suite, which counts mirrored requests there |
//!
//! Everything runs in one network namespace of the test's own. Its loopback device has the addresses of Gateways
//! (`profiles::GATEWAYS`), a bridge joins it to the pods.
//!
//! `make conformance` runs all of it, and writes the report to `target/tmp/conformance/`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/control_plane.rs"]
mod control_plane;
#[path = "../support/node.rs"]
mod node;
#[path = "../support/mod.rs"]
mod support;

mod kubelet;
mod pod;
mod pod_logs;
mod profiles;
mod programmed;
mod services;
mod shared;
mod statuses;
mod suite;
mod world;
