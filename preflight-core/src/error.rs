//! Why something could not be decided.

use std::any::Any;
use std::fmt;

use crate::cluster::ClusterError;
use crate::rule::Rule;

#[derive(Debug, Clone)]
pub(crate) enum Cause {
    Unknown,
    Blocked(&'static Rule),
}

/// Why a check, or some of its rules, could not be decided, and what would make them known.
///
/// Any error becomes one with `?`. An error that stands for a failed cause (the cluster cannot be reached)
/// makes the rules skipped, blocked by that cause; any other makes them unknown. It is not itself an
/// [`Error`](std::error::Error), so that every error converts.
#[derive(Debug, Clone)]
pub struct Undecided {
    pub(crate) cause: Cause,
    pub(crate) message: String,
    pub(crate) advice: Option<String>,
}

impl Undecided {
    /// Could not be looked at.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self { cause: Cause::Unknown, message: message.into(), advice: None }
    }

    /// Made impossible by the failure of `rule`.
    pub fn blocked(rule: &'static Rule, message: impl Into<String>) -> Self {
        Self { cause: Cause::Blocked(rule), message: message.into(), advice: None }
    }

    /// Adds what would make it known.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Why, in one sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The rule whose failure is the cause, if one is.
    #[must_use]
    pub const fn blocked_by(&self) -> Option<&'static Rule> {
        match self.cause {
            Cause::Blocked(rule) => Some(rule),
            Cause::Unknown => None,
        }
    }
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Undecided {
    fn from(error: E) -> Self {
        if let Some(error) = (&error as &dyn Any).downcast_ref::<ClusterError>() {
            let cause = error.cause().map_or(Cause::Unknown, Cause::Blocked);
            return Self { cause, message: error.to_string(), advice: error.advice() };
        }
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::unknown(message)
    }
}

/// Adds to an error what would make the answer known.
pub trait Advice<T> {
    /// What would make it known, for example `grant list on priorityclasses`.
    ///
    /// # Errors
    /// The error of `self`, as an [`Undecided`] with this advice.
    fn advice(self, advice: impl Into<String>) -> Result<T, Undecided>;
}

impl<T, E: Into<Undecided>> Advice<T> for Result<T, E> {
    fn advice(self, advice: impl Into<String>) -> Result<T, Undecided> {
        self.map_err(|error| error.into().advice(advice))
    }
}
