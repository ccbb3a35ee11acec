//! Versions of Kubernetes' built-in kinds that are deprecated or removed, and what takes their place.
//!
//! Read from the methods `APILifecycleDeprecated`, `APILifecycleRemoved` and `APILifecycleReplacement` in
//!
//! - `*/v*/zz_generated.prerelease-lifecycle.go` and `core/v1/lifecycle.go` of the Go module k8s.io/api: 0.19.16,
//!   0.20.1, 0.21.14, 0.22.17, 0.23.1, 0.24.17, 0.25.1, 0.26.1, 0.27.1, 0.28.15, 0.29.1, 0.30.1, 0.31.10, 0.32.1,
//!   0.33.1, 0.34.3, 0.35.0 and 0.36.3 (the kinds, not the methods, also of 0.16.15 and 0.17.17),
//! - `pkg/apis/*/v*/zz_generated.prerelease-lifecycle.go` of k8s.io/apiextensions-apiserver and
//!   k8s.io/kube-aggregator: 0.21.14, 0.22.17, 0.24.1, 0.26.1, 0.28.1, 0.30.1, 0.32.1, 0.34.1 and 0.36.3.
//!
//! The newest module that has the kind counts, except that
//!
//! - a kind that went from k8s.io/api before the release that its method names, or has no method, was removed by the
//!   first release without it, and is then deprecated only where the method names an earlier release,
//! - some alpha kinds stayed in k8s.io/api after the API server stopped serving them, or have no method: rbac and
//!   scheduling (1.23), node (1.24), discovery (1.21) and auditregistration (1.19) are from Kubernetes' changelogs,
//!   networking's `IPAddress` and `ServiceCIDR` (1.31) from its OpenAPI document,
//! - where the method names no replacement, the highest later version of the same kind that 1.36 serves is named,
//! - where it names one that 1.36 deprecates or no longer serves, the one that follows it is named.
//!
//! A release after 1.36 is upstream's plan. Lists, `Scale` and other bodies of subresources, and webhook payloads are
//! left out. The removals agree with the OpenAPI documents of Kubernetes 1.22.17, 1.31.1, 1.33.1 and 1.36.3.

/// What becomes of one version of a kind. Releases of Kubernetes are given by their minor version: 25 is 1.25.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lifecycle {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The version within the group, such as `v1beta1`.
    pub version: &'static str,
    /// The kind, such as `Ingress`.
    pub kind: &'static str,
    /// The release since which it is deprecated; none if it was removed without having been deprecated.
    pub deprecated: Option<u16>,
    /// The first release that does not serve it.
    pub removed: Option<u16>,
    /// What takes its place, such as `apps/v1 Deployment`.
    pub replacement: Option<&'static str>,
    /// What else there is to know, mostly where no kind takes its place.
    pub note: Option<&'static str>,
}

/// What becomes of a version of a kind, if it is deprecated or removed in any release.
pub(crate) fn lifecycle(group: &str, version: &str, kind: &str) -> Option<&'static Lifecycle> {
    let found = TABLE.binary_search_by(|row| (row.group, row.version, row.kind).cmp(&(group, version, kind)));
    found.ok().and_then(|at| TABLE.get(at))
}

const AUDIT_SINK: &str =
    "No API takes its place: the audit backends are configured with flags of the API server";
const CLUSTER_CIDR: &str =
    "No API takes its place: further Pod address ranges are left to the network plugin";
const COMPONENT_STATUS: &str = "No API takes its place: ask each component's own health endpoint";
const PARAMETERS: &str =
    "No API takes its place: ResourceClaim and DeviceClass hold a driver's parameters themselves";
const POD_PRESET: &str =
    "No API takes its place: set the fields in the Pod template, or use a mutating webhook";
const POD_SCHEDULING: &str = "No API takes its place: the scheduler allocates devices itself";
const POD_SECURITY: &str =
    "Pod Security admission takes its place: label the namespace with pod-security.kubernetes.io/enforce";
