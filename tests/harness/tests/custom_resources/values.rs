//! Random values near a schema.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::samples::{FORMATS, PATTERNS, TEXTS};
use super::schemas::{chance, pick};

/// A value that the schema mostly accepts: alternatives and rules are not looked at.
pub fn fitting(rng: &mut Rng, schema: &Value) -> Value {
    if schema["nullable"] == true && chance(rng, 10) {
        return Value::Null;
    }
    if let Some(allowed) = schema["enum"].as_array() {
        return allowed[rng.usize(..allowed.len())].clone();
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return if rng.bool() { json!(rng.i32(0..6)) } else { json!(pick(rng, &["5", "50%", "10%"])) };
    }
    match schema["type"].as_str().unwrap_or_default() {
        "string" => json!(text(rng, schema)),
        "integer" => {
            let step = schema["multipleOf"].as_i64().unwrap_or(1);
            let (least, most) = (schema["minimum"].as_i64(), schema["maximum"].as_i64());
            let least = least.unwrap_or(0) + i64::from(schema["exclusiveMinimum"] == true);
            let most = most.unwrap_or(6) - i64::from(schema["exclusiveMaximum"] == true);
            json!(rng.i64(least..=most.max(least)) / step * step)
        }
        "number" => pick(rng, &[&json!(1), &json!(1.5), &json!(2), &json!(2.0), &json!(2.5)]).clone(),
        "boolean" => json!(rng.bool()),
        "array" => list(rng, schema),
        "object" => object(rng, schema),
        _ => anything(rng),
    }
}

fn text(rng: &mut Rng, schema: &Value) -> &'static str {
    let of = |table: &'static [(&str, &'static [&'static str], &[&str])], name: &Value| {
        table.iter().find(|entry| name == entry.0).map(|entry| entry.1)
    };
    let known = of(PATTERNS, &schema["pattern"]).or_else(|| of(FORMATS, &schema["format"]));
    let (least, most) = (schema["minLength"].as_u64(), schema["maxLength"].as_u64());
    let fits = |text: &&&str| {
        let length = text.chars().count() as u64;
        length >= least.unwrap_or(0) && length <= most.unwrap_or(u64::MAX)
    };
    let texts: Vec<&str> = known.unwrap_or(TEXTS).iter().filter(fits).copied().collect();
    if texts.is_empty() { "a" } else { pick(rng, &texts) }
}

fn list(rng: &mut Rng, schema: &Value) -> Value {
    let least = schema["minItems"].as_u64().unwrap_or(0);
    let most = schema["maxItems"].as_u64().unwrap_or(3).max(least);
    let mut items: Vec<Value> = (0..rng.u64(least..=most)).map(|_| fitting(rng, &schema["items"])).collect();
    if schema["x-kubernetes-list-type"] == "map" {
        for (item, key) in items.iter_mut().zip(["a", "b", "c", "d"]).filter(|(item, _)| item.is_object()) {
            item["k"] = json!(key);
        }
    } else if schema["x-kubernetes-list-type"] == "set" {
        let mut once: Vec<Value> = Vec::new();
        items.retain(|item| {
            let new = !once.contains(item);
            once.push(item.clone());
            new
        });
    }
    Value::Array(items)
}

fn object(rng: &mut Rng, schema: &Value) -> Value {
    let mut fields = Map::new();
    if schema["x-kubernetes-embedded-resource"] == true {
        let meta = json!({"name": "x", "labels": {"a.b/c": "d"}});
        fields =
            serde_json::from_value(json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta})).unwrap();
    }
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        if required.contains(&name.as_str()) || chance(rng, 60) {
            fields.insert(name.clone(), fitting(rng, field));
        }
    }
    if schema["additionalProperties"].is_object() {
        for _ in 0..rng.u32(0..3) {
            let name = pick(rng, &["a", "b", "c.d/e", "é"]);
            fields.insert(name.to_owned(), fitting(rng, &schema["additionalProperties"]));
        }
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == true && chance(rng, 40) {
        fields.insert("other".to_owned(), anything(rng));
    }
    Value::Object(fields)
}

/// A value of any type.
fn anything(rng: &mut Rng) -> Value {
    match rng.u32(0..18) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(1),
        3 => json!(-1),
        4 => json!(1.5),
        5 => json!(1.0),
        6 => json!(2_147_483_648_u64),
        7 => json!(9_007_199_254_740_993_u64),
        8 => json!(1e40),
        9 => json!([]),
        10 => json!(["a", 1, null]),
        11 => json!({}),
        12 => json!({"a": 1}),
        13 => json!({"a": {"b": null}}),
        14 => json!([{"k": "a"}, {"k": "a"}]),
        15 => json!(0),
        _ => json!(pick(rng, TEXTS)),
    }
}

