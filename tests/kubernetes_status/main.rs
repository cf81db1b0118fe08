//! Status, Events and the Lease on a real API server, with exactly the rights of `deploy/base`.
//!
//! | file | about |
//! |---|---|
//! | `addresses` | the addresses of Ingresses come and go with the class, and where they come from |
//! | `conditions` | what is wrong with HTTPProxies and ExtensionServices stands in their status |
//! | `replicas` | of several replicas one writes, and another takes over |
//! | `events` | problems and refusals are told on the objects, once |
//! | `large` | an Ingress that has no room for a status, and one with many problems, delay nobody |
//! | `rights` | without a right there is a warning, and everything else goes on |
//! | `corner` | two namespaces of the control plane, and a user with rights |
//! | `replica` | the parts of a process that write, with a small controller in the place of the real one |
//!
//! The tests run kubectl and wait for it, so that replicas have threads of their own: one that does not run loses its
//! Lease.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/contour.rs"]
mod contour;
#[path = "../support/control_plane.rs"]
mod control_plane;

mod addresses;
mod conditions;
mod corner;
mod events;
mod large;
mod replica;
mod replicas;
mod rights;
