//! The same objects, the same requests, two controllers: Isobath, and the real Contour 1.33 out of its Go module.
//!
//! Each has an Envoy, back ends and an API server of its own. Both write the status of the same objects, and on one
//! API server each would overwrite what the other says; what they say is compared here. With a class each they share one, and an
//! HTTPProxy goes from one to the other (`shared`). The rows are those of
//! `tests/httpproxy`. What is answered is compared as a whole, not only by what a row asks for; so is what is said of every
//! object. A difference is explained by a row of the table of deploy/contour.md that the row names (`differs`), and by nothing else.
//!
//! `make peers` runs it; it is no part of `make test`, as Contour is built for it.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../httpproxy/answers.rs"]
mod answers;
#[path = "../httpproxy/asker.rs"]
mod asker;
#[path = "../support/control_plane.rs"]
mod control_plane;
#[path = "../support/contour.rs"]
mod definitions;
#[path = "../httpproxy/echo.rs"]
mod echo;
#[path = "../httpproxy/extensions.rs"]
mod extensions;
#[path = "../support/issuer.rs"]
mod issuer;
#[path = "../httpproxy/notation.rs"]
mod notation;
#[path = "../httpproxy/rig.rs"]
mod rig;
#[path = "../httpproxy/row.rs"]
mod row;
#[path = "../support/mod.rs"]
mod support;
#[path = "../httpproxy/tables.rs"]
mod tables;

mod cluster;
mod contour;
mod counted;
mod differences;
mod figures;
mod run;
mod shared;
mod side;
mod worlds;
