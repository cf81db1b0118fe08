//! Isobath: a Kubernetes ingress controller that programs Envoy over xDS.

pub mod builder;
pub mod envoy;
pub mod k8s;
pub mod model;
pub mod store;
pub mod translate;
pub mod verdict;
pub mod xds;
