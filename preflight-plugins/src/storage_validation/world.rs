//! What is there, and what the release makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;
use preflight_core::cluster::{ClusterError, Listed, Reader, ServerVersion, View};
use preflight_core::manifests::Manifests;
use preflight_core::release::{Live, Planned, Release};
use preflight_core::{Context, Environment, Undecided};
use serde_json::Value;

use super::plugins::Pod;
use crate::changes::merged;
use crate::labels::Labels;
use crate::nodes::{Node, candidates};
use crate::storage::{Capacity, Claim, CsiDriver, CsiNode, StorageClass, UsedClaim, Volume, used_claims};

/// Which lists a release needs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Needs {
    /// It makes claims, or its pods use some.
    claims: bool,
}

impl Needs {
    pub(super) fn of(manifests: &Manifests) -> Self {
        let mut needs = Self::default();
        for object in manifests.objects() {
            needs.claims |= object.group().is_empty() && object.kind() == "PersistentVolumeClaim";
            let Some(template) = object.pod_template() else { continue };
            let written = &object.json()["spec"]["volumeClaimTemplates"];
            needs.claims |= written.as_array().is_some_and(|templates| !templates.is_empty());
            let spec = template.spec_json();
            for volume in spec["volumes"].as_array().into_iter().flatten() {
                needs.claims |=
                    volume["ephemeral"].is_object() || volume["persistentVolumeClaim"].is_object();
            }
        }
        needs
    }
}

/// Asks for the lists; whoever needs one shares the answer.
pub(super) async fn prefetch(cluster: &Reader, needs: Needs) {
    if needs.claims {
        let _ = futures::join!(
            cluster.list::<StorageClass>(),
            cluster.list::<Volume>(),
            cluster.list::<Node>(),
            making(cluster),
        );
    }
}

type Making = (
    Result<Arc<Listed<CsiDriver>>, ClusterError>,
    Result<Arc<Listed<CsiNode>>, ClusterError>,
    Result<Arc<Listed<Capacity>>, ClusterError>,
    Result<Arc<Listed<Pod>>, ClusterError>,
);

/// What is known of those who make volumes.
async fn making(cluster: &Reader) -> Making {
    futures::join!(
        cluster.list::<CsiDriver>(),
        cluster.list::<CsiNode>(),
        cluster.list::<Capacity>(),
        cluster.list::<Pod>(),
    )
}

/// Objects as they are listed.
pub(super) type List<V> = Result<Arc<Listed<V>>, Undecided>;

/// Objects by name, as they will be once the release is applied.
pub(super) type Named<V> = Result<BTreeMap<String, V>, Undecided>;

/// What is there, as far as it was looked at.
pub(super) struct World<'a> {
    pub(super) cluster: &'a Reader,
    pub(super) release: &'a Release,
    pub(super) environment: &'a Environment,
    pub(super) version: Result<ServerVersion, ClusterError>,
    /// The workloads of the release whose pods use claims, and which.
    pub(super) used: Vec<(&'a Planned, Vec<UsedClaim>)>,
    pub(super) classes: Named<StorageClass>,
    /// Classes that are not there yet.
    pub(super) coming: BTreeSet<String>,
    pub(super) volumes: Named<Volume>,
    pub(super) drivers: Named<CsiDriver>,
    pub(super) csi_nodes: List<CsiNode>,
    pub(super) capacities: List<Capacity>,
    pub(super) pods: List<Pod>,
    nodes: List<Node>,
    claims: BTreeMap<String, List<Claim>>,
    pruned: Result<BTreeSet<(String, String)>, Undecided>,
}

impl<'a> World<'a> {
    pub(super) async fn look(
        context: &'a Context,
        cluster: &'a Reader,
        release: &'a Release,
        needs: Needs,
    ) -> Self {
        let unasked = || Undecided::unknown("it was not looked at");
        let mut world = Self {
            cluster,
            release,
            environment: context.environment(),
            version: cluster.version().await,
            used: used(release),
            classes: Err(unasked()),
            coming: of_kind::<StorageClass>(release)
                .filter(|(_, planned)| matches!(planned.live, Live::Absent))
                .map(|(name, _)| name.to_owned())
                .collect(),
            volumes: Err(unasked()),
            drivers: Err(unasked()),
            csi_nodes: Err(unasked()),
            capacities: Err(unasked()),
            pods: Err(unasked()),
            nodes: Err(unasked()),
            claims: BTreeMap::new(),
            pruned: pruned(release),
        };
        if !needs.claims {
            return world;
        }
        let namespaces: BTreeSet<String> = release
            .objects()
            .iter()
            .filter(|planned| planned.object.pod_template().is_some())
            .filter_map(|planned| planned.namespace.clone())
            .collect();
        let asking = namespaces.into_iter().map(|namespace| async move {
            let listed = cluster.list_in::<Claim>(&namespace).await;
            (namespace, listed.map_err(Undecided::from))
        });
        let (classes, volumes, nodes, (drivers, csi_nodes, capacities, pods), claims) = futures::join!(
            cluster.list::<StorageClass>(),
            cluster.list::<Volume>(),
            cluster.list::<Node>(),
            making(cluster),
            join_all(asking),
        );
        world.classes = overlaid(classes, release);
        world.volumes = overlaid(volumes, release);
        world.drivers = overlaid(drivers, release);
        world.csi_nodes = csi_nodes.map_err(Undecided::from);
        world.capacities = capacities.map_err(Undecided::from);
        world.pods = pods.map_err(Undecided::from);
        world.nodes = nodes.map_err(Undecided::from);
        world.claims = claims.into_iter().collect();
        world
    }

