//! What there is, as the release leaves it: pods, Services, and what leads to them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;
use preflight_core::cluster::{ClusterError, ClusterErrorKind, Listed, Reader, Resource};
use preflight_core::release::{Planned, Release};
use preflight_core::view;
use serde::Deserialize;
use serde_json::Value;

use super::added::Added;
use super::{INGRESSES, POLICIES, RANGES, SERVICES};
use crate::changes::merged;
use crate::labels::Labels;

/// A pod, as far as traffic goes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pod {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

view!(Pod: namespaced "" "v1" "pods" "Pod");

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    labels: Labels,
    owner_references: Vec<Owner>,
    deletion_timestamp: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Owner {
    kind: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Spec {
    containers: Vec<Container>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Container {
    ports: Vec<Port>,
}

/// A port of a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) container_port: u32,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: String,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

/// Pods that a Service may lead to: those of a template of the release, or one that is there.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    /// For people: `Deployment shop/web`.
    pub(super) id: String,
    pub(super) labels: Labels,
    /// What their controller adds.
    pub(super) added: Added,
    pub(super) ports: Vec<Port>,
    /// Whether they run to an end.
    pub(super) ends: bool,
    /// Whether they come with the release.
    pub(super) coming: bool,
    /// Whether they are ready now.
    pub(super) ready: bool,
}

/// A Service or another object, as it will be.
#[derive(Debug, Clone)]
pub(super) struct Found<'a> {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) object: Value,
    /// As it is now.
    pub(super) before: Option<Value>,
    /// The object of the release, and its place in the order of applying.
    pub(super) planned: Option<(usize, &'a Planned)>,
}

type Objects<'a> = Result<Vec<Found<'a>>, ClusterError>;

/// What there is, as far as it was looked at.
pub(super) struct World<'a> {
    pub(super) release: &'a Release,
    /// The namespaces of the release.
    namespaces: BTreeSet<&'a str>,
    /// Of the whole cluster, or of the namespaces of the release if one may not look further; `partial` says why.
    pub(super) services: Objects<'a>,
    pub(super) partial: Option<ClusterError>,
    /// As with Services.
    pub(super) ingresses: Objects<'a>,
    pub(super) partial_ingresses: Option<ClusterError>,
    pub(super) policies: Objects<'a>,
    /// The ranges of addresses of Services; nothing where the server does not tell them.
    pub(super) ranges: Result<Vec<String>, ClusterError>,
    pods: BTreeMap<String, Result<Arc<Listed<Pod>>, ClusterError>>,
}

impl<'a> World<'a> {
    pub(super) async fn look(cluster: &Reader, release: &'a Release) -> Self {
        let of = |group: &str, kinds: &[&str]| {
            release
                .objects()
                .iter()
                .any(|planned| planned.object.group() == group && kinds.contains(&planned.object.kind()))
        };
        let has_pods = release.objects().iter().any(|planned| planned.object.pod_template().is_some());
        let has_services = of("", &["Service"]);
        let has_ingresses = of("networking.k8s.io", &["Ingress"]);
        let has_routes =
            has_ingresses || release.objects().iter().any(|planned| planned.object.kind().ends_with("Route"));
        let namespaces: BTreeSet<&str> =
            release.objects().iter().filter_map(|planned| planned.namespace.as_deref()).collect();
        let ((services, partial), (ingresses, partial_ingresses), policies, ranges, pods) = futures::join!(
            everywhere(cluster, &SERVICES, &namespaces, has_services || has_routes),
            everywhere(cluster, &INGRESSES, &namespaces, has_ingresses),
            each(cluster, &POLICIES, &namespaces, has_pods),
            ranges(cluster, has_services),
            pods(
                cluster,
                &namespaces,
                has_services || (has_pods && of("networking.k8s.io", &["NetworkPolicy"]))
            ),
        );
        Self {
            release,
            services: overlaid(services, release, "", "Service"),
            partial,
            ingresses: overlaid(ingresses, release, "networking.k8s.io", "Ingress"),
            partial_ingresses,
            policies: overlaid(policies, release, "networking.k8s.io", "NetworkPolicy"),
            ranges,
            pods,
            namespaces,
        }
    }

    /// Whether one has looked into a namespace even where one may not look at all of them.
    pub(super) fn is_seen(&self, namespace: &str) -> bool {
        self.namespaces.contains(namespace)
    }

    /// The pods of a namespace: those that are there, and those that come with the release.
    pub(super) fn backends(&self, namespace: &str) -> Result<Vec<Backend>, ClusterError> {
        let mut all = self.coming(namespace);
        let pods = match self.pods.get(namespace) {
            Some(Ok(pods)) => pods,
            Some(Err(error)) => return Err(error.clone()),
            None => return Ok(all),
        };
        let here = pods.iter().filter(|(of, ..)| *of == namespace);
        all.extend(here.filter(|(.., pod)| pod.counts()).map(|(_, name, pod)| Backend {
            id: format!("Pod {namespace}/{name}"),
            labels: pod.metadata.labels.clone(),
            added: Added::default(),
            ports: pod.spec.containers.iter().flat_map(|container| container.ports.clone()).collect(),
            ends: pod.metadata.owner_references.iter().any(|owner| owner.kind == "Job"),
            coming: false,
            ready: pod.status.conditions.iter().any(|one| one.kind == "Ready" && one.status == "True"),
        }));
        Ok(all)
    }

