//! What the answers mean for each image of the release.

use futures::future::join_all;
use preflight_core::cluster::Reader;
use preflight_core::{Context, Examination, Remediation, Rule, RuleCheck};
use serde_json::Value;

use super::contact::rule_of;
use super::hub::Hub;
use super::inquiry::{Found, Inquiry, NotAsked, Own};
use super::secrets::Keys;
use super::settings::NodeCredentials;
use super::uses::{Policy, RunAs, Use};
use super::{
    IMAGE_MISSING, IMAGE_REFERENCE, NOT_AN_IMAGE, NOT_PINNED, OF_CONTENT, OF_IMAGES, OWN_CREDENTIALS,
    PLATFORM, PULL_PERMISSION, PULL_SECRET, RUN_AS_NON_ROOT, SCHEMA_1, nodes,
};
use crate::manifests::UNRESOLVED_VARIABLE;
use crate::registry::reference::Reference;
use crate::registry::{Config, Manifest, Platform, Trouble};

/// Nodes that are asked, one by one, whether they have an image already.
const NODES_ASKED: usize = 16;
/// Images that a kubelet tells of at most (`nodeStatusMaxImages`, `pkg/kubelet/apis/config`, v1.36).
const IMAGES_TOLD: usize = 50;

/// The rules that are concluded here.
struct Rules<'a> {
    check: &'a Examination,
    reference: RuleCheck<'a>,
    missing: RuleCheck<'a>,
    platform: RuleCheck<'a>,
    root: RuleCheck<'a>,
    schema_1: RuleCheck<'a>,
    not_image: RuleCheck<'a>,
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
        rules.pins(hub, used);
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
                rules.missing.examined();
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
        rules.presence(hub, used, keys, inquiry, here);
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

/// A failure where the pods' not starting keeps the release from landing, else a warning.
fn tell(used: &Use<'_>, rule: &mut RuleCheck<'_>, message: String, remedy: Remediation) {
    match used.lands_anyway {
        None => rule.predict(used.subject(), message, remedy),
        Some(why) => rule.warn(used.subject(), format!("{message} ({why})"), remedy),
    }
}

/// Which nodes that may run the pod have the image already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Here {
    /// All of them.
    All(usize),
    /// Not all, or there are too many to ask.
    NotAll,
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
        return Here::NotAll;
    }
    if candidates.is_empty() || candidates.len() > NODES_ASKED {
        return if used.policy == Policy::Never { Here::Unknown } else { Here::NotAll };
    }
    let Ok(cluster) = context.cluster().await else {
        return Here::Unknown;
    };
    let answers = join_all(candidates.iter().map(|(name, _)| has(&cluster, name, image))).await;
    if answers.iter().all(|answer| *answer == Some(true)) {
        Here::All(candidates.len())
    } else if answers.contains(&Some(false)) {
        Here::NotAll
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

/// What cannot be decided without an image's configuration.
static OF_CONFIG: &[&Rule] = &[&PLATFORM, &RUN_AS_NON_ROOT];
static OF_USER: &[&Rule] = &[&RUN_AS_NON_ROOT];

/// What an image is, as far as it is asked for.
#[derive(Default)]
struct Content {
    schema_1: bool,
    not_image: bool,
    /// The platforms that it has, where they are known.
    platforms: Option<Vec<Platform>>,
    /// The configurations for the platforms that may run it.
    configs: Vec<(Platform, Config)>,
    /// What could not be looked at.
    troubles: Vec<(&'static [&'static Rule], Trouble)>,
    /// A manifest that the index names and that is not there.
    lacking: Option<(Platform, String)>,
}

