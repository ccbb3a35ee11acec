//! What will applying the release do to what already runs?

mod conflicts;
mod deletions;
mod helm;
mod keys;
mod objects;
mod owners;
mod scaling;
mod webhooks;

use preflight_core::cluster::{Read, Resource};
use preflight_core::{CheckResult, Context, Descriptor, Phase, Plugin, Undecided, async_trait, rules};

rules! { plugin "change-safety";
    /// The release changes a field that stays as it was made.
    ///
    /// Selectors of workloads, the pods of a Job, the address of a Service, the role of a binding, what a class is made of,
    /// whatever is marked `immutable`: the API server refuses another value. Keep the field, or delete the object and make it
    /// anew, which takes away what hangs on it.
    ///
    /// ```sh
    /// kubectl diff -f FILE
    /// kubectl replace --force -f FILE     # deletes the object first
    /// ```
    IMMUTABLE_FIELD = "immutable-field", wont_land;
    /// An object that the release changes is being deleted.
    ///
    /// It takes the change and then goes, or stays for as long as something holds it with a finalizer. Wait until it is
    /// gone, and apply again.
    ///
    /// ```sh
    /// kubectl get KIND NAME -n NAMESPACE -o jsonpath='{.metadata.finalizers}'
    /// ```
    BEING_DELETED = "being-deleted", wont_land;
    /// A field belongs to somebody else, and server-side apply does not take it.
    ///
    /// Another field manager has set it to another value. Take the field out of the manifest, agree on one value, or say
    /// `apply: {force: true}` in the environment if the release may take it over (`--force-conflicts`).
    ///
    /// ```sh
    /// kubectl get KIND NAME -n NAMESPACE --show-managed-fields -o yaml
    /// ```
    FIELD_CONFLICT = "field-conflict", wont_land;
    /// What kubectl keeps of a manifest does not fit into the object's annotations.
    ///
    /// Client-side apply writes the whole manifest into an annotation, and all annotations together may have 256 KiB. Large
    /// CustomResourceDefinitions and ConfigMaps need server-side apply.
    ///
    /// ```sh
    /// kubectl apply --server-side -f FILE
    /// ```
    ANNOTATIONS_TOO_LARGE = "annotations-too-large", wont_land;
    /// A Deployment is paused, and is to get new pods.
    ///
    /// It takes the new template and makes no pods of it until somebody resumes it.
    ///
    /// ```sh
    /// kubectl rollout resume deployment/NAME -n NAMESPACE
    /// ```
    PAUSED = "paused", wont_land;
    /// Helm does not take over an object that is there.
    ///
    /// It belongs to another release of Helm, or to none: Helm refuses to install or upgrade over it. Delete the object, or
    /// have it adopted with the label and the annotations that Helm looks for. An upgrade looks only at objects that the
    /// release did not have before. Which ones it had is in the contents of its record, which are not read: what has lost
    /// the label or annotations, and was written by Helm, is therefore unknown.
    ///
    /// ```sh
    /// kubectl get KIND NAME -n NAMESPACE -o jsonpath='{.metadata.labels}{.metadata.annotations}'
    /// ```
    HELM_OWNERSHIP = "helm-ownership", wont_land;
    /// The release is stuck in an earlier operation of Helm.
    ///
    /// It is still said to be being installed, upgraded or rolled back, and Helm begins no other operation until then. If
    /// none is under way, roll it back, or delete the Secret of that revision.
    ///
    /// ```sh
    /// helm history RELEASE -n NAMESPACE
    /// helm rollback RELEASE -n NAMESPACE
    /// ```
    HELM_PENDING = "helm-pending", wont_land;
    /// An object is controlled by another one, or by another tool.
    ///
    /// What owns it will undo the change: a controller that made it, or a GitOps tool that keeps it as it is in its own
    /// source.
    ///
    /// ```sh
    /// kubectl get KIND NAME -n NAMESPACE -o jsonpath='{.metadata.ownerReferences}'
    /// ```
    OWNED_BY_OTHERS = "owned-by-others", harm;
    /// A Job of that name has run already, and does not run again.
    ///
    /// Applying the same Job anew changes nothing. If it is to run, delete it first, give it another name, or let it be
    /// removed with `ttlSecondsAfterFinished`.
    ///
    /// ```sh
    /// kubectl delete job NAME -n NAMESPACE
    /// ```
    JOB_DONE = "job-done", harm;
    /// The release sets the number of replicas that an autoscaler has set.
    ///
    /// Each time it is applied, pods go or come until the HorizontalPodAutoscaler has seen to it again. Leave `replicas` out
    /// of the manifest.
    ///
    /// ```sh
    /// kubectl get horizontalpodautoscalers -n NAMESPACE
    /// ```
    REPLICAS_OF_AUTOSCALER = "replicas-of-autoscaler", harm;
    /// Pruning deletes what holds data, or everything in a namespace.
    ///
    /// Namespaces, claims and volumes that the release no longer has are deleted with what is in them.
    ///
    /// ```sh
    /// kubectl get persistentvolumeclaims -n NAMESPACE
    /// ```
    DELETES_DATA = "deletes-data", harm;
    /// A ConfigMap or Secret loses what other pods read.
    ///
    /// A key goes, or all of it is pruned, and pods that are not of the release read it. They run on until they restart, and
    /// then do not start; files of a volume are gone at once.
    ///
    /// ```sh
    /// kubectl get pods -n NAMESPACE -o yaml
    /// ```
    KEYS_TAKEN_AWAY = "keys-taken-away", harm;
    /// A webhook of the release stands in the way of the cluster's own pods.
    ///
    /// It is called for pods in `kube-system` and refuses them when it does not answer: after an outage neither the network
    /// nor the DNS of the cluster may come up again. Exempt the namespace, or let the webhook fail open.
    ///
    /// ```yaml
    /// namespaceSelector:
    ///   matchExpressions:
    ///   - {key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system]}
    /// ```
    WEBHOOK_OF_SYSTEM = "webhook-of-system", harm;
}

/// What will applying the release do to what already runs?
#[derive(Debug, Clone, Copy)]
pub struct ChangeSafety;

static SCALERS: Resource =
    Resource::namespaced("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler");
static SECRETS: Resource = Resource::namespaced("", "v1", "secrets", "Secret");

#[async_trait]
impl Plugin for ChangeSafety {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("change-safety", Phase::Resources, RULES)
            .summary("What is there takes the changes, and nothing is lost by them")
            .reads(Read::select(SCALERS.clone()))
            .reads(Read::dynamic("pods of namespaces where a ConfigMap loses keys"))
            .reads(Read::dynamic("the Secrets in which Helm keeps its releases, by their labels"))
    }

    async fn check(&self, context: &Context) -> Result<CheckResult, Undecided> {
        let check = context.examine();
        let cluster = context.unconnected();
        let release = context.release().await?;
        let apply = context.environment().apply();
        objects::examine(&check, &release);
        conflicts::examine(&check, &release, apply);
        owners::examine(&check, &release);
        deletions::examine(&check, &release);
        webhooks::examine(&check, &release);
        futures::join!(
            keys::examine(&check, &cluster, &release),
            scaling::examine(&check, &cluster, &release),
            helm::examine(&check, &cluster, &release)
        );
        Ok(check.finish())
    }
}
