//! What the claims of pods demand of nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use preflight_core::cluster::{ClusterError, Listed, Reader};
use preflight_core::release::{Projected, ProjectedList, Release};

use super::workloads::Wanted;
use crate::capacity::fleet::{Fleet, NodeInfo, ShapeId};
use crate::capacity::reason::Reason;
use crate::capacity::view::PodSpec;
use crate::capacity::volumes::{Late, VolumeId, Volumes};
use crate::storage::{
    Capacity, Claim, CsiDriver, CsiNode, Fit, Origin, StorageClass, Volume, Wish, capacity_reaches,
    claims_of, default_class, fits, meets_topology, migrated, volume_reaches,
};

/// What is known of volumes.
#[derive(Default)]
pub(super) struct Storage {
    /// Claims that are there, or come with the release, by namespace and name.
    claims: BTreeMap<(String, String), Claim>,
    classes: BTreeMap<String, StorageClass>,
    volumes: Vec<(String, Volume)>,
    nodes: Option<Arc<Listed<CsiNode>>>,
    /// Rooms of drivers that tell it.
    rooms: Vec<Capacity>,
    telling: Vec<String>,
    default_class: Option<String>,
}

/// Whether pods of the release use claims.
pub(super) fn is_wanted(wanted: &[Wanted]) -> bool {
    wanted.iter().any(|wanted| !wanted.claims.is_empty() || uses_claims(&wanted.pods.spec))
}

fn uses_claims(spec: &PodSpec) -> bool {
    spec.volumes.iter().any(|volume| volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some())
}

/// Reads what placement needs of it.
pub(super) async fn read(
    cluster: &Reader,
    projected: &Projected,
    release: &Release,
) -> Result<Storage, ClusterError> {
    let (claims, volumes, classes, nodes, rooms, drivers) = futures::try_join!(
        cluster.list::<Claim>(),
        cluster.list::<Volume>(),
        projected.list::<StorageClass>(),
        cluster.list::<CsiNode>(),
        cluster.list::<Capacity>(),
        cluster.list::<CsiDriver>(),
    )?;
    let mut storage = Storage {
        nodes: Some(nodes),
        rooms: rooms.iter().map(|(_, _, room)| room.clone()).collect(),
        telling: drivers
            .iter()
            .filter(|(_, _, driver)| driver.tells_capacity())
            .map(|(_, name, _)| name.to_owned())
            .collect(),
        volumes: volumes.iter().map(|(_, name, volume)| (name.to_owned(), volume.clone())).collect(),
        ..Storage::default()
    };
    storage.set_classes(&classes);
    for (namespace, name, claim) in claims.iter() {
        storage.claims.insert((namespace.to_owned(), name.to_owned()), claim.clone());
    }
    for (_, planned) in release.of_kind("", "PersistentVolume") {
        if let (Some(name), Ok(volume)) =
            (planned.object.name(), serde_json::from_value::<Volume>((*planned.effective).clone()))
            && storage.volumes.iter().all(|(there, _)| there != name)
        {
            storage.volumes.push((name.to_owned(), volume));
        }
    }
    for claim in claims_of(release).0 {
        if claim.origin != Origin::Ephemeral {
            storage.claims.entry((claim.namespace, claim.name)).or_insert(claim.claim);
        }
    }
    Ok(storage)
}

impl Storage {
    fn set_classes(&mut self, classes: &ProjectedList<StorageClass>) {
        self.classes = classes.iter().map(|(_, name, class)| (name.to_owned(), class.clone())).collect();
        let all = self.classes.iter().map(|(name, class)| (name.as_str(), class));
        self.default_class = default_class(all).map(|(name, _)| name.to_owned());
    }

    /// Tells nodes how many volumes each driver attaches to them.
    pub(super) fn limit(&self, nodes: &mut [NodeInfo]) {
        let Some(csi) = &self.nodes else { return };
        for node in nodes {
            let drivers = csi.get(&node.name).map(CsiNode::drivers).unwrap_or_default();
            node.attach_limits =
                drivers.iter().filter_map(|driver| Some((driver.name.clone(), driver.limit()?))).collect();
        }
    }

    /// Says what the claims of a shape demand.
    pub(super) fn equip(&self, fleet: &mut Fleet, id: ShapeId) {
        let shape = fleet.shape(id);
        if shape.claims.is_empty() {
            return;
        }
        let namespace = shape.namespace.clone();
        let names = shape.claims.clone();
        let volumes = self.volumes_of(fleet.nodes(), &namespace, &names);
        fleet.set_volumes(id, volumes);
    }

    fn volumes_of(&self, nodes: &[NodeInfo], namespace: &str, names: &[String]) -> Volumes {
        let mut all = Volumes::default();
        let mut late = Vec::new();
        for name in names {
            let key = format!("{namespace}/{name}");
            all.claims.push(key.clone());
            // One that is not there is the storage check's to tell.
            let Some(claim) = self.claims.get(&(namespace.to_owned(), name.clone())) else { continue };
            if claim.spec.access_modes.iter().any(|mode| mode == "ReadWriteOncePod") {
                all.exclusive.push(key.clone());
            }
            let volume = self.volumes.iter().find(|(volume, _)| *volume == claim.spec.volume_name);
            if let (true, Some((_, volume))) = (claim.is_bound(), volume) {
                all.bound.push(nodes.iter().map(|node| volume_reaches(volume, &node.labels)).collect());
                if let Some(csi) = &volume.spec.csi {
                    all.attached.push((csi.driver.clone(), csi.volume_handle.clone()));
                }
                continue;
            }
            let Some(class) = claim.class().or(self.default_class.as_deref()) else { continue };
            let Some(info) = self.classes.get(class) else { continue };
            if let Some(driver) = info.made_by() {
                all.attached.push((migrated(driver).to_owned(), key.clone()));
            }
            if info.waits() && claim.spec.volume_name.is_empty() {
                let wish = Wish { namespace, name, claim, class };
                late.push((claim.spec.size(), self.late(nodes, wish, info, key)));
            }
        }
        late.sort_by_key(|(size, _)| *size);
        all.late = late.into_iter().map(|(_, late)| late).collect();
        all
    }

    fn late(&self, nodes: &[NodeInfo], wish: Wish<'_>, class: &StorageClass, claim: String) -> Late {
        let mut fitting: Vec<(Fit, VolumeId)> = self
            .volumes
            .iter()
            .enumerate()
            .map(|(at, (name, volume))| (fits(wish, name, volume), at))
            .filter(|(fit, _)| fit.fits())
            .collect();
        fitting.sort_by_key(|(fit, at)| (*fit != Fit::Kept, self.volumes[*at].1.size(), *at));
        let reached = |at: VolumeId| {
            nodes.iter().map(|node| volume_reaches(&self.volumes[at].1, &node.labels)).collect()
        };
        let candidates = fitting.into_iter().map(|(_, at)| (at, reached(at))).collect();
        let selected = wish.claim.selected_node();
        let made = nodes.iter().map(|node| {
            if selected.is_some_and(|selected| selected != node.name) {
                return Some(Reason::NoVolume);
            }
            let Some(driver) = class.made_by() else { return Some(Reason::NoVolume) };
            if !meets_topology(class, &node.labels) {
                return Some(Reason::NoVolume);
            }
            let size = wish.claim.spec.size().unwrap_or_default();
            let tells = self.telling.iter().any(|telling| telling == migrated(driver));
            let has_room =
                self.rooms.iter().any(|room| capacity_reaches(room, wish.class, size, &node.labels));
            (tells && !has_room).then_some(Reason::VolumeSpace)
        });
        Late { claim, candidates, made: made.collect() }
    }
}
