//! Can the cluster be reached, by whom, and does it serve and allow what the release needs?

mod api_lifecycle;
mod contact;
mod escalation;
mod kinds;
mod namespaces;
mod permissions;
mod server;

use preflight_core::cluster::{Read, Resource, causes};
use preflight_core::{
    CheckResult, Context, Descriptor, Examination, Phase, Plugin, Rule, Undecided, async_trait, rules,
};

rules! { plugin "cluster-connectivity";
    /// The API server says that it is not ready.
    ///
    /// `/readyz` names the parts that are not well, etcd for example. Writes may fail or hang until they are. Often
    /// this passes by itself, after an upgrade or a restart of the control plane.
    ///
    /// ```sh
    /// kubectl get --raw '/readyz?verbose'
    /// ```
    NOT_READY = "not-ready", wont_land;
    /// The credentials will expire soon.
    ///
    /// The token or client certificate says when its time is over, and that is less than an hour away: a deploy
    /// may lose its access half-way. Sign in again before it starts.
    CREDENTIALS_EXPIRING = "credentials-expiring", harm;
    /// This machine's clock and the API server's differ.
    ///
    /// Tokens and certificates are then taken for expired, or for not yet valid, on one side. Synchronise the clock
    /// that is wrong (`chronyc tracking`, `timedatectl`).
    CLOCK_SKEW = "clock-skew", harm;
    /// The API server's version is not one that this Preflight knows.
    ///
    /// Older servers lack what Preflight asks for, newer ones may have rules that it does not know. The other
    /// checks still say what they see.
    VERSION_UNSUPPORTED = "version-unsupported", harm;
    /// A namespace that the release needs does not exist.
    ///
    /// The API server refuses every object in it. Create the namespace, or let the manifests do so before the
    /// objects that need it: kubectl applies them in the order of the files.
    ///
    /// ```sh
    /// kubectl get namespaces
    /// ```
    NAMESPACE_MISSING = "namespace-missing", wont_land;
    /// A namespace that the release needs is being deleted.
    ///
    /// Nothing can be created in a namespace that is terminating. Wait until it is gone and create it anew; if it
    /// hangs, its conditions say which objects, or which API group that does not answer, hold it.
    ///
    /// ```sh
    /// kubectl get namespace NAME -o yaml
    /// ```
    NAMESPACE_TERMINATING = "namespace-terminating", wont_land;
    /// The identity that deploys may not do what applying the release takes.
    ///
    /// Each object needs verbs that follow from what applying it does (create or update) and from how it is applied:
    /// `kubectl apply` gets, then creates or patches; server-side apply patches, and also creates what is not there;
    /// Helm keeps the release in Secrets. The API server itself was asked, with an access review for each.
    ///
    /// ```sh
    /// kubectl auth can-i VERB RESOURCE -n NAMESPACE
    /// ```
    PERMISSION_MISSING = "permission-missing", wont_land;
    /// A role in the release grants what the identity that deploys does not hold itself.
    ///
    /// The API server refuses to create or change a role that grants more than its author has, and a binding to such
    /// a role, unless the author has the verb `escalate` on the role, or `bind` for a binding. Grant the missing
    /// permission, or that verb, to the deployer.
    ROLE_ESCALATION = "role-escalation", wont_land;
    /// Nothing serves a kind that is in the manifests.
    ///
    /// The API server has no such kind in that version: the kind is misspelt, the operator that brings its
    /// CustomResourceDefinition is not installed, or the definition serves other versions.
    ///
    /// ```sh
    /// kubectl api-resources
    /// ```
    KIND_NOT_SERVED = "kind-not-served", wont_land;
    /// A kind is served only once the release's own CustomResourceDefinition is established.
    ///
    /// kubectl looks up every kind before it applies anything, so the first apply of such a release refuses these
    /// objects, and so does Helm unless the definition is in the chart's `crds` folder. Apply the definition first
    /// and wait until it is established:
    ///
    /// ```sh
    /// kubectl wait --for=condition=Established crd/NAME
    /// ```
    CRD_IN_RELEASE = "crd-in-release", wont_land;
    /// An API version was removed from Kubernetes.
    ///
    /// The manifests use a version of a built-in kind that this cluster no longer serves. The message names the
    /// version that took its place; fields may have moved between the two.
    ///
    /// ```sh
    /// kubectl explain KIND --api-version=GROUP/VERSION
    /// ```
    API_REMOVED = "api-removed", wont_land;
    /// An API version is deprecated.
    ///
    /// It is still served here and will be removed. Move to the version that takes its place before the cluster is
    /// upgraded.
    API_DEPRECATED = "api-deprecated", harm;
    /// What serves an API group does not answer.
    ///
    /// The group is registered with an APIService whose back end is down, so its objects can be neither read nor
    /// written. Mend the Service behind it.
    ///
    /// ```sh
    /// kubectl get apiservices
    /// ```
    API_GROUP_UNAVAILABLE = "api-group-unavailable", wont_land;
    /// An object exists already, and the release is to be created, not applied.
    ///
    /// `kubectl create` refuses objects that are there. Delete them, or apply the release.
    ALREADY_EXISTS = "already-exists", wont_land;
}

