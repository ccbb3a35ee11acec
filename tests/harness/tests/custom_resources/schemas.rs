//! Random structural schemas.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::samples::{
    FORMATS, OF_EITHER, OF_INTEGER, OF_INTEGERS, OF_LIST, OF_MAP, OF_NUMBER, OF_OBJECT, OF_TEXT, OF_TEXTS,
    OPTIONAL, PATTERNS, TEXTS,
};
use super::values;

/// Names of fields. Some are escaped in rules.
const NAMES: &[&str] = &["a", "b", "count", "mode", "my-name", "namespace", "x_y", "a.b", "size", "value"];

/// Whether something happens that happens so often, in a hundred times.
pub fn chance(rng: &mut Rng, percent: u32) -> bool {
    rng.u32(0..100) < percent
}

/// One of these.
pub fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

/// A definition with a random schema.
pub fn definition(rng: &mut Rng, group: &str, at: usize) -> Value {
    let mut spec = object(rng, 0);
    // A spec that is neither a map nor a resource makes for more cases.
    while spec.get("properties").is_none() {
        spec = object(rng, 0);
    }
    let mut root = json!({"type": "object", "properties": {"spec": spec}});
    if chance(rng, 40) {
        root["required"] = json!(["spec"]);
    }
    if chance(rng, 30) {
        root["properties"]["data"] = schema(rng, 1);
    }
    let mut version = json!({"name": "v1", "served": true, "storage": true});
    if chance(rng, 30) {
        root["properties"]["status"] = object(rng, 2);
        if chance(rng, 60) {
            version["subresources"] = json!({"status": {}});
        }
    }
    if chance(rng, 15) {
        root["properties"]["metadata"] = json!({"type": "object", "properties": {"name": {
            "type": "string", "pattern": "^[a-z0-9-]*[0-8]$"}}});
    }
    if chance(rng, 20) {
        let rule = pick(
            rng,
            &[
                "self.metadata.name.size() < 7",
                "has(self.spec)",
                "!has(self.spec) || self.metadata.name != ''",
            ],
        );
        root["x-kubernetes-validations"] = json!([{"rule": rule}]);
    }
    without_lost(&mut root, true);
    version["schema"] = json!({"openAPIV3Schema": root});
    let plural = format!("kind{at}s");
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": pick(rng, &["Namespaced", "Cluster"]), "versions": [version],
            "names": {"plural": plural, "singular": format!("kind{at}"), "kind": format!("Kind{at}")},
        },
    })
}

/// Drops the rules about old values where there are none: in items of lists that are no maps.
fn without_lost(schema: &mut Value, correlated: bool) {
    let Some(schema) = schema.as_object_mut() else { return };
    let rules = schema.get("x-kubernetes-validations");
    if !correlated && rules.is_some_and(|rules| rules.to_string().contains("oldSelf")) {
        schema.remove("x-kubernetes-validations");
    }
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
    for field in fields.into_iter().flat_map(|fields| fields.values_mut()) {
        without_lost(field, correlated);
    }
    let keyed = schema.get("x-kubernetes-list-type").is_some_and(|kind| kind == "map");
    for (key, correlated) in [("items", correlated && keyed), ("additionalProperties", correlated)] {
        if let Some(below) = schema.get_mut(key).filter(|below| below.is_object()) {
            without_lost(below, correlated);
        }
    }
}

/// The schema of any value.
fn schema(rng: &mut Rng, depth: usize) -> Value {
    let deep = depth < 3;
    let mut schema = match rng.u32(0..100) {
        0..20 => text(rng),
        20..36 => integer(rng),
        36..42 => number(rng),
        42..47 => json!({"type": "boolean"}),
        47..55 => either(rng),
        55..59 => json!({"x-kubernetes-preserve-unknown-fields": true}),
        59..78 if deep => list(rng, depth),
        78..100 if deep => object(rng, depth + 1),
        _ => text(rng),
    };
    if chance(rng, 15) {
        schema["nullable"] = json!(true);
    }
    if chance(rng, 20) {
        alternatives(rng, &mut schema);
    }
    if chance(rng, 15) {
        schema["default"] = values::fitting(rng, &schema);
    }
    if chance(rng, 6) && schema.get("type").is_some() {
        let rule = json!({"rule": pick(rng, OPTIONAL), "optionalOldSelf": true});
        schema["x-kubernetes-validations"] = json!([rule]);
    }
    schema
}

fn rules(rng: &mut Rng, schema: &mut Value, percent: u32, of: &[&str]) {
    if !chance(rng, percent) {
        return;
    }
    let mut rule = json!({"rule": pick(rng, of)});
    match rng.u32(0..8) {
        0 => rule["message"] = json!("is not what it should be"),
        1 => rule["messageExpression"] = json!("'is not ' + 'right'"),
        2 => rule["reason"] = json!("FieldValueForbidden"),
        _ => {}
    }
    schema["x-kubernetes-validations"] = json!([rule]);
}