async fn content(used: &Use<'_>, inquiry: &Inquiry) -> Option<Content> {
    let Found { resolved, source } = inquiry.found()?;
    let mut content = Content::default();
    let wants_user = used.user == RunAs::NotRoot;
    match &resolved.manifest {
        Manifest::Schema1 => content.schema_1 = true,
        Manifest::Image { is_image: false, .. } => content.not_image = true,
        Manifest::Image { config, .. } => match source.config(config).await {
            Ok(config) => {
                content.platforms = Some(vec![config.platform.clone()]);
                content.configs.push((config.platform.clone(), config));
            }
            Err(trouble) => content.troubles.push((OF_CONFIG, trouble)),
        },
        Manifest::Index(entries) => {
            let known: Vec<_> = entries.iter().filter(|(platform, _)| !platform.is_unknown()).collect();
            content.platforms = Some(known.iter().map(|(platform, _)| platform.clone()).collect());
            let wanted = used.platforms();
            let mut chosen: Vec<_> = known.iter().filter(|(platform, _)| wanted.contains(platform)).collect();
            if used.nodes.is_none() && wants_user {
                chosen = known.iter().take(1).collect();
            }
            let mut seen = std::collections::BTreeSet::new();
            for (platform, digest) in chosen {
                // Variants of one architecture: whichever the node takes, its manifest was asked for once.
                if !seen.insert(platform) {
                    continue;
                }
                match source.manifest(digest).await.map(|one| one.manifest) {
                    Ok(Manifest::Index(_)) => {
                        let why = "an index within an index is not looked into".to_owned();
                        content.troubles.push((OF_CONFIG, Trouble::Malformed { why }));
                    }
                    Ok(Manifest::Image { config, .. }) if wants_user => match source.config(&config).await {
                        Ok(config) => content.configs.push((platform.clone(), config)),
                        Err(trouble) => content.troubles.push((OF_USER, trouble)),
                    },
                    Ok(Manifest::Image { .. } | Manifest::Schema1) => {}
                    Err(Trouble::Missing { .. }) => {
                        content.lacking = Some((platform.clone(), digest.clone()))
                    }
                    Err(trouble) => content.troubles.push((OF_CONFIG, trouble)),
                }
            }
        }
    }
    Some(content)
}

