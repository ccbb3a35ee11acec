//! Custom resources against the schema of their definition.

use preflight_core::release::{Live, Planned};
use preflight_core::{Examination, FieldPath, Method, Remediation, RuleCheck, Subject};
use serde_json::Value;

use super::CUSTOM_RESOURCE_INVALID;
use crate::changes::{lose, merge};
use crate::schema::{Judgement, Segment, judge, unknown_fields};

/// Violations of one object that are told.
const TOLD: usize = 10;

pub(super) fn examine(
    check: &Examination,
    rule: &mut RuleCheck<'_>,
    method: Method,
    planned: &Planned,
    definition: &Value,
) {
    let object = &planned.object;
    let versions = definition["spec"]["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(version) = versions.iter().find(|version| version["name"] == object.version()) else {
        // That the version is not served is another rule's to tell.
        return;
    };
    let schema = &version["schema"]["openAPIV3Schema"];
    let preserve = definition["spec"]["preserveUnknownFields"] == true;
    let has_status = version["subresources"].get("status").is_some();
    let mut written = (*planned.effective).clone();
    let live = match &planned.live {
        Live::Present(live) => Some(live.as_ref()),
        // What it would be merged with is not known.
        Live::Unknown(error) => {
            check.need::<()>(&[&CUSTOM_RESOURCE_INVALID], Err(error.clone()));
            return;
        }
        _ => None,
    };
    if has_status && let Some(written) = written.as_object_mut() {
        written.remove("status");
    }
    rule.examined();
    if schema.is_null() {
        return;
    }
    let mut judgement = match live {
        None => judge(schema, &written, None, preserve),
        Some(live) => of_update(schema, &written, planned, live, method, preserve),
    };
    let unknown = unknown_fields(schema, &planned.effective, preserve);
    // A patch removes what is null.
    let (removed, unknown): (Vec<_>, Vec<_>) =
        unknown.into_iter().partition(|path| live.is_some() && is_null(&planned.effective, path));
    judgement.unknown_fields = unknown;
    for path in removed {
        judgement
            .undecided
            .push((path, "whether an unknown field may be null depends on how it is applied".to_owned()));
    }
    tell(check, rule, method, planned, &judgement);
}

/// What is stored after an update is what is written, merged with what is there. How lists are merged depends on how
/// it is applied, so only what holds either way counts.
fn of_update(
    schema: &Value,
    written: &Value,
    planned: &Planned,
    live: &Value,
    method: Method,
    preserve: bool,
) -> Judgement {
    let mut merged = live.clone();
    if matches!(method, Method::Client | Method::Argocd) {
        // What was applied last and is written no longer, a client takes away.
        lose(&mut merged, live, &planned.effective);
    }
    merge(&mut merged, written);
    let (alone, together) =
        (judge(schema, written, Some(live), preserve), judge(schema, &merged, Some(live), preserve));
    let mut judgement = Judgement {
        undecided: [alone.undecided.clone(), together.undecided.clone()].concat(),
        // Only what is sent is looked at for unknown fields.
        unknown_fields: alone.unknown_fields,
        ..Judgement::default()
    };
    for violation in &together.violations {
        if alone.violations.iter().any(|other| other.path == violation.path) {
            judgement.violations.push(violation.clone());
        } else {
            let why = format!("whether this stays so depends on what is there: {}", violation.message);
            judgement.undecided.push((violation.path.clone(), why));
        }
    }
    if method == Method::Server {
        // Server-side apply takes away what its manager no longer writes.
        for violation in &alone.violations {
            if together.violations.iter().all(|other| other.path != violation.path) {
                let why = format!(
                    "whether this comes so depends on who wrote what is there: {}",
                    violation.message
                );
                judgement.undecided.push((violation.path.clone(), why));
            }
        }
    }
    judgement
}

/// Whether there is a null.
fn is_null(value: &Value, path: &[Segment]) -> bool {
    let found = path.iter().try_fold(value, |value, segment| match segment {
        Segment::Key(key) => value.get(key),
        Segment::Index(at) => value.get(at),
    });
    found.is_some_and(Value::is_null)
}

fn tell(
    check: &Examination,
    rule: &mut RuleCheck<'_>,
    method: Method,
    planned: &Planned,
    judgement: &Judgement,
) {
    let object = &planned.object;
    let explain = format!(
        "kubectl explain {} --api-version={} --recursive",
        object.kind().to_lowercase(),
        object.api_version()
    );
    for violation in judgement.violations.iter().take(TOLD) {
        let path = field_path(&violation.path);
        rule.predict(
            Subject::at(object, &path),
            format!("{} is refused: {}", object.id(), sentence(&path, &violation.message)),
            Remediation::new("Correct the field as its definition describes it").command(explain.clone()),
        );
    }
    // kubectl asks for strict validation; Helm leaves it at warnings.
    let strict = method != Method::Helm;
    for path in judgement.unknown_fields.iter().take(TOLD) {
        let path = field_path(path);
        let subject = Subject::at(object, &path);
        let remedy = Remediation::new("Remove the field, or correct its name").command(explain.clone());
        if strict {
            rule.predict(
                subject,
                format!("{} has the field {path}, which its definition does not know", object.id()),
                remedy,
            );
        } else {
            let message = format!(
                "{} has the field {path}, which its definition does not know: it is dropped",
                object.id()
            );
            rule.warn(subject, message, remedy);
        }
    }
    if judgement.violations.is_empty()
        && let Some((path, why)) = judgement.undecided.first()
    {
        let path = field_path(path);
        let place = if path.to_string().is_empty() { String::new() } else { format!(", {path}") };
        let why = format!("{}{place}: {why}", object.id());
        check.unknown(&[&CUSTOM_RESOURCE_INVALID], why, "kubectl apply --dry-run=server -f FILE");
    }
}

fn sentence(path: &FieldPath, message: &str) -> String {
    let path = path.to_string();
    if path.is_empty() { message.to_owned() } else { format!("{path}: {message}") }
}

fn field_path(segments: &[Segment]) -> FieldPath {
    segments.iter().fold(FieldPath::root(), |path, segment| match segment {
        Segment::Key(key) => path.key(key.clone()),
        Segment::Index(at) => path.index(*at),
    })
}