fn text(rng: &mut Rng) -> Value {
    let mut schema = json!({"type": "string"});
    match rng.u32(0..10) {
        0..3 => schema["pattern"] = json!(pick(rng, PATTERNS).0),
        3..6 => schema["format"] = json!(pick(rng, FORMATS).0),
        6 => schema["enum"] = some_of(rng, &[json!("a"), json!("b"), json!("A"), json!("")]),
        7 => schema["minLength"] = json!(rng.u32(1..3)),
        _ => {}
    }
    if schema.get("format").is_none() && chance(rng, 90) {
        schema["maxLength"] = json!(pick(rng, &[2, 3, 10, 20]));
        rules(rng, &mut schema, 20, OF_TEXT);
    }
    schema
}

fn integer(rng: &mut Rng) -> Value {
    let mut schema = json!({"type": "integer"});
    bounds(rng, &mut schema, &[json!(0), json!(1), json!(2)], &[json!(3), json!(5), json!(6)]);
    match rng.u32(0..10) {
        0..2 => schema["format"] = json!(pick(rng, &["int32", "int64"])),
        2 => schema["multipleOf"] = json!(pick(rng, &[2, 3])),
        3 => schema["enum"] = some_of(rng, &[json!(1), json!(2), json!(5)]),
        _ => {}
    }
    rules(rng, &mut schema, 20, OF_INTEGER);
    schema
}

fn number(rng: &mut Rng) -> Value {
    let mut schema = json!({"type": "number"});
    bounds(rng, &mut schema, &[json!(0), json!(0.5), json!(1)], &[json!(2.5), json!(5), json!(3.1)]);
    match rng.u32(0..10) {
        0..2 => schema["format"] = json!(pick(rng, &["float", "double"])),
        2 => schema["multipleOf"] = json!(pick(rng, &[0.5, 0.1])),
        3 => schema["enum"] = some_of(rng, &[json!(1), json!(1.5), json!(2.5)]),
        _ => {}
    }
    rules(rng, &mut schema, 20, OF_NUMBER);
    schema
}

fn bounds(rng: &mut Rng, schema: &mut Value, least: &[Value], most: &[Value]) {
    if chance(rng, 40) {
        schema["minimum"] = least[rng.usize(..least.len())].clone();
        if chance(rng, 25) {
            schema["exclusiveMinimum"] = json!(true);
        }
    }
    if chance(rng, 40) {
        schema["maximum"] = most[rng.usize(..most.len())].clone();
        if chance(rng, 25) {
            schema["exclusiveMaximum"] = json!(true);
        }
    }
}

fn either(rng: &mut Rng) -> Value {
    let mut schema = json!({"x-kubernetes-int-or-string": true});
    if chance(rng, 40) {
        schema["anyOf"] = json!([{"type": "integer"}, {"type": "string"}]);
    }
    match rng.u32(0..5) {
        0 => schema["pattern"] = json!("^[0-9]+%?$"),
        1 => schema["maximum"] = json!(5),
        2 => schema["maxLength"] = json!(3),
        _ => {}
    }
    rules(rng, &mut schema, 15, OF_EITHER);
    schema
}

fn list(rng: &mut Rng, depth: usize) -> Value {
    let mut schema = json!({"type": "array", "maxItems": pick(rng, &[2, 3, 4])});
    if chance(rng, 30) {
        schema["minItems"] = json!(rng.u32(1..3));
    }
    match rng.u32(0..10) {
        0..3 => {
            schema["x-kubernetes-list-type"] = json!("set");
            let mut items = if chance(rng, 70) { text(rng) } else { integer(rng) };
            if chance(rng, 15) {
                items = json!({"type": "object", "x-kubernetes-map-type": "atomic", "properties": {
                    "a": {"type": "string", "maxLength": 5}, "b": {"type": "integer"}}});
            }
            schema["items"] = items;
        }
        3..6 => {
            schema["x-kubernetes-list-type"] = json!("map");
            schema["x-kubernetes-list-map-keys"] = json!(["k"]);
            let mut items = json!({"type": "object", "properties": {
                "k": {"type": "string", "maxLength": 5}, "value": self::schema(rng, depth + 1)}});
            if chance(rng, 20) {
                items["properties"]["k"]["default"] = json!("d");
            } else {
                items["required"] = json!(["k"]);
            }
            if chance(rng, 25) {
                schema["x-kubernetes-list-map-keys"] = json!(["k", "n"]);
                items["properties"]["n"] = json!({"type": "integer", "default": 1});
            }
            of_fields(rng, &mut items, 20);
            schema["items"] = items;
        }
        _ => {
            schema["items"] = self::schema(rng, depth + 1);
            if chance(rng, 30) {
                schema["x-kubernetes-list-type"] = json!("atomic");
            }
        }
    }
    let of = if schema["items"]["type"] == "string" && chance(rng, 60) { OF_TEXTS } else { OF_LIST };
    rules(rng, &mut schema, 20, of);
    schema
}

