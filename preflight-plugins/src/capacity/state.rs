//! Which pods are where, and what that leaves of each node.

use super::fleet::{Fleet, NodeId, ShapeId};
use super::volumes::Bindings;

/// A pod's place in a state.
pub type PodId = usize;

/// A pod on a node.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Its shape.
    pub shape: ShapeId,
    /// Its node.
    pub node: NodeId,
    /// Whether it was told to end: it still takes room, and is no longer counted when pods are spread.
    pub leaving: bool,
    /// Whether it is still there.
    pub there: bool,
}

/// Which pods are where, and what that leaves of each node.
#[derive(Debug, Clone)]
pub struct State {
    resources: usize,
    used: Vec<i64>,
    reckoned: Vec<[i64; 2]>,
    on: Vec<Vec<PodId>>,
    pods: Vec<Placed>,
    /// Pods that are there and must be apart from others.
    shy: Vec<PodId>,
    /// Volumes that claims got since.
    bindings: Bindings,
}

impl State {
    /// No pods on the fleet's nodes. The fleet's shapes must all be known by now.
    #[must_use]
    pub fn empty(fleet: &Fleet) -> Self {
        let nodes = fleet.nodes().len();
        let resources = fleet.resources().len();
        Self {
            resources,
            used: vec![0; nodes * resources],
            reckoned: vec![[0; 2]; nodes],
            on: vec![Vec::new(); nodes],
            pods: Vec::new(),
            shy: Vec::new(),
            bindings: Bindings::new(),
        }
    }

    /// Puts a pod onto a node.
    pub fn put(&mut self, fleet: &Fleet, shape: ShapeId, node: NodeId, leaving: bool) -> PodId {
        self.pods.push(Placed { shape, node, leaving, there: false });
        let pod = self.pods.len() - 1;
        let volumes = &fleet.prepared(shape).volumes;
        if !volumes.is_empty()
            && let Ok(chosen) = volumes.bind(node, &self.bindings)
        {
            self.bindings.extend(chosen);
        }
        self.put_back(fleet, pod);
        pod
    }

    /// Puts a pod back that was taken.
    pub fn put_back(&mut self, fleet: &Fleet, pod: PodId) {
        if self.pods[pod].there {
            return;
        }
        self.pods[pod].there = true;
        self.account(fleet, pod, 1);
        let node = self.pods[pod].node;
        self.on[node].push(pod);
        if !fleet.prepared(self.pods[pod].shape).apart.is_empty() {
            self.shy.push(pod);
        }
    }

    /// Takes a pod off its node.
    pub fn take(&mut self, fleet: &Fleet, pod: PodId) {
        if !self.pods[pod].there {
            return;
        }
        self.pods[pod].there = false;
        self.account(fleet, pod, -1);
        let node = self.pods[pod].node;
        self.on[node].retain(|other| *other != pod);
        self.shy.retain(|other| *other != pod);
    }

    fn account(&mut self, fleet: &Fleet, pod: PodId, sign: i64) {
        let Placed { shape, node, .. } = self.pods[pod];
        let prepared = fleet.prepared(shape);
        for (at, amount) in prepared.amounts.iter().enumerate() {
            self.used[node * self.resources + at] += sign * amount;
        }
        for (sum, amount) in self.reckoned[node].iter_mut().zip(prepared.shape.reckoned) {
            *sum += sign * amount;
        }
    }

    /// A pod.
    #[must_use]
    pub fn pod(&self, pod: PodId) -> &Placed {
        &self.pods[pod]
    }

    /// The pods that are there.
    pub fn pods(&self) -> impl Iterator<Item = (PodId, &Placed)> {
        self.pods.iter().enumerate().filter(|(_, pod)| pod.there)
    }

    /// The pods on a node.
    #[must_use]
    pub fn on(&self, node: NodeId) -> &[PodId] {
        &self.on[node]
    }

    /// How much of a resource is requested on a node.
    #[must_use]
    pub fn used(&self, node: NodeId, resource: usize) -> i64 {
        self.used[node * self.resources + resource]
    }

    pub(super) fn reckoned(&self, node: NodeId) -> [i64; 2] {
        self.reckoned[node]
    }

    pub(super) const fn bindings(&self) -> &Bindings {
        &self.bindings
    }

    pub(super) fn shy(&self) -> &[PodId] {
        &self.shy
    }
}
