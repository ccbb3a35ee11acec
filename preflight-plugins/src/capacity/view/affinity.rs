//! What is read of affinity.

use serde::Deserialize;
use serde_json::Value;

use super::or_default;

/// Affinity, as far as it is required, and what is preferred of nodes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Affinity {
    /// To nodes.
    #[serde(deserialize_with = "or_default")]
    pub node_affinity: NodeAffinity,
    /// To pods.
    #[serde(deserialize_with = "or_default")]
    pub pod_affinity: PodTerms,
    /// Away from pods.
    #[serde(deserialize_with = "or_default")]
    pub pod_anti_affinity: PodTerms,
}

/// Affinity to nodes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NodeAffinity {
    /// What is required.
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Option<NodeTerms>,
    /// What is preferred.
    #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution", deserialize_with = "or_default")]
    pub preferred: Vec<PreferredNode>,
}

/// Alternatives, of which a node must meet one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeTerms {
    /// The alternatives.
    #[serde(deserialize_with = "or_default")]
    pub node_selector_terms: Vec<NodeTerm>,
}

/// A preferred term.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PreferredNode {
    /// From 1 to 100.
    pub weight: i64,
    /// What is preferred.
    pub preference: NodeTerm,
}

/// Requirements, all of which a node must meet.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeTerm {
    /// On labels.
    #[serde(deserialize_with = "or_default")]
    pub match_expressions: Vec<Value>,
    /// On fields: `metadata.name` alone.
    #[serde(deserialize_with = "or_default")]
    pub match_fields: Vec<Value>,
}

/// Affinity to, or away from, pods, as far as it is required.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PodTerms {
    /// What is required.
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution", deserialize_with = "or_default")]
    pub required: Vec<PodTerm>,
}

/// Which pods, within what of each other.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodTerm {
    /// Which pods; null selects none.
    pub label_selector: Option<Value>,
    /// In which namespaces.
    #[serde(deserialize_with = "or_default")]
    pub namespaces: Vec<String>,
    /// In namespaces with which labels; null is none of them, `{}` all.
    pub namespace_selector: Option<Value>,
    /// The label of nodes that tells what is one place.
    pub topology_key: String,
    /// Labels whose value must be that of the pod itself.
    #[serde(deserialize_with = "or_default")]
    pub match_label_keys: Vec<String>,
    /// Labels whose value must not be that of the pod itself.
    #[serde(deserialize_with = "or_default")]
    pub mismatch_label_keys: Vec<String>,
}
