//! What the API server fills in where nothing is written (`pkg/apis/*/v1/defaults.go`, v1.36), as far as it is compared
//! with what was there before.

use serde_json::{Map, Value, json};

/// Fills an object in.
pub(super) fn fill(object: &mut Value) {
    let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let group = version.split_once('/').map_or("", |(group, _)| group);
    match (group, kind.as_str()) {
        ("", "Pod") => pod_spec(&mut object["spec"]),
        ("batch", "Job") => {
            put(&mut object["spec"], &[("completionMode", json!("NonIndexed")), ("suspend", json!(false))]);
            job(&mut object["spec"]);
            pod_spec(&mut object["spec"]["template"]["spec"]);
        }
        ("", "PersistentVolume") => {
            put(&mut object["spec"], &[("volumeMode", json!("Filesystem"))]);
            volume_source(&mut object["spec"]);
        }
        ("", "Secret") => put(object, &[("type", json!("Opaque"))]),
        ("", "Service") => put(&mut object["spec"], &[("type", json!("ClusterIP"))]),
        ("rbac.authorization.k8s.io", _) if kind.ends_with("Binding") => {
            put(&mut object["roleRef"], &[("apiGroup", json!("rbac.authorization.k8s.io"))]);
        }
        ("storage.k8s.io", "StorageClass") => {
            put(object, &[("reclaimPolicy", json!("Delete")), ("volumeBindingMode", json!("Immediate"))]);
        }
        ("storage.k8s.io", "CSIDriver") => put(
            &mut object["spec"],
            &[("attachRequired", json!(true)), ("volumeLifecycleModes", json!(["Persistent"]))],
        ),
        ("scheduling.k8s.io", "PriorityClass") => {
            put(object, &[("preemptionPolicy", json!("PreemptLowerPriority"))]);
        }
        ("resource.k8s.io", "ResourceClaim") => devices(&mut object["spec"]),
        ("resource.k8s.io", "ResourceClaimTemplate") => devices(&mut object["spec"]["spec"]),
        _ => {}
    }
}

/// Puts values in where there are none.
pub(crate) fn put(into: &mut Value, values: &[(&str, Value)]) {
    if into.is_null() {
        *into = Value::Object(Map::new());
    }
    let Some(fields) = into.as_object_mut() else { return };
    for (key, value) in values {
        let field = fields.entry((*key).to_owned()).or_insert(Value::Null);
        if field.is_null() || *field == "" {
            *field = value.clone();
        }
    }
}

pub(crate) fn each(value: &mut Value, list: &str, work: impl FnMut(&mut Value)) {
    value.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().for_each(work);
}

pub(crate) fn present<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    value.get_mut(key).filter(|field| field.is_object())
}

/// One pod is to succeed where nothing else is said (`SetDefaults_Job`, `pkg/apis/batch/v1/defaults.go`).
fn job(spec: &mut Value) {
    if spec["completions"].is_null() && spec["parallelism"].is_null() {
        put(spec, &[("completions", json!(1)), ("parallelism", json!(1))]);
    } else {
        put(spec, &[("parallelism", json!(1))]);
    }
}

fn devices(spec: &mut Value) {
    let Some(devices) = present(spec, "devices") else { return };
    each(devices, "requests", |request| {
        let exact = |request: &mut Value| {
            put(request, &[("allocationMode", json!("ExactCount"))]);
            if request["allocationMode"] == "ExactCount" {
                put(request, &[("count", json!(1))]);
            }
        };
        if let Some(request) = present(request, "exactly") {
            exact(request);
        }
        each(request, "firstAvailable", exact);
    });
}

/// The `spec` of a pod or of a template.
pub(crate) fn pod_spec(spec: &mut Value) {
    put(
        spec,
        &[
            ("restartPolicy", json!("Always")),
            ("dnsPolicy", json!("ClusterFirst")),
            ("schedulerName", json!("default-scheduler")),
            ("terminationGracePeriodSeconds", json!(30)),
            ("securityContext", json!({})),
        ],
    );
    // Either name stands for both.
    for (from, to) in [("serviceAccountName", "serviceAccount"), ("serviceAccount", "serviceAccountName")] {
        if let Some(name) = spec[from].as_str().filter(|name| !name.is_empty()).map(str::to_owned) {
            put(spec, &[(to, name.into())]);
        }
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        each(spec, list, container);
    }
    each(spec, "volumes", volume);
}

