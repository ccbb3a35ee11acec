//! What applying an object changes, and what its controllers then make: pods above all.

use std::collections::BTreeSet;

use preflight_core::release::{Action, Live, Planned};
use preflight_core::{Method, Quantity};
#[cfg(any(
    feature = "admission",
    feature = "change-safety",
    feature = "references",
    feature = "resource-capacity",
    feature = "storage-validation",
    feature = "traffic"
))]
use preflight_core::{Remediation, RuleCheck, Subject};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Where `kubectl apply` keeps what it applied last.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Whether something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happens {
    Yes,
    /// It does not, for this reason.
    No(&'static str),
    /// That cannot be told, for this reason.
    Perhaps(&'static str),
}

#[cfg(any(
    feature = "admission",
    feature = "change-safety",
    feature = "references",
    feature = "resource-capacity",
    feature = "storage-validation",
    feature = "traffic"
))]
impl Happens {
    /// Says that something will go wrong, as far as this happens: what does not happen now is a warning.
    pub(crate) fn predict(
        self,
        rule: &mut RuleCheck<'_>,
        subject: Subject,
        message: &str,
        it: &str,
        remedy: Remediation,
    ) {
        match self {
            Self::Yes => rule.predict(subject, message, remedy),
            Self::No(why) => rule.warn(subject, format!("{message}; {why}"), remedy),
            Self::Perhaps(why) => {
                let why = format!("{message}, and whether {it} is not known: {why}");
                rule.unknown(why, remedy.on_one_line());
            }
        }
    }
}

/// What the controllers of a workload make of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rollout {
    /// The pod template changes: a new ReplicaSet or revision is made.
    pub(crate) template: Happens,
    /// Pods are made, or restarted.
    pub(crate) pods: Happens,
    /// Something was there before.
    pub(crate) is_update: bool,
}

/// What comes of applying a workload.
pub(crate) fn rollout(planned: &Planned, method: Method) -> Rollout {
    let live = match &planned.live {
        Live::Present(live) => Some(&**live),
        _ => None,
    };
    let spec = &planned.effective["spec"];
    let template = template_change(planned, live, method);
    let before = |key: &str| live.map(|live| &live["spec"][key]);
    let number = |key: &str| spec[key].as_i64().or_else(|| before(key)?.as_i64());
    let grows = |key: &str| number(key).unwrap_or(1) > before(key).and_then(Value::as_i64).unwrap_or(1);
    let none = Happens::No("it has no replicas for now");
    let stay = Happens::No("its pods stay as they are");
    let unseen = matches!(planned.live, Live::Unknown(_));
    let pods = match planned.object.kind() {
        _ if planned.action == Action::Unchanged => {
            Happens::No("nothing changes, so no pod is started for it")
        }
        "CronJob" => Happens::No("the CronJob itself is accepted, and its Jobs will not run"),
        "Job" if spec["suspend"] == true => Happens::No("the Job is suspended"),
        "Job" if spec["parallelism"].as_i64() == Some(0) => Happens::No("the Job starts no pods for now"),
        "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController"
            if number("replicas") == Some(0) =>
        {
            none
        }
        _ if unseen => Happens::Perhaps("what is there could not be looked at"),
        _ if live.is_none() => Happens::Yes,
        "Job" => Happens::No("the Job is there already"),
        "Pod" => match live.is_some_and(|live| images(&live["spec"]) == images(spec)) {
            true => Happens::No("the pod is there already"),
            false => Happens::Yes,
        },
        "ReplicaSet" | "ReplicationController" => {
            if grows("replicas") {
                Happens::Yes
            } else {
                stay
            }
        }
        "StatefulSet" | "DaemonSet" if on_delete(spec, live) => {
            if planned.object.kind() == "StatefulSet" && grows("replicas") { Happens::Yes } else { stay }
        }
        "DaemonSet" => pods_of(template, false, stay),
        _ => pods_of(template, grows("replicas"), stay),
    };
    Rollout { template, pods, is_update: live.is_some() }
}

fn pods_of(template: Happens, grows: bool, stay: Happens) -> Happens {
    match template {
        _ if grows => Happens::Yes,
        Happens::No(_) => stay,
        other => other,
    }
}

