//! What must hold for a long time, or many times: a short form in the ordinary run, the long one with
//! `ISOBATH_SOAK=1` (`make soak`), which prints its figures.
//!
//! Most of it has the real binary, the real Envoy and real traffic, of which no request may fail; `objects` feeds the
//! core by itself.

#![allow(clippy::unwrap_used, clippy::expect_used)]

/// Messages as bytes, so that they need not be messages.
#[path = "../../benches/figures/raw.rs"]
#[allow(dead_code, reason = "its server is for the figures")]
mod raw;
#[path = "../support/mod.rs"]
mod support;

mod absences;
mod additions;
mod answers;
mod config_dump;
mod config_source;
mod cycles;
mod endpoints;
mod envoys;
mod gateways;
mod generate;
mod hostile;
mod kills;
mod moves;
mod names;
mod objects;
mod product;
mod proxies;
mod proxy_moves;
mod proxy_tenants;
mod random;
mod refusals;
mod rotations;
mod route_moves;
mod stalls;
mod tenant;
mod tenants;

/// Whether the long forms were asked for.
fn is_long() -> bool {
    std::env::var_os("ISOBATH_SOAK").is_some()
}

/// How often: in the ordinary run, or in the long form.
fn rounds(short: usize, long: usize) -> usize {
    if is_long() { long } else { short }
}

/// Prints a line of figures, which stays visible among those of tests that run beside it.
fn figures(test: &str, text: impl std::fmt::Display) {
    println!("soak {test}: {text}");
}
