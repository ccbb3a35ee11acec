//! Each thing that is looked at, when it cannot be: exactly the rules that need it are unknown, and the others are
//! decided all the same.

use serde_json::{Value, json};

use crate::support::{Answer, HANGS_UP, status};
use crate::world::{
    APIS, BINDINGS, Case, DEFINITION, MUTATING, MUTATING_BINDINGS, MUTATING_POLICIES, PODS, POLICIES,
    Requires, SERVICE, SLICES, VALIDATING, ca_bundle, case, client, config_map, configuration, converter,
    definition, expect_all, list, webhook, widget,
};

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/keeper";
const LIMITS: &str = "/api/v1/namespaces/shop/configmaps/limits";

const EVERY_RULE: [&str; 15] = [
    "operator-missing",
    "operator-not-ready",
    "operator-crash-loop",
    "operator-not-observed",
    "definition-not-established",
    "stored-version-removed",
    "conversion-webhook",
    "custom-resource-invalid",
    "webhook-unavailable",
    "webhook-authority",
    "webhook-timeouts",
    "webhook-dry-run",
    "admission-policy",
    "api-service-unavailable",
    "leader-lease",
];

const OF_WEBHOOKS: &[&str] =
    &["webhook-unavailable", "webhook-authority", "webhook-timeouts", "webhook-dry-run"];
const OF_POLICIES: &[&str] = &["admission-policy"];

/// Of each kind something that is well, and a release that needs all of it.
fn everything(name: String) -> Case {
    let crd = definition(&json!({"conversion": converter(&client(ca_bundle()))}));
    let mut wanted = crd.clone();
    wanted.as_object_mut().unwrap().remove("status");
    let policy = json!({"metadata": {"name": "limits"}, "spec": {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConstraints": {"resourceRules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}]},
    }});
    let binding = json!({"metadata": {"name": "limits"}, "spec": {
        "policyName": "limits", "paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"}}});
    let keeper = json!({
        "kind": "Deployment", "metadata": {"name": "keeper", "namespace": "shop", "generation": 1},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "keeper"}}},
        "status": {"observedGeneration": 1, "readyReplicas": 1},
    });
    let api = json!({
        "metadata": {"name": "v1.metrics.k8s.io"}, "spec": {"service": {"namespace": "shop", "name": "metrics"}},
        "status": {"conditions": [{"type": "Available", "status": "True"}]},
    });
    let lease = json!({"kind": "Lease", "metadata": {"name": "keeper"}, "spec": {
        "holderIdentity": "keeper-1", "leaseDurationSeconds": 15, "renewTime": jiff::Timestamp::now().to_string()}});
    case(name)
        .releases(&[config_map("settings", "shop"), wanted, widget("v1beta1", "first")])
        .requires(&json!({"namespace": "shop", "deployment": "keeper", "lease": "keeper"}))
        .holds(DEPLOYMENT, &keeper)
        .holds("/apis/coordination.k8s.io/v1/namespaces/shop/leases/keeper", &lease)
        .lists(PODS, &[])
        .lists(VALIDATING, &[configuration("guards", &[webhook(&json!({}))])])
        .lists(MUTATING, &[configuration("guards", &[webhook(&json!({"name": "other"}))])])
        .lists(POLICIES, std::slice::from_ref(&policy))
        .lists(BINDINGS, std::slice::from_ref(&binding))
        .lists(MUTATING_POLICIES, std::slice::from_ref(&policy))
        .lists(MUTATING_BINDINGS, std::slice::from_ref(&binding))
        .holds(LIMITS, &config_map("limits", "shop"))
        .lists(APIS, std::slice::from_ref(&api))
        .holds(DEFINITION, &crd)
}

/// What is looked at, and the rules that need it.
fn lists() -> Vec<(&'static str, &'static [&'static str])> {
    vec![
        (VALIDATING, OF_WEBHOOKS),
        (MUTATING, OF_WEBHOOKS),
        (POLICIES, OF_POLICIES),
        (BINDINGS, OF_POLICIES),
        (MUTATING_POLICIES, OF_POLICIES),
        (MUTATING_BINDINGS, OF_POLICIES),
        (APIS, &["api-service-unavailable"]),
        (PODS, &["operator-crash-loop"]),
        (SLICES, &["webhook-unavailable", "conversion-webhook"]),
    ]
}

fn objects() -> Vec<(&'static str, &'static [&'static str])> {
    vec![
        (
            DEFINITION,
            &[
                "definition-not-established",
                "conversion-webhook",
                "custom-resource-invalid",
                "stored-version-removed",
            ],
        ),
        (SERVICE, &["webhook-unavailable", "conversion-webhook"]),
        (LIMITS, OF_POLICIES),
        (
            DEPLOYMENT,
            &["operator-missing", "operator-not-ready", "operator-crash-loop", "operator-not-observed"],
        ),
        ("/apis/coordination.k8s.io/v1/namespaces/shop/leases/keeper", &["leader-lease"]),
    ]
}

fn unseen(what: &str, path: &str, answer: Answer, rules: &[&'static str]) -> Case {
    everything(format!("{what}: {path}")).answers(path, answer).unknown_alone(rules, &EVERY_RULE)
}

#[tokio::test]
async fn all_is_well() {
    expect_all(vec![everything("everything".to_owned()).passes(&EVERY_RULE)]).await;
}

#[tokio::test]
async fn what_is_refused() {
    let all = lists().into_iter().chain(objects());
    expect_all(all.map(|(path, rules)| unseen("refused", path, status(403, "forbidden"), rules)).collect())
        .await;
}

#[tokio::test]
async fn what_is_garbage() {
    let all: Vec<_> = lists().into_iter().chain(objects()).collect();
    let mut cases = Vec::new();
    for (path, rules) in all {
        cases.push(unseen("no JSON", path, (200, String::new(), "{]".to_owned()), rules));
        let cut = (200, "content-length: 500\r\n".to_owned(), "{\"kind\": \"Li".to_owned());
        cases.push(unseen("cut", path, cut, rules));
        cases.push(unseen("no answer", path, (HANGS_UP, String::new(), String::new()), rules));
        cases.push(unseen("an error", path, status(500, "etcd is not well"), rules));
    }
    expect_all(cases).await;
}

#[tokio::test]
async fn what_is_half_read() {
    let half = json!({"kind": "List", "metadata": {"continue": "more"}, "items": []});
    let pages: [(&str, Answer); 3] = [
        ("the rest is refused", status(403, "forbidden")),
        ("the rest has gone, again and again", status(410, "expired")),
        ("the rest is no list", (200, String::new(), "[1".to_owned())),
    ];
    let mut cases = Vec::new();
    for (path, rules) in lists() {
        for (what, page) in &pages {
            let half = (200, String::new(), half.to_string());
            cases.push(unseen(what, path, half, rules).answers(&format!("{path} continued"), page.clone()));
        }
    }
    expect_all(cases).await;
}

/// An answer that is JSON, and no list of what was asked for.
#[tokio::test]
async fn what_is_something_else() {
    let others: [(&str, Value); 3] = [
        ("no items", json!({"kind": "Status", "status": "Success"})),
        ("items that are none", json!({"items": {"a": 1}})),
        (
            "an item that is none",
            list(&[json!({"metadata": {"name": "a"}, "spec": 1, "webhooks": 1, "status": 1})]),
        ),
    ];
    let mut cases = Vec::new();
    for (path, rules) in lists().into_iter().filter(|(path, _)| !path.contains("/namespaces/")) {
        for (what, other) in &others {
            cases.push(unseen(what, path, (200, String::new(), other.to_string()), rules));
        }
    }
    expect_all(cases).await;
}
