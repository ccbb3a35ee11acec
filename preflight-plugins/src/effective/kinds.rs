//! What is filled in, kind by kind.

use serde_json::{Value, json};

use super::{MAYBE, PARTIAL, UNKNOWN, each, mark, present, put};
use crate::updates::pod_spec;

/// How far a kind is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// What is not written here is not there.
    Whole,
    /// There may be more.
    Partly,
}

/// Kinds whose fields are all known, with their groups.
const WHOLE: [(&str, &str); 25] = [
    ("", "ConfigMap"),
    ("", "LimitRange"),
    ("", "Namespace"),
    ("", "PersistentVolumeClaim"),
    ("", "Pod"),
    ("", "ResourceQuota"),
    ("", "Secret"),
    ("", "Service"),
    ("", "ServiceAccount"),
    ("apps", "DaemonSet"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("batch", "CronJob"),
    ("batch", "Job"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "IngressClass"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("policy", "PodDisruptionBudget"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
    ("scheduling.k8s.io", "PriorityClass"),
];

/// How often a DaemonSet's template has changed (`pkg/apis/apps/v1/conversion.go`).
const GENERATION: &str = "deprecated.daemonset.template.generation";

fn group_and_kind(object: &Value) -> (String, String) {
    let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
    let version = text("apiVersion");
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let older = match (group, version) {
        ("autoscaling", "v2") => false,
        (_, version) => version != "v1",
    };
    (if older { format!("{group}/older") } else { group.to_owned() }, text("kind"))
}

pub(super) fn of(object: &Value) -> Known {
    let (group, kind) = group_and_kind(object);
    let known = WHOLE.iter().any(|(own, name)| *own == group && *name == kind);
    if known { Known::Whole } else { Known::Partly }
}

/// Fills in what `updates::defaulted` leaves out, because it is nothing that may not change.
pub(super) fn fill(object: &mut Value) {
    let (group, kind) = group_and_kind(object);
    match (group.as_str(), kind.as_str()) {
        ("", "Namespace") => {
            let name = object["metadata"]["name"].clone();
            if !name.is_null() {
                put(&mut object["metadata"]["labels"], &[("kubernetes.io/metadata.name", name)]);
            }
            put(&mut object["status"], &[("phase", json!("Active"))]);
            put(&mut object["spec"], &[("finalizers", json!(["kubernetes"]))]);
        }
        ("", "Secret") => secret(object),
        ("", "Service") => service(object),
        ("", "PersistentVolumeClaim") => {
            put(object, &[("status", json!({PARTIAL: true})), ("spec", json!({}))]);
            put(&mut object["spec"], &[("volumeMode", json!("Filesystem")), ("resources", json!({}))]);
            // A class may be the one for all.
            if object["spec"]["storageClassName"].is_null() {
                object["spec"]["storageClassName"] = MAYBE.into();
            }
        }
        ("", "ResourceQuota") => put(object, &[("spec", json!({})), ("status", json!({}))]),
        ("", "LimitRange") => each(&mut object["spec"], "limits", mark),
        ("", "Pod") => spec_of_pods(&mut object["spec"]),
        ("apps", "Deployment") => deployment(object),
        ("apps", "ReplicaSet") => {
            put(&mut object["spec"], &[("replicas", json!(1))]);
            template(&mut object["spec"]["template"]);
            put(&mut object["status"], &[("replicas", json!(0))]);
        }
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("batch", "Job") => job(object),
        ("batch", "CronJob") => cron_job(object),
        ("autoscaling", "HorizontalPodAutoscaler") => {
            let spec = &mut object["spec"];
            put(spec, &[("minReplicas", json!(1))]);
            if spec["metrics"].as_array().is_none_or(Vec::is_empty) {
                spec["metrics"] = json!([{"type": "Resource", "resource":
                    {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]);
            }
            if let Some(behavior) = present(spec, "behavior") {
                mark(behavior);
            }
            put(object, &[("status", json!({PARTIAL: true}))]);
        }
        ("networking.k8s.io", "Ingress") => {
            put(object, &[("spec", json!({}))]);
            put(&mut object["status"], &[("loadBalancer", json!({}))]);
            // A class may be the one for all.
            put(&mut object["spec"], &[("ingressClassName", MAYBE.into())]);
        }
        ("networking.k8s.io", "IngressClass") => {
            if let Some(parameters) = present(&mut object["spec"], "parameters") {
                put(parameters, &[("scope", json!("Cluster"))]);
            }
        }
        ("networking.k8s.io", "NetworkPolicy") => network_policy(&mut object["spec"]),
        ("policy", "PodDisruptionBudget") => {
            put(object, &[("spec", json!({}))]);
            object["status"] =
                json!({"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0});
        }
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") if object["rules"].is_null() => {
            object[PARTIAL] = true.into();
        }
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            each(object, "subjects", |subject| {
                if ["User", "Group"].contains(&subject["kind"].as_str().unwrap_or_default()) {
                    put(subject, &[("apiGroup", json!("rbac.authorization.k8s.io"))]);
                }
            });
        }
        ("scheduling.k8s.io", "PriorityClass") => put(object, &[("value", json!(0))]),
        _ => {}
    }
}

/// What is made up on an update besides the metadata.
pub(super) fn on_update(object: &mut Value) {
    if object["kind"] == "DaemonSet" {
        object["metadata"]["annotations"][GENERATION] = UNKNOWN.into();
    }
}

/// What is made up on creation besides the metadata.
pub(super) fn on_creation(object: &mut Value, written: &Value) {
    let (group, kind) = group_and_kind(object);
    let counted = matches!(
        (group.as_str(), kind.as_str()),
        ("apps", _)
            | ("batch", _)
            | ("networking.k8s.io", _)
            | ("policy", _)
            | ("scheduling.k8s.io", _)
            | ("", "Pod")
    );
    let metadata = &mut object["metadata"];
    if counted {
        metadata["generation"] = json!(1);
    }
    match (group.as_str(), kind.as_str()) {
        ("", "PersistentVolumeClaim") => {
            put(metadata, &[("finalizers", json!(["kubernetes.io/pvc-protection"]))]);
        }
        ("", "Service") => {
            let spec = &mut object["spec"];
            let external = spec["type"] == "ExternalName";
            for made_up in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                put(spec, &[(made_up, if external { MAYBE } else { UNKNOWN }.into())]);
            }
            match spec["type"].as_str() {
                Some("NodePort") => each(spec, "ports", |port| put(port, &[("nodePort", UNKNOWN.into())])),
                Some("LoadBalancer") => {
                    each(spec, "ports", |port| put(port, &[("nodePort", MAYBE.into())]));
                    put(spec, &[("healthCheckNodePort", MAYBE.into())]);
                }
                _ => {}
            }
            if spec["type"] == "ExternalName" {
                spec[PARTIAL] = true.into();
            }
        }
        ("apps", "DaemonSet") => {
            put(&mut metadata["annotations"], &[(GENERATION, json!("1"))]);
        }
        ("batch", "Job") if object["spec"]["manualSelector"] != true => {
            object["spec"]["selector"] = UNKNOWN.into();
            let name = object["metadata"]["name"].clone();
            let shared = written["metadata"]["labels"].as_object().is_none_or(serde_json::Map::is_empty);
            for (key, value) in [
                ("batch.kubernetes.io/controller-uid", Value::from(UNKNOWN)),
                ("controller-uid", UNKNOWN.into()),
                ("batch.kubernetes.io/job-name", name.clone()),
                ("job-name", name),
            ] {
                put(&mut object["spec"]["template"]["metadata"]["labels"], &[(key, value.clone())]);
                // A Job without labels gets those of its template, as one and the same map.
                if shared {
                    put(&mut object["metadata"]["labels"], &[(key, value)]);
                }
            }
        }
        _ => {}
    }
}

fn secret(object: &mut Value) {
    let written = object["stringData"].as_object().cloned().unwrap_or_default();
    for key in written.keys() {
        object["data"][key] = UNKNOWN.into();
    }
    // What they are is nobody's business: a policy's message may tell it.
    if let Some(data) = object["data"].as_object_mut() {
        data.values_mut().for_each(|value| *value = UNKNOWN.into());
    }
    if let Some(fields) = object.as_object_mut() {
        fields.remove("stringData");
    }
}

fn service(object: &mut Value) {
    put(&mut object["status"], &[("loadBalancer", json!({}))]);
    let spec = &mut object["spec"];
    put(spec, &[("sessionAffinity", json!("None"))]);
    if spec["selector"].as_object().is_some_and(serde_json::Map::is_empty)
        && let Some(fields) = spec.as_object_mut()
    {
        fields.remove("selector");
    }
    if spec["sessionAffinity"] == "ClientIP"
        && spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].is_null()
    {
        spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": 10800}});
    }
    each(spec, "ports", |port| {
        put(port, &[("protocol", json!("TCP"))]);
        if port["targetPort"].is_null() || port["targetPort"] == 0 || port["targetPort"] == "" {
            port["targetPort"] = port["port"].clone();
        }
    });
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    let reached = spec["externalIPs"].as_array().is_some_and(|all| !all.is_empty());
    if ["NodePort", "LoadBalancer"].contains(&kind.as_str()) || (kind == "ClusterIP" && reached) {
        put(spec, &[("externalTrafficPolicy", json!("Cluster"))]);
    }
    if kind != "ExternalName" {
        put(spec, &[("internalTrafficPolicy", json!("Cluster"))]);
    }
    if kind == "LoadBalancer" {
        put(spec, &[("allocateLoadBalancerNodePorts", json!(true))]);
    }
}

fn deployment(object: &mut Value) {
    put(object, &[("status", json!({}))]);
    let spec = &mut object["spec"];
    put(
        spec,
        &[
            ("replicas", json!(1)),
            ("revisionHistoryLimit", json!(10)),
            ("progressDeadlineSeconds", json!(600)),
            ("strategy", json!({})),
        ],
    );
    put(&mut spec["strategy"], &[("type", json!("RollingUpdate"))]);
    if spec["strategy"]["type"] == "RollingUpdate" {
        put(
            &mut spec["strategy"]["rollingUpdate"],
            &[("maxSurge", json!("25%")), ("maxUnavailable", json!("25%"))],
        );
    }
    template(&mut spec["template"]);
}

fn stateful_set(object: &mut Value) {
    put(&mut object["status"], &[("replicas", json!(0)), ("availableReplicas", json!(0))]);
    let spec = &mut object["spec"];
    put(
        spec,
        &[
            ("replicas", json!(1)),
            ("revisionHistoryLimit", json!(10)),
            ("podManagementPolicy", json!("OrderedReady")),
            ("updateStrategy", json!({})),
            ("persistentVolumeClaimRetentionPolicy", json!({})),
        ],
    );
    put(
        &mut spec["persistentVolumeClaimRetentionPolicy"],
        &[("whenDeleted", json!("Retain")), ("whenScaled", json!("Retain"))],
    );
    let strategy = &mut spec["updateStrategy"];
    if strategy["type"].is_null() {
        put(strategy, &[("type", json!("RollingUpdate")), ("rollingUpdate", json!({}))]);
    }
    // How many may be unavailable is filled in where a feature of the server is on.
    if let Some(rolling) = present(strategy, "rollingUpdate") {
        put(rolling, &[("partition", json!(0)), ("maxUnavailable", MAYBE.into())]);
    }
    template(&mut spec["template"]);
    each(spec, "volumeClaimTemplates", |claim| {
        put(
            claim,
            &[("apiVersion", json!("v1")), ("kind", json!("PersistentVolumeClaim")), ("spec", json!({}))],
        );
        put(&mut claim["status"], &[("phase", json!("Pending"))]);
        put(&mut claim["spec"], &[("volumeMode", json!("Filesystem")), ("resources", json!({}))]);
    });
}

fn daemon_set(object: &mut Value) {
    put(
        &mut object["status"],
        &[
            ("currentNumberScheduled", json!(0)),
            ("numberMisscheduled", json!(0)),
            ("desiredNumberScheduled", json!(0)),
            ("numberReady", json!(0)),
        ],
    );
    let spec = &mut object["spec"];
    put(spec, &[("revisionHistoryLimit", json!(10)), ("updateStrategy", json!({}))]);
    put(&mut spec["updateStrategy"], &[("type", json!("RollingUpdate"))]);
    if spec["updateStrategy"]["type"] == "RollingUpdate" {
        put(
            &mut spec["updateStrategy"]["rollingUpdate"],
            &[("maxSurge", json!(0)), ("maxUnavailable", json!(1))],
        );
    }
    template(&mut spec["template"]);
}

fn job(object: &mut Value) {
    put(object, &[("status", json!({}))]);
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    let own = object["metadata"]["labels"].as_object().is_none_or(serde_json::Map::is_empty);
    if own && labels.as_object().is_some_and(|labels| !labels.is_empty()) {
        object["metadata"]["labels"] = labels;
    }
    let spec = &mut object["spec"];
    let by_index = !spec["backoffLimitPerIndex"].is_null();
    let replacing = if spec["podFailurePolicy"].is_null() { "TerminatingOrFailed" } else { "Failed" };
    put(
        spec,
        &[
            ("backoffLimit", if by_index { json!(i32::MAX) } else { json!(6) }),
            ("podReplacementPolicy", json!(replacing)),
            ("manualSelector", json!(false)),
        ],
    );
    if let Some(policy) = present(spec, "podFailurePolicy") {
        mark(policy);
    }
    template(&mut spec["template"]);
}

fn cron_job(object: &mut Value) {
    put(object, &[("status", json!({}))]);
    let spec = &mut object["spec"];
    put(
        spec,
        &[
            ("concurrencyPolicy", json!("Allow")),
            ("suspend", json!(false)),
            ("successfulJobsHistoryLimit", json!(3)),
            ("failedJobsHistoryLimit", json!(1)),
        ],
    );
    put(&mut spec["jobTemplate"], &[("metadata", json!({}))]);
    if let Some(policy) = present(&mut spec["jobTemplate"]["spec"], "podFailurePolicy") {
        mark(policy);
    }
    template(&mut spec["jobTemplate"]["spec"]["template"]);
}

fn network_policy(spec: &mut Value) {
    put(spec, &[("podSelector", json!({}))]);
    if spec["policyTypes"].as_array().is_none_or(Vec::is_empty) {
        let egress = spec["egress"].as_array().is_some_and(|all| !all.is_empty());
        spec["policyTypes"] = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    }
    for list in ["ingress", "egress"] {
        each(spec, list, |rule| each(rule, "ports", |port| put(port, &[("protocol", json!("TCP"))])));
    }
}

fn template(template: &mut Value) {
    put(template, &[("metadata", json!({})), ("spec", json!({}))]);
    pod_spec(&mut template["spec"]);
    spec_of_pods(&mut template["spec"]);
}

/// What is filled in for pods and templates alike, besides `updates::pod_spec`.
fn spec_of_pods(spec: &mut Value) {
    for list in ["initContainers", "containers"] {
        each(spec, list, |container| {
            each(container, "env", |variable| {
                if let Some(field) =
                    present(variable, "valueFrom").and_then(|from| present(from, "resourceFieldRef"))
                {
                    put(field, &[("divisor", json!("0"))]);
                }
            });
        });
    }
    each(spec, "volumes", |volume| {
        if let Some(image) = present(volume, "image") {
            image[PARTIAL] = true.into();
        }
        for odd in ["iscsi", "rbd", "scaleIO", "azureDisk"] {
            if let Some(source) = present(volume, odd) {
                source[PARTIAL] = true.into();
            }
        }
        if let Some(claim) = present(volume, "ephemeral").and_then(|own| present(own, "volumeClaimTemplate"))
        {
            put(claim, &[("metadata", json!({}))]);
            put(&mut claim["spec"], &[("resources", json!({}))]);
        }
    });
}
