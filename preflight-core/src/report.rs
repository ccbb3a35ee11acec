//! The report: versioned, with a JSON Schema, the fold of a run's events.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::phase::Phase;
use crate::result::{CheckResult, Outcome, Status};

/// The `apiVersion` of reports.
pub const API_VERSION: &str = "preflight.ameide.io/v1";

/// GO, NO-GO or UNKNOWN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Decision {
    /// Nothing that was looked at stands in the way, and everything that had to be looked at was.
    Go,
    /// A check failed.
    NoGo,
    /// Something needed could not be looked at.
    Unknown,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Go => "GO",
            Self::NoGo => "NO-GO",
            Self::Unknown => "UNKNOWN",
        })
    }
}

/// A required check, rule or setting that this run did not look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SetAside {
    /// The check, rule or section of the environment.
    pub name: String,
    /// Why, in a few words: `--skip`, `not built in`.
    pub why: String,
    /// How many rules of the check, where the others of it were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<usize>,
}

impl SetAside {
    /// Says that `name` was not looked at.
    pub fn new(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), why: why.into(), rules: None }
    }

    /// Says that so many rules of the check `name` were not looked at.
    pub fn some_rules(name: impl Into<String>, why: impl Into<String>, rules: usize) -> Self {
        Self { rules: Some(rules), ..Self::new(name, why) }
    }
}

/// What a run decided, and what it stands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Verdict {
    /// GO, NO-GO or UNKNOWN.
    pub decision: Decision,
    /// The decision and its worst cause, on one line.
    pub headline: String,
    /// Number of findings that stand in the way.
    pub failures: usize,
    /// Number of findings that deserve attention.
    pub warnings: usize,
    /// Ids of the rules that could not be looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Ids of the rules that could not be looked at, which the environment accepts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_unknown: Vec<String>,
    /// What was required and not looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<SetAside>,
    /// Whether every failure is one that the same question may answer differently soon.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub worth_a_retry: bool,
    /// Until when the decision may be relied on, as RFC 3339.
    pub expires_at: String,
}

/// What a run is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RunFacts {
    /// Version of Preflight.
    pub preflight_version: String,
    /// When the run began, as RFC 3339.
    pub started_at: String,
    /// The environment's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Digest of the manifests and of the environment: `sha256:…`.
    pub inputs_digest: String,
    /// Number of objects in the manifests.
    pub objects: usize,
    /// How the cluster was reached.
    pub cluster: ClusterFacts,
}

/// How the cluster was reached, and what it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ClusterFacts {
    /// URL of the API server, without credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The kubeconfig's context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Where the answers came from: `cluster` or `snapshot`.
    pub source: String,
    /// Version of the API server, for example `v1.36.3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// UID of the `kube-system` namespace, which identifies a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// As whom the cluster was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// What a run looked at and decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Report {
    /// [`API_VERSION`].
    pub api_version: String,
    /// `PreflightReport`.
    pub kind: String,
    /// What was decided.
    pub verdict: Verdict,
    /// What the run is about.
    #[serde(flatten)]
    pub facts: RunFacts,
    /// When the run ended, as RFC 3339.
    pub finished_at: String,
    /// How long the run took, in milliseconds.
    #[serde(rename = "duration_ms")]
    pub duration_ms: u64,
    /// What each check came to, by phase and then in the order in which the plugins were given.
    pub checks: Vec<CheckResult>,
    /// What users should know besides: checks that will go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why the run was cut short, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<String>,
}

