//! Changes of existing claims and StatefulSets that the API server refuses.

use preflight_core::cluster::ServerVersion;
use preflight_core::release::{Action, Live, Planned};
use preflight_core::{Examination, FieldPath, Method, Quantity, Remediation, RuleCheck, Subject};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::world::World;
use super::{CLAIM_IMMUTABLE, CLAIM_RESIZE, STATEFUL_SET_IMMUTABLE};
use crate::changes::merged;
use crate::storage::Claim;

/// From when on a claim may be made smaller again as far as its volume has not grown yet (`RecoverVolumeExpansionFailure`,
/// `pkg/features/kube_features.go`, v1.36).
const RECOVERS_SINCE: u16 = 32;
/// What may not change in a StatefulSet (`ValidateStatefulSetUpdate`, `pkg/apis/apps/validation/validation.go`, v1.36,
/// names what may).
const FIXED: [&str; 4] = ["selector", "serviceName", "volumeClaimTemplates", "podManagementPolicy"];

pub(super) fn examine(check: &Examination, world: &World<'_>) {
    let mut resize = check.rule(&CLAIM_RESIZE);
    let mut fixed = check.rule(&CLAIM_IMMUTABLE);
    for (_, planned) in world.release.of_kind("", "PersistentVolumeClaim") {
        let Some((before, after)) = change(planned, world.release.method()) else { continue };
        resize.examined();
        fixed.examined();
        claim(check, &mut resize, world, planned, &before, &after);
        claim_spec(&mut fixed, planned, &before, &after);
    }
    resize.conclude("claims that are there and change");
    fixed.conclude("claims that are there and change");

    let mut sets = check.rule(&STATEFUL_SET_IMMUTABLE);
    for (_, planned) in world.release.of_kind("apps", "StatefulSet") {
        if let Live::Unknown(error) = &planned.live {
            check.need::<()>(&[&STATEFUL_SET_IMMUTABLE], Err(error.clone()));
        }
        let Some((before, after)) = change(planned, world.release.method()) else { continue };
        sets.examined();
        stateful_set(&mut sets, planned, &before, &after);
    }
    sets.conclude("StatefulSets that are there and change");
}

/// What is there, and what applying makes of it, where that is another thing and not refused anyway.
fn change(planned: &Planned, method: Method) -> Option<(Value, Value)> {
    let Live::Present(live) = &planned.live else { return None };
    // `kubectl create` refuses whatever is there.
    if planned.action == Action::Unchanged || method == Method::Create {
        return None;
    }
    Some(((**live).clone(), merged(planned, method)))
}

/// `ValidatePersistentVolumeClaimUpdate`, `pkg/apis/core/validation/validation.go`, and
/// `plugin/pkg/admission/storage/persistentvolume/resize/admission.go`, v1.36.
fn claim(
    check: &Examination,
    rule: &mut RuleCheck<'_>,
    world: &World<'_>,
    planned: &Planned,
    before: &Value,
    after: &Value,
) {
    let read = |value: &Value| Claim::deserialize(value).ok();
    let (Some(old), Some(new)) = (read(before), read(after)) else {
        return rule.unknown(format!("{} cannot be read", planned.object.id()), "correct the manifest");
    };
    let (was, wants) = (old.spec.size().unwrap_or_default(), new.spec.size().unwrap_or_default());
    if was == wants {
        return;
    }
    let id = planned.object.id();
    let subject = Subject::at(&planned.object, &FieldPath::of("spec.resources.requests.storage"));
    let name = planned.object.display_name();
    let namespace = planned.namespace.as_deref().unwrap_or_default();
    let keep = Remediation::new(format!("Ask for {was}, as it does now"))
        .command(format!("kubectl get persistentvolumeclaim {name} -n {namespace}"));
    if !old.is_bound() {
        let phase = if old.status.phase.is_empty() { "Pending" } else { &old.status.phase };
        let message =
            format!("{id} is {phase}: its size cannot be changed from {was} to {wants} until it is bound");
        return rule.predict(subject, message, keep);
    }
    if wants < was {
        let version = world.version.as_ref().map_err(Clone::clone);
        let Some(minor) = check.need(&[&CLAIM_RESIZE], version).map(ServerVersion::minor) else { return };
        let has = old.capacity().unwrap_or_default();
        if minor.is_none_or(|minor| minor >= RECOVERS_SINCE) && wants > has {
            return;
        }
        let message = format!("{id} asks for {wants}, and has {was} now: claims cannot be made smaller");
        return rule.predict(subject, message, keep);
    }
    grows(check, rule, world, (&old, was, wants), subject, keep, &id.to_string());
}

