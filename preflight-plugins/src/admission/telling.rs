//! What is told of the release's trials.

use std::collections::BTreeMap;

use preflight_core::cluster::Refusal;
use preflight_core::{Apply, Examination, FieldPath, Method, Remediation, Subject};
use serde_json::Value;

use super::refusals::Meaning;
use super::settings::DryRun;
use super::trials::{Trial, cannot};
use super::{INVALID, PODS_REFUSED, REFUSED, WARNED};
use crate::told::some;
use crate::updates::{before_and_after, conflicts, immutable};

/// How many reasons are told for what was not tried.
const TOLD: usize = 2;

/// Tells what came of the trials.
pub(super) struct Telling<'a> {
    check: &'a Examination,
    refused: preflight_core::RuleCheck<'a>,
    invalid: preflight_core::RuleCheck<'a>,
    pods: preflight_core::RuleCheck<'a>,
    warned: preflight_core::RuleCheck<'a>,
    /// How many objects, and how many pods were decided about.
    decided: [usize; 2],
    method: Method,
    /// Warnings that were told, with the object that they were told of.
    seen: BTreeMap<String, ()>,
}

impl<'a> Telling<'a> {
    pub(super) fn new(check: &'a Examination, method: Method) -> Self {
        Self {
            check,
            method,
            refused: check.rule(&REFUSED),
            invalid: check.rule(&INVALID),
            pods: check.rule(&PODS_REFUSED),
            warned: check.rule(&WARNED),
            decided: [0, 0],
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn decided(&mut self, trial: &Trial<'_>) {
        self.decided[usize::from(trial.template.is_some())] += 1;
    }

    pub(super) fn accepted(&mut self, trial: &Trial<'_>, warnings: &[String]) {
        self.decided(trial);
        for warning in warnings {
            let id = trial.planned.object.id();
            if self.seen.insert(format!("{id} {warning}"), ()).is_some() {
                continue;
            }
            let remedy = Remediation::new("See what it says, and change the manifest").command(try_it(trial));
            self.warned.warn(subject(trial, None), format!("{id}: the API server warns: {warning}"), remedy);
        }
    }

    pub(super) fn refused(
        &mut self,
        trial: &Trial<'_>,
        refusal: &Refusal,
        meaning: Meaning,
        not_tried: &mut Vec<String>,
    ) {
        let id = trial.planned.object.id();
        // What was sent may hold secrets.
        let words = &refusal.message.split("Invalid value: \"map[").next().unwrap_or_default().to_owned();
        match meaning {
            Meaning::NotAllowed | Meaning::Undecided => not_tried.push(words.clone()),
            Meaning::Elsewhere => {}
            Meaning::Unclear(why) => {
                let rule = if trial.template.is_some() { &PODS_REFUSED } else { &REFUSED };
                let told = format!("{id} is refused as things are, and {why}: {words}");
                self.check.unknown(&[rule], told, try_it(trial));
            }
            Meaning::Denied | Meaning::Invalid(_) if trial.template.is_some() => {
                self.decided(trial);
                let remedy =
                    Remediation::new("Change the pod template, or what refuses it").command(try_it(trial));
                let field = if let Meaning::Invalid(field) = meaning { field } else { None };
                let message = format!("the pods of {id} are refused: {words}");
                self.pods.fail(subject(trial, field.as_ref()), message, remedy);
            }
            Meaning::Denied => {
                self.decided(trial);
                let remedy = Remediation::new("Change the object, or what refuses it").command(try_it(trial));
                self.refused.fail(subject(trial, None), format!("{id} is refused: {words}"), remedy);
            }
            // It is told by the check that looks at changes.
            Meaning::Invalid(_) if is_known_change(trial, self.method) => self.decided(trial),
            Meaning::Invalid(field) => {
                self.decided(trial);
                let remedy = Remediation::new("Correct the manifest").command(try_it(trial));
                self.invalid.fail(
                    subject(trial, field.as_ref()),
                    format!("{id} is not valid: {words}"),
                    remedy,
                );
            }
        }
    }

    pub(super) fn conclude(mut self, setting: DryRun, not_tried: &[String]) {
        let [objects, pods] = self.decided;
        if !not_tried.is_empty() {
            self.check.detail("not_tried", not_tried.to_vec());
            let why = format!("{} tried: {}", were_not(not_tried.len()), some(not_tried, TOLD));
            if setting == DryRun::Required {
                cannot(self.check, setting, why);
            } else if objects + pods == 0 {
                cannot(self.check, setting, some(not_tried, TOLD));
            }
        }
        self.refused.examined_many(objects);
        self.invalid.examined_many(objects);
        self.pods.examined_many(pods);
        self.warned.examined_many(objects + pods);
        let rest = match not_tried.len() {
            0 => String::new(),
            some => format!(", {}", were_not(some)),
        };
        self.refused.conclude(&format!("objects tried out{rest}"));
        self.invalid.conclude(&format!("objects tried out{rest}"));
        self.pods.conclude("pods tried out");
        self.warned.conclude(&format!("objects and pods tried out{rest}"));
    }
}

fn were_not(count: usize) -> String {
    if count == 1 { "1 was not".to_owned() } else { format!("{count} were not") }
}

fn subject(trial: &Trial<'_>, field: Option<&FieldPath>) -> Subject {
    let object = &trial.planned.object;
    match (&trial.template, field) {
        (Some(template), Some(field)) => Subject::at(object, &template.clone().join(field)),
        (Some(template), None) => Subject::at(object, template),
        (None, Some(field)) => Subject::at(object, field),
        (None, None) => Subject::object(object),
    }
}

/// Whether what is refused is that a field is changed that stays as it was made.
fn is_known_change(trial: &Trial<'_>, method: Method) -> bool {
    let object = &trial.planned.object;
    let known = |(before, after): (Value, Value)| {
        !immutable::refused(object.group(), object.kind(), &before, &after).is_empty()
    };
    cfg!(feature = "change-safety") && before_and_after(trial.planned, method).is_some_and(known)
}

/// Whether what is refused is that a field belongs to another manager.
pub(super) fn is_known_conflict(trial: &Trial<'_>, apply: &Apply) -> bool {
    let found = conflicts::of(trial.planned, apply);
    cfg!(feature = "change-safety") && found.is_some_and(|found| !found.is_empty())
}

/// The command that tries the same.
fn try_it(trial: &Trial<'_>) -> String {
    let file = trial.planned.object.place_of_name().file;
    match &trial.template {
        Some(_) => format!(
            "kubectl get events -n {} --field-selector reason=FailedCreate",
            trial.planned.namespace.as_deref().unwrap_or_default()
        ),
        None => format!("kubectl apply --dry-run=server -f {file}"),
    }
}