    /// The claim that is there under that name, and that the release does not delete.
    pub(super) fn claim(&self, namespace: &str, name: &str) -> Result<Option<&Claim>, Undecided> {
        if self.prunes(namespace, name)? {
            return Ok(None);
        }
        match self.claims.get(namespace) {
            Some(Ok(claims)) => Ok(claims.get_in(namespace, name)),
            Some(Err(error)) => Err(error.clone()),
            None => Ok(None),
        }
    }

    /// Whether the release deletes that claim.
    pub(super) fn prunes(&self, namespace: &str, name: &str) -> Result<bool, Undecided> {
        let pruned = self.pruned.as_ref().map_err(Clone::clone)?;
        Ok(pruned.contains(&(namespace.to_owned(), name.to_owned())))
    }

    /// By whom the environment expects an object to be made.
    pub(super) fn expected(&self, kind: &str, namespace: Option<&str>, name: &str) -> Option<&str> {
        let same =
            |namespaces: Option<&str>| namespace.is_none() || namespaces.is_none() || namespaces == namespace;
        let expects = self.environment.expects().iter();
        let mut found = expects.filter(|expected| {
            expected.kind == kind && expected.name == name && same(expected.namespace.as_deref())
        });
        found.next().map(|expected| expected.by.as_deref().unwrap_or("something else"))
    }

    /// The nodes on which pods of such a `spec` may run, with their labels; of all nodes for `None`.
    pub(super) fn nodes_for(&self, spec: Option<&Value>) -> Result<Vec<(&str, &Labels)>, Undecided> {
        let nodes = self.nodes.as_ref().map_err(Clone::clone)?;
        let those: Vec<(&str, &Node)> = match spec {
            None => nodes.iter().map(|(_, name, node)| (name, node)).collect(),
            Some(spec) => candidates(spec, nodes),
        };
        Ok(those.into_iter().map(|(name, node)| (name, &node.metadata.labels)).collect())
    }
}

fn used(release: &Release) -> Vec<(&Planned, Vec<UsedClaim>)> {
    let all = release.objects().iter().map(|planned| (planned, used_claims(planned, release.method())));
    all.filter(|(_, used)| !used.is_empty()).collect()
}

fn pruned(release: &Release) -> Result<BTreeSet<(String, String)>, Undecided> {
    let gone =
        release.pruning()?.deletions.iter().filter(|gone| {
            gone.resource.group.is_empty() && gone.resource.plural == "persistentvolumeclaims"
        });
    Ok(gone.map(|gone| (gone.namespace.clone().unwrap_or_default(), gone.name.clone())).collect())
}

fn of_kind<V: View>(release: &Release) -> impl Iterator<Item = (&str, &Planned)> {
    let resource = V::resource();
    release.objects().iter().filter_map(move |planned| {
        let kind = planned.serving.resource()?;
        let same = kind.group == resource.group && kind.plural == resource.plural;
        Some((planned.object.name().filter(|_| same)?, planned))
    })
}

/// What is listed, with the release laid over it.
fn overlaid<V: View + Clone>(live: Result<Arc<Listed<V>>, ClusterError>, release: &Release) -> Named<V> {
    let mut all: BTreeMap<String, V> =
        live?.iter().map(|(_, name, object)| (name.to_owned(), object.clone())).collect();
    let resource = V::resource();
    for gone in &release.pruning()?.deletions {
        if gone.resource.group == resource.group && gone.resource.plural == resource.plural {
            all.remove(&gone.name);
        }
    }
    for (name, planned) in of_kind::<V>(release) {
        let object = V::deserialize(&merged(planned, release.method())).map_err(|error| {
            Undecided::unknown(format!("{} cannot be read: {error}", planned.object.id()))
                .advice("correct the manifest")
        })?;
        all.insert(name.to_owned(), object);
    }
    Ok(all)
}