impl Report {
    /// The fold of a run's events. `None` before the run has finished.
    #[must_use]
    pub fn of(events: &[Event]) -> Option<Self> {
        let (mut order, mut notes, mut facts) = (Vec::new(), Vec::new(), None);
        let (mut checks, mut interrupted) = (Vec::new(), None);
        for event in events {
            match event {
                Event::RunStarted { checks, facts: known, notes: told } => {
                    order.clone_from(checks);
                    notes.clone_from(told);
                    facts = Some(known.clone());
                }
                Event::ClusterKnown { facts: known } => facts = Some(known.clone()),
                Event::CheckFinished { result } => checks.push(result.clone()),
                Event::Interrupted { why } => interrupted = Some(why.clone()),
                Event::RunFinished { verdict, finished_at, duration_ms } => {
                    let place = |check: &CheckResult| order.iter().position(|(name, _)| *name == check.name);
                    checks.sort_by_key(|check| (check.phase, place(check)));
                    return Some(Self {
                        api_version: API_VERSION.to_owned(),
                        kind: "PreflightReport".to_owned(),
                        verdict: verdict.clone(),
                        facts: facts?,
                        finished_at: finished_at.clone(),
                        duration_ms: *duration_ms,
                        checks,
                        notes,
                        interrupted,
                    });
                }
            }
        }
        None
    }

    /// A report of a run whose events were lost; only the verdict stands.
    pub(crate) fn without_events(verdict: Verdict, facts: RunFacts) -> Self {
        let finished_at = facts.started_at.clone();
        Self {
            api_version: API_VERSION.to_owned(),
            kind: "PreflightReport".to_owned(),
            verdict,
            facts,
            finished_at,
            duration_ms: 0,
            checks: Vec::new(),
            notes: Vec::new(),
            interrupted: None,
        }
    }

    /// The check of that name.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<&CheckResult> {
        self.checks.iter().find(|check| check.name == name)
    }

    /// The JSON Schema of reports.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }

    /// The exit code of `preflight` for this report: 3 no-go, 5 unknown, 4 go with warnings where
    /// `warnings_count`, 0 go.
    #[must_use]
    pub const fn exit_code(&self, warnings_count: bool) -> u8 {
        match self.verdict.decision {
            Decision::NoGo => 3,
            Decision::Unknown => 5,
            Decision::Go if warnings_count && self.verdict.warnings > 0 => 4,
            Decision::Go => 0,
        }
    }
}

/// What runs against several clusters looked at and decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ReportList {
    /// [`API_VERSION`].
    pub api_version: String,
    /// `PreflightReportList`.
    pub kind: String,
    /// A report for each cluster, in the order in which they were named.
    pub items: Vec<Report>,
}

impl ReportList {
    /// The list of these reports.
    #[must_use]
    pub fn new(items: Vec<Report>) -> Self {
        Self { api_version: API_VERSION.to_owned(), kind: "PreflightReportList".to_owned(), items }
    }

    /// The exit code of `preflight` for these reports: the first of 3, 5, 4 and 0 that one of them has.
    #[must_use]
    pub fn exit_code(&self, warnings_count: bool) -> u8 {
        let codes: Vec<u8> = self.items.iter().map(|report| report.exit_code(warnings_count)).collect();
        [3, 5, 4].into_iter().find(|code| codes.contains(code)).unwrap_or(0)
    }
}

/// Judges results. The only place where a decision is made.
///
/// No checks, no `go`; an unaccepted unknown is never `go`; what a failed cause blocked is a failure even if
/// the check that tells the cause was not selected.
#[must_use]
pub fn judge(checks: &[CheckResult], mut set_aside: Vec<SetAside>, expires_at: String) -> Verdict {
    tell_rules_set_aside(checks, &mut set_aside);
    let failures = checks.iter().flat_map(CheckResult::failures).count();
    let warnings = checks.iter().flat_map(CheckResult::warnings).count();
    let (mut unknown, mut accepted_unknown, mut blocked) = (Vec::new(), Vec::new(), None);
    for rule in checks.iter().flat_map(|check| &check.rules) {
        match &rule.outcome {
            Outcome::Unknown { accepted: true, .. } => accepted_unknown.push(rule.rule.clone()),
            Outcome::Unknown { .. } => unknown.push(rule.rule.clone()),
            Outcome::Skipped { why, blocked_by: Some(cause) } => {
                blocked.get_or_insert_with(|| format!("{why} ({cause})"));
            }
            _ => {}
        }
    }
    let unknown_checks = checks.iter().filter(|check| check.status == Status::Unknown).count();
    let evidence = checks.iter().any(|check| {
        check.rules.iter().any(|rule| matches!(rule.outcome, Outcome::Passed { .. } | Outcome::Warning))
    });
    let decision = if failures > 0 || blocked.is_some() {
        Decision::NoGo
    } else if !unknown.is_empty() || unknown_checks > 0 || !evidence {
        Decision::Unknown
    } else {
        Decision::Go
    };
    let cause = match decision {
        Decision::NoGo => worst(checks, Status::Failed).or(blocked),
        Decision::Unknown if checks.is_empty() => Some("no check was run".to_owned()),
        Decision::Unknown => {
            worst(checks, Status::Unknown).or_else(|| Some("nothing was examined".to_owned()))
        }
        Decision::Go => None,
    };
    let worth_a_retry = failures > 0 && checks.iter().flat_map(CheckResult::failures).all(|f| f.transient);
    let headline = headline(decision, cause, warnings, &accepted_unknown, &set_aside);
    Verdict {
        decision,
        headline,
        failures,
        warnings,
        unknown,
        accepted_unknown,
        set_aside,
        worth_a_retry,
        expires_at,
    }
}

