//! From an object to the path by which an API server serves it.

use std::collections::HashMap;

use serde_json::Value;

use super::store::text;

/// Plurals that the English rule below gets wrong, and kinds that belong to the whole cluster.
const CLUSTER_WIDE: &[&str] = &[
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "DeviceClass",
    "FlowSchema",
    "GatewayClass",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
];

/// Plurals of kinds, from discovery where it was recorded.
#[derive(Debug, Default)]
pub(super) struct Plurals {
    /// By group, version and kind: the plural.
    known: HashMap<(String, String, String), String>,
}

impl Plurals {
    /// Learns from a discovery document.
    pub(super) fn learn(&mut self, discovery: &Value) {
        let items = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
        for group in items(discovery, "items") {
            let name = text(&group, "/metadata/name").unwrap_or_default();
            for version in items(&group, "versions") {
                let of = text(&version, "/version").unwrap_or_default();
                for resource in items(&version, "resources") {
                    if let (Some(kind), Some(plural)) =
                        (text(&resource, "/responseKind/kind"), text(&resource, "/resource"))
                    {
                        self.known.insert((name.clone(), of.clone(), kind), plural);
                    }
                }
            }
        }
    }

    /// The path of the list that an object is in.
    pub(super) fn list_path(&self, object: &Value) -> Option<String> {
        let (api_version, kind) = (text(object, "/apiVersion")?, text(object, "/kind")?);
        let path = self.path(&api_version, &kind, text(object, "/metadata/namespace").as_deref());
        Some(path)
    }

    /// The path of the list of a kind.
    pub(super) fn path(&self, api_version: &str, kind: &str, namespace: Option<&str>) -> String {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let key = (group.to_owned(), version.to_owned(), kind.to_owned());
        let plural = self.known.get(&key).cloned().unwrap_or_else(|| plural(kind));
        let base = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{api_version}") };
        match namespace {
            Some(namespace) => format!("{base}/namespaces/{namespace}/{plural}"),
            None => format!("{base}/{plural}"),
        }
    }
}

/// Whether the kind's objects have no namespace, as far as Kubernetes' own kinds go.
pub(super) fn is_cluster_wide(kind: &str) -> bool {
    CLUSTER_WIDE.contains(&kind)
}

/// As Kubernetes itself guesses plurals (`UnsafeGuessKindToResource`, `pkg/api/meta/restmapper.go`, v1.36).
fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    if lower == "endpoints" {
        return lower;
    }
    match lower.chars().last() {
        Some('s') => format!("{lower}es"),
        Some('y') => format!("{}ies", &lower[..lower.len() - 1]),
        _ => format!("{lower}s"),
    }
}