fn on_delete(spec: &Value, live: Option<&Value>) -> bool {
    let strategy = |spec: &Value| spec["updateStrategy"]["type"].as_str().map(str::to_owned);
    let strategy = strategy(spec).or_else(|| strategy(&live?["spec"]));
    live.is_some() && strategy.as_deref() == Some("OnDelete")
}

fn images(spec: &Value) -> Vec<&str> {
    let lists = ["initContainers", "containers"].into_iter();
    let containers = lists.flat_map(|list| spec[list].as_array().into_iter().flatten());
    containers.filter_map(|container| container["image"].as_str()).collect()
}

/// Whether the pod template changes: something is written that is not there, or something goes that whoever applies
/// had written before.
fn template_change(planned: &Planned, live: Option<&Value>, method: Method) -> Happens {
    let same = Happens::No("its pods stay as they are");
    let Some(live) = live else {
        return match planned.live {
            Live::Unknown(_) => Happens::Perhaps("what is there could not be looked at"),
            _ => Happens::Yes,
        };
    };
    if planned.action == Action::Unchanged {
        return same;
    }
    let (there, wanted) = (&live["spec"]["template"], &planned.effective["spec"]["template"]);
    if !holds(there, wanted) {
        return Happens::Yes;
    }
    let goes = match method {
        Method::Client | Method::Argocd | Method::Create => {
            last_applied(live).map(|last| loses(&last["spec"]["template"], wanted))
        }
        Method::Server => owned(live).map(|fields| takes_away(&fields["f:spec"]["f:template"], wanted)),
        _ => return Happens::Perhaps("what Helm takes away depends on the release before"),
    };
    // Who has applied nothing yet takes nothing away.
    if goes.unwrap_or(false) { Happens::Yes } else { same }
}

/// What client-side apply sent last.
pub(crate) fn last_applied(live: &Value) -> Option<Value> {
    let text = live["metadata"]["annotations"][LAST_APPLIED].as_str()?;
    serde_json::from_str(text).ok()
}

/// The fields that server-side apply has written before, as `fieldsV1` has them. Whoever did so, for it is told
/// nowhere under which name the next apply goes.
fn owned(live: &Value) -> Option<Value> {
    let managers = live["metadata"]["managedFields"].as_array()?;
    let mut all = Value::Null;
    for manager in managers.iter().filter(|manager| manager["operation"] == "Apply") {
        merge(&mut all, &manager["fieldsV1"]);
    }
    (!all.is_null()).then_some(all)
}

/// Whether a field that is owned is written no longer.
fn takes_away(owned: &Value, wanted: &Value) -> bool {
    owned.as_object().into_iter().flatten().any(|(key, below)| {
        if let Some(field) = key.strip_prefix("f:") {
            return wanted.get(field).is_none_or(|value| takes_away(below, value));
        }
        let Some(keys) = key.strip_prefix("k:").and_then(|keys| serde_json::from_str::<Map<_, _>>(keys).ok())
        else {
            return false;
        };
        let same = |item: &&Value| {
            // Of a port's key, the protocol is made up where it is not written.
            keys.iter().all(|(key, value)| item.get(key).map_or(key == "protocol", |own| own == value))
        };
        wanted
            .as_array()
            .is_some_and(|items| items.iter().find(same).is_none_or(|item| takes_away(below, item)))
    })
}

/// Whether `before` says something that `wanted` does not.
fn loses(before: &Value, wanted: &Value) -> bool {
    match (before, wanted) {
        (Value::Object(before), Value::Object(wanted)) => before
            .iter()
            .any(|(key, value)| wanted.get(key).map_or(!value.is_null(), |wanted| loses(value, wanted))),
        (Value::Array(before), Value::Array(wanted)) => {
            before.len() != wanted.len()
                || before.iter().zip(wanted).any(|(before, wanted)| loses(before, wanted))
        }
        (Value::Object(_) | Value::Array(_), _) => true,
        _ => false,
    }
}

