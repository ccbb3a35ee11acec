//! Reading an object as the API server's decoders do, with all that they stumble over, not only the first of it.

use preflight_core::FieldPath;
use preflight_core::cluster::{Schema, Schemas};
use serde_json::{Map, Number, Value};

use super::faces::Face;
use super::formats::{self, Reads};
use super::types::{Nested, SCHEMA, Type, type_of};

/// Something that a decoder stumbles over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is in the object.
    pub path: FieldPath,
    /// The names of fields on the way, without places in lists and keys of mappings: `spec`, `containers`.
    pub trail: Vec<String>,
    /// What it is.
    pub what: What,
}

/// What a decoder stumbles over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// There is no such field.
    Unknown {
        /// The field that may have been meant.
        near: Option<String>,
    },
    /// The value cannot be read.
    Type {
        /// What it is: `a text`.
        found: String,
        /// What it must be: `a whole number`.
        expected: &'static str,
    },
    /// What becomes of it cannot be told, for this reason.
    Doubt(&'static str),
}

/// Everything that a decoder stumbles over in an object of a kind; `None` where the schemas do not tell of the kind.
#[must_use]
pub fn problems(
    schemas: &Schemas,
    (group, version, kind): (&str, &str, &str),
    object: &Value,
    face: Face,
) -> Option<Vec<Problem>> {
    let (name, schema) = schemas.of_kind(group, version, kind)?;
    if !super::types::is_built_in(name) {
        return None;
    }
    let mut walk =
        Walk { schemas, face, is_nested: false, in_list: false, trail: Vec::new(), found: Vec::new() };
    walk.value(schema, object, &FieldPath::root());
    walk.managed_fields(object);
    Some(walk.found)
}