/// Can the cluster be reached, by whom, and does it serve and allow what the release needs?
#[derive(Debug, Clone, Copy)]
pub struct ClusterConnectivity;

/// Rules that are about the release, not about the cluster alone.
static OF_RELEASE: &[&Rule] = &[
    &NAMESPACE_MISSING,
    &NAMESPACE_TERMINATING,
    &PERMISSION_MISSING,
    &ROLE_ESCALATION,
    &KIND_NOT_SERVED,
    &CRD_IN_RELEASE,
    &API_REMOVED,
    &API_DEPRECATED,
    &API_GROUP_UNAVAILABLE,
    &ALREADY_EXISTS,
];

fn namespaces() -> Resource {
    Resource::cluster_wide("", "v1", "namespaces", "Namespace")
}

fn cluster_roles() -> Resource {
    Resource::cluster_wide("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole")
}

fn roles() -> Resource {
    Resource::namespaced("rbac.authorization.k8s.io", "v1", "roles", "Role")
}

#[async_trait]
impl Plugin for ClusterConnectivity {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("cluster-connectivity", Phase::Infrastructure, causes::RULES)
            .rules(RULES)
            .summary("The cluster can be reached, and serves and allows what the release needs")
            .reads(Read::path("/readyz"))
            .reads(Read::access_reviews())
            .reads(Read::get(namespaces()))
            .reads(Read::get(roles()))
            .reads(Read::get(cluster_roles()))
            .reads(Read::dynamic("live counterparts of the release's objects"))
    }

    async fn check(&self, context: &Context) -> Result<CheckResult, Undecided> {
        let check = context.examine();
        let cluster = context.unconnected();
        if let Err(error) = cluster.version().await {
            contact::lost(&check, &error, &cluster, context);
            return Ok(check.finish());
        }
        let of_server = async {
            contact::made(&check, &cluster).await;
            server::examine(&check, &cluster).await;
        };
        futures::future::join(of_server, release(&check, context)).await;
        Ok(check.finish())
    }
}

async fn release(check: &Examination, context: &Context) {
    let release = context.release().await;
    let Some(release) = check.need(OF_RELEASE, release) else {
        return;
    };
    let cluster = context.unconnected();
    check.detail("actions", serde_json::json!(release.actions()));
    if !release.left_out().is_empty() {
        let left_out = release.left_out().iter().map(|object| object.id().to_string());
        check.detail("left_out", left_out.collect::<Vec<_>>());
    }
    let minor = cluster.version().await.ok().and_then(|version| version.minor());
    let discovery = cluster.discovery().await;
    let of_kinds = [&KIND_NOT_SERVED, &CRD_IN_RELEASE, &API_REMOVED, &API_DEPRECATED, &API_GROUP_UNAVAILABLE];
    if let Some(discovery) = check.need(&of_kinds, discovery) {
        kinds::examine(check, &release, &discovery, minor);
    }
    kinds::existing(check, &release);
    futures::future::join3(
        namespaces::examine(check, context, &cluster, &release),
        permissions::examine(check, context, &cluster, &release),
        escalation::examine(check, context, &cluster, &release),
    )
    .await;
}
