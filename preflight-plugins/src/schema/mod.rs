//! Whether an API server accepts a custom resource, told from the schema of its CRD.
//!
//! The steps and their order are those of kube-apiserver v1.36: fields that the schema does not know are pruned
//! (`staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go`), defaults are filled in,
//! then values, embedded resources and list types are validated, and at last the CEL rules, if nothing else was found
//! (`pkg/registry/customresource/strategy.go`, same repository).
//!
//! What cannot be told is `undecided`, and never counts as accepted.
//!
//! The object has to be what would be stored: merged with what is live, and without `status` if the version has that
//! subresource. `live` has to be in the same version.

mod addresses;
mod alternatives;
mod cel;
pub(crate) mod celfns;
pub(crate) mod celscan;
mod celvalue;
mod defaults;
mod embedded;
mod formats;
mod lists;
mod numbers;
mod prune;
mod re2;
mod types;
mod values;

use serde_json::Value;

/// One step of a path into an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// A field, or a key of a map.
    Key(String),
    /// An item of a list.
    Index(usize),
}

/// What kind of rule was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A field that must be there is not.
    Required,
    /// A value has another type than the schema says.
    Type,
    /// A value is outside of what the schema allows.
    Value,
    /// `additionalProperties: false`, and a field that is not named.
    UnknownField,
    /// Two items of a list of type `set` or `map` are the same.
    Duplicate,
    /// What `x-kubernetes-embedded-resource` asks for.
    Embedded,
    /// A rule under `x-kubernetes-validations`.
    Cel,
}

/// Why the API server refuses the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Where.
    pub path: Vec<Segment>,
    /// What is wrong, for people. Does not repeat the path.
    pub message: String,
    /// What kind of rule was broken.
    pub rule: Kind,
}

/// What the schema says about an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// Each of them makes the API server refuse the object. At most 50.
    pub violations: Vec<Violation>,
    /// Fields that the API server drops, or refuses where `fieldValidation` is `Strict`.
    pub unknown_fields: Vec<Vec<Segment>>,
    /// What could not be told, and why.
    pub undecided: Vec<(Vec<Segment>, String)>,
}

/// Beyond this many violations nobody reads on.
const CAP: usize = 50;
/// Nesting of an object. What is deeper is not looked at.
const DEPTH: usize = 100;
/// Nesting of a schema: each level of an object needs two.
const SCHEMA_DEPTH: usize = 2 * DEPTH + 40;
/// Unknown fields beyond this many are not listed.
const UNKNOWN_CAP: usize = 1000;

/// Judges an object against the `openAPIV3Schema` of its version. `live` is what an update replaces.
/// `preserve_unknown` is `spec.preserveUnknownFields` of the CRD.
pub(crate) fn judge(
    schema: &Value,
    object: &Value,
    live: Option<&Value>,
    preserve_unknown: bool,
) -> Judgement {
    let mut judgement = Judgement::default();
    if deeper(schema, SCHEMA_DEPTH) || deeper(object, DEPTH) || live.is_some_and(|live| deeper(live, DEPTH)) {
        judgement.wonder(&[], format!("it is nested deeper than {DEPTH} levels"));
        return judgement;
    }
    let (object, unknown) = prepare(schema, object, preserve_unknown);
    let live = live.map(|live| prepare(schema, live, preserve_unknown).0);
    judgement.unknown_fields = unknown;
    values::validate(schema, &object, live.as_ref(), &mut judgement);
    embedded::validate(schema, &object, &mut judgement);
    lists::validate(schema, &object, live.as_ref(), &mut judgement);
    if judgement.violations.is_empty() {
        cel::validate(schema, &object, live.as_ref(), &mut judgement);
    }
    judgement.undecided.truncate(CAP);
    judgement
}

/// Fields that the API server drops, or refuses where `fieldValidation` is `Strict`. It looks for them before it drops
/// the status of what has a subresource for that.
pub(crate) fn unknown_fields(schema: &Value, object: &Value, preserve_unknown: bool) -> Vec<Vec<Segment>> {
    if preserve_unknown || deeper(schema, SCHEMA_DEPTH) || deeper(object, DEPTH) {
        return Vec::new();
    }
    prune::unknown_fields(&mut object.clone(), schema)
}

