//! Isobath: a Kubernetes ingress controller that programs Envoy over xDS.

pub mod api_call;
pub mod k8s;
pub mod lease;
pub mod model;
pub mod pod;
pub mod status;
pub mod verdict;
pub mod xds;
