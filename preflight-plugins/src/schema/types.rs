//! Types of values, and enumerations.
//!
//! `k8s.io/kube-openapi/pkg/validation/validate/{type,validator}.go`, v1.36. Tested in `values.rs`.

use serde_json::Value;

use super::numbers::Num;
use super::{flag, formats};

/// The types that a schema allows.
pub(super) fn types(schema: &Value) -> Vec<&str> {
    if flag(schema, "x-kubernetes-int-or-string") {
        return vec!["integer", "string"];
    }
    schema.get("type").and_then(Value::as_str).filter(|it| !it.is_empty()).into_iter().collect()
}

/// Types for people.
pub(super) fn wanted(types: &[&str]) -> String {
    let article =
        |it: &&str| if it.starts_with(['a', 'i', 'o']) { format!("an {it}") } else { format!("a {it}") };
    types.iter().map(article).collect::<Vec<_>>().join(" or ")
}

/// Why a value has not the type that it should have.
pub(super) fn mistyped(schema: &Value, types: &[&str], value: &Value) -> Option<String> {
    let format = formats::textual(schema);
    if types.is_empty() && format.is_none() {
        return None;
    }
    let (name, fits) = match value {
        Value::Null => return None,
        Value::Bool(_) => ("boolean", types.contains(&"boolean")),
        Value::String(_) => ("string", types.contains(&"string")),
        Value::Array(_) => ("array", types.contains(&"array")),
        Value::Object(_) => ("object", types.contains(&"object")),
        Value::Number(number) => {
            let num = Num::of(number);
            let name = if matches!(num, Num::Int(_)) { "integer" } else { "number" };
            (name, types.contains(&"number") || (types.contains(&"integer") && num.whole()))
        }
    };
    // With a format of strings, the server takes any string or list for well typed.
    let numeric = types.iter().any(|it| ["integer", "number"].contains(it));
    if fits || (format.is_some() && !numeric && ["string", "array"].contains(&name)) {
        return None;
    }
    let types = if types.is_empty() { &["string"][..] } else { types };
    Some(format!("is {}, and must be {}", wanted(&[name]), wanted(types)))
}

/// Whether a value is this one of an enumeration. Numbers are converted, as Go does. Null never is.
pub(super) fn is_listed(value: &Value, allowed: &Value) -> bool {
    match (value, allowed) {
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Number(value), Value::Number(allowed)) => match (Num::of(value), Num::of(allowed)) {
            (Num::Int(value), Num::Int(allowed)) => value == allowed,
            #[expect(clippy::cast_possible_truncation, reason = "Go converts it so")]
            (Num::Float(value), Num::Int(allowed)) => value as i64 == allowed,
            (value, Num::Float(allowed)) => value.float().to_bits() == allowed.to_bits(),
        },
        // A number becomes the character that it is the code of.
        (Value::Number(value), Value::String(allowed)) => match Num::of(value) {
            Num::Int(code) => {
                let known = u32::try_from(code).ok().and_then(char::from_u32);
                allowed.chars().eq([known.unwrap_or(char::REPLACEMENT_CHARACTER)])
            }
            Num::Float(_) => false,
        },
        _ => value == allowed,
    }
}
