//! Volumes, ConfigMaps, Secrets, quotas, nodes and ranges of addresses.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Change, at, same};

/// Everything else in a volume's `spec` is where it is kept.
const FREE: [&str; 9] = [
    "capacity",
    "accessModes",
    "claimRef",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "mountOptions",
    "volumeMode",
    "nodeAffinity",
    "volumeAttributesClassName",
];
/// Labels of nodes that were renamed (`validatePvNodeAffinity`).
const RENAMED: [(&str, &str); 5] = [
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
];

/// `ValidatePersistentVolumeUpdate`.
pub(super) fn volume(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    let source = |object: &Value| -> Value {
        let fields = object["spec"].as_object().into_iter().flatten();
        fields
            .filter(|(key, _)| !FREE.contains(&key.as_str()))
            .map(|(key, it)| (key.clone(), it.clone()))
            .collect()
    };
    let (old, mut new) = (source(before), source(after));
    // Once, the Secret for expanding may be named.
    if old["csi"]["controllerExpandSecretRef"].is_null()
        && let Some(csi) = new.get_mut("csi").and_then(Value::as_object_mut)
    {
        csi.remove("controllerExpandSecretRef");
    }
    if !same(&old, &new) {
        changes.push(Change::new("spec", "where a volume is kept cannot be changed"));
    }
    if !same(at(before, "spec.volumeMode"), at(after, "spec.volumeMode")) {
        changes.push(Change::new("spec.volumeMode", "it stays as it was made"));
    }
    let old = at(before, "spec.nodeAffinity");
    if !old.is_null() && !same(old, at(after, "spec.nodeAffinity")) {
        let renamed = RENAMED.iter().fold(old.to_string(), |text, (from, to)| text.replace(from, to));
        let renamed: Value = serde_json::from_str(&renamed).unwrap_or_default();
        if !same(&renamed, at(after, "spec.nodeAffinity")) {
            changes.push(Change::new("spec.nodeAffinity", "it stays as it was made"));
        }
    }
    let class = |object: &Value| at(object, "spec.volumeAttributesClassName").is_null();
    if !class(before) && class(after) {
        changes.push(Change::new("spec.volumeAttributesClassName", "it cannot be taken away"));
    }
    changes
}

/// `ValidateSecretUpdate` and `ValidateConfigMapUpdate`.
pub(super) fn contents(kind: &str, before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    // Of a Secret whose contents were not read, the type is not known.
    let known = kind != "Secret" || !before["type"].is_null();
    if kind == "Secret" && known && !same(&before["type"], &after["type"]) {
        changes.push(Change::new("type", "the type of a Secret stays as it was made"));
    }
    if before["immutable"] != true {
        return changes;
    }
    if after["immutable"] != true {
        changes.push(Change::new("immutable", "what was made immutable stays so"));
    }
    for map in ["data", "binaryData"] {
        // A map that is empty is not the same as none.
        let (old, new) = (written(before, map), written(after, map));
        if old != new {
            changes.push(Change::new(map, "the object is immutable"));
        }
    }
    changes
}

/// What is written under a key; for a Secret's `data`, with what `stringData` adds to it.
fn written(object: &Value, map: &str) -> Value {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let mut data = object[map].clone();
    for (key, text) in object["stringData"].as_object().into_iter().flatten().filter(|_| map == "data") {
        if let Some(text) = text.as_str() {
            data[key] = STANDARD.encode(text).into();
        }
    }
    data
}

/// A selector that was never written stays as it was filled in, whatever labels the pods get.
pub(super) fn controller(after: &Value) -> Vec<Change> {
    let labels = at(after, "spec.template.metadata.labels");
    let selects = at(after, "spec.selector")
        .as_object()
        .is_none_or(|selector| selector.iter().all(|(key, value)| labels[key] == *value));
    if selects {
        return Vec::new();
    }
    vec![Change::new("spec.template.metadata.labels", "the selector that is there does not match them")]
}

/// `ValidateResourceQuotaUpdate`: the order of scopes does not matter.
pub(super) fn quota(before: &Value, after: &Value) -> Vec<Change> {
    let scopes = |object: &Value| -> BTreeSet<String> {
        let all = at(object, "spec.scopes").as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    if scopes(before) == scopes(after) {
        return Vec::new();
    }
    vec![Change::new("spec.scopes", "they stay as they were made")]
}

/// `ValidateNodeUpdate`.
pub(super) fn node(before: &Value, after: &Value) -> Vec<Change> {
    let paths = ["spec.podCIDRs", "spec.providerID"];
    let changed = paths.into_iter().filter(|path| {
        let old = at(before, path);
        !super::is_none(old) && old != "" && !same(old, at(after, path))
    });
    changed.map(|path| Change::new(path, "it stays once it is set")).collect()
}

/// `ValidateServiceCIDRUpdate`: a second range may be added.
pub(super) fn service_range(before: &Value, after: &Value) -> Vec<Change> {
    let ranges = |object: &Value| at(object, "spec.cidrs").as_array().cloned().unwrap_or_default();
    let (old, new) = (ranges(before), ranges(after));
    if old == new || (old.len() == 1 && new.len() == 2 && old.first() == new.first()) {
        return Vec::new();
    }
    vec![Change::new("spec.cidrs", "they stay as they were made")]
}

/// `ValidateCSINodeUpdate`.
pub(super) fn csi_node(before: &Value, after: &Value) -> Vec<Change> {
    let drivers = |object: &Value| at(object, "spec.drivers").as_array().cloned().unwrap_or_default();
    let new = drivers(after);
    let changed = drivers(before).into_iter().any(|old| {
        new.iter().any(|new| {
            new["name"] == old["name"]
                && !(same(&new["nodeID"], &old["nodeID"]) && same(&new["topologyKeys"], &old["topologyKeys"]))
        })
    });
    if changed { vec![Change::new("spec.drivers", "a driver's node and topology stay")] } else { Vec::new() }
}
