#![allow(clippy::unwrap_used, clippy::expect_used)]

mod arguments;
mod bulk;
mod discovery;
mod lines;
mod pace;
mod time;
mod transcripts;
