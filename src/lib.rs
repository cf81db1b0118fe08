//! Isobath: a Kubernetes ingress controller that programs Envoy over xDS.

pub mod admin;
pub mod cli;
pub mod http;
pub mod k8s;
pub mod log;
pub mod metrics;
pub mod model;
pub mod profile;
pub mod supervisor;
pub mod xds;
