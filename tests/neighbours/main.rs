//! Who else is in a cluster: real cert-manager, external-dns, Argo CD's rules of health and Prometheus beside the real binary, on a real API server.
//!
//! | file | about |
//! |---|---|
//! | `certificates` | cert-manager issues by HTTP-01 through Envoy, and renews under traffic |
//! | `names` | external-dns reads where Ingresses and HTTPRoutes are reached |
//! | `health` | Argo CD finds what has a status healthy |
//! | `queries` | Prometheus answers each query of the dashboards, and takes the alerts |
//! | `authority` | an authority by ACME, and the names that it looks up |
//! | `world` | the cluster, with a node for the pods that solve challenges |
//!
//! Everything runs in one network namespace of the test's own, in which Envoy has ports 80 and 443.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/control_plane.rs"]
mod control_plane;
#[path = "../conformance/kubelet.rs"]
mod kubelet;
#[path = "../support/node.rs"]
mod node;
#[path = "../conformance/pod.rs"]
mod pod;
#[path = "../conformance/pod_logs.rs"]
mod pod_logs;
#[path = "../support/mod.rs"]
mod support;

mod authority;
mod certificates;
mod health;
mod names;
mod queries;
mod world;