fn grows(
    check: &Examination,
    rule: &mut RuleCheck<'_>,
    world: &World<'_>,
    (old, was, wants): (&Claim, Quantity, Quantity),
    subject: Subject,
    keep: Remediation,
    id: &str,
) {
    let message = |why: String| format!("{id} is to grow from {was} to {wants}, and {why}");
    let Some(class) = old.class().filter(|class| !class.is_empty()) else {
        return rule.predict(subject, message("it has no StorageClass that allows that".to_owned()), keep);
    };
    let Some(classes) = check.need(&[&CLAIM_RESIZE], world.classes.as_ref().map_err(Clone::clone)) else {
        return;
    };
    match classes.get(class) {
        None => rule.predict(subject, message(format!("its StorageClass {class} does not exist")), keep),
        Some(found) if found.allow_volume_expansion == Some(true) => {}
        Some(_) => rule.predict(
            subject,
            message(format!("its StorageClass {class} does not allow that")),
            Remediation::new(
                "Ask for the size that it has, or allow it in the class if its driver can do it",
            )
            .command(format!("kubectl patch storageclass {class} -p '{{\"allowVolumeExpansion\": true}}'")),
        ),
    }
}

/// Everything in a claim's `spec` but its size.
fn claim_spec(rule: &mut RuleCheck<'_>, planned: &Planned, before: &Value, after: &Value) {
    let (mut old, mut new) = (settled(&before["spec"]), settled(&after["spec"]));
    let bound = before["status"]["phase"] == "Bound";
    for spec in [&mut old, &mut new] {
        if let Some(requests) = spec.get_mut("resources").and_then(|all| all.get_mut("requests")) {
            take(requests, "storage");
        }
        if bound {
            spec.remove("volumeAttributesClassName");
        }
    }
    // Once, the volume may be named, and the class given that it did not have.
    for key in ["volumeName", "storageClassName"] {
        let beta = before["metadata"]["annotations"].get(Claim::CLASS_ANNOTATION).is_some();
        if !(old.contains_key(key) || key == "storageClassName" && beta) {
            new.remove(key);
        }
    }
    let mut changed = differences(&old, &new);
    let annotation = |object: &Value| {
        object["metadata"]["annotations"][Claim::CLASS_ANNOTATION].as_str().map(str::to_owned)
    };
    let mut subject = FieldPath::of("spec");
    if annotation(before) != annotation(after) {
        changed.push((
            Claim::CLASS_ANNOTATION.to_owned(),
            told_text(annotation(before)),
            told_text(annotation(after)),
        ));
        subject = FieldPath::of("metadata.annotations");
    } else if let Some((key, _, _)) = changed.first() {
        subject = subject.key(key.clone());
    }
    if changed.is_empty() {
        return;
    }
    let name = planned.object.display_name();
    let namespace = planned.namespace.as_deref().unwrap_or_default();
    rule.predict(
        Subject::at(&planned.object, &subject),
        format!("{} cannot be changed: {}", planned.object.id(), told(&changed)),
        Remediation::new("Leave it as it is, or make a claim under another name and move the data")
            .command(format!("kubectl get persistentvolumeclaim {name} -n {namespace} -o yaml")),
    );
}

fn told_text(text: Option<String>) -> Value {
    text.map_or(Value::Null, Value::String)
}

fn stateful_set(rule: &mut RuleCheck<'_>, planned: &Planned, before: &Value, after: &Value) {
    let part = |object: &Value| -> Map<String, Value> {
        let spec = &object["spec"];
        FIXED
            .iter()
            .map(|key| ((*key).to_owned(), of_set(key, &spec[key])))
            .filter(|(_, value)| !is_empty(value))
            .collect()
    };
    let changed = differences(&part(before), &part(after));
    let Some((first, _, _)) = changed.first() else { return };
    let name = planned.object.display_name();
    let namespace = planned.namespace.as_deref().unwrap_or_default();
    rule.predict(
        Subject::at(&planned.object, &FieldPath::of("spec").key(first.clone())),
        format!("{} cannot be changed: {}", planned.object.id(), told(&changed)),
        Remediation::new("Leave it as it is, or delete the StatefulSet without its pods and apply it anew")
            .command(format!("kubectl delete statefulset {name} -n {namespace} --cascade=orphan")),
    );
}

