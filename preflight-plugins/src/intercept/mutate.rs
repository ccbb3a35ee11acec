//! What MutatingAdmissionPolicies make of an object.
//!
//! `staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/mutating/`, v1.36.

use serde_json::Value;

use super::evaluate::{Compiled, Seen, applies};
use super::matching::Matched;
use super::policies::Pair;
use super::requests::Request;
use crate::cel::{MAYBE, PARTIAL, Stop, UNKNOWN, json};

/// What came of a policy.
#[derive(Debug, PartialEq)]
pub(crate) enum Mutated {
    /// The object stays as it is.
    No,
    /// It becomes this one.
    Into(Value),
    /// The request is refused.
    Refused(String),
    /// What becomes of it is not known, and why.
    Unknown(String),
}

/// What a policy makes of the object of a request.
pub(crate) fn mutate(pair: &Pair, compiled: &Compiled, request: &Request<'_>, seen: &Seen<'_>) -> Mutated {
    match applies(pair, request, seen.parameters) {
        Matched::No => return Mutated::No,
        Matched::Unsure(why) => return Mutated::Unknown(why),
        Matched::Yes => {}
    }
    let mut object = request.object.clone();
    for (mutation, expression) in pair.policy.mutations.iter().zip(&compiled.mutations) {
        let changed = Request { object: object.clone(), ..request.clone() };
        let made = compiled.world(&changed, seen).evaluate(&[expression]).remove(0);
        let made = match made {
            Ok(made) => json(&made),
            Err(Stop::Error(_)) if pair.policy.ignores_failures() => continue,
            Err(Stop::Error(why)) => return Mutated::Refused(why),
            Err(Stop::Unknown(why)) => return Mutated::Unknown(why),
        };
        let Some(made) = made.filter(|made| !is_marked(made)) else {
            return Mutated::Unknown("it makes something that is not understood".to_owned());
        };
        let next = match mutation.patch_type.as_str() {
            "JSONPatch" => patched(object.clone(), &made),
            "ApplyConfiguration" => applied(&object, &made, ""),
            _ => Err(Stop::Unknown("its kind of patch is not known".to_owned())),
        };
        match next {
            Ok(next) => object = next,
            Err(Stop::Error(_)) if pair.policy.ignores_failures() => {}
            Err(Stop::Error(why)) => return Mutated::Refused(why),
            Err(Stop::Unknown(why)) => return Mutated::Unknown(why),
        }
    }
    if object == request.object { Mutated::No } else { Mutated::Into(object) }
}

/// Lists whose items are merged, and by what. What is there stays first.
const MERGED: [(&str, &[&str]); 8] = [
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("volumes", &["name"]),
    ("env", &["name"]),
    ("ports", &["containerPort", "protocol"]),
    ("volumeMounts", &["mountPath"]),
    ("volumeDevices", &["devicePath"]),
    ("ephemeralContainers", &["name"]),
];
/// Maps that are merged by their keys, and that are not atomic.
const OPEN: [&str; 7] = ["labels", "annotations", "limits", "requests", "data", "matchLabels", "emptyDir"];

/// An applied configuration. Other lists, and maps that are one value, may not be touched, or are merged otherwise.
fn applied(object: &Value, made: &Value, above: &str) -> Result<Value, Stop> {
    let odd = || Stop::Unknown("it applies something that is not understood".to_owned());
    match (object, made) {
        (Value::Object(fields), Value::Object(made)) => {
            if above == "nodeSelector" {
                return Err(odd());
            }
            let mut fields = fields.clone();
            for (key, value) in made {
                let merged = match fields.get(key) {
                    Some(own) if OPEN.contains(&above) && !own.is_object() => value.clone(),
                    Some(own) => applied(own, value, key)?,
                    None => applied(&Value::Null, value, key)?,
                };
                fields.insert(key.clone(), merged);
            }
            Ok(Value::Object(fields))
        }
        (Value::Null, Value::Object(_)) => applied(&Value::Object(serde_json::Map::new()), made, above),
        (own, Value::Array(made)) => {
            let (_, keys) = MERGED.iter().find(|(name, _)| *name == above).ok_or_else(odd)?;
            let mut items = own.as_array().cloned().unwrap_or_default();
            for item in made {
                let same = |own: &Value| {
                    keys.iter().all(|key| {
                        own.get(*key).unwrap_or(&Value::Null) == item.get(*key).unwrap_or(&Value::Null)
                    })
                };
                match items.iter().position(same) {
                    Some(at) => {
                        let merged = applied(&items[at], item, "")?;
                        items[at] = merged;
                    }
                    None => items.push(item.clone()),
                }
            }
            Ok(Value::Array(items))
        }
        (_, made) => Ok(made.clone()),
    }
}

fn is_marked(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.contains_key(PARTIAL) || fields.values().any(is_marked),
        Value::Array(items) => items.iter().any(is_marked),
        Value::String(text) => text == UNKNOWN || text == MAYBE,
        _ => false,
    }
}

