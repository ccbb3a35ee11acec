//! Values as CEL rules see them.
//!
//! `staging/src/k8s.io/apiserver/pkg/cel/common/valuesunstructured.go` and `pkg/cel/escaping.go` there, v1.36.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{Context, Program, Value as Cel};
use serde_json::Value;

use super::celscan::Shape;
use super::numbers::Num;
use super::{field_schema, flag, formats, lists};
use crate::cel::cel;

/// Formats of texts that rules see as something else.
const CONVERTED: [&str; 4] = ["date", "date-time", "duration", "byte"];

/// How values are converted.
pub(super) struct Converter<'a> {
    /// Knows `timestamp` and `duration`.
    pub context: &'a Context<'a>,
    /// What the rule looks at.
    pub shape: &'a Shape,
    /// Whether lists are brought into one order, so that those that are equal in any order are equal.
    pub sorted: bool,
}

impl Converter<'_> {
    /// The value as CEL sees it. `None`: its type there is not known, or not made here.
    pub(super) fn value(&self, value: &Value, schema: &Value, root: bool) -> Option<Cel> {
        let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
        if flag(schema, "x-kubernetes-int-or-string") {
            return match value {
                Value::String(text) => Some(Cel::String(Arc::new(text.clone()))),
                Value::Number(number) => number.as_i64().map(Cel::Int),
                _ => None,
            };
        }
        match (kind, value) {
            // The cel crate and the server differ in what may be asked of null.
            (_, Value::Null) => None,
            ("object", Value::Object(fields)) => {
                let resource = root || flag(schema, "x-kubernetes-embedded-resource");
                let named = schema.get("properties").is_some() || resource;
                let mut map = HashMap::with_capacity(fields.len());
                for (name, field) in fields {
                    let Some(below) = self.field(schema, name, field, resource) else { continue };
                    let name = if named { escaped(name) } else { name.clone() };
                    // What is not understood does not matter where nobody looks.
                    if below.is_none() && named && self.shape.overlooks(&name) {
                        continue;
                    }
                    map.insert(Key::String(Arc::new(name)), below?);
                }
                Some(Cel::Map(Map { map: Arc::new(map) }))
            }
            ("array", Value::Array(items)) => {
                let each = schema.get("items")?;
                let mut order: Vec<_> = items.iter().collect();
                if self.sorted {
                    order.sort_by_cached_key(|item| lists::canonical(item));
                }
                let items =
                    order.into_iter().map(|item| self.value(item, each, false)).collect::<Option<Vec<_>>>();
                items.map(|items| Cel::List(Arc::new(items)))
            }
            ("string", Value::String(text)) => self.text(text, schema),
            ("number", Value::Number(number)) => Some(Cel::Float(Num::of(number).float())),
            ("integer", Value::Number(number)) => number.as_i64().map(Cel::Int),
            ("boolean", Value::Bool(bool)) => Some(Cel::Bool(*bool)),
            ("", _) if flag(schema, "x-kubernetes-preserve-unknown-fields") => Some(cel(value)),
            _ => None,
        }
    }

    /// The outer `None`: rules do not see this field.
    fn field(&self, schema: &Value, name: &str, field: &Value, resource: bool) -> Option<Option<Cel>> {
        if resource && name == "metadata" {
            let seen = field
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(key, _)| ["name", "generateName"].contains(&key.as_str()));
            let seen: serde_json::Map<_, _> = seen.map(|(key, it)| (key.clone(), it.clone())).collect();
            return Some(Some(cel(&Value::Object(seen))));
        }
        if resource && ["apiVersion", "kind"].contains(&name) {
            return Some(Some(cel(field)));
        }
        match field_schema(schema, name) {
            Some(schema) => Some(self.value(field, schema, false)),
            // Preserved without being known: it counts where objects are compared.
            None => Some(Some(cel(field))),
        }
    }

    fn text(&self, text: &str, schema: &Value) -> Option<Cel> {
        let string = || Cel::String(Arc::new(text.to_owned()));
        let Some(format) = schema.get("format").and_then(Value::as_str) else { return Some(string()) };
        match format {
            "date" => self.make("timestamp(text)", format!("{text}T00:00:00Z")),
            // Other zones are left alone: what their hours are is another question to the cel crate.
            "date-time" if text.ends_with(['Z', 'z']) => self.make("timestamp(text)", text.to_uppercase()),
            "duration" if formats::go_duration(text) => self.make("duration(text)", text.to_owned()),
            "byte" => bytes(text).map(|bytes| Cel::Bytes(Arc::new(bytes))),
            "date-time" | "duration" => None,
            _ => Some(string()),
        }
    }

    fn make(&self, code: &str, text: String) -> Option<Cel> {
        let mut context = self.context.new_inner_scope();
        context.add_variable_from_value("text", Cel::String(Arc::new(text)));
        Program::compile(code).ok()?.execute(&context).ok()
    }
}