/// A field of a StatefulSet with what the server makes of what is not written (`pkg/apis/apps/v1/defaults.go`, v1.36).
fn of_set(key: &str, value: &Value) -> Value {
    match key {
        "podManagementPolicy" if value.is_null() || value == "" => "OrderedReady".into(),
        "serviceName" if value == "" => Value::Null,
        "volumeClaimTemplates" => {
            let one = |template: &Value| {
                let mut metadata = template["metadata"].clone();
                take(&mut metadata, "creationTimestamp");
                json!({"metadata": without_empty(&metadata), "spec": settled(&template["spec"])})
            };
            value.as_array().into_iter().flatten().map(one).collect()
        }
        _ => without_empty(value),
    }
}

/// A claim's `spec` with what the server makes of what is not written (`pkg/apis/core/v1/defaults.go`, and
/// `NormalizeDataSources` in `pkg/api/persistentvolumeclaim/util.go`, v1.36), and amounts in one way of writing.
fn settled(spec: &Value) -> Map<String, Value> {
    let Value::Object(mut spec) = without_empty(spec) else { return Map::new() };
    spec.entry("volumeMode").or_insert_with(|| "Filesystem".into());
    let source = spec.get("dataSource").or_else(|| spec.get("dataSourceRef")).cloned();
    if let Some(source) = source {
        spec.entry("dataSource").or_insert_with(|| source.clone());
        spec.entry("dataSourceRef").or_insert(source);
    }
    for list in ["requests", "limits"] {
        let amounts = spec.get_mut("resources").and_then(|all| all.get_mut(list));
        for amount in amounts.and_then(Value::as_object_mut).into_iter().flat_map(|all| all.values_mut()) {
            if let Ok(quantity) = Quantity::deserialize(&*amount) {
                *amount = quantity.to_string().into();
            }
        }
    }
    if spec.get("volumeName").is_some_and(|name| name == "") {
        spec.remove("volumeName");
    }
    spec
}

fn take(value: &mut Value, key: &str) {
    if let Some(object) = value.as_object_mut() {
        object.remove(key);
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Without what is null or empty: neither is told apart from what is not written.
fn without_empty(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().map(|(key, value)| (key.clone(), without_empty(value)));
            Value::Object(kept.filter(|(_, value)| !is_empty(value)).collect())
        }
        Value::Array(items) => items.iter().map(without_empty).collect(),
        other => other.clone(),
    }
}

/// Fields that differ, as they were and as they would be.
type Difference = (String, Value, Value);

fn differences(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<Difference> {
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    let of = |all: &Map<String, Value>, key: &str| {
        all.get(key).filter(|value| !is_empty(value)).cloned().unwrap_or_default()
    };
    keys.into_iter()
        .map(|key| (key.clone(), of(old, key), of(new, key)))
        .filter(|(_, old, new)| without_empty(old) != without_empty(new))
        .collect()
}

/// Longer values are not told.
const TOLD: usize = 60;

fn told(changed: &[Difference]) -> String {
    let text = |value: &Value| match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    let one = |(key, old, new): &Difference| {
        let (old, new) = (text(old), text(new));
        if old.len() > TOLD || new.len() > TOLD {
            return format!("{key} would be another");
        }
        format!("{key} is {old} and would be {new}")
    };
    changed.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_fills_in_is_no_change() {
        let live = json!({
            "accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem", "resources": {"requests": {"storage": "1Gi"}},
            "dataSource": {"kind": "PersistentVolumeClaim", "name": "a"},
            "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "a"},
        });
        let written = json!({
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}, "limits": {}},
            "dataSource": {"kind": "PersistentVolumeClaim", "name": "a"}, "selector": null,
        });
        assert_eq!(settled(&live), settled(&written));
        let template = |fields: Value| of_set("volumeClaimTemplates", &json!([fields]));
        assert_eq!(
            template(
                json!({"kind": "PersistentVolumeClaim", "apiVersion": "v1", "status": {"phase": "Pending"},
                "metadata": {"name": "data", "creationTimestamp": null}, "spec": live})
            ),
            template(json!({"metadata": {"name": "data", "labels": {}}, "spec": written})),
        );
        assert_eq!(of_set("podManagementPolicy", &Value::Null), "OrderedReady");
        assert_eq!(of_set("podManagementPolicy", &json!("")), "OrderedReady");
    }

    #[test]
    fn what_differs_is_told() {
        let part = |class: &str| settled(&json!({"storageClassName": class}));
        assert_eq!(
            told(&differences(&part("a"), &part("b"))),
            "storageClassName is \"a\" and would be \"b\""
        );
        let none = differences(&part("a"), &settled(&json!({})));
        assert_eq!(told(&none), "storageClassName is \"a\" and would be none");
    }
}