impl Rules<'_> {
    fn reference(&mut self, used: &Use<'_>) {
        let Err(why) = &used.reference else {
            return self.reference.examined();
        };
        let unresolved = used.planned.object.unresolved();
        if let Some(left) = unresolved.iter().find(|left| left.path == used.path) {
            let message = format!("{} was not replaced in the image of {}", left.text, used.of);
            return self.check.blocked(&[&IMAGE_REFERENCE], &UNRESOLVED_VARIABLE, message);
        }
        self.reference.examined();
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

    fn pins(&mut self, hub: &Hub, used: &Use<'_>) {
        let Ok(image) = &used.reference else { return };
        if !hub.images.require_digests {
            return;
        }
        self.pinned.examined();
        if image.digest.is_none() {
            let remedy = Remediation::new("Pin it: NAME:TAG@DIGEST")
                .command(format!("skopeo inspect --format '{{{{.Digest}}}}' docker://{image}"));
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

    fn presence(&mut self, hub: &Hub, used: &Use<'_>, keys: &Keys, inquiry: &Inquiry, here: Here) {
        let Ok(image) = &used.reference else { return };
        if let Some(why) = &inquiry.layout {
            let why = format!("the layout of {} cannot be used: {why}", image.registry);
            self.check.unknown(&[&IMAGE_MISSING], &why, "copy the images into it anew");
            return self.check.set_aside(OF_CONTENT, &why);
        }
        if used.policy == Policy::Never {
            return self.never_pulled(used, here);
        }
        let assumed = hub.node_credentials(&image.registry);
        self.own_credentials(used, inquiry);
        if let (Here::All(count), false) = (here, inquiry.found().is_some()) {
            return self.only_on_nodes(used, inquiry, count);
        }
        self.permission(used, image, keys, inquiry, assumed);
        self.existence(used, image, inquiry, assumed);
    }

    fn never_pulled(&mut self, used: &Use<'_>, here: Here) {
        let remedy = Remediation::new("Load the image onto the nodes, or let it be pulled (imagePullPolicy: IfNotPresent)")
            .command("kubectl get nodes -o jsonpath='{range .items[*]}{.metadata.name}{\"\\t\"}{.status.images[*].names}{\"\\n\"}{end}'");
        match here {
            Here::All(_) => self.missing.examined(),
            Here::NotAll => {
                self.missing.examined();
                let message =
                    format!("{} is never pulled, and not every node that may run it has it", used.text);
                tell(used, &mut self.missing, message, remedy);
            }
            Here::Unknown => {
                let why = format!("{} is never pulled, and which nodes have it is not known", used.text);
                self.check.unknown(&[&IMAGE_MISSING], why, remedy.summary);
            }
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
        self.missing.examined();
        let remedy = Remediation::new("Push it to its registry, so that new nodes can have it too");
        let message =
            format!("{text} is on all {count} nodes that may run it, but cannot be had from its registry");
        self.missing.warn(used.subject(), message, remedy);
        self.check.set_aside(OF_CONTENT, "an image was only seen on the nodes");
    }

    fn own_credentials(&mut self, used: &Use<'_>, inquiry: &Inquiry) {
        let Own::Tried { source, pull } = &inquiry.own else {
            if let Own::Unavailable(why) = &inquiry.own {
                self.own.examined();
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
            return self.own.examined();
        }
        if let (true, Some(last)) = (pull.is_refused(), pull.last()) {
            self.own.examined();
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
                    if used.lands_anyway.is_some() {
                        self.check.set_aside(&[&PULL_PERMISSION], &why);
                    } else {
                        self.check.blocked(&[&PULL_PERMISSION], &PULL_SECRET, why);
                    }
                }
                _ if assumed == Some(NodeCredentials::Assumed) => self.permission.examined(),
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
            return self.permission.examined();
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
            (Some(NodeCredentials::Assumed), _) => self.permission.examined(),
            (None, None) => {
                let advice = format!(
                    "give the pod a pull secret, or say whether nodes have credentials of their own: `registries: {{{registry}: {{node_credentials: assumed}}}}`, or `none`"
                );
                self.check.unknown(&[&PULL_PERMISSION], message, advice);
            }
            _ => {
                self.permission.examined();
                let remedy = Remediation::new("Give the pod, or its ServiceAccount, a pull secret that the registry accepts")
                    .command(format!(
                        "kubectl create secret docker-registry pull -n {} --docker-server={registry} --docker-username=USER",
                        used.namespace()
                    ));
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
            return self.missing.examined();
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
            self.missing.examined();
            let message =
                format!("{} is not there: {} says that {}", used.text, missing.authority, missing.trouble);
            let remedy = Remediation::new("Push the image, or correct its reference")
                .command(format!("skopeo list-tags docker://{}", image.name()));
            tell(used, &mut self.missing, message, remedy);
            return self.check.set_aside(OF_CONTENT, "an image is not there");
        }
        let why = format!("{} could not be looked at", used.text);
        let on_the_way = tried.iter().any(|tried| rule_of(&tried.trouble).is_some());
        let told_as_permission = inquiry.pod.as_ref().is_none_or(|pull| pull.is_refused())
            && assumed != Some(NodeCredentials::Assumed)
            && missing.is_none();
        if on_the_way || told_as_permission {
            // The cause has its own rule.
            self.check.set_aside(&[&IMAGE_MISSING], &why);
        } else {
            let last = tried.last().map(|tried| format!(": {}", tried.trouble)).unwrap_or_default();
            let advice = format!(
                "sign in to {} on this machine (`docker login`), so that it can be looked at",
                image.registry
            );
            self.check.unknown(&[&IMAGE_MISSING], format!("{why}{last}"), advice);
        }
        self.check.set_aside(OF_CONTENT, &why);
    }

    fn content(&mut self, used: &Use<'_>, content: Content) {
        let text = &used.text;
        for (rules, trouble) in &content.troubles {
            match trouble {
                Trouble::Missing { .. } => {
                    self.missing.examined();
                    let remedy = Remediation::new("Push the image anew: a part of it is not there");
                    tell(used, &mut self.missing, format!("{text} is not whole: {trouble}"), remedy);
                }
                // Who refuses may be the store that the registry sends one to, which nodes may reach.
                _ => self.check.unknown(rules, format!("{text}: {trouble}"), "ask again"),
            }
        }
        self.schema_1.examined();
        if content.schema_1 {
            self.schema_1(used);
            if used.user == RunAs::NotRoot && used.refuses_schema_1 == Some(false) {
                let why = format!("{text} is in schema 1, of which it is not looked up as whom it runs");
                self.check.unknown(OF_USER, why, "set runAsUser to a number other than 0");
            }
            return self.check.set_aside(&[&PLATFORM], "an image of schema 1 does not say what it runs on");
        }
        self.not_image.examined();
        if content.not_image {
            let remedy = Remediation::new("Name an image; this is another kind of artefact")
                .command(format!("skopeo inspect --raw docker://{text}"));
            let message = format!("{text} is not an image, but another artefact");
            if used.is_volume {
                return self.not_image.warn(used.subject(), message, remedy);
            }
            let why = format!("{message}, and no runtime is known to start it");
            return self.check.unknown(&[&NOT_AN_IMAGE], why, remedy.on_one_line());
        }
        if let Some((platform, digest)) = &content.lacking {
            self.missing.examined();
            let remedy = Remediation::new("Push the image anew, with all its platforms");
            let message = format!("{text} names {digest} for {platform}, which is not there");
            tell(used, &mut self.missing, message, remedy);
        }
        if let Some(platforms) = &content.platforms {
            self.platform(used, platforms);
        }
        if used.user == RunAs::NotRoot {
            self.image_user(used, &content);
        }
    }

    fn schema_1(&mut self, used: &Use<'_>) {
        let message = format!("{} is in Docker's manifest schema 1", used.text);
        let remedy = Remediation::new("Push it anew with a tool of today")
            .command(format!("skopeo copy --format v2s2 docker://{0} docker://{0}", used.text));
        match used.refuses_schema_1 {
            Some(true) => tell(used, &mut self.schema_1, format!("{message}, which nodes refuse"), remedy),
            Some(false) => self.schema_1.warn(used.subject(), message, remedy),
            None => {
                let why = format!("{message}, and whether the nodes' runtimes take it is not known");
                self.check.unknown(&[&SCHEMA_1], why, remedy.on_one_line());
            }
        }
    }

    fn platform(&mut self, used: &Use<'_>, platforms: &[Platform]) {
        let Some(nodes) = used.nodes.as_ref().filter(|nodes| !nodes.is_empty()) else {
            return;
        };
        if nodes.iter().any(|(_, platform)| platform.os.is_empty() || platform.architecture.is_empty()) {
            let why = "a node says neither its operating system nor its architecture";
            return self.check.unknown(
                &[&PLATFORM],
                why,
                "kubectl get nodes -L kubernetes.io/os,kubernetes.io/arch",
            );
        }
        self.platform.examined();
        let runs = |platform: &Platform| platforms.contains(platform);
        let unfit: Vec<_> = nodes.iter().filter(|(_, platform)| !runs(platform)).collect();
        let Some((name, platform)) = unfit.first() else {
            return;
        };
        let has = platforms.iter().map(ToString::to_string).collect::<std::collections::BTreeSet<_>>();
        let has = has.into_iter().collect::<Vec<_>>().join(", ");
        let remedy = Remediation::new(format!(
            "Build it for {platform}, or select nodes that it is made for (nodeSelector kubernetes.io/arch)"
        ))
        .command("kubectl get nodes -L kubernetes.io/os,kubernetes.io/arch");
        if unfit.len() == nodes.len() {
            let message =
                format!("{} is made for {has}, and the nodes that may run it are {platform}", used.text);
            tell(used, &mut self.platform, message, remedy);
        } else {
            let message = format!(
                "{} is made for {has}, and {} of {} nodes that may run it are not ({name} is {platform})",
                used.text,
                unfit.len(),
                nodes.len()
            );
            self.platform.warn(used.subject(), message, remedy);
        }
    }

    fn image_user(&mut self, used: &Use<'_>, content: &Content) {
        for (platform, config) in &content.configs {
            self.root.examined();
            let why = match config.uid() {
                Ok(0) => "its image runs as root".to_owned(),
                Err(name) => format!("its image runs as {name:?}, which is not a number"),
                Ok(_) => continue,
            };
            let remedy =
                Remediation::new("Set runAsUser to a number other than 0, or give the image a numeric USER")
                    .command(format!(
                        "skopeo inspect --config --format '{{{{.Config.User}}}}' docker://{}",
                        used.text
                    ));
            let message =
                format!("{} must not run as root, and {why} ({} for {platform})", used.of, used.text);
            return tell(used, &mut self.root, message, remedy);
        }
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
