//! The order in which a release's objects are applied, which depends on what applies them.

use crate::environment::Method;
use crate::manifests::Object;

/// Order of kinds that Helm installs in (`pkg/release/v1/util/kind_sorter.go`, Helm 4.0); unknown kinds come last.
const HELM: &[&str] = &[
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// Kinds that Helm knows a place for and Argo CD does not. For the others Argo CD has Helm's order, inside a wave
/// (`gitops-engine/pkg/sync/sync_tasks.go`).
const NOT_ARGO: &[&str] = &[
    "PriorityClass",
    "HorizontalPodAutoscaler",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// The annotation that puts an object into a wave of an Argo CD sync.
const WAVE: &str = "argocd.argoproj.io/sync-wave";

/// Whether an object is a hook that is deleted before it is made again: that is so where nothing else is said
/// (`pkg/action/hooks.go`, Helm 4.0, and `pkg/sync/hook` of Argo CD's gitops-engine).
pub(super) fn is_made_anew(method: Method, object: &Object) -> bool {
    let (hook, policy, before) = match method {
        Method::Helm => ("helm.sh/hook", "helm.sh/hook-delete-policy", "before-hook-creation"),
        Method::Argocd => {
            ("argocd.argoproj.io/hook", "argocd.argoproj.io/hook-delete-policy", "BeforeHookCreation")
        }
        _ => return false,
    };
    let annotations = object.annotations();
    let said = |key: &str| annotations.iter().find(|(own, _)| *own == key).map(|(_, value)| *value);
    said(hook).is_some()
        && said(policy).is_none_or(|policy| policy.split(',').any(|one| one.trim() == before))
}

/// When Helm makes the hooks of an install or an upgrade.
const MADE: [&str; 4] = ["pre-install", "post-install", "pre-upgrade", "post-upgrade"];
/// When it makes others: when a release is tested, deleted or rolled back.
const MADE_LATER: [&str; 6] =
    ["test", "test-success", "pre-delete", "post-delete", "pre-rollback", "post-rollback"];

/// Whether neither an install nor an upgrade makes an object: a hook of another occasion, or one of an occasion that Helm
/// does not know, which it leaves out (`pkg/release/v1/util/manifest_sorter.go`, Helm 4.0).
pub(super) fn is_left_out(method: Method, object: &Object) -> bool {
    let annotations = object.annotations();
    let hook = annotations.iter().find(|(key, _)| method == Method::Helm && *key == "helm.sh/hook");
    hook.is_some_and(|(_, occasions)| {
        let occasions: Vec<String> =
            occasions.split(',').map(|occasion| occasion.trim().to_lowercase()).collect();
        let is = |occasion: &String, known: &[&str]| known.contains(&occasion.as_str());
        let is_unknown = |occasion: &String| !is(occasion, &MADE) && !is(occasion, &MADE_LATER);
        !occasions.iter().any(|occasion| is(occasion, &MADE)) || occasions.iter().any(is_unknown)
    })
}

/// Whether the method applies the manifests in the order of the files, as kubectl does.
pub(super) const fn is_file_order(method: Method) -> bool {
    matches!(method, Method::Client | Method::Server | Method::Create)
}

/// Indices of `objects` in the order in which they are applied.
pub(super) fn apply_order(method: Method, objects: &[std::sync::Arc<Object>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..objects.len()).collect();
    match method {
        Method::Client | Method::Server | Method::Create => {}
        Method::Helm => order.sort_by_key(|&at| rank(objects[at].kind())),
        Method::Argocd => order.sort_by_cached_key(|&at| {
            let object = &objects[at];
            (wave(object), argo_rank(object.kind()), object.name().unwrap_or_default().to_owned())
        }),
    }
    order
}

fn rank(kind: &str) -> usize {
    HELM.iter().position(|known| *known == kind).unwrap_or(HELM.len())
}

fn argo_rank(kind: &str) -> usize {
    if NOT_ARGO.contains(&kind) { HELM.len() } else { rank(kind) }
}

fn wave(object: &Object) -> i64 {
    let annotations = object.annotations();
    annotations.iter().find(|(key, _)| *key == WAVE).and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::Manifests;

    fn kinds(method: Method, text: &str) -> Vec<String> {
        let manifests = Manifests::parse("a.yaml", text).unwrap();
        let order = apply_order(method, manifests.objects());
        order.into_iter().map(|at| manifests.objects()[at].display_name().to_owned()).collect()
    }

    const TEXT: &str = "
{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, annotations: {argocd.argoproj.io/sync-wave: '-1'}}}
---
{apiVersion: v1, kind: Service, metadata: {name: s}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: ns}}
---
{apiVersion: example.com/v1, kind: Thing, metadata: {name: t}}
";

    #[test]
    fn hooks_are_made_anew() {
        let is = |method: Method, annotations: &str| {
            let text = format!(
                "{{apiVersion: batch/v1, kind: Job, metadata: {{name: a, annotations: {{{annotations}}}}}}}"
            );
            is_made_anew(method, &Manifests::parse("a.yaml", &text).unwrap().objects()[0])
        };
        assert!(is(Method::Helm, "helm.sh/hook: pre-upgrade"));
        assert!(is(
            Method::Helm,
            "helm.sh/hook: pre-upgrade, helm.sh/hook-delete-policy: 'hook-succeeded, before-hook-creation'"
        ));
        assert!(!is(Method::Helm, "helm.sh/hook: pre-upgrade, helm.sh/hook-delete-policy: hook-succeeded"));
        assert!(!is(Method::Client, "helm.sh/hook: pre-upgrade") && !is(Method::Helm, "a: b"));
        assert!(is(Method::Argocd, "argocd.argoproj.io/hook: PreSync"));
    }

    #[test]
    fn hooks_of_other_occasions_are_left_out() {
        let is = |method: Method, hook: &str| {
            let text = format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: a, annotations: {{helm.sh/hook: '{hook}'}}}}}}"
            );
            is_left_out(method, &Manifests::parse("a.yaml", &text).unwrap().objects()[0])
        };
        for hook in
            ["test", "test-success", "Pre-Delete, post-rollback", "crd-install", "pre-install,nonsense", ""]
        {
            assert!(is(Method::Helm, hook), "{hook}");
            assert!(!is(Method::Client, hook) && !is(Method::Argocd, hook), "{hook}");
        }
        for hook in ["pre-install", "test, Post-Upgrade"] {
            assert!(!is(Method::Helm, hook), "{hook}");
        }
    }

    #[test]
    fn each_method_has_its_own_order() {
        assert_eq!(kinds(Method::Client, TEXT), ["d", "s", "ns", "t"]);
        assert_eq!(kinds(Method::Helm, TEXT), ["ns", "s", "d", "t"]);
        assert_eq!(kinds(Method::Argocd, TEXT), ["d", "ns", "s", "t"]);
    }
}
