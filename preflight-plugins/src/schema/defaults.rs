//! Defaults of a schema are filled in before validation.
//!
//! `staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting/algorithm.go`, v1.36.

use serde_json::Value;

use super::{default_of, field_schema, flag};

/// Fills in what is missing, and replaces nulls that may not be.
pub(super) fn fill(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            for (key, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let wanted = match fields.get(key) {
                    None => true,
                    Some(field) => field.is_null() && !flag(property, "nullable"),
                };
                if let Some(default) = default_of(property).filter(|_| wanted) {
                    fields.insert(key.clone(), default.clone());
                }
            }
            for (key, field) in fields.iter_mut() {
                let named = schema.get("properties").and_then(|it| it.get(key)).is_some();
                if let Some(schema) = field_schema(schema, key) {
                    if !named {
                        replace_null(field, schema);
                    }
                    fill(field, schema);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    replace_null(item, schema);
                    fill(item, schema);
                }
            }
        }
        _ => {}
    }
}

fn replace_null(value: &mut Value, schema: &Value) {
    if value.is_null()
        && !flag(schema, "nullable")
        && let Some(default) = default_of(schema)
    {
        *value = default.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_are_filled_in_where_the_server_does() {
        let with = |default: Value| json!({"type": "string", "default": default});
        let cases = [
            (json!({"properties": {"a": with(json!("x"))}}), json!({}), json!({"a": "x"})),
            (json!({"properties": {"a": with(json!("x"))}}), json!({"a": "y"}), json!({"a": "y"})),
            (json!({"properties": {"a": with(json!("x"))}}), json!({"a": null}), json!({"a": "x"})),
            (
                json!({"properties": {"a": {"default": "x", "nullable": true}}}),
                json!({"a": null}),
                json!({"a": null}),
            ),
            (json!({"properties": {"a": with(json!(null))}}), json!({}), json!({})),
            (json!({"properties": {"a": {"properties": {"b": with(json!("x"))}}}}), json!({}), json!({})),
            (
                json!({"properties": {"a": {"default": {}, "properties": {"b": with(json!("x"))}}}}),
                json!({}),
                json!({"a": {"b": "x"}}),
            ),
            (
                json!({"items": {"properties": {"b": with(json!("x"))}}}),
                json!([{}, 1]),
                json!([{"b": "x"}, 1]),
            ),
            (json!({"items": with(json!("x"))}), json!([null]), json!(["x"])),
            (json!({"additionalProperties": with(json!("x"))}), json!({"k": null}), json!({"k": "x"})),
        ];
        for (schema, mut object, expected) in cases {
            fill(&mut object, &schema);
            assert_eq!(object, expected, "{schema}");
        }
    }
}
