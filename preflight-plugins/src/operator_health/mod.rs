//! Are the operators, definitions, webhooks and APIs well that the release stands on?

mod apis;
mod backend;
mod definitions;
mod instances;
mod operators;
mod policies;
mod settings;
mod webhooks;

use preflight_core::cluster::{Read, Reader, Resource};
use preflight_core::{
    CheckResult, Context, Descriptor, Examination, Phase, Plugin, Rule, Undecided, async_trait, rules,
};

pub use settings::{Operator, Operators};

use crate::intercept::{
    self, Binding, LimitRanges, Mutating, MutatingBinding, MutatingPolicy, Policy, Validating,
};

rules! { plugin "operator-health";
    /// An operator that the environment requires is not there.
    ///
    /// The environment names its workload under `operators`, and the cluster has none of that name or with those
    /// labels. What the release leaves to it will not be done. Install the operator, or correct the entry.
    OPERATOR_MISSING = "operator-missing", policy;
    /// An operator that the environment requires is not ready.
    ///
    /// Its workload has no ready pod, or its ClusterServiceVersion is not in the phase `Succeeded`: resources are
    /// accepted and nothing comes of them. The events of its pods say why.
    ///
    /// ```sh
    /// kubectl describe pods -n NAMESPACE -l SELECTOR
    /// ```
    OPERATOR_NOT_READY = "operator-not-ready", policy;
    /// An operator that the environment requires crashes again and again.
    ///
    /// A container of it is in `CrashLoopBackOff`. Its last words say why.
    ///
    /// ```sh
    /// kubectl logs -n NAMESPACE POD --previous
    /// ```
    OPERATOR_CRASH_LOOP = "operator-crash-loop", policy;
    /// What an operator is to be has not been looked at yet.
    ///
    /// The workload's `observedGeneration` is behind its `generation`: a change of the operator is under way, or its
    /// controller does not run. What its status says is about what it was before.
    ///
    /// ```sh
    /// kubectl rollout status deployment NAME -n NAMESPACE
    /// ```
    OPERATOR_NOT_OBSERVED = "operator-not-observed", policy;
    /// Nobody leads an operator's replicas.
    ///
    /// Its Lease has no holder, or was not renewed in time: no replica does the work, though all may be ready. That
    /// passes when another one takes over; if it does not, look at the operator's log.
    ///
    /// ```sh
    /// kubectl get lease NAME -n NAMESPACE -o yaml
    /// ```
    LEADER_LEASE = "leader-lease", policy;
    /// A definition of custom resources that the release uses is not established.
    ///
    /// The API server does not serve the kind (its condition `Established` is not true), often because its names
    /// clash with those of another definition (`NamesAccepted`).
    ///
    /// ```sh
    /// kubectl get crd NAME -o jsonpath='{.status.conditions}'
    /// ```
    DEFINITION_NOT_ESTABLISHED = "definition-not-established", wont_land;
    /// A definition in the release gives up a version in which objects may still be stored.
    ///
    /// `status.storedVersions` of the live definition names a version that the new one no longer has. The API server
    /// refuses that. Keep the version (`served: false` will do), move the stored objects to another one, and take it
    /// out of `status.storedVersions` first.
    STORED_VERSION_REMOVED = "stored-version-removed", wont_land;
    /// The webhook that converts custom resources cannot be called.
    ///
    /// The definition has several versions, and the release writes, or the cluster stores, another one than the
    /// storage version: the API server calls the webhook to convert them, and there is no policy of failure for that.
    CONVERSION_WEBHOOK = "conversion-webhook", wont_land;
    /// A custom resource is not what its definition asks for.
    ///
    /// It violates the schema that the cluster serves, or will serve once the release's own definition is applied: a
    /// field is missing, mistyped, out of range or unknown, or a rule in CEL does not hold. The API server refuses it;
    /// fields that the schema does not know are refused by kubectl and dropped silently by others.
    ///
    /// ```sh
    /// kubectl explain KIND --api-version=VERSION --recursive
    /// ```
    CUSTOM_RESOURCE_INVALID = "custom-resource-invalid", wont_land;
    /// An admission webhook that is called for the release cannot answer.
    ///
    /// Its Service is not there, has no such port or no ready endpoints. With `failurePolicy: Fail` the API server
    /// refuses every object that the webhook matches; with `Ignore` it goes on without it, which is a warning. What
    /// cannot be seen from outside is a webhook that accepts connections and does not answer, or shows another
    /// certificate than its name.
    ///
    /// ```sh
    /// kubectl get endpointslices -n NAMESPACE -l kubernetes.io/service-name=SERVICE
    /// ```
    WEBHOOK_UNAVAILABLE = "webhook-unavailable", wont_land;
    /// The authority of a webhook is not valid.
    ///
    /// The certificates in its `caBundle` have expired, or are none: the API server does not trust the webhook and
    /// takes it for failed. Renew them (cert-manager's `cainjector` does that), before the last one expires.
    ///
    /// ```sh
    /// kubectl get validatingwebhookconfiguration NAME -o jsonpath='{.webhooks[0].clientConfig.caBundle}' | base64 -d | openssl x509 -noout -dates
    /// ```
    WEBHOOK_AUTHORITY = "webhook-authority", wont_land;
    /// Webhooks that are called for one object may take longer, all together, than a request may.
    ///
    /// Mutating webhooks are called one after the other, validating ones side by side, each for its `timeoutSeconds`
    /// at most. The API server gives a request 34 seconds in all: if they do not answer, the object is refused even
    /// where each is to be ignored. Shorten `timeoutSeconds`, or narrow down what they match.
    WEBHOOK_TIMEOUTS = "webhook-timeouts", harm;
    /// A webhook that is called for the release cannot be called for a trial.
    ///
    /// It does not say that it has no side effects (`sideEffects: None` or `NoneOnDryRun`), so the API server refuses
    /// every server-side dry-run that it matches.
    WEBHOOK_DRY_RUN = "webhook-dry-run", harm;
    /// An admission policy that matches the release cannot be evaluated.
    ///
    /// The kind of its parameters is not served, or the parameters that its binding names are not there. With
    /// `failurePolicy: Fail`, or `parameterNotFoundAction: Deny`, the API server refuses what it matches.
    ///
    /// ```sh
    /// kubectl get validatingadmissionpolicybindings -o yaml
    /// ```
    ADMISSION_POLICY = "admission-policy", wont_land;
    /// An API of the cluster does not answer.
    ///
    /// Its APIService is registered and not available. The release holds nothing of it, but discovery is not whole,
    /// and namespaces cannot be deleted while that lasts.
    ///
    /// ```sh
    /// kubectl describe apiservice NAME
    /// ```
    API_SERVICE_UNAVAILABLE = "api-service-unavailable", harm;
}

