//! Whether applying an object would change what is there.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::snapshot::mask;

/// Where `kubectl apply` keeps what it applied last.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Whether a client-side `kubectl apply` of `wanted` would send no patch: what was applied last is the same, and
/// every value that is wanted is there. Quantities that mean the same in other words count as different, which
/// errs on the side of an update.
pub(super) fn unchanged(wanted: &Value, live: &Value) -> bool {
    let (mut masked, mut there) = (wanted.clone(), live.clone());
    mask(&mut masked);
    mask(&mut there);
    applied_last(live).is_some_and(|last| last == fingerprint(wanted)) && holds(&there, &masked)
}

/// Whether everything that `wanted` says is said by `live` too.
fn holds(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (_, Value::Null) => true,
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| match live.get(key) {
                Some(live) => holds(live, value),
                None => is_nothing(value),
            })
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| holds(live, wanted))
        }
        (live, wanted) => live == wanted,
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_nothing),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// The fingerprint of what `kubectl apply` applied last; snapshots hold it instead of the text.
fn applied_last(live: &Value) -> Option<String> {
    let annotation = live.pointer("/metadata/annotations")?.get(LAST_APPLIED)?.as_str()?;
    Some(last_applied_fingerprint(annotation))
}

/// What stands in a snapshot for a last-applied annotation, which may hold secrets. Its own fingerprint is itself.
pub(crate) fn last_applied_fingerprint(annotation: &str) -> String {
    match serde_json::from_str::<Value>(annotation) {
        Ok(value) => fingerprint(&value),
        Err(_) => annotation.to_owned(),
    }
}

/// A digest of what an object says, without what says nothing.
fn fingerprint(object: &Value) -> String {
    let mut object = object.clone();
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    prune(&mut object);
    // serde_json keeps the keys of objects sorted.
    let digest = Sha256::digest(object.to_string().as_bytes());
    format!("sha256:{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn prune(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(prune);
            map.retain(|_, value| !is_nothing(value));
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live(wanted: &Value, more: Value) -> Value {
        let mut live = wanted.clone();
        let text = serde_json::to_string(wanted).unwrap();
        live["metadata"]["annotations"] = json!({LAST_APPLIED: text});
        live["status"] = more;
        live
    }

    #[test]
    fn the_same_again_is_unchanged_whatever_the_server_added() {
        let wanted =
            json!({"kind": "ConfigMap", "metadata": {"name": "a", "labels": {}}, "data": {"a": "1"}});
        assert!(unchanged(&wanted, &live(&wanted, json!({"x": 1}))));
    }

    #[test]
    fn another_value_or_a_field_no_longer_wanted_is_a_change() {
        let before = json!({"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "1", "b": "2"}});
        for wanted in [
            json!({"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "2", "b": "2"}}),
            json!({"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "1"}}),
        ] {
            assert!(!unchanged(&wanted, &live(&before, json!(null))));
        }
    }

    #[test]
    fn what_someone_changed_since_is_a_change_and_so_is_what_kubectl_did_not_apply() {
        let wanted = json!({"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "1"}});
        let mut edited = live(&wanted, json!(null));
        edited["data"]["a"] = "2".into();
        assert!(!unchanged(&wanted, &edited));
        assert!(!unchanged(&wanted, &wanted));
    }

    #[test]
    fn a_masked_copy_says_the_same() {
        let wanted = json!({"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "1"}});
        let mut recorded = live(&wanted, json!(null));
        mask(&mut recorded);
        assert!(!recorded.to_string().contains("\"1\""));
        assert!(unchanged(&wanted, &recorded));
    }
}
