//! An object as admission sees it: with what the API server fills in and leaves out, and with marks where something is
//! made up that nobody knows before ([`UNKNOWN`], and [`MAYBE`] if it may not be there at all) or where there may be more than is written ([`PARTIAL`]).
//!
//! `pkg/apis/*/v1/defaults.go` and `staging/src/k8s.io/api`, v1.36. Held against the API server for random objects by
//! `tests/harness/tests/admission.rs`.

mod kinds;
mod pods;
mod tidy;

use serde_json::{Map, Value, json};

pub use crate::cel::{MAYBE, PARTIAL, UNKNOWN};
use crate::updates::defaulted;

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
    let mut object = object.clone();
    let kind = kinds::of(&object);
    tidy::nulls(&mut object);
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

/// Marks everything but metadata: there may be more of it.
fn partly(object: &mut Value) {
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

/// Puts values in where there are none.
fn put(into: &mut Value, values: &[(&str, Value)]) {
    if into.is_null() {
        *into = Value::Object(Map::new());
    }
    let Some(fields) = into.as_object_mut() else { return };
    for (key, value) in values {
        let field = fields.entry((*key).to_owned()).or_insert(Value::Null);
        if field.is_null() || *field == "" {
            *field = value.clone();
        }
    }
}

fn each(value: &mut Value, list: &str, work: impl FnMut(&mut Value)) {
    value.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().for_each(work);
}

fn present<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    value.get_mut(key).filter(|field| field.is_object())
}

/// An object of which nothing else is known.
pub(crate) fn only(fields: &[(&str, Value)]) -> Value {
    let mut object = json!({PARTIAL: true});
    for (key, value) in fields {
        object[*key] = value.clone();
    }
    object
}
