use serde_json::{Value, json};

use super::walk::{What, problems};
use super::{Face, Schemas};

const CREATE: Face = Face::Create { prunes: false };
const APPLIED: Face = Face::Create { prunes: true };

/// Schemas of a kind that has a field of every type.
fn schemas() -> Schemas {
    let to = |name: &str| json!({"allOf": [{"$ref": format!("#/components/schemas/{name}")}], "default": {}});
    let machinery = |name: &str| to(&format!("io.k8s.apimachinery.pkg.{name}"));
    let nested = |name: &str| to(&format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.{name}"));
    let list = |items: Value, more: Value| {
        let mut list = json!({"type": "array", "items": items});
        list.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        list
    };
    let by_name =
        json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"]});
    let named = |name: &str, schema: Value| (name.to_owned(), schema);
    // What reads itself is told by its name.
    let machinery_names = [
        "util.intstr.IntOrString",
        "api.resource.Quantity",
        "apis.meta.v1.Time",
        "apis.meta.v1.MicroTime",
        "runtime.RawExtension",
    ];
    let nested_names =
        ["JSON", "JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrStringArray"];
    let opaque = machinery_names.map(|name| (format!("io.k8s.apimachinery.pkg.{name}"), json!({})));
    let opaque_too = nested_names
        .map(|name| (format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.{name}"), json!({})));
    let components: serde_json::Map<String, Value> = [
        named("io.k8s.api.example.v1.Thing", json!({"type": "object",
            "x-kubernetes-group-version-kind": [{"group": "example", "version": "v1", "kind": "Thing"}],
            "properties": {
                "apiVersion": {"type": "string"}, "kind": {"type": "string"},
                "metadata": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
                "spec": to("io.k8s.api.example.v1.ThingSpec"),
                "free": machinery("runtime.RawExtension"), "odd": {"type": "object"},
                "empty": to("io.k8s.api.example.v1.BasicSchedulingPolicy"),
            }})),
        named("io.k8s.api.example.v1.ThingSpec", json!({"type": "object", "properties": {
            "text": {"type": "string"}, "flag": {"type": "boolean"}, "share": {"type": "number", "format": "double"},
            "small": {"type": "integer", "format": "int32"}, "large": {"type": "integer", "format": "int64"},
            "bytes": {"type": "string", "format": "byte"}, "port": machinery("util.intstr.IntOrString"),
            "size": machinery("api.resource.Quantity"), "at": machinery("apis.meta.v1.Time"),
            "exactly": machinery("apis.meta.v1.MicroTime"),
            "labels": {"type": "object", "additionalProperties": {"type": "string", "default": ""}},
            "ports": list(to("io.k8s.api.example.v1.Port"), by_name),
            "words": list(json!({"type": "string"}), json!({"x-kubernetes-list-type": "set"})),
            "plain": list(json!({"type": "string"}), json!({"x-kubernetes-list-type": "atomic"})),
            "schema": nested("JSONSchemaProps"),
        }})),
        named("io.k8s.api.example.v1.Port", json!({"type": "object", "properties": {
            "port": {"type": "integer", "format": "int32"}, "protocol": {"type": "string", "default": "TCP"}}})),
        named("io.k8s.api.example.v1.BasicSchedulingPolicy", json!({"type": "object"})),
        named("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps", json!({"type": "object", "properties": {
            "type": {"type": "string"}, "items": nested("JSONSchemaPropsOrArray"),
            "properties": {"type": "object", "additionalProperties": nested("JSONSchemaProps")},
            "additionalProperties": nested("JSONSchemaPropsOrBool"), "default": nested("JSON"),
            "dependencies": {"type": "object", "additionalProperties": nested("JSONSchemaPropsOrStringArray")}}})),
        named("io.example.v1.Custom", json!({"type": "object", "properties": {"spec": {"type": "string"}},
            "x-kubernetes-group-version-kind": [{"group": "example", "version": "v1", "kind": "Custom"}]})),
    ]
    .into_iter()
    .chain(opaque)
    .chain(opaque_too)
    .collect();
    serde_json::from_value(json!({"components": {"schemas": components}})).unwrap()
}

/// What is found in an object with these fields, as texts: `? spec.a` for an unknown field, `! spec.a` for a wrong type,
/// and `- spec.a` where it is not known.
fn found(face: Face, fields: Value) -> Vec<String> {
    let mut object = json!({"apiVersion": "example/v1", "kind": "Thing"});
    object.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let problems = problems(&schemas(), ("example", "v1", "Thing"), &object, face).unwrap();
    let sign = |what: &What| match what {
        What::Unknown { .. } => '?',
        What::Type { .. } => '!',
        What::Doubt(_) => '-',
    };
    problems.iter().map(|problem| format!("{} {}", sign(&problem.what), problem.path)).collect()
}

fn of_spec(face: Face, spec: Value) -> Vec<String> {
    found(face, json!({"spec": spec}))
}

#[test]
fn what_fits_is_taken() {
    let spec = json!({
        "text": "a", "flag": true, "share": 1, "small": -5, "large": 5_000_000_000_i64, "bytes": "aGk=", "port": "http",
        "size": 0.5, "at": "2026-01-01T00:00:00Z", "exactly": "2026-01-01T00:00:00.000000Z", "labels": {"a.b/c": "d"},
        "ports": [{"port": 80}, {"port": 80, "protocol": "UDP"}], "words": ["a", "b"], "plain": ["a", "a"],
    });
    for face in [CREATE, APPLIED, Face::Patch, Face::Apply, Face::Unseen] {
        assert!(of_spec(face, spec.clone()).is_empty(), "{face:?}");
        assert!(found(face, json!({"free": {"any": [1, "a"]}, "spec": null})).is_empty(), "{face:?}");
        let nothing = json!({"text": null, "small": null, "size": null, "labels": null, "plain": null});
        assert!(of_spec(face, nothing).is_empty(), "{face:?}");
    }
}

#[test]
fn names_are_told_apart_by_their_letters_and_nothing_below_is_looked_at() {
    let spec =
        json!({"Text": 5, "port": 80, "ports": [{"port": 80, "portt": {"a": 1}}], "labels": {"any": "name"}});
    for face in [CREATE, Face::Patch, Face::Apply, Face::Unseen] {
        assert_eq!(of_spec(face, spec.clone()), ["? spec.Text", "? spec.ports[0].portt"], "{face:?}");
    }
}

#[test]
fn unknown_fields_without_a_value_depend_on_how_it_is_sent() {
    for (face, above, below) in [
        (CREATE, vec!["? spec.foo"], vec!["? spec.ports[0].foo"]),
        (APPLIED, vec![], vec![]),
        (Face::Patch, vec![], vec!["- spec.ports[0].foo"]),
        (Face::Unseen, vec![], vec!["- spec.ports[0].foo"]),
        (Face::Apply, vec!["? spec.foo"], vec!["? spec.ports[0].foo"]),
    ] {
        assert_eq!(of_spec(face, json!({"foo": null})), above, "{face:?}");
        assert_eq!(of_spec(face, json!({"ports": [{"port": 1, "foo": null}]})), below, "{face:?}");
    }
}

#[test]
fn values_of_other_types_are_refused_however_they_are_sent() {
    for (field, values) in [
        ("text", json!([1, true, {}, []])),
        ("flag", json!(["true", 1])),
        ("share", json!(["1", true])),
        ("small", json!(["3", 1.5, true, []])),
        ("large", json!(["3", 1.5])),
        ("bytes", json!(["hello world", 5, {}])),
        ("port", json!([true, 80.5, 3_000_000_000_u64, []])),
        ("size", json!(["512MB", true, []])),
        ("at", json!(["2026-01-01", 5])),
        ("exactly", json!(["2026-01-01T00:00:00Z"])),
        ("labels", json!([[], "a"])),
        ("ports", json!([{}, "a", 5])),
        ("plain", json!(["a", {}])),
    ] {
        for value in values.as_array().unwrap() {
            for face in [CREATE, Face::Patch, Face::Apply, Face::Unseen] {
                let told = of_spec(face, json!({field: value}));
                assert_eq!(told, [format!("! spec.{field}")], "{face:?} {value}");
            }
        }
    }
    assert_eq!(of_spec(CREATE, json!({"labels": {"a.b": 1}})), ["! spec.labels[\"a.b\"]"]);
    assert_eq!(of_spec(CREATE, json!({"ports": [5]})), ["! spec.ports[0]"]);
    assert_eq!(found(CREATE, json!({"spec": []})), ["! spec"]);
}

#[test]
fn integers_that_are_too_large_are_refused_or_cut() {
    for (field, value) in [("small", json!(3_000_000_000_u64)), ("large", json!(u64::MAX))] {
        assert_eq!(of_spec(CREATE, json!({field: value})), [format!("! spec.{field}")]);
        for face in [Face::Patch, Face::Apply, Face::Unseen] {
            assert_eq!(of_spec(face, json!({field: value})), [format!("- spec.{field}")], "{face:?}");
        }
    }
}

#[test]
fn bytes_may_be_written_one_by_one() {
    assert!(of_spec(CREATE, json!({"bytes": [104, 105, null]})).is_empty());
    assert_eq!(of_spec(CREATE, json!({"bytes": [104, 256]})), ["! spec.bytes[1]"]);
    assert_eq!(of_spec(Face::Patch, json!({"bytes": [104, 256]})), ["- spec.bytes[1]"]);
    assert_eq!(of_spec(Face::Apply, json!({"bytes": [104]})), ["! spec.bytes"]);
}

#[test]
fn server_side_apply_takes_no_item_twice() {
    let spec = json!({"ports": [{"port": 80}, {"port": 80, "protocol": "TCP"}], "words": ["a", "a"], "plain": ["a", "a"]});
    assert_eq!(of_spec(Face::Apply, spec.clone()), ["! spec.ports[1]", "! spec.words[1]"]);
    assert!(of_spec(CREATE, spec).is_empty());
    assert_eq!(
        of_spec(Face::Apply, json!({"ports": [null], "words": [null]})),
        ["! spec.ports[0]", "! spec.words[0]"]
    );
    assert!(of_spec(Face::Apply, json!({"ports": [{}]})).is_empty(), "one of the keys has a default");
}

#[test]
fn server_side_apply_takes_no_managed_fields() {
    let of = |face, fields: Value| found(face, json!({"metadata": {"managedFields": fields}}));
    assert_eq!(of(Face::Apply, json!([])), ["! metadata.managedFields"]);
    assert!(of(Face::Apply, json!([null])).is_empty());
    assert!(of(CREATE, json!([])).is_empty());
}

#[test]
fn what_says_how_it_is_merged_is_not_judged() {
    let spec =
        json!({"ports": [{"port": 80, "$patch": "delete", "foo": 1}], "labels": {"$patch": "replace"}});
    assert_eq!(of_spec(Face::Patch, spec.clone()), ["- spec.labels", "- spec.ports[0]"]);
    assert_eq!(of_spec(CREATE, spec), ["? spec.ports[0].$patch", "? spec.ports[0].foo"]);
}

#[test]
fn schemas_in_definitions_take_unknown_fields_below_what_reads_itself() {
    let schema = |schema: Value| of_spec(CREATE, json!({"schema": schema}));
    assert_eq!(schema(json!({"typ": "a"})), ["? spec.schema.typ"]);
    assert_eq!(schema(json!({"properties": {"a": {"typ": "a"}}})), ["? spec.schema.properties.a.typ"]);
    assert!(
        schema(json!({"items": {"typ": "a", "properties": {"a": {"typ": 1}}}, "default": [1]})).is_empty()
    );
    assert!(schema(json!({"items": [{"typ": "a"}, null], "additionalProperties": false})).is_empty());
    assert!(schema(json!({"items": 5, "dependencies": {"a": ["b"], "c": {"typ": 1}, "d": 5}})).is_empty());
    assert_eq!(schema(json!({"items": {"type": 1}})), ["! spec.schema.items.type"]);
    assert_eq!(schema(json!({"items": ["a"]})), ["! spec.schema.items[0]"]);
    assert_eq!(schema(json!({"additionalProperties": "x"})), ["! spec.schema.additionalProperties"]);
    assert_eq!(schema(json!({"dependencies": {"a": [1]}})), ["! spec.schema.dependencies.a[0]"]);
    // What comes after it is read strictly again.
    assert_eq!(schema(json!({"items": {}, "zzz": 1})), ["? spec.schema.zzz"]);
}

#[test]
fn objects_without_fields_are_told_by_name_or_not_at_all() {
    assert_eq!(found(CREATE, json!({"empty": {"a": 1}})), ["? empty.a"]);
    assert!(found(Face::Apply, json!({"empty": {"a": 1}})).is_empty());
    assert_eq!(found(CREATE, json!({"odd": {"a": 1}})), ["- odd"]);
}

#[test]
fn custom_resources_are_not_judged() {
    let schemas = schemas();
    assert!(problems(&schemas, ("example", "v1", "Custom"), &json!({"spec": 1}), CREATE).is_none());
    assert!(problems(&schemas, ("example", "v1", "None"), &json!({}), CREATE).is_none());
}
