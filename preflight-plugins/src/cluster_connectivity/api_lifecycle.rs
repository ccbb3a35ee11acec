//! Versions of Kubernetes' own kinds that were, or will be, removed.
//!
//! Read from the methods `APILifecycleDeprecated`, `APILifecycleRemoved` and `APILifecycleReplacement` in the files
//! `*/v*/zz_generated.prerelease-lifecycle.go` of the Go module k8s.io/api (0.19.16, 0.21.14, 0.24.17, 0.28.15,
//! 0.31.10, 0.34.3, 0.36.3; the newest that has the kind counts), and of k8s.io/apiextensions-apiserver and
//! k8s.io/kube-aggregator (0.21.14). Where they name no replacement, the stable version of the same kind is named.
//! Endpoints and ComponentStatus, whose stable versions are deprecated, are added by hand.

/// What becomes of one version of a kind. Versions of Kubernetes are minor ones: 25 is 1.25.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lifecycle {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    deprecated: u16,
    removed: u16,
    replacement: &'static str,
}

impl Lifecycle {
    /// The version of Kubernetes since which it is deprecated.
    pub(super) fn deprecated(&self) -> Option<u16> {
        (self.deprecated > 0).then_some(self.deprecated)
    }

    /// The version of Kubernetes that no longer serves it.
    pub(super) fn removed(&self) -> Option<u16> {
        (self.removed > 0).then_some(self.removed)
    }

    /// What takes its place, for example `apps/v1 Deployment`.
    pub(super) fn replacement(&self) -> Option<&'static str> {
        (!self.replacement.is_empty()).then_some(self.replacement)
    }

    /// What to do where no other kind takes its place.
    pub(super) fn note(&self) -> Option<&'static str> {
        (self.kind == "PodSecurityPolicy")
            .then_some("Pod Security admission takes its place: label the namespace with pod-security.kubernetes.io/enforce")
    }
}

/// What becomes of a version of a kind, where anything does.
pub(super) fn lifecycle(group: &str, version: &str, kind: &str) -> Option<&'static Lifecycle> {
    let found = TABLE.binary_search_by(|row| (row.group, row.version, row.kind).cmp(&(group, version, kind)));
    found.ok().and_then(|at| TABLE.get(at))
}

macro_rules! table {
    ($($group:literal $version:literal $kind:literal $deprecated:literal $removed:literal $replacement:literal;)*) => {
        /// Sorted by group, version and kind.
        static TABLE: &[Lifecycle] = &[$(Lifecycle {
            group: $group,
            version: $version,
            kind: $kind,
            deprecated: $deprecated,
            removed: $removed,
            replacement: $replacement,
        }),*];
    };
}