/// Whether everything that `wanted` says is said by `there` too, in these or other words.
fn holds(there: &Value, wanted: &Value) -> bool {
    match (there, wanted) {
        (_, Value::Null) => true,
        (Value::Object(there), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| match there.get(key) {
                None => says_nothing(value) || is_left_out(key, value),
                Some(there) if QUANTITIES.contains(&key.as_str()) => holds_quantities(there, value),
                Some(there) => holds(there, value),
            })
        }
        (Value::Array(there), Value::Array(wanted)) => {
            there.len() == wanted.len()
                && there.iter().zip(wanted).all(|(there, wanted)| holds(there, wanted))
        }
        (there, wanted) => there == wanted,
    }
}

/// Fields that hold quantities, or maps of them.
const QUANTITIES: [&str; 5] = ["requests", "limits", "overhead", "sizeLimit", "divisor"];
/// Fields of pods that are left out when they hold nothing, so that writing that is no change (`omitempty` without a
/// pointer, `staging/src/k8s.io/api/core/v1/types.go`, v1.36).
const LEFT_OUT: [&str; 14] = [
    "value",
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "readOnly",
    "medium",
    "stdin",
    "stdinOnce",
    "tty",
    "subPath",
    "workingDir",
    "subPathExpr",
    "fsType",
    "hostIP",
];

fn is_left_out(key: &str, value: &Value) -> bool {
    LEFT_OUT.contains(&key) && (value == false || value == "")
}

