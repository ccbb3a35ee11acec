//! What the answers mean for each image of the release.

use futures::future::join_all;
use preflight_core::cluster::Reader;
use preflight_core::{Context, Examination, Remediation, RuleCheck};
use serde_json::Value;

use super::contact::rule_of;
use super::content::content;
use super::hub::Hub;
use super::inquiry::{Inquiry, NotAsked, Own, Try};
use super::secrets::{Keys, make_secret};
use super::settings::NodeCredentials;
use super::uses::{Policy, RunAs, Use};
use super::{
    IMAGE_MISSING, IMAGE_REFERENCE, NOT_AN_IMAGE, NOT_PINNED, OF_CONTENT, OF_IMAGES, OWN_CREDENTIALS,
    PLATFORM, PULL_PERMISSION, PULL_SECRET, RUN_AS_NON_ROOT, SCHEMA_1, nodes,
};
use crate::changes::Happens;
use crate::manifests::UNRESOLVED_VARIABLE;
use crate::registry::Trouble;
use crate::registry::reference::Reference;

/// Nodes that are asked, one by one, whether they have an image already.
const NODES_ASKED: usize = 16;
/// Images that a kubelet tells of at most (`nodeStatusMaxImages`, `pkg/kubelet/apis/config`, v1.36).
const IMAGES_TOLD: usize = 50;

/// What shows the digest of an image.
pub(super) const OF_DIGEST: &str = "inspect --format '{{.Digest}}'";

/// The rules that are concluded here.
pub(super) struct Rules<'a> {
    pub(super) check: &'a Examination,
    pub(super) hub: &'a Hub,
    reference: RuleCheck<'a>,
    pub(super) missing: RuleCheck<'a>,
    pub(super) platform: RuleCheck<'a>,
    pub(super) root: RuleCheck<'a>,
    pub(super) schema_1: RuleCheck<'a>,
    pub(super) not_image: RuleCheck<'a>,
    pinned: RuleCheck<'a>,
    permission: RuleCheck<'a>,
    own: RuleCheck<'a>,
}

pub(super) async fn examine(
    check: &Examination,
    context: &Context,
    hub: &Hub,
    uses: &[Use<'_>],
    keys: &[Keys],
    inquiries: &[Inquiry],
) {
    let mut rules = Rules {
        check,
        hub,
        reference: check.rule(&IMAGE_REFERENCE),
        missing: check.rule(&IMAGE_MISSING),
        platform: check.rule(&PLATFORM),
        root: check.rule(&RUN_AS_NON_ROOT),
        schema_1: check.rule(&SCHEMA_1),
        not_image: check.rule(&NOT_AN_IMAGE),
        pinned: check.rule(&NOT_PINNED),
        permission: check.rule(&PULL_PERMISSION),
        own: check.rule(&OWN_CREDENTIALS),
    };
    let contents = join_all(uses.iter().zip(inquiries).map(|(used, inquiry)| content(used, inquiry))).await;
    let mut digests = serde_json::Map::new();
    for (((used, keys), inquiry), content) in uses.iter().zip(keys).zip(inquiries).zip(contents) {
        rules.reference(used);
        rules.pins(used);
        rules.pod_user(used);
        if let Some(found) = inquiry.found() {
            digests.insert(used.text.clone(), found.resolved.digest.clone().into());
        }
        match &inquiry.not_asked {
            Some(NotAsked::NoReference) => continue,
            Some(NotAsked::Offline) => {
                check.set_aside(OF_IMAGES, "--offline");
                continue;
            }
            Some(NotAsked::Blocked(why)) => {
                rules.missing.examined_once(used.image());
                tell(
                    used,
                    &mut rules.missing,
                    format!("{}: {why}, so nodes do not pull it", used.text),
                    blocked_remedy(),
                );
                continue;
            }
            None => {}
        }
        let here = on_nodes(context, used, inquiry).await;
        rules.presence(used, keys, inquiry, here);
        if let Some(content) = content {
            rules.content(used, content);
        }
    }
    if !digests.is_empty() {
        check.detail("images", Value::Object(digests));
    }
    rules.conclude();
}

fn blocked_remedy() -> Remediation {
    Remediation::new(
        "Take the registry out of `blocked` in registries.conf, or use an image from another one",
    )
    .command("grep -n -A4 blocked /etc/containers/registries.conf")
}

/// A failure where pods are started, else a warning: then the release lands without them.
pub(super) fn tell(used: &Use<'_>, rule: &mut RuleCheck<'_>, message: String, remedy: Remediation) {
    match used.starts {
        Happens::Yes => rule.predict(used.subject(), message, remedy),
        Happens::No(why) => rule.warn(used.subject(), format!("{message} ({why})"), remedy),
        Happens::Perhaps(why) => {
            rule.unknown(format!("{message}; whether pods are started for it: {why}"), remedy.on_one_line());
        }
    }
}

/// Which nodes that may run the pod have the image already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Here {
    /// All of them.
    All(usize),
    /// This many of so many.
    Some(usize, usize),
    /// None of them, or there are too many to ask.
    None,
    /// They could not be asked, or tell only of a part of what they have.
    Unknown,
}

