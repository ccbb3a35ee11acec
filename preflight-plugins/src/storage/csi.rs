//! The part of the objects of CSI drivers that is looked at. What is null counts as not written.

use preflight_core::{Quantity, view};
use serde::Deserialize;
use serde_json::Value;

use super::objects::nullable;

/// A CSIDriver.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CsiDriver {
    #[serde(deserialize_with = "nullable")]
    spec: DriverSpec,
}

view!(CsiDriver: cluster "storage.k8s.io" "v1" "csidrivers" "CSIDriver");

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DriverSpec {
    attach_required: Option<bool>,
    storage_capacity: Option<bool>,
}

impl CsiDriver {
    /// Whether its volumes are attached to nodes, and counted there.
    #[must_use]
    pub fn attaches(&self) -> bool {
        self.spec.attach_required.unwrap_or(true)
    }

    /// Whether it tells how much room there is, and the scheduler goes by that.
    #[must_use]
    pub fn tells_capacity(&self) -> bool {
        self.spec.storage_capacity.unwrap_or(false)
    }
}

/// A CSINode: the drivers that are registered on a node, under the node's name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CsiNode {
    #[serde(deserialize_with = "nullable")]
    spec: CsiNodeSpec,
}

view!(CsiNode: cluster "storage.k8s.io" "v1" "csinodes" "CSINode");

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct CsiNodeSpec {
    #[serde(deserialize_with = "nullable")]
    drivers: Vec<NodeDriver>,
}

/// A driver on a node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeDriver {
    /// The driver's name.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    #[serde(deserialize_with = "nullable")]
    allocatable: Count,
    /// Labels of the node that say where its volumes can be reached.
    #[serde(deserialize_with = "nullable")]
    pub topology_keys: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Count {
    count: Option<u64>,
}

impl NodeDriver {
    /// How many of its volumes the node takes; `None` for any number.
    #[must_use]
    pub const fn limit(&self) -> Option<u64> {
        self.allocatable.count
    }
}

impl CsiNode {
    /// The drivers that are registered there.
    #[must_use]
    pub fn drivers(&self) -> &[NodeDriver] {
        &self.spec.drivers
    }

    /// The driver of that name, if it is registered there.
    #[must_use]
    pub fn driver(&self, name: &str) -> Option<&NodeDriver> {
        self.spec.drivers.iter().find(|driver| driver.name == name)
    }
}

/// A CSIStorageCapacity: how much room there is for a class in one part of the cluster.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Capacity {
    /// The class.
    #[serde(deserialize_with = "nullable")]
    pub storage_class_name: String,
    /// Labels of the nodes that reach it; none where it is `None`.
    pub node_topology: Option<Value>,
    /// How much room there is.
    pub capacity: Option<Quantity>,
    /// How large one volume may be.
    pub maximum_volume_size: Option<Quantity>,
}

view!(Capacity: namespaced "storage.k8s.io" "v1" "csistoragecapacities" "CSIStorageCapacity");

impl Capacity {
    /// The largest volume that can be made there (`volumeLimit`,
    /// `pkg/scheduler/framework/plugins/volumebinding/binder.go`, v1.36).
    #[must_use]
    pub fn largest(&self) -> Option<Quantity> {
        self.maximum_volume_size.or(self.capacity)
    }
}

/// A VolumeAttachment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Attachment {
    #[serde(deserialize_with = "nullable")]
    spec: AttachmentSpec,
}

view!(Attachment: cluster "storage.k8s.io" "v1" "volumeattachments" "VolumeAttachment");

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AttachmentSpec {
    #[serde(deserialize_with = "nullable")]
    attacher: String,
    #[serde(deserialize_with = "nullable")]
    node_name: String,
    #[serde(deserialize_with = "nullable")]
    source: AttachmentSource,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AttachmentSource {
    #[serde(deserialize_with = "nullable")]
    persistent_volume_name: String,
}

impl Attachment {
    /// The driver that attaches it.
    #[must_use]
    pub fn attacher(&self) -> &str {
        &self.spec.attacher
    }

    /// The node that it is attached to.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.spec.node_name
    }

    /// The PersistentVolume; empty for a volume that is written in its pod.
    #[must_use]
    pub fn volume(&self) -> &str {
        &self.spec.source.persistent_volume_name
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_null_counts_as_not_written() {
        let node: CsiNode =
            serde_json::from_value(json!({"spec": {"drivers": [{"name": "a", "allocatable": null}]}}))
                .unwrap();
        assert_eq!(node.driver("a").map(NodeDriver::limit), Some(None));
        let attachment: Attachment = serde_json::from_value(json!({"spec": {"source": {}}})).unwrap();
        assert_eq!(attachment.volume(), "");
        let driver: CsiDriver = serde_json::from_value(json!({"spec": {"storageCapacity": null}})).unwrap();
        assert!(driver.attaches() && !driver.tells_capacity());
    }
}
