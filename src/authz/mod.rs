//! The authorizer (`isobath authz`): a process beside Envoy that is asked about the requests of guarded routes, by gRPC
//! (`envoy.service.auth.v3.Authorization`) on a Unix socket.
//!
//! A call brings the request and, in the context of its route, the [`crate::model::Guard`] that is to be asked: so there is no table of
//! guards to be kept in step with Envoy's routes, and what a route does not tell is never asked. What must not stand in a route, or
//! changes too often for one, comes by xDS from the control plane that Envoy has too, name by name and when it is first asked for
//! ([`discovery`]): passwords as generic secrets, endpoints of Services as load assignments. Both are kept while the control plane is
//! away, as Envoy keeps its own.
//!
//! It never lets a request pass that it has not asked everything about: a guard that it can't read, passwords that it does not have,
//! an answer that does not come are refusals (503, or 500 where somebody else is asked, as nginx answers), and so is the death of the
//! process. It keeps no state that matters: whoever kills it loses a cache.
//!
//! What it spends is bounded: requests at once ([`service`]), passwords that are checked at once, in all and of one Secret
//! ([`password`]), names ([`discovery`]), entries of caches (`cache.rs`), time and bytes of what it asks for (`client.rs`).

mod address;
pub mod answer;
mod basic;
mod cache;
mod check;
mod client;
mod connect;
pub mod discovery;
mod expand;
mod names;
pub mod password;
mod request;
pub mod service;
mod share;
mod subrequest;

pub use check::Authorizer;
