//! Containment of a refusal: which unit of a refused response is bad, and what is left out because of it.
//!
//! An error at decode makes Envoy refuse a whole response, and its message may name nothing.
//! So what was new in it is sent again in ever smaller sets (`containment.rs`), and a unit that is found bad is left out
//! until its bytes change (`refused.rs`).

mod containment;
mod refused;
mod unit;

pub use containment::{Containment, Trial};
pub use refused::{Refusal, Refused, RefusedChange};
pub use unit::Unit;