/// The object as it is validated, and the fields that were dropped.
fn prepare(schema: &Value, object: &Value, preserve_unknown: bool) -> (Value, Vec<Vec<Segment>>) {
    let mut object = object.clone();
    let mut unknown = Vec::new();
    if !preserve_unknown {
        unknown = prune::unknown_fields(&mut object, schema);
        prune::nulls(&mut object, Some(schema));
    }
    defaults::fill(&mut object, schema);
    (object, unknown)
}

impl Judgement {
    fn full(&self) -> bool {
        self.violations.len() >= CAP
    }

    fn refuse(&mut self, path: &[Segment], rule: Kind, message: impl Into<String>) {
        if !self.full() {
            self.violations.push(Violation { path: path.to_vec(), message: message.into(), rule });
        }
    }

    fn wonder(&mut self, path: &[Segment], why: impl Into<String>) {
        if self.undecided.len() < CAP {
            self.undecided.push((path.to_vec(), why.into()));
        }
    }
}

/// Evaluates CEL in a thread of its own: expressions recurse as deep as they are long, so its stack is large, and a
/// panic is no answer.
pub(crate) fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    const STACK: usize = 128 << 20;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("cel".to_owned()).stack_size(STACK);
        thread.spawn_scoped(scope, work).ok()?.join().ok()
    })
}

/// Goes through an object and its schema together, the outer values first.
fn walk(
    schema: &Value,
    value: &Value,
    path: &mut Vec<Segment>,
    visit: &mut impl FnMut(&Value, &Value, &mut Vec<Segment>),
) {
    visit(schema, value, path);
    let mut below = |segment, schema: Option<&Value>, value| {
        if let Some(schema) = schema {
            path.push(segment);
            walk(schema, value, path, visit);
            path.pop();
        }
    };
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(key, field)| below(Segment::Key(key.clone()), field_schema(schema, key), field)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(at, item)| below(Segment::Index(at), schema.get("items"), item)),
        _ => {}
    }
}

/// Whether a value is nested deeper than so many levels.
fn deeper(value: &Value, levels: usize) -> bool {
    match (value, levels.checked_sub(1)) {
        (Value::Array(_) | Value::Object(_), None) => true,
        (Value::Array(items), Some(rest)) => items.iter().any(|item| deeper(item, rest)),
        (Value::Object(fields), Some(rest)) => fields.values().any(|field| deeper(field, rest)),
        _ => false,
    }
}

/// A path with one more field.
fn with(path: &[Segment], key: &str) -> Vec<Segment> {
    let mut path = path.to_vec();
    path.push(Segment::Key(key.to_owned()));
    path
}

/// The schema of a field: the one that is named, or the one for all others.
fn field_schema<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    schema
        .get("properties")
        .and_then(|properties| properties.get(key))
        .or_else(|| schema.get("additionalProperties").filter(|schema| schema.is_object()))
}

/// Whether a flag of a schema is set.
fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// A default that fills something in: `null` is none.
fn default_of(schema: &Value) -> Option<&Value> {
    schema.get("default").filter(|default| !default.is_null())
}

/// A value as text, cut where it gets long.
fn show(value: &Value) -> String {
    shorten(&value.to_string(), 60)
}

