//! How checks run: everything that can start, starts at once, each check under its deadline, and what a check
//! could not say is unknown.

mod builder;
mod check;
mod run;
mod select;

pub use builder::Preflight;
pub use run::{Blocking, Clearance, Refusal, Run, Stop};

use crate::yaml::Place;

/// What was asked of Preflight cannot be done: bad input, exit code 2.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    message: String,
    place: Option<Box<Place>>,
    help: Option<String>,
}

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, help: None }
    }

    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = Some(Box::new(place));
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Where it is written.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        self.place.as_deref()
    }

    /// What to do.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.help.as_deref()
    }
}
