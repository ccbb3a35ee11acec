//! What the checks of the release itself say where something cannot be looked at, or where a real control plane does not
//! show it at will. What is not known may never be told as go.
#![cfg(all(feature = "admission", feature = "change-safety", feature = "traffic"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod admission;
mod change_safety;
#[path = "../support/mod.rs"]
mod support;
mod traffic;

use serde_json::{Value, json};

use support::cases::{Case, discovery, group, list};
use support::ok;

const NAMESPACE: &str = "/api/v1/namespaces/shop";
const PODS: &str = "/api/v1/pods";
const SERVICES: &str = "/api/v1/services";
const SERVICES_HERE: &str = "/api/v1/namespaces/shop/services";
const WEB_SERVICE: &str = "/api/v1/namespaces/shop/services/web";
const INGRESSES: &str = "/apis/networking.k8s.io/v1/ingresses";
const INGRESSES_HERE: &str = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses";
const RANGES: &str = "/apis/networking.k8s.io/v1/servicecidrs";
const POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies";
const SCALERS: &str = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/shop/deployments";
const WEB: &str = "/apis/apps/v1/namespaces/shop/deployments/web";
const PODS_HERE: &str = "/api/v1/namespaces/shop/pods";
const OPENAPI: &str = "/openapi/v3";
const OPENAPI_OF_CORE: &str = "/openapi/v3/api/v1";
const OPENAPI_OF_APPS: &str = "/openapi/v3/apis/apps/v1";

/// All is well: a Deployment and a Service come into a namespace.
fn case(check: &'static str, name: &'static str) -> Case {
    let core = [("namespaces", "Namespace"), ("pods", "Pod"), ("services", "Service"), ("secrets", "Secret")];
    let groups = [
        group("apps", "v1", &[("deployments", "Deployment"), ("statefulsets", "StatefulSet")]),
        group("autoscaling", "v2", &[("horizontalpodautoscalers", "HorizontalPodAutoscaler")]),
        group("gateway.networking.k8s.io", "v1", &[("httproutes", "HTTPRoute")]),
        group("networking.k8s.io", "v1", &[("networkpolicies", "NetworkPolicy"), ("ingresses", "Ingress")]),
    ];
    let ranges = json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.0.0.0/29"]}});
    let answers = [
        ("/version", json!({"gitVersion": "v1.36.3"})),
        ("/api", discovery(&[group("", "v1", &core)])),
        ("/apis", discovery(&groups)),
        (NAMESPACE, json!({"metadata": {"name": "shop"}})),
        (PODS, list(&[])),
        (SERVICES, list(&[])),
        (SERVICES_HERE, list(&[])),
        (RANGES, list(&[ranges])),
        (POLICIES, list(&[])),
        (SCALERS, list(&[])),
        (SECRETS, list(&[])),
        // What is tried out is answered so.
        (DEPLOYMENTS, json!({"kind": "Deployment"})),
        (OPENAPI, index()),
        (
            OPENAPI_OF_CORE,
            schemas(
                "",
                "core",
                "Service",
                &json!({"ports": {"type": "array", "items": {
            "type": "object", "additionalProperties": {"type": "integer", "format": "int32"}}}}),
            ),
        ),
        (
            OPENAPI_OF_APPS,
            schemas(
                "apps",
                "apps",
                "Deployment",
                &json!({
            "replicas": {"type": "integer", "format": "int32"}, "template": anything()}),
            ),
        ),
        (PODS_HERE, json!({"kind": "Pod"})),
    ];
    let answers = answers.into_iter().map(|(path, body)| (path.to_owned(), ok(&body))).collect();
    Case::new(check, name, answers, vec![deployment(json!({})), service("web", json!({}))])
}

/// Which schemas there are.
fn index() -> Value {
    let url = |path: &str| json!({"serverRelativeURL": format!("{path}?hash=AB")});
    json!({"paths": {"api/v1": url(OPENAPI_OF_CORE), "apis/apps/v1": url(OPENAPI_OF_APPS)}})
}

fn anything() -> Value {
    json!({"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.runtime.RawExtension"})
}

/// The schemas of a kind, with these fields and a selector in its spec.
fn schemas(group: &str, of: &str, kind: &str, spec: &Value) -> Value {
    let mut fields = json!({"selector": anything()});
    put(&mut fields, spec.clone());
    let text = json!({"type": "string"});
    json!({"components": {"schemas": {
        format!("io.k8s.api.{of}.v1.{kind}"): {
            "type": "object", "x-kubernetes-group-version-kind": [{"group": group, "version": "v1", "kind": kind}],
            "properties": {"apiVersion": text, "kind": text, "metadata": anything(), "spec": {"allOf": [
                {"$ref": "#/components/schemas/Spec"}], "default": {}}}},
        "Spec": {"type": "object", "properties": fields},
        "io.k8s.apimachinery.pkg.runtime.RawExtension": {"type": "object"},
    }}})
}

fn deployment(spec: Value) -> Value {
    let mut deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}},
    });
    put(&mut deployment["spec"], spec);
    deployment
}

fn service(name: &str, spec: Value) -> Value {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    });
    put(&mut service["spec"], spec);
    service
}

fn put(into: &mut Value, more: Value) {
    if let (Some(into), Value::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
}
