//! Random objects of many kinds, all of them valid.

use fastrand::Rng;
use serde_json::{Value, json};

use super::pods;

/// An object in a namespace. Names are made of the number.
pub fn object(rng: &mut Rng, namespace: &str, number: usize) -> Value {
    let kind = rng.usize(0..16);
    let name = format!("o{number}");
    let mut object = match kind {
        0..=2 => pod(rng),
        3 | 4 => deployment(rng),
        5 => stateful_set(rng),
        6 => daemon_set(rng),
        7 => job(rng),
        8 => cron_job(rng),
        9 => service(rng),
        10 => config_map(rng),
        11 => secret(rng),
        12 => claim(rng),
        13 => ingress(rng),
        14 => network_policy(rng),
        _ => other(rng),
    };
    object["metadata"]["name"] = name.into();
    object["metadata"]["namespace"] = namespace.into();
    if rng.u8(0..3) > 0 && kind != 0 {
        labels(&mut object["metadata"], rng);
    }
    if rng.u8(0..4) == 0 {
        object["metadata"]["annotations"]["owner"] = pick(rng, &["team-a", "team-b", ""]).into();
    }
    object
}

fn pick<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(0..of.len())]
}

fn labels(metadata: &mut Value, rng: &mut Rng) {
    for (key, values) in [
        ("app", ["web", "api", "db"]),
        ("tier", ["front", "back", ""]),
        ("example.com/team", ["a", "b", "c"]),
    ] {
        if rng.bool() {
            metadata["labels"][key] = pick(rng, &values).into();
        }
    }
}

fn perhaps(rng: &mut Rng, into: &mut Value, key: &str, value: Value) {
    if rng.u8(0..3) == 0 {
        into[key] = value;
    }
}

fn amounts(rng: &mut Rng) -> Value {
    let mut amounts = json!({});
    if rng.bool() {
        amounts["cpu"] =
            [json!("100m"), json!("0.5"), json!(1), json!("1500m"), json!("2")][rng.usize(0..5)].clone();
    }
    if rng.bool() {
        amounts["memory"] = pick(rng, &["128Mi", "1Gi", "1024Mi", "0.5Gi", "1e9", "500M"]).into();
    }
    amounts
}

fn resources(rng: &mut Rng) -> Value {
    let mut resources = json!({});
    if rng.bool() {
        resources["limits"] =
            json!({"cpu": pick(rng, &["2", "3", "4000m"]), "memory": pick(rng, &["2Gi", "4096Mi"])});
    }
    if rng.bool() {
        resources["requests"] = amounts(rng);
    }
    resources
}

fn container(rng: &mut Rng, name: &str) -> Value {
    let image = pick(
        rng,
        &[
            "registry.example.com/app:1",
            "registry.example.com/app",
            "nginx:latest",
            "other.example.com/a@sha256:\
           0123456789012345678901234567890123456789012345678901234567890123",
        ],
    );
    let mut container = json!({"name": name, "image": image});
    let made = resources(rng);
    perhaps(rng, &mut container, "resources", made);
    let non_root = rng.bool();
    perhaps(
        rng,
        &mut container,
        "securityContext",
        json!({"runAsNonRoot": non_root, "allowPrivilegeEscalation": false}),
    );
    perhaps(
        rng,
        &mut container,
        "ports",
        json!([{"containerPort": 8080, "name": "http"}, {"containerPort": 53, "protocol": "UDP"}]),
    );
    perhaps(
        rng,
        &mut container,
        "env",
        json!([{"name": "A", "value": "1"}, {"name": "EMPTY", "value": ""},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]),
    );
    perhaps(rng, &mut container, "readinessProbe", json!({"httpGet": {"port": 8080}}));
    perhaps(rng, &mut container, "livenessProbe", json!({"tcpSocket": {"port": "http"}, "periodSeconds": 3}));
    perhaps(rng, &mut container, "startupProbe", json!({"grpc": {"port": 8080}}));
    perhaps(rng, &mut container, "lifecycle", json!({"preStop": {"exec": {"command": ["sleep", "1"]}}}));
    perhaps(rng, &mut container, "args", json!([]));
    perhaps(rng, &mut container, "command", json!(["run"]));
    perhaps(rng, &mut container, "imagePullPolicy", json!("Always"));
    perhaps(rng, &mut container, "tty", json!(false));
    // A probe needs the port that it names.
    if container["livenessProbe"].is_object() {
        container["ports"] = json!([{"containerPort": 8080, "name": "http"}]);
    }
    container
}

