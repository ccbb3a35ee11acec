//! What the cluster is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use preflight_core::cluster::{ClusterError, Listed, Reader};
use preflight_core::release::{Projected, ProjectedList, Release};
use preflight_core::view;
use serde::Deserialize;

use super::autoscalers::Autoscaler;
use super::budgets::Budget;
use crate::capacity::admit::{PriorityClass, RuntimeClass};
use crate::capacity::limits::LimitRange;
use crate::capacity::quota::ResourceQuota;
use crate::capacity::view::{Node, Pod};
use crate::labels::Labels;

/// A namespace's labels.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Namespace {
    metadata: Meta,
}

view!(Namespace: cluster "" "v1" "namespaces" "Namespace");

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Meta {
    labels: Option<Labels>,
}

/// What was read, each with why it was not.
pub(super) struct Read {
    pub(super) nodes: Result<Arc<Listed<Node>>, ClusterError>,
    pub(super) pods: Result<Arc<Listed<Pod>>, ClusterError>,
    /// Those of the whole cluster, or of the namespaces of the release, where one may not look further. So with quotas and
    /// limits.
    pub(super) pods_here: Result<Arc<Listed<Pod>>, ClusterError>,
    pub(super) quotas: Result<Arc<Listed<ResourceQuota>>, ClusterError>,
    pub(super) limits: Result<ProjectedList<LimitRange>, ClusterError>,
    pub(super) priorities: Result<ProjectedList<PriorityClass>, ClusterError>,
    pub(super) runtimes: Result<ProjectedList<RuntimeClass>, ClusterError>,
    pub(super) namespaces: Result<BTreeMap<String, Labels>, ClusterError>,
}

/// Asks for the lists; whoever needs one later shares the answer.
pub(super) async fn prefetch(cluster: &Reader) {
    let _ = futures::join!(
        cluster.list::<Node>(),
        cluster.list::<Pod>(),
        cluster.list::<ResourceQuota>(),
        cluster.list::<LimitRange>(),
        cluster.list::<PriorityClass>(),
        cluster.list::<RuntimeClass>(),
        cluster.list::<Namespace>(),
        cluster.list::<Autoscaler>(),
        cluster.list::<Budget>(),
    );
}

/// Reads everything side by side.
pub(super) async fn read(cluster: &Reader, projected: &Projected, release: &Release) -> Read {
    let here = release.namespaces();
    let (nodes, pods, pods_here, quotas, limits, priorities, runtimes, namespaces) = futures::join!(
        cluster.list::<Node>(),
        cluster.list::<Pod>(),
        cluster.list_within::<Pod>(&here),
        cluster.list_within::<ResourceQuota>(&here),
        projected.list_within::<LimitRange>(),
        projected.list::<PriorityClass>(),
        projected.list::<RuntimeClass>(),
        cluster.list::<Namespace>(),
    );
    let namespaces = namespaces.map(|live| {
        let mut all: BTreeMap<String, Labels> = live
            .iter()
            .map(|(_, name, namespace)| {
                (name.to_owned(), namespace.metadata.labels.clone().unwrap_or_default())
            })
            .collect();
        for (_, planned) in release.of_kind("", "Namespace") {
            if let Some(name) = planned.object.name() {
                let merged = crate::changes::merged(planned, release.method());
                let labels = all.entry(name.to_owned()).or_default();
                *labels = crate::labels::of(&merged);
                labels.insert("kubernetes.io/metadata.name".to_owned(), name.to_owned());
            }
        }
        all
    });
    Read { nodes, pods, pods_here, quotas, limits, priorities, runtimes, namespaces }
}
