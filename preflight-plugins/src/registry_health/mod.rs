//! Are the images there, for the nodes' platforms, and may the pods pull them?

mod contact;
mod content;
mod hub;
mod images;
mod inquiry;
mod moved;
mod push;
mod secrets;
mod settings;
mod uses;

use futures::future::join_all;
use preflight_core::cluster::{Read, Resource};
use preflight_core::{
    CheckResult, Context, Descriptor, Examination, Phase, Plugin, Rule, Undecided, async_trait, rules,
};

use crate::nodes::Node;
use hub::Hub;
pub use settings::{Images, NodeCredentials, Registries, RegistryEntry};

rules! { plugin "registry-health";
    /// A registry's name does not resolve from here.
    ///
    /// This machine's resolver does not know the host. Nodes may use another resolver, so for a registry of the
    /// release's images this is not known rather than failed, unless the environment requires the registry
    /// (`registries.HOST.required`). Check the name, the VPN and its private zones:
    ///
    /// ```sh
    /// getent hosts HOST
    /// ```
    NAME_RESOLUTION = "name-resolution", policy;
    /// A registry cannot be reached from here.
    ///
    /// The connection was refused, timed out, was cut, or a proxy does not let it through. Nodes may have another way,
    /// so for a registry of the release's images this is not known rather than failed, unless the environment
    /// requires the registry (`registries.HOST.required`).
    ///
    /// ```sh
    /// curl -sS -o /dev/null -w '%{http_code}\n' https://HOST/v2/
    /// ```
    UNREACHABLE = "unreachable", policy;
    /// A registry's certificate cannot be accepted.
    ///
    /// It has expired, is not valid yet, or is for other names: then nodes refuse it too. If only its authority is
    /// not known here, name it with `registries.HOST.ca`; nodes must trust it as well. A registry without TLS is
    /// named with `registries.HOST.plain_http`, and the nodes' runtimes must be told too.
    ///
    /// ```sh
    /// openssl s_client -connect HOST:443 -servername HOST </dev/null | openssl x509 -noout -dates -ext subjectAltName
    /// ```
    TLS = "tls", wont_land;
    /// What answers in place of a registry is none.
    ///
    /// The address answers HTTP, but not as the OCI distribution specification has it: a login page, another
    /// service on the port, a proxy's error page. Check host and port, and what stands in between.
    ///
    /// ```sh
    /// curl -sSi https://HOST/v2/
    /// ```
    NOT_A_REGISTRY = "not-a-registry", policy;
    /// A registry wants credentials and does not say how they are to be shown.
    ///
    /// It answers 401 without a `WWW-Authenticate` that container runtimes can follow (Bearer or Basic), or names a
    /// token service that cannot be used. Often a proxy in front of it takes the header away.
    AUTH_CHALLENGE = "auth-challenge", policy;
    /// The service that issues a registry's tokens does not issue any.
    ///
    /// It is a server of its own (`realm` in the registry's challenge), and it cannot be reached, fails, or answers
    /// without a token. Pulls fail as long as that lasts, with whatever credentials.
    TOKEN_SERVICE = "token-service", policy;
    /// A registry takes no more requests for now.
    ///
    /// It answers 429: a limit on pulls is used up, for this machine's address or for the credentials that were
    /// shown. Nodes that share either will be refused too. Wait as long as it says, or pull with credentials that
    /// have a higher limit.
    THROTTLED = "throttled", policy;
    /// A registry fails to answer.
    ///
    /// It answers with an error of its own (5xx), or with something that is cut short or has another digest than it
    /// should have. What it cannot say is not known.
    SERVER_ERROR = "server-error", policy;
    /// An image's reference is not one.
    ///
    /// The kubelet refuses it (`InvalidImageName`) and the pod never starts. References have the form
    /// `[registry/]repository[:tag][@digest]`, with the repository in lower case.
    IMAGE_REFERENCE = "image-reference", wont_land;
    /// An image is not in its registry.
    ///
    /// The registry says that there is no such repository, tag or digest: pods stay in `ErrImagePull`. Push the
    /// image, or correct the reference.
    ///
    /// ```sh
    /// skopeo list-tags docker://REGISTRY/REPOSITORY
    /// ```
    IMAGE_MISSING = "image-missing", wont_land;
    /// An image is not made for the nodes that may run it.
    ///
    /// Neither its index nor its configuration has the operating system and architecture of a node that the pod's
    /// selector, affinity and tolerations allow. Build it for that platform, or select nodes of another one
    /// (`kubernetes.io/arch`).
    PLATFORM = "platform", wont_land;
    /// A container must not run as root, and its image does.
    ///
    /// With `runAsNonRoot: true` and no `runAsUser`, the kubelet looks at the image's `USER`: it refuses root, and a
    /// name, since it cannot tell whether that is root (`CreateContainerConfigError`). Set `runAsUser` to a number,
    /// or give the image a numeric `USER`.
    RUN_AS_NON_ROOT = "run-as-non-root", wont_land;
    /// An image is in a format that is no longer run.
    ///
    /// Docker's manifest schema 1 was replaced in 2015. containerd refuses it from version 2.1 on. Push the image
    /// anew with a tool of today.
    SCHEMA_1 = "schema-1", wont_land;
    /// A reference leads to something else than an image.
    ///
    /// Charts, signatures, policies and other artefacts are kept in registries too. Runtimes do not start them.
    NOT_AN_IMAGE = "not-an-image", wont_land;
    /// A tag does not lead to what it led to.
    ///
    /// The digest beside the tag, or the image that runs under that tag already, is another one than the registry
    /// now has under it. New pods and old ones would run different code under one name. Pin the digest, or use a tag
    /// that stays.
    TAG_MOVED = "tag-moved", harm;
    /// An image is not pinned to a digest.
    ///
    /// The environment asks for pins (`images.require_digests`): a tag may lead elsewhere tomorrow.
    ///
    /// ```sh
    /// skopeo inspect --format '{{.Digest}}' docker://IMAGE
    /// ```
    NOT_PINNED = "not-pinned", policy;
    /// A pull secret cannot be used.
    ///
    /// A Secret that the pod, or its ServiceAccount, names in `imagePullSecrets` is not there, has another type than
    /// `kubernetes.io/dockerconfigjson` (or `dockercfg`), or does not hold what its type says. The kubelet passes
    /// over the first two and pulls without them; with the last it does not pull at all.
    ///
    /// ```sh
    /// kubectl create secret docker-registry NAME -n NAMESPACE --docker-server=REGISTRY --docker-username=USER --docker-password=PASSWORD
    /// ```
    PULL_SECRET = "pull-secret", wont_land;
    /// The pods may not pull an image.
    ///
    /// The registry was asked as the kubelet asks it: with each credential of the pod's `imagePullSecrets`, or its
    /// ServiceAccount's, that is for this image, and without any if there is none. That this machine may pull it
    /// changes nothing. If nodes have credentials of their own, or pull through a mirror, say so with
    /// `registries.HOST.node_credentials: assumed`; if not, with `none`. Pull secrets are read only where the
    /// environment allows it (`images.read_pull_secrets`).
    ///
    /// ```sh
    /// kubectl get secret NAME -n NAMESPACE -o jsonpath='{.data.\.dockerconfigjson}' | base64 -d
    /// skopeo inspect --creds USER:PASSWORD docker://IMAGE
    /// ```
    PULL_PERMISSION = "pull-permission", wont_land;
    /// This machine's own credentials for a registry do not work.
    ///
    /// What `docker login` left behind, or a credential helper gives, is refused, or cannot be had. Pods do not use
    /// these credentials; whoever pushes from here does. Sign in again.
    ///
    /// ```sh
    /// docker login REGISTRY
    /// ```
    OWN_CREDENTIALS = "own-credentials", harm;
    /// One may not push to a repository to which the environment wants to push.
    ///
    /// An upload was to be started (`registries.HOST.push`), and the registry refused, or has no such repository and
    /// makes none by itself.
    PUSH_PERMISSION = "push-permission", policy;
    /// A registry takes no uploads for want of room or of leave to write.
    ///
    /// Its disk is full, a quota is used up, or it is read-only for now; the message says which.
    PUSH_STORAGE = "push-storage", policy;
    /// The upload that was started to try pushing may still be there.
    ///
    /// It was given up, but the registry could not be shown to have dropped it. It is empty, and registries purge
    /// such uploads after a while.
    UPLOAD_LEFT = "upload-left", harm;
}

