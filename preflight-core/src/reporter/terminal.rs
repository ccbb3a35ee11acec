//! For people: every finding as a compiler would show it, and for every check what it stands on.

use std::io::{self, Write};

use super::diagnostic::{Ink, Style, write_place};
use crate::report::{Decision, Report, by_phase};
use crate::result::{CheckResult, Finding, Outcome, Severity, Status};

/// Writes reports for people.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    style: Style,
}

impl Terminal {
    /// A writer with that style.
    #[must_use]
    pub const fn new(style: Style) -> Self {
        Self { style }
    }

    /// Writes a report.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, report: &Report, to: &mut dyn Write) -> io::Result<()> {
        let ink = match report.verdict.decision {
            Decision::Go => Ink::Good,
            Decision::NoGo => Ink::Bad,
            _ => Ink::Doubt,
        };
        writeln!(to, "{}", self.style.paint(ink, &report.verdict.headline))?;
        self.about(report, to)?;
        for (phase, checks) in by_phase(&report.checks) {
            let blocking = if phase.is_blocking() { "blocking" } else { "not blocking" };
            writeln!(to, "\n{} ({blocking})", self.style.paint(Ink::Strong, phase.name()))?;
            for check in checks {
                self.check(check, to)?;
            }
        }
        if !report.verdict.set_aside.is_empty() {
            writeln!(to, "\n{}", self.style.paint(Ink::Strong, "set aside"))?;
            for aside in &report.verdict.set_aside {
                writeln!(to, "  {} ({})", aside.name, aside.why)?;
            }
        }
        for note in &report.notes {
            writeln!(to, "\nnote: {note}")?;
        }
        if let Some(why) = &report.interrupted {
            writeln!(to, "\nThe run was cut short: {why}")?;
        }
        if report.verdict.worth_a_retry {
            writeln!(to, "\nWhat failed may pass if it is asked again.")?;
        }
        Ok(())
    }

    /// What the verdict is about, on one line.
    fn about(&self, report: &Report, to: &mut dyn Write) -> io::Result<()> {
        let cluster = &report.facts.cluster;
        let mut parts = Vec::new();
        if let Some(environment) = &report.facts.environment {
            parts.push(format!("environment {environment}"));
        }
        parts.push(match report.facts.objects {
            1 => "1 object".to_owned(),
            n => format!("{n} objects"),
        });
        if let Some(server) = &cluster.server {
            let version =
                cluster.version.as_deref().map(|version| format!(" ({version})")).unwrap_or_default();
            let via = if cluster.source == "snapshot" { "snapshot of " } else { "" };
            parts.push(format!("{via}{server}{version}"));
        }
        if let Some(user) = &cluster.user {
            parts.push(format!("as {user}"));
        }
        parts.push(format!("{} ms", report.duration_ms));
        writeln!(to, "{}", self.style.paint(Ink::Faint, parts.join(", ")))
    }

    fn check(&self, check: &CheckResult, to: &mut dyn Write) -> io::Result<()> {
        let (mark, ink) = match check.status {
            Status::Passed => ("✓", Ink::Good),
            Status::Warning => ("!", Ink::Attention),
            Status::Failed => ("✗", Ink::Bad),
            Status::Skipped => ("-", Ink::Faint),
            _ => ("?", Ink::Doubt),
        };
        let status = self.style.paint(ink, format!("{mark} {} {}", check.name, check.status));
        let own_words = matches!(check.status, Status::Passed | Status::Skipped);
        if own_words {
            writeln!(to, "  {status}: {}", further(&check.message, 4))?;
        } else {
            writeln!(to, "  {status}")?;
        }
        for finding in &check.findings {
            self.finding(finding, to)?;
        }
        self.unknowns(check, to)
    }

    fn finding(&self, finding: &Finding, to: &mut dyn Write) -> io::Result<()> {
        let (word, ink) = match finding.severity {
            Severity::Failed => ("failed", Ink::Bad),
            Severity::Warning => ("warning", Ink::Attention),
        };
        let word = self.style.paint(ink, format!("{word}[{}]", finding.rule));
        writeln!(to, "\n    {word} {}", further(&finding.message, 6))?;
        let field = finding.subject.field.as_deref().map(|field| format!(", {field}")).unwrap_or_default();
        writeln!(to, "    {}", self.style.paint(Ink::Faint, format!("{}{field}", finding.subject.name)))?;
        if let Some(place) = &finding.subject.place {
            indent(&write_place(place, self.style), to)?;
        }
        writeln!(
            to,
            "    {} {}",
            self.style.paint(Ink::Strong, "mend:"),
            further(&finding.remediation.summary, 6)
        )?;
        for command in &finding.remediation.commands {
            writeln!(to, "      {}", further(command, 6))?;
        }
        writeln!(to, "    {}", self.style.paint(Ink::Faint, format!("runbook: {}", finding.runbook)))
    }

    /// Rules that are not known, with one cause told once.
    fn unknowns(&self, check: &CheckResult, to: &mut dyn Write) -> io::Result<()> {
        let mut told: Vec<(&str, Option<&str>, bool, Vec<&str>)> = Vec::new();
        for rule in &check.rules {
            let Outcome::Unknown { why, advice, accepted } = &rule.outcome else {
                continue;
            };
            match told.iter_mut().find(|(known, _, same, _)| known == why && same == accepted) {
                Some((_, _, _, rules)) => rules.push(&rule.rule),
                None => told.push((why, advice.as_deref(), *accepted, vec![&rule.rule])),
            }
        }
        for (why, advice, accepted, rules) in told {
            let word = if accepted { "unknown, accepted" } else { "unknown" };
            let word = self.style.paint(Ink::Doubt, format!("{word}[{}]", rules.join(", ")));
            writeln!(to, "\n    {word} {}", further(why, 6))?;
            if let Some(advice) = advice {
                writeln!(to, "    {} {}", self.style.paint(Ink::Strong, "to know it:"), further(advice, 6))?;
            }
        }
        Ok(())
    }
}

/// A text whose further lines stand further in.
fn further(text: &str, by: usize) -> String {
    let mut lines = text.lines();
    let mut whole = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        whole.push('\n');
        if !line.trim().is_empty() {
            whole.extend(std::iter::repeat_n(' ', by));
            whole.push_str(line.trim_end());
        }
    }
    whole
}

fn indent(text: &str, to: &mut dyn Write) -> io::Result<()> {
    text.lines().try_for_each(|line| writeln!(to, "    {line}"))
}
