//! `deploy/`: that the manifests are what the program, the API server and our own rules want of them.
//!
//! `UPDATE_GOLDEN=1 cargo test --test deploy rendered` writes the rendered files.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/control_plane.rs"]
mod control_plane;
#[path = "../support/node.rs"]
mod node;
#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod annotations;
mod api_server;
mod back_off;
mod certificates;
mod command_line;
#[path = "../support/golden.rs"]
mod golden;
mod helm;
mod http3;
mod image;
mod kubelet;
mod listener_flags;
mod local_pod;
mod manifest;
mod monitoring;
mod namespace;
mod outside;
mod pages;
mod pods;
mod promtool;
mod reference;
mod references;
mod rendered;
mod replacement;
mod rights;
