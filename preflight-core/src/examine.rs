//! The handle through which a plugin writes what it finds. Everything goes straight into the orchestrator's
//! record, so what was found before an error, a panic, a time-out or Ctrl-C stays found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Cause, Undecided};
use crate::phase::Phase;
use crate::redact::redact;
use crate::result::{
    Basis, CheckResult, Finding, Outcome, Remediation, RuleResult, Severity, Status, Subject,
};
use crate::rule::Rule;

/// What a plugin has said so far about one rule.
#[derive(Debug, Default, Clone)]
struct Said {
    failed: usize,
    warned: usize,
    examined: usize,
    concluded: Option<String>,
    /// Why it could not be looked at, each reason once, and what would make the first one known.
    unknown: Option<(Vec<String>, Option<String>)>,
    skipped: Option<(String, Option<&'static str>)>,
}

#[derive(Debug, Default)]
struct Notes {
    findings: Vec<Finding>,
    said: BTreeMap<&'static str, Said>,
    details: serde_json::Map<String, serde_json::Value>,
}

/// The orchestrator's record of one check.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    name: &'static str,
    phase: Phase,
    rules: Arc<[&'static Rule]>,
    notes: Arc<Mutex<Notes>>,
}

impl Record {
    pub(crate) fn new(name: &'static str, phase: Phase, rules: &[&'static Rule]) -> Self {
        Self { name, phase, rules: rules.into(), notes: Arc::default() }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        // A plugin that panicked while it wrote has still written what it wrote.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, rule: &'static Rule, change: impl FnOnce(&mut Said)) {
        change(self.notes().said.entry(rule.id()).or_default());
    }

    pub(crate) fn undecided(&self, rules: &[&'static Rule], undecided: &Undecided) {
        for rule in rules {
            let message = || redact(&undecided.message).into_owned();
            self.say(rule, |said| match &undecided.cause {
                Cause::Unknown => {
                    let (whys, _) =
                        said.unknown.get_or_insert_with(|| (Vec::new(), undecided.advice.clone()));
                    let why = message();
                    if !whys.contains(&why) {
                        whys.push(why);
                    }
                }
                Cause::Blocked(by) => {
                    said.skipped.get_or_insert_with(|| (message(), Some(by.id())));
                }
            });
        }
    }

    /// Says of every rule that nothing has been concluded about what became of it.
    pub(crate) fn undecided_rest(&self, undecided: &Undecided) {
        let rest = self.open_rules();
        self.undecided(&rest, undecided);
    }

    /// Says of every rule that nothing has been concluded about that it was set aside.
    pub(crate) fn set_aside_rest(&self, why: &str) {
        for rule in self.open_rules() {
            self.say(rule, |said| said.skipped = Some((why.to_owned(), None)));
        }
    }

    /// The declared rules of which nothing final has been said.
    fn open_rules(&self) -> Vec<&'static Rule> {
        let notes = self.notes();
        let open = |rule: &&&'static Rule| {
            notes.said.get(rule.id()).is_none_or(|said| {
                said.concluded.is_none() && said.unknown.is_none() && said.skipped.is_none()
            })
        };
        self.rules.iter().filter(open).copied().collect()
    }

    /// The result of what has been written so far. A declared rule of which nothing was concluded is unknown.
    pub(crate) fn seal(&self, accepted: &dyn Fn(&str) -> bool, duration: Duration) -> CheckResult {
        let notes = self.notes();
        let rules: Vec<_> = self
            .rules
            .iter()
            .map(|rule| RuleResult {
                rule: rule.id().to_owned(),
                outcome: outcome(notes.said.get(rule.id()), accepted(rule.id())),
            })
            .collect();
        let mut findings = notes.findings.clone();
        findings.sort_by_key(|finding| (finding.severity, finding.consequence));
        let status = status(&rules, &findings);
        let (message, remediation) = headline(status, &rules, &findings);
        CheckResult {
            name: self.name.to_owned(),
            phase: self.phase,
            status,
            message,
            remediation,
            details: notes.details.clone(),
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            findings,
            rules,
        }
    }
}

