//! Operators, webhooks, policies and definitions that a real control plane does not show, or not at will: each in a
//! table, with what is made of it. What could not be looked at may never be told as go.
#![cfg(feature = "operator-health")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the table is printed")]

mod backends;
mod definitions;
mod matching;
mod policies;
mod required;
#[path = "../support/mod.rs"]
mod support;
mod unseen;
mod world;
