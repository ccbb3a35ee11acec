//! Changes that the API server refuses because of what is there (`Validate…Update` in `pkg/apis/*/validation/validation.go`
//! and `staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go`, v1.36).

mod core;
mod definitions;
mod jobs;
mod pods;
mod services;

use preflight_core::{FieldPath, Quantity};
use serde::Deserialize;
use serde_json::Value;

/// A change that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The field that may not be changed.
    pub path: FieldPath,
    /// Why.
    pub why: String,
}

impl Change {
    fn new(path: &str, why: impl Into<String>) -> Self {
        Self { path: FieldPath::of(path), why: why.into() }
    }
}

/// Fields of a kind that stay as they were made.
type Fixed = (&'static str, &'static str, &'static [&'static str]);

/// By group and kind. Kinds that have more to them have functions of their own.
const FIXED: [Fixed; 20] = [
    ("apps", "Deployment", &["spec.selector"]),
    ("apps", "ReplicaSet", &["spec.selector"]),
    ("apps", "DaemonSet", &["spec.selector"]),
    ("apps", "ControllerRevision", &["data"]),
    ("rbac.authorization.k8s.io", "RoleBinding", &["roleRef"]),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", &["roleRef"]),
    ("storage.k8s.io", "StorageClass", &["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"]),
    ("storage.k8s.io", "CSIDriver", &["spec.attachRequired", "spec.volumeLifecycleModes"]),
    ("storage.k8s.io", "VolumeAttachment", &["spec"]),
    ("storage.k8s.io", "VolumeAttributesClass", &["driverName", "parameters"]),
    ("storage.k8s.io", "CSIStorageCapacity", &["nodeTopology", "storageClassName"]),
    ("scheduling.k8s.io", "PriorityClass", &["value", "preemptionPolicy"]),
    ("node.k8s.io", "RuntimeClass", &["handler"]),
    ("networking.k8s.io", "IngressClass", &["spec.controller"]),
    ("networking.k8s.io", "IPAddress", &["spec.parentRef"]),
    ("discovery.k8s.io", "EndpointSlice", &["addressType"]),
    ("resource.k8s.io", "ResourceClaim", &["spec"]),
    ("resource.k8s.io", "ResourceClaimTemplate", &["spec"]),
    ("resource.k8s.io", "ResourceSlice", &["spec.pool.name", "spec.driver", "spec.nodeName"]),
    ("certificates.k8s.io", "ClusterTrustBundle", &["spec.signerName"]),
];

/// What is refused of a change. Both objects are as the API server keeps them, with defaults.
///
/// Claims and StatefulSets are left to the check of storage.
#[must_use]
pub fn refused(group: &str, kind: &str, before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = metadata(before, after);
    let fixed = FIXED.iter().find(|(of, name, _)| (*of, *name) == (group, kind));
    for path in fixed.map_or(&[][..], |(.., paths)| paths) {
        if !same(at(before, path), at(after, path)) {
            changes.push(Change::new(path, "it stays as it was made"));
        }
    }
    let own = match (group, kind) {
        ("", "Pod") => pods::refused(before, after),
        ("", "Service") => services::refused(before, after),
        ("", "PersistentVolume") => core::volume(before, after),
        ("", "Secret" | "ConfigMap") => core::contents(kind, before, after),
        ("", "ReplicationController") => core::controller(after),
        ("", "ResourceQuota") => core::quota(before, after),
        ("", "Node") => core::node(before, after),
        ("batch", "Job") => jobs::refused(before, after),
        ("networking.k8s.io", "ServiceCIDR") => core::service_range(before, after),
        ("storage.k8s.io", "CSINode") => core::csi_node(before, after),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definitions::refused(before, after),
        _ => Vec::new(),
    };
    changes.extend(own);
    changes
}

/// `ValidateObjectMetaAccessorUpdate`, `staging/src/k8s.io/apimachinery/pkg/api/validation/objectmeta.go`, and the
/// conflict that a stale `resourceVersion` is.
fn metadata(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    let text = |object: &Value, key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    if !text(after, "uid").is_empty() && text(before, "uid") != text(after, "uid") {
        changes.push(Change::new("metadata.uid", "it is another object's"));
    }
    let version = text(after, "resourceVersion");
    if !version.is_empty() && version != text(before, "resourceVersion") {
        changes.push(Change::new("metadata.resourceVersion", "the object has changed since"));
    }
    let finalizers = |object: &Value| -> Vec<String> {
        let all = object["metadata"]["finalizers"].as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let old = finalizers(before);
    let is_going = !before["metadata"]["deletionTimestamp"].is_null();
    if is_going && finalizers(after).iter().any(|new| !old.contains(new)) {
        changes
            .push(Change::new("metadata.finalizers", "the object is being deleted, and none may be added"));
    }
    changes
}

/// What is at a path of keys.
fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(object, |value, key| &value[key])
}

fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    at(object, path).as_str().unwrap_or_default()
}

/// Whether two values are the same to the API server: an empty list or map is as good as none, and amounts count by what
/// they are (`apiequality.Semantic`, `staging/src/k8s.io/apimachinery/pkg/api/equality/semantic.go`).
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys = one.keys().chain(other.keys());
            keys.into_iter().all(|key| {
                let (one, other) =
                    (one.get(key).unwrap_or(&Value::Null), other.get(key).unwrap_or(&Value::Null));
                if AMOUNTS.contains(&key.as_str()) { same_amounts(one, other) } else { same(one, other) }
            })
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Null, other) | (other, Value::Null) => is_none(other),
        (one, other) => one == other,
    }
}

/// Fields that hold amounts, or maps of them.
const AMOUNTS: [&str; 6] = ["requests", "limits", "overhead", "capacity", "sizeLimit", "divisor"];

fn same_amounts(one: &Value, other: &Value) -> bool {
    let amount = |value: &Value| Quantity::deserialize(value).ok();
    match (one, other) {
        (Value::Object(_), Value::Object(_)) | (Value::Null, _) | (_, Value::Null) => match (one, other) {
            (Value::Object(one), Value::Object(other)) => {
                one.len() == other.len()
                    && one
                        .iter()
                        .all(|(key, one)| other.get(key).is_some_and(|other| same_amounts(one, other)))
            }
            _ => same(one, other),
        },
        _ => one == other || amount(one).is_some_and(|one| amount(other) == Some(one)),
    }
}

/// Whether a value says as little as none.
fn is_none(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_none),
        _ => false,
    }
}