/// A failure stands whatever else was said; not knowing stands over any pass; a pass needs a conclusion and
/// something examined.
fn outcome(said: Option<&Said>, accepted: bool) -> Outcome {
    let Some(said) = said else {
        return Outcome::Unknown { why: UNCONCLUDED.to_owned(), advice: None, accepted };
    };
    if said.failed > 0 {
        return Outcome::Failed;
    }
    if let Some((whys, advice)) = &said.unknown {
        return Outcome::Unknown { why: in_one(whys), advice: advice.clone(), accepted };
    }
    if let Some((why, by)) = &said.skipped {
        return Outcome::Skipped { why: why.clone(), blocked_by: by.map(str::to_owned) };
    }
    match &said.concluded {
        None => Outcome::Unknown { why: UNCONCLUDED.to_owned(), advice: None, accepted },
        Some(_) if said.warned > 0 => Outcome::Warning,
        Some(what) if said.examined == 0 => Outcome::NotApplicable { why: format!("no {what}") },
        Some(evidence) => Outcome::Passed { evidence: evidence.clone() },
    }
}

/// Reasons that are told of one rule.
const REASONS: usize = 5;

fn in_one(whys: &[String]) -> String {
    let told = whys.iter().take(REASONS).map(String::as_str).collect::<Vec<_>>().join("; ");
    match whys.len().saturating_sub(REASONS) {
        0 => told,
        more => format!("{told}; and {more} more"),
    }
}

const UNCONCLUDED: &str = "the check said nothing about this rule";

fn status(rules: &[RuleResult], findings: &[Finding]) -> Status {
    let any = |matches: fn(&Outcome) -> bool| rules.iter().any(|rule| matches(&rule.outcome));
    if any(|outcome| matches!(outcome, Outcome::Failed)) {
        Status::Failed
    } else if rules.is_empty() || any(|outcome| matches!(outcome, Outcome::Unknown { accepted: false, .. })) {
        Status::Unknown
    } else if any(|outcome| matches!(outcome, Outcome::Skipped { blocked_by: Some(_), .. })) {
        Status::Skipped
    } else if any(|outcome| matches!(outcome, Outcome::Skipped { .. }))
        && !any(|outcome| matches!(outcome, Outcome::Passed { .. } | Outcome::Warning))
    {
        // What was set aside of a check is told by the verdict; the rest of it stands.
        Status::Skipped
    } else if !findings.is_empty() || any(|outcome| matches!(outcome, Outcome::Unknown { .. })) {
        Status::Warning
    } else if any(|outcome| matches!(outcome, Outcome::Passed { .. })) {
        Status::Passed
    } else {
        Status::Skipped
    }
}

fn headline(status: Status, rules: &[RuleResult], findings: &[Finding]) -> (String, Option<String>) {
    if let (Status::Failed | Status::Warning, Some(worst)) = (status, findings.first()) {
        // Warnings are counted by themselves.
        let same = findings.iter().filter(|finding| finding.severity == worst.severity).count();
        let more = match same - 1 {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        return (format!("{}{more}", worst.message), Some(worst.remediation.to_string()));
    }
    let found = match status {
        Status::Unknown | Status::Warning => rules.iter().find_map(|rule| match &rule.outcome {
            Outcome::Unknown { why, advice, .. } => Some((why.clone(), advice.clone())),
            _ => None,
        }),
        Status::Skipped => rules.iter().find_map(|rule| match &rule.outcome {
            Outcome::Skipped { why, blocked_by: Some(by) } => Some((format!("blocked by {by}: {why}"), None)),
            Outcome::Skipped { why, .. } => Some((why.clone(), None)),
            _ => None,
        }),
        _ => None,
    };
    found.unwrap_or_else(|| {
        let evidence: Vec<_> = rules
            .iter()
            .filter_map(|rule| match &rule.outcome {
                Outcome::Passed { evidence } => Some(evidence.as_str()),
                _ => None,
            })
            .collect();
        match (status, evidence.is_empty()) {
            (Status::Skipped, _) => ("nothing to examine".to_owned(), None),
            (_, true) => ("the check has no rules, so it shows nothing".to_owned(), None),
            _ => (join_distinct(&evidence), None),
        }
    })
}

fn join_distinct(parts: &[&str]) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for part in parts {
        if !seen.contains(part) {
            seen.push(part);
        }
    }
    seen.join("; ")
}

/// The handle that [`Context::examine`](crate::Context::examine) gives.
#[derive(Debug)]
pub struct Examination {
    record: Record,
}

impl Examination {
    pub(crate) const fn new(record: Record) -> Self {
        Self { record }
    }

    /// Begins the examination of a rule.
    pub fn rule(&self, rule: &'static Rule) -> RuleCheck<'_> {
        RuleCheck { rule, record: &self.record, examined: 0, distinct: BTreeSet::new() }
    }

    /// `None` where `result` is an error: these rules are then unknown (or skipped, where a failed cause
    /// stands behind it), and the check goes on with the others.
    pub fn need<T>(&self, rules: &[&'static Rule], result: Result<T, impl Into<Undecided>>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.record.undecided(rules, &error.into());
                None
            }
        }
    }