fn object(rng: &mut Rng, depth: usize) -> Value {
    let mut schema = json!({"type": "object"});
    if depth > 0 && chance(rng, 20) {
        schema["additionalProperties"] = self::schema(rng, depth + 1);
        schema["maxProperties"] = json!(pick(rng, &[2, 3]));
        if chance(rng, 20) {
            schema["minProperties"] = json!(1);
        }
        rules(rng, &mut schema, 25, OF_MAP);
        return schema;
    }
    let mut fields = Map::new();
    for _ in 0..if depth == 0 { rng.u32(4..8) } else { rng.u32(1..4) } {
        fields.insert(pick(rng, NAMES).to_owned(), self::schema(rng, depth + 1));
    }
    let names: Vec<String> = fields.keys().cloned().collect();
    schema["properties"] = Value::Object(fields);
    if chance(rng, 40) {
        schema["required"] = some_of(rng, &names.iter().map(|name| json!(name)).collect::<Vec<_>>());
    }
    if chance(rng, 10) {
        schema["x-kubernetes-preserve-unknown-fields"] = json!(true);
    }
    if depth > 0 && chance(rng, 10) {
        schema["x-kubernetes-embedded-resource"] = json!(true);
    }
    if chance(rng, 8) {
        schema["x-kubernetes-map-type"] = json!("atomic");
    }
    if chance(rng, 10) {
        schema[pick(rng, &["minProperties", "maxProperties"])] = json!(rng.u32(1..3));
    }
    of_fields(rng, &mut schema, 30);
    schema
}

/// Rules about the fields of an object.
fn of_fields(rng: &mut Rng, schema: &mut Value, percent: u32) {
    if !chance(rng, percent) {
        return;
    }
    let fields = schema["properties"].as_object().unwrap();
    let whole: Vec<&String> =
        fields.iter().filter(|(_, field)| field["type"] == "integer").map(|(name, _)| name).collect();
    let all: Vec<&String> = fields.keys().collect();
    let (names, of) =
        if whole.is_empty() || chance(rng, 50) { (all, OF_OBJECT) } else { (whole, OF_INTEGERS) };
    let (one, two) = (escaped(names[rng.usize(..names.len())]), escaped(names[rng.usize(..names.len())]));
    let rule = pick(rng, of).replace("$a", &one).replace("$b", &two);
    schema["x-kubernetes-validations"] = json!([{"rule": rule}]);
}

/// A field as rules call it.
fn escaped(name: &str) -> String {
    match name {
        "namespace" => "__namespace__".to_owned(),
        name => name.replace('-', "__dash__").replace('.', "__dot__"),
    }
}

/// Some of these, but not none.
fn some_of(rng: &mut Rng, all: &[Value]) -> Value {
    let mut some: Vec<Value> = all.iter().filter(|_| rng.bool()).cloned().collect();
    if some.is_empty() {
        some.push(all[rng.usize(..all.len())].clone());
    }
    Value::Array(some)
}

/// Adds `allOf`, `anyOf`, `oneOf` or `not`.
fn alternatives(rng: &mut Rng, schema: &mut Value) {
    if schema.get("x-kubernetes-int-or-string").is_some() {
        return;
    }
    let kind = pick(rng, &["allOf", "anyOf", "oneOf", "not"]);
    schema[kind] = if kind == "not" {
        narrower(rng, &schema.clone())
    } else {
        let outer = schema.clone();
        (0..rng.u32(1..4)).map(|_| narrower(rng, &outer)).collect()
    };
}

/// What else may be asked of a value of a schema.
fn narrower(rng: &mut Rng, schema: &Value) -> Value {
    match schema["type"].as_str().unwrap_or_default() {
        "string" => match rng.u32(0..4) {
            0 => json!({"pattern": pick(rng, PATTERNS).0}),
            1 => json!({"enum": [pick(rng, TEXTS), pick(rng, TEXTS)]}),
            2 => json!({"minLength": rng.u32(1..3)}),
            _ => json!({"format": pick(rng, FORMATS).0}),
        },
        "integer" | "number" => match rng.u32(0..4) {
            0 => json!({"minimum": rng.u32(0..4)}),
            1 => json!({"maximum": rng.u32(1..6), "exclusiveMaximum": true}),
            2 => json!({"multipleOf": 2}),
            _ => json!({"enum": [rng.u32(0..4), 5]}),
        },
        "array" => match rng.u32(0..3) {
            0 => json!({"minItems": rng.u32(0..3)}),
            1 => json!({"items": narrower(rng, &schema["items"])}),
            _ => json!({"maxItems": rng.u32(0..3)}),
        },
        "object" => {
            let Some(fields) = schema["properties"].as_object() else {
                return json!({"minProperties": rng.u32(0..3)});
            };
            let names: Vec<&String> = fields.keys().collect();
            let name = pick(rng, &names);
            match rng.u32(0..3) {
                0 => json!({"required": [name]}),
                1 => json!({"properties": {name: narrower(rng, &fields[name])}}),
                _ => json!({"required": [name], "properties": {name: narrower(rng, &fields[name])}}),
            }
        }
        _ => json!({"enum": [true, 1, "a"]}),
    }
}
