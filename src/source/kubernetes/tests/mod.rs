#![allow(clippy::unwrap_used, clippy::expect_used)]

mod arguments;
mod pace;
mod time;
mod transcripts;
