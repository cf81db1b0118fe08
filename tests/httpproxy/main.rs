//! HTTPProxy: every row of a long table through the real binary, the real Envoy and real back ends.
//!
//! Rows are data: `rows/*.txt`, in the words of `row.rs` and `notation.rs`. All rows of a table are there at the same
//! time, in one process and one Envoy, and are asked side by side: none may disturb another, though a good part of them is
//! wrong on purpose. Where Isobath answers otherwise than Contour 1.33 a row says so (`differs`), and names the line of
//! the table of deploy/contour.md that says why (`moving.rs`). A row of a feature that is not built (`awaits`) has the asks that will hold,
//! and beside them what holds now.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../support/golden.rs"]
mod golden;
#[path = "../support/issuer.rs"]
mod issuer;
#[path = "../support/mod.rs"]
mod support;

mod answers;
mod asker;
mod conditions;
mod echo;
mod extensions;
mod figures;
mod guards;
mod ingress_nginx;
mod moving;
mod notation;
mod rig;
mod row;
mod run;
mod tables;
mod told;
mod verdict;
mod worlds;
