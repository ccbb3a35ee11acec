//! What the API server leaves out because it is empty, and how it writes quantities.

use preflight_core::Quantity;
use serde_json::Value;

use super::MAYBE;

/// Maps whose values are texts, quantities or bytes: their keys are no fields.
const MAPS: [&str; 15] = [
    "annotations",
    "labels",
    "matchLabels",
    "nodeSelector",
    "data",
    "binaryData",
    "stringData",
    "limits",
    "requests",
    "hard",
    "max",
    "min",
    "default",
    "defaultRequest",
    "parameters",
];
/// Switches that are left out where they are off. Other booleans are kept as they are written.
const SWITCHES: [&str; 11] = [
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "stdin",
    "stdinOnce",
    "tty",
    "readOnly",
    "paused",
    "publishNotReadyAddresses",
    "unschedulable",
    "globalDefault",
];
/// Numbers that are left out where they are zero.
const COUNTS: [&str; 5] =
    ["minReadySeconds", "hostPort", "initialDelaySeconds", "nodePort", "healthCheckNodePort"];
/// Texts that are kept though they are empty: they are pointers, or always written.
const TEXTS: [&str; 5] = ["storageClassName", "runtimeClassName", "service", "appProtocol", "fsType"];
/// Lists and maps that are kept though they are empty.
const KEPT: [&str; 3] = ["rules", "verbs", "containers"];

/// Leaves out what is empty.
pub(super) fn leave_out(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, field| {
                if !MAPS.contains(&key.as_str()) || !field.is_object() {
                    leave_out(field);
                }
                // A pointer, which is written though it is empty.
                if key == "hostPath" && field.is_object() && field["type"].is_null() {
                    field["type"] = "".into();
                }
                !is_left_out(key, field)
            });
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out),
        _ => {}
    }
}

fn is_left_out(key: &str, field: &Value) -> bool {
    match field {
        Value::Null => true,
        Value::String(text) => text.is_empty() && !TEXTS.contains(&key),
        Value::Bool(on) => !on && SWITCHES.contains(&key),
        Value::Number(number) => number.as_i64() == Some(0) && COUNTS.contains(&key),
        Value::Array(items) => items.is_empty() && !KEPT.contains(&key),
        Value::Object(fields) => fields.is_empty() && MAPS.contains(&key),
    }
}

/// What is empty may be left out, or not.
pub(super) fn doubt_empty(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                let empty = match &*field {
                    Value::String(text) => text.is_empty(),
                    Value::Bool(on) => !on,
                    Value::Number(number) => number.as_f64() == Some(0.0),
                    Value::Array(items) => items.is_empty(),
                    _ => false,
                };
                if empty {
                    *field = MAYBE.into();
                } else if !MAPS.contains(&key.as_str()) {
                    doubt_empty(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(doubt_empty),
        _ => {}
    }
}

/// Quantities are written in their shortest form.
pub(super) fn quantities(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                match (key.as_str(), field) {
                    (
                        "limits" | "requests" | "hard" | "max" | "min" | "default" | "defaultRequest"
                        | "overhead" | "capacity",
                        Value::Object(amounts),
                    ) => amounts.values_mut().for_each(canonical),
                    ("sizeLimit" | "divisor" | "averageValue", amount) => canonical(amount),
                    (_, field) => quantities(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(quantities),
        _ => {}
    }
}

/// `staging/src/k8s.io/apimachinery/pkg/api/resource/quantity.go`, `CanonicalizeBytes`, v1.36: binary suffixes stay
/// binary where the value is at least one; what is written otherwise gets the largest suffix without a fraction.
fn canonical(amount: &mut Value) {
    let text = match &*amount {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return,
    };
    let Ok(quantity) = Quantity::parse(&text) else { return };
    let written = if text.ends_with('i') { binary(quantity) } else { None };
    let decimal = || {
        let decimal = quantity.to_string();
        if text.contains(['e', 'E']) && !text.ends_with('E') { exponent(&decimal) } else { decimal }
    };
    *amount = written.unwrap_or_else(decimal).into();
}

/// What is written with an exponent stays so: `1k` is `1e3`.
fn exponent(decimal: &str) -> String {
    const SUFFIXES: [(char, &str); 9] = [
        ('n', "e-9"),
        ('u', "e-6"),
        ('m', "e-3"),
        ('k', "e3"),
        ('M', "e6"),
        ('G', "e9"),
        ('T', "e12"),
        ('P', "e15"),
        ('E', "e18"),
    ];
    let found =
        SUFFIXES.iter().find_map(|(suffix, e)| Some(format!("{}{e}", decimal.strip_suffix(*suffix)?)));
    found.unwrap_or_else(|| decimal.to_owned())
}

fn binary(quantity: Quantity) -> Option<String> {
    // Of a fraction of one there is no binary form.
    if quantity.milli_value() % 1000 != 0 {
        return None;
    }
    let mut value = quantity.value();
    if value.abs() < 1024 {
        return Some(value.to_string());
    }
    let mut suffix = "";
    for next in ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] {
        if value % 1024 != 0 {
            break;
        }
        value /= 1024;
        suffix = next;
    }
    Some(format!("{value}{suffix}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{canonical, leave_out};

    #[test]
    fn quantities_are_written_as_the_server_writes_them() {
        for (written, expected) in [
            (json!("0.5"), "500m"),
            (json!(2), "2"),
            (json!("1000m"), "1"),
            (json!("1024Mi"), "1Gi"),
            (json!("1000Mi"), "1000Mi"),
            (json!("1.5Gi"), "1536Mi"),
            (json!("1e3"), "1e3"),
            (json!("12E2"), "1200"),
            (json!("1E"), "1E"),
            (json!("100M"), "100M"),
            (json!("0"), "0"),
        ] {
            let mut amount = written.clone();
            canonical(&mut amount);
            assert_eq!(amount, expected, "{written}");
        }
    }

    #[test]
    fn what_is_empty_is_left_out_where_the_server_does_so() {
        let mut object = json!({"hostNetwork": false, "automountServiceAccountToken": false, "args": [], "emptyDir": {},
            "labels": {}, "annotations": {"a": ""}, "workingDir": "", "storageClassName": "", "none": null});
        leave_out(&mut object);
        assert_eq!(
            object,
            json!({"automountServiceAccountToken": false, "emptyDir": {}, "annotations": {"a": ""},
            "storageClassName": ""})
        );
    }
}
