//! What is going on, on a terminal, until the report is there.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use preflight_core::{Event, Listener};

/// One line on standard error that says which checks still run.
pub(crate) struct Progress {
    colour: bool,
    waiting: Mutex<Vec<String>>,
}

impl Progress {
    pub(crate) const fn new(colour: bool) -> Self {
        Self { colour, waiting: Mutex::new(Vec::new()) }
    }

    fn show(&self, text: &str) {
        let (faint, plain) = if self.colour { ("\u{1b}[2m", "\u{1b}[0m") } else { ("", "") };
        // Progress that cannot be shown is no loss.
        let _ = write!(std::io::stderr(), "\r\u{1b}[2K{faint}{text}{plain}");
    }
}

impl Listener for Progress {
    fn on(&self, event: &Event) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::RunStarted { checks, .. } => {
                *waiting = checks.iter().map(|(name, _)| name.clone()).collect()
            }
            Event::CheckFinished { result } => waiting.retain(|name| *name != result.name),
            Event::RunFinished { .. } => return self.show(""),
            _ => return,
        }
        if !waiting.is_empty() {
            self.show(&format!("checking: {}", waiting.join(", ")));
        }
    }
}