/// Whether the order of a list does not matter where it is compared.
fn sorts(schema: &Value) -> bool {
    matches!(schema.get("x-kubernetes-list-type").and_then(Value::as_str), Some("set" | "map"))
}

/// Whether there is a list in the value whose order does not matter, and that has one.
pub(super) fn any_sorts(value: &Value, schema: &Value) -> bool {
    match value {
        Value::Object(fields) => fields
            .iter()
            .any(|(key, field)| field_schema(schema, key).is_some_and(|schema| any_sorts(field, schema))),
        Value::Array(items) => {
            (items.len() > 1 && sorts(schema))
                || schema.get("items").is_some_and(|schema| items.iter().any(|item| any_sorts(item, schema)))
        }
        _ => false,
    }
}

/// Whether there is a list in the value that the server compares by what is written, and not by what rules see: a set of
/// anything but texts, whole numbers and booleans, where it may fail too, or a map with keys that are escaped.
pub(super) fn any_incomparable(value: &Value, schema: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(key, field)| {
            field_schema(schema, key).is_some_and(|schema| any_incomparable(field, schema))
        }),
        Value::Array(items) if !items.is_empty() => {
            let each = schema.get("items").unwrap_or(&Value::Null);
            let text = |key: &str| each.get(key).and_then(Value::as_str).unwrap_or_default();
            let strange = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
                Some("set") => {
                    let converted = CONVERTED.contains(&text("format"));
                    let plain = ["string", "integer", "boolean"].contains(&text("type"));
                    converted || !(plain || flag(each, "x-kubernetes-int-or-string"))
                }
                Some("map") => lists::map_keys(schema).iter().any(|key| escaped(key) != **key),
                _ => false,
            };
            strange || items.iter().any(|item| any_incomparable(item, each))
        }
        _ => false,
    }
}

/// Whether rules see a value as it is written. The server gives them an optional `oldSelf` without its schema: what is a
/// date, a set or a number elsewhere is a text, a list or a whole number there, and names are not escaped.
pub(super) fn plain(value: &Value, schema: &Value) -> bool {
    if flag(schema, "x-kubernetes-embedded-resource") {
        return false;
    }
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    match value {
        Value::Object(fields) => fields.iter().all(|(key, field)| {
            let named = schema.get("properties").is_some();
            (!named || escaped(key) == *key)
                && field_schema(schema, key).is_some_and(|schema| plain(field, schema))
        }),
        Value::Array(items) => {
            !sorts(schema)
                && schema.get("items").is_some_and(|schema| items.iter().all(|item| plain(item, schema)))
        }
        Value::String(_) => {
            let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
            !CONVERTED.contains(&format) && (kind == "string" || flag(schema, "x-kubernetes-int-or-string"))
        }
        Value::Number(_) => kind == "integer" || flag(schema, "x-kubernetes-int-or-string"),
        Value::Bool(_) => kind == "boolean",
        Value::Null => false,
    }
}

