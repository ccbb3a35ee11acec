//! Values against the schema.
//!
//! `k8s.io/kube-openapi/pkg/validation/validate/{schema,schema_props,type,validator,object_validator,slice_validator}.go`
//! and `staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/validation/{validation,ratcheting}.go`, v1.36.
//!
//! On an update, what did not change is not validated at all: that is how the server ratchets. The root never counts as
//! unchanged, as schemas do not describe the metadata in it.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::numbers::{self, Num, Verdict};
use super::re2::Patterns;
use super::types::{is_listed, mistyped, types, wanted};
use super::{Judgement, Kind, Segment, flag, formats, lists, shorten, show, with};

/// Validates the whole object.
pub(super) fn validate(schema: &Value, object: &Value, live: Option<&Value>, judgement: &mut Judgement) {
    if live.is_some_and(|live| lists::same(Some(schema), object, live)) {
        return;
    }
    let from = judgement.violations.len();
    let mut walker =
        Walker { path: Vec::new(), patterns: Patterns::default(), found: std::mem::take(judgement) };
    walker.check(schema, object, live);
    *judgement = walker.found;
    if unnamed(object) {
        doubt_name(judgement, from);
    }
}

/// Whether the server has yet to make up a name.
pub(super) fn unnamed(object: &Value) -> bool {
    object.pointer("/metadata/name").and_then(Value::as_str).is_none_or(str::is_empty)
}

fn doubt_name(judgement: &mut Judgement, from: usize) {
    let meta = Segment::Key("metadata".to_owned());
    let late = judgement.violations.split_off(from.min(judgement.violations.len()));
    let (doubtful, sure): (Vec<_>, Vec<_>) = late.into_iter().partition(|it| it.path.first() == Some(&meta));
    judgement.violations.extend(sure);
    for violation in doubtful {
        judgement
            .wonder(&violation.path, format!("{}, but the server has yet to name it", violation.message));
    }
}

/// Goes through an object and its schema together.
pub(super) struct Walker {
    pub(super) path: Vec<Segment>,
    patterns: Patterns,
    pub(super) found: Judgement,
}

impl Walker {
    pub(super) fn refuse(&mut self, rule: Kind, message: impl Into<String>) {
        self.found.refuse(&self.path, rule, message);
    }

    /// `old` is what the value replaces.
    pub(super) fn check(&mut self, schema: &Value, value: &Value, old: Option<&Value>) {
        if self.found.full() {
            return;
        }
        let types = types(schema);
        let mut mistaken = false;
        if value.is_null() {
            if !types.is_empty() && !flag(schema, "nullable") {
                self.refuse(Kind::Type, format!("is null, and must be {}", wanted(&types)));
            }
        } else if let Some(message) = mistyped(schema, &types, value) {
            mistaken = true;
            self.refuse(Kind::Type, message);
        }
        self.listed(schema, value);
        if value.is_null() {
            return;
        }
        self.alternatives(schema, value);
        match value {
            Value::String(text) => self.text(schema, text),
            Value::Number(number) if !mistaken => {
                for verdict in numbers::check(schema, Num::of(number)) {
                    match verdict {
                        Verdict::Breaks(message) => {
                            self.refuse(Kind::Value, format!("is {number}, and {message}"))
                        }
                        Verdict::Unsure(why) => self.found.wonder(&self.path, why),
                    }
                }
            }
            Value::Array(items) => self.items(schema, items, old),
            Value::Object(fields) => self.fields(schema, fields, old),
            _ => {}
        }
    }

    fn listed(&mut self, schema: &Value, value: &Value) {
        let Some(list) = schema.get("enum").and_then(Value::as_array).filter(|list| !list.is_empty()) else {
            return;
        };
        if !list.iter().any(|allowed| is_listed(value, allowed)) {
            let shown: Vec<_> = list.iter().take(10).map(show).collect();
            let more = if list.len() > 10 { ", …" } else { "" };
            self.refuse(
                Kind::Value,
                format!("is {}, and must be one of {}{more}", show(value), shown.join(", ")),
            );
        }
    }

