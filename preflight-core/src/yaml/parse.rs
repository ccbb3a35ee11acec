//! From text to trees, with limits on everything that hostile text could make large.

use std::sync::Arc;

use super::node::{Node, Value};
use super::{Source, Span};
use crate::InputError;

/// The largest text that is read, in bytes. The largest object that etcd takes is 1.5 MiB.
pub(crate) const TEXT_CAP: usize = 32 << 20;
/// Anchors in one text. Each costs a record of what it stands for.
const ANCHORS: usize = 10_000;
/// Nodes that aliases may add beyond what the text itself can hold.
const REPLAYED: usize = 100_000;
/// How deep collections may nest.
const DEPTH: usize = 64;

/// The documents of a text in YAML or JSON; empty ones are left out.
///
/// Values are read as Kubernetes' own reader does (`sigs.k8s.io/yaml`, YAML 1.1): `yes` is a boolean, `0644` is
/// octal, and keys are strings. A key that is written twice is an error, where Kubernetes would take the last.
///
/// # Errors
/// The text is too large, is not UTF-8 text, or is not YAML; the place is told.
pub(crate) fn parse_documents(source: &Arc<Source>) -> Result<Vec<Node>, InputError> {
    let text = source.text();
    refuse_unreadable(source)?;
    let options = options(text.len());
    let documents = serde_saphyr::from_multiple_with_options::<Node>(text, options)
        .map_err(|error| explain(source, &error))?;
    Ok(documents.into_iter().filter(|node| node.value != Value::Null).collect())
}

/// Reads bytes as text, with a place where they are none.
pub(crate) fn text_of(name: &str, bytes: Vec<u8>) -> Result<String, InputError> {
    if bytes.len() > TEXT_CAP {
        return Err(too_large(name));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        InputError::new(format!("{name} is not text: byte {at} (line {line}) is not UTF-8"))
            .help("save it in UTF-8, or check that it is the file that you meant")
    })
}

pub(crate) fn too_large(name: &str) -> InputError {
    InputError::new(format!("{name} is larger than the {} MiB that are read", TEXT_CAP >> 20))
        .help("split the manifests into several files")
}

fn refuse_unreadable(source: &Arc<Source>) -> Result<(), InputError> {
    let text = source.text();
    if text.len() > TEXT_CAP {
        return Err(too_large(source.name()));
    }
    if let Some(at) = text.bytes().position(|byte| byte == 0) {
        let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        return Err(InputError::new(format!(
            "{} is not text: there is a NUL byte in line {line}",
            source.name()
        )));
    }
    Ok(())
}

fn options(bytes: usize) -> serde_saphyr::Options {
    // A node takes at least two bytes of text (`-` and a line's end), a document four (`---` and a line's end).
    let (nodes, documents) = (bytes / 2 + 1_000, bytes / 4 + 16);
    serde_saphyr::options! {
        legacy_octal_numbers: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_events: nodes * 3 + REPLAYED,
            max_nodes: nodes + REPLAYED,
            max_documents: documents,
            max_anchors: ANCHORS,
            max_aliases: ANCHORS * 5,
            max_recorded_anchor_events: REPLAYED,
            max_recorded_anchor_bytes: 8 << 20,
            max_depth: DEPTH,
            max_total_scalar_bytes: bytes * 2 + (8 << 20),
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: REPLAYED },
    }
}

fn explain(source: &Arc<Source>, error: &serde_saphyr::Error) -> InputError {
    let mut message = error.without_snippet().to_string();
    if let Some(at) = message.find(" at line ") {
        message.truncate(at);
    }
    let first = message.lines().next().unwrap_or_default();
    let error_at = error.location();
    let mut explained = InputError::new(format!("this is not YAML: {first}"));
    if let Some(key) = first.strip_prefix("duplicate mapping key: ") {
        let key = key.split(',').next().unwrap_or(key);
        explained = InputError::new(format!("the key `{key}` is written twice")).help("keep one of them");
    } else if first.contains("written twice") {
        explained = InputError::new(first.to_owned()).help("keep one of them");
    } else if first.contains("budget") || first.contains("alias") {
        explained = InputError::new("this text would grow beyond any honest size when it is read")
            .help("write out what the anchors stand for, and nest less deeply");
    }
    if let Some(location) = error_at {
        let span = Span::from(location);
        explained = explained.at(match may_be_secret(source.text(), span.line) {
            true => source.place_without_snippet(span, true),
            false => source.place(span, true),
        });
    }
    if source.text().contains("{{") {
        explained = explained.help(format!(
            "it holds `{{{{`: is it a Helm template? Render it first: helm template RELEASE CHART | preflight -f -  ({})",
            source.name()
        ));
    }
    explained
}

