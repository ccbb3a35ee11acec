//! What an image is: its platforms, its user, its kind.

use preflight_core::{Remediation, Rule};

use super::images::{Rules, tell};
use super::inquiry::{Found, Inquiry};
use super::uses::{RunAs, Use};
use super::{NOT_AN_IMAGE, PLATFORM, RUN_AS_NON_ROOT, SCHEMA_1};
use crate::registry::{Config, Manifest, Platform, Trouble};

/// What cannot be decided without an image's configuration.
static OF_CONFIG: &[&Rule] = &[&PLATFORM, &RUN_AS_NON_ROOT];
static OF_USER: &[&Rule] = &[&RUN_AS_NON_ROOT];

/// What shows as whom an image runs.
const OF_USER_OF_IMAGE: &str = "inspect --config --format '{{.Config.User}}'";

/// What an image is, as far as it is asked for.
#[derive(Default)]
pub(super) struct Content {
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

pub(super) async fn content(used: &Use<'_>, inquiry: &Inquiry) -> Option<Content> {
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
    pub(super) fn content(&mut self, used: &Use<'_>, content: Content) {
        let text = &used.text;
        for (rules, trouble) in &content.troubles {
            match trouble {
                Trouble::Missing { .. } => {
                    self.missing.examined_once(used.image());
                    let remedy = Remediation::new("Push the image anew: a part of it is not there");
                    tell(used, &mut self.missing, format!("{text} is not whole: {trouble}"), remedy);
                }
                // Who refuses may be the store that the registry sends one to, which nodes may reach.
                _ => self.check.unknown(rules, format!("{text}: {trouble}"), "ask again"),
            }
        }
        self.schema_1.examined_once(used.image());
        if content.schema_1 {
            self.schema_1(used);
            if used.user == RunAs::NotRoot && used.refuses_schema_1 == Some(false) {
                let why = format!("{text} is in schema 1, of which it is not looked up as whom it runs");
                self.check.unknown(OF_USER, why, "set runAsUser to a number other than 0");
            }
            return self.check.set_aside(&[&PLATFORM], "an image of schema 1 does not say what it runs on");
        }
        self.not_image.examined_once(used.image());
        if content.not_image {
            let remedy = Remediation::new("Name an image; this is another kind of artefact")
                .command(self.hub.skopeo("inspect --raw", used.registry(), text));
            let message = format!("{text} is not an image, but another artefact");
            if used.is_volume {
                return self.not_image.warn(used.subject(), message, remedy);
            }
            let why = format!("{message}, and no runtime is known to start it");
            return self.check.unknown(&[&NOT_AN_IMAGE], why, remedy.on_one_line());
        }
        if let Some((platform, digest)) = &content.lacking {
            self.missing.examined_once(used.image());
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
        self.platform.examined_once(used.image());
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
        // A DaemonSet's pods run on every node.
        if unfit.len() == nodes.len() || used.planned.object.kind() == "DaemonSet" {
            let message =
                format!("{} is made for {has}, and {name}, which is to run it, is {platform}", used.text);
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
                // `security_context_windows.go` of the kubelet, v1.36.
                _ if platform.os == "windows" && config.user != "ContainerAdministrator" => continue,
                _ if platform.os == "windows" => "its image runs as ContainerAdministrator".to_owned(),
                Ok(0) => "its image runs as root".to_owned(),
                Err(name) => format!("its image runs as {name:?}, which is not a number"),
                Ok(_) => continue,
            };
            let remedy =
                Remediation::new("Set runAsUser to a number other than 0, or give the image a numeric USER")
                    .command(self.hub.skopeo(OF_USER_OF_IMAGE, used.registry(), &used.text));
            let message =
                format!("{} must not run as root, and {why} ({} for {platform})", used.of, used.text);
            return tell(used, &mut self.root, message, remedy);
        }
    }
}