const REDESIGNED: &str = "Its fields differ: dynamic resource allocation was redesigned in 1.31";

macro_rules! maybe {
    (_) => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

macro_rules! table {
    ($($group:literal $version:literal $kind:literal $deprecated:tt $removed:tt $replacement:tt $note:tt;)*) => {
        /// All of them, sorted by group, version and kind.
        pub(crate) static TABLE: &[Lifecycle] = &[$(Lifecycle {
            group: $group,
            version: $version,
            kind: $kind,
            deprecated: maybe!($deprecated),
            removed: maybe!($removed),
            replacement: maybe!($replacement),
            note: maybe!($note),
        }),*];
    };
}

// Group, version, kind, the releases that deprecate and remove it, what takes its place, a note (_: none).
table! {
    "" "v1" "ComponentStatus" 19 _ _ COMPONENT_STATUS;
    "" "v1" "Endpoints" 33 _ "discovery.k8s.io/v1 EndpointSlice" _;
    "admissionregistration.k8s.io" "v1alpha1" "MutatingAdmissionPolicy" 35 38 "admissionregistration.k8s.io/v1 MutatingAdmissionPolicy" _;
    "admissionregistration.k8s.io" "v1alpha1" "MutatingAdmissionPolicyBinding" 35 38 "admissionregistration.k8s.io/v1 MutatingAdmissionPolicyBinding" _;
    "admissionregistration.k8s.io" "v1alpha1" "ValidatingAdmissionPolicy" 29 32 "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy" _;
    "admissionregistration.k8s.io" "v1alpha1" "ValidatingAdmissionPolicyBinding" 29 32 "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding" _;
    "admissionregistration.k8s.io" "v1beta1" "MutatingAdmissionPolicy" 37 40 "admissionregistration.k8s.io/v1 MutatingAdmissionPolicy" _;
    "admissionregistration.k8s.io" "v1beta1" "MutatingAdmissionPolicyBinding" 37 40 "admissionregistration.k8s.io/v1 MutatingAdmissionPolicyBinding" _;
    "admissionregistration.k8s.io" "v1beta1" "MutatingWebhookConfiguration" 16 22 "admissionregistration.k8s.io/v1 MutatingWebhookConfiguration" _;
    "admissionregistration.k8s.io" "v1beta1" "ValidatingAdmissionPolicy" 31 34 "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy" _;
    "admissionregistration.k8s.io" "v1beta1" "ValidatingAdmissionPolicyBinding" 31 34 "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding" _;
    "admissionregistration.k8s.io" "v1beta1" "ValidatingWebhookConfiguration" 16 22 "admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration" _;
    "apiextensions.k8s.io" "v1beta1" "CustomResourceDefinition" 16 22 "apiextensions.k8s.io/v1 CustomResourceDefinition" _;
    "apiregistration.k8s.io" "v1beta1" "APIService" 19 22 "apiregistration.k8s.io/v1 APIService" _;
    "apps" "v1beta1" "ControllerRevision" 8 16 "apps/v1 ControllerRevision" _;
    "apps" "v1beta1" "Deployment" 8 16 "apps/v1 Deployment" _;
    "apps" "v1beta1" "StatefulSet" 8 16 "apps/v1 StatefulSet" _;
    "apps" "v1beta2" "ControllerRevision" 9 16 "apps/v1 ControllerRevision" _;
    "apps" "v1beta2" "DaemonSet" 9 16 "apps/v1 DaemonSet" _;
    "apps" "v1beta2" "Deployment" 9 16 "apps/v1 Deployment" _;
    "apps" "v1beta2" "ReplicaSet" 9 16 "apps/v1 ReplicaSet" _;
    "apps" "v1beta2" "StatefulSet" 9 16 "apps/v1 StatefulSet" _;
    "auditregistration.k8s.io" "v1alpha1" "AuditSink" _ 19 _ AUDIT_SINK;
    "authentication.k8s.io" "v1alpha1" "SelfSubjectReview" 29 32 "authentication.k8s.io/v1 SelfSubjectReview" _;
    "authentication.k8s.io" "v1beta1" "SelfSubjectReview" 30 33 "authentication.k8s.io/v1 SelfSubjectReview" _;
    "authentication.k8s.io" "v1beta1" "TokenReview" 19 22 "authentication.k8s.io/v1 TokenReview" _;
    "authorization.k8s.io" "v1beta1" "LocalSubjectAccessReview" 19 22 "authorization.k8s.io/v1 LocalSubjectAccessReview" _;
    "authorization.k8s.io" "v1beta1" "SelfSubjectAccessReview" 19 22 "authorization.k8s.io/v1 SelfSubjectAccessReview" _;
    "authorization.k8s.io" "v1beta1" "SelfSubjectRulesReview" 19 22 "authorization.k8s.io/v1 SelfSubjectRulesReview" _;
    "authorization.k8s.io" "v1beta1" "SubjectAccessReview" 19 22 "authorization.k8s.io/v1 SubjectAccessReview" _;
    "autoscaling" "v2beta1" "HorizontalPodAutoscaler" 22 25 "autoscaling/v2 HorizontalPodAutoscaler" _;
    "autoscaling" "v2beta2" "HorizontalPodAutoscaler" 23 26 "autoscaling/v2 HorizontalPodAutoscaler" _;
    "batch" "v1beta1" "CronJob" 21 25 "batch/v1 CronJob" _;
    "batch" "v2alpha1" "CronJob" _ 21 "batch/v1 CronJob" _;
    "certificates.k8s.io" "v1alpha1" "ClusterTrustBundle" 34 37 "certificates.k8s.io/v1beta1 ClusterTrustBundle" _;
    "certificates.k8s.io" "v1alpha1" "PodCertificateRequest" _ 35 "certificates.k8s.io/v1beta1 PodCertificateRequest" _;
    "certificates.k8s.io" "v1beta1" "CertificateSigningRequest" 19 22 "certificates.k8s.io/v1 CertificateSigningRequest" _;
    "certificates.k8s.io" "v1beta1" "ClusterTrustBundle" 37 40 _ _;
    "certificates.k8s.io" "v1beta1" "PodCertificateRequest" 38 41 _ _;
    "coordination.k8s.io" "v1alpha1" "LeaseCandidate" _ 32 "coordination.k8s.io/v1beta1 LeaseCandidate" _;
    "coordination.k8s.io" "v1alpha2" "LeaseCandidate" 35 38 "coordination.k8s.io/v1beta1 LeaseCandidate" _;
    "coordination.k8s.io" "v1beta1" "Lease" 19 22 "coordination.k8s.io/v1 Lease" _;
    "coordination.k8s.io" "v1beta1" "LeaseCandidate" 36 39 _ _;
    "discovery.k8s.io" "v1alpha1" "EndpointSlice" 20 21 "discovery.k8s.io/v1 EndpointSlice" _;
    "discovery.k8s.io" "v1beta1" "EndpointSlice" 21 25 "discovery.k8s.io/v1 EndpointSlice" _;
    "events.k8s.io" "v1beta1" "Event" 22 25 "events.k8s.io/v1 Event" _;
    "extensions" "v1beta1" "DaemonSet" 8 16 "apps/v1 DaemonSet" _;
    "extensions" "v1beta1" "Deployment" 8 16 "apps/v1 Deployment" _;
    "extensions" "v1beta1" "Ingress" 14 22 "networking.k8s.io/v1 Ingress" _;
    "extensions" "v1beta1" "NetworkPolicy" 9 16 "networking.k8s.io/v1 NetworkPolicy" _;
    "extensions" "v1beta1" "PodSecurityPolicy" 11 16 _ POD_SECURITY;
    "extensions" "v1beta1" "ReplicaSet" 8 16 "apps/v1 ReplicaSet" _;
    "flowcontrol.apiserver.k8s.io" "v1alpha1" "FlowSchema" 20 21 "flowcontrol.apiserver.k8s.io/v1 FlowSchema" _;
    "flowcontrol.apiserver.k8s.io" "v1alpha1" "PriorityLevelConfiguration" 20 21 "flowcontrol.apiserver.k8s.io/v1 PriorityLevelConfiguration" _;
    "flowcontrol.apiserver.k8s.io" "v1beta1" "FlowSchema" 23 26 "flowcontrol.apiserver.k8s.io/v1 FlowSchema" _;
    "flowcontrol.apiserver.k8s.io" "v1beta1" "PriorityLevelConfiguration" 23 26 "flowcontrol.apiserver.k8s.io/v1 PriorityLevelConfiguration" _;
    "flowcontrol.apiserver.k8s.io" "v1beta2" "FlowSchema" 26 29 "flowcontrol.apiserver.k8s.io/v1 FlowSchema" _;
    "flowcontrol.apiserver.k8s.io" "v1beta2" "PriorityLevelConfiguration" 26 29 "flowcontrol.apiserver.k8s.io/v1 PriorityLevelConfiguration" _;
    "flowcontrol.apiserver.k8s.io" "v1beta3" "FlowSchema" 29 32 "flowcontrol.apiserver.k8s.io/v1 FlowSchema" _;
    "flowcontrol.apiserver.k8s.io" "v1beta3" "PriorityLevelConfiguration" 29 32 "flowcontrol.apiserver.k8s.io/v1 PriorityLevelConfiguration" _;
    "networking.k8s.io" "v1alpha1" "ClusterCIDR" 28 29 _ CLUSTER_CIDR;
    "networking.k8s.io" "v1alpha1" "IPAddress" 30 31 "networking.k8s.io/v1 IPAddress" _;
    "networking.k8s.io" "v1alpha1" "ServiceCIDR" 30 31 "networking.k8s.io/v1 ServiceCIDR" _;
    "networking.k8s.io" "v1beta1" "IPAddress" 34 37 "networking.k8s.io/v1 IPAddress" _;
    "networking.k8s.io" "v1beta1" "Ingress" 19 22 "networking.k8s.io/v1 Ingress" _;
    "networking.k8s.io" "v1beta1" "IngressClass" 19 22 "networking.k8s.io/v1 IngressClass" _;
    "networking.k8s.io" "v1beta1" "ServiceCIDR" 34 37 "networking.k8s.io/v1 ServiceCIDR" _;
    "node.k8s.io" "v1alpha1" "RuntimeClass" _ 24 "node.k8s.io/v1 RuntimeClass" _;
    "node.k8s.io" "v1beta1" "RuntimeClass" 22 25 "node.k8s.io/v1 RuntimeClass" _;
    "policy" "v1beta1" "PodDisruptionBudget" 21 25 "policy/v1 PodDisruptionBudget" _;
    "policy" "v1beta1" "PodSecurityPolicy" 21 25 _ POD_SECURITY;
    "rbac.authorization.k8s.io" "v1alpha1" "ClusterRole" 17 23 "rbac.authorization.k8s.io/v1 ClusterRole" _;
    "rbac.authorization.k8s.io" "v1alpha1" "ClusterRoleBinding" 17 23 "rbac.authorization.k8s.io/v1 ClusterRoleBinding" _;
    "rbac.authorization.k8s.io" "v1alpha1" "Role" 17 23 "rbac.authorization.k8s.io/v1 Role" _;
    "rbac.authorization.k8s.io" "v1alpha1" "RoleBinding" 17 23 "rbac.authorization.k8s.io/v1 RoleBinding" _;
    "rbac.authorization.k8s.io" "v1beta1" "ClusterRole" 17 22 "rbac.authorization.k8s.io/v1 ClusterRole" _;
    "rbac.authorization.k8s.io" "v1beta1" "ClusterRoleBinding" 17 22 "rbac.authorization.k8s.io/v1 ClusterRoleBinding" _;
    "rbac.authorization.k8s.io" "v1beta1" "Role" 17 22 "rbac.authorization.k8s.io/v1 Role" _;
    "rbac.authorization.k8s.io" "v1beta1" "RoleBinding" 17 22 "rbac.authorization.k8s.io/v1 RoleBinding" _;
    "resource.k8s.io" "v1alpha1" "PodScheduling" _ 27 _ POD_SCHEDULING;
    "resource.k8s.io" "v1alpha1" "ResourceClaim" _ 27 "resource.k8s.io/v1 ResourceClaim" REDESIGNED;
    "resource.k8s.io" "v1alpha1" "ResourceClaimTemplate" _ 27 "resource.k8s.io/v1 ResourceClaimTemplate" REDESIGNED;
    "resource.k8s.io" "v1alpha1" "ResourceClass" _ 27 "resource.k8s.io/v1 DeviceClass" REDESIGNED;
    "resource.k8s.io" "v1alpha2" "PodSchedulingContext" _ 31 _ POD_SCHEDULING;
    "resource.k8s.io" "v1alpha2" "ResourceClaim" _ 31 "resource.k8s.io/v1 ResourceClaim" REDESIGNED;
    "resource.k8s.io" "v1alpha2" "ResourceClaimParameters" _ 31 _ PARAMETERS;
    "resource.k8s.io" "v1alpha2" "ResourceClaimTemplate" _ 31 "resource.k8s.io/v1 ResourceClaimTemplate" REDESIGNED;
    "resource.k8s.io" "v1alpha2" "ResourceClass" _ 31 "resource.k8s.io/v1 DeviceClass" REDESIGNED;
    "resource.k8s.io" "v1alpha2" "ResourceClassParameters" _ 31 _ PARAMETERS;
    "resource.k8s.io" "v1alpha2" "ResourceSlice" _ 31 "resource.k8s.io/v1 ResourceSlice" REDESIGNED;
    "resource.k8s.io" "v1alpha3" "DeviceClass" _ 34 "resource.k8s.io/v1 DeviceClass" _;
    "resource.k8s.io" "v1alpha3" "DeviceTaintRule" 36 39 "resource.k8s.io/v1beta2 DeviceTaintRule" _;
    "resource.k8s.io" "v1alpha3" "PodSchedulingContext" _ 32 _ POD_SCHEDULING;
    "resource.k8s.io" "v1alpha3" "ResourceClaim" _ 34 "resource.k8s.io/v1 ResourceClaim" _;
    "resource.k8s.io" "v1alpha3" "ResourceClaimTemplate" _ 34 "resource.k8s.io/v1 ResourceClaimTemplate" _;
    "resource.k8s.io" "v1alpha3" "ResourcePoolStatusRequest" 39 42 _ _;
    "resource.k8s.io" "v1alpha3" "ResourceSlice" _ 34 "resource.k8s.io/v1 ResourceSlice" _;
    "resource.k8s.io" "v1beta1" "DeviceClass" 35 38 "resource.k8s.io/v1 DeviceClass" _;
    "resource.k8s.io" "v1beta1" "ResourceClaim" 35 38 "resource.k8s.io/v1 ResourceClaim" _;
    "resource.k8s.io" "v1beta1" "ResourceClaimTemplate" 35 38 "resource.k8s.io/v1 ResourceClaimTemplate" _;
    "resource.k8s.io" "v1beta1" "ResourceSlice" 35 38 "resource.k8s.io/v1 ResourceSlice" _;
    "resource.k8s.io" "v1beta2" "DeviceClass" 36 39 "resource.k8s.io/v1 DeviceClass" _;
    "resource.k8s.io" "v1beta2" "DeviceTaintRule" 39 42 _ _;
    "resource.k8s.io" "v1beta2" "ResourceClaim" 36 39 "resource.k8s.io/v1 ResourceClaim" _;
    "resource.k8s.io" "v1beta2" "ResourceClaimTemplate" 36 39 "resource.k8s.io/v1 ResourceClaimTemplate" _;
    "resource.k8s.io" "v1beta2" "ResourceSlice" 36 39 "resource.k8s.io/v1 ResourceSlice" _;
    "scheduling.k8s.io" "v1alpha1" "PriorityClass" 14 23 "scheduling.k8s.io/v1 PriorityClass" _;
    "scheduling.k8s.io" "v1alpha1" "Workload" _ 36 "scheduling.k8s.io/v1alpha2 Workload" _;
    "scheduling.k8s.io" "v1beta1" "PriorityClass" 14 22 "scheduling.k8s.io/v1 PriorityClass" _;
    "settings.k8s.io" "v1alpha1" "PodPreset" _ 20 _ POD_PRESET;
    "storage.k8s.io" "v1alpha1" "CSIStorageCapacity" 21 24 "storage.k8s.io/v1 CSIStorageCapacity" _;
    "storage.k8s.io" "v1alpha1" "VolumeAttachment" 21 24 "storage.k8s.io/v1 VolumeAttachment" _;
    "storage.k8s.io" "v1alpha1" "VolumeAttributesClass" 32 35 "storage.k8s.io/v1 VolumeAttributesClass" _;
    "storage.k8s.io" "v1beta1" "CSIDriver" 19 22 "storage.k8s.io/v1 CSIDriver" _;
    "storage.k8s.io" "v1beta1" "CSINode" 17 22 "storage.k8s.io/v1 CSINode" _;
    "storage.k8s.io" "v1beta1" "CSIStorageCapacity" 24 27 "storage.k8s.io/v1 CSIStorageCapacity" _;
    "storage.k8s.io" "v1beta1" "StorageClass" 19 22 "storage.k8s.io/v1 StorageClass" _;
    "storage.k8s.io" "v1beta1" "VolumeAttachment" 19 22 "storage.k8s.io/v1 VolumeAttachment" _;
    "storage.k8s.io" "v1beta1" "VolumeAttributesClass" 34 37 "storage.k8s.io/v1 VolumeAttributesClass" _;
    "storagemigration.k8s.io" "v1alpha1" "StorageVersionMigration" 33 35 "storagemigration.k8s.io/v1beta1 StorageVersionMigration" _;
    "storagemigration.k8s.io" "v1beta1" "StorageVersionMigration" 38 41 _ _;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a replacement: group, version and kind.
    fn parts(replacement: &'static str) -> Option<(&'static str, &'static str, &'static str)> {
        let (api_version, kind) = replacement.split_once(' ')?;
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Some((group, version, kind))
    }

    #[test]
    fn the_table_is_sorted_and_has_each_kind_once() {
        assert!(TABLE.is_sorted_by(|a, b| (a.group, a.version, a.kind) < (b.group, b.version, b.kind)));
    }

    #[test]
    fn each_row_is_found_and_says_something() {
        for row in TABLE {
            assert_eq!(lifecycle(row.group, row.version, row.kind), Some(row));
            assert!(row.deprecated.is_some() || row.removed.is_some(), "{row:?}");
            if let (Some(deprecated), Some(removed)) = (row.deprecated, row.removed) {
                assert!(deprecated < removed, "{row:?}");
            }
            assert!(!row.kind.ends_with("List"), "{row:?}");
        }
    }

    #[test]
    fn what_takes_the_place_of_a_kind_outlives_it() {
        for row in TABLE {
            let Some(replacement) = row.replacement else {
                continue;
            };
            let (group, version, kind) = parts(replacement).unwrap();
            let end = |row: &Lifecycle| row.removed.unwrap_or(u16::MAX);
            if let Some(next) = lifecycle(group, version, kind) {
                assert!(end(next) > end(row), "{row:?}");
            }
            assert!(!kind.ends_with("List"), "{row:?}");
        }
    }

    #[test]
    fn well_known_removals() {
        let hpa = "HorizontalPodAutoscaler";
        for (group, version, kind, removed, replacement) in [
            ("extensions", "v1beta1", "Ingress", 22, "networking.k8s.io/v1"),
            ("extensions", "v1beta1", "Deployment", 16, "apps/v1"),
            ("extensions", "v1beta1", "NetworkPolicy", 16, "networking.k8s.io/v1"),
            ("apps", "v1beta2", "StatefulSet", 16, "apps/v1"),
            ("networking.k8s.io", "v1beta1", "Ingress", 22, "networking.k8s.io/v1"),
            ("networking.k8s.io", "v1beta1", "IngressClass", 22, "networking.k8s.io/v1"),
            ("policy", "v1beta1", "PodDisruptionBudget", 25, "policy/v1"),
            ("batch", "v1beta1", "CronJob", 25, "batch/v1"),
            ("batch", "v2alpha1", "CronJob", 21, "batch/v1"),
            ("autoscaling", "v2beta1", hpa, 25, "autoscaling/v2"),
            ("autoscaling", "v2beta2", hpa, 26, "autoscaling/v2"),
            ("rbac.authorization.k8s.io", "v1beta1", "Role", 22, "rbac.authorization.k8s.io/v1"),
            ("rbac.authorization.k8s.io", "v1alpha1", "Role", 23, "rbac.authorization.k8s.io/v1"),
            ("apiextensions.k8s.io", "v1beta1", "CustomResourceDefinition", 22, "apiextensions.k8s.io/v1"),
            ("apiregistration.k8s.io", "v1beta1", "APIService", 22, "apiregistration.k8s.io/v1"),
            ("discovery.k8s.io", "v1beta1", "EndpointSlice", 25, "discovery.k8s.io/v1"),
            ("events.k8s.io", "v1beta1", "Event", 25, "events.k8s.io/v1"),
            ("storage.k8s.io", "v1beta1", "CSIStorageCapacity", 27, "storage.k8s.io/v1"),
            ("flowcontrol.apiserver.k8s.io", "v1beta2", "FlowSchema", 29, "flowcontrol.apiserver.k8s.io/v1"),
            ("flowcontrol.apiserver.k8s.io", "v1beta3", "FlowSchema", 32, "flowcontrol.apiserver.k8s.io/v1"),
        ] {
            let row = lifecycle(group, version, kind).unwrap();
            let replacement = format!("{replacement} {kind}");
            let expected = (Some(removed), Some(replacement.as_str()), None);
            assert_eq!((row.removed, row.replacement, row.note), expected, "{group}/{version} {kind}");
        }
    }

    #[test]
    fn pod_security_policy_has_a_note_in_place_of_a_replacement() {
        for (group, deprecated, removed) in [("extensions", 11, 16), ("policy", 21, 25)] {
            let row = lifecycle(group, "v1beta1", "PodSecurityPolicy").unwrap();
            let releases = (row.deprecated, row.removed);
            assert_eq!(releases, (Some(deprecated), Some(removed)));
            assert_eq!(row.replacement, None);
            assert!(row.note.unwrap().contains("Pod Security admission"));
        }
    }

    #[test]
    fn endpoints_are_deprecated_but_not_removed() {
        let row = lifecycle("", "v1", "Endpoints").unwrap();
        assert_eq!((row.deprecated, row.removed), (Some(33), None));
        assert_eq!(row.replacement, Some("discovery.k8s.io/v1 EndpointSlice"));
    }

    #[test]
    fn stable_and_unknown_kinds_are_not_in_the_table() {
        for (group, version, kind) in [
            ("", "v1", "Pod"),
            ("apps", "v1", "Deployment"),
            ("autoscaling", "v2", "HorizontalPodAutoscaler"),
            ("batch", "v1", "CronJob"),
            ("networking.k8s.io", "v1", "Ingress"),
            ("extensions", "v1beta1", "Scale"),
            ("extensions", "v1beta1", "IngressList"),
            ("example.com", "v1beta1", "Ingress"),
            ("", "", ""),
        ] {
            assert_eq!(lifecycle(group, version, kind), None, "{group}/{version} {kind}");
        }
    }
}
