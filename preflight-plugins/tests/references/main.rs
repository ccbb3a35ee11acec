//! What is named and cannot be looked at, or is made by others: what is not known may never be told as go.
#![cfg(feature = "references")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};

use support::cases::{Case, discovery, expect_all, group, list};
use support::{ok, status};

const CONFIG_MAP: &str = "/api/v1/namespaces/shop/configmaps/settings";
const SECRET: &str = "/api/v1/namespaces/shop/secrets/login";
const ACCOUNT: &str = "/api/v1/namespaces/shop/serviceaccounts/runner";
const CLASS: &str = "/apis/networking.k8s.io/v1/ingressclasses/nginx";
const SCALERS: &str = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers";
const SEALED: &str = "/apis/bitnami.com/v1alpha1/namespaces/shop/sealedsecrets";
const EXTERNAL: &str = "/apis/external-secrets.io/v1/namespaces/shop/externalsecrets";

fn groups() -> Vec<Value> {
    vec![
        group("apps", "v1", &[("deployments", "Deployment")]),
        group("autoscaling", "v2", &[("horizontalpodautoscalers", "HorizontalPodAutoscaler")]),
        group("external-secrets.io", "v1", &[("externalsecrets", "ExternalSecret")]),
        group("bitnami.com", "v1alpha1", &[("sealedsecrets", "SealedSecret")]),
        group("metrics.k8s.io", "v1beta1", &[("nodes", "NodeMetrics")]),
        group("networking.k8s.io", "v1", &[("ingresses", "Ingress"), ("ingressclasses", "IngressClass")]),
    ]
}

/// All is well: a Deployment that takes its variables from a ConfigMap and a Secret, and runs as a ServiceAccount.
fn case(name: &'static str) -> Case {
    let core = [
        ("configmaps", "ConfigMap"),
        ("secrets", "Secret"),
        ("serviceaccounts", "ServiceAccount"),
        ("services", "Service"),
    ];
    let managed = json!([{"manager": "kubectl", "fieldsV1": {"f:data": {"f:password": {}}}}]);
    let answers = [
        ("/version", json!({"gitVersion": "v1.36.3"})),
        ("/api", discovery(&[group("", "v1", &core)])),
        ("/apis", discovery(&groups())),
        (
            CONFIG_MAP,
            json!({"kind": "ConfigMap", "metadata": {"name": "settings", "uid": "1"}, "data": {"colour": "canary"}}),
        ),
        (SECRET, json!({"metadata": {"name": "login", "managedFields": managed}})),
        (ACCOUNT, json!({"metadata": {"name": "runner"}})),
        (CLASS, json!({"metadata": {"name": "nginx"}})),
        (SCALERS, list(&[])),
        (EXTERNAL, list(&[])),
        (SEALED, list(&[])),
    ];
    let answers = answers.into_iter().map(|(path, body)| (path.to_owned(), ok(&body))).collect();
    Case::new("references", name, answers, vec![deployment()])
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"serviceAccountName": "runner", "containers": [{"name": "c", "image": "i",
                "resources": {"requests": {"cpu": "1"}},
                "env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
                        {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}}]}]}}},
    })
}

fn ingress() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"ingressClassName": "nginx", "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
    })
}

fn scaler() -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
    })
}

fn owned(uid: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {},
        "metadata": {"name": "other", "namespace": "shop", "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "settings", "uid": uid}]},
    })
}

