//! Writing YAML that every reader takes for the same, YAML 1.1 ones included: strings are always quoted, unless
//! they are words that mean nothing else.

use std::fmt::Write;

use serde_json::Value;

/// Words that some reader takes for something else than a string.
const SPECIAL: &[&str] =
    &["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity"];

/// A value as one YAML document.
pub(crate) fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => mapping(value, 0, &mut out),
        Value::Array(items) if !items.is_empty() => sequence(value, 0, &mut out),
        scalar => {
            out.push_str(&inline(scalar));
            out.push('\n');
        }
    }
    out
}

fn mapping(value: &Value, depth: usize, out: &mut String) {
    for (at, (key, value)) in value.as_object().into_iter().flatten().enumerate() {
        // The first key of an item of a sequence stands on the line of its dash.
        if at > 0 || !out.ends_with("- ") {
            indent(depth, out);
        }
        out.push_str(&string(key));
        out.push(':');
        below(value, depth, out);
    }
}

fn sequence(value: &Value, depth: usize, out: &mut String) {
    for item in value.as_array().into_iter().flatten() {
        indent(depth, out);
        out.push('-');
        match item {
            Value::Object(map) if !map.is_empty() => {
                out.push(' ');
                mapping(item, depth + 1, out);
            }
            _ => below(item, depth, out),
        }
    }
}

/// What follows a key or a dash.
fn below(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            mapping(value, depth + 1, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            sequence(value, depth + 1, out);
        }
        scalar => {
            // Writing to a String cannot fail.
            let _ = writeln!(out, " {}", inline(scalar));
        }
    }
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        // JSON's forms of the others are YAML too.
        other => other.to_string(),
    }
}

fn string(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let starts_as_word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let means_something = SPECIAL.contains(&text.to_ascii_lowercase().as_str());
    if starts_as_word && text.chars().all(plain) && !means_something {
        return text.to_owned();
    }
    // A JSON string is a YAML double-quoted one; the line separators that YAML 1.1 breaks at are escaped.
    Value::from(text)
        .to_string()
        .replace('\u{85}', "\\u0085")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
        .replace('\u{feff}', "\\ufeff")
        .replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::yaml::{Source, parse_documents};

    fn back(value: &Value) -> Value {
        let source = Source::new("x", to_yaml(value));
        parse_documents(&source).unwrap().first().map_or(Value::Null, crate::yaml::Node::json)
    }

    #[test]
    fn strings_stay_strings_and_layout_is_block() {
        let value = json!({"a": ["yes", "1", "0644", "x: y", "", {"b": {}, "c": []}], "on": null, "t": "two\nlines", "u": [[1, 2], []]});
        assert_eq!(back(&value), value);
        assert_eq!(to_yaml(&json!({"a": [{"b": "c", "d": 1}]})), "a:\n  - b: c\n    d: 1\n");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            "[a-zA-Z0-9:#\\-\n ]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("\\PC{1,6}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in any_json()) {
            prop_assert_eq!(back(&json!({"v": value.clone()})), json!({"v": value}));
        }
    }
}
