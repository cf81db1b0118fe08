//! Isobath: a Kubernetes ingress controller that programs Envoy over xDS.

pub mod admin;
pub mod builder;
pub mod cli;
pub mod envoy;
pub mod http;
pub mod k8s;
pub mod log;
pub mod metrics;
pub mod model;
pub mod profile;
pub mod run;
pub mod store;
pub mod supervisor;
pub mod translate;
pub mod verdict;
pub mod xds;
