//! Functions that the `cel` crate lacks, or has otherwise than the server.

use std::sync::Arc;

use kube_cel::cel::extractors::This;
use kube_cel::cel::{Context, ExecutionError, Value as Cel};

use super::{Segment, re2};
use crate::cel::kind;

/// Puts them in the place of those of the `cel` crate.
pub(crate) fn register(context: &mut Context<'_>) {
    context.add_function("size", length);
    context.add_function("matches", matches);
    context.add_function("type", type_of);
    for name in ["int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type"] {
        context.add_variable_from_value(name, type_name(name));
    }
}

/// `fieldPath`: `.a.b['c']`.
pub(super) fn steps(path: &str) -> Vec<Segment> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let (step, tail) = if let Some(quoted) = rest.strip_prefix("['") {
            match quoted.split_once("']") {
                Some((step, tail)) => (step.replace("\\'", "'"), tail),
                None => return Vec::new(),
            }
        } else if let Some(plain) = rest.strip_prefix('.') {
            let (step, tail) = plain.split_at(plain.find(['.', '[']).unwrap_or(plain.len()));
            (step.to_owned(), tail)
        } else {
            return Vec::new();
        };
        steps.push(Segment::Key(step));
        rest = tail;
    }
    steps
}

/// `size`, which counts characters in a string. The `cel` crate counts bytes.
fn length(This(this): This<Cel>) -> Result<i64, ExecutionError> {
    let size = match &this {
        Cel::String(text) => text.chars().count(),
        Cel::Bytes(bytes) => bytes.len(),
        Cel::List(items) => items.len(),
        Cel::Map(map) => map.map.len(),
        _ => return Err(ExecutionError::NoSuchOverload),
    };
    i64::try_from(size).map_err(|_| ExecutionError::NoSuchOverload)
}

/// `matches` with the regular expressions of Go.
fn matches(This(this): This<Arc<String>>, pattern: Arc<String>) -> Result<bool, ExecutionError> {
    let regex = re2::compile(&pattern);
    regex
        .map(|regex| regex.is_match(&this))
        .ok_or_else(|| ExecutionError::function_error("matches", "pattern"))
}

/// `type`, which the `cel` crate does not have. Types are stood for by texts that nobody writes.
fn type_of(This(this): This<Cel>) -> Result<Cel, ExecutionError> {
    let name = match kind(&this) {
        "null_type" | "timestamp" | "duration" | "opaque" => return Err(ExecutionError::NoSuchOverload),
        name => name,
    };
    Ok(type_name(name))
}

fn type_name(name: &str) -> Cel {
    Cel::String(Arc::new(format!("\u{1}type {name}")))
}