fn spec(rng: &mut Rng) -> Value {
    let mut spec = json!({"containers": [container(rng, "app")]});
    if rng.u8(0..3) == 0 {
        let mut side = container(rng, "side");
        side["ports"] = json!([]);
        side.as_object_mut().expect("a container is an object").remove("livenessProbe");
        spec["containers"] = json!([spec["containers"][0], side]);
    }
    let first = container(rng, "first");
    if rng.u8(0..4) == 0 {
        let mut first = first;
        for unwanted in ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"] {
            first.as_object_mut().expect("a container is an object").remove(unwanted);
        }
        spec["initContainers"] = json!([first]);
    }
    perhaps(
        rng,
        &mut spec,
        "volumes",
        json!([{"name": "tmp"}, {"name": "host", "hostPath": {"path": "/var/log"}},
        {"name": "conf", "configMap": {"name": "conf"}}, {"name": "all", "projected": {"sources": [
            {"secret": {"name": "s"}}, {"serviceAccountToken": {"path": "t"}}]}},
        {"name": "down", "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"name": "own", "ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}}}}},
        {"name": "scratch", "emptyDir": {"sizeLimit": "1024Mi"}}]),
    );
    perhaps(rng, &mut spec, "hostNetwork", json!(false));
    perhaps(rng, &mut spec, "nodeSelector", json!({}));
    perhaps(rng, &mut spec, "nodeSelector", json!({"disk": "ssd"}));
    perhaps(rng, &mut spec, "securityContext", json!({"runAsNonRoot": true, "fsGroup": 1000}));
    perhaps(rng, &mut spec, "automountServiceAccountToken", json!(false));
    perhaps(rng, &mut spec, "terminationGracePeriodSeconds", json!(5));
    perhaps(rng, &mut spec, "tolerations", json!([{"key": "a", "operator": "Exists"}]));
    perhaps(
        rng,
        &mut spec,
        "affinity",
        json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}]}}),
    );
    perhaps(
        rng,
        &mut spec,
        "topologySpreadConstraints",
        json!([{"maxSkew": 1, "topologyKey": "zone",
        "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app": "web"}}}]),
    );
    spec
}

fn template(rng: &mut Rng) -> Value {
    let mut template = json!({"metadata": {"labels": {"app": "web"}}, "spec": spec(rng)});
    perhaps(rng, &mut template["metadata"], "annotations", json!({"a": "b"}));
    template
}

fn pod(rng: &mut Rng) -> Value {
    if rng.bool() {
        return pods::pod(rng);
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": spec(rng)})
}

fn workload(rng: &mut Rng, kind: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {}, "spec":
        {"selector": {"matchLabels": {"app": "web"}}, "template": template(rng)}})
}

fn deployment(rng: &mut Rng) -> Value {
    let mut object = workload(rng, "Deployment");
    let spec = &mut object["spec"];
    let replicas = rng.u8(0..6);
    perhaps(rng, spec, "replicas", json!(replicas));
    perhaps(rng, spec, "strategy", json!({"type": "Recreate"}));
    perhaps(rng, spec, "strategy", json!({"rollingUpdate": {"maxSurge": 1}}));
    perhaps(rng, spec, "paused", json!(false));
    perhaps(rng, spec, "minReadySeconds", json!(0));
    perhaps(rng, spec, "revisionHistoryLimit", json!(2));
    object
}

