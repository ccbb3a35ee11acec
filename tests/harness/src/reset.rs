//! Back to an empty cluster between scenarios.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::Api;
use crate::waiting::poll;

/// Namespaces that every cluster has.
const SYSTEM: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Lists of what scenarios make outside namespaces. What Kubernetes itself makes is left alone. What could refuse the
/// removal of the others comes first.
const LISTS: [&str; 17] = [
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "/apis/apiregistration.k8s.io/v1/apiservices",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/scheduling.k8s.io/v1/priorityclasses",
    "/apis/networking.k8s.io/v1/ingressclasses",
    "/apis/node.k8s.io/v1/runtimeclasses",
    "/apis/storage.k8s.io/v1/storageclasses",
    "/apis/storage.k8s.io/v1/csidrivers",
    "/apis/storage.k8s.io/v1/csinodes",
    "/apis/storage.k8s.io/v1/volumeattachments",
    "/api/v1/persistentvolumes",
    "/api/v1/nodes",
];

/// Lists of what scenarios leave in the namespace `default`.
const IN_DEFAULT: [&str; 11] = [
    "/apis/apps/v1/namespaces/default/deployments",
    "/apis/apps/v1/namespaces/default/statefulsets",
    "/apis/batch/v1/namespaces/default/jobs",
    "/apis/batch/v1/namespaces/default/cronjobs",
    "/api/v1/namespaces/default/pods",
    "/api/v1/namespaces/default/configmaps",
    "/api/v1/namespaces/default/secrets",
    "/api/v1/namespaces/default/services",
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles",
];

/// Removes everything that a scenario made, and waits until it is gone, but for its namespaces.
pub async fn reset(api: &Api) {
    poll(Duration::from_secs(60), async || (remove(api).await == 0).then_some(())).await;
    api.forget_kinds();
}

/// Waits until no namespace is left but those that every cluster has.
pub async fn namespaces_gone(api: &Api) {
    let ours = |namespace: &Value| !SYSTEM.contains(&text(namespace, "/metadata/name").as_str());
    let gone = async || (!api.items("/api/v1/namespaces").await.iter().any(ours)).then_some(());
    poll(Duration::from_secs(90), gone).await;
}

/// Asks for the removal of all that is left, and says how much that was.
async fn remove(api: &Api) -> usize {
    let mut left = 0;
    // What is registered and does not answer would keep namespaces from going.
    for list in LISTS.into_iter().chain(IN_DEFAULT) {
        for object in api.items(list).await {
            let name = text(&object, "/metadata/name");
            if is_ours(list, &name, &object) {
                left += 1;
                drop_finalizers(api, &format!("{list}/{name}"), &object).await;
                // It may have gone by itself.
                let _ = api
                    .delete(&format!("{list}/{name}?gracePeriodSeconds=0&propagationPolicy=Background"))
                    .await;
            }
        }
    }
    for namespace in api.items("/api/v1/namespaces").await {
        let name = text(&namespace, "/metadata/name");
        if SYSTEM.contains(&name.as_str()) {
            continue;
        }
        // Scenarios have namespaces of their own, so nobody waits until one is gone; but its pods must be, or they would
        // take the room of the next one's nodes.
        let _ = api.delete(&format!("/api/v1/namespaces/{name}")).await;
        for list in ["configmaps", "persistentvolumeclaims", "pods"] {
            for object in api.items(&format!("/api/v1/namespaces/{name}/{list}")).await {
                let path = format!("/api/v1/namespaces/{name}/{list}/{}", text(&object, "/metadata/name"));
                drop_finalizers(api, &path, &object).await;
                if list == "pods" {
                    left += 1;
                    let _ = api.delete(&format!("{path}?gracePeriodSeconds=0")).await;
                }
            }
        }
    }
    left
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn is_ours(list: &str, name: &str, object: &Value) -> bool {
    let bootstrapped = object.pointer("/metadata/labels/kubernetes.io~1bootstrapping").is_some();
    let of_system = name.starts_with("system:") || name.starts_with("system-") || name.starts_with("kube-");
    let local = list.ends_with("/apiservices") && object["spec"]["service"].is_null();
    // The Service of the API server itself, and its endpoints.
    let of_api_server = list.contains("/default/") && name == "kubernetes";
    !bootstrapped && !of_system && !local && !of_api_server
}

async fn drop_finalizers(api: &Api, path: &str, object: &Value) {
    let held =
        object.pointer("/metadata/finalizers").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
    if held {
        let _ = api.merge(path, &json!({"metadata": {"finalizers": null}})).await;
    }
}