/// Changes one thing in an object of a definition. `mild`: mostly for something that fits as well.
pub fn mutate(rng: &mut Rng, schema: &Value, object: &mut Value, mild: bool) {
    let mut places = Vec::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        if name != "metadata"
            && let Some(value) = object.get(name)
        {
            gather(field, value, &format!("/{name}"), &mut places);
        }
    }
    if places.is_empty() || chance(rng, 3) {
        let (key, value) = match rng.u32(0..4) {
            0 => ("unknown", anything(rng)),
            1 => ("spec", Value::Null),
            2 => ("status", anything(rng)),
            _ => ("spec", anything(rng)),
        };
        object[key] = value;
        return;
    }
    let at = rng.usize(..places.len());
    let (pointer, schema) = &places[at];
    let value = object.pointer_mut(pointer).unwrap();
    *value = if mild && chance(rng, 70) { fitting(rng, schema) } else { mutated(rng, schema, value) };
}

/// All places in a value, with their schemas.
fn gather<'a>(schema: &'a Value, value: &Value, pointer: &str, places: &mut Vec<(String, &'a Value)>) {
    places.push((pointer.to_owned(), schema));
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let below = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
                if let Some(below) = below {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    gather(below, field, &format!("{pointer}/{name}"), places);
                }
            }
        }
        Value::Array(items) if schema.get("items").is_some() => {
            for (at, item) in items.iter().enumerate() {
                gather(&schema["items"], item, &format!("{pointer}/{at}"), places);
            }
        }
        _ => {}
    }
}

fn mutated(rng: &mut Rng, schema: &Value, value: &Value) -> Value {
    match rng.u32(0..10) {
        0 => return Value::Null,
        1 => return anything(rng),
        2 => return fitting(rng, schema),
        _ => {}
    }
    match value {
        Value::String(_) => json!(other_text(rng, schema)),
        Value::Number(_) => {
            let near = |key: &str| schema[key].as_f64();
            let edge = match rng.u32(0..6) {
                0 | 1 => near("maximum"),
                2 | 3 => near("minimum"),
                _ => None,
            };
            match edge {
                Some(edge) if rng.bool() => json!(edge),
                Some(edge) if rng.bool() => json!(edge + 1.0),
                #[expect(clippy::cast_possible_truncation, reason = "the bounds are small")]
                Some(edge) => json!(edge as i64 - 1),
                None => pick(
                    rng,
                    &[&json!(-1), &json!(0), &json!(7), &json!(0.3), &json!(2.0), &json!(3_000_000_000_u64)],
                )
                .clone(),
            }
        }
        Value::Array(items) => {
            let mut items = items.clone();
            match (rng.u32(0..6), items.first().cloned()) {
                (0, _) => items.clear(),
                (1 | 2, Some(first)) => items.push(first),
                (3, Some(mut first)) if first.is_object() => {
                    first["value"] = anything(rng);
                    items.push(first);
                }
                (4, _) => items.push(Value::Null),
                (5, _) => items.reverse(),
                _ => items.push(fitting(rng, &schema["items"])),
            }
            Value::Array(items)
        }
        Value::Object(fields) => Value::Object(other_fields(rng, schema, fields)),
        _ => anything(rng),
    }
}

fn other_text(rng: &mut Rng, schema: &Value) -> String {
    let of = |table: &'static [(&str, &[&str], &'static [&'static str])], name: &Value| {
        table.iter().find(|entry| name == entry.0).map(|entry| entry.2).filter(|texts| !texts.is_empty())
    };
    let wrong = of(PATTERNS, &schema["pattern"]).or_else(|| of(FORMATS, &schema["format"]));
    match (wrong, rng.u32(0..5)) {
        (Some(wrong), 0..4) => pick(rng, wrong).to_owned(),
        (_, 4) => "long".repeat(8),
        _ => pick(rng, TEXTS).to_owned(),
    }
}

fn other_fields(rng: &mut Rng, schema: &Value, fields: &Map<String, Value>) -> Map<String, Value> {
    let mut fields = fields.clone();
    let names: Vec<String> = fields.keys().cloned().collect();
    let known: Vec<String> =
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    match rng.u32(0..6) {
        0 => {
            fields.insert("unknown".to_owned(), anything(rng));
        }
        1 if schema["x-kubernetes-embedded-resource"] == true => {
            let (key, value) = match rng.u32(0..6) {
                0 => ("apiVersion", json!(pick(rng, &["", "a/b/c", "a/v1"]))),
                1 => ("kind", json!(pick(rng, &["", "1x", "a_b", "Pod"]))),
                2 => ("metadata", json!({"name": pick(rng, &["", "a/b", "A"])})),
                3 => (
                    "metadata",
                    json!({"labels": {pick(rng, &["a", "-a", "a/b/c"]): pick(rng, &["b", "b c"])}}),
                ),
                4 => ("metadata", anything(rng)),
                _ => ("kind", anything(rng)),
            };
            fields.insert(key.to_owned(), value);
        }
        1..4 if !names.is_empty() => {
            fields.remove(&names[rng.usize(..names.len())]);
        }
        _ if !known.is_empty() => {
            let name = &known[rng.usize(..known.len())];
            let value = match rng.u32(0..3) {
                0 => anything(rng),
                _ => fitting(rng, &schema["properties"][name]),
            };
            fields.insert(name.clone(), value);
        }
        _ => {
            fields.insert("z".to_owned(), anything(rng));
        }
    }
    fields
}