/// The start of a text.
fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wrap(spec: Value) -> Value {
        json!({"type": "object", "properties": {"spec": spec}})
    }

    fn object(spec: Value) -> Value {
        json!({"apiVersion": "a.io/v1", "kind": "A", "metadata": {"name": "x", "labels": {"a": "b"}}, "spec": spec})
    }

    #[test]
    fn defaults_come_before_validation_and_rules_after_it() {
        let schema = wrap(json!({
            "type": "object", "required": ["mode"],
            "properties": {"mode": {"type": "string", "default": "fast"}, "count": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.mode != 'fast' || self.count < 3", "message": "too many"}]
        }));
        assert_eq!(judge(&schema, &object(json!({"count": 2})), None, false), Judgement::default());
        let broken = judge(&schema, &object(json!({"count": 3})), None, false);
        assert_eq!(broken.violations.len(), 1, "{broken:?}");
        assert_eq!(
            (broken.violations[0].rule, broken.violations[0].message.as_str()),
            (Kind::Cel, "too many")
        );
        let typed = judge(&schema, &object(json!({"count": "3"})), None, false);
        assert_eq!(typed.violations.len(), 1, "{typed:?}");
        assert_eq!(typed.violations[0].rule, Kind::Type);
        assert_eq!(typed.violations[0].path, [Segment::Key("spec".into()), Segment::Key("count".into())]);
        assert_eq!(typed.violations[0].message, "is a string, and must be an integer");
    }

    #[test]
    fn unknown_fields_are_told_and_metadata_is_not() {
        let schema = wrap(json!({"type": "object", "properties": {"a": {"type": "string"}}}));
        let judged = judge(&schema, &object(json!({"a": "x", "b": 1})), None, false);
        assert_eq!(judged.unknown_fields, [vec![Segment::Key("spec".into()), Segment::Key("b".into())]]);
        assert!(judged.violations.is_empty());
        assert!(judge(&schema, &object(json!({"b": 1})), None, true).unknown_fields.is_empty());
    }

    #[test]
    fn what_is_hostile_is_bounded() {
        let mut deep = json!(1);
        let mut schema = json!({"type": "integer"});
        for _ in 0..300 {
            deep = json!([deep]);
            schema = json!({"type": "array", "items": schema});
        }
        let judged = judge(&wrap(json!({})), &object(deep), None, false);
        assert!(judged.violations.is_empty() && judged.undecided.len() == 1);
        assert_eq!(judge(&schema, &object(json!([])), None, false).undecided.len(), 1);
        let many = judge(
            &wrap(json!({"type": "array", "items": {"type": "string"}})),
            &object(json!(vec![1; 500])),
            None,
            false,
        );
        assert_eq!(many.violations.len(), CAP);
        for nonsense in [json!(null), json!(1), json!({"properties": 3, "items": [], "type": 4, "allOf": {}})]
        {
            let _ = judge(&nonsense, &object(json!({"a": [null]})), Some(&json!(null)), false);
        }
    }

    #[test]
    fn what_did_not_change_is_ratcheted() {
        let schema = wrap(json!({"type": "object", "properties": {
            "a": {"type": "string", "maxLength": 1}, "b": {"type": "integer"},
            "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "required": ["k"], "properties": {
                    "k": {"type": "string"}, "v": {"type": "integer", "maximum": 5}}}}
        }}));
        let live = object(json!({"a": "long", "b": 1, "list": [{"k": "x", "v": 9}]}));
        let new = object(json!({"a": "long", "b": 2, "list": [{"k": "y", "v": 1}, {"k": "x", "v": 9}]}));
        assert_eq!(judge(&schema, &new, Some(&live), false), Judgement::default());
        assert_eq!(judge(&schema, &new, None, false).violations.len(), 2);
        let worse = object(json!({"a": "longer", "b": 2, "list": [{"k": "x", "v": 8}]}));
        assert_eq!(judge(&schema, &worse, Some(&live), false).violations.len(), 2);
    }

    #[test]
    fn alternatives_are_not_ratcheted() {
        let field =
            json!({"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}});
        let live = object(json!({"x": 1, "y": 1}));
        for key in ["allOf", "anyOf", "oneOf"] {
            let mut schema = wrap(field.clone());
            schema["properties"]["spec"][key] = json!([{"properties": {"x": {"minimum": 5}}}]);
            assert_eq!(judge(&schema, &live, Some(&live), false), Judgement::default());
            let changed = object(json!({"x": 1, "y": 2}));
            assert_eq!(judge(&schema, &changed, Some(&live), false).violations.len(), 1, "{key}");
        }
    }

    #[test]
    fn the_root_is_not_ratcheted() {
        let mut schema = wrap(json!({"type": "integer"}));
        schema["required"] = json!(["other"]);
        schema["properties"]["metadata"] = json!({"type": "object"});
        let live = object(json!(1));
        assert_eq!(judge(&schema, &live, Some(&live), false).violations.len(), 1);
    }
}
