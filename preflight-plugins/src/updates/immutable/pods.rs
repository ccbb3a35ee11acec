//! Pods (`ValidatePodUpdate`, v1.36).

use serde_json::{Value, json};

use super::{Change, at, same};

pub(super) fn refused(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    for list in ["containers", "initContainers"] {
        if items(before, list).len() != items(after, list).len() {
            let path = format!("spec.{list}");
            return vec![Change::new(&path, "containers can neither be added to a Pod nor taken from it")];
        }
    }
    if annotations(before) != annotations(after) {
        changes.push(Change::new("metadata.annotations", "annotations for AppArmor stay as they were made"));
    }
    let deadline = |object: &Value| at(object, "spec.activeDeadlineSeconds").as_i64();
    match (deadline(before), deadline(after)) {
        (Some(_), None) => changes.push(Change::new("spec.activeDeadlineSeconds", "it cannot be taken away")),
        (Some(old), Some(new)) if new > old => {
            changes.push(Change::new("spec.activeDeadlineSeconds", "it can only be made shorter"));
        }
        _ => {}
    }
    if !tolerates_as_before(before, after) {
        changes.push(Change::new("spec.tolerations", "tolerations can only be added"));
    }
    let gates = items(before, "schedulingGates");
    if items(after, "schedulingGates").iter().any(|gate| !gates.iter().any(|old| old["name"] == gate["name"]))
    {
        changes.push(Change::new("spec.schedulingGates", "gates can only be taken away"));
    }
    let is_gated = !gates.is_empty();
    if is_gated && !adds_only(at(before, "spec.nodeSelector"), at(after, "spec.nodeSelector")) {
        changes.push(Change::new("spec.nodeSelector", "requirements can only be added"));
    }
    if !same(&rest(before, is_gated), &rest(after, is_gated)) {
        changes.push(Change::new("spec", "of a Pod only its images can be changed, and little else"));
    }
    changes
}

fn items<'a>(object: &'a Value, list: &str) -> &'a [Value] {
    object["spec"][list].as_array().map_or(&[], Vec::as_slice)
}

/// Whether every toleration is still there; of one, how long it holds may change.
fn tolerates_as_before(before: &Value, after: &Value) -> bool {
    let without = |toleration: &Value| {
        let mut rest = toleration.clone();
        // Only what is evicted otherwise has a time.
        if rest["effect"] == "NoExecute"
            && let Some(fields) = rest.as_object_mut()
        {
            fields.remove("tolerationSeconds");
        }
        rest
    };
    let new: Vec<Value> = items(after, "tolerations").iter().map(without).collect();
    let mut old = items(before, "tolerations").iter();
    old.all(|old| is_given(old) || new.contains(&without(old)))
}

/// Tolerations that admission gives to every Pod, also where an update has left them out
/// (`plugin/pkg/admission/defaulttolerationseconds/admission.go`, v1.36).
fn is_given(toleration: &Value) -> bool {
    let keys = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
    toleration["effect"] == "NoExecute" && keys.iter().any(|key| toleration["key"] == *key)
}

/// Annotations that stay as they were made: those that begin so.
const FIXED: [&str; 2] = ["container.apparmor.security.beta.kubernetes.io/", "kubernetes.io/config.mirror"];

fn annotations(pod: &Value) -> Vec<(&String, &Value)> {
    let all = pod["metadata"]["annotations"].as_object().into_iter().flatten();
    all.filter(|(key, _)| FIXED.iter().any(|fixed| key.starts_with(fixed))).collect()
}

fn adds_only(old: &Value, new: &Value) -> bool {
    old.as_object().into_iter().flatten().all(|(key, value)| new[key] == *value)
}

/// What has to stay.
fn rest(pod: &Value, is_gated: bool) -> Value {
    let mut spec = pod["spec"].clone();
    if let Some(fields) = spec.as_object_mut() {
        for key in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
            fields.remove(key);
        }
        // How nodes are chosen may be narrowed as long as none is being chosen.
        if is_gated {
            fields.remove("nodeSelector");
            if let Some(affinity) = fields.get_mut("affinity").and_then(Value::as_object_mut) {
                affinity.remove("nodeAffinity");
            }
        }
    }
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
        spec["terminationGracePeriodSeconds"] = json!(1);
    }
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            container["image"] = Value::Null;
        }
    }
    spec
}
