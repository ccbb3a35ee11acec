//! A cluster in which all is well, what is done to it, and what is expected of that.

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub use crate::support::cases::{Case, expect_all, list};
use crate::support::{Answer, ok};

pub const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
pub const VOLUMES: &str = "/api/v1/persistentvolumes";
pub const CLAIMS: &str = "/api/v1/namespaces/shop/persistentvolumeclaims";
pub const CLAIM: &str = "/api/v1/namespaces/shop/persistentvolumeclaims/data";
pub const DRIVERS: &str = "/apis/storage.k8s.io/v1/csidrivers";
pub const CSI_NODES: &str = "/apis/storage.k8s.io/v1/csinodes";
pub const CAPACITIES: &str = "/apis/storage.k8s.io/v1/csistoragecapacities";
pub const NODES: &str = "/api/v1/nodes";
pub const PODS: &str = "/api/v1/pods";
pub const DRIVER: &str = "disk.csi.example.com";
pub const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/disk.csi.example.com";
pub const SNAPSHOT: &str = "/apis/snapshot.storage.k8s.io/v1/namespaces/shop/volumesnapshots/before";
pub const SET: &str = "/apis/apps/v1/namespaces/shop/statefulsets/db";

/// All is well, and the release is one claim of the class `fast`.
pub fn case(name: impl Into<String>) -> Case {
    Case::new("storage-validation", name, healthy(), vec![claim(&json!({}))])
}

/// Puts these fields into an object, in place of those of the same name. What is null is taken out.
pub fn set(object: &mut Value, fields: &Value) {
    for (key, value) in fields.as_object().unwrap() {
        object[key] = value.clone();
    }
    object.as_object_mut().unwrap().retain(|_, value| !value.is_null());
}

/// A cluster with two nodes, a driver that is well on both, and the class `fast` of it.
fn healthy() -> BTreeMap<String, Answer> {
    let kind = |resource: &str, kind: &str, scope: &str| json!({"resource": resource, "responseKind": {"kind": kind}, "scope": scope});
    let version = |version: &str, resources: &[Value]| json!({"version": version, "freshness": "Current", "resources": resources});
    let group = |name: &str, versions: &[Value]| json!({"metadata": {"name": name}, "versions": versions});
    let core = [
        kind("configmaps", "ConfigMap", "Namespaced"),
        kind("pods", "Pod", "Namespaced"),
        kind("persistentvolumeclaims", "PersistentVolumeClaim", "Namespaced"),
        kind("persistentvolumes", "PersistentVolume", "Cluster"),
    ];
    let apps = [
        kind("deployments", "Deployment", "Namespaced"),
        kind("daemonsets", "DaemonSet", "Namespaced"),
        kind("statefulsets", "StatefulSet", "Namespaced"),
    ];
    let groups = [
        group("apps", &[version("v1", &apps)]),
        group("storage.k8s.io", &[version("v1", &[kind("storageclasses", "StorageClass", "Cluster")])]),
        group(
            "snapshot.storage.k8s.io",
            &[version("v1", &[kind("volumesnapshots", "VolumeSnapshot", "Namespaced")])],
        ),
    ];
    let discovery = |groups: &[Value]| json!({"kind": "APIGroupDiscoveryList", "items": groups});
    [
        ("/version", json!({"gitVersion": "v1.36.3"})),
        ("/api", discovery(&[group("", &[version("v1", &core)])])),
        ("/apis", discovery(&groups)),
        (CLASSES, list(&[class("fast", &json!({}))])),
        (VOLUMES, list(&[])),
        (CLAIMS, list(&[])),
        (DRIVERS, list(&[json!({"metadata": {"name": DRIVER}, "spec": {}})])),
        (CSI_NODES, list(&[csi_node("node-1", &[DRIVER]), csi_node("node-2", &[DRIVER])])),
        (CAPACITIES, list(&[])),
        (NODES, list(&[node("node-1", "a"), node("node-2", "b")])),
        (
            PODS,
            list(&[controller(true), node_plugin("node-plugin-1", true), node_plugin("node-plugin-2", true)]),
        ),
    ]
    .into_iter()
    .map(|(path, object)| (path.to_owned(), ok(&object)))
    .collect()
}

/// A class of the driver, with these fields instead.
pub fn class(name: &str, fields: &Value) -> Value {
    let mut class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "provisioner": DRIVER, "volumeBindingMode": "Immediate",
    });
    set(&mut class, fields);
    class
}

