#![allow(clippy::unwrap_used, clippy::expect_used)]

mod arguments;
mod time;
mod transcripts;
