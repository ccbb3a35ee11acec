//! Reading typed values from a tree. Errors keep their place.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::Span;
use super::node::{Key, Node, Value};
use super::path::{FieldPath, Segment};

/// An error of reading, with the place and the path.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) message: String,
    pub(crate) span: Option<Span>,
    pub(crate) help: Option<String>,
    /// From the innermost outwards.
    segments: Vec<Segment>,
}

impl Located {
    fn at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    fn under(mut self, segment: Segment) -> Self {
        self.segments.push(segment);
        self
    }

    /// The path of what could not be read.
    pub(crate) fn path(&self) -> FieldPath {
        self.segments.iter().rev().fold(FieldPath::root(), |path, segment| match segment {
            Segment::Key(key) => path.key(key.clone()),
            Segment::Index(index) => path.index(*index),
        })
    }
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Located {}

impl de::Error for Located {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), span: None, help: None, segments: Vec::new() }
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let mut error = Self::custom(format_args!("expected {expected}, found {}", plain(unexpected)));
        let wants_text = expected.to_string().contains("string");
        if wants_text && !matches!(unexpected, Unexpected::Map | Unexpected::Seq | Unexpected::Unit) {
            error.help = Some("put it in quotes if it is meant as text".to_owned());
        }
        error
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let mut error = Self::custom(format_args!("unknown key `{field}`"));
        let near = crate::environment::nearest(field, expected.iter().copied());
        error.help = Some(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the keys are: {}", expected.join(", ")),
        });
        error
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let mut error = Self::custom(format_args!("`{variant}` is none of: {}", expected.join(", ")));
        let near = crate::environment::nearest(variant, expected.iter().copied());
        error.help = near.map(|near| format!("did you mean `{near}`?"));
        error
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format_args!("the key `{field}` is missing"))
    }
}

fn plain(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Unit => "nothing".to_owned(),
        Unexpected::Bool(value) => format!("the boolean `{value}`"),
        Unexpected::Signed(value) => format!("the number `{value}`"),
        Unexpected::Unsigned(value) => format!("the number `{value}`"),
        Unexpected::Float(value) => format!("the number `{value}`"),
        Unexpected::Str(_) => "a string".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a mapping".to_owned(),
        other => other.to_string(),
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Located;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Located> {
        let read = match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => visitor.visit_i64(*value),
            Value::UInt(value) => visitor.visit_u64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Str(value) => visitor.visit_borrowed_str(value),
            Value::Seq(items) => visitor.visit_seq(Items { items: items.iter(), at: 0 }),
            Value::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), value: None }),
        };
        read.map_err(|error| error.at(self.span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Located> {
        if self.value == Value::Null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Located> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Located> {
        let Value::Str(text) = &self.value else {
            let message = format_args!("expected one of {}, found {}", variants.join(", "), self.describe());
            return Err(<Located as de::Error>::custom(message).at(self.span));
        };
        let text: StrDeserializer<'_, Located> = text.as_str().into_deserializer();
        text.deserialize_enum(name, variants, visitor).map_err(|error| error.at(self.span))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'a> {
    items: std::slice::Iter<'a, Node>,
    at: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Located;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Located> {
        let Some(node) = self.items.next() else {
            return Ok(None);
        };
        let at = self.at;
        self.at += 1;
        seed.deserialize(node).map(Some).map_err(|error| error.under(Segment::Index(at)))
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, (Key, Node)>,
    value: Option<&'a (Key, Node)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Located;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Located> {
        self.value = self.entries.next();
        let Some((key, _)) = self.value else {
            return Ok(None);
        };
        let name: StrDeserializer<'_, Located> = key.name.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|error| error.at(key.span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Located> {
        let Some((key, node)) = self.value.take() else {
            return Err(<Located as de::Error>::custom("a value was asked for before its key"));
        };
        seed.deserialize(node).map_err(|error| error.under(Segment::Key(key.name.clone())))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::yaml::{Source, parse_documents};

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only errors are looked at")]
    struct Thing {
        name: String,
        inner: Option<Inner>,
    }

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only errors are looked at")]
    struct Inner {
        count: u32,
    }

    fn error(text: &str) -> Located {
        let node = parse_documents(&Source::new("a", text)).unwrap().remove(0);
        Thing::deserialize(&node).unwrap_err()
    }

    #[test]
    fn a_misspelt_key_is_told_at_the_key_with_a_suggestion() {
        let error = error("name: a\ninner:\n  cuont: 1\n");
        assert_eq!(error.span.map(|span| (span.line, span.column)), Some((3, 3)));
        assert_eq!(error.help.as_deref(), Some("did you mean `count`?"));
        assert_eq!(error.path().to_string(), "inner");
    }

    #[test]
    fn a_number_is_not_silently_text() {
        let error = error("name: 1\n");
        assert_eq!(error.message, "expected a string, found the number `1`");
        assert_eq!(error.path().to_string(), "name");
        assert!(error.help.is_some());
    }
}