/// Whether a line is in the document of a Secret, or is the value of a variable. What cannot be parsed has to be told
/// from its looks.
fn may_be_secret(text: &str, line: u32) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let at = (line.saturating_sub(1) as usize).min(lines.len());
    let begins = |line: &&str| line.starts_with("---");
    let start = lines[..at].iter().rposition(begins).map_or(0, |found| found + 1);
    let end = lines[at..].iter().skip(1).position(begins).map_or(lines.len(), |found| at + 1 + found);
    let of_secret = lines[start..end.max(start)].iter().any(|line| {
        let bare: String = line.chars().filter(|c| !c.is_whitespace() && *c != '"' && *c != '\'').collect();
        bare.contains("kind:Secret")
    });
    of_secret || lines.get(at).is_some_and(|line| line.trim_start_matches([' ', '-']).starts_with("value:"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::yaml::FieldPath;

    fn one(text: &str) -> Node {
        parse_documents(&Source::new("a.yaml", text)).unwrap().remove(0)
    }

    #[test]
    fn scalars_are_read_as_kubernetes_reads_them() {
        for (text, expected) in [
            ("0644", Value::Int(420)),
            ("yes", Value::Bool(true)),
            ("Off", Value::Bool(false)),
            ("y", Value::Bool(true)),
            ("\"yes\"", Value::Str("yes".into())),
            ("1.5", Value::Float(1.5)),
            ("1.5.2", Value::Str("1.5.2".into())),
            ("100m", Value::Str("100m".into())),
            ("~", Value::Null),
            ("18446744073709551615", Value::UInt(u64::MAX)),
        ] {
            assert_eq!(
                one(&format!("v: {text}")).get("v").map(|node| node.value.clone()),
                Some(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn places_are_of_values_and_of_the_keys_of_collections() {
        let node = one("a:\n  b: [x, 'yz']\n  c:\n    d: 1\n");
        let at = |path: FieldPath| {
            let (span, exact) = node.locate(&path);
            (span.line, span.column, exact)
        };
        assert_eq!(at(FieldPath::of("a.b").index(1)), (2, 10, true));
        assert_eq!(at(FieldPath::of("a.c")), (3, 3, true));
        assert_eq!(at(FieldPath::of("a.c.d")), (4, 8, true));
        assert_eq!(at(FieldPath::of("a.c.missing")), (3, 3, false));
    }

    #[test]
    fn documents_json_aliases_and_merges_are_read_and_empty_documents_left_out() {
        let source = Source::new(
            "a",
            "---\n# nothing\n---\n{\"a\": [1, true]}\n---\nx: &x {k: 1}\nw:\n  <<: *x\n  z: 2\n",
        );
        let documents = parse_documents(&source).unwrap();
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[0].json(), serde_json::json!({"a": [1, true]}));
        assert_eq!(documents[1].json()["w"], serde_json::json!({"k": 1, "z": 2}));
    }

    #[test]
    fn a_key_written_twice_is_an_error_with_its_place() {
        let error = parse_documents(&Source::new("a.yaml", "a: 1\nb: 2\na: 3\n")).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.place().map(|place| place.line)),
            ("the key `a` is written twice", Some(3))
        );
        for text in ["yes: 1\ntrue: 2\n", "1: a\n\"1\": b\n"] {
            assert!(parse_documents(&Source::new("a.yaml", text)).is_err(), "{text}");
        }
    }

    #[test]
    fn errors_inside_secrets_show_no_text() {
        for text in [
            "kind: Pod\n---\nkind: Secret\nstringData:\n  a: [canary\n",
            "spec:\n  env:\n  - name: A\n    value: \"canary\n",
            "{\"kind\": \"Secret\", \"data\": {\"a\": \"canary\"",
        ] {
            let error = parse_documents(&Source::new("a.yaml", text)).unwrap_err();
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
        let error =
            parse_documents(&Source::new("a.yaml", "kind: Secret\n---\nkind: Pod\nspec: [a\n")).unwrap_err();
        assert!(error.place().is_some_and(|place| place.snippet.is_some()));
    }

    #[test]
    fn hostile_text_is_an_error() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for i in 1..12 {
            bomb.push_str(&format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(",")));
        }
        let deep = format!("a: {}{}", "[".repeat(5000), "]".repeat(5000));
        let told = parse_documents(&Source::new("a.yaml", bomb.clone())).unwrap_err().to_string();
        assert!(told.contains("grow"), "{told}");
        for text in [bomb, deep, "a: \0".to_owned(), "a: [".to_owned()] {
            assert!(parse_documents(&Source::new("a.yaml", text)).is_err());
        }
        assert!(text_of("a.yaml", vec![0x80; 100 << 20]).is_err());
        assert!(text_of("a.yaml", vec![b'a', b'\n', 0xff]).unwrap_err().to_string().contains("line 2"));
    }

    #[test]
    fn ten_thousand_documents_are_not_hostile() {
        let text =
            "---\nkind: ConfigMap\nmetadata: {name: a, labels: {a: b, c: d}}\ndata: {a: b}\n".repeat(10_000);
        assert_eq!(parse_documents(&Source::new("a.yaml", text)).unwrap().len(), 10_000);
    }

    proptest! {
        #[test]
        fn any_text_gives_trees_or_an_error(text in "\\PC{0,200}") {
            if let Ok(documents) = parse_documents(&Source::new("a", text.clone())) {
                let lines = u32::try_from(text.lines().count()).unwrap();
                for node in documents {
                    prop_assert!(node.span.line <= lines + 1);
                }
            }
        }
    }
}
