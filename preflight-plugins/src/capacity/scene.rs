//! The cluster before a release, the release, and how playing it through can end.

use super::fleet::{Fleet, NodeId, ShapeId};
use super::quota::{Charge, Excess, Quota};
use super::reason::Histogram;
use super::rollout::{Generation, Member, Plan};
use super::shortfall::Shortfall;
use super::state::{PodId, State};

/// The pods of one generation of a workload.
#[derive(Debug, Clone)]
pub struct Mold {
    /// Their shape; by slot where they differ.
    pub shapes: Shapes,
    /// What each of them counts for.
    pub charge: Charge,
}

/// The shapes of a workload's pods.
#[derive(Debug, Clone)]
pub enum Shapes {
    /// All have one.
    One(ShapeId),
    /// The pod in a slot has its own: the first slot, and the shapes from there on.
    BySlot(usize, Vec<ShapeId>),
}

impl Shapes {
    pub(super) fn of(&self, slot: usize) -> Option<ShapeId> {
        match self {
            Self::One(shape) => Some(*shape),
            Self::BySlot(first, shapes) => shapes.get(slot.checked_sub(*first)?).copied(),
        }
    }
}

/// A workload of the release, and its pods that are there.
#[derive(Debug, Clone)]
pub struct Workload {
    /// What it is to become.
    pub plan: Plan,
    /// Pods of the template that is applied.
    pub new: Mold,
    /// Pods of the template before it.
    pub old: Option<Mold>,
    /// Pods that there are, and where; those without a place are pending.
    pub members: Vec<(Member, Option<PodId>, i32)>,
    /// To how many its old pods are brought before it rolls, where their number changes as well.
    pub scaled_first: Option<usize>,
    /// Whether its pods run to an end, and free their room again.
    pub ends: bool,
}

/// A pod of nobody's release that waits for a node.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    /// Its shape.
    pub shape: ShapeId,
    /// The node that it has to go to, if it is a DaemonSet's.
    pub node: Option<NodeId>,
}

/// The cluster before the release, and the release.
#[derive(Debug)]
pub struct Scene<'a> {
    /// Nodes and shapes.
    pub fleet: &'a Fleet,
    /// Who is where.
    pub state: State,
    /// The quotas of all namespaces.
    pub quotas: Vec<Quota>,
    /// The workloads of the release, in the order in which they are applied.
    pub workloads: Vec<Workload>,
    /// Who else waits for a node.
    pub waiting: Vec<Waiting>,
}

/// Why a workload does not get done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// Which, by its place in the scene.
    pub workload: usize,
    /// How many pods of it are wanted, as far as the play came, and how many of them are there.
    pub pods: (usize, usize),
    /// Why.
    pub why: Hitch,
}

/// What stands in a pod's way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hitch {
    /// A quota.
    Quota(Excess),
    /// No node takes it.
    NoNode {
        /// How many nodes have which reason.
        nodes: Histogram,
        /// On which node the least is missing, and how much of what.
        shortfall: Option<Shortfall>,
    },
    /// Something else; the steps do not lead to the end.
    Steps,
}

/// What came of a play.
#[derive(Debug, Clone)]
pub struct Ending {
    /// Whether it came to rest; if not, it has more steps than are played.
    pub settled: bool,
    /// The workloads that do not get done.
    pub stuck: Vec<Stuck>,
    /// Whether a pod could have gone to more than one node, so that another play may end differently.
    pub had_choice: bool,
    /// Pods that were there before and were evicted.
    pub evicted: Vec<PodId>,
    /// Workloads that quotas held up for a while.
    pub slow: Vec<usize>,
    /// Who is where in the end.
    pub state: State,
}

impl Workload {
    pub(super) fn mold(&self, generation: Generation) -> Option<&Mold> {
        match generation {
            Generation::New => Some(&self.new),
            Generation::Old => self.old.as_ref(),
        }
    }
}
