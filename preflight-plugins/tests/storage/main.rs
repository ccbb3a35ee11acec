//! Classes, claims, volumes and drivers that a real control plane does not show, or not at will: each in a table, with
//! what is made of it. What could not be looked at may never be told as go.
#![cfg(feature = "storage-validation")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the table is printed")]

mod classes;
mod drivers;
mod sources;
#[path = "../support/mod.rs"]
mod support;
mod unseen;
mod updates;
mod uses;
mod volumes;
mod world;
