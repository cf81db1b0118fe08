//! The Kubernetes source against a real API server, with a proxy between that misbehaves as told.
//!
//! The names K-nn are rows of the project's table of faults between a control plane and Kubernetes.
//!
//! | file | about |
//! |---|---|
//! | `watches` | watches that end, are cut, fall silent or are told that their version is gone |
//! | `lists` | lists in pages or streams, whole or not at all, and answers that are not what they should be |
//! | `access` | credentials, RBAC, what the server offers |
//! | `rig` | the parts: API server, proxy, source, and what a receiver of its events would know |
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/control_plane.rs"]
mod control_plane;
#[path = "../support/fault_proxy.rs"]
mod fault_proxy;

mod access;
mod definitions;
mod lists;
mod rig;
mod watches;