fn container(container: &mut Value) {
    let policy = pull_policy(container["image"].as_str().unwrap_or_default());
    put(
        container,
        &[
            ("imagePullPolicy", policy.into()),
            ("terminationMessagePath", json!("/dev/termination-log")),
            ("terminationMessagePolicy", json!("File")),
            ("resources", json!({})),
        ],
    );
    each(container, "ports", |port| put(port, &[("protocol", json!("TCP"))]));
    each(container, "env", |variable| {
        if let Some(field) = present(variable, "valueFrom").and_then(|from| present(from, "fieldRef")) {
            put(field, &[("apiVersion", json!("v1"))]);
        }
    });
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = present(container, probe) {
            put(
                probe,
                &[
                    ("timeoutSeconds", json!(1)),
                    ("periodSeconds", json!(10)),
                    ("successThreshold", json!(1)),
                    ("failureThreshold", json!(3)),
                ],
            );
            handler(probe);
        }
    }
    if let Some(lifecycle) = present(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(hook) = present(lifecycle, hook) {
                handler(hook);
            }
        }
    }
}

fn handler(handler: &mut Value) {
    if let Some(get) = present(handler, "httpGet") {
        put(get, &[("path", json!("/")), ("scheme", json!("HTTP"))]);
    }
    if let Some(grpc) = present(handler, "grpc") {
        put(grpc, &[("service", json!(""))]);
    }
}

/// An image without a tag, or with the tag `latest`, is always pulled.
fn pull_policy(image: &str) -> &'static str {
    let last = image.rsplit('/').next().unwrap_or_default();
    let (name, digest) = last.split_once('@').map_or((last, false), |(name, _)| (name, true));
    match name.split_once(':') {
        Some((_, "latest")) => "Always",
        None if !digest => "Always",
        _ => "IfNotPresent",
    }
}

fn volume(volume: &mut Value) {
    if let Some(fields) = volume.as_object_mut()
        && fields.keys().all(|key| key == "name")
    {
        fields.insert("emptyDir".to_owned(), json!({}));
    }
    volume_source(volume);
}

fn volume_source(volume: &mut Value) {
    for source in ["configMap", "secret", "downwardAPI", "projected"] {
        if let Some(source) = present(volume, source) {
            put(source, &[("defaultMode", json!(420))]);
        }
    }
    if let Some(path) = present(volume, "hostPath") {
        put(path, &[("type", json!(""))]);
    }
    if let Some(source) = present(volume, "downwardAPI") {
        each(source, "items", field_of_item);
    }
    if let Some(projected) = present(volume, "projected") {
        each(projected, "sources", |source| {
            if let Some(token) = present(source, "serviceAccountToken") {
                put(token, &[("expirationSeconds", json!(3600))]);
            }
            if let Some(fields) = present(source, "downwardAPI") {
                each(fields, "items", field_of_item);
            }
        });
    }
    if let Some(claim) = present(volume, "ephemeral").and_then(|own| present(own, "volumeClaimTemplate")) {
        put(&mut claim["spec"], &[("volumeMode", json!("Filesystem"))]);
    }
}

fn field_of_item(item: &mut Value) {
    if let Some(field) = present(item, "fieldRef") {
        put(field, &[("apiVersion", json!("v1"))]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_filled_in() {
        let mut spec = json!({"serviceAccountName": "a", "containers": [{"name": "c", "image": "r/i:1", "ports": [{"containerPort": 1}],
            "livenessProbe": {"httpGet": {"port": 1}}}], "volumes": [{"name": "v"}, {"name": "s", "secret": {"secretName": "s"}}]});
        pod_spec(&mut spec);
        assert_eq!(spec["containers"][0]["imagePullPolicy"], "IfNotPresent");
        assert_eq!(spec["containers"][0]["ports"][0]["protocol"], "TCP");
        assert_eq!(spec["containers"][0]["livenessProbe"]["httpGet"]["scheme"], "HTTP");
        assert_eq!(spec["volumes"][0]["emptyDir"], json!({}));
        assert_eq!(spec["volumes"][1]["secret"]["defaultMode"], 420);
        assert_eq!(spec["serviceAccount"], "a");
    }

    #[test]
    fn images_are_pulled_by_their_tag() {
        for (image, policy) in [
            ("a", "Always"),
            ("a:latest", "Always"),
            ("a:1", "IfNotPresent"),
            ("host:5000/a", "Always"),
            ("a@sha256:0", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }
}
