//! A cluster's state, made on the real control plane.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};

use super::{DELETE, PATIENCE};
use crate::api::Api;
use crate::apply::{Applied, Apply, apply};
use crate::landing::settle;
use crate::waiting::poll;
use crate::webhooks::Webhooks;

/// Makes a cluster's state: nodes with their status, and namespaces that are being deleted where they say so.
///
/// # Errors
/// Something of it is refused.
pub async fn make_cluster(api: &Api, objects: &[Value]) -> io::Result<()> {
    make_cluster_with(api, objects, None).await
}

pub(super) async fn make_cluster_with(
    api: &Api,
    objects: &[Value],
    webhooks: Option<&Webhooks>,
) -> io::Result<()> {
    // What calls webhooks is made once they are served, with all that comes after it.
    let callers = objects.iter().position(calls_webhooks).unwrap_or(objects.len());
    let (first, then) = objects.split_at(callers);
    let mut applied = create_all(api, first).await?;
    let workloads: Vec<_> =
        applied.iter().filter(|done| done.object["kind"] == "Deployment").cloned().collect();
    if !workloads.is_empty() {
        settle_namespaces(api, &applied).await;
        // Those that do not get ready are meant not to.
        settle(api, &workloads, PATIENCE).await;
    }
    if let Some(webhooks) = webhooks {
        webhooks.serve(api).await?;
    }
    applied.extend(create_all(api, then).await?);
    if objects.iter().any(|object| object["kind"] == "ValidatingAdmissionPolicy") {
        await_policies(api).await?;
    }
    if objects.iter().any(|object| object["kind"] == "MutatingAdmissionPolicy") {
        await_mutations(api).await?;
    }
    for quota in applied.iter().filter(|done| done.object["kind"] == "ResourceQuota") {
        await_quota(api, &quota.object).await?;
    }
    let marked = |done: &&Applied| {
        done.object.pointer("/metadata/annotations").is_some_and(|all| all.get(DELETE).is_some())
    };
    for done in applied.iter().filter(marked) {
        let path = api.path(&done.object).await.map_err(other)?;
        api.delete(&path).await.map_err(other)?;
    }
    settle_namespaces(api, &applied).await;
    Ok(())
}

/// Waits until it is counted what is used of a quota: before that it refuses nothing.
async fn await_quota(api: &Api, quota: &Value) -> io::Result<()> {
    let path = api.path(quota).await.map_err(other)?;
    let counted = async || match api.get(&path).await {
        Ok(live) => live["status"]["used"].as_object().filter(|used| !used.is_empty()).map(|_| Ok(())),
        Err(error) => Some(Err(other(error))),
    };
    let counted = poll(PATIENCE, counted).await;
    counted.unwrap_or_else(|| Err(io::Error::other(format!("{path} is not counted"))))
}

/// Waits until the API server goes by the policies that were made: it takes new ones up together, so one more that
/// shows itself shows that the others count too.
async fn await_policies(api: &Api) -> io::Result<()> {
    keep_parameters(api).await?;
    // An earlier one of the same name might still count.
    let name = format!("sentinel-{}", jiff::Timestamp::now().as_nanosecond());
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"],
                "resourceNames": [name]}]},
            "validations": [{"expression": "false"}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"],
            "paramRef": {"name": format!("{name}-parameters"), "namespace": "default", "parameterNotFoundAction": "Deny"}},
    });
    // ConfigMaps are watched in the order in which they were made: once it sees this one, it sees the others.
    let parameters = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": format!("{name}-parameters"), "namespace": "default"},
    });
    for object in [parameters, policy, binding] {
        api.create(&object).await.map_err(other)?;
    }
    let probe = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"},
    });
    let refused = async || {
        let refused = api.dry_run(&probe).await.err()?;
        (!refused.to_string().contains("no params found")).then_some(())
    };
    let why = "the API server does not go by the policies that were made";
    poll(PATIENCE, refused).await.ok_or_else(|| io::Error::other(why))
}

/// The same for policies that change objects, which are taken up by themselves.
async fn await_mutations(api: &Api) -> io::Result<()> {
    let name = format!("sentinel-{}", jiff::Timestamp::now().as_nanosecond());
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {
            "reinvocationPolicy": "Never",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"],
                "resourceNames": [name]}]},
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {
                "expression": "Object{metadata: Object.metadata{labels: {'seen': 'yes'}}}"}}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name}, "spec": {"policyName": name},
    });
    for object in [policy, binding] {
        api.create(&object).await.map_err(other)?;
    }
    let probe = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"},
    });
    let changed = async || {
        let made = api.dry_run(&probe).await.ok()?;
        (made["metadata"]["labels"]["seen"] == "yes").then_some(())
    };
    let why = "the API server does not go by the mutating policies that were made";
    poll(PATIENCE, changed).await.ok_or_else(|| io::Error::other(why))
}

/// Makes a policy that matches nothing and stays, with a binding, without which it does not count. When the last bound
/// policy with parameters of a kind goes, the API server stops to watch that kind and never starts again
/// (`calculatePolicyData` and `ensureParamsForPolicyLocked`,
/// `staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/generic/policy_source.go`, v1.36): later policies would
/// go by ConfigMaps of long ago.
async fn keep_parameters(api: &Api) -> io::Result<()> {
    // What has such a name is not removed between scenarios.
    let name = "system-parameters";
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["nothing.example.com"], "apiVersions": ["v1"], "operations": ["CREATE"],
                "resources": ["nothings"]}]},
            "validations": [{"expression": "true"}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]},
    });
    for object in [policy, binding] {
        match api.create(&object).await {
            Err(error) if error.code != 409 => return Err(other(error)),
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn other(error: crate::ApiError) -> io::Error {
    io::Error::other(error.to_string())
}

/// Whether the API server calls webhooks from when this object is there.
fn calls_webhooks(object: &Value) -> bool {
    match object["kind"].as_str() {
        Some("ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration") => true,
        Some("CustomResourceDefinition") => object["spec"]["conversion"]["strategy"] == "Webhook",
        _ => false,
    }
}

/// Creates objects, nodes with their status.
async fn create_all(api: &Api, objects: &[Value]) -> io::Result<Vec<Applied>> {
    let applied = apply(api, objects, Apply::Create, None).await;
    for done in &applied {
        if let Err(why) = &done.result {
            return Err(io::Error::other(format!("cluster.yaml: {} is refused: {why}", done.object["kind"])));
        }
    }
    for done in &applied {
        let path = api.path(&done.object).await.map_err(other)?;
        if done.object["kind"] == "Node" {
            api.merge(&format!("{path}/status"), &json!({"status": done.object["status"]}))
                .await
                .map_err(other)?;
            // TaintNodesByCondition taints every new node; nothing here takes that back.
            api.merge(&path, &json!({"spec": {"taints": done.object["spec"]["taints"]}}))
                .await
                .map_err(other)?;
        }
    }
    Ok(applied)
}

/// Waits until new namespaces have their ServiceAccount, without which no pod is accepted.
async fn settle_namespaces(api: &Api, applied: &[Applied]) {
    let made = |done: &&Applied| done.object["kind"] == "Namespace";
    for done in applied.iter().filter(made) {
        let name = done.object["metadata"]["name"].as_str().unwrap_or_default();
        if done.object.pointer("/metadata/annotations").is_some_and(|all| all.get(DELETE).is_some()) {
            continue;
        }
        let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        poll(Duration::from_secs(5), async || api.get(&account).await.ok()).await;
    }
}
