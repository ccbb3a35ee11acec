//! What a pod's volumes demand of nodes (`pkg/scheduler/framework/plugins/{volumerestrictions,nodevolumelimits,volumebinding}`,
//! v1.36).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::fleet::NodeId;
use super::reason::Reason;

/// Namespace and name of a claim: `shop/data`.
pub type ClaimKey = String;
/// A volume's place among those that may be bound.
pub type VolumeId = usize;

/// What a pod's volumes demand.
#[derive(Debug, Clone, Default)]
pub struct Volumes {
    /// Claims that are bound, and the nodes that reach their volumes.
    pub bound: Vec<Vec<bool>>,
    /// Claims that are bound once the pod has a node, the smallest first.
    pub late: Vec<Late>,
    /// Claims that one pod alone may use.
    pub exclusive: Vec<ClaimKey>,
    /// Volumes that a driver attaches to the node: the driver, and what tells them apart.
    pub attached: Vec<(String, String)>,
    /// Every claim that the pod uses.
    pub claims: Vec<ClaimKey>,
}

/// A claim that is bound once its pod has a node.
#[derive(Debug, Clone)]
pub struct Late {
    /// The claim.
    pub claim: ClaimKey,
    /// Volumes that fit, the best first, and the nodes that reach them.
    pub candidates: Vec<(VolumeId, Vec<bool>)>,
    /// Where none of them is reached: why no volume can be made on a node; `None` where one can.
    pub made: Vec<Option<Reason>>,
}

/// Which volumes are taken by which claims.
pub type Bindings = HashMap<ClaimKey, VolumeId>;

impl Volumes {
    /// Whether nothing is demanded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// Why a node does not do.
    pub(super) fn refused(&self, node: NodeId, bindings: &Bindings) -> Option<Reason> {
        if self.bound.iter().any(|reached| !reached[node]) {
            return Some(Reason::VolumeElsewhere);
        }
        self.bind(node, bindings).err()
    }

    /// The volumes that claims are bound to on a node.
    pub(super) fn bind(
        &self,
        node: NodeId,
        bindings: &Bindings,
    ) -> Result<Vec<(ClaimKey, VolumeId)>, Reason> {
        let mut taken: BTreeSet<VolumeId> =
            if self.late.is_empty() { BTreeSet::new() } else { bindings.values().copied().collect() };
        let mut chosen = Vec::new();
        for late in &self.late {
            if let Some(own) = bindings.get(&late.claim) {
                let reached = late.candidates.iter().any(|(volume, nodes)| volume == own && nodes[node]);
                if !reached {
                    return Err(Reason::VolumeElsewhere);
                }
                continue;
            }
            match late.candidates.iter().find(|(volume, nodes)| nodes[node] && !taken.contains(volume)) {
                Some((volume, _)) => {
                    taken.insert(*volume);
                    chosen.push((late.claim.clone(), *volume));
                }
                None => {
                    if let Some(reason) = &late.made[node] {
                        return Err(reason.clone());
                    }
                }
            }
        }
        Ok(chosen)
    }

    /// Whether a driver would have more volumes on a node than it attaches.
    pub(super) fn too_many<'a>(
        &self,
        limits: &BTreeMap<String, u64>,
        others: impl Iterator<Item = &'a Self>,
    ) -> bool {
        let drivers: BTreeSet<&String> = self
            .attached
            .iter()
            .map(|(driver, _)| driver)
            .filter(|driver| limits.contains_key(*driver))
            .collect();
        if drivers.is_empty() {
            return false;
        }
        let mut there: BTreeMap<&String, BTreeSet<&String>> = BTreeMap::new();
        for (driver, key) in others.flat_map(|other| &other.attached) {
            there.entry(driver).or_default().insert(key);
        }
        drivers.into_iter().any(|driver| {
            let all = there.entry(driver).or_default();
            let before = all.len();
            all.extend(self.attached.iter().filter(|(of, _)| of == driver).map(|(_, key)| key));
            all.len() > before && all.len() as u64 > limits[driver]
        })
    }
}