/// Rules that a check did not look at because the user asked for that. A check that is set aside as a whole is told
/// already.
fn tell_rules_set_aside(checks: &[CheckResult], set_aside: &mut Vec<SetAside>) {
    for check in checks {
        if set_aside.iter().any(|aside| aside.name == check.name) {
            continue;
        }
        let skipped: Vec<_> = check
            .rules
            .iter()
            .filter_map(|rule| match &rule.outcome {
                Outcome::Skipped { why, blocked_by: None } => Some(why),
                _ => None,
            })
            .collect();
        if let Some(why) = skipped.first() {
            set_aside.push(match skipped.len() {
                all if all == check.rules.len() => SetAside::new(&check.name, why.as_str()),
                some => SetAside::some_rules(&check.name, format!("{why}: {some} of its rules"), some),
            });
        }
    }
}

/// The message of the worst check of that status. Checks are compared by phase, then as given.
fn worst(checks: &[CheckResult], status: Status) -> Option<String> {
    let check = checks.iter().filter(|check| check.status == status).min_by_key(|check| check.phase)?;
    Some(format!("{}: {}", check.name, check.message))
}

fn headline(
    decision: Decision,
    cause: Option<String>,
    warnings: usize,
    accepted: &[String],
    set_aside: &[SetAside],
) -> String {
    let mut line = match cause {
        Some(cause) => format!("{decision}: {cause}"),
        None => decision.to_string(),
    };
    let mut add = |n: usize, one: &str, many: &str| {
        if n > 0 {
            line.push_str(&format!(", {n} {}", if n == 1 { one } else { many }));
        }
    };
    add(warnings, "warning", "warnings");
    add(accepted.len(), "rule not known (accepted)", "rules not known (accepted)");
    let checks = set_aside.iter().filter(|aside| aside.rules.is_none()).count();
    add(checks, "check set aside", "checks set aside");
    add(set_aside.iter().filter_map(|aside| aside.rules).sum(), "rule set aside", "rules set aside");
    on_one_line(&line)
}

/// A text with its lines in one.
pub(crate) fn on_one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Where the run was against another cluster than the one that the environment pins: what to tell. That is bad
/// input, not a verdict.
#[must_use]
pub fn wrong_cluster(report: &Report) -> Option<String> {
    let id = crate::cluster::causes::WRONG_CLUSTER.id();
    let rules = || report.checks.iter().flat_map(|check| &check.rules);
    rules().find_map(|rule| match &rule.outcome {
        Outcome::Skipped { why, blocked_by: Some(by) } if by == id => Some(why.clone()),
        _ => None,
    })
}

/// The phases that `checks` cover, with their results.
#[must_use]
pub fn by_phase(checks: &[CheckResult]) -> Vec<(Phase, Vec<&CheckResult>)> {
    Phase::ALL
        .into_iter()
        .map(|phase| (phase, checks.iter().filter(|check| check.phase == phase).collect::<Vec<_>>()))
        .filter(|(_, checks)| !checks.is_empty())
        .collect()
}
