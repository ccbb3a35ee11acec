//! How checks run: everything that can start, starts at once, each check under its deadline, and what a check
//! could not say is unknown.

mod builder;
mod check;
mod run;
mod select;

pub use builder::Preflight;
pub use run::{Blocking, Clearance, Refusal, Run, Stop};
