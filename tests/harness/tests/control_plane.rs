//! The harness itself, against the real control plane.
fn main() {}
