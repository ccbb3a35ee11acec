//! What may be secret leaves a snapshot before it is written: contents of Secrets and ConfigMaps, literal values
//! of environment variables. A short digest takes their place, which tells a change and nothing else.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// How a masked value begins.
const MASKED: &str = "redacted:";
/// Where `kubectl apply` keeps a copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Masks an object. Masking it again changes nothing.
pub(crate) fn mask(object: &mut Value) {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(last) =
            metadata.get_mut("annotations").and_then(|annotations| annotations.get_mut(LAST_APPLIED))
        {
            *last = crate::release::last_applied_fingerprint(last.as_str().unwrap_or_default()).into();
        }
    }
    match kind.as_str() {
        "Secret" => each_value(object, &["data", "stringData"], |value| *value = "".into()),
        "ConfigMap" => each_value(object, &["data", "binaryData"], mask_value),
        _ => mask_variables(object),
    }
}

fn each_value(object: &mut Value, fields: &[&str], change: impl Fn(&mut Value)) {
    for field in fields {
        if let Some(entries) = object.get_mut(*field).and_then(Value::as_object_mut) {
            entries.values_mut().for_each(&change);
        }
    }
}

/// Values of `env` lists, wherever there are any.
fn mask_variables(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::Array(variables) if key == "env" => {
                        for variable in variables {
                            match variable.get_mut("value") {
                                Some(value) => mask_value(value),
                                None => mask_variables(variable),
                            }
                        }
                    }
                    _ => mask_variables(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask_variables),
        _ => {}
    }
}

/// Four bytes of the SHA-256: enough to tell a change, too few to confirm a guess.
fn mask_value(value: &mut Value) {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.is_empty() || text.starts_with(MASKED) {
        return;
    }
    let digest: String =
        Sha256::digest(text.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    *value = format!("{MASKED}{digest}").into();
}
