//! The images that the release's pods run.

use std::collections::BTreeSet;
use std::sync::Arc;

use preflight_core::cluster::{ClusterError, Listed, Reader};
use preflight_core::release::{Planned, Release};
use preflight_core::{FieldPath, Subject};
use serde_json::Value;

use super::runtime_classes;
use crate::changes::{Happens, rollout};
use crate::nodes::{Node, candidates};
use crate::registry::Platform;
use crate::registry::reference::{NotAReference, Reference};

/// An image that a container, or a volume, of the release is made of.
pub(super) struct Use<'a> {
    pub(super) planned: &'a Planned,
    /// As written.
    pub(super) text: String,
    pub(super) reference: Result<Reference, NotAReference>,
    /// Where it is written.
    pub(super) path: FieldPath,
    /// `container web`, `volume data`.
    pub(super) of: String,
    /// It is a volume's, and nothing of it is started.
    pub(super) is_volume: bool,
    pub(super) policy: Policy,
    pub(super) user: RunAs,
    /// Whether pods are started for it. If not, the release lands even if they could not.
    pub(super) starts: Happens,
    /// The pod's `spec`.
    pub(super) spec: Value,
    /// Nodes that may run it: name and platform. `None` where the nodes are not known.
    pub(super) nodes: Option<Vec<(String, Platform)>>,
    /// Runtimes of those nodes.
    pub(super) refuses_schema_1: Option<bool>,
}

/// Whether the kubelet pulls the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Always,
    IfNotPresent,
    Never,
}

/// As whom a container is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunAs {
    /// As the image says, or as whom the pod says; nobody minds.
    Anyone,
    /// Not as root, and the pod itself says as whom.
    NumberOfPod(i64),
    /// Not as root, and the image must say as whom.
    NotRoot,
}

impl Use<'_> {
    pub(super) fn subject(&self) -> Subject {
        Subject::at(&self.planned.object, &self.path)
    }

    /// The image, by which uses of the same one are told to be so.
    pub(super) fn image(&self) -> String {
        self.reference.as_ref().map_or_else(|_| self.text.clone(), ToString::to_string)
    }

    /// The registry that it is in. Empty where it is not the reference of an image.
    pub(super) fn registry(&self) -> &str {
        self.reference.as_ref().map_or("", |image| &image.registry)
    }

    /// Platforms of the nodes that may run it.
    pub(super) fn platforms(&self) -> BTreeSet<Platform> {
        self.nodes.iter().flatten().map(|(_, platform)| platform.clone()).collect()
    }

    pub(super) fn namespace(&self) -> &str {
        self.planned.namespace.as_deref().unwrap_or("default")
    }
}

/// Every image of the release's pods, in the order in which they are applied.
pub(super) fn of(release: &Release) -> Vec<Use<'_>> {
    let mut uses = Vec::new();
    for planned in release.objects() {
        let Some(template) = planned.object.pod_template() else {
            continue;
        };
        let spec = template.spec_json();
        let starts = rollout(planned, release.method()).pods;
        let mut add = |text: &str, path: FieldPath, of: String, policy: Policy, user: RunAs| {
            uses.push(Use {
                planned,
                text: text.to_owned(),
                reference: Reference::parse(text),
                path,
                is_volume: of.starts_with("volume "),
                of,
                policy,
                user,
                starts,
                spec: spec.clone(),
                nodes: None,
                refuses_schema_1: None,
            });
        };
        for list in ["initContainers", "containers"] {
            for (at, container) in spec[list].as_array().into_iter().flatten().enumerate() {
                // A container without an image is the API server's to refuse.
                let Some(text) = container["image"].as_str() else { continue };
                let path = template.spec_path(list).index(at).key("image");
                let name = container["name"].as_str().unwrap_or_default();
                add(
                    text,
                    path,
                    format!("container {name}"),
                    policy(container, text),
                    run_as(&spec, container),
                );
            }
        }
        for (at, volume) in spec["volumes"].as_array().into_iter().flatten().enumerate() {
            let Some(text) = volume["image"]["reference"].as_str().filter(|text| !text.is_empty()) else {
                continue;
            };
            let path = template.spec_path("volumes").index(at).key("image").key("reference");
            let of = format!("volume {}", volume["name"].as_str().unwrap_or_default());
            let mut policy = policy(&volume["image"], text);
            if let Some(written) = volume["image"]["pullPolicy"].as_str() {
                policy = named(written, text);
            }
            add(text, path, of, policy, RunAs::Anyone);
        }
    }
    uses
}

