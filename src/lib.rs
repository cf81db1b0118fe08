//! Isobath: a Kubernetes ingress controller that programs Envoy over xDS.

pub mod k8s;
pub mod model;
pub mod source;
pub mod xds;
