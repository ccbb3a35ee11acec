//! Tests that share a control plane.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::assets::Unavailable;
use crate::control_plane::{ControlPlane, Options};

/// What a test does with the control plane.
pub type Test = Box<dyn FnOnce(&mut ControlPlane) -> Result<(), Failed> + Send>;

/// Runs those tests that the command line asks for, one after the other, on one control plane. It is started for the first
/// of them. Where it is not to be had, they are ignored, or fail if they must not be.
pub fn run_tests(options: Options, tests: impl IntoIterator<Item = (&'static str, Test)>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let shared = Arc::new(Mutex::new(None));
    let trials = tests.into_iter().map(|(name, test)| {
        let (shared, options) = (Arc::clone(&shared), options.clone());
        Trial::ignorable_test(name, move || {
            let mut slot = shared.lock().unwrap_or_else(PoisonError::into_inner);
            match slot.get_or_insert_with(|| ControlPlane::start(&options)) {
                Err(unavailable) => unavailable.completion(),
                Ok(plane) => test(plane).map(|()| Completion::Completed),
            }
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    // It is stopped before the process ends.
    drop(shared.lock().unwrap_or_else(PoisonError::into_inner).take());
    conclusion.exit_code()
}

impl Unavailable {
    /// What comes of a test that would have needed it.
    ///
    /// # Errors
    /// The tests must not do without it.
    pub fn completion(&self) -> Result<Completion, Failed> {
        if self.is_failure() {
            return Err(self.into());
        }
        Ok(Completion::ignored_with(self.reason.clone()))
    }
}

/// The number in an environment variable; `None` where it is not set.
///
/// # Errors
/// It is no number.
pub fn number(variable: &str) -> Result<Option<u64>, Failed> {
    match std::env::var(variable) {
        Ok(text) => Ok(Some(text.parse().map_err(|_| format!("{variable} is not a number: {text}"))?)),
        Err(_) => Ok(None),
    }
}
