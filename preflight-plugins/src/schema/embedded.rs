//! What has to be in an embedded resource.
//!
//! `staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta/{coerce,validation}.go`, v1.36.

use serde_json::{Map, Value};

use super::{Judgement, Kind, Segment, flag, walk, with};

/// Fields of metadata that are strings.
const TEXTS: [&str; 6] = ["name", "generateName", "namespace", "selfLink", "uid", "resourceVersion"];
/// Fields of metadata that are not looked at here.
const UNSEEN: [&str; 4] = ["finalizers", "ownerReferences", "managedFields", "deletionTimestamp"];

/// Validates all embedded resources. What is at the root is validated elsewhere.
pub(super) fn validate(schema: &Value, object: &Value, judgement: &mut Judgement) {
    walk(schema, object, &mut Vec::new(), &mut |schema, value, path| {
        if let Value::Object(fields) = value
            && flag(schema, "x-kubernetes-embedded-resource")
        {
            resource(fields, path, judgement);
        }
    });
}

fn resource(fields: &Map<String, Value>, path: &[Segment], judgement: &mut Judgement) {
    for key in ["apiVersion", "kind"] {
        let at = with(path, key);
        match fields.get(key) {
            None => judgement.refuse(&at, Kind::Required, "is missing, and every resource needs it"),
            Some(Value::String(text)) if text.is_empty() => {
                judgement.refuse(&at, Kind::Embedded, "must not be empty");
            }
            Some(Value::String(text)) if key == "apiVersion" && text.matches('/').count() > 1 => {
                judgement.refuse(
                    &at,
                    Kind::Embedded,
                    "must be a version, or a group and a version with one slash",
                );
            }
            Some(Value::String(text)) if key == "kind" && !dns1035(&text.to_lowercase()) => {
                judgement.refuse(
                    &at,
                    Kind::Embedded,
                    "must be letters, digits and dashes that begin with a letter",
                );
            }
            Some(Value::String(_)) => {}
            Some(_) => judgement.refuse(&at, Kind::Type, "must be a string"),
        }
    }
    match fields.get("metadata") {
        None | Some(Value::Null) => {}
        Some(Value::Object(metadata)) => meta(metadata, &with(path, "metadata"), judgement),
        Some(_) => judgement.refuse(&with(path, "metadata"), Kind::Type, "must be an object"),
    }
}

fn meta(metadata: &Map<String, Value>, path: &[Segment], judgement: &mut Judgement) {
    for (key, value) in metadata.iter().filter(|(_, value)| !value.is_null()) {
        let at = with(path, key);
        match (key.as_str(), value) {
            (text, value) if TEXTS.contains(&text) => match value.as_str() {
                None => judgement.refuse(&at, Kind::Type, "must be a string"),
                Some(name)
                    if text.ends_with("ame")
                        && (name.contains(['/', '%']) || [".", ".."].contains(&name)) =>
                {
                    judgement.refuse(&at, Kind::Embedded, "must not be `.` or `..`, nor contain `/` or `%`");
                }
                Some(name)
                    if text == "namespace"
                        && !(name.is_empty() || super::formats::fits("k8sshortname", name) == Some(true)) =>
                {
                    judgement.refuse(&at, Kind::Embedded, "must be a valid name of a namespace");
                }
                Some(_) => {}
            },
            ("labels" | "annotations", Value::Object(pairs)) => {
                for (name, value) in pairs {
                    let at = with(&at, name);
                    let valid = qualified(name, key == "annotations");
                    match value.as_str() {
                        None if !value.is_null() => judgement.refuse(&at, Kind::Type, "must be a string"),
                        _ if !valid => judgement.refuse(&at, Kind::Embedded, "is not a valid key"),
                        Some(text) if key == "labels" && !(text.is_empty() || part(text)) => {
                            judgement.refuse(&at, Kind::Embedded, "is not a valid value of a label");
                        }
                        _ => {}
                    }
                }
            }
            ("labels" | "annotations", _) => judgement.refuse(&at, Kind::Type, "must be an object"),
            (unseen, _) if UNSEEN.contains(&unseen) => {
                judgement.wonder(&at, "this field of an embedded resource is not checked");
            }
            _ => {}
        }
    }
}

fn dns1035(text: &str) -> bool {
    text.starts_with(|it: char| it.is_ascii_lowercase())
        && super::formats::fits("k8sshortname", text) == Some(true)
}

/// `k8s.io/apimachinery/pkg/util/validation.IsQualifiedName`. Annotations are lowercased first.
fn qualified(key: &str, lower: bool) -> bool {
    let key = if lower { key.to_lowercase() } else { key.to_owned() };
    match key.split_once('/') {
        Some((prefix, name)) => {
            super::formats::fits("k8slongname", prefix) == Some(true) && part(name) && !name.contains('/')
        }
        None => part(&key),
    }
}

fn part(text: &str) -> bool {
    let edge = |it: Option<&u8>| it.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|it| it.is_ascii_alphanumeric() || b"-_.".contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn embedded_resources_need_a_kind_and_an_api_version() {
        let cases = [
            (
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"a.b/c": "d"}}}),
                0,
            ),
            (json!({"apiVersion": "v1", "kind": "Pod"}), 0),
            (json!({}), 2),
            (json!({"apiVersion": "a/b/c", "kind": "Pod"}), 1),
            (json!({"apiVersion": "v1", "kind": "1Pod"}), 1),
            (json!({"apiVersion": 1, "kind": ""}), 2),
            (json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": 1}}), 1),
            (json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a/b"}}), 1),
            (json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"-a": "b"}}}), 1),
            (json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b c"}}}), 1),
            (json!({"apiVersion": "v1", "kind": "Pod", "metadata": []}), 1),
        ];
        let schema = json!({"properties": {"a": {"items": {"x-kubernetes-embedded-resource": true}}}});
        for (resource, expected) in cases {
            let mut judgement = Judgement::default();
            validate(&schema, &json!({"a": [resource]}), &mut judgement);
            assert_eq!(judgement.violations.len(), expected, "{resource} {judgement:?}");
        }
    }
}