/// Adds to each pod's `spec` what its RuntimeClass says of nodes
/// (`plugin/pkg/admission/runtimeclass/admission.go`, v1.36).
pub(super) async fn schedule(
    uses: &mut [Use<'_>],
    release: &Release,
    cluster: &Reader,
) -> Result<(), ClusterError> {
    for used in uses {
        let Some(name) = used.spec["runtimeClassName"].as_str().filter(|name| !name.is_empty()) else {
            continue;
        };
        let mut coming = release.of_kind("node.k8s.io", "RuntimeClass");
        let class = match coming.find(|(_, planned)| planned.object.name() == Some(name)) {
            Some((_, planned)) => Some(Arc::clone(&planned.effective)),
            None => cluster.get(&runtime_classes(), None, name).await?,
        };
        let Some(scheduling) = class.as_ref().and_then(|class| class.get("scheduling")) else {
            continue;
        };
        for (key, value) in scheduling["nodeSelector"].as_object().into_iter().flatten() {
            used.spec["nodeSelector"][key] = value.clone();
        }
        if let Some(more) = scheduling["tolerations"].as_array() {
            let own = used.spec["tolerations"].as_array().cloned().unwrap_or_default();
            used.spec["tolerations"] = [own, more.clone()].concat().into();
        }
    }
    Ok(())
}

/// Finds the nodes that may run each of them.
pub(super) fn place(uses: &mut [Use<'_>], nodes: Option<&Listed<Node>>) {
    let Some(nodes) = nodes else { return };
    for used in uses {
        let found = candidates(&used.spec, nodes);
        if found.is_empty() && used.planned.object.kind() == "DaemonSet" {
            used.starts = Happens::No("no node may run it for now");
        }
        let old = |node: &Node| match node.runtime() {
            // `remotes/docker/schema1` left containerd with 2.1; CRI-O goes by containers/image, which still reads it.
            Some(("containerd", version)) => Some(version >= (2, 1)),
            Some(_) => Some(false),
            None => None,
        };
        let refuses: Vec<_> = found.iter().map(|(_, node)| old(node)).collect();
        used.refuses_schema_1 =
            (!refuses.is_empty() && !refuses.contains(&None)).then(|| refuses.contains(&Some(true)));
        let known = found.iter().map(|(name, node)| {
            let (os, architecture) = node.platform();
            let platform = Platform { os: os.to_owned(), architecture: architecture.to_owned() };
            ((*name).to_owned(), platform)
        });
        used.nodes = Some(known.collect());
    }
}

/// Without a word from the pod, `latest` is always pulled and everything else if it is not there
/// (`SetDefaults_Container`, `pkg/apis/core/v1/defaults.go`, v1.36).
fn policy(container: &Value, image: &str) -> Policy {
    named(container["imagePullPolicy"].as_str().unwrap_or_default(), image)
}

fn named(policy: &str, image: &str) -> Policy {
    match policy {
        "Always" => Policy::Always,
        "Never" => Policy::Never,
        "IfNotPresent" => Policy::IfNotPresent,
        _ => match Reference::parse(image) {
            Ok(reference) if reference.tag.as_deref() == Some("latest") => Policy::Always,
            _ => Policy::IfNotPresent,
        },
    }
}

/// `verifyRunAsNonRoot` and `DetermineEffectiveSecurityContext`
/// (`pkg/kubelet/kuberuntime/security_context_others.go`, `pkg/securitycontext/util.go`, v1.36).
fn run_as(spec: &Value, container: &Value) -> RunAs {
    if spec["os"]["name"] == "windows" {
        return RunAs::Anyone;
    }
    let of = |key: &str| {
        let own = &container["securityContext"][key];
        if own.is_null() { &spec["securityContext"][key] } else { own }
    };
    match (of("runAsNonRoot").as_bool(), of("runAsUser").as_i64()) {
        (Some(true), Some(user)) => RunAs::NumberOfPod(user),
        (Some(true), None) => RunAs::NotRoot,
        _ => RunAs::Anyone,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn latest_is_always_pulled() {
        for (container, image, expected) in [
            (json!({}), "nginx", Policy::Always),
            (json!({}), "nginx:latest", Policy::Always),
            (json!({}), "nginx:1", Policy::IfNotPresent),
            (json!({"imagePullPolicy": "Never"}), "nginx", Policy::Never),
            (json!({"imagePullPolicy": "Always"}), "nginx:1", Policy::Always),
        ] {
            assert_eq!(policy(&container, image), expected, "{container} {image}");
        }
    }

    #[test]
    fn the_containers_word_counts_before_the_pods() {
        let pod = |context: Value| json!({"securityContext": context});
        for (spec, container, expected) in [
            (pod(json!({})), pod(json!({})), RunAs::Anyone),
            (pod(json!({"runAsNonRoot": true})), pod(json!({})), RunAs::NotRoot),
            (pod(json!({"runAsNonRoot": true})), pod(json!({"runAsNonRoot": false})), RunAs::Anyone),
            (pod(json!({"runAsNonRoot": true, "runAsUser": 7})), pod(json!({})), RunAs::NumberOfPod(7)),
            (
                pod(json!({"runAsUser": 7})),
                pod(json!({"runAsNonRoot": true, "runAsUser": 0})),
                RunAs::NumberOfPod(0),
            ),
            (json!({"os": {"name": "windows"}}), pod(json!({"runAsNonRoot": true})), RunAs::Anyone),
        ] {
            assert_eq!(run_as(&spec, &container), expected, "{spec} {container}");
        }
    }
}
