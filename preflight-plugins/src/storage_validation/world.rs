//! What is there, and what the release makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;
use preflight_core::cluster::{ClusterError, Listed, Reader, View};
use preflight_core::manifests::Manifests;
use preflight_core::release::{Live, Planned, Release};
use preflight_core::{Context, Environment, Undecided, view};
use serde::Deserialize;
use serde_json::Value;

use super::plugins::Pod;
use crate::changes::merged;
use crate::labels::Labels;
use crate::nodes::{Node, candidates};
use crate::storage::{Capacity, Claim, CsiDriver, CsiNode, Meta, StorageClass, Volume};

/// A node's labels.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Labelled {
    metadata: Meta,
}

view!(Labelled: cluster "" "v1" "nodes" "Node");

/// Which lists a release needs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Needs {
    /// It makes claims.
    makes: bool,
    /// Its pods use claims by their names.
    uses: bool,
}

impl Needs {
    pub(super) fn of(manifests: &Manifests) -> Self {
        let mut needs = Self::default();
        for object in manifests.objects() {
            needs.makes |= object.group().is_empty() && object.kind() == "PersistentVolumeClaim";
            let Some(template) = object.pod_template() else { continue };
            // What a StatefulSet's templates are may be known to the cluster alone.
            needs.makes |= object.kind() == "StatefulSet";
            let spec = template.spec_json();
            for volume in spec["volumes"].as_array().into_iter().flatten() {
                needs.makes |= volume["ephemeral"].is_object();
                needs.uses |= volume["persistentVolumeClaim"].is_object();
            }
        }
        needs
    }

    const fn any(self) -> bool {
        self.makes || self.uses
    }
}

/// Asks for the lists; whoever needs one shares the answer.
pub(super) async fn prefetch(cluster: &Reader, needs: Needs) {
    if needs.any() {
        let _ = futures::join!(cluster.list::<StorageClass>(), cluster.list::<Volume>(), of_nodes(cluster));
    }
    if needs.makes {
        let _ = futures::join!(
            cluster.list::<CsiDriver>(),
            cluster.list::<CsiNode>(),
            cluster.list::<Capacity>(),
            cluster.list::<Pod>(),
        );
    }
}

/// Objects as they are listed.
pub(super) type List<V> = Result<Arc<Listed<V>>, Undecided>;

async fn of_nodes(cluster: &Reader) -> Result<(Arc<Listed<Node>>, Arc<Listed<Labelled>>), ClusterError> {
    futures::try_join!(cluster.list::<Node>(), cluster.list::<Labelled>())
}

/// Objects by name, as they will be once the release is applied.
pub(super) type Named<V> = Result<BTreeMap<String, V>, Undecided>;

/// What is there, as far as it was looked at.
pub(super) struct World<'a> {
    pub(super) cluster: &'a Reader,
    pub(super) release: &'a Release,
    pub(super) environment: &'a Environment,
    pub(super) classes: Named<StorageClass>,
    /// Classes that are not there yet.
    pub(super) coming: BTreeSet<String>,
    pub(super) volumes: Named<Volume>,
    pub(super) drivers: Named<CsiDriver>,
    pub(super) csi_nodes: List<CsiNode>,
    pub(super) capacities: List<Capacity>,
    pub(super) pods: List<Pod>,
    nodes: Result<(Arc<Listed<Node>>, Arc<Listed<Labelled>>), Undecided>,
    claims: BTreeMap<String, List<Claim>>,
    pruned: BTreeSet<(String, String)>,
}

