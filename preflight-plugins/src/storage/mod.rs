//! StorageClasses, claims, volumes and drivers, and which of them go together.

mod claims;
mod classes;
mod csi;
mod objects;
mod topology;
mod volumes;

pub use claims::{
    NewClaim, Origin, ReleaseClaim, Use, UsedClaim, claims_of, new_claims, pod_count, used_claims,
};
pub use classes::{default_class, defaults, is_csi_name, migrated};
pub use csi::{Attachment, Capacity, CsiDriver, CsiNode, NodeDriver};
pub use objects::{
    Claim, ClaimRef, ClaimSpec, ClaimStatus, CsiSource, DataSource, Meta, StorageClass, TopologyRequirement,
    TopologyTerm, Volume, VolumeSpec,
};
pub use topology::{
    capacity_reaches, meets_topology, node_selector_matches, volume_reaches, zone_labels_reach,
};
pub use volumes::{Fit, Wish, fits, match_all, smallest};