/// A class that is marked as the default.
pub fn default_class(name: &str, created: &str) -> Value {
    let annotations = json!({"storageclass.kubernetes.io/is-default-class": "true"});
    class(
        name,
        &json!({"metadata": {"name": name, "creationTimestamp": created, "annotations": annotations}}),
    )
}

pub fn node(name: &str, zone: &str) -> Value {
    let labels = json!({"kubernetes.io/hostname": name, "zone": zone});
    json!({"metadata": {"name": name, "labels": labels}})
}

pub fn csi_node(name: &str, drivers: &[&str]) -> Value {
    let drivers: Vec<_> =
        drivers.iter().map(|name| json!({"name": name, "nodeID": "n", "topologyKeys": null})).collect();
    json!({"metadata": {"name": name}, "spec": {"drivers": drivers}})
}

fn pod(name: &str, spec: &Value, ready: bool) -> Value {
    let ready = if ready { "True" } else { "False" };
    json!({
        "metadata": {"name": name, "namespace": "storage"}, "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    })
}

/// The driver's controller.
pub fn controller(ready: bool) -> Value {
    pod("controller-1", &json!({"containers": [{"name": "csi-provisioner", "image": "a:1"}]}), ready)
}

/// A pod of the driver's node plugin.
pub fn node_plugin(name: &str, ready: bool) -> Value {
    let path = format!("/var/lib/kubelet/plugins/{DRIVER}");
    let spec = json!({
        "containers": [{"name": "plugin", "image": "a:1"}],
        "volumes": [{"name": "folder", "hostPath": {"path": path}}],
    });
    pod(name, &spec, ready)
}

/// A pod with one container.
pub fn other_pod(container: &Value, ready: bool) -> Value {
    pod("other-1", &json!({"containers": [container]}), ready)
}

/// The claim `data` of the class `fast`, with these fields in its `spec` instead.
pub fn claim(fields: &Value) -> Value {
    let mut spec = json!({
        "storageClassName": "fast", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}},
    });
    set(&mut spec, fields);
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "shop"},
        "spec": spec,
    })
}

/// The claim `data` as it is in the cluster.
pub fn live_claim(phase: &str, fields: &Value) -> Value {
    let mut live = claim(fields);
    live["metadata"]["uid"] = "1".into();
    live["spec"]["volumeMode"] = "Filesystem".into();
    live["status"] = json!({"phase": phase});
    if phase == "Bound" {
        live["spec"]["volumeName"] = "pv-1".into();
        live["status"]["capacity"] = live["spec"]["resources"]["requests"].clone();
    }
    live
}

/// A volume made by hand, of the class `manual`, with these fields in its `spec` instead.
pub fn volume(name: &str, fields: &Value) -> Value {
    let mut spec = json!({
        "storageClassName": "manual", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"},
        "hostPath": {"path": "/nowhere"},
    });
    set(&mut spec, fields);
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec,
        "status": {"phase": "Available"},
    })
}

/// A workload whose pods use the claim `data`, with these fields in the pods' `spec` besides.
pub fn workload(kind: &str, fields: &Value) -> Value {
    let mut spec = json!({
        "containers": [{"name": "app", "image": "a:1"}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    });
    set(&mut spec, fields);
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": spec},
        },
    })
}

/// A StatefulSet whose pods have claims of the class `fast`, with these fields in its `spec` instead.
pub fn stateful_set(replicas: u64, fields: &Value) -> Value {
    let mut spec = json!({
        "replicas": replicas, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
        "template": {
            "metadata": {"labels": {"app": "db"}},
            "spec": {"containers": [{"name": "app", "image": "a:1"}]},
        },
        "volumeClaimTemplates": [template(&json!({}))],
    });
    set(&mut spec, fields);
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "shop"}, "spec": spec})
}

/// A template of claims, with these fields in its `spec` instead.
pub fn template(fields: &Value) -> Value {
    json!({"metadata": {"name": "data"}, "spec": claim(fields)["spec"]})
}

/// A claim that a StatefulSet has made.
pub fn claim_of_set(ordinal: u64, phase: &str) -> Value {
    let mut live = live_claim(phase, &json!({}));
    live["metadata"]["name"] = format!("data-db-{ordinal}").into();
    live
}