    /// The pods of the release's templates in a namespace; of those that make some.
    pub(super) fn coming(&self, namespace: &str) -> Vec<Backend> {
        let workloads =
            self.release.objects().iter().filter(|planned| planned.namespace.as_deref() == Some(namespace));
        let backend = |planned: &Planned| {
            planned.object.pod_template()?;
            let object = merged(planned, self.release.method());
            let pod = match planned.object.kind() {
                "Pod" => &object,
                "CronJob" => &object["spec"]["jobTemplate"]["spec"]["template"],
                _ => &object["spec"]["template"],
            };
            let has_none = object["spec"]["replicas"].as_i64() == Some(0);
            let pod = Pod::deserialize(pod).ok().filter(|_| !has_none)?;
            Some(Backend {
                id: planned.object.id().to_string(),
                labels: pod.metadata.labels,
                added: Added::of(planned.object.kind(), planned.object.display_name(), &object),
                ports: pod.spec.containers.into_iter().flat_map(|container| container.ports).collect(),
                ends: matches!(planned.object.kind(), "Job" | "CronJob"),
                coming: true,
                ready: false,
            })
        };
        workloads.filter_map(backend).collect()
    }
}

impl Pod {
    /// Whether it is, or may get, in use.
    fn counts(&self) -> bool {
        self.metadata.deletion_timestamp.is_none()
            && !matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }
}

impl Backend {
    /// Whether a map of labels selects it.
    pub(super) fn is_selected(&self, selector: &Value) -> bool {
        self.fits(&serde_json::json!({"matchLabels": selector}))
    }

    /// Whether a selector may select one of its pods.
    pub(super) fn fits(&self, selector: &Value) -> bool {
        self.added.fits(selector, &self.labels)
    }
}

/// The objects of a kind in the whole cluster; where one may not look there, in the namespaces of the release.
async fn everywhere(
    cluster: &Reader,
    resource: &Resource,
    namespaces: &BTreeSet<&str>,
    is_needed: bool,
) -> (Result<Vec<Value>, ClusterError>, Option<ClusterError>) {
    if !is_needed {
        return (Ok(Vec::new()), None);
    }
    match cluster.select(resource, None, "").await {
        Err(error) if matches!(error.kind(), ClusterErrorKind::Forbidden) => {
            (each(cluster, resource, namespaces, true).await, Some(error))
        }
        found => (found, None),
    }
}

async fn each(
    cluster: &Reader,
    resource: &Resource,
    namespaces: &BTreeSet<&str>,
    is_needed: bool,
) -> Result<Vec<Value>, ClusterError> {
    if !is_needed {
        return Ok(Vec::new());
    }
    let asking = namespaces.iter().map(|namespace| cluster.select(resource, Some(namespace), ""));
    let mut all = Vec::new();
    for found in join_all(asking).await {
        all.extend(found?);
    }
    Ok(all)
}

async fn ranges(cluster: &Reader, is_needed: bool) -> Result<Vec<String>, ClusterError> {
    if !is_needed {
        return Ok(Vec::new());
    }
    match cluster.select(&RANGES, None, "").await {
        // Older servers do not tell.
        Err(error) if matches!(error.kind(), ClusterErrorKind::NotFound) => Ok(Vec::new()),
        Err(error) => Err(error),
        Ok(found) => {
            let cidrs =
                found.iter().flat_map(|range| range["spec"]["cidrs"].as_array().cloned().unwrap_or_default());
            Ok(cidrs.filter_map(|cidr| cidr.as_str().map(str::to_owned)).collect())
        }
    }
}

async fn pods(
    cluster: &Reader,
    namespaces: &BTreeSet<&str>,
    is_needed: bool,
) -> BTreeMap<String, Result<Arc<Listed<Pod>>, ClusterError>> {
    if !is_needed {
        return BTreeMap::new();
    }
    // Other checks need them all, so it is one list.
    let all = cluster.list::<Pod>().await;
    let looking = namespaces.iter().map(|namespace| {
        let all = all.clone();
        async move {
            match all {
                Err(error) if matches!(error.kind(), ClusterErrorKind::Forbidden) => {
                    ((*namespace).to_owned(), cluster.list_in::<Pod>(namespace).await)
                }
                all => ((*namespace).to_owned(), all),
            }
        }
    });
    join_all(looking).await.into_iter().collect()
}

/// What is there, with the release laid over it.
fn overlaid<'a>(
    live: Result<Vec<Value>, ClusterError>,
    release: &'a Release,
    group: &str,
    kind: &str,
) -> Objects<'a> {
    let text = |object: &Value, key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    let mut all: BTreeMap<(String, String), Found<'a>> = BTreeMap::new();
    for object in live? {
        let (namespace, name) = (text(&object, "namespace"), text(&object, "name"));
        let before = Some(object.clone());
        all.insert(
            (namespace.clone(), name.clone()),
            Found { namespace, name, object, before, planned: None },
        );
    }
    for gone in &release.pruning()?.deletions {
        if gone.resource.group == group && gone.resource.kind == kind {
            all.remove(&(gone.namespace.clone().unwrap_or_default(), gone.name.clone()));
        }
    }
    for (at, planned) in release.objects().iter().enumerate() {
        let (Some(namespace), Some(name)) = (planned.namespace.clone(), planned.object.name()) else {
            continue;
        };
        if planned.object.group() != group || planned.object.kind() != kind {
            continue;
        }
        let before = match &planned.live {
            preflight_core::release::Live::Present(live) => Some((**live).clone()),
            _ => None,
        };
        let found = Found {
            namespace: namespace.clone(),
            name: name.to_owned(),
            object: merged(planned, release.method()),
            before,
            planned: Some((at, planned)),
        };
        all.insert((namespace, name.to_owned()), found);
    }
    Ok(all.into_values().collect())
}