    fn text(&mut self, schema: &Value, text: &str) {
        let limit = |key: &str| schema.get(key).and_then(Value::as_u64);
        let length = text.chars().count() as u64;
        let pattern = schema.get("pattern").and_then(Value::as_str).unwrap_or_default();
        if let Some(most) = limit("maxLength").filter(|most| length > *most) {
            self.refuse(Kind::Value, format!("has {length} characters, and may have {most} at most"));
        } else if let Some(least) = limit("minLength").filter(|least| length < *least) {
            self.refuse(Kind::Value, format!("has {length} characters, and must have {least} at least"));
        } else if !pattern.is_empty() {
            match self.patterns.get(pattern).map(|regex| regex.is_match(text)) {
                Some(true) => {}
                Some(false) => {
                    let value = shorten(text, 60);
                    self.refuse(
                        Kind::Value,
                        format!("is {value:?}, and must match {}", shorten(pattern, 200)),
                    );
                }
                None => {
                    let why = format!("the pattern {} cannot be evaluated here", shorten(pattern, 60));
                    self.found.wonder(&self.path, why);
                }
            }
        }
        if let Some(format) = formats::textual(schema) {
            match formats::fits(&format, text) {
                Some(true) => {}
                Some(false) => {
                    let name = schema.get("format").and_then(Value::as_str).unwrap_or(&format);
                    let value = shorten(text, 60);
                    self.refuse(Kind::Value, format!("is {value:?}, and must have the format {name}"));
                }
                None => self
                    .found
                    .wonder(&self.path, format!("whether it has the format {format} is not checked here")),
            }
        }
    }

    fn items(&mut self, schema: &Value, items: &[Value], old: Option<&Value>) {
        if let Some(each) = schema.get("items").filter(|each| each.is_object()) {
            for (at, item) in items.iter().enumerate() {
                let old = old.and_then(|old| lists::correlated(schema, item, old));
                self.child(Segment::Index(at), each, item, old);
            }
        }
        self.count(schema, items.len(), ("minItems", "maxItems"), "items");
        if flag(schema, "uniqueItems") {
            let mut seen = HashSet::new();
            if !items.iter().all(|item| seen.insert(lists::canonical(item))) {
                self.refuse(Kind::Duplicate, "has the same item twice");
            }
        }
    }

    fn fields(&mut self, schema: &Value, fields: &Map<String, Value>, old: Option<&Value>) {
        self.count(schema, fields.len(), ("minProperties", "maxProperties"), "fields");
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        for (key, field) in fields {
            let named = properties.and_then(|properties| properties.get(key));
            let Some(each) = named.or_else(|| others.filter(|others| others.is_object())) else {
                if others == Some(&Value::Bool(false)) {
                    self.found.refuse(
                        &with(&self.path, key),
                        Kind::UnknownField,
                        "is not a field of this object",
                    );
                }
                continue;
            };
            let meta = self.path.is_empty() && ["apiVersion", "kind"].contains(&key.as_str());
            let old = old.and_then(|old| old.get(key)).filter(|_| !meta);
            self.child(Segment::Key(key.clone()), each, field, old);
        }
        for key in
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        {
            if !fields.contains_key(key) {
                self.found.refuse(&with(&self.path, key), Kind::Required, "is missing, and required");
            }
        }
    }

    fn count(&mut self, schema: &Value, count: usize, (least, most): (&str, &str), what: &str) {
        let limit = |key| schema.get(key).and_then(Value::as_u64);
        let count = count as u64;
        if let Some(least) = limit(least).filter(|least| count < *least) {
            self.refuse(Kind::Value, format!("has {count} {what}, and must have {least} at least"));
        }
        if let Some(most) = limit(most).filter(|most| count > *most) {
            self.refuse(Kind::Value, format!("has {count} {what}, and may have {most} at most"));
        }
    }

