//! A registry that misbehaves: each fault, and what is made of it. None of them may be told as go, unless the image
//! was really found.
#![cfg(feature = "registry-health")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the table is printed")]

mod contents;
mod once;
mod push;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod way;
mod world;