/// Whether a rule names a list whose order does not matter. `name` is how it names the value itself.
pub(super) fn names_sorted(schema: &Value, name: &str, words: &HashSet<String>) -> bool {
    let named = |key: &str| schema.get(key).is_some_and(|schema| names_sorted(schema, name, words));
    let properties = schema.get("properties").and_then(Value::as_object);
    (sorts(schema) && words.contains(name))
        || named("items")
        || named("additionalProperties")
        || properties.is_some_and(|all| all.iter().any(|(key, it)| names_sorted(it, &escaped(key), words)))
}

/// Whether there is a list in the value with the same item twice.
pub(super) fn any_repeats(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().any(any_repeats),
        Value::Array(items) => {
            let mut seen = HashSet::new();
            items.iter().any(|item| !seen.insert(lists::canonical(item)) || any_repeats(item))
        }
        _ => false,
    }
}

/// How many values there are in a value.
pub(super) fn size(value: &Value) -> u64 {
    match value {
        Value::Object(fields) => 1 + fields.values().map(size).sum::<u64>(),
        Value::Array(items) => 1 + items.iter().map(size).sum::<u64>(),
        Value::String(text) => 1 + text.len() as u64 / 64,
        _ => 1,
    }
}

/// Whether there is a number with a fraction in the value.
pub(super) fn any_fraction(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().any(any_fraction),
        Value::Array(items) => items.iter().any(any_fraction),
        Value::Number(number) => number.as_i64().is_none(),
        _ => false,
    }
}

/// How a field is written in a rule. Unlike what kube-cel does, a single `_` stays as it is.
fn escaped(name: &str) -> String {
    const RESERVED: [&str; 21] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ];
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    name.replace("__", "__underscores__")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__")
}

/// Base64 of the URL alphabet, which is what the server decodes here; only of what both alphabets have.
fn bytes(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose =
        GeneralPurpose::new(&URL_SAFE, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));
    text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'=').then(|| LENIENT.decode(text).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_typed_by_their_schema() {
        let context = Context::default();
        let of = |value: Value, schema: Value| {
            Converter { context: &context, shape: &Shape::default(), sorted: true }
                .value(&value, &schema, false)
        };
        let text = |it: &str| Cel::String(Arc::new(it.to_owned()));
        let list = |it: &[&str]| Some(Cel::List(Arc::new(it.iter().map(|it| text(it)).collect())));
        assert_eq!(of(json!(1), json!({"type": "number"})), Some(Cel::Float(1.0)));
        assert_eq!(of(json!(1), json!({"type": "integer"})), Some(Cel::Int(1)));
        assert_eq!(of(json!(1.0), json!({"type": "integer"})), None);
        assert_eq!(of(json!(null), json!({"type": "integer", "nullable": true})), None);
        assert_eq!(
            of(json!("YWI="), json!({"type": "string", "format": "byte"})),
            Some(Cel::Bytes(Arc::new(b"ab".to_vec())))
        );
        assert!(matches!(
            of(json!("2024-01-02"), json!({"type": "string", "format": "date"})),
            Some(Cel::Timestamp(_))
        ));
        assert!(matches!(
            of(json!("1h"), json!({"type": "string", "format": "duration"})),
            Some(Cel::Duration(_))
        ));
        assert_eq!(of(json!("2 days"), json!({"type": "string", "format": "duration"})), None);
        let set = json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}});
        assert_eq!(of(json!(["b", "a"]), set), list(&["a", "b"]));
    }

    #[test]
    fn names_are_escaped() {
        for (name, expected) in [
            ("a_b", "a_b"),
            ("a-b", "a__dash__b"),
            ("a__b.c/d", "a__underscores__b__dot__c__slash__d"),
            ("namespace", "__namespace__"),
        ] {
            assert_eq!(escaped(name), expected);
        }
    }
}