fn holds_quantities(there: &Value, wanted: &Value) -> bool {
    match (there, wanted) {
        (Value::Object(there), Value::Object(wanted)) => wanted.iter().all(|(key, value)| {
            there.get(key).map_or_else(|| says_nothing(value), |there| holds_quantities(there, value))
        }),
        (there, wanted) => {
            there == wanted || quantity(there).is_some_and(|has| quantity(wanted) == Some(has))
        }
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// `0.5` and `500m` are the same. What is too large to be told exactly is none, nor is nothing at all.
fn quantity(value: &Value) -> Option<Quantity> {
    let written = Quantity::deserialize(value).ok().filter(|_| !value.is_null())?;
    (Quantity::MIN < written && written < Quantity::MAX).then_some(written)
}

/// What will be there: what is there, with what is written laid over it, and without what client-side apply takes
/// away. Lists are as written.
pub(crate) fn merged(planned: &Planned, method: Method) -> Value {
    let Live::Present(live) = &planned.live else {
        return (*planned.effective).clone();
    };
    let mut all = (**live).clone();
    let owned = if method == Method::Server { owned(live) } else { None };
    match (&owned, method) {
        (_, Method::Client | Method::Argocd) => lose(&mut all, live, &planned.effective),
        (Some(owned), _) => drop_owned(&mut all, owned, &planned.effective),
        _ => {}
    }
    merge(&mut all, &planned.effective);
    if method != Method::Create {
        keep_resources(&mut all, live, owned.as_ref());
    }
    all
}

/// Takes out of `all` what server-side apply has written before, and `wanted` no longer says. Lists are as written.
fn drop_owned(all: &mut Value, owned: &Value, wanted: &Value) {
    let (Value::Object(all), Value::Object(owned)) = (all, owned) else { return };
    for (key, below) in owned {
        let Some(field) = key.strip_prefix("f:") else { continue };
        match (wanted.get(field), all.get_mut(field)) {
            (None, _) => {
                all.remove(field);
            }
            (Some(wanted), Some(there)) => drop_owned(there, below, wanted),
            _ => {}
        }
    }
}

/// Containers are merged by their names: resources that somebody else has set, and the manifests never had, stay.
fn keep_resources(all: &mut Value, live: &Value, owned: Option<&Value>) {
    let last = last_applied(live);
    for list in ["containers", "initContainers"] {
        let pointer = format!("/spec/template/spec/{list}");
        let named = |of: Option<&Value>, name: &Value| -> Option<Value> {
            of?.pointer(&pointer)?.as_array()?.iter().find(|container| container["name"] == *name).cloned()
        };
        let Some(containers) = all.pointer_mut(&pointer).and_then(Value::as_array_mut) else { continue };
        for container in containers.iter_mut().filter(|container| says_nothing(&container["resources"])) {
            let name = container["name"].clone();
            let had = named(last.as_ref(), &name).is_some_and(|before| !says_nothing(&before["resources"]));
            let key = format!("k:{{\"name\":{name}}}");
            let owns = owned.is_some_and(|owned| {
                !owned["f:spec"]["f:template"]["f:spec"][format!("f:{list}")][&key]["f:resources"].is_null()
            });
            if let Some(there) = named(Some(live), &name).filter(|_| !had && !owns) {
                container["resources"] = there["resources"].clone();
            }
        }
    }
}

/// Takes out of `all` what client-side apply applied last, as `live` tells it, and `wanted` no longer says.
pub(crate) fn lose(all: &mut Value, live: &Value, wanted: &Value) {
    if let Some(last) = last_applied(live) {
        drop_lost(all, &last, wanted);
    }
}

/// Takes out of `all` what `last` said and `wanted` does not.
fn drop_lost(all: &mut Value, last: &Value, wanted: &Value) {
    let (Value::Object(all), Value::Object(last)) = (all, last) else { return };
    let keys: BTreeSet<String> = last.keys().cloned().collect();
    for key in keys {
        match (wanted.get(&key), all.get_mut(&key)) {
            (None, _) => {
                all.remove(&key);
            }
            (Some(wanted), Some(there)) => drop_lost(there, &last[&key], wanted),
            _ => {}
        }
    }
}

/// JSON merge patch (RFC 7396), as client-side apply uses it for custom resources.
pub(crate) fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        let replaced = std::mem::replace(into, patch.clone());
        if !replaced.is_object() {
            without_nulls(into);
        }
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    for (key, value) in patch {
        match into.as_object_mut() {
            Some(into) if value.is_null() => {
                into.remove(key);
            }
            Some(into) => merge(into.entry(key.clone()).or_insert(Value::Null), value),
            None => {}
        }
    }
}

/// Fields that are null go from lists too: that is how the server patches (`pruneNulls`, `gopkg.in/evanphx/json-patch.v4`).
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_in_other_words_is_the_same() {
        let there = json!({
            "requests": {"cpu": "500m", "memory": "1Gi"}, "b": [{"c": 1, "default": true}], "version": "1.1", "v": {}});
        for (wanted, same) in [
            (json!({"requests": {"cpu": "0.5"}}), true),
            (json!({"requests": {"cpu": 0.5}, "b": [{"c": 1}]}), true),
            (json!({"requests": {"memory": "1024Mi"}, "f": {}}), true),
            (json!({"requests": {"cpu": "501m"}}), false),
            (json!({"version": "1.10"}), false),
            (json!({"v": {"value": "", "hostNetwork": false}}), true),
            (json!({"v": {"automountServiceAccountToken": false}}), false),
            (json!({"b": []}), false),
            (json!({"g": 1}), false),
        ] {
            assert_eq!(holds(&there, &wanted), same, "{wanted}");
        }
    }

    #[test]
    fn what_goes_is_seen() {
        let before = json!({"a": {"b": 1}, "c": [{"d": 1, "e": 2}]});
        assert!(!loses(&before, &json!({"a": {"b": 2, "x": 1}, "c": [{"d": 1, "e": 3}]})));
        assert!(loses(&before, &json!({"a": {}, "c": [{"d": 1, "e": 2}]})));
        assert!(loses(&before, &json!({"a": {"b": 1}, "c": [{"d": 1}]})));
        let owned = json!({"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {".": {}, "f:image": {}, "f:env": {}}}}});
        assert!(takes_away(&owned, &json!({"spec": {"containers": [{"name": "app", "image": "a"}]}})));
        assert!(!takes_away(
            &owned,
            &json!({"spec": {"containers": [{"name": "app", "image": "a", "env": []}]}})
        ));
    }

    #[test]
    fn patches_are_merged_as_the_server_does() {
        let cases = [
            (json!({"a": 1, "b": 2}), json!({"a": null, "c": {"d": null}}), json!({"b": 2, "c": {}})),
            (json!({"a": [1]}), json!({"a": [{"b": null, "c": 1}, null]}), json!({"a": [{"c": 1}, null]})),
            (json!({"a": {"b": 1}}), json!({"a": {"c": 1}}), json!({"a": {"b": 1, "c": 1}})),
            (json!({"a": 1}), json!({"a": {"b": null}}), json!({"a": {}})),
        ];
        for (mut into, patch, expected) in cases {
            merge(&mut into, &patch);
            assert_eq!(into, expected, "{patch}");
        }
    }
}