    /// Says that these rules could not be looked at, why, and what would make them known.
    pub fn unknown(&self, rules: &[&'static Rule], why: impl Into<String>, advice: impl Into<String>) {
        let undecided = Undecided::unknown(why).advice(advice);
        self.record.undecided(rules, &undecided);
    }

    /// Says that these rules are not looked at because the user asked for that. The verdict tells it.
    pub fn set_aside(&self, rules: &[&'static Rule], why: &str) {
        for rule in rules {
            self.record.say(rule, |said| {
                said.skipped.get_or_insert_with(|| (why.to_owned(), None));
            });
        }
    }

    /// Says that the failure of `cause` makes these rules impossible.
    pub fn blocked(&self, rules: &[&'static Rule], cause: &'static Rule, why: impl Into<String>) {
        self.record.undecided(rules, &Undecided::blocked(cause, why));
    }

    /// Adds a fact to the result's details.
    pub fn detail(&self, key: impl Into<String>, value: impl Into<serde_json::Value>) {
        self.record.notes().details.insert(key.into(), value.into());
    }

    /// The result of what was written.
    #[must_use]
    pub fn finish(self) -> CheckResult {
        self.record.seal(&|_| false, Duration::ZERO)
    }
}

/// The examination of one rule. What is not concluded is unknown.
#[derive(Debug)]
#[must_use = "a rule that is not concluded is unknown"]
pub struct RuleCheck<'a> {
    rule: &'static Rule,
    record: &'a Record,
    examined: usize,
    /// What was looked at and is counted once, however often it occurs.
    distinct: BTreeSet<String>,
}

impl RuleCheck<'_> {
    /// Counts one thing as looked at.
    pub fn examined(&mut self) {
        self.examined_many(1);
    }

    /// Counts so many things as looked at.
    pub fn examined_many(&mut self, count: usize) {
        self.examined += count;
    }

    /// Counts one thing as looked at, once by its name.
    pub fn examined_once(&mut self, name: impl Into<String>) {
        self.distinct.insert(name.into());
    }

    /// The rule is violated.
    pub fn fail(&mut self, subject: Subject, message: impl Into<String>, remediation: Remediation) {
        self.add(Severity::Failed, subject, message.into(), remediation, |_| {});
    }

    /// The rule is violated now, but the same question may get another answer soon.
    pub fn fail_for_now(&mut self, subject: Subject, message: impl Into<String>, remediation: Remediation) {
        self.add(Severity::Failed, subject, message.into(), remediation, |finding| finding.transient = true);
    }

    /// The rule will be violated, as far as we can work out.
    pub fn predict(&mut self, subject: Subject, message: impl Into<String>, remediation: Remediation) {
        self.add(Severity::Failed, subject, message.into(), remediation, |finding| {
            finding.basis = Basis::Predicted;
        });
    }

    /// This could not be looked at: why, and what would make it known.
    pub fn unknown(&mut self, why: impl Into<String>, advice: impl Into<String>) {
        self.record.undecided(&[self.rule], &Undecided::unknown(why).advice(advice));
    }

    /// Nothing stands in the way, but this deserves attention.
    pub fn warn(&mut self, subject: Subject, message: impl Into<String>, remediation: Remediation) {
        self.add(Severity::Warning, subject, message.into(), remediation, |_| {});
    }

    fn add(
        &mut self,
        severity: Severity,
        subject: Subject,
        message: String,
        remediation: Remediation,
        more: impl FnOnce(&mut Finding),
    ) {
        let message = redact(&message).into_owned();
        let mut finding = Finding::new(self.rule, severity, subject, message, remediation);
        more(&mut finding);
        self.record.notes().findings.push(finding);
        self.record.say(self.rule, |said| match severity {
            Severity::Failed => said.failed += 1,
            Severity::Warning => said.warned += 1,
        });
    }

    /// Concludes with the count as evidence: `4 PriorityClasses`. With nothing examined the rule does not
    /// apply, which is no pass.
    pub fn conclude(self, what: &str) {
        let evidence = match self.examined + self.distinct.len() {
            0 => what.to_owned(),
            count => format!("{count} {what}"),
        };
        self.close(evidence);
    }

    /// Concludes with evidence in words, where one thing was examined.
    pub fn conclude_with(mut self, evidence: impl Into<String>) {
        self.examined += 1;
        self.close(evidence.into());
    }

    fn close(self, evidence: String) {
        let examined = self.examined + self.distinct.len();
        self.record.say(self.rule, |said| {
            said.examined += examined;
            said.concluded = Some(evidence);
        });
    }
}
