//! Random changes of objects: names and values that the kind may not have, and some that it may.

use fastrand::Rng;
use preflight_core::cluster::{Schema, Schemas};
use serde_json::{Map, Value, json};

/// How deep values of a schema are made.
const DEPTH: usize = 3;
/// Names that no kind has.
const NOWHERE: [&str; 5] = ["foo", "imagee", "x-y", "a.b/c", "$ref"];
/// Fields by which an object is found again; they stay.
const KEPT: [&str; 5] = ["apiVersion", "kind", "metadata", "name", "namespace"];

/// Texts that some types read, and others do not.
const TEXTS: [&str; 40] = [
    "",
    "a",
    "80",
    "true",
    "1Gi",
    " 1Gi ",
    "512MB",
    "1K",
    "1e3",
    "1E",
    "Mi",
    ".",
    "+",
    "1_000",
    "100mi",
    "0.5",
    "-1",
    "1 Gi",
    "ten",
    "1e3Mi",
    "password",
    "admin",
    "hello world",
    "aGk=",
    "aGk",
    "aGVs\nbG8=\n",
    "a-_b",
    "2024-01-01T00:00:00Z",
    "2024-01-01T00:00:00.000000Z",
    "2024-01-01T00:00:00.123456789Z",
    "2024-01-01",
    "2024-13-01T00:00:00Z",
    "2023-02-29T00:00:00Z",
    "2024-01-01T00:00:00+01:00",
    "2024-01-01T00:00:00",
    "2024-01-01T00:00:60Z",
    "2024-01-01t00:00:00z",
    "now",
    "2024-01-01T00:00:00.5Z",
    "9999999999999999999999",
];

fn any_of<T: Clone>(rng: &mut Rng, all: &[T]) -> T {
    all[rng.usize(..all.len())].clone()
}

/// A value of whatever type.
fn odd(rng: &mut Rng) -> Value {
    match rng.u8(..12) {
        0..=3 => any_of(rng, &TEXTS).into(),
        4 => any_of(rng, &[0_i64, 1, -1, 80, 255, 256, 65_536, i64::MAX, i64::MIN]).into(),
        5 => any_of(rng, &[2_147_483_647_i64, 2_147_483_648, -2_147_483_649, 4_294_967_299]).into(),
        6 => any_of(rng, &[0.5, 1.5, -0.25, 1e-7, 80.5]).into(),
        7 => rng.bool().into(),
        8 => any_of(rng, &[json!([]), json!(["a"]), json!([1]), json!([{}]), json!([null]), json!([1.5])]),
        9 => any_of(
            rng,
            &[json!({}), json!({"a": "b"}), json!({"a": 1}), json!({"foo": null}), json!({"type": 1})],
        ),
        10 => any_of(rng, &[json!(9_223_372_036_854_775_808_u64), json!(u64::MAX), json!(3_000_000_000_u64)]),
        _ => Value::Null,
    }
}

/// A value that fits, mostly.
fn fitting(rng: &mut Rng, schemas: &Schemas, schema: &Schema, depth: usize) -> Value {
    if rng.u8(..12) == 0 {
        return odd(rng);
    }
    let Some((name, schema)) = schemas.resolve(schema) else { return odd(rng) };
    let named = |end: &str| name.is_some_and(|name| name.ends_with(end));
    if named(".Quantity") || named(".IntOrString") || named(".Time") || named(".MicroTime") {
        return if rng.u8(..3) == 0 { odd(rng) } else { any_of(rng, &TEXTS).into() };
    }
    match (schema.kind.as_deref(), schema.format.as_deref()) {
        (Some("string"), _) => any_of(rng, &TEXTS).into(),
        (Some("boolean"), _) => rng.bool().into(),
        (Some("integer"), Some("int64")) => rng.i64(..).into(),
        (Some("integer"), _) => rng.i32(..).into(),
        (Some("number"), _) => rng.f64().into(),
        (Some("array"), _) => {
            let item = |rng: &mut Rng| match (&schema.items, depth) {
                (Some(items), 1..) => fitting(rng, schemas, items, depth - 1),
                _ => odd(rng),
            };
            (0..rng.usize(..3)).map(|_| item(rng)).collect()
        }
        (Some("object"), _) => {
            let mut map = Map::new();
            for _ in 0..rng.usize(..3) {
                match (&schema.additional_properties, depth) {
                    (_, 0) => {}
                    (Some(values), _) => {
                        map.insert(
                            any_of(rng, &["a", "b.c/d"]).to_owned(),
                            fitting(rng, schemas, values, depth - 1),
                        );
                    }
                    (None, _) => add_field(rng, schemas, schema, &mut map, depth - 1),
                }
            }
            map.into()
        }
        _ => odd(rng),
    }
}

