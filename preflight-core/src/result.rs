//! Results: what a check found, rule by rule, and on what evidence.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::manifests::Object;
use crate::phase::Phase;
use crate::rule::{Consequence, Rule};
use crate::yaml::{FieldPath, Place};

/// What came of a whole check, from its rules' outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Status {
    /// Every rule that applies was examined and holds.
    Passed,
    /// Nothing failed; something deserves attention.
    Warning,
    /// A rule was violated.
    Failed,
    /// Not looked at, for a reason that is told.
    Skipped,
    /// Something could not be looked at.
    Unknown,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Unknown => "unknown",
        })
    }
}

/// Whether the cluster or registry said it, or we worked it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Basis {
    /// The cluster or registry said so.
    Observed,
    /// We worked it out.
    Predicted,
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// Stands in the way.
    Failed,
    /// Deserves attention.
    Warning,
}

/// What a finding is about: an object and a field of it, or anything else with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Subject {
    /// `Deployment shop/web`, or the name of whatever else it is.
    pub name: String,
    /// The field's path as Kubernetes writes it, for example `spec.template.spec.containers[0].image`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Where the manifests say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

impl Subject {
    /// Something that is not in the manifests: a server, a node, an identity.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), field: None, place: None }
    }

    /// A whole object of the manifests; its place is its name's.
    #[must_use]
    pub fn object(object: &Object) -> Self {
        Self { name: object.id().to_string(), field: None, place: Some(object.place_of_name()) }
    }

    /// A field of an object of the manifests; its place is the field's, or its nearest ancestor's.
    #[must_use]
    pub fn at(object: &Object, path: &FieldPath) -> Self {
        Self { name: object.id().to_string(), field: Some(path.to_string()), place: Some(object.place(path)) }
    }
}

/// How to mend a finding: what to do, and the commands that do it or that show more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Remediation {
    /// What to do, in one sentence.
    pub summary: String,
    /// Commands that can be pasted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
}

impl Remediation {
    /// A remediation in one sentence.
    pub fn new(summary: impl Into<String>) -> Self {
        Self { summary: summary.into(), commands: Vec::new() }
    }

    /// Adds a command that can be pasted.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.commands.push(command.into());
        self
    }

    /// Everything on one line, as advice.
    #[must_use]
    pub fn on_one_line(&self) -> String {
        match self.commands.as_slice() {
            [] => self.summary.clone(),
            commands => format!("{}: `{}`", self.summary, commands.join("`, `")),
        }
    }
}

impl fmt::Display for Remediation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)?;
        for command in &self.commands {
            write!(f, "\n{command}")?;
        }
        Ok(())
    }
}

/// One violation of a rule by one subject. It cannot be built without a remediation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Finding {
    /// The rule's id.
    pub rule: String,
    /// How much it weighs.
    pub severity: Severity,
    /// What ignoring it leads to.
    pub consequence: Consequence,
    /// Whether it was observed or worked out.
    pub basis: Basis,
    /// What it is about.
    pub subject: Subject,
    /// What is wrong, in one sentence.
    pub message: String,
    /// How to mend it.
    pub remediation: Remediation,
    /// Whether the same question may get another answer without anyone changing anything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transient: bool,
    /// Stays the same when lines move: made of the rule, the subject and the field, not of the place.
    pub fingerprint: String,
    /// Where the rule's runbook is published.
    pub runbook: String,
}

impl Finding {
    pub(crate) fn new(
        rule: &Rule,
        severity: Severity,
        subject: Subject,
        message: String,
        remediation: Remediation,
    ) -> Self {
        let mut digest = Sha256::new();
        for part in [rule.id(), &subject.name, subject.field.as_deref().unwrap_or_default()] {
            digest.update(part.as_bytes());
            digest.update([0]);
        }
        let fingerprint = digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self {
            rule: rule.id().to_owned(),
            severity,
            consequence: rule.consequence(),
            basis: Basis::Observed,
            subject,
            message,
            remediation,
            transient: false,
            fingerprint,
            runbook: rule.url(),
        }
    }
}

/// What came of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// It holds.
    Passed {
        /// What was examined, for example `12 images, 3 registries`. Never empty.
        evidence: String,
    },
    /// It is violated: see the findings.
    Failed,
    /// Nothing failed; see the findings of severity warning.
    Warning,
    /// There is nothing in the release or cluster that it speaks of.
    NotApplicable {
        /// What there is none of.
        why: String,
    },
    /// A failed cause made it impossible, or it was set aside.
    #[serde(rename_all = "camelCase")]
    Skipped {
        /// Why, in one sentence.
        why: String,
        /// The id of the rule whose failure is the cause.
        #[serde(skip_serializing_if = "Option::is_none")]
        blocked_by: Option<String>,
    },
    /// It could not be looked at.
    Unknown {
        /// Why, in one sentence.
        why: String,
        /// What would make it known.
        #[serde(skip_serializing_if = "Option::is_none")]
        advice: Option<String>,
        /// The environment accepts not knowing this (`on_unknown: {RULE: warn}`).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        accepted: bool,
    },
}

/// A rule and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RuleResult {
    /// The rule's id.
    pub rule: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What one plugin's check came to. Only the orchestrator makes it, from what the plugin wrote through
/// [`Examination`](crate::Examination).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CheckResult {
    /// The plugin's name.
    pub name: String,
    /// The plugin's phase.
    pub phase: Phase,
    /// The worst that any rule came to.
    pub status: Status,
    /// The worst cause, or the evidence, in one sentence.
    pub message: String,
    /// How to mend the worst cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remediation: Option<String>,
    /// More facts, of the plugin's own choosing.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub details: serde_json::Map<String, serde_json::Value>,
    /// How long the check took, in milliseconds.
    #[serde(rename = "duration_ms")]
    pub duration_ms: u64,
    /// Every violation found, the gravest first.
    pub findings: Vec<Finding>,
    /// What came of each declared rule, in the order of declaration.
    pub rules: Vec<RuleResult>,
}

impl CheckResult {
    /// The outcomes that are `unknown` and that nobody accepted.
    pub fn unknowns(&self) -> impl Iterator<Item = &RuleResult> {
        self.rules.iter().filter(|rule| matches!(rule.outcome, Outcome::Unknown { accepted: false, .. }))
    }

    /// Findings of severity failed.
    pub fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Failed)
    }

    /// Findings of severity warning.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Warning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::rules! { plugin "demo";
        /// A.
        ///
        /// B.
        A = "a", harm;
    }

    #[test]
    fn a_finding_has_what_its_rule_says() {
        let finding = finding(Subject::new("x"));
        assert_eq!((finding.rule.as_str(), finding.consequence), (RULES[0].id(), Consequence::Harm));
        assert!(finding.runbook.ends_with("/checks/demo.md#a"));
    }

    fn finding(subject: Subject) -> Finding {
        Finding::new(&A, Severity::Failed, subject, "m".into(), Remediation::new("r"))
    }

    #[test]
    fn a_fingerprint_survives_moved_lines_and_tells_fields_apart() {
        let at = |line, field: &str| Subject {
            name: "Deployment shop/web".into(),
            field: Some(field.into()),
            place: Some(Place::new("a.yaml", line, 3, 4)),
        };
        assert_eq!(finding(at(3, "x")).fingerprint, finding(at(30, "x")).fingerprint);
        assert_ne!(finding(at(3, "x")).fingerprint, finding(at(3, "y")).fingerprint);
    }
}