/// Are the images there, for the nodes' platforms, and may the pods pull them?
#[derive(Debug, Clone, Copy)]
pub struct RegistryHealth;

/// Rules about the way to a registry.
static OF_CONTACT: &[&Rule] = &[
    &NAME_RESOLUTION,
    &UNREACHABLE,
    &TLS,
    &NOT_A_REGISTRY,
    &AUTH_CHALLENGE,
    &TOKEN_SERVICE,
    &THROTTLED,
    &SERVER_ERROR,
];

/// Rules about what an image is; they need the image to be looked at.
static OF_CONTENT: &[&Rule] = &[&PLATFORM, &RUN_AS_NON_ROOT, &SCHEMA_1, &NOT_AN_IMAGE, &TAG_MOVED];

/// Rules about the pods' images, but for their references.
static OF_IMAGES: &[&Rule] = &[
    &IMAGE_MISSING,
    &PLATFORM,
    &RUN_AS_NON_ROOT,
    &SCHEMA_1,
    &NOT_AN_IMAGE,
    &TAG_MOVED,
    &PULL_SECRET,
    &PULL_PERMISSION,
    &OWN_CREDENTIALS,
];

/// Rules about pushing.
static OF_PUSH: &[&Rule] = &[&PUSH_PERMISSION, &PUSH_STORAGE, &UPLOAD_LEFT];

