//! What `kubectl apply` sends for an object that is there, and what the API server makes of it.

use serde_json::{Map, Value, json};

use crate::changes::LAST_APPLIED;

/// Lists whose items are merged, and by which of their fields (`patchMergeKey` in `staging/src/k8s.io/api`, v1.36).
/// Ports are merged too, but by another field in each place.
const MERGED: [(&str, &str); 14] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("ephemeralContainers", "name"),
    ("env", "name"),
    ("volumes", "name"),
    ("volumeMounts", "mountPath"),
    ("volumeDevices", "devicePath"),
    ("imagePullSecrets", "name"),
    ("secrets", "name"),
    ("hostAliases", "ip"),
    ("topologySpreadConstraints", "topologyKey"),
    ("schedulingGates", "name"),
    ("resourceClaims", "name"),
    ("webhooks", "name"),
];

/// An object with the annotation in which kubectl keeps what it applies.
#[must_use]
pub fn annotated(object: &Value) -> Value {
    let mut annotated = object.clone();
    let annotations = &mut annotated["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = Value::Object(Map::new());
    }
    annotations[LAST_APPLIED] = format!("{object}\n").into();
    annotated
}

/// What kubectl sends of an object that is made by applying it: nothing of what is null in mappings
/// (`pruneNullsFromMap` in `staging/src/k8s.io/kubectl/pkg/cmd/apply/apply.go`, v1.36).
#[must_use]
pub fn without_nulls(mut object: Value) -> Value {
    fn prune(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|_, value| !value.is_null());
                fields.values_mut().for_each(prune);
            }
            Value::Array(items) => items.iter_mut().for_each(prune),
            _ => {}
        }
    }
    prune(&mut object);
    object
}

/// A strategic merge patch of what is there: everything that is wanted, and what goes of what was applied before.
#[must_use]
pub fn strategic(before: &Value, live: &Value, wanted: &Value) -> Value {
    let mut patch = wanted.clone();
    take_away(before, &mut patch, "", true);
    retain_all(live, &mut patch, "");
    patch
}

/// Only of what is there can anything stay.
fn retain_all(live: &Value, patch: &mut Value, above: &str) {
    match patch {
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                retain_all(live.get(key).unwrap_or(&Value::Null), value, key);
            }
            if RETAINED.contains(&above) && live.is_object() {
                retain(patch);
            }
        }
        Value::Array(items) => {
            let old = live.as_array().map_or(&[][..], Vec::as_slice);
            for item in items {
                let same = old.iter().find(|old| !item["name"].is_null() && old["name"] == item["name"]);
                retain_all(same.unwrap_or(&Value::Null), item, above);
            }
        }
        _ => {}
    }
}

/// A JSON merge patch (RFC 7396), in which lists are as they are wanted.
#[must_use]
pub fn merging(before: &Value, wanted: &Value) -> Value {
    let mut patch = wanted.clone();
    take_away(before, &mut patch, "", false);
    patch
}

/// Whether a group is one of Kubernetes' own, whose objects are merged by keys. Custom resources are not.
#[must_use]
pub fn is_built_in(group: &str) -> bool {
    const OWN: [&str; 15] = [
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
    ];
    !group.contains('.') || group == "storage.k8s.io" || OWN.contains(&group)
}

/// An object to which a strategic merge patch is applied. Items of merged lists come in the patch's order.
#[must_use]
pub fn applied(object: &Value, patch: &Value) -> Value {
    let mut object = object.clone();
    merge(&mut object, patch, "");
    object
}

fn merge(into: &mut Value, patch: &Value, above: &str) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    let Some(fields) = into.as_object_mut() else { return };
    if let Some(keys) = patch.get(RETAIN).and_then(Value::as_array) {
        fields.retain(|key, _| keys.iter().any(|kept| kept == key));
    }
    for (key, value) in patch.iter().filter(|(key, _)| *key != RETAIN) {
        match value {
            Value::Null => {
                fields.remove(key);
            }
            Value::Array(items) => {
                let there = fields.entry(key.clone()).or_insert_with(|| Value::Array(Vec::new()));
                match merged_by(above, key, items) {
                    Some(by) => merge_items(there, items, key, by),
                    None => *there = value.clone(),
                }
            }
            _ => merge(fields.entry(key.clone()).or_insert(Value::Null), value, key),
        }
    }
}

fn merge_items(there: &mut Value, items: &[Value], list: &str, by: &str) {
    let mut old = there.as_array().cloned().unwrap_or_default();
    let mut merged = Vec::new();
    for item in items {
        let place = old.iter().position(|old| old[by] == item[by]);
        let mut own = place.map_or(Value::Null, |place| old.remove(place));
        if item["$patch"] != "delete" {
            merge(&mut own, item, list);
            merged.push(own);
        }
    }
    merged.extend(old);
    *there = merged.into();
}

/// Objects of which nothing stays that is not wanted (`patchStrategy` with `retainKeys`): one of several ways is chosen.
const RETAINED: [&str; 3] = ["strategy", "volumes", "resourceClaims"];
/// Says which fields of such an object stay.
const RETAIN: &str = "$retainKeys";

