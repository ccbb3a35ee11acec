//! Lists of type `set` and `map`: no duplicates, and which item of before an item is.
//!
//! `staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype/validation.go`,
//! `staging/src/k8s.io/apiserver/pkg/cel/common/{equality,maplist}.go`, v1.36.

use std::collections::HashMap;

use serde_json::Value;

use super::{Judgement, Kind, Segment, field_schema, show, walk};

/// Looks for duplicates. An update may keep those that are there: if the live object has any, none are counted.
pub(super) fn validate(schema: &Value, object: &Value, live: Option<&Value>, judgement: &mut Judgement) {
    if let Some(live) = live {
        let mut before = Judgement::default();
        all(schema, live, &mut before);
        if !before.violations.is_empty() {
            return;
        }
    }
    all(schema, object, judgement);
}

/// Looks at every list. The root of a resource is an object, so this is never asked of the root.
fn all(schema: &Value, object: &Value, judgement: &mut Judgement) {
    walk(schema, object, &mut Vec::new(), &mut |schema, value, path| {
        let Value::Array(items) = value else { return };
        match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
            Some("set") => {
                duplicates(
                    items.iter().map(canonical),
                    |at, item| show(items.get(item).unwrap_or(at)),
                    items,
                    path,
                    judgement,
                );
            }
            Some("map") => maps(schema, items, path, judgement),
            _ => {}
        }
    });
}

fn maps(schema: &Value, items: &[Value], path: &mut Vec<Segment>, judgement: &mut Judgement) {
    if let Some(at) = items.iter().position(|item| !item.is_object() && !item.is_null()) {
        path.push(Segment::Index(at));
        judgement.refuse(path, Kind::Type, "must be an object, as an item of a list of type map");
        path.pop();
        return;
    }
    let keys = map_keys(schema);
    let key = |item: &Value| {
        let parts = keys.iter().filter_map(|key| Some(format!("{key}={}", canonical(item.get(*key)?))));
        parts.collect::<Vec<_>>().join(", ")
    };
    duplicates(items.iter().map(key), |item, _| key(item), items, path, judgement);
}

fn duplicates(
    keys: impl Iterator<Item = String>,
    name: impl Fn(&Value, usize) -> String,
    items: &[Value],
    path: &mut Vec<Segment>,
    judgement: &mut Judgement,
) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (at, (key, item)) in keys.zip(items).enumerate() {
        let times = seen.entry(key).or_default();
        *times += 1;
        if *times == 2 {
            path.push(Segment::Index(at));
            let what = super::shorten(&name(item, at), 60);
            judgement.refuse(path, Kind::Duplicate, format!("is a duplicate: {what} is already in the list"));
            path.pop();
        }
    }
}

/// The keys of a list of type `map`.
pub(super) fn map_keys(schema: &Value) -> Vec<&str> {
    let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
    keys.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The item of a list that has the keys of this one, if the list is of type `map`.
pub(super) fn correlated<'a>(schema: &Value, item: &Value, old: &'a Value) -> Option<&'a Value> {
    if schema.get("x-kubernetes-list-type").and_then(Value::as_str) != Some("map") {
        return None;
    }
    let keys = map_keys(schema);
    let of = |item: &Value| {
        let part = |key: &&str| {
            item.get(*key).filter(|it| !(it.is_null() || it.is_array() || it.is_object())).cloned()
        };
        keys.iter().map(part).collect::<Option<Vec<_>>>().filter(|parts| !parts.is_empty())
    };
    let wanted = of(item)?;
    old.as_array()?.iter().find(|it| of(it).as_ref() == Some(&wanted))
}

/// Whether a value did not change, where the order of lists of type `map` does not matter.
pub(super) fn same(schema: Option<&Value>, new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            new.len() == old.len()
                && new.iter().all(|(key, new)| {
                    let schema = schema.and_then(|schema| field_schema(schema, key));
                    // What the schema does not know cannot be compared by the server either.
                    schema.is_some() && old.get(key).is_some_and(|old| same(schema, new, old))
                })
        }
        (Value::Array(items), Value::Array(before)) => {
            if items.len() != before.len() {
                return false;
            }
            let Some(schema) = schema else { return new == old };
            match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
                Some("map") if schema.get("items").is_some() => items.iter().all(|item| {
                    correlated(schema, item, old).is_some_and(|old| same(schema.get("items"), item, old))
                }),
                _ => new == old,
            }
        }
        _ => new == old,
    }
}

/// A value as text that is the same for equal values.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut parts: Vec<_> =
                fields.iter().map(|(key, it)| format!("{key:?}:{}", canonical(it))).collect();
            parts.sort();
            format!("{{{}}}", parts.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn count(list: &Value, value: &Value, live: Option<&Value>) -> usize {
        let mut judgement = Judgement::default();
        let schema = json!({"properties": {"a": list}});
        let live = live.map(|live| json!({"a": live}));
        validate(&schema, &json!({"a": value}), live.as_ref(), &mut judgement);
        judgement.violations.len()
    }

    #[test]
    fn duplicates_are_found() {
        let set = json!({"x-kubernetes-list-type": "set"});
        let map = json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "l"]});
        let cases = [
            (&set, json!(["a", "b", 1, "1"]), 0),
            (&set, json!(["a", "b", "a", "a"]), 1),
            (&set, json!([{"a": 1, "b": 2}, {"b": 2, "a": 1}]), 1),
            (&map, json!([{"k": 1, "l": 1}, {"k": 1, "l": 2}]), 0),
            (&map, json!([{"k": 1, "l": 1, "v": 1}, {"l": 1, "k": 1, "v": 2}]), 1),
            (&map, json!([{"k": 1}, {"k": 1}]), 1),
            (&map, json!(["a"]), 1),
        ];
        for (schema, value, expected) in cases {
            assert_eq!(count(schema, &value, None), expected, "{schema} {value}");
        }
        assert_eq!(count(&set, &json!(["a", "a"]), Some(&json!(["b", "b"]))), 0, "there were some before");
        assert_eq!(count(&set, &json!(["a", "a"]), Some(&json!(["a"]))), 1);
    }

    #[test]
    fn order_matters_unless_it_is_a_map() {
        let item = json!({"properties": {"k": {}, "v": {}}});
        let map =
            json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": item});
        let (one, two) = (json!([{"k": 1, "v": 1}, {"k": 2}]), json!([{"k": 2}, {"k": 1, "v": 1}]));
        assert!(same(Some(&map), &one, &two));
        assert!(!same(Some(&json!({"items": {}})), &one, &two));
        assert!(!same(Some(&map), &one, &json!([{"k": 2}, {"k": 1, "v": 2}])));
    }
}