// Group, version, kind, the versions of Kubernetes that deprecate and remove it (0: none), what takes its place.
table! {
    "" "v1" "ComponentStatus" 19 0 "";
    "" "v1" "Endpoints" 33 0 "discovery.k8s.io/v1 EndpointSlice";
    "admissionregistration.k8s.io" "v1alpha1" "MutatingAdmissionPolicy" 35 38 "admissionregistration.k8s.io/v1 MutatingAdmissionPolicy";
    "admissionregistration.k8s.io" "v1alpha1" "MutatingAdmissionPolicyBinding" 35 38 "admissionregistration.k8s.io/v1 MutatingAdmissionPolicyBinding";
    "admissionregistration.k8s.io" "v1alpha1" "ValidatingAdmissionPolicy" 29 32 "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy";
    "admissionregistration.k8s.io" "v1alpha1" "ValidatingAdmissionPolicyBinding" 29 32 "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding";
    "admissionregistration.k8s.io" "v1beta1" "MutatingAdmissionPolicy" 37 40 "admissionregistration.k8s.io/v1 MutatingAdmissionPolicy";
    "admissionregistration.k8s.io" "v1beta1" "MutatingAdmissionPolicyBinding" 37 40 "admissionregistration.k8s.io/v1 MutatingAdmissionPolicyBinding";
    "admissionregistration.k8s.io" "v1beta1" "MutatingWebhookConfiguration" 16 22 "admissionregistration.k8s.io/v1 MutatingWebhookConfiguration";
    "admissionregistration.k8s.io" "v1beta1" "ValidatingAdmissionPolicy" 31 34 "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy";
    "admissionregistration.k8s.io" "v1beta1" "ValidatingAdmissionPolicyBinding" 31 34 "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding";
    "admissionregistration.k8s.io" "v1beta1" "ValidatingWebhookConfiguration" 16 22 "admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration";
    "apiextensions.k8s.io" "v1beta1" "CustomResourceDefinition" 16 22 "apiextensions.k8s.io/v1 CustomResourceDefinition";
    "apiregistration.k8s.io" "v1beta1" "APIService" 19 22 "apiregistration.k8s.io/v1 APIService";
    "apps" "v1beta1" "ControllerRevision" 8 16 "apps/v1 ControllerRevision";
    "apps" "v1beta1" "Deployment" 8 16 "apps/v1 Deployment";
    "apps" "v1beta1" "StatefulSet" 8 16 "apps/v1 StatefulSet";
    "apps" "v1beta2" "ControllerRevision" 9 16 "apps/v1 ControllerRevision";
    "apps" "v1beta2" "DaemonSet" 9 16 "apps/v1 DaemonSet";
    "apps" "v1beta2" "Deployment" 9 16 "apps/v1 Deployment";
    "apps" "v1beta2" "ReplicaSet" 9 16 "apps/v1 ReplicaSet";
    "apps" "v1beta2" "StatefulSet" 9 16 "apps/v1 StatefulSet";
    "autoscaling" "v2beta1" "HorizontalPodAutoscaler" 22 25 "autoscaling/v2 HorizontalPodAutoscaler";
    "autoscaling" "v2beta2" "HorizontalPodAutoscaler" 23 26 "autoscaling/v2 HorizontalPodAutoscaler";
    "batch" "v1beta1" "CronJob" 21 25 "batch/v1 CronJob";
    "certificates.k8s.io" "v1alpha1" "ClusterTrustBundle" 34 37 "";
    "certificates.k8s.io" "v1alpha1" "PodCertificateRequest" 37 40 "";
    "certificates.k8s.io" "v1beta1" "CertificateSigningRequest" 19 22 "certificates.k8s.io/v1 CertificateSigningRequest";
    "certificates.k8s.io" "v1beta1" "ClusterTrustBundle" 37 40 "";
    "certificates.k8s.io" "v1beta1" "PodCertificateRequest" 38 41 "";
    "coordination.k8s.io" "v1alpha1" "LeaseCandidate" 34 37 "";
    "coordination.k8s.io" "v1alpha2" "LeaseCandidate" 35 38 "";
    "coordination.k8s.io" "v1beta1" "Lease" 19 22 "coordination.k8s.io/v1 Lease";
    "coordination.k8s.io" "v1beta1" "LeaseCandidate" 36 39 "";
    "discovery.k8s.io" "v1beta1" "EndpointSlice" 21 25 "discovery.k8s.io/v1 EndpointSlice";
    "events.k8s.io" "v1beta1" "Event" 22 25 "events.k8s.io/v1 Event";
    "extensions" "v1beta1" "DaemonSet" 8 16 "apps/v1 DaemonSet";
    "extensions" "v1beta1" "Deployment" 8 16 "apps/v1 Deployment";
    "extensions" "v1beta1" "Ingress" 14 22 "networking.k8s.io/v1 Ingress";
    "extensions" "v1beta1" "NetworkPolicy" 9 16 "networking.k8s.io/v1 NetworkPolicy";
    "extensions" "v1beta1" "PodSecurityPolicy" 11 16 "";
    "extensions" "v1beta1" "ReplicaSet" 8 16 "apps/v1 ReplicaSet";
    "flowcontrol.apiserver.k8s.io" "v1alpha1" "FlowSchema" 20 21 "flowcontrol.apiserver.k8s.io/v1beta3 FlowSchema";
    "flowcontrol.apiserver.k8s.io" "v1alpha1" "PriorityLevelConfiguration" 20 21 "flowcontrol.apiserver.k8s.io/v1beta3 PriorityLevelConfiguration";
    "flowcontrol.apiserver.k8s.io" "v1beta1" "FlowSchema" 23 26 "flowcontrol.apiserver.k8s.io/v1beta3 FlowSchema";
    "flowcontrol.apiserver.k8s.io" "v1beta1" "PriorityLevelConfiguration" 23 26 "flowcontrol.apiserver.k8s.io/v1beta3 PriorityLevelConfiguration";
    "flowcontrol.apiserver.k8s.io" "v1beta2" "FlowSchema" 26 29 "flowcontrol.apiserver.k8s.io/v1beta3 FlowSchema";
    "flowcontrol.apiserver.k8s.io" "v1beta2" "PriorityLevelConfiguration" 26 29 "flowcontrol.apiserver.k8s.io/v1beta3 PriorityLevelConfiguration";
    "flowcontrol.apiserver.k8s.io" "v1beta3" "FlowSchema" 29 32 "flowcontrol.apiserver.k8s.io/v1 FlowSchema";
    "flowcontrol.apiserver.k8s.io" "v1beta3" "PriorityLevelConfiguration" 29 32 "flowcontrol.apiserver.k8s.io/v1 PriorityLevelConfiguration";
    "networking.k8s.io" "v1alpha1" "ClusterCIDR" 28 31 "";
    "networking.k8s.io" "v1alpha1" "IPAddress" 30 33 "networking.k8s.io/v1 IPAddress";
    "networking.k8s.io" "v1alpha1" "ServiceCIDR" 30 33 "networking.k8s.io/v1 ServiceCIDR";
    "networking.k8s.io" "v1beta1" "IPAddress" 34 37 "networking.k8s.io/v1 IPAddress";
    "networking.k8s.io" "v1beta1" "Ingress" 19 22 "networking.k8s.io/v1 Ingress";
    "networking.k8s.io" "v1beta1" "IngressClass" 19 22 "networking.k8s.io/v1 IngressClass";
    "networking.k8s.io" "v1beta1" "ServiceCIDR" 34 37 "networking.k8s.io/v1 ServiceCIDR";
    "node.k8s.io" "v1beta1" "RuntimeClass" 22 25 "node.k8s.io/v1 RuntimeClass";
    "policy" "v1beta1" "PodDisruptionBudget" 21 25 "policy/v1 PodDisruptionBudget";
    "policy" "v1beta1" "PodSecurityPolicy" 21 25 "";
    "rbac.authorization.k8s.io" "v1alpha1" "ClusterRole" 17 22 "rbac.authorization.k8s.io/v1 ClusterRole";
    "rbac.authorization.k8s.io" "v1alpha1" "ClusterRoleBinding" 17 22 "rbac.authorization.k8s.io/v1 ClusterRoleBinding";
    "rbac.authorization.k8s.io" "v1alpha1" "Role" 17 22 "rbac.authorization.k8s.io/v1 Role";
    "rbac.authorization.k8s.io" "v1alpha1" "RoleBinding" 17 22 "rbac.authorization.k8s.io/v1 RoleBinding";
    "rbac.authorization.k8s.io" "v1beta1" "ClusterRole" 17 22 "rbac.authorization.k8s.io/v1 ClusterRole";
    "rbac.authorization.k8s.io" "v1beta1" "ClusterRoleBinding" 17 22 "rbac.authorization.k8s.io/v1 ClusterRoleBinding";
    "rbac.authorization.k8s.io" "v1beta1" "Role" 17 22 "rbac.authorization.k8s.io/v1 Role";
    "rbac.authorization.k8s.io" "v1beta1" "RoleBinding" 17 22 "rbac.authorization.k8s.io/v1 RoleBinding";
    "resource.k8s.io" "v1alpha3" "DeviceTaintRule" 36 39 "";
    "resource.k8s.io" "v1alpha3" "ResourcePoolStatusRequest" 39 42 "";
    "resource.k8s.io" "v1beta1" "DeviceClass" 35 38 "resource.k8s.io/v1 DeviceClass";
    "resource.k8s.io" "v1beta1" "ResourceClaim" 35 38 "resource.k8s.io/v1 ResourceClaim";
    "resource.k8s.io" "v1beta1" "ResourceClaimTemplate" 35 38 "resource.k8s.io/v1 ResourceClaimTemplate";
    "resource.k8s.io" "v1beta1" "ResourceSlice" 35 38 "resource.k8s.io/v1 ResourceSlice";
    "resource.k8s.io" "v1beta2" "DeviceClass" 36 39 "resource.k8s.io/v1 DeviceClass";
    "resource.k8s.io" "v1beta2" "DeviceTaintRule" 39 42 "";
    "resource.k8s.io" "v1beta2" "ResourceClaim" 36 39 "resource.k8s.io/v1 ResourceClaim";
    "resource.k8s.io" "v1beta2" "ResourceClaimTemplate" 36 39 "resource.k8s.io/v1 ResourceClaimTemplate";
    "resource.k8s.io" "v1beta2" "ResourceSlice" 36 39 "resource.k8s.io/v1 ResourceSlice";
    "scheduling.k8s.io" "v1alpha1" "PriorityClass" 14 22 "scheduling.k8s.io/v1 PriorityClass";
    "scheduling.k8s.io" "v1beta1" "PriorityClass" 14 22 "scheduling.k8s.io/v1 PriorityClass";
    "storage.k8s.io" "v1alpha1" "CSIStorageCapacity" 21 24 "storage.k8s.io/v1beta1 CSIStorageCapacity";
    "storage.k8s.io" "v1alpha1" "VolumeAttachment" 21 24 "storage.k8s.io/v1 VolumeAttachment";
    "storage.k8s.io" "v1alpha1" "VolumeAttributesClass" 32 35 "storage.k8s.io/v1 VolumeAttributesClass";
    "storage.k8s.io" "v1beta1" "CSIDriver" 19 22 "storage.k8s.io/v1 CSIDriver";
    "storage.k8s.io" "v1beta1" "CSINode" 17 22 "storage.k8s.io/v1 CSINode";
    "storage.k8s.io" "v1beta1" "CSIStorageCapacity" 24 27 "storage.k8s.io/v1 CSIStorageCapacity";
    "storage.k8s.io" "v1beta1" "StorageClass" 19 22 "storage.k8s.io/v1 StorageClass";
    "storage.k8s.io" "v1beta1" "VolumeAttachment" 19 22 "storage.k8s.io/v1 VolumeAttachment";
    "storage.k8s.io" "v1beta1" "VolumeAttributesClass" 34 37 "storage.k8s.io/v1 VolumeAttributesClass";
    "storagemigration.k8s.io" "v1alpha1" "StorageVersionMigration" 33 36 "";
    "storagemigration.k8s.io" "v1beta1" "StorageVersionMigration" 38 41 "";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_has_each_kind_once() {
        assert!(TABLE.is_sorted_by(|a, b| (a.group, a.version, a.kind) < (b.group, b.version, b.kind)));
        assert!(TABLE.iter().all(|row| row.deprecated > 0));
    }

    #[test]
    fn what_is_known_of_old_versions() {
        for (group, version, kind, removed, replacement) in [
            (
                "extensions",
                "v1beta1",
                "Ingress",
                Some(22),
                Some("networking.k8s.io/v1 Ingress"),
            ),
            (
                "extensions",
                "v1beta1",
                "Deployment",
                Some(16),
                Some("apps/v1 Deployment"),
            ),
            (
                "policy",
                "v1beta1",
                "PodDisruptionBudget",
                Some(25),
                Some("policy/v1 PodDisruptionBudget"),
            ),
            ("policy", "v1beta1", "PodSecurityPolicy", Some(25), None),
            ("batch", "v1beta1", "CronJob", Some(25), Some("batch/v1 CronJob")),
            (
                "autoscaling",
                "v2beta2",
                "HorizontalPodAutoscaler",
                Some(26),
                Some("autoscaling/v2 HorizontalPodAutoscaler"),
            ),
            (
                "",
                "v1",
                "Endpoints",
                None,
                Some("discovery.k8s.io/v1 EndpointSlice"),
            ),
        ] {
            let row = lifecycle(group, version, kind).unwrap();
            assert_eq!(
                (row.removed(), row.replacement()),
                (removed, replacement),
                "{kind}"
            );
        }
        assert_eq!(lifecycle("apps", "v1", "Deployment"), None);
    }
}