    fn child(&mut self, at: Segment, schema: &Value, value: &Value, old: Option<&Value>) {
        if old.is_some_and(|old| lists::same(Some(schema), value, old)) {
            return;
        }
        self.path.push(at);
        self.check(schema, value, old);
        self.path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(schema: &Value, value: &Value) -> Judgement {
        let mut judgement = Judgement::default();
        let object = json!({"metadata": {"name": "x"}, "a": value});
        validate(&json!({"properties": {"a": schema}}), &object, None, &mut judgement);
        judgement
    }

    #[test]
    fn keywords_are_kept_and_broken() {
        use Kind::{Duplicate, Required, Type, UnknownField};
        let value = Kind::Value;
        let cases = [
            (json!({"type": "string"}), json!("a"), json!(1), Type),
            (json!({"type": "boolean"}), json!(true), json!("true"), Type),
            (json!({"type": "array"}), json!([]), json!({}), Type),
            (json!({"type": "object"}), json!({}), json!([]), Type),
            (json!({"type": "integer"}), json!(1.0), json!(1.5), Type),
            (json!({"type": "number"}), json!(1), json!("1"), Type),
            (json!({"x-kubernetes-int-or-string": true}), json!("50%"), json!(true), Type),
            (json!({"x-kubernetes-int-or-string": true}), json!(50), json!(0.5), Type),
            (json!({"type": "string", "nullable": true}), json!(null), json!(1), Type),
            (json!({"type": "string"}), json!(""), json!(null), Type),
            (json!({"enum": ["a", 1]}), json!(1.0), json!("b"), value),
            (json!({"enum": [null], "nullable": true}), json!(null), json!(null), value),
            (json!({"pattern": "b+"}), json!("abc"), json!("ac"), value),
            (json!({"maxLength": 2}), json!("éé"), json!("abc"), value),
            (json!({"minLength": 2}), json!("éé"), json!("é"), value),
            (
                json!({"format": "date-time", "type": "string"}),
                json!("2024-01-01T00:00:00Z"),
                json!("x"),
                value,
            ),
            (json!({"format": "made-up", "type": "string"}), json!("x"), json!(1), Type),
            (json!({"maximum": 2}), json!(2), json!(3), value),
            (json!({"minItems": 1}), json!([1]), json!([]), value),
            (json!({"maxItems": 1}), json!([1]), json!([1, 2]), value),
            (json!({"uniqueItems": true}), json!([1, "1"]), json!([1, 1]), Duplicate),
            (json!({"items": {"type": "string"}}), json!(["a"]), json!(["a", 1]), Type),
            (json!({"minProperties": 1}), json!({"a": 1}), json!({}), value),
            (json!({"maxProperties": 1}), json!({"a": 1}), json!({"a": 1, "b": 1}), value),
            (json!({"required": ["a"]}), json!({"a": null}), json!({"b": 1}), Required),
            (json!({"properties": {"a": {"type": "string"}}}), json!({"b": 1}), json!({"a": 1}), Type),
            (json!({"additionalProperties": {"type": "string"}}), json!({"b": "1"}), json!({"b": 1}), Type),
            (
                json!({"additionalProperties": false, "properties": {"a": {}}}),
                json!({"a": 1}),
                json!({"b": 1}),
                UnknownField,
            ),
            (json!({"allOf": [{"minimum": 1}, {"maximum": 3}]}), json!(2), json!(4), value),
            (json!({"anyOf": [{"minimum": 4}, {"maximum": 1}]}), json!(1), json!(2), value),
            (json!({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}), json!({"a": 1}), json!({}), value),
            (
                json!({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
                json!({"b": 1}),
                json!({"a": 1, "b": 1}),
                value,
            ),
            (json!({"not": {"required": ["a"]}}), json!({"b": 1}), json!({"a": 1}), value),
        ];
        for (schema, keeps, breaks, kind) in cases {
            let broken = judged(&schema, &breaks);
            assert_eq!(broken.violations.len(), 1, "{schema} {breaks}");
            assert_eq!(broken.violations[0].rule, kind, "{schema} {breaks}");
            if keeps != breaks {
                assert_eq!(judged(&schema, &keeps), Judgement::default(), "{schema} {keeps}");
            }
        }
    }

    #[test]
    fn what_cannot_be_told_is_undecided() {
        let strange = json!({"pattern": r"\Qa\E"});
        let cases = [
            strange.clone(),
            json!({"format": "creditcard"}),
            json!({"anyOf": [strange, {"maxLength": 0}]}),
            json!({"oneOf": [strange, {"maxLength": 9}]}),
            json!({"not": strange}),
            json!({"allOf": [strange]}),
        ];
        for schema in cases {
            let found = judged(&schema, &json!("a"));
            assert_eq!((found.violations.len(), found.undecided.len()), (0, 1), "{schema}");
        }
        assert_eq!(judged(&json!({"anyOf": [strange, {"maxLength": 9}]}), &json!("a")), Judgement::default());
    }

    #[test]
    fn messages_are_short() {
        let long = judged(&json!({"enum": ["a"]}), &json!("x".repeat(500)));
        assert!(long.violations[0].message.len() < 120, "{long:?}");
        let none = judged(&json!({"anyOf": [{"properties": {"b": {"minimum": 4}}}]}), &json!({"b": 1}));
        assert_eq!(
            none.violations[0].message,
            "fits none of 1 alternatives; the nearest says: b is 1, and must be at least 4"
        );
    }

    #[test]
    fn a_name_that_the_server_makes_up_is_not_missed() {
        let schema = json!({"properties": {"metadata": {"required": ["name"]}}});
        let mut judgement = Judgement::default();
        validate(&schema, &json!({"metadata": {"generateName": "x-"}}), None, &mut judgement);
        assert_eq!((judgement.violations.len(), judgement.undecided.len()), (0, 1));
    }
}
