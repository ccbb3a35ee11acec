//! What will the API server decide?

pub mod fields;
pub mod pod_security;
mod pods;
mod policies;
mod refusals;
mod settings;
mod standards;
mod telling;
mod trials;

use preflight_core::cluster::{Read, Resource};
use preflight_core::{CheckResult, Context, Descriptor, Phase, Plugin, Rule, Undecided, async_trait, rules};

pub use settings::{Admission, DryRun};

use crate::admitted::AdmittedPods;
use crate::intercept::{Binding, Mutating, MutatingBinding, MutatingPolicy, Policy};

rules! { plugin "admission";
    /// The API server refuses an object of the release.
    ///
    /// It was tried out: a webhook, an admission policy, a quota or the API server itself says no. Its words say who and
    /// why. What depends on other objects of the release is not counted.
    ///
    /// ```sh
    /// kubectl apply --dry-run=server -f FILE
    /// ```
    REFUSED = "refused", wont_land;
    /// An object of the release is not valid.
    ///
    /// It was tried out: a field is unknown or has a wrong type, a value may not be so, or may not be changed any more.
    ///
    /// ```sh
    /// kubectl apply --dry-run=server -f FILE
    /// kubectl explain KIND.FIELD
    /// ```
    INVALID = "invalid", wont_land;
    /// The API server refuses the pods of a workload.
    ///
    /// The workload itself is accepted; its pods are refused when a controller makes them, so that the rollout stalls with
    /// no pod to look at. A Pod made from the template was tried out.
    ///
    /// ```sh
    /// kubectl get events -n NAMESPACE --field-selector reason=FailedCreate
    /// ```
    PODS_REFUSED = "pods-refused", wont_land;
    /// Pods break the Pod Security Standard that their namespace enforces.
    ///
    /// The labels `pod-security.kubernetes.io/enforce` count as the release leaves them. Only pods are refused, not the
    /// workloads that make them, so the rollout stalls with no pod to look at.
    ///
    /// ```sh
    /// kubectl get namespace NAMESPACE --show-labels
    /// kubectl label --dry-run=server --overwrite namespace NAMESPACE pod-security.kubernetes.io/enforce=LEVEL
    /// ```
    POD_SECURITY = "pod-security", wont_land;
    /// An admission policy refuses an object of the release, or what a controller makes of it.
    ///
    /// The ValidatingAdmissionPolicies of the cluster, and of the release, were worked out. What controllers make (pods
    /// above all) is refused when they make it, so that the rollout stalls.
    ///
    /// ```sh
    /// kubectl get validatingadmissionpolicy NAME -o yaml
    /// kubectl apply --dry-run=server -f FILE
    /// ```
    POLICY = "policy", wont_land;
    /// Something may be changed in pods that other checks do not see.
    ///
    /// A webhook, or an admission policy that cannot be worked out, may add containers, requests and tolerations when the
    /// pods are made. Where the release is tried out, what is added is seen.
    ///
    /// ```sh
    /// kubectl get mutatingwebhookconfigurations
    /// kubectl get mutatingadmissionpolicies
    /// ```
    PODS_CHANGED = "pods-changed", harm;
    /// A field is written that the object's kind does not have.
    ///
    /// kubectl asks the API server to refuse such objects; names of fields are case-sensitive. It is read from what the API
    /// server tells of its kinds (`/openapi/v3`), where the object cannot be tried out. Argo CD and Helm 3 do not ask for it:
    /// there the field is dropped, which is a warning.
    ///
    /// ```sh
    /// kubectl explain KIND.FIELD
    /// ```
    FIELD_UNKNOWN = "field-unknown", wont_land;
    /// A field holds what its type cannot.
    ///
    /// A string for a number, a mapping for a list, a text that is no quantity, time or base64: the API server cannot read the
    /// object, however it is applied. Numbers and words such as `true` and `yes` are strings only in quotes. Server-side apply
    /// refuses items of some lists that are there twice, too. It is read from what the API server tells of its kinds
    /// (`/openapi/v3`), where the object cannot be tried out.
    ///
    /// ```sh
    /// kubectl explain KIND.FIELD
    /// ```
    FIELD_TYPE = "field-type", wont_land;
    /// The API server warns of an object of the release.
    ///
    /// It is accepted all the same. Warnings tell of fields that are ignored or deprecated, and of policies that only warn.
    WARNED = "warned", harm;
}

/// Rules that need writes to be tried out.
static OF_TRIALS: [&Rule; 4] = [&REFUSED, &INVALID, &PODS_REFUSED, &WARNED];

static NAMESPACES: Resource = Resource::cluster_wide("", "v1", "namespaces", "Namespace");

/// What will the API server decide?
#[derive(Debug, Clone, Copy)]
pub struct AdmissionPlugin;

#[async_trait]
impl Plugin for AdmissionPlugin {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("admission", Phase::Resources, RULES)
            .summary("The API server accepts the release, and the pods that are made of it")
            .reads(Read::get(NAMESPACES.clone()))
            .reads(Read::access_reviews())
            .reads(Read::trials("trying the release out"))
            .reads(Read::list::<Policy>())
            .reads(Read::list::<Binding>())
            .reads(Read::list::<MutatingPolicy>())
            .reads(Read::list::<MutatingBinding>())
            .reads(Read::list::<Mutating>())
            .reads(Read::list::<policies::LimitRange>())
            .reads(Read::dynamic("parameters of admission policies that match the release"))
            .provides::<AdmittedPods>()
            .reads(Read::schemas())
            .settings::<Admission>()
    }

    async fn check(&self, context: &Context) -> Result<CheckResult, Undecided> {
        let check = context.examine();
        let settings = context.settings::<Admission>()?;
        let cluster = context.unconnected();
        let release = context.release().await?;
        let apply = context.environment().apply();
        let deployer = context.environment().deployer();
        let projected = context.projected().await?;
        let (trials, prepared) = futures::join!(
            trials::examine(&check, &cluster, &release, apply, deployer.as_ref(), settings.dry_run),
            policies::prepare(&check, &cluster, &projected, &release, deployer.as_ref()),
        );
        futures::join!(
            fields::examine(&check, &cluster, &release, &trials),
            standards::examine(&check, &cluster, &release, &trials),
            policies::examine(&check, context, &cluster, &release, prepared, &trials),
        );
        Ok(check.finish())
    }
}
