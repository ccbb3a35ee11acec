//! What is read of nodes.

use std::collections::BTreeMap;

use preflight_core::{Quantity, view};
use serde::Deserialize;

use super::{Condition, or_default};
use crate::labels::Labels;

/// A node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Its labels.
    pub metadata: NodeMeta,
    /// Its taints.
    pub spec: NodeSpec,
    /// What it has.
    pub status: NodeStatus,
}

view!(Node: cluster "" "v1" "nodes" "Node");

/// Labels of a node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NodeMeta {
    /// Its labels.
    #[serde(deserialize_with = "or_default")]
    pub labels: Labels,
}

/// Taints of a node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    /// Whether it is cordoned.
    #[serde(deserialize_with = "or_default")]
    pub unschedulable: bool,
    /// Its taints.
    #[serde(deserialize_with = "or_default")]
    pub taints: Vec<Taint>,
}

/// What keeps pods away that do not bear it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value.
    #[serde(deserialize_with = "or_default")]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// What a node has.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeStatus {
    /// What pods may request of it.
    #[serde(deserialize_with = "or_default")]
    pub allocatable: BTreeMap<String, Quantity>,
    /// What is true of it.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
    /// What runs on it.
    #[serde(deserialize_with = "or_default")]
    pub node_info: NodeInfo,
}

/// What runs on a node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeInfo {
    /// In Go's name.
    pub operating_system: String,
    /// In Go's name.
    pub architecture: String,
    /// `containerd://2.1.4`
    pub container_runtime_version: String,
}
