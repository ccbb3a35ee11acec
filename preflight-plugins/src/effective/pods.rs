//! What the API server and its admission plugins write into pods.

use serde_json::{Value, json};

use super::{MAYBE, PARTIAL, Surroundings, UNKNOWN, each, mark, put};

/// Fills in what is filled in for pods, and not for templates (`SetDefaults_Pod`, `pkg/apis/core/v1/defaults.go`), and
/// what the admission plugins add that are always on: Priority, ServiceAccount, DefaultTolerationSeconds, RuntimeClass.
pub(super) fn admitted(pod: &mut Value, surroundings: Surroundings) {
    // Annotations that were there before the fields are written into these.
    let annotations = pod["metadata"]["annotations"].as_object();
    if annotations.is_some_and(|all| all.keys().any(|key| key.starts_with("container.apparmor.security."))) {
        for list in ["containers", "initContainers"] {
            each(&mut pod["spec"], list, |container| {
                put(container, &[("securityContext", json!({}))]);
                container["securityContext"][PARTIAL] = true.into();
                container[PARTIAL] = true.into();
            });
        }
    }
    let spec = &mut pod["spec"];
    put(spec, &[("enableServiceLinks", json!(true))]);
    for list in ["containers", "initContainers"] {
        each(spec, list, |container| requests(container, surroundings));
    }
    if spec["hostNetwork"] == true {
        for list in ["containers", "initContainers"] {
            each(spec, list, |container| {
                each(container, "ports", |port| {
                    let own = port["containerPort"].clone();
                    put(port, &[("hostPort", own)]);
                });
            });
        }
    }
    // Requests of the whole pod are worked out of those of its containers.
    if spec["resources"].is_object() {
        mark(&mut spec["resources"]);
    }
    if spec["runtimeClassName"].is_string() {
        spec[PARTIAL] = true.into();
    }
    priority(spec);
    account(spec);
    tolerations(spec);
    pod["status"] = json!({"phase": "Pending", PARTIAL: true});
}

fn requests(container: &mut Value, surroundings: Surroundings) {
    if surroundings.limit_range {
        mark(&mut container["resources"]);
        return;
    }
    let Some(limits) = container["resources"]["limits"].as_object().cloned() else { return };
    if container["resources"]["requests"].is_null() && !limits.is_empty() {
        container["resources"]["requests"] = json!({});
    }
    for (name, limit) in limits {
        if container["resources"]["requests"][&name].is_null() {
            container["resources"]["requests"][&name] = limit;
        }
    }
}

/// `plugin/pkg/admission/priority/admission.go`: the class says the number, and a class may be the one for all.
fn priority(spec: &mut Value) {
    match spec["priorityClassName"].as_str() {
        Some("system-node-critical") => spec["priority"] = 2_000_001_000.into(),
        Some("system-cluster-critical") => spec["priority"] = 2_000_000_000.into(),
        Some(_) => spec["priority"] = UNKNOWN.into(),
        None => {
            spec["priority"] = UNKNOWN.into();
            spec["priorityClassName"] = MAYBE.into();
        }
    }
    put(spec, &[("preemptionPolicy", UNKNOWN.into())]);
}

/// Where the token is mounted.
const MOUNTED: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// `plugin/pkg/admission/serviceaccount/admission.go`: the account's token is mounted where nothing else is.
fn account(spec: &mut Value) {
    put(spec, &[("serviceAccountName", json!("default")), ("serviceAccount", json!("default"))]);
    // An account may name pull secrets for pods that name none.
    put(spec, &[("imagePullSecrets", MAYBE.into())]);
    if spec["automountServiceAccountToken"] == false {
        return;
    }
    let volume = json!({"name": UNKNOWN, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}]}});
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        each(spec, list, |container| {
            let has = container["volumeMounts"].as_array().into_iter().flatten();
            if has.clone().any(|mount| mount["mountPath"] == MOUNTED) {
                return;
            }
            mounted = true;
            let mount = json!({"name": UNKNOWN, "mountPath": MOUNTED, "readOnly": true});
            push(&mut container["volumeMounts"], mount);
        });
    }
    if mounted {
        push(&mut spec["volumes"], volume);
    }
}

/// `plugin/pkg/admission/defaulttolerationseconds/admission.go`, with the seconds that it has where nothing else is said.
fn tolerations(spec: &mut Value) {
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let all = spec["tolerations"].as_array().into_iter().flatten();
        let tolerated = all.clone().any(|one| {
            let own = one["key"].as_str().unwrap_or_default();
            let effect = one["effect"].as_str().unwrap_or_default();
            (own == key || own.is_empty()) && (effect == "NoExecute" || effect.is_empty())
        });
        if !tolerated {
            let one =
                json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
            push(&mut spec["tolerations"], one);
        }
    }
}

fn push(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        Value::String(text) if text == UNKNOWN => {}
        other => *other = Value::Array(vec![item]),
    }
}
