//! From what the API server tells of a field to the Go type that it is decoded into.

use preflight_core::cluster::{Schema, Schemas};

/// The Go type of a field, as far as decoding tells types apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Type<'a> {
    /// Whatever is written is taken.
    Anything,
    /// The schema does not tell.
    Unsure,
    Text,
    Bool,
    Int32,
    Int64,
    Float,
    /// `[]byte`: base64.
    Bytes,
    IntOrString,
    Quantity,
    Time,
    /// A time with six digits of its fraction.
    MicroTime,
    /// What each value is.
    Map(&'a Schema),
    /// What each item is, and the list itself.
    List(&'a Schema, &'a Schema),
    Struct(&'a Schema),
    /// A struct without fields, which OpenAPI does not tell from what may hold anything.
    Empty,
    /// A schema inside of a CustomResourceDefinition, or something else in its place.
    Nested(Nested),
}

/// What may stand in the place of a schema in fields that read what they hold themselves, and take unknown fields below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nested {
    Bool,
    List,
    Texts,
}

/// The component of the schemas inside of CustomResourceDefinitions.
pub(super) const SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// Structs that have no fields (`api/openapi-spec/v3` against `staging/src/k8s.io`, v1.36).
const EMPTY: [&str; 3] =
    [".CustomResourceSubresourceStatus", ".StorageVersionSpec", ".BasicSchedulingPolicy"];

/// How the names of components of built-in kinds begin.
const BUILT_IN: [&str; 3] =
    ["io.k8s.api.", "io.k8s.kube-aggregator.pkg.apis.", "io.k8s.apiextensions-apiserver.pkg.apis."];

/// Whether a component is of a kind that the API server itself decodes.
pub(super) fn is_built_in(component: &str) -> bool {
    BUILT_IN.iter().any(|prefix| component.starts_with(prefix))
}

/// The type of what a schema tells.
pub(super) fn type_of<'a>(schemas: &'a Schemas, schema: &'a Schema) -> Type<'a> {
    let Some((name, schema)) = schemas.resolve(schema) else { return Type::Unsure };
    if let Some(own) = name.and_then(type_by_name) {
        return own;
    }
    match (schema.kind.as_deref(), schema.format.as_deref()) {
        (_, Some("int-or-string")) => Type::IntOrString,
        // Times are told by their names.
        (Some("string"), Some("date-time")) => Type::Unsure,
        (Some("string"), Some("byte")) => Type::Bytes,
        (Some("string"), _) => Type::Text,
        (Some("boolean"), _) => Type::Bool,
        (Some("integer"), Some("int32")) => Type::Int32,
        (Some("integer"), Some("int64")) => Type::Int64,
        (Some("number"), _) => Type::Float,
        (Some("array"), _) => schema.items.as_deref().map_or(Type::Unsure, |items| Type::List(items, schema)),
        (Some("object"), _) => match &schema.additional_properties {
            Some(values) => Type::Map(values),
            None if !schema.properties.is_empty() => Type::Struct(schema),
            None if name.is_some_and(|name| EMPTY.iter().any(|empty| name.ends_with(empty))) => Type::Empty,
            None => Type::Unsure,
        },
        _ => Type::Unsure,
    }
}

/// Types that decode themselves; what their schemas say differs between versions.
fn type_by_name<'a>(name: &str) -> Option<Type<'a>> {
    let below = |prefix: &str| name.strip_prefix(prefix);
    if let Some(name) = below("io.k8s.apimachinery.pkg.") {
        return match name {
            "api.resource.Quantity" => Some(Type::Quantity),
            "util.intstr.IntOrString" => Some(Type::IntOrString),
            "apis.meta.v1.Time" => Some(Type::Time),
            "apis.meta.v1.MicroTime" => Some(Type::MicroTime),
            "runtime.RawExtension" | "apis.meta.v1.FieldsV1" => Some(Type::Anything),
            _ => None,
        };
    }
    match below("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.")? {
        "JSON" => Some(Type::Anything),
        "JSONSchemaPropsOrBool" => Some(Type::Nested(Nested::Bool)),
        "JSONSchemaPropsOrArray" => Some(Type::Nested(Nested::List)),
        "JSONSchemaPropsOrStringArray" => Some(Type::Nested(Nested::Texts)),
        _ => None,
    }
}
