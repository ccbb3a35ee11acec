//! Does everything that the release names exist, or come with it?

mod find;
mod keys;
mod owners;
mod pods;
mod producers;
mod routes;
mod scaling;
mod settings;

use preflight_core::cluster::{Read, Resource};
use preflight_core::{CheckResult, Context, Descriptor, Phase, Plugin, Rule, Undecided, async_trait, rules};

use find::Finder;
pub use settings::References;

rules! { plugin "references";
    /// A pod needs a ConfigMap or Secret that does not exist.
    ///
    /// The kubelet does not start the containers (`CreateContainerConfigError`, or a volume that cannot be mounted), so the
    /// rollout never ends. Put it into the release, create it, or say `optional: true` where the pod works without it. What
    /// an operator will make is a warning; what else will be made by then is declared in the environment with `expects`.
    ///
    /// ```sh
    /// kubectl get configmaps,secrets -n NAMESPACE
    /// ```
    CONFIG_MISSING = "config-missing", wont_land;
    /// A ConfigMap or Secret does not have the key that a pod needs.
    ///
    /// The kubelet does not start the container, or does not mount the volume. Which keys a Secret has is told by the
    /// metadata of those who wrote it; where that is not enough, they are read only if the environment says
    /// `references: {read_secrets: true}`.
    ///
    /// ```sh
    /// kubectl describe configmap NAME -n NAMESPACE
    /// ```
    KEY_MISSING = "key-missing", wont_land;
    /// A pod runs as a ServiceAccount that does not exist.
    ///
    /// The API server refuses such pods when their controller makes them, so there is no pod to look at. Create the
    /// ServiceAccount, or name one that exists.
    ///
    /// ```sh
    /// kubectl get serviceaccounts -n NAMESPACE
    /// ```
    SERVICE_ACCOUNT_MISSING = "service-account-missing", wont_land;
    /// An object is owned by others that do not exist.
    ///
    /// The garbage collector deletes it as soon as it sees it: no owner has that name and UID. Leave
    /// `metadata.ownerReferences` out of manifests; they are written by controllers.
    ///
    /// ```sh
    /// kubectl get KIND NAME -n NAMESPACE -o jsonpath='{.metadata.ownerReferences}'
    /// ```
    OWNER_MISSING = "owner-missing", wont_land;
    /// A StatefulSet names a Service that does not exist.
    ///
    /// Its pods start, but have no DNS names of their own, by which they usually find each other.
    ///
    /// ```sh
    /// kubectl get services -n NAMESPACE
    /// ```
    SERVICE_MISSING = "service-missing", harm;
    /// An Ingress or Gateway names a Secret for TLS that does not exist.
    ///
    /// It serves another certificate, or nothing, until the Secret is there. Create it, or have it made by a Certificate.
    ///
    /// ```sh
    /// kubectl get secrets -n NAMESPACE --field-selector type=kubernetes.io/tls
    /// ```
    TLS_SECRET_MISSING = "tls-secret-missing", harm;
    /// An Ingress or Gateway names a class that does not exist.
    ///
    /// No controller looks at it, so no traffic arrives. Name a class that exists, or install its controller.
    ///
    /// ```sh
    /// kubectl get ingressclasses
    /// kubectl get gatewayclasses
    /// ```
    CLASS_MISSING = "class-missing", harm;
    /// A route is attached to a Gateway, or to a listener of one, that does not exist.
    ///
    /// The route is accepted and has no effect until the Gateway is there.
    ///
    /// ```sh
    /// kubectl get gateways -A
    /// ```
    PARENT_MISSING = "parent-missing", harm;
    /// A binding grants a role that does not exist.
    ///
    /// The binding is accepted and grants nothing; whoever relies on it is refused at run time.
    ///
    /// ```sh
    /// kubectl get roles -n NAMESPACE
    /// kubectl get clusterroles
    /// ```
    ROLE_MISSING = "role-missing", harm;
    /// A HorizontalPodAutoscaler cannot scale what it names.
    ///
    /// Its target does not exist, or another HorizontalPodAutoscaler scales the same one: then neither does anything.
    ///
    /// ```sh
    /// kubectl describe horizontalpodautoscaler NAME -n NAMESPACE
    /// ```
    SCALE_TARGET = "scale-target", harm;
    /// A HorizontalPodAutoscaler goes by metrics that it cannot get.
    ///
    /// The API that serves them is not there, or it goes by a share of what the containers request, and a container
    /// requests nothing of that resource. It leaves the number of replicas alone.
    ///
    /// ```sh
    /// kubectl get apiservices | grep metrics
    /// ```
    SCALE_METRICS = "scale-metrics", harm;
}

/// Does everything that the release names exist, or come with it?
#[derive(Debug, Clone, Copy)]
pub struct ReferencesPlugin;

/// Rules about what the release's pods need.
static OF_PODS: [&Rule; 3] = [&CONFIG_MISSING, &KEY_MISSING, &SERVICE_ACCOUNT_MISSING];

const CONFIG_MAPS: Resource = Resource::namespaced("", "v1", "configmaps", "ConfigMap");
const SECRETS: Resource = Resource::namespaced("", "v1", "secrets", "Secret");
const SERVICE_ACCOUNTS: Resource = Resource::namespaced("", "v1", "serviceaccounts", "ServiceAccount");
const SERVICES: Resource = Resource::namespaced("", "v1", "services", "Service");
const INGRESS_CLASSES: Resource =
    Resource::cluster_wide("networking.k8s.io", "v1", "ingressclasses", "IngressClass");
const ROLES: Resource = Resource::namespaced("rbac.authorization.k8s.io", "v1", "roles", "Role");
const CLUSTER_ROLES: Resource =
    Resource::cluster_wide("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole");
const SCALERS: Resource =
    Resource::namespaced("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler");

#[async_trait]
impl Plugin for ReferencesPlugin {
    fn descriptor(&self) -> Descriptor {
        let known = [CONFIG_MAPS, SERVICE_ACCOUNTS, SERVICES, INGRESS_CLASSES, ROLES, CLUSTER_ROLES];
        let descriptor = Descriptor::new("references", Phase::Resources, RULES)
            .summary("What the release names exists, or comes with it")
            .reads(Read::select(SCALERS))
            .reads(Read::dynamic("what the release names"))
            .reads(Read::secret_contents("Secrets of which pods need certain keys"))
            .settings::<References>();
        known.into_iter().map(Read::get).chain(producers::reads()).fold(descriptor, Descriptor::reads)
    }

    async fn check(&self, context: &Context) -> Result<CheckResult, Undecided> {
        let check = context.examine();
        let settings = context.settings::<References>()?;
        let cluster = context.unconnected();
        let release = context.release().await?;
        let finder = Finder::new(&cluster, &release, context.environment()).await?;
        futures::join!(
            pods::examine(&check, &finder, &settings),
            owners::examine(&check, &finder),
            routes::examine(&check, &finder),
            scaling::examine(&check, &finder),
        );
        Ok(check.finish())
    }
}
