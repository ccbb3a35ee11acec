//! The checks of Preflight.
//!
//! [`builtin`] gives them all. Each is a module of its own, behind a feature of its own; nothing is registered by
//! magic, so what is in the slice is what runs.

#[cfg(feature = "admission")]
pub mod admission;
#[cfg(any(feature = "admission", feature = "resource-capacity"))]
mod admitted;
#[cfg(any(feature = "registry-health", feature = "resource-capacity", feature = "storage-validation"))]
pub mod capacity;
#[cfg(feature = "interception")]
#[cfg_attr(
    not(all(feature = "admission", feature = "operator-health")),
    allow(dead_code, reason = "two checks share it")
)]
mod cel;
#[cfg(feature = "change-safety")]
pub mod change_safety;
#[cfg(any(
    feature = "admission",
    feature = "change-safety",
    feature = "operator-health",
    feature = "references",
    feature = "registry-health",
    feature = "resource-capacity",
    feature = "storage-validation",
    feature = "traffic"
))]
mod changes;
#[cfg(feature = "cluster-connectivity")]
pub mod cluster_connectivity;
#[cfg(feature = "interception")]
#[cfg_attr(not(feature = "admission"), allow(dead_code, reason = "two checks share it"))]
pub mod effective;
#[cfg(feature = "interception")]
#[cfg_attr(
    not(all(feature = "admission", feature = "operator-health")),
    allow(dead_code, unused_imports, reason = "two checks share it")
)]
mod intercept;
#[cfg(any(
    feature = "admission",
    feature = "change-safety",
    feature = "operator-health",
    feature = "registry-health",
    feature = "resource-capacity",
    feature = "storage-validation",
    feature = "traffic"
))]
pub mod labels;
#[cfg(feature = "manifests")]
pub mod manifests;
#[cfg(any(feature = "operator-health", feature = "registry"))]
mod memo;
#[cfg(any(feature = "registry-health", feature = "storage-validation"))]
pub mod nodes;
#[cfg(feature = "operator-health")]
pub mod operator_health;
#[cfg(feature = "references")]
pub mod references;
#[cfg(feature = "registry")]
pub mod registry;
#[cfg(feature = "registry-health")]
pub mod registry_health;
#[cfg(feature = "resource-capacity")]
pub mod resource_capacity;
#[cfg(feature = "interception")]
#[cfg_attr(
    not(all(feature = "admission", feature = "operator-health")),
    allow(dead_code, reason = "two checks share it")
)]
mod schema;
mod settings;
#[cfg(any(feature = "resource-capacity", feature = "storage-validation"))]
pub mod storage;
#[cfg(feature = "storage-validation")]
pub mod storage_validation;
#[cfg(any(
    feature = "admission",
    feature = "change-safety",
    feature = "cluster-connectivity",
    feature = "operator-health",
    feature = "references",
    feature = "resource-capacity",
    feature = "storage-validation",
    feature = "traffic"
))]
mod told;
#[cfg(feature = "traffic")]
pub mod traffic;
#[cfg(any(feature = "change-safety", feature = "interception"))]
pub mod updates;

use std::sync::Arc;

use preflight_core::{Plugin, SettingsSpec};

pub use settings::{CveThreshold, Security};

/// Every check that is built in, in the order in which reports tell them.
#[must_use]
pub fn builtin() -> Vec<Arc<dyn Plugin>> {
    vec![
        #[cfg(feature = "cluster-connectivity")]
        Arc::new(cluster_connectivity::ClusterConnectivity),
        #[cfg(feature = "manifests")]
        Arc::new(manifests::ManifestsPlugin),
        #[cfg(feature = "registry-health")]
        Arc::new(registry_health::RegistryHealth),
        #[cfg(feature = "operator-health")]
        Arc::new(operator_health::OperatorHealth),
        #[cfg(feature = "resource-capacity")]
        Arc::new(resource_capacity::ResourceCapacity),
        #[cfg(feature = "storage-validation")]
        Arc::new(storage_validation::StorageValidation),
        #[cfg(feature = "admission")]
        Arc::new(admission::AdmissionPlugin),
        #[cfg(feature = "references")]
        Arc::new(references::ReferencesPlugin),
        #[cfg(feature = "change-safety")]
        Arc::new(change_safety::ChangeSafety),
        #[cfg(feature = "traffic")]
        Arc::new(traffic::Traffic),
    ]
}

/// Sections of an environment that are read, but that no check of this version enforces yet. A run says that they
/// were set aside.
#[must_use]
pub fn known_settings() -> Vec<SettingsSpec> {
    vec![SettingsSpec::of::<Security>()]
}
