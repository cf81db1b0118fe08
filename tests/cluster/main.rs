//! The whole, as a cluster has it: the real binary with exactly the rights that `deploy/` gives it, a real API
//! server that kubectl speaks to, a real Envoy, real requests.
//!
//! | file | about |
//! |---|---|
//! | `traffic` | objects are created, changed and deleted with kubectl, and traffic follows |
//! | `outage` | the API server is killed and comes back under traffic |
//! | `endpoints` | the EndpointSlices of kube-controller-manager, from Services and Pods |
//! | `http_proxies` | their definitions come later; orphans, and objects of another controller's class |
//! | `rights` | each right taken away in turn |
//! | `granted` | the rights that `isobath rbac` prints |
//! | `refusals` | what Envoy refuses is told on the Service or Secret that it was made from |
//! | `starts` | starts with slow, paged lists, and an xDS client that can't wait |
//! | `stops` | a stop in order, whatever is under way, alarms nobody |
//! | `storm` | a namespace is deleted with all that is in it |
//! | `replicas` | two of them on one API server |
//! | `laptop` | `isobath run` beside a live cluster |
//! | `asked` | `isobath explain` and `isobath diff` beside one |
//! | `waited` | `isobath wait`, which asks the pods through the API server |
//! | `diagnosed` | `isobath doctor`, before an installation and after |
//! | `surroundings` | the same on what is around it: ports, classes, definitions, addresses, certificates |
//! | `pod` | the configuration that a pod finds |
//! | `installation` | the API server with what `deploy/base` puts into it |
//!
//! What a single part does with faults is in `kubernetes_source` and `kubernetes_status`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../e2e/check.rs"]
#[allow(dead_code, unused_imports, reason = "tables are for e2e")]
mod check;
#[path = "../support/contour.rs"]
mod contour;
#[path = "../support/control_plane.rs"]
mod control_plane;
#[path = "../support/fault_proxy.rs"]
mod fault_proxy;
#[path = "../support/node.rs"]
mod node;
#[path = "../support/port_forward.rs"]
mod port_forward;
#[path = "../support/mod.rs"]
mod support;

mod asked;
mod diagnosed;
mod endpoints;
mod granted;
mod http_proxies;
mod installation;
mod laptop;
mod outage;
mod pod;
mod refusals;
mod replicas;
mod rights;
mod starts;
mod stops;
mod storm;
mod surroundings;
mod traffic;
mod waited;