fn stateful_set(rng: &mut Rng) -> Value {
    let mut object = workload(rng, "StatefulSet");
    let spec = &mut object["spec"];
    spec["serviceName"] = "web".into();
    let replicas = rng.u8(0..4);
    perhaps(rng, spec, "replicas", json!(replicas));
    perhaps(rng, spec, "podManagementPolicy", json!("Parallel"));
    perhaps(rng, spec, "updateStrategy", json!({"type": "OnDelete"}));
    perhaps(
        rng,
        spec,
        "volumeClaimTemplates",
        json!([{"metadata": {"name": "data"}, "spec":
        {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]),
    );
    object
}

fn daemon_set(rng: &mut Rng) -> Value {
    let mut object = workload(rng, "DaemonSet");
    perhaps(rng, &mut object["spec"], "updateStrategy", json!({"type": "OnDelete"}));
    object
}

fn job(rng: &mut Rng) -> Value {
    let mut object =
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "spec": {"template": template(rng)}});
    object["spec"]["template"]["spec"]["restartPolicy"] = "Never".into();
    perhaps(rng, &mut object["spec"], "completions", json!(3));
    perhaps(rng, &mut object["spec"], "suspend", json!(true));
    perhaps(rng, &mut object["spec"], "ttlSecondsAfterFinished", json!(0));
    object
}

fn cron_job(rng: &mut Rng) -> Value {
    let mut object = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {}, "spec":
        {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": template(rng)}}}});
    object["spec"]["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] = "OnFailure".into();
    perhaps(rng, &mut object["spec"], "concurrencyPolicy", json!("Forbid"));
    object
}

fn service(rng: &mut Rng) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {}, "spec":
        {"ports": [{"port": 80}, {"name": "https", "port": 443, "targetPort": "tls"}]}});
    object["spec"]["ports"][0]["name"] = "http".into();
    let spec = &mut object["spec"];
    perhaps(rng, spec, "selector", json!({"app": "web"}));
    perhaps(rng, spec, "type", json!("NodePort"));
    perhaps(rng, spec, "type", json!("LoadBalancer"));
    perhaps(rng, spec, "sessionAffinity", json!("ClientIP"));
    perhaps(rng, spec, "publishNotReadyAddresses", json!(false));
    if spec["type"].is_null() {
        perhaps(rng, spec, "clusterIP", json!("None"));
        perhaps(rng, spec, "externalIPs", json!(["192.0.2.7"]));
    }
    object
}

fn config_map(rng: &mut Rng) -> Value {
    let mut object =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": {"a": "1", "mode": ""}});
    perhaps(rng, &mut object, "data", json!({}));
    perhaps(rng, &mut object, "immutable", json!(false));
    object
}

fn secret(rng: &mut Rng) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": {"a": "YQ=="}});
    perhaps(rng, &mut object, "stringData", json!({"b": "text"}));
    perhaps(rng, &mut object, "type", json!("example.com/own"));
    object
}

fn claim(rng: &mut Rng) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {}, "spec":
        {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}});
    perhaps(rng, &mut object["spec"], "storageClassName", json!(""));
    perhaps(rng, &mut object["spec"], "volumeMode", json!("Block"));
    object
}

fn ingress(rng: &mut Rng) -> Value {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let mut object = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {}, "spec":
        {"rules": [{"host": "www.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}});
    perhaps(rng, &mut object["spec"], "ingressClassName", json!("nginx"));
    perhaps(rng, &mut object["spec"], "tls", json!([{"hosts": ["www.example.com"], "secretName": "tls"}]));
    object
}

fn network_policy(rng: &mut Rng) -> Value {
    let mut object = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {}, "spec":
        {"podSelector": {}}});
    perhaps(
        rng,
        &mut object["spec"],
        "ingress",
        json!([{"ports": [{"port": 80}], "from": [{"podSelector": {}}]}]),
    );
    perhaps(rng, &mut object["spec"], "egress", json!([{"ports": [{"port": 53, "protocol": "UDP"}]}]));
    object
}

fn other(rng: &mut Rng) -> Value {
    match rng.u8(0..6) {
        0 => {
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {}, "automountServiceAccountToken": false})
        }
        1 => json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {}, "rules":
            [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
        2 => {
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {}, "roleRef":
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}, "subjects":
            [{"kind": "User", "name": "jane"}, {"kind": "ServiceAccount", "name": "default", "namespace": "default"}]})
        }
        3 => json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {}, "spec":
            {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}}),
        4 => {
            json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {}, "spec":
            {"maxReplicas": 5, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}})
        }
        _ => {
            json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {}, "spec": {"hard": {"pods": 10, "cpu": "4000m"}}})
        }
    }
}