struct Walk<'a> {
    schemas: &'a Schemas,
    face: Face,
    /// Below what reads itself, where unknown fields are taken.
    is_nested: bool,
    in_list: bool,
    trail: Vec<&'a str>,
    found: Vec<Problem>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, schema: &'a Schema, value: &Value, path: &FieldPath) {
        // It counts as if nothing were written, whatever the type.
        if value.is_null() {
            return;
        }
        let text = matches!(value, Value::String(_));
        match type_of(self.schemas, schema) {
            Type::Anything => {}
            Type::Unsure => self.doubt(path, "the API server does not tell what it may be"),
            Type::Text => self.must(text, value, path, "a string"),
            Type::Bool => self.must(value.is_boolean(), value, path, "true or false"),
            Type::Float => self.must(value.is_number(), value, path, "a number"),
            Type::Int32 => self.integer(value, path, true),
            Type::Int64 => self.integer(value, path, false),
            Type::Bytes => self.bytes(value, path),
            Type::IntOrString => {
                self.must(
                    formats::int_or_string(value),
                    value,
                    path,
                    "a string, or a whole number of 32 bits",
                );
            }
            Type::Quantity => {
                let reads = formats::quantity(value);
                self.reads(reads, value, path, "a quantity, such as 500m or 1Gi");
            }
            Type::Time => self.time(value, path, false),
            Type::MicroTime => self.time(value, path, true),
            Type::Map(values) => match value {
                Value::Object(map) => self.map(values, map, path),
                _ => self.mistyped(value, path, "a mapping"),
            },
            Type::List(items, list) => match value {
                Value::Array(all) => self.list(items, list, all, path),
                _ => self.mistyped(value, path, "a list"),
            },
            Type::Struct(schema) => match value {
                Value::Object(fields) => self.fields(schema, fields, path),
                _ => self.mistyped(value, path, "a mapping"),
            },
            Type::Empty => match value {
                Value::Object(fields) if self.face != Face::Apply => {
                    for (key, value) in fields {
                        self.unknown(None, key, value, path);
                    }
                }
                Value::Object(_) => {}
                _ => self.mistyped(value, path, "a mapping"),
            },
            Type::Nested(nested) => self.nested(nested, value, path),
        }
    }

    /// Server-side apply takes no object that says whose its fields are
    /// (`staging/src/k8s.io/apimachinery/pkg/util/managedfields/internal/structuredmerge.go`, v1.36).
    fn managed_fields(&mut self, object: &Value) {
        let entries = object["metadata"]["managedFields"].as_array();
        // Where one of them is none, it counts as if nothing were written.
        if self.face == Face::Apply && entries.is_some_and(|all| all.iter().all(Value::is_object)) {
            let found = "written".to_owned();
            let what = What::Type { found, expected: "left out: server-side apply takes none" };
            self.trail = vec!["metadata", "managedFields"];
            self.tell(&FieldPath::of("metadata.managedFields"), what);
        }
    }

    fn fields(&mut self, schema: &'a Schema, fields: &Map<String, Value>, path: &FieldPath) {
        if self.is_directive(fields, path) {
            return;
        }
        for (key, value) in fields {
            match schema.properties.get_key_value(key) {
                Some((key, below)) => {
                    self.trail.push(key);
                    self.value(below, value, &path.clone().key(key));
                    self.trail.pop();
                }
                None if self.is_nested => {}
                None => self.unknown(Some(schema), key, value, path),
            }
        }
    }

    fn unknown(&mut self, schema: Option<&Schema>, key: &str, value: &Value, path: &FieldPath) {
        let path = path.clone().key(key);
        if value.is_null() {
            match self.face {
                Face::Create { prunes: true } => return,
                // Below lists it depends on how they are merged.
                Face::Patch | Face::Unseen if self.in_list => {
                    return self.doubt(&path, "it is null, and there is no such field");
                }
                Face::Patch | Face::Unseen => return,
                _ => {}
            }
        }
        let near = schema.and_then(|schema| schema.nearest(key)).map(str::to_owned);
        self.tell(&path, What::Unknown { near });
    }

    /// Whether it says how it is merged, and not only what it is to be.
    fn is_directive(&mut self, fields: &Map<String, Value>, path: &FieldPath) -> bool {
        const DIRECTIVES: [&str; 4] =
            ["$patch", "$retainKeys", "$setElementOrder/", "$deleteFromPrimitiveList/"];
        let is = |key: &String| DIRECTIVES.iter().any(|directive| key.starts_with(directive));
        let merges = matches!(self.face, Face::Patch | Face::Unseen);
        let found = merges && fields.keys().any(is);
        if found {
            self.doubt(path, "it says how it is merged");
        }
        found
    }

    fn map(&mut self, values: &'a Schema, map: &Map<String, Value>, path: &FieldPath) {
        if self.is_directive(map, path) {
            return;
        }
        for (key, value) in map {
            self.value(values, value, &path.clone().key(key));
        }
    }

    fn list(&mut self, items: &'a Schema, list: &'a Schema, all: &[Value], path: &FieldPath) {
        if self.face == Face::Apply {
            self.told_apart(items, list, all, path);
        }
        let outer = std::mem::replace(&mut self.in_list, true);
        for (at, item) in all.iter().enumerate() {
            self.value(items, item, &path.clone().index(at));
        }
        self.in_list = outer;
    }

    /// Server-side apply tells the items of some lists apart, by their keys or by what they are
    /// (`sigs.k8s.io/structured-merge-diff/v6`, `typed/validate.go` and `typed/helpers.go`, v6.3).
    fn told_apart(&mut self, items: &'a Schema, list: &'a Schema, all: &[Value], path: &FieldPath) {
        let is_set = match list.list_type.as_deref() {
            Some("set") => true,
            Some("map") => false,
            _ => return,
        };
        let fields = self.schemas.resolve(items).map(|(_, item)| &item.properties);
        let default = |key: &str| fields?.get(key)?.default.as_ref();
        let mut seen: Vec<Vec<Option<&Value>>> = Vec::new();
        for (at, item) in all.iter().enumerate() {
            let place = path.clone().index(at);
            if item.is_null() {
                let expected = "written out: server-side apply takes no empty items here";
                return self.mistyped(item, &place, expected);
            }
            let own: Vec<Option<&Value>> = match is_set {
                true => vec![Some(item)],
                false => {
                    list.list_map_keys.iter().map(|key| item.get(&**key).or_else(|| default(key))).collect()
                }
            };
            // What is no mapping is told of all the same.
            if !is_set && item.is_object() && own.iter().all(Option::is_none) {
                let expected = "an item that has what such items are told apart by";
                return self.mistyped(item, &place, expected);
            }
            if (is_set || item.is_object()) && seen.contains(&own) {
                let found = "the same as an item before it".to_owned();
                let expected = "another one: server-side apply takes none twice here";
                self.tell(&place, What::Type { found, expected });
            }
            seen.push(own);
        }
    }

    fn integer(&mut self, value: &Value, path: &FieldPath, is_32: bool) {
        let expected = if is_32 { "a whole number of 32 bits" } else { "a whole number of 64 bits" };
        let Value::Number(number) = value else {
            return self.mistyped(value, path, expected);
        };
        let fits = formats::integer(number).is_some_and(|whole| !is_32 || i32::try_from(whole).is_ok());
        if fits {
            return;
        }
        if self.face.cuts() && !formats::has_fraction(number) {
            return self.doubt(path, "the number is too large, and the API server cuts it");
        }
        self.tell(path, What::Type { found: number.to_string(), expected });
    }

    fn bytes(&mut self, value: &Value, path: &FieldPath) {
        const EXPECTED: &str = "base64";
        match value {
            Value::String(text) => match formats::base64(text) {
                true => {}
                false => self.tell(path, What::Type { found: "no base64".to_owned(), expected: EXPECTED }),
            },
            // Bytes may also be written one by one.
            Value::Array(items) if self.face != Face::Apply => {
                let odd = items.iter().enumerate().filter(|(_, item)| !item.is_null());
                for (at, item) in odd.filter(|(_, item)| !is_byte(item)) {
                    let place = path.clone().index(at);
                    match item {
                        Value::Number(number) if self.face.cuts() && !formats::has_fraction(number) => {
                            self.doubt(&place, "the number is too large, and the API server cuts it");
                        }
                        _ => self.mistyped(item, &place, "a byte"),
                    }
                }
            }
            _ => self.mistyped(value, path, EXPECTED),
        }
    }

    fn time(&mut self, value: &Value, path: &FieldPath, micro: bool) {
        let expected = match micro {
            true => "a time with six digits of its fraction, such as 2026-01-02T15:04:05.000000Z",
            false => "a time, such as 2026-01-02T15:04:05Z",
        };
        let reads = value.as_str().map_or(Reads::No, |text| formats::time(text, micro));
        self.reads(reads, value, path, expected);
    }

    fn nested(&mut self, nested: Nested, value: &Value, path: &FieldPath) {
        let Some((_, schema)) = self.schemas.component(SCHEMA) else {
            return self.doubt(path, "the API server does not tell what it may be");
        };
        let outer = std::mem::replace(&mut self.is_nested, true);
        match (value, nested) {
            (Value::Object(fields), _) => self.fields(schema, fields, path),
            (Value::Bool(_), Nested::Bool) => {}
            (_, Nested::Bool) => self.mistyped(value, path, "a schema, or true or false"),
            (Value::Array(items), _) => {
                for (at, item) in items.iter().enumerate() {
                    let place = path.clone().index(at);
                    match (item, nested) {
                        (Value::Null, _) | (Value::String(_), Nested::Texts) => {}
                        (Value::Object(fields), Nested::List) => self.fields(schema, fields, &place),
                        (_, Nested::List) => self.mistyped(item, &place, "a schema"),
                        _ => self.mistyped(item, &place, "a string"),
                    }
                }
            }
            // Anything else is taken for nothing.
            _ => {}
        }
        self.is_nested = outer;
    }

    fn must(&mut self, holds: bool, value: &Value, path: &FieldPath, expected: &'static str) {
        if !holds {
            self.mistyped(value, path, expected);
        }
    }

    fn reads(&mut self, reads: Reads, value: &Value, path: &FieldPath, expected: &'static str) {
        match reads {
            Reads::Yes => {}
            Reads::No => self.mistyped(value, path, expected),
            Reads::Unsure => self.doubt(path, "whether the API server reads such a text is not known"),
        }
    }

    fn mistyped(&mut self, value: &Value, path: &FieldPath, expected: &'static str) {
        self.tell(path, What::Type { found: describe(value), expected });
    }

    fn doubt(&mut self, path: &FieldPath, why: &'static str) {
        self.tell(path, What::Doubt(why));
    }

    fn tell(&mut self, path: &FieldPath, what: What) {
        let trail = self.trail.iter().map(|name| (*name).to_owned()).collect();
        self.found.push(Problem { path: path.clone(), trail, what });
    }
}

fn is_byte(value: &Value) -> bool {
    value.as_u64().is_some_and(|byte| byte <= 255)
}

/// What a value is. Texts may be secret.
fn describe(value: &Value) -> String {
    let number = |number: &Number| match formats::has_fraction(number) {
        true => "a number with a fraction",
        false => "a number",
    };
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(of) => number(of),
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
    .to_owned()
}