/// Neither an install nor an upgrade makes it, so what it needs may be missing.
#[tokio::test]
async fn tests_of_helm_are_left_out() {
    let test = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "test", "namespace": "shop", "annotations": {"helm.sh/hook": "test"}},
        "spec": {"containers": [{"name": "c", "image": "i", "envFrom": [{"configMapRef": {"name": "missing"}}]}]},
    });
    let case = |name: &'static str, apply: &str| {
        case(name).releases(&[deployment(), test.clone()]).environment(&json!({"apply": apply}))
    };
    expect_all(vec![
        case("Helm makes no pods of tests", "helm").passes(&["config-missing"]),
        case("kubectl makes them", "client")
            .fails("config-missing")
            .says("Pod shop/test needs the ConfigMap"),
    ])
    .await;
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_unknown() {
    let pods = ["config-missing", "key-missing", "service-account-missing"];
    let silent = |name: &str| {
        let mut groups = groups();
        for group in groups.iter_mut().filter(|group| group["metadata"]["name"] == name) {
            group["versions"][0]["freshness"] = json!("Stale");
        }
        ok(&discovery(&groups))
    };
    let expects = json!({"expects": [{"kind": "Secret", "name": "login", "by": "the vault"}]});
    expect_all(vec![
        case("all is well").passes(&pods),
        case("ConfigMaps are forbidden")
            .answers(CONFIG_MAP, status(403, "no"))
            .unknown(&["config-missing", "key-missing"]),
        case("Secrets are forbidden")
            .answers(SECRET, status(403, "no"))
            .unknown(&["config-missing", "key-missing"]),
        case("ServiceAccounts are forbidden")
            .answers(ACCOUNT, status(403, "no"))
            .unknown(&["service-account-missing"]),
        case("a Secret whose writers are not told")
            .holds(SECRET, &json!({"metadata": {"name": "login"}}))
            .unknown(&["key-missing"])
            .says("read_secrets"),
        case("a Secret that may be read")
            .environment(&json!({"references": {"read_secrets": true}}))
            .holds(SECRET, &json!({"metadata": {"name": "login"}, "data": {"password": "//8="}}))
            .passes(&pods),
        case("a Secret that may be read, and lacks the key")
            .environment(&json!({"references": {"read_secrets": true}}))
            .holds(SECRET, &json!({"metadata": {"name": "login"}, "data": {"user": "Y2FuYXJ5"}}))
            .fails("key-missing")
            .says("it has user"),
        case("a Secret that nothing makes").lacks(SECRET).fails("config-missing"),
        case("a Secret that something may make, which is forbidden to see")
            .lacks(SECRET)
            .answers(EXTERNAL, status(403, "no"))
            .unknown(&["config-missing"])
            .says("whether something will make it"),
        case("a Secret that is being made")
            .lacks(SECRET)
            .lists(EXTERNAL, &[json!({"metadata": {"name": "e", "namespace": "shop"}, "spec": {"target": {"name": "login"}}})])
            .warns("config-missing")
            .says("the ExternalSecret shop/e is to have it made"),
        case("a Secret that is being made, by one of two of whom one is forbidden to see")
            .lacks(SECRET)
            .answers(EXTERNAL, status(403, "no"))
            .lists(SEALED, &[json!({"metadata": {"name": "login", "namespace": "shop"}})])
            .warns("config-missing")
            .says("the SealedSecret shop/login is to have it made"),
        case("a Secret that the environment expects")
            .lacks(SECRET)
            .environment(&expects)
            .warns("config-missing")
            .says("the vault"),
        case("IngressClasses are forbidden")
            .releases(&[ingress()])
            .answers(CLASS, status(403, "no"))
            .unknown(&["class-missing"]),
        case("autoscalers are forbidden")
            .releases(&[deployment(), scaler()])
            .answers(SCALERS, status(403, "no"))
            .unknown(&["scale-target"]),
        case("an autoscaler that can do its work")
            .releases(&[deployment(), scaler()])
            .passes(&["scale-target", "scale-metrics"]),
        case("metrics do not answer")
            .releases(&[deployment(), scaler()])
            .answers("/apis", silent("metrics.k8s.io"))
            .warns("scale-metrics")
            .says("does not answer"),
        case("what serves the target does not answer")
            .releases(&[scaler()])
            .answers("/apis", silent("apps"))
            .unknown(&["scale-metrics", "scale-target"]),
    ])
    .await;
}

#[tokio::test]
async fn owners_are_known_by_their_uid() {
    expect_all(vec![
        case("an owner that is there").releases(&[owned("1")]).passes(&["owner-missing"]),
        case("an owner of an earlier life").releases(&[owned("2")]).fails("owner-missing"),
        case("an owner that is forbidden to see")
            .releases(&[owned("1")])
            .answers(CONFIG_MAP, status(403, "no"))
            .unknown(&["owner-missing"]),
    ])
    .await;
}
