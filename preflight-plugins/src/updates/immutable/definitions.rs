//! CustomResourceDefinitions (`ValidateCustomResourceDefinitionUpdate`, v1.36).

use serde_json::Value;

use super::{Change, at, same};

pub(super) fn refused(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    let changed = |path: &str| !same(at(before, path), at(after, path));
    let conditions = at(before, "status.conditions").as_array().into_iter().flatten();
    let is_established =
        conditions.into_iter().any(|one| one["type"] == "Established" && one["status"] == "True");
    for (path, counts) in [
        ("spec.scope", is_established),
        ("spec.names.kind", is_established),
        ("spec.group", true),
        ("spec.names.plural", true),
    ] {
        if counts && changed(path) {
            changes.push(Change::new(path, "it stays as it was made"));
        }
    }
    let versions = at(after, "spec.versions").as_array().into_iter().flatten();
    let versions: Vec<&str> = versions.filter_map(|version| version["name"].as_str()).collect();
    let stored = at(before, "status.storedVersions").as_array().into_iter().flatten();
    if let Some(gone) = stored.filter_map(Value::as_str).find(|stored| !versions.contains(stored)) {
        let why = format!("objects may still be stored in the version {gone}, so it has to stay");
        changes.push(Change::new("spec.versions", why));
    }
    if at(before, "spec.preserveUnknownFields") != true && at(after, "spec.preserveUnknownFields") == true {
        changes.push(Change::new("spec.preserveUnknownFields", "it can no longer be set"));
    }
    changes
}
