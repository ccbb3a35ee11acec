//! A line for the verdict and one for each thing that needs attention.

use std::io::{self, Write};

use crate::report::{Report, on_one_line};
use crate::result::{Outcome, Severity};

pub(super) fn write(report: &Report, to: &mut dyn Write) -> io::Result<()> {
    writeln!(to, "{}", report.verdict.headline)?;
    for check in &report.checks {
        for finding in &check.findings {
            let place = finding.subject.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
            let weight = match finding.severity {
                Severity::Failed => "failed",
                Severity::Warning => "warning",
            };
            writeln!(to, "{place}{weight}: {} [{}]", on_one_line(&finding.message), finding.rule)?;
        }
        for rule in &check.rules {
            if let Outcome::Unknown { why, accepted, .. } = &rule.outcome {
                let accepted = if *accepted { " (accepted)" } else { "" };
                writeln!(to, "unknown{accepted}: {} [{}]", on_one_line(why), rule.rule)?;
            }
        }
    }
    for note in &report.notes {
        writeln!(to, "note: {note}")?;
    }
    for aside in &report.verdict.set_aside {
        writeln!(to, "set aside: {} ({})", aside.name, aside.why)?;
    }
    Ok(())
}
