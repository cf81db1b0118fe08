//! The program as a file: what the release binary is, that it serves, and that it can be profiled.
//!
//! `make build` runs this with `ISOBATH_TEST_BINARIES`, the paths of what it built, separated by colons; one for another
//! architecture runs under Debian's qemu-user-static. Without it the test build stands in, which is not static.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod elf;
mod profile;
mod serve;
mod subject;
