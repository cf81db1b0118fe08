//! The process around the core: tasks that end together, the log, metrics, profiles, the HTTP pages, exit codes.
//!
//! It knows no Kubernetes object, no xDS resource and no route, and must never change what is served.

pub mod admin;
pub mod duration;
pub mod envoy_admin;
pub mod exit_code;
pub mod http;
pub mod http_client;
pub mod listen_address;
pub mod log;
pub mod metrics;
pub mod pod;
pub mod profile;
pub mod supervisor;
pub mod threads;
