//! The part of the objects of storage that is looked at. What is null counts as not written.

use std::collections::BTreeMap;

use preflight_core::{Quantity, view};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::classes::{is_default, migrated};
use crate::labels::Labels;

/// The provisioner of classes whose volumes somebody makes by hand.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
/// On a volume: who made it.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// On a claim: the node that the scheduler has chosen for it.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

pub(super) fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What is looked at of any object's `metadata`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Meta {
    /// Name.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Namespace, where it has one.
    #[serde(deserialize_with = "nullable")]
    pub namespace: String,
    /// Its identity; empty for what is not there yet.
    #[serde(deserialize_with = "nullable")]
    pub uid: String,
    /// Labels.
    #[serde(deserialize_with = "nullable")]
    pub labels: Labels,
    /// Annotations.
    #[serde(deserialize_with = "nullable")]
    pub annotations: BTreeMap<String, String>,
    /// When it was made, in RFC 3339; `None` for what is not there yet.
    pub creation_timestamp: Option<String>,
    /// When its deletion was asked for.
    pub deletion_timestamp: Option<String>,
}

/// A StorageClass.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StorageClass {
    /// Metadata.
    #[serde(deserialize_with = "nullable")]
    pub metadata: Meta,
    /// Who makes its volumes.
    #[serde(deserialize_with = "nullable")]
    pub provisioner: String,
    /// `Immediate`, which is the default, or `WaitForFirstConsumer`.
    pub volume_binding_mode: Option<String>,
    /// Whether its volumes can be made larger.
    pub allow_volume_expansion: Option<bool>,
    /// Where its volumes may be made; anywhere if it is empty.
    #[serde(deserialize_with = "nullable")]
    pub allowed_topologies: Vec<TopologyTerm>,
    /// What the provisioner is told.
    #[serde(deserialize_with = "nullable")]
    pub parameters: BTreeMap<String, String>,
}

view!(StorageClass: cluster "storage.k8s.io" "v1" "storageclasses" "StorageClass");

/// One of the places where volumes may be made: all its requirements are met.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopologyTerm {
    /// The requirements.
    #[serde(deserialize_with = "nullable")]
    pub match_label_expressions: Vec<TopologyRequirement>,
}

/// A label of nodes, and the values that it may have.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct TopologyRequirement {
    /// The label's key.
    #[serde(deserialize_with = "nullable")]
    pub key: String,
    /// Values, one of which it has.
    #[serde(deserialize_with = "nullable")]
    pub values: Vec<String>,
}

impl StorageClass {
    /// Whether an annotation makes it the default.
    #[must_use]
    pub fn is_default(&self) -> bool {
        is_default(&self.metadata.annotations)
    }

    /// Whether a volume is bound or made only once a pod that uses the claim is being scheduled.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer")
    }

    /// Who makes volumes for its claims: a CSI driver by its own name where it has taken over from what was built in.
    /// `None` where nobody does, and only volumes made by hand are bound.
    #[must_use]
    pub fn made_by(&self) -> Option<&str> {
        let written = self.provisioner.as_str();
        (!written.is_empty() && written != NO_PROVISIONER).then(|| migrated(written))
    }
}

/// A PersistentVolumeClaim.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Claim {
    /// Metadata.
    #[serde(deserialize_with = "nullable")]
    pub metadata: Meta,
    /// What it asks for.
    #[serde(deserialize_with = "nullable")]
    pub spec: ClaimSpec,
    /// What became of it.
    #[serde(deserialize_with = "nullable")]
    pub status: ClaimStatus,
}

view!(Claim: namespaced "" "v1" "persistentvolumeclaims" "PersistentVolumeClaim");