impl<'a> World<'a> {
    pub(super) async fn look(
        context: &'a Context,
        cluster: &'a Reader,
        release: &'a Release,
        needs: Needs,
    ) -> Self {
        let unasked = || Undecided::unknown("it was not looked at");
        let namespaces: BTreeSet<String> = release
            .objects()
            .iter()
            .filter(|planned| needs.any() && planned.object.pod_template().is_some())
            .filter_map(|planned| planned.namespace.clone())
            .collect();
        let asking = namespaces.into_iter().map(|namespace| async move {
            let listed = cluster.list_in::<Claim>(&namespace).await;
            (namespace, listed.map_err(Undecided::from))
        });
        let every = async {
            let (classes, volumes, nodes) =
                futures::join!(cluster.list::<StorageClass>(), cluster.list::<Volume>(), of_nodes(cluster));
            (overlaid(classes, release), overlaid(volumes, release), nodes.map_err(Undecided::from))
        };
        let making = async {
            let (drivers, csi_nodes, capacities, pods) = futures::join!(
                cluster.list::<CsiDriver>(),
                cluster.list::<CsiNode>(),
                cluster.list::<Capacity>(),
                cluster.list::<Pod>(),
            );
            (
                overlaid(drivers, release),
                csi_nodes.map_err(Undecided::from),
                capacities.map_err(Undecided::from),
                pods.map_err(Undecided::from),
            )
        };
        let pruned = release.pruning().map(|pruning| &pruning.deletions[..]).unwrap_or_default().iter();
        let pruned = pruned
            .filter(|gone| gone.resource.group.is_empty() && gone.resource.plural == "persistentvolumeclaims")
            .map(|gone| (gone.namespace.clone().unwrap_or_default(), gone.name.clone()))
            .collect();
        let mut world = Self {
            cluster,
            release,
            environment: context.environment(),
            classes: Err(unasked()),
            coming: BTreeSet::new(),
            volumes: Err(unasked()),
            drivers: Err(unasked()),
            csi_nodes: Err(unasked()),
            capacities: Err(unasked()),
            pods: Err(unasked()),
            nodes: Err(unasked()),
            claims: BTreeMap::new(),
            pruned,
        };
        let every = async { if needs.any() { Some(every.await) } else { None } };
        let making = async { if needs.makes { Some(making.await) } else { None } };
        let (every, making, claims) = futures::join!(every, making, join_all(asking));
        world.claims = claims.into_iter().collect();
        if let Some((classes, volumes, nodes)) = every {
            (world.classes, world.volumes, world.nodes) = (classes, volumes, nodes);
        }
        if let Some((drivers, csi_nodes, capacities, pods)) = making {
            (world.drivers, world.csi_nodes) = (drivers, csi_nodes);
            (world.capacities, world.pods) = (capacities, pods);
        }
        world.coming = of_kind::<StorageClass>(release)
            .filter(|(_, planned)| matches!(planned.live, Live::Absent))
            .map(|(name, _)| name.to_owned())
            .collect();
        world
    }

    /// The claim that is there under that name.
    pub(super) fn claim(&self, namespace: &str, name: &str) -> Result<Option<&Claim>, Undecided> {
        match self.claims.get(namespace) {
            Some(Ok(claims)) => Ok(claims.get_in(namespace, name)),
            Some(Err(error)) => Err(error.clone()),
            None => Ok(None),
        }
    }

    /// Whether the release deletes that claim.
    pub(super) fn prunes(&self, namespace: &str, name: &str) -> bool {
        self.pruned.contains(&(namespace.to_owned(), name.to_owned()))
    }

    /// By whom the environment expects an object to be made.
    pub(super) fn expected(&self, kind: &str, namespace: Option<&str>, name: &str) -> Option<&str> {
        let same = |namespaces: Option<&str>| namespace.is_none() || namespaces.is_none() || namespaces == namespace;
        let expects = self.environment.expects().iter();
        let mut found = expects.filter(|expected| {
            expected.kind == kind && expected.name == name && same(expected.namespace.as_deref())
        });
        found.next().map(|expected| expected.by.as_deref().unwrap_or("something else"))
    }

    /// The nodes on which pods of such a `spec` may run, with their labels; of all nodes for `None`.
    pub(super) fn nodes_for(&self, spec: Option<&Value>) -> Result<Vec<(&str, &Labels)>, Undecided> {
        let (nodes, labels) = self.nodes.as_ref().map_err(Clone::clone)?;
        let names: Vec<&str> = match spec {
            None => nodes.iter().map(|(_, name, _)| name).collect(),
            Some(spec) => candidates(spec, nodes)
                .into_iter()
                .map(|(name, _)| name)
                .collect(),
        };
        let with_labels =
            names.into_iter().filter_map(|name| Some((name, &labels.get(name)?.metadata.labels)));
        Ok(with_labels.collect())
    }
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
