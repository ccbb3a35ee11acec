//! An object as admission sees it: with what the API server fills in and leaves out, and with marks where something is
//! made up that nobody knows before ([`UNKNOWN`], and [`MAYBE`] if it may not be there at all) or where there may be more than is written ([`PARTIAL`]).
//!
//! `pkg/apis/*/v1/defaults.go` and `staging/src/k8s.io/api`, v1.36. Held against the API server for random objects by
//! `tests/harness/tests/admission.rs`.

mod kinds;
mod pods;
mod tidy;

use serde_json::{Value, json};

pub use crate::cel::{MAYBE, PARTIAL, UNKNOWN};
use crate::updates::patch::{is_built_in, without_nulls};
use crate::updates::{defaulted, each, present, put};

/// What is known of the namespace that an object goes to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings {
    /// Whether a LimitRange may write requests and limits into pods.
    pub limit_range: bool,
}

/// The object as it is when it is created and policies look at it.
#[must_use]
pub fn created(object: &Value, surroundings: Surroundings) -> Value {
    let written = object;
    let mut object = completed(written, surroundings);
    let metadata = &mut object["metadata"];
    for made_up in ["uid", "creationTimestamp", "managedFields"] {
        metadata[made_up] = UNKNOWN.into();
    }
    if metadata["name"].is_null() {
        metadata["name"] = UNKNOWN.into();
    }
    kinds::on_creation(&mut object, written);
    object
}

/// The object as it is when it replaces another.
#[must_use]
pub fn updated(object: &Value, surroundings: Surroundings) -> Value {
    let mut object = completed(object, surroundings);
    let metadata = &mut object["metadata"];
    for made_up in ["generation", "managedFields", "resourceVersion"] {
        metadata[made_up] = UNKNOWN.into();
    }
    kinds::on_update(&mut object);
    object
}

/// The object with everything that is filled in and left out whatever is done with it.
fn completed(object: &Value, surroundings: Surroundings) -> Value {
    let mut object = without_nulls(object.clone());
    let kind = kinds::of(&object);
    if kind == kinds::Known::Whole {
        tidy::quantities(&mut object);
        object = defaulted(object);
        kinds::fill(&mut object);
        tidy::leave_out(&mut object);
        if object["kind"] == "Pod" {
            pods::admitted(&mut object, surroundings);
        }
    } else {
        partly(&mut object);
    }
    object
}

/// Where an object is otherwise than it was expected to be: paths of fields, with what was expected and what is there.
/// What is marked agrees with everything.
#[must_use]
pub fn differences(expected: &Value, actual: &Value) -> Vec<String> {
    let mut all = Vec::new();
    differ(expected, actual, "", &mut all);
    all
}

fn differ(expected: &Value, actual: &Value, path: &str, all: &mut Vec<String>) {
    match (expected, actual) {
        (Value::String(text), _) if text == UNKNOWN || text == MAYBE => {}
        (Value::Object(expected), Value::Object(actual)) => {
            for (key, own) in expected.iter().filter(|(key, _)| *key != PARTIAL) {
                match actual.get(key) {
                    Some(their) => differ(own, their, &format!("{path}.{key}"), all),
                    // Of an empty object there is nothing to manage.
                    None if *own == *MAYBE || key == "managedFields" => {}
                    None => all.push(format!("{path}.{key} is not there")),
                }
            }
            if !expected.contains_key(PARTIAL) {
                let more = actual.keys().filter(|key| !expected.contains_key(*key));
                all.extend(more.map(|key| format!("{path}.{key} is there")));
            }
        }
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            for (at, (own, their)) in expected.iter().zip(actual).enumerate() {
                differ(own, their, &format!("{path}[{at}]"), all);
            }
        }
        _ if expected == actual => {}
        _ => all.push(format!("{path} is otherwise")),
    }
}

/// The object without what is marked: fields that nobody knows, and items of lists that have such.
pub(crate) fn without_marks(value: &Value) -> Value {
    let is_mark = |value: &Value| *value == *UNKNOWN || *value == *MAYBE;
    match value {
        Value::Object(fields) => {
            let known = fields.iter().filter(|(key, value)| *key != PARTIAL && !is_mark(value));
            Value::Object(known.map(|(key, value)| (key.clone(), without_marks(value))).collect())
        }
        Value::Array(items) => {
            // What has no name that is known is no container and no volume of the manifest.
            let known = items.iter().filter(|item| !is_mark(item) && !item.get("name").is_some_and(is_mark));
            Value::Array(known.map(without_marks).collect())
        }
        other => other.clone(),
    }
}

/// Marks everything but metadata: there may be more of it.
fn partly(object: &mut Value) {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    if is_built_in(group) {
        tidy::quantities(object);
        tidy::doubt_empty(object);
    }
    let Some(fields) = object.as_object_mut() else { return };
    for (key, value) in fields.iter_mut() {
        if !["apiVersion", "kind", "metadata"].contains(&key.as_str()) {
            mark(value);
        }
    }
    fields.insert(PARTIAL.to_owned(), Value::Bool(true));
}

/// Marks a value, and all that is in it.
pub(crate) fn mark(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(mark);
            fields.insert(PARTIAL.to_owned(), Value::Bool(true));
        }
        Value::Array(items) => items.iter_mut().for_each(mark),
        _ => {}
    }
}

/// An object of which nothing else is known.
pub(crate) fn only(fields: &[(&str, Value)]) -> Value {
    let mut object = json!({PARTIAL: true});
    for (key, value) in fields {
        object[*key] = value.clone();
    }
    object
}
