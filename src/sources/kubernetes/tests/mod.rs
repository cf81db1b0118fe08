#![allow(clippy::unwrap_used, clippy::expect_used)]

mod arguments;
mod bulk;
mod lines;
mod pace;
mod time;
mod transcripts;