/// Looks whether the nodes have the image, where the registry does not give it and need not.
async fn on_nodes(context: &Context, used: &Use<'_>, inquiry: &Inquiry) -> Here {
    let needs_no_registry =
        used.policy == Policy::Never || inquiry.pod.as_ref().is_none_or(|pull| pull.found.is_none());
    let (Ok(image), Some(candidates)) = (&used.reference, &used.nodes) else {
        return Here::Unknown;
    };
    if used.policy == Policy::Always || !needs_no_registry {
        return Here::None;
    }
    if candidates.is_empty() || candidates.len() > NODES_ASKED {
        return if used.policy == Policy::Never { Here::Unknown } else { Here::None };
    }
    let Ok(cluster) = context.cluster().await else {
        return Here::Unknown;
    };
    let answers = join_all(candidates.iter().map(|(name, _)| has(&cluster, name, image))).await;
    let having = answers.iter().filter(|answer| **answer == Some(true)).count();
    if having == candidates.len() {
        Here::All(having)
    } else if having > 0 {
        Here::Some(having, candidates.len())
    } else if answers.iter().all(|answer| *answer == Some(false)) {
        Here::None
    } else {
        Here::Unknown
    }
}

/// Whether a node has an image; `None` if that is not known.
async fn has(cluster: &Reader, node: &str, image: &Reference) -> Option<bool> {
    let node = cluster.get(&nodes(), None, node).await.ok()??;
    let images =
        node.pointer("/status/images").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let names = images.iter().flat_map(|image| image["names"].as_array().into_iter().flatten());
    let same = |name: &Value| {
        name.as_str().and_then(|name| Reference::parse(name).ok()).is_some_and(|has| match &image.digest {
            Some(digest) => has.name() == image.name() && has.digest.as_ref() == Some(digest),
            None => has == *image,
        })
    };
    if names.into_iter().any(same) {
        return Some(true);
    }
    (images.len() < IMAGES_TOLD).then_some(false)
}

