//! Jobs (`ValidateJobSpecUpdate`, and `shouldAllowMutablePodTemplate` in `pkg/registry/batch/job/strategy.go`, v1.36).

use serde_json::Value;

use super::{Change, at, same, text};

/// What may be changed in the pods of a Job that is suspended and has not started.
const SCHEDULING: [&str; 3] = ["nodeSelector", "tolerations", "schedulingGates"];

pub(super) fn refused(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    let same_at = |path: &str| same(at(before, path), at(after, path));
    if !same_at("spec.completions") {
        let indexed = text(after, "spec.completionMode") == "Indexed";
        if !indexed {
            changes.push(Change::new("spec.completions", "it stays as it was made"));
        } else if at(after, "spec.completions") != at(after, "spec.parallelism") {
            changes
                .push(Change::new("spec.completions", "it can only be changed together with `parallelism`"));
        }
    }
    for path in [
        "spec.selector",
        "spec.completionMode",
        "spec.podFailurePolicy",
        "spec.backoffLimitPerIndex",
        "spec.managedBy",
        "spec.successPolicy",
    ] {
        if !same_at(path) {
            changes.push(Change::new(path, "it stays as it was made"));
        }
    }
    let is_allowed = same_at("spec.template") || (is_waiting(before) && only_scheduling(before, after));
    if !is_allowed {
        changes.push(Change::new("spec.template", "the pods of a Job stay as they were made"));
    }
    changes
}

/// Whether it is suspended, and no pod of it has run since.
fn is_waiting(before: &Value) -> bool {
    let status = &before["status"];
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let is_suspended =
        conditions.into_iter().any(|one| one["type"] == "Suspended" && one["status"] == "True");
    at(before, "spec.suspend") == true
        && (status["startTime"].is_null() || is_suspended)
        && status["active"].as_i64().unwrap_or(0) == 0
}

/// Whether nothing changes in the template but where its pods may go, and what they request.
fn only_scheduling(before: &Value, after: &Value) -> bool {
    let rest = |object: &Value| {
        let mut spec = at(object, "spec.template.spec").clone();
        if let Some(fields) = spec.as_object_mut() {
            SCHEDULING.iter().for_each(|key| drop(fields.remove(*key)));
        }
        if let Some(affinity) = spec.get_mut("affinity").and_then(Value::as_object_mut) {
            affinity.remove("nodeAffinity");
        }
        for list in ["containers", "initContainers"] {
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(fields) = container.as_object_mut() {
                    fields.remove("resources");
                }
            }
        }
        spec
    };
    same(&rest(before), &rest(after))
}
