//! Definitions, what converts for them, and custom resources.

use serde_json::{Value, json};

use crate::support::status;
use crate::world::{
    Case, DEFINITION, SERVICE, SLICES, ca_bundle, case, client, converter, definition, expect_all, widget,
};

const FIRST: &str = "/apis/example.com/v1/namespaces/shop/widgets/first";

/// One Widget, and a definition with these conditions.
fn with_conditions(name: &str, conditions: &Value) -> Case {
    let mut crd = definition(&json!({}));
    crd["status"]["conditions"] = conditions.clone();
    case(name).releases(&[widget("v1", "first")]).holds(DEFINITION, &crd)
}

#[tokio::test]
async fn established() {
    let is = |kind: &str, status: &str| json!({"type": kind, "status": status, "message": "so it is"});
    let rule = "definition-not-established";
    expect_all(vec![
        with_conditions("established", &json!([is("NamesAccepted", "True"), is("Established", "True")]))
            .passes(&[rule, "custom-resource-invalid"]),
        with_conditions("not established", &json!([is("NamesAccepted", "True"), is("Established", "False")]))
            .fails(rule),
        with_conditions(
            "names that clash",
            &json!([is("NamesAccepted", "False"), is("Established", "False")]),
        )
        .fails(rule),
        // It is served as it was before (`ServeHTTP` of
        // `staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go`, v1.36).
        with_conditions(
            "new names that clash",
            &json!([is("NamesAccepted", "False"), is("Established", "True")]),
        )
        .warns(rule),
        with_conditions("nothing said", &json!([])).fails(rule),
        with_conditions("being deleted", &json!([is("Established", "True"), is("Terminating", "True")]))
            .fails(rule),
        with_conditions("that may not be read", &json!([]))
            .answers(DEFINITION, status(403, "forbidden"))
            .unknown(&[rule, "conversion-webhook", "custom-resource-invalid"]),
        case("a Widget of another server").releases(&[widget("v1", "first")]).lacks(DEFINITION).unknown(&[]),
    ])
    .await;
}

/// A definition that converts so, with what it has stored.
fn converting(name: &str, to: &Value, stored: &[&str], release: &[Value]) -> Case {
    let mut crd = definition(&json!({"conversion": converter(to)}));
    crd["status"]["storedVersions"] = json!(stored);
    case(name).releases(release).holds(DEFINITION, &crd)
}

#[tokio::test]
async fn conversion() {
    let guard = client(ca_bundle());
    let url = json!({"url": "https://convert.example.com", "caBundle": ca_bundle()});
    let unsigned = client("");
    let (old, new) = ([widget("v1beta1", "first")], [widget("v1", "first")]);
    let rule = "conversion-webhook";
    let without = |name: &str, stored: &[&str], release: &[Value]| {
        converting(name, &guard, stored, release).lists(SLICES, &[])
    };
    expect_all(vec![
        converting("another version than the stored one", &guard, &["v1"], &old).passes(&[rule]),
        without("the same, and nobody converts", &["v1"], &old).fails(rule),
        without("the stored version, and nobody converts", &["v1"], &new).warns(rule),
        without("the stored version, where others were stored", &["v1", "v1beta1"], &new).warns(rule),
        without(
            "both versions, the stored one first",
            &["v1"],
            &[widget("v1", "first"), widget("v1beta1", "second")],
        )
        .fails(rule),
        converting("where it cannot be looked", &url, &["v1"], &old).unknown(&[rule]),
        converting("where it need not be looked", &url, &["v1"], &new).passes(&[rule]),
        converting("where others were stored, and it cannot be looked", &url, &["v1", "v1beta1"], &new)
            .unknown(&[rule]),
        converting("without an authority", &unsigned, &["v1"], &old).unknown(&[rule]),
        converting("without an authority, and it is not needed", &unsigned, &["v1"], &new).passes(&[rule]),
        converting("with one that is none", &client("?"), &["v1"], &old).fails(rule),
        converting("with one that is none, and it is not needed", &client("?"), &["v1"], &new).warns(rule),
        converting("at a Service that may not be read", &guard, &["v1"], &old)
            .answers(SERVICE, status(403, "forbidden"))
            .unknown(&[rule]),
        converting("at slices that may not be read", &guard, &["v1"], &old)
            .answers(SLICES, status(403, "forbidden"))
            .unknown(&[rule]),
    ])
    .await;
}