impl Rules<'_> {
    fn reference(&mut self, used: &Use<'_>) {
        let Err(why) = &used.reference else {
            return self.reference.examined_once(used.image());
        };
        let unresolved = used.planned.object.unresolved();
        if let Some(left) = unresolved.iter().find(|left| left.path == used.path) {
            let message = format!("{} was not replaced in the image of {}", left.text, used.of);
            return self.check.blocked(&[&IMAGE_REFERENCE], &UNRESOLVED_VARIABLE, message);
        }
        self.reference.examined_once(used.image());
        let remedy = Remediation::new(
            "Write it as [registry/]repository[:tag][@digest], the repository in lower case",
        )
        .command("kubectl explain pod.spec.containers.image");
        tell(
            used,
            &mut self.reference,
            format!("{:?} is not the reference of an image: {why}", used.text),
            remedy,
        );
    }

    fn pins(&mut self, used: &Use<'_>) {
        let Ok(image) = &used.reference else { return };
        if !self.hub.images.require_digests {
            return;
        }
        self.pinned.examined_once(used.image());
        if image.digest.is_none() {
            let remedy = Remediation::new("Pin it: NAME:TAG@DIGEST").command(self.hub.skopeo(
                OF_DIGEST,
                &image.registry,
                &image.to_string(),
            ));
            self.pinned.warn(used.subject(), format!("{} is not pinned to a digest", used.text), remedy);
        }
    }

    /// What the pod itself says about its user needs no image.
    fn pod_user(&mut self, used: &Use<'_>) {
        if let RunAs::NumberOfPod(user) = used.user {
            self.root.examined();
            if user == 0 {
                let remedy = Remediation::new("Set runAsUser to another number, or leave runAsNonRoot out")
                    .command("kubectl explain pod.spec.securityContext.runAsUser");
                let message = format!("{} must not run as root, and runAsUser is 0", used.of);
                tell(used, &mut self.root, message, remedy);
            }
        }
    }

    fn presence(&mut self, used: &Use<'_>, keys: &Keys, inquiry: &Inquiry, here: Here) {
        let Ok(image) = &used.reference else { return };
        if let Some(why) = &inquiry.layout {
            let why = format!("the layout of {} cannot be used: {why}", image.registry);
            self.check.unknown(&[&IMAGE_MISSING], &why, "copy the images into it anew");
            return self.check.set_aside(OF_CONTENT, &why);
        }
        if used.policy == Policy::Never {
            return self.never_pulled(used, here);
        }
        let assumed = self.hub.node_credentials(&image.registry);
        self.own_credentials(used, inquiry);
        match here {
            Here::All(count) if inquiry.found().is_none() => return self.only_on_nodes(used, inquiry, count),
            Here::Some(having, all) if inquiry.found().is_none() => {
                let remedy = Remediation::new("Push it to its registry, so that every node can have it");
                self.check.set_aside(OF_CONTENT, "an image was only seen on nodes");
                return self.on_some_nodes(used, "cannot be had from its registry", having, all, remedy);
            }
            _ => {}
        }
        self.permission(used, image, keys, inquiry, assumed);
        self.existence(used, image, inquiry, assumed);
    }

    fn never_pulled(&mut self, used: &Use<'_>, here: Here) {
        let remedy = Remediation::new("Load the image onto the nodes, or let it be pulled (imagePullPolicy: IfNotPresent)")
            .command("kubectl get nodes -o jsonpath='{range .items[*]}{.metadata.name}{\"\\t\"}{.status.images[*].names}{\"\\n\"}{end}'");
        match here {
            Here::All(_) => self.missing.examined_once(used.image()),
            Here::None => {
                self.missing.examined_once(used.image());
                let message = format!("{} is never pulled, and no node that may run it has it", used.text);
                tell(used, &mut self.missing, message, remedy);
            }
            Here::Some(having, all) => self.on_some_nodes(used, "is never pulled", having, all, remedy),
            Here::Unknown => {
                let why = format!("{} is never pulled, and which nodes have it is not known", used.text);
                self.check.unknown(&[&IMAGE_MISSING], why, remedy.summary);
            }
        }
    }

    /// It depends on where the pods come to run. A DaemonSet's run on all nodes.
    fn on_some_nodes(&mut self, used: &Use<'_>, what: &str, having: usize, all: usize, remedy: Remediation) {
        self.missing.examined_once(used.image());
        let message = format!("{} {what}, and {having} of {all} nodes that may run it have it", used.text);
        if used.planned.object.kind() == "DaemonSet" {
            return tell(used, &mut self.missing, message, remedy);
        }
        match used.starts {
            Happens::No(why) => self.missing.warn(used.subject(), format!("{message} ({why})"), remedy),
            _ => self.missing.unknown(message, remedy.on_one_line()),
        }
    }

    /// The registry does not give it, but every node that may run it has it.
    fn only_on_nodes(&mut self, used: &Use<'_>, inquiry: &Inquiry, count: usize) {
        let refused = inquiry.pod.as_ref().is_some_and(|pull| pull.is_refused());
        let text = &used.text;
        if refused {
            // A kubelet that remembers whose credentials an image was pulled with asks the registry again
            // (KubeletEnsureSecretPulledImages).
            let why = format!(
                "all {count} nodes that may run it have {text}, and its registry refuses to give it again"
            );
            self.check.unknown(
                &[&PULL_PERMISSION],
                why,
                "give the pod a pull secret that its registry accepts",
            );
            return self.check.set_aside(OF_CONTENT, "an image could not be looked at");
        }
        self.missing.examined_once(used.image());
        let remedy = Remediation::new("Push it to its registry, so that new nodes can have it too");
        let message =
            format!("{text} is on all {count} nodes that may run it, but cannot be had from its registry");
        self.missing.warn(used.subject(), message, remedy);
        self.check.set_aside(OF_CONTENT, "an image was only seen on the nodes");
    }

    fn own_credentials(&mut self, used: &Use<'_>, inquiry: &Inquiry) {
        let Own::Tried { source, pull } = &inquiry.own else {
            if let Own::Unavailable(why) = &inquiry.own {
                self.own.examined_once(used.image());
                let remedy = Remediation::new("Sign in again, or say `images: {no_own_credentials: true}`");
                self.own.warn(
                    used.subject(),
                    format!("This machine's own credentials cannot be had: {why}"),
                    remedy,
                );
            }
            return;
        };
        if pull.found.is_some() {
            return self.own.examined_once(used.image());
        }
        if let (true, Some(last)) = (pull.is_refused(), pull.last()) {
            self.own.examined_once(used.image());
            let message = format!("{}: the credentials in {source} are refused: {}", used.text, last.trouble);
            let remedy = Remediation::new("Sign in again, with an account that may read the repository")
                .command(format!("docker login {}", last.authority));
            self.own.warn(used.subject(), message, remedy);
        }
    }

    fn permission(
        &mut self,
        used: &Use<'_>,
        image: &Reference,
        keys: &Keys,
        inquiry: &Inquiry,
        assumed: Option<NodeCredentials>,
    ) {
        let Some(pull) = &inquiry.pod else {
            return match keys {
                // The Secret that cannot be read is told, and is the cause.
                Keys::Unusable => {
                    let why = format!("{}: a pull secret cannot be read", used.text);
                    if used.starts != Happens::Yes {
                        self.check.set_aside(&[&PULL_PERMISSION], &why);
                    } else {
                        self.check.blocked(&[&PULL_PERMISSION], &PULL_SECRET, why);
                    }
                }
                _ if assumed == Some(NodeCredentials::Assumed) => self.permission.examined_once(used.image()),
                Keys::NotRead { why, advice } => {
                    let why = format!(
                        "whether the pods of {} may pull {}: {why}",
                        used.planned.object.id(),
                        used.text
                    );
                    self.check.unknown(&[&PULL_PERMISSION], why, advice);
                }
                Keys::Known(_) => {}
            };
        };
        if pull.found.is_some() {
            return self.permission.examined_once(used.image());
        }
        let hidden =
            seen_otherwise(inquiry) && pull.failed.iter().all(|tried| rule_of(&tried.trouble).is_none());
        if !pull.is_refused() && !hidden {
            // That it is not there, or that nobody answers, is another rule's to tell.
            return;
        }
        let Some(last) = pull.last() else { return };
        let by_whom = match &last.with {
            Some(secret) => format!("with {secret}"),
            None => "without credentials, and the pod has none for it".to_owned(),
        };
        let message = format!("{} may not be pulled {by_whom}: {}", used.text, last.trouble);
        let registry = &image.registry;
        match (assumed, &last.with) {
            (Some(NodeCredentials::Assumed), _) => self.permission.examined_once(used.image()),
            (None, None) => {
                let advice = format!(
                    "give the pod a pull secret, or say whether nodes have credentials of their own: `registries: {{{registry}: {{node_credentials: assumed}}}}`, or `none`"
                );
                self.check.unknown(&[&PULL_PERMISSION], message, advice);
            }
            _ => {
                self.permission.examined_once(used.image());
                let name = last
                    .with
                    .as_deref()
                    .and_then(|with| with.rsplit_once('/'))
                    .map_or("pull", |(_, name)| name);
                let remedy = Remediation::new(
                    "Give the pod, or its ServiceAccount, a pull secret that the registry accepts",
                )
                .command(make_secret(name, used.namespace(), registry));
                tell(used, &mut self.permission, message, remedy);
            }
        }
    }

    fn existence(
        &mut self,
        used: &Use<'_>,
        image: &Reference,
        inquiry: &Inquiry,
        assumed: Option<NodeCredentials>,
    ) {
        if inquiry.found().is_some() {
            return self.missing.examined_once(used.image());
        }
        let tried: Vec<_> = inquiry.failed().collect();
        let missing =
            tried.iter().find(|tried| matches!(tried.trouble, Trouble::Missing { .. }) && !tried.is_mirror);
        // To whom may not see it, a registry may say that it is not there.
        let shown =
            missing.is_some_and(|tried| tried.with.is_some()) || assumed != Some(NodeCredentials::Assumed);
        let others = tried
            .iter()
            .filter(|tried| !tried.is_mirror)
            .find(|tried| !matches!(tried.trouble, Trouble::Missing { .. }));
        if let (Some(missing), true, None) = (missing, shown, others) {
            self.missing.examined_once(used.image());
            let (message, remedy) = self.not_there(used, image, missing);
            tell(used, &mut self.missing, message, remedy);
            return self.check.set_aside(OF_CONTENT, "an image is not there");
        }
        let why = format!("{} could not be looked at", used.text);
        let last = tried.last().map(|tried| format!(": {}", tried.trouble)).unwrap_or_default();
        let on_the_way = tried.iter().any(|tried| rule_of(&tried.trouble).is_some());
        let advice = match on_the_way {
            true => "what stands in the way has a rule of its own; whether the image is there is known once that is mended"
                .to_owned(),
            false => format!(
                "let it be looked at: with `images: {{read_pull_secrets: true}}`, or with credentials of this machine (`docker login {}`)",
                image.registry
            ),
        };
        // Who accepts not knowing whether the pods may pull it has not accepted that it may not be there.
        self.missing.unknown(format!("{why}{last}"), advice);
        self.check.set_aside(OF_CONTENT, &why);
    }

    fn not_there(&self, used: &Use<'_>, image: &Reference, missing: &Try) -> (String, Remediation) {
        let (text, registry) = (&used.text, &image.registry);
        let layout = self.hub.registries.of(registry).and_then(|entry| entry.layout.as_deref());
        if let Some(layout) = layout {
            let copy = Remediation::new("Copy the image into the layout, or correct its reference");
            // An archive is written once.
            let copy = match layout.strip_prefix("oci:") {
                Some(folder) => copy.command(self.hub.copy_into(folder, image)),
                None => copy,
            };
            return (format!("{text} is not in the layout {layout}"), copy);
        }
        let at = match missing.authority == *registry {
            true => String::new(),
            false => format!(" (at {})", missing.authority),
        };
        let remedy = Remediation::new("Push the image, or correct its reference").command(self.hub.skopeo(
            "list-tags",
            registry,
            &image.name(),
        ));
        (format!("{text} is not there: {registry}{at} says that {}", missing.trouble), remedy)
    }

    fn conclude(self) {
        self.reference.conclude("images");
        self.missing.conclude("images");
        self.platform.conclude("images");
        self.root.conclude("containers that must not run as root");
        self.schema_1.conclude("images");
        self.not_image.conclude("images");
        self.pinned.conclude("images that the environment wants pinned");
        self.permission.conclude("images");
        self.own.conclude("images that this machine has credentials for");
    }
}

/// Whether another than the pod has seen the image.
fn seen_otherwise(inquiry: &Inquiry) -> bool {
    matches!(&inquiry.own, Own::Tried { pull, .. } if pull.found.is_some())
}