/// What a claim asks for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClaimSpec {
    /// The class: `None` is left to the default, an empty one is none.
    pub storage_class_name: Option<String>,
    /// Access modes.
    #[serde(deserialize_with = "nullable")]
    pub access_modes: Vec<String>,
    /// `Filesystem`, which is the default, or `Block`.
    pub volume_mode: Option<String>,
    /// How much, under `requests.storage`.
    #[serde(deserialize_with = "nullable")]
    resources: Resources,
    /// Labels that the volume must have.
    pub selector: Option<Value>,
    /// The one volume that will do.
    #[serde(deserialize_with = "nullable")]
    pub volume_name: String,
    /// What the volume is filled from.
    pub data_source: Option<DataSource>,
    /// What the volume is filled from, of any kind.
    pub data_source_ref: Option<DataSource>,
    /// The class of attributes, which volumes must share.
    #[serde(deserialize_with = "nullable")]
    pub volume_attributes_class_name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Resources {
    #[serde(deserialize_with = "nullable")]
    requests: Storage,
}

/// A list of resources, of which only the storage is looked at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Storage {
    storage: Option<Quantity>,
}

/// What a claim's volume is filled from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DataSource {
    /// API group; `None` for the core group.
    pub api_group: Option<String>,
    /// Kind.
    #[serde(deserialize_with = "nullable")]
    pub kind: String,
    /// Name.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Namespace, where it is another than the claim's.
    pub namespace: Option<String>,
}

/// What became of a claim.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ClaimStatus {
    /// `Pending`, `Bound` or `Lost`.
    #[serde(deserialize_with = "nullable")]
    pub phase: String,
    #[serde(deserialize_with = "nullable")]
    capacity: Storage,
}

impl ClaimSpec {
    /// How much it asks for.
    #[must_use]
    pub const fn size(&self) -> Option<Quantity> {
        self.resources.requests.storage
    }

    /// Whether it asks for a block device.
    #[must_use]
    pub fn is_block(&self) -> bool {
        self.volume_mode.as_deref() == Some("Block")
    }

    /// What its volume is filled from.
    #[must_use]
    pub fn source(&self) -> Option<&DataSource> {
        self.data_source_ref.as_ref().or(self.data_source.as_ref())
    }
}

impl Claim {
    /// Where the class of a claim or volume stood before it had a field.
    pub(crate) const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

    /// The class as it is written: `None` is left to the default, an empty one is none
    /// (`GetPersistentVolumeClaimClass`, `k8s.io/component-helpers/storage/volume/helpers.go`, v1.36).
    #[must_use]
    pub fn class(&self) -> Option<&str> {
        let before = self.metadata.annotations.get(Claim::CLASS_ANNOTATION).map(String::as_str);
        before.or(self.spec.storage_class_name.as_deref())
    }

    /// How large its volume is, once it is bound.
    #[must_use]
    pub const fn capacity(&self) -> Option<Quantity> {
        self.status.capacity.storage
    }

    /// The node that the scheduler has chosen for it.
    #[must_use]
    pub fn selected_node(&self) -> Option<&str> {
        self.metadata.annotations.get(SELECTED_NODE).map(String::as_str)
    }

    /// Whether it has its volume.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.status.phase == "Bound"
    }
}

/// A PersistentVolume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// Metadata.
    #[serde(deserialize_with = "nullable")]
    pub metadata: Meta,
    /// What it is.
    #[serde(deserialize_with = "nullable")]
    pub spec: VolumeSpec,
    #[serde(deserialize_with = "nullable")]
    status: VolumeStatus,
}

view!(Volume: cluster "" "v1" "persistentvolumes" "PersistentVolume");

/// What a volume is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VolumeSpec {
    #[serde(deserialize_with = "nullable")]
    capacity: Storage,
    /// Access modes that it allows.
    #[serde(deserialize_with = "nullable")]
    pub access_modes: Vec<String>,
    /// `Filesystem`, which is the default, or `Block`.
    pub volume_mode: Option<String>,
    #[serde(deserialize_with = "nullable")]
    storage_class_name: String,
    #[serde(deserialize_with = "nullable")]
    node_affinity: Affinity,
    /// Which claim it belongs to, or is kept for.
    pub claim_ref: Option<ClaimRef>,
    /// The driver's part, where it is a CSI volume.
    pub csi: Option<CsiSource>,
    /// The class of attributes, which claims must share.
    #[serde(deserialize_with = "nullable")]
    pub volume_attributes_class_name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Affinity {
    required: Option<Value>,
}