fn add_field(rng: &mut Rng, schemas: &Schemas, schema: &Schema, map: &mut Map<String, Value>, depth: usize) {
    let known: Vec<_> = schema.properties.iter().filter(|(key, _)| !KEPT.contains(&key.as_str())).collect();
    if known.is_empty() {
        return;
    }
    let (key, below) = any_of(rng, &known);
    map.insert(key.clone(), fitting(rng, schemas, below, depth));
}

/// Changes something, somewhere.
pub fn change(rng: &mut Rng, schemas: &Schemas, schema: Option<&Schema>, value: &mut Value, depth: usize) {
    let own = schema.and_then(|schema| schemas.resolve(schema)).map(|(_, schema)| schema);
    match value {
        Value::Object(map) if depth == 0 || rng.u8(..14) > 0 => match rng.u8(..14) {
            0 => {
                map.insert(any_of(rng, &NOWHERE).to_owned(), odd(rng));
            }
            1 => rename(rng, map, depth),
            2..=4 => match own {
                Some(own) => match &own.additional_properties {
                    Some(values) => {
                        map.insert("k".to_owned(), fitting(rng, schemas, values, DEPTH));
                    }
                    None => add_field(rng, schemas, own, map, DEPTH),
                },
                None => {
                    map.insert("foo".to_owned(), odd(rng));
                }
            },
            _ => {
                let keys: Vec<_> =
                    map.keys().filter(|key| depth > 1 || !is_kept(key, depth)).cloned().collect();
                let Some(key) = rng.choice(&keys) else {
                    map.insert("foo".to_owned(), odd(rng));
                    return;
                };
                let below =
                    own.and_then(|own| own.properties.get(key).or(own.additional_properties.as_deref()));
                change(rng, schemas, below, &mut map[key], depth + 1);
            }
        },
        Value::Array(items) if !items.is_empty() && rng.u8(..8) > 0 => {
            let below = own.and_then(|own| own.items.as_deref());
            if rng.u8(..10) == 0 {
                let twin = any_of(rng, items);
                items.push(if rng.bool() { odd(rng) } else { twin });
                return;
            }
            let at = rng.usize(..items.len());
            change(rng, schemas, below, &mut items[at], depth + 1);
        }
        _ => *value = odd(rng),
    }
}

/// At the top, `metadata` may be gone into; what it says of the name stays.
fn is_kept(key: &str, depth: usize) -> bool {
    match depth {
        0 => key == "apiVersion" || key == "kind",
        _ => key == "name" || key == "namespace",
    }
}

/// Writes a name in other letters.
fn rename(rng: &mut Rng, map: &mut Map<String, Value>, depth: usize) {
    let keys: Vec<_> = map.keys().filter(|key| depth > 1 || !KEPT.contains(&key.as_str())).cloned().collect();
    let Some(key) = rng.choice(&keys) else { return };
    let Some(value) = map.remove(key) else { return };
    let other = match rng.u8(..3) {
        0 => key.to_uppercase(),
        1 => key.to_lowercase(),
        _ => format!("{key}s"),
    };
    map.insert(other, value);
}