/// A JSON Patch (RFC 6902).
fn patched(mut object: Value, patch: &Value) -> Result<Value, Stop> {
    let whole = object.clone();
    for operation in patch.as_array().into_iter().flatten() {
        let path = pointer(&operation["path"]);
        if counts_back(&path) || counts_back(&pointer(&operation["from"])) {
            return Err(Stop::Unknown("its patch counts from the end of a list".to_owned()));
        }
        let value = operation["value"].clone();
        match operation["op"].as_str().unwrap_or_default() {
            "add" => add(&mut object, &path, value)?,
            "remove" => drop(remove(&mut object, &path)?),
            "replace" => {
                // Of a map, what is not there is added.
                if parent(&mut object, path.split_last().map_or(&[][..], |(_, above)| above))?.is_array() {
                    remove(&mut object, &path)?;
                }
                add(&mut object, &path, value)?;
            }
            "test" if find(&object, &path)? == value => {}
            // The patch is left out then.
            "test" => return Ok(whole),
            "copy" => {
                let value = find(&object, &pointer(&operation["from"]))?;
                add(&mut object, &path, value)?;
            }
            "move" => {
                let value = remove(&mut object, &pointer(&operation["from"]))?;
                add(&mut object, &path, value)?;
            }
            _ => return Err(Stop::Unknown("its patch has an operation that is not known".to_owned())),
        }
    }
    Ok(object)
}

/// Whether a step counts from the end of a list, which is understood there and not here.
fn counts_back(path: &[String]) -> bool {
    path.iter().any(|step| step.len() > 1 && step.starts_with('-') && step[1..].parse::<u32>().is_ok())
}

/// A JSON Pointer (RFC 6901) by its steps.
fn pointer(path: &Value) -> Vec<String> {
    let steps = path.as_str().unwrap_or_default().split('/').skip(1);
    steps.map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
}

/// What is not there may be there all the same.
fn absent(whole: &Value) -> Stop {
    let unknown = whole.get(PARTIAL).is_some() || *whole == *UNKNOWN;
    if unknown {
        Stop::Unknown("its patch goes to what is not known".to_owned())
    } else {
        Stop::Error("its patch goes to what is not there".to_owned())
    }
}

fn parent<'a>(object: &'a mut Value, path: &[String]) -> Result<&'a mut Value, Stop> {
    path.iter().try_fold(object, |at, step| match at {
        Value::Array(items) => {
            let place = step.parse::<usize>().ok().filter(|place| *place < items.len());
            let item = place.and_then(|place| items.get_mut(place));
            item.ok_or_else(|| Stop::Error("its patch goes to what is not there".to_owned()))
        }
        other => {
            let why = absent(other);
            other.get_mut(step).ok_or(why)
        }
    })
}

fn find(object: &Value, path: &[String]) -> Result<Value, Stop> {
    let mut object = object.clone();
    let found = parent(&mut object, path)?.clone();
    if is_marked(&found) {
        Err(Stop::Unknown("its patch copies what is not known".to_owned()))
    } else {
        Ok(found)
    }
}

fn add(object: &mut Value, path: &[String], value: Value) -> Result<(), Stop> {
    let Some((last, above)) = path.split_last() else {
        *object = value;
        return Ok(());
    };
    match parent(object, above)? {
        Value::Object(fields) => {
            fields.insert(last.clone(), value);
            Ok(())
        }
        Value::Array(items) if last == "-" => {
            items.push(value);
            Ok(())
        }
        Value::Array(items) => match last.parse::<usize>() {
            Ok(place) if place <= items.len() => {
                items.insert(place, value);
                Ok(())
            }
            _ => Err(Stop::Error("its patch goes to what is not there".to_owned())),
        },
        other => Err(absent(other)),
    }
}

fn remove(object: &mut Value, path: &[String]) -> Result<Value, Stop> {
    let Some((last, above)) = path.split_last() else { return Ok(std::mem::take(object)) };
    let whole = parent(object, above)?;
    let why = absent(whole);
    let removed = match whole {
        Value::Object(fields) => fields.remove(last),
        Value::Array(items) => {
            let place = last.parse::<usize>().ok().filter(|place| *place < items.len());
            place.map(|place| items.remove(place))
        }
        _ => None,
    };
    removed.ok_or(why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patches_change_what_is_there_and_say_what_is_not() {
        let object = json!({"a": {"b": [1, 2]}, "open": {PARTIAL: true}});
        let with = |patch: Value| patched(object.clone(), &patch);
        let added = with(
            json!([{"op": "add", "path": "/a/b/-", "value": 3}, {"op": "add", "path": "/a/c~1d", "value": 4}]),
        );
        assert_eq!(added, Ok(json!({"a": {"b": [1, 2, 3], "c/d": 4}, "open": {PARTIAL: true}})));
        let replaced = with(
            json!([{"op": "replace", "path": "/a/b/0", "value": 7}, {"op": "remove", "path": "/a/b/1"}]),
        );
        assert_eq!(replaced, Ok(json!({"a": {"b": [7]}, "open": {PARTIAL: true}})));
        let moved = with(
            json!([{"op": "test", "path": "/a/b/1", "value": 2}, {"op": "move", "from": "/a/b", "path": "/c"}]),
        );
        assert_eq!(moved, Ok(json!({"a": {}, "c": [1, 2], "open": {PARTIAL: true}})));
        let left_out =
            with(json!([{"op": "test", "path": "/a/b/0", "value": 9}, {"op": "remove", "path": "/a"}]));
        assert_eq!(left_out, Ok(object.clone()));
        for (patch, unknown) in [
            (json!([{"op": "remove", "path": "/a/gone"}]), false),
            (json!([{"op": "add", "path": "/gone/b", "value": 1}]), false),
            (json!([{"op": "add", "path": "/a/b/9", "value": 1}]), false),
            (json!([{"op": "remove", "path": "/a/b/-1"}]), true),
            (json!([{"op": "remove", "path": "/open/b"}]), true),
        ] {
            assert_eq!(matches!(with(patch.clone()), Err(Stop::Unknown(_))), unknown, "{patch}");
            assert!(with(patch.clone()).is_err(), "{patch}");
        }
    }
}