/// Are the operators, definitions, webhooks and APIs well that the release stands on?
#[derive(Debug, Clone, Copy)]
pub struct OperatorHealth;

/// Rules about webhooks.
static OF_WEBHOOKS: &[&Rule] =
    &[&WEBHOOK_UNAVAILABLE, &WEBHOOK_AUTHORITY, &WEBHOOK_TIMEOUTS, &WEBHOOK_DRY_RUN];

/// Rules about operators.
static OF_OPERATORS: &[&Rule] =
    &[&OPERATOR_MISSING, &OPERATOR_NOT_READY, &OPERATOR_CRASH_LOOP, &OPERATOR_NOT_OBSERVED, &LEADER_LEASE];

fn services() -> Resource {
    Resource::namespaced("", "v1", "services", "Service")
}

fn endpoint_slices() -> Resource {
    Resource::namespaced("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
}

fn namespaces() -> Resource {
    Resource::cluster_wide("", "v1", "namespaces", "Namespace")
}

fn definitions() -> Resource {
    Resource::cluster_wide(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
    )
}

fn pods() -> Resource {
    Resource::namespaced("", "v1", "pods", "Pod")
}

#[async_trait]
impl Plugin for OperatorHealth {
    fn descriptor(&self) -> Descriptor {
        let mut descriptor = Descriptor::new("operator-health", Phase::Infrastructure, RULES)
            .summary("The operators, definitions, webhooks and APIs that the release stands on are well")
            .reads(Read::list::<Validating>())
            .reads(Read::list::<Mutating>())
            .reads(Read::list::<Policy>())
            .reads(Read::list::<Binding>())
            .reads(Read::list::<MutatingPolicy>())
            .reads(Read::list::<MutatingBinding>())
            .reads(Read::list::<apis::ApiService>())
            .reads(Read::get(definitions()))
            .reads(Read::get(namespaces()))
            .reads(Read::get(services()))
            .reads(Read::select(endpoint_slices()))
            .reads(Read::select(pods()))
            .reads(Read::dynamic("parameters of admission policies that match the release"))
            .settings::<Operators>();
        for resource in operators::kinds() {
            descriptor = descriptor.reads(Read::get(resource.clone())).reads(Read::select(resource));
        }
        descriptor
    }

    async fn check(&self, context: &Context) -> Result<CheckResult, Undecided> {
        let check = context.examine();
        let cluster = context.unconnected();
        let (contact, of_release, (), (), ()) = futures::join!(
            context.cluster(),
            of_release(&check, context),
            operators::examine(&check, context, &cluster),
            apis::examine(&check, &cluster),
            // What is needed once the release is worked out does not depend on it.
            prefetch(&cluster),
        );
        contact?;
        of_release?;
        Ok(check.finish())
    }
}

/// Asks for the lists; whoever needs one shares the answer.
async fn prefetch(cluster: &Reader) {
    let _ = futures::join!(
        cluster.list::<Validating>(),
        cluster.list::<Mutating>(),
        cluster.list::<Policy>(),
        cluster.list::<Binding>(),
        cluster.list::<MutatingPolicy>(),
        cluster.list::<MutatingBinding>(),
    );
}

async fn of_release(check: &Examination, context: &Context) -> Result<(), Undecided> {
    let cluster = context.unconnected();
    let release = context.release().await?;
    let backends = backend::Backends::new(&cluster, &release);
    let requests = async {
        // What webhooks and policies match, they match by the labels of namespaces too.
        let requests = intercept::requests(&release, &cluster, &LimitRanges::Unknown).await;
        futures::join!(
            webhooks::examine(check, &cluster, &release, &requests, &backends),
            policies::examine(check, &cluster, &release, &requests),
        );
    };
    futures::join!(requests, definitions::examine(check, &cluster, &release, &backends));
    Ok(())
}
