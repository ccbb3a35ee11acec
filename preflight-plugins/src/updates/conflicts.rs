//! Conflicts of server-side apply: fields that another manager has set, and that the release wants to be otherwise
//! (`staging/src/k8s.io/apimachinery/pkg/util/managedfields`, v1.36).

use preflight_core::release::{Action, Live, Planned};
use preflight_core::{Apply, FieldPath, Method};
use serde_json::{Map, Value};

/// As whom kubectl applies on the server's side, where nothing else is said.
const KUBECTL: &str = "kubectl";

/// The fields in which applying an object is in conflict, each with its manager. `None` where that cannot be: nothing is
/// there, or it is not applied in that way.
#[must_use]
pub fn of(planned: &Planned, apply: &Apply) -> Option<Vec<(String, FieldPath)>> {
    let Live::Present(live) = &planned.live else { return None };
    let may_be = apply.method == Method::Server && !apply.force && planned.action != Action::Unchanged;
    let own = apply.field_manager.as_deref().unwrap_or(KUBECTL);
    may_be.then(|| conflicts(live, &planned.effective, own))
}

/// The fields that are in conflict, each with its manager.
fn conflicts(live: &Value, wanted: &Value, own: &str) -> Vec<(String, FieldPath)> {
    let mut found = Vec::new();
    for manager in live["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let name = manager["manager"].as_str().unwrap_or_default();
        let is_own = name == own && manager["operation"] == "Apply";
        // Other versions write fields otherwise.
        if is_own || manager["apiVersion"] != wanted["apiVersion"] || !manager["subresource"].is_null() {
            continue;
        }
        let mut paths = Vec::new();
        compare(&manager["fieldsV1"], live, wanted, &FieldPath::root(), &mut paths);
        found.extend(paths.into_iter().map(|path| (name.to_owned(), path)));
    }
    found
}

/// Finds the fields of `owned` that both have, and that differ.
fn compare(owned: &Value, live: &Value, wanted: &Value, at: &FieldPath, found: &mut Vec<FieldPath>) {
    for (key, below) in owned.as_object().into_iter().flatten() {
        if let Some(field) = key.strip_prefix("f:") {
            let Some(new) = wanted.get(field) else { continue };
            let (old, path) = (&live[field], at.clone().key(field));
            let is_leaf = below.as_object().is_none_or(Map::is_empty);
            if is_leaf {
                if old != new {
                    found.push(path);
                }
            } else {
                compare(below, old, new, &path, found);
            }
        } else if let Some(keys) = key.strip_prefix("k:") {
            let Ok(keys) = serde_json::from_str::<Map<String, Value>>(keys) else { continue };
            let is = |item: &Value| {
                keys.iter().all(|(key, value)| {
                    // Of a port's key, the protocol is made up where it is not written.
                    item.get(key).map_or(key == "protocol", |own| own == value)
                })
            };
            let position = |list: &Value| list.as_array().and_then(|items| items.iter().position(is));
            if let (Some(old), Some(new)) = (position(live), position(wanted)) {
                compare(below, &live[old], &wanted[new], &at.clone().index(new), found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_of_others_are_in_conflict_where_they_differ() {
        let live = json!({
            "apiVersion": "apps/v1", "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "app", "image": "a:1"}]}}},
            "metadata": {"managedFields": [
                {"manager": "kubectl", "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": {"f:spec": {"f:paused": {}}}},
                {"manager": "scaler", "operation": "Update", "apiVersion": "apps/v1", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {"manager": "updater", "operation": "Update", "apiVersion": "apps/v1", "fieldsV1": {"f:spec": {"f:template": {
                    "f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {".": {}, "f:image": {}}}}}}}}]}});
        let wanted = |replicas: u8, image: &str| {
            json!({
            "apiVersion": "apps/v1", "spec": {"paused": true, "replicas": replicas,
                "template": {"spec": {"containers": [{"name": "side"}, {"name": "app", "image": image}]}}}})
        };
        let told = |wanted: &Value| {
            let found = conflicts(&live, wanted, KUBECTL);
            found.into_iter().map(|(manager, path)| format!("{manager} {path}")).collect::<Vec<_>>()
        };
        assert_eq!(told(&wanted(3, "a:1")), Vec::<String>::new());
        assert_eq!(
            told(&wanted(2, "a:2")),
            ["scaler spec.replicas", "updater spec.template.spec.containers[1].image"]
        );
    }
}
