//! Fields that the schema does not know are dropped before anything is validated.
//!
//! `staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning/algorithm.go` and
//! `schema/defaulting/prunenulls.go` there, v1.36.

use serde_json::Value;

use super::{Segment, UNKNOWN_CAP, default_of, field_schema, flag};

/// Always there in a resource, whether its schema names them or not.
const META: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Drops unknown fields, and tells which.
pub(super) fn unknown_fields(object: &mut Value, schema: &Value) -> Vec<Vec<Segment>> {
    let mut pruner = Pruner { path: Vec::new(), unknown: Vec::new() };
    pruner.prune(object, Some(schema), true);
    pruner.unknown
}

struct Pruner {
    path: Vec<Segment>,
    unknown: Vec<Vec<Segment>>,
}

impl Pruner {
    fn prune(&mut self, value: &mut Value, schema: Option<&Value>, root: bool) {
        if let Some(schema) = schema.filter(|schema| flag(schema, "x-kubernetes-preserve-unknown-fields")) {
            return self.keep(value, schema, root);
        }
        match value {
            Value::Object(fields) => {
                let resource = root || schema.is_some_and(|it| flag(it, "x-kubernetes-embedded-resource"));
                fields.retain(|key, field| {
                    if resource && META.contains(&key.as_str()) {
                        return true;
                    }
                    let named = schema.and_then(|it| it.get("properties")).and_then(|it| it.get(key));
                    let known = named.is_some() || schema.is_some_and(allows_others);
                    self.path.push(Segment::Key(key.clone()));
                    if known {
                        // `additionalProperties: true` keeps the field, and nothing that is in it.
                        self.prune(field, schema.and_then(|it| field_schema(it, key)), false);
                    } else if self.unknown.len() < UNKNOWN_CAP {
                        self.unknown.push(self.path.clone());
                    }
                    self.path.pop();
                    known
                });
            }
            Value::Array(items) => self.items(items, |pruner, item| {
                pruner.prune(item, schema.and_then(|it| it.get("items")), false);
            }),
            _ => {}
        }
    }

    /// Keeps what is not known, and prunes what is.
    fn keep(&mut self, value: &mut Value, schema: &Value, root: bool) {
        match value {
            Value::Object(fields) => {
                let resource = root || flag(schema, "x-kubernetes-embedded-resource");
                for (key, field) in fields {
                    let named = schema.get("properties").and_then(|it| it.get(key)).is_some();
                    if (resource && META.contains(&key.as_str())) || !(named || allows_others(schema)) {
                        continue;
                    }
                    self.path.push(Segment::Key(key.clone()));
                    self.prune(field, field_schema(schema, key), false);
                    self.path.pop();
                }
            }
            Value::Array(items) => self.items(items, |pruner, item| {
                if let Some(schema) = schema.get("items") {
                    pruner.keep(item, schema, false);
                }
            }),
            _ => {}
        }
    }

    fn items(&mut self, items: &mut [Value], mut each: impl FnMut(&mut Self, &mut Value)) {
        for (at, item) in items.iter_mut().enumerate() {
            self.path.push(Segment::Index(at));
            each(self, item);
            self.path.pop();
        }
    }
}

/// Whether `additionalProperties` is there at all: even `false` keeps the field, for validation to refuse it.
fn allows_others(schema: &Value) -> bool {
    schema.get("additionalProperties").is_some_and(|it| !it.is_null())
}

/// Drops nulls of fields that may not be null and have no default.
pub(super) fn nulls(value: &mut Value, schema: Option<&Value>) {
    match value {
        Value::Object(fields) => fields.retain(|key, field| {
            let schema = schema.and_then(|it| field_schema(it, key));
            if field.is_null() && schema.is_some_and(|it| !flag(it, "nullable") && default_of(it).is_none()) {
                return false;
            }
            nulls(field, schema);
            true
        }),
        Value::Array(items) => {
            let schema = schema.and_then(|it| it.get("items"));
            items.iter_mut().for_each(|item| nulls(item, schema));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pruned(schema: Value, mut object: Value) -> (Value, usize) {
        let unknown = unknown_fields(&mut object, &schema);
        (object, unknown.len())
    }

    #[test]
    fn fields_are_dropped_as_the_server_does() {
        let text = json!({"type": "string"});
        let cases = [
            (
                json!({"properties": {"a": text}}),
                json!({"a": "", "b": 1, "kind": "K"}),
                json!({"a": "", "kind": "K"}),
                1,
            ),
            (json!({"additionalProperties": text}), json!({"b": "x"}), json!({"b": "x"}), 0),
            (json!({"additionalProperties": true}), json!({"b": {"c": 1}}), json!({"b": {}}), 1),
            (
                json!({"x-kubernetes-preserve-unknown-fields": true}),
                json!({"b": {"c": 1}}),
                json!({"b": {"c": 1}}),
                0,
            ),
            (
                json!({"x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"properties": {}}}}),
                json!({"a": {"c": 1}, "b": 1}),
                json!({"a": {}, "b": 1}),
                1,
            ),
            (
                json!({"properties": {"a": {"items": {"properties": {"x": text}}}}}),
                json!({"a": [{"x": "", "y": 1}]}),
                json!({"a": [{"x": ""}]}),
                1,
            ),
            (
                json!({"properties": {"a": {"x-kubernetes-embedded-resource": true, "properties": {}}}}),
                json!({"a": {"kind": "K", "metadata": {"z": 1}, "other": 1}}),
                json!({"a": {"kind": "K", "metadata": {"z": 1}}}),
                1,
            ),
        ];
        for (schema, object, expected, count) in cases {
            assert_eq!(pruned(schema.clone(), object), (expected, count), "{schema}");
        }
    }

    #[test]
    fn nulls_stay_where_they_mean_something() {
        let schema = json!({"properties": {
            "plain": {"type": "string"}, "nullable": {"type": "string", "nullable": true},
            "defaulted": {"type": "string", "default": "x"}
        }});
        let mut object = json!({"plain": null, "nullable": null, "defaulted": null, "other": null});
        nulls(&mut object, Some(&schema));
        assert_eq!(object, json!({"nullable": null, "defaulted": null, "other": null}));
    }
}
