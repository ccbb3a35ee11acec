//! The tree of values.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::Spanned;

use super::Span;
use super::path::{FieldPath, Segment};

/// A value, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// The value.
    pub(crate) value: Value,
    /// Where it stands; collections stand where they begin.
    pub(crate) span: Span,
}

/// A key of a mapping, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// The key as a string: Kubernetes' reader turns other scalars into strings here.
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) span: Span,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]

pub(crate) enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`, and what YAML 1.1 takes for them: `yes`, `off`, …
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer beyond `i64`.
    UInt(u64),
    /// Any other number.
    Float(f64),
    /// A string.
    Str(String),
    /// A sequence.
    Seq(Vec<Node>),
    /// A mapping, in the order in which it is written.
    Map(Vec<(Key, Node)>),
}

impl Node {
    /// The value of a key, where this is a mapping that has it.
    #[must_use]
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|(_, node)| node)
    }

    fn entry(&self, key: &str) -> Option<(&Key, &Self)> {
        self.entries().iter().find(|(found, _)| found.name == key).map(|(key, node)| (key, node))
    }

    /// The entries of a mapping; none for anything else.
    #[must_use]
    pub(crate) fn entries(&self) -> &[(Key, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a sequence; none for anything else.
    #[must_use]
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::Seq(items) => items,
            _ => &[],
        }
    }

    /// The string, where it is one.
    #[must_use]
    pub(crate) fn str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The boolean, where it is one.
    #[must_use]
    pub(crate) const fn bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The value at a path.
    #[must_use]
    pub(crate) fn at(&self, path: &FieldPath) -> Option<&Self> {
        path.segments().iter().try_fold(self, |node, segment| match segment {
            Segment::Key(key) => node.get(key),
            Segment::Index(index) => node.items().get(*index),
        })
    }

    /// The string at a path of keys, where there is one.
    #[must_use]
    pub(crate) fn text(&self, dotted: &str) -> Option<&str> {
        self.at(&FieldPath::of(dotted))?.str()
    }

    /// Where a field stands, and whether that is its own place or its nearest ancestor's. The place of a
    /// collection is that of its key.
    #[must_use]
    pub(crate) fn locate(&self, path: &FieldPath) -> (Span, bool) {
        let (mut node, mut span) = (self, self.span);
        for segment in path.segments() {
            match segment {
                Segment::Key(key) => match node.entry(key) {
                    Some((key, found)) => {
                        let collection = matches!(found.value, Value::Map(_) | Value::Seq(_) | Value::Null);
                        span = if collection { key.span } else { found.span };
                        node = found;
                    }
                    None => return (span, false),
                },
                Segment::Index(index) => match node.items().get(*index) {
                    Some(found) => {
                        span = found.span;
                        node = found;
                    }
                    None => return (span, false),
                },
            }
        }
        (span, true)
    }

    /// The value in JSON, as Kubernetes' clients send it: numbers that are whole have no fraction, however they are written.
    /// Numbers that JSON cannot hold become null.
    #[must_use]
    pub(crate) fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::UInt(value) => (*value).into(),
            Value::Float(value) => {
                whole(*value).or_else(|| Number::from_f64(*value)).map_or(serde_json::Value::Null, Into::into)
            }
            Value::Str(value) => value.as_str().into(),
            Value::Seq(items) => items.iter().map(Self::json).collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|(key, node)| (key.name.clone(), node.json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// What it is, for messages: `a number`, `a mapping`.
    #[must_use]
    pub(crate) const fn describe(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::UInt(_) | Value::Float(_) => "a number",
            Value::Str(_) => "a string",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// `1.0` and `1e3` as integers: so Go's encoder writes them (`floatEncoder` in `encoding/json/encode.go`, Go 1.26).
fn whole(value: f64) -> Option<Number> {
    // Below 2^63 every whole number in floating point is one of `i64`.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if value.fract() != 0.0 || value.abs() >= BEYOND {
        return None;
    }
    format!("{value:.0}").parse::<i64>().ok().map(Number::from)
}

impl From<serde_saphyr::Location> for Span {
    fn from(location: serde_saphyr::Location) -> Self {
        let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Self {
            line: number(location.line()),
            column: number(location.column()),
            len: number(location.span().len()),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        let mut span = Span::from(spanned.referenced);
        if matches!(spanned.value, Value::Map(_) | Value::Seq(_)) {
            span.len = 0;
        }
        Ok(Self { value: spanned.value, span })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        let name = match spanned.value {
            Value::Str(text) => text,
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::UInt(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Null => "null".to_owned(),
            Value::Seq(_) | Value::Map(_) => {
                return Err(de::Error::custom("a key of a mapping must be a scalar"));
            }
        };
        Ok(Self { name, span: spanned.referenced.into() })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::UInt(value), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Str(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Str(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        while let Some(key) = access.next_key::<Key>()? {
            if !seen.insert(key.name.clone()) {
                return Err(de::Error::custom(format_args!("the key {:?} is written twice", key.name)));
            }
            entries.push((key, access.next_value()?));
        }
        Ok(Value::Map(entries))
    }
}