pub(crate) fn nodes() -> Resource {
    Resource::cluster_wide("", "v1", "nodes", "Node")
}

fn runtime_classes() -> Resource {
    Resource::cluster_wide("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass")
}

pub(crate) fn service_accounts() -> Resource {
    Resource::namespaced("", "v1", "serviceaccounts", "ServiceAccount")
}

#[async_trait]
impl Plugin for RegistryHealth {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("registry-health", Phase::Infrastructure, RULES)
            .summary(
                "The images are in their registries, for the nodes' platforms, and the pods may pull them",
            )
            .reads(Read::list::<Node>())
            .reads(Read::get(nodes()))
            .reads(Read::get(service_accounts()))
            .reads(Read::get(runtime_classes()))
            .reads(Read::list::<moved::Pod>())
            .reads(Read::secret_contents("pull secrets of the release's pods"))
            .settings::<Registries>()
            .settings::<Images>()
    }

    async fn check(&self, context: &Context) -> Result<CheckResult, Undecided> {
        let check = context.examine();
        let hub = Hub::new(context)?;
        // What the environment alone asks for needs no cluster, and nobody waits for it.
        let (of_release, required, (), ()) = futures::join!(
            of_release(&check, context, &hub),
            contact::required(&hub),
            push::examine(&check, &hub),
            // The way to the registries is long: it is set out on before the cluster has answered.
            hub.greet(context.manifests()),
        );
        contact::conclude(&check, &hub, of_release.as_deref().unwrap_or_default(), &required);
        of_release.map(drop)?;
        Ok(check.finish())
    }
}

/// Looks at every image of the release, and gives what was asked about them.
async fn of_release(
    check: &Examination,
    context: &Context,
    hub: &Hub,
) -> Result<Vec<inquiry::Inquiry>, Undecided> {
    let cluster = context.unconnected();
    let has_pods = context.manifests().objects().iter().any(|object| object.pod_template().is_some());
    let prefetch = async {
        // Whoever needs the list shares the answer.
        if has_pods {
            let _ = cluster.list::<Node>().await;
        }
    };
    let (release, ()) = futures::join!(context.release(), prefetch);
    let release = release?;
    let mut uses = uses::of(&release);
    let mut keys = Vec::new();
    if !uses.is_empty() {
        check.need(&[&PLATFORM], uses::schedule(&mut uses, &release, &cluster).await);
        let (nodes, found) =
            futures::join!(cluster.list::<Node>(), secrets::gather(check, hub, &cluster, &release, &uses));
        keys = found;
        uses::place(&mut uses, nodes.as_ref().ok().map(|nodes| &**nodes));
        check.need(&[&PLATFORM], nodes);
    } else {
        check.rule(&PULL_SECRET).conclude("pull secrets");
    }
    let inquiries = join_all(uses.iter().zip(&keys).map(|(used, keys)| inquiry::ask(hub, used, keys))).await;
    images::examine(check, context, hub, &uses, &keys, &inquiries).await;
    moved::examine(check, context, hub, &uses, &inquiries).await;
    Ok(inquiries)
}
