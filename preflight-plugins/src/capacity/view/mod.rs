//! What is read of pods and nodes: the part that decides about scheduling.

mod affinity;
mod node;
mod pod;

use serde::{Deserialize, Deserializer};

pub use affinity::{Affinity, NodeAffinity, NodeTerm, NodeTerms, PodTerm, PodTerms, PreferredNode};
pub use node::{Node, NodeInfo, NodeMeta, NodeSpec, NodeStatus, Taint};
pub use pod::{ClaimSource, Gate, Owner, Pod, PodMeta, PodSpec, PodStatus, Spread, Toleration, Volume};

/// Takes null for nothing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Something that is true, false or unknown of an object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// What.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in one word.
    #[serde(deserialize_with = "or_default")]
    pub reason: String,
}