/// The claim that a volume belongs to, or is kept for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ClaimRef {
    /// The claim's namespace.
    #[serde(deserialize_with = "nullable")]
    pub namespace: String,
    /// The claim's name.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// The claim's identity; empty where the volume is kept for a claim of that name.
    #[serde(deserialize_with = "nullable")]
    pub uid: String,
}

/// The driver's part of a volume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CsiSource {
    /// The driver's name.
    #[serde(deserialize_with = "nullable")]
    pub driver: String,
    /// What the driver calls the volume.
    #[serde(deserialize_with = "nullable")]
    pub volume_handle: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct VolumeStatus {
    #[serde(deserialize_with = "nullable")]
    phase: String,
}

impl Volume {
    /// How large it is.
    #[must_use]
    pub const fn size(&self) -> Option<Quantity> {
        self.spec.capacity.storage
    }

    /// Its class; empty for none.
    #[must_use]
    pub fn class(&self) -> &str {
        self.metadata.annotations.get(Claim::CLASS_ANNOTATION).unwrap_or(&self.spec.storage_class_name)
    }

    /// Whether it is a block device.
    #[must_use]
    pub fn is_block(&self) -> bool {
        self.spec.volume_mode.as_deref() == Some("Block")
    }

    /// The node selector that nodes which use it must meet, where there is one.
    #[must_use]
    pub const fn node_affinity(&self) -> Option<&Value> {
        self.spec.node_affinity.required.as_ref()
    }

    /// `Available`, `Bound`, `Released` or `Failed`; empty, or `Pending`, for one that has just been made.
    #[must_use]
    pub fn phase(&self) -> &str {
        &self.status.phase
    }

    /// Whether nobody has looked at it yet: it will be available.
    #[must_use]
    pub fn is_new(&self) -> bool {
        matches!(self.phase(), "" | "Pending")
    }

    /// Who made it, where it was not made by hand.
    #[must_use]
    pub fn provisioned_by(&self) -> Option<&str> {
        self.metadata.annotations.get(PROVISIONED_BY).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_null_counts_as_not_written() {
        let claim: Claim = serde_json::from_value(json!({
            "metadata": {"name": "data", "labels": null, "creationTimestamp": null},
            "spec": {"accessModes": null, "resources": {"requests": null}, "volumeName": null, "selector": null},
            "status": null,
        }))
        .unwrap();
        assert_eq!((claim.class(), claim.spec.size(), claim.is_bound()), (None, None, false));
        let class: StorageClass = serde_json::from_value(
            json!({"provisioner": "a", "allowedTopologies": null, "parameters": null}),
        )
        .unwrap();
        assert_eq!((class.made_by(), class.waits(), class.is_default()), (Some("a"), false, false));
        let volume: Volume =
            serde_json::from_value(json!({"spec": {"nodeAffinity": null, "csi": null}})).unwrap();
        assert!(volume.is_new() && volume.node_affinity().is_none());
    }

    #[test]
    fn what_is_something_else_does_not_fit() {
        assert!(serde_json::from_value::<Claim>(json!({"spec": 1})).is_err());
        assert!(
            serde_json::from_value::<Volume>(json!({"spec": {"capacity": {"storage": "much"}}})).is_err()
        );
    }

    #[test]
    fn who_makes_volumes() {
        for (written, by) in [
            ("kubernetes.io/no-provisioner", None),
            ("", None),
            ("kubernetes.io/aws-ebs", Some("ebs.csi.aws.com")),
            ("rancher.io/local-path", Some("rancher.io/local-path")),
        ] {
            let class = StorageClass { provisioner: written.to_owned(), ..StorageClass::default() };
            assert_eq!(class.made_by(), by);
        }
    }

    #[test]
    fn the_annotation_of_old_counts_before_the_field() {
        let claim: Claim = serde_json::from_value(json!({
            "metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "old"}},
            "spec": {"storageClassName": "new"},
        }))
        .unwrap();
        assert_eq!(claim.class(), Some("old"));
    }
}