/// What the release makes of a definition counts from there on.
#[tokio::test]
async fn conversion_that_comes_with_the_release() {
    let to = client(ca_bundle());
    let mut crd = definition(&json!({"conversion": converter(&to)}));
    crd.as_object_mut().unwrap().remove("status");
    let rule = "conversion-webhook";
    expect_all(vec![
        case("it begins to convert, and nobody does")
            .releases(&[crd.clone(), widget("v1beta1", "first")])
            .lists(SLICES, &[])
            .fails(rule),
        case("it begins to convert").releases(&[crd.clone(), widget("v1beta1", "first")]).passes(&[rule]),
        case("it begins to convert after the custom resource, with kubectl")
            .releases(&[widget("v1beta1", "first"), crd])
            .lists(SLICES, &[]),
    ])
    .await;
}

#[tokio::test]
async fn stored_versions() {
    let only = |name: &str| {
        let mut crd = definition(&json!({}));
        let versions = crd["spec"]["versions"].as_array_mut().unwrap();
        versions.retain(|version| version["name"] == name);
        versions[0]["storage"] = json!(true);
        crd.as_object_mut().unwrap().remove("status");
        crd
    };
    let rule = "stored-version-removed";
    expect_all(vec![
        case("what was stored is kept").releases(&[only("v1")]).passes(&[rule]),
        case("what was stored is given up").releases(&[only("v1beta1")]).fails(rule),
        case("what was stored may not be read")
            .releases(&[only("v1")])
            .answers(DEFINITION, status(403, "forbidden"))
            .unknown(&[rule]),
    ])
    .await;
}

/// A Widget whose `v1` has this schema.
fn with_schema(name: &str, schema: &Value) -> Case {
    let crd =
        definition(&json!({"versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]}));
    case(name).releases(&[widget("v1", "first")]).holds(DEFINITION, &crd)
}

#[tokio::test]
async fn custom_resources() {
    let of_size = |size: Value| {
        let spec = json!({"type": "object", "properties": {"size": size}});
        json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}})
    };
    let number = || of_size(json!({"type": "integer"}));
    let ruled =
        |rule: &str| of_size(json!({"type": "integer", "x-kubernetes-validations": [{"rule": rule}]}));
    let mut refused = widget("v1", "first");
    refused["spec"]["size"] = json!("big");
    let live = |size: Value| {
        let mut live = widget("v1", "first");
        live["spec"]["size"] = size;
        live
    };
    let rule = "custom-resource-invalid";
    expect_all(vec![
        with_schema("that fits", &number()).passes(&[rule]),
        with_schema("that does not", &number()).releases(&[refused.clone()]).fails(rule),
        with_schema("a rule that holds", &ruled("self > 1")).passes(&[rule]),
        with_schema("a rule that does not", &ruled("self > 5")).fails(rule),
        with_schema("a rule that cannot be decided here", &ruled("self.unheard(1)")).unknown(&[rule]),
        with_schema("a rule about what was, and that may not be read", &ruled("self == oldSelf"))
            .answers(FIRST, status(403, "forbidden"))
            .unknown(&[rule]),
        with_schema("a rule about what was", &ruled("self == oldSelf"))
            .holds(FIRST, &live(json!(4)))
            .fails(rule),
        with_schema("that does not fit, and what is there may not be read", &number())
            .releases(&[refused])
            .answers(FIRST, status(403, "forbidden"))
            .unknown(&[rule]),
        with_schema("a version without a schema", &json!(null)),
    ])
    .await;
}