fn retain(object: &mut Value) {
    if let Some(fields) = object.as_object_mut().filter(|fields| !fields.contains_key("$patch")) {
        let kept = fields.iter().filter(|(_, value)| !value.is_null());
        let keys: Vec<Value> = kept.map(|(key, _)| key.clone().into()).collect();
        fields.insert(RETAIN.to_owned(), keys.into());
    }
}

fn take_away(before: &Value, patch: &mut Value, above: &str, strategic: bool) {
    let (Value::Object(before), Value::Object(patch)) = (before, patch) else { return };
    for (key, before) in before {
        match patch.get_mut(key) {
            None => {
                patch.insert(key.clone(), Value::Null);
            }
            Some(Value::Array(items)) if strategic => {
                if let Some(by) = merged_by(above, key, items) {
                    take_items(before, items, key, by);
                }
            }
            Some(below) => take_away(before, below, key, strategic),
        }
    }
}

fn take_items(before: &Value, items: &mut Vec<Value>, list: &str, by: &str) {
    for before in before.as_array().into_iter().flatten() {
        match items.iter_mut().find(|item| item[by] == before[by]) {
            Some(item) => take_away(before, item, list, true),
            None => items.push(json!({"$patch": "delete", by: before[by]})),
        }
    }
}

/// By which field the items of a list are merged; `None` where the list is as it is written.
fn merged_by(above: &str, list: &str, items: &[Value]) -> Option<&'static str> {
    // Those of a ServiceAccount are as they are written.
    if list == "imagePullSecrets" && above != "spec" {
        return None;
    }
    if list == "ports" {
        return match above {
            "containers" | "initContainers" | "ephemeralContainers" => Some("containerPort"),
            "spec" if items.iter().all(|item| !item["port"].is_null()) => Some("port"),
            _ => None,
        };
    }
    MERGED.iter().find(|(name, _)| *name == list).map(|(_, by)| *by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_null_in_mappings_is_not_sent_of_what_is_made() {
        let wanted = json!({"spec": {"foo": null, "args": [null, {"a": null}], "labels": {"a": null}}});
        assert_eq!(without_nulls(wanted), json!({"spec": {"args": [null, {}], "labels": {}}}));
    }

    #[test]
    fn what_was_applied_before_goes() {
        let before = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"template": {"spec": {"containers": [
            {"name": "app", "image": "i", "env": [{"name": "X", "value": "1"}], "ports": [{"containerPort": 80}]},
            {"name": "side", "image": "s"}]}}}});
        let wanted = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"template": {"spec": {"containers": [
            {"name": "app", "image": "j", "env": [], "ports": [{"containerPort": 81}]}]}}}});
        assert_eq!(
            strategic(&before, &before, &wanted),
            json!({"metadata": {"labels": {"a": "1", "b": null}}, "spec": {"template": {"spec": {"containers": [
                {"name": "app", "image": "j", "env": [{"$patch": "delete", "name": "X"}],
                 "ports": [{"containerPort": 81}, {"$patch": "delete", "containerPort": 80}]},
                {"$patch": "delete", "name": "side"}]}}}})
        );
        assert_eq!(merging(&before, &wanted)["spec"], wanted["spec"]);
        let service = |port: u16| json!({"spec": {"ports": [{"port": port}]}});
        assert_eq!(
            strategic(&service(80), &service(80), &service(81)),
            json!({"spec": {"ports": [{"port": 81}, {"$patch": "delete", "port": 80}]}})
        );
    }

    #[test]
    fn a_patch_is_merged_by_keys() {
        let live = json!({"spec": {"containers": [{"name": "app", "image": "i", "imagePullPolicy": "Always"}, {"name": "old"}],
            "volumes": [{"name": "token"}], "tolerations": [{"key": "a"}, {"key": "b"}]}});
        let patch = json!({"spec": {"containers": [{"name": "new"}, {"name": "app", "image": "j"}, {"$patch": "delete", "name": "old"}],
            "tolerations": [{"key": "c"}], "nodeName": null}});
        assert_eq!(
            applied(&live, &patch),
            json!({"spec": {"containers": [{"name": "new"}, {"name": "app", "image": "j", "imagePullPolicy": "Always"}],
                "volumes": [{"name": "token"}], "tolerations": [{"key": "c"}]}})
        );
    }

    #[test]
    fn of_several_ways_one_stays() {
        let live = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
            "volumes": [{"name": "v", "emptyDir": {}}]}});
        let wanted = json!({"spec": {"strategy": {"type": "Recreate"}, "volumes": [{"name": "v", "secret": {"secretName": "s"}}]}});
        let new = strategic(&Value::Null, &Value::Null, &wanted);
        assert!(new["spec"]["volumes"][0].get(RETAIN).is_none(), "{new}");
        let patch = strategic(&Value::Null, &live, &wanted);
        assert_eq!(patch["spec"]["strategy"], json!({"type": "Recreate", "$retainKeys": ["type"]}));
        assert_eq!(applied(&live, &patch), wanted);
    }

    #[test]
    fn what_is_applied_is_kept_in_an_annotation() {
        let annotated = annotated(&json!({"kind": "ConfigMap", "metadata": {"name": "a"}}));
        let kept = annotated["metadata"]["annotations"][LAST_APPLIED].as_str().unwrap();
        assert_eq!(kept, "{\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"}}\n");
    }
}
