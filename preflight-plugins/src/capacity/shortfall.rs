//! What is missing for a pod, on the node where the least is.

use super::fit::Survey;
use super::fleet::{Fleet, NodeId, ShapeId};
use super::reason::Reason;
use super::state::State;

/// What is missing on the node where the least is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// The node.
    pub node: NodeId,
    /// Resource and amount: millicores of CPU, whole units of everything else.
    pub missing: Vec<(String, i64)>,
}

/// The node where the least is missing, among those where nothing else is in the way.
#[must_use]
pub fn shortfall(fleet: &Fleet, state: &State, shape: ShapeId) -> Option<Shortfall> {
    let all = (0..fleet.nodes().len()).filter_map(|node| short_on(fleet, state, shape, node));
    all.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(shortfall, _)| shortfall)
}

/// What is missing on a node where nothing else is in the way, and how much that is of what is asked for.
pub(super) fn short_on(
    fleet: &Fleet,
    state: &State,
    shape: ShapeId,
    node: NodeId,
) -> Option<(Shortfall, f64)> {
    let reasons = Survey::of(fleet, state, shape).reasons(node);
    let (mut missing, mut share) = (Vec::new(), 0.0);
    for reason in reasons {
        let Reason::Insufficient(name) = reason else { return None };
        let at = fleet.resources().iter().position(|known| *known == name)?;
        let wanted = fleet.prepared(shape).amounts[at];
        let short = wanted - (fleet.allocatable(node, at) - state.used(node, at));
        share += short as f64 / wanted.max(1) as f64;
        missing.push((name, short));
    }
    (!missing.is_empty()).then_some((Shortfall { node, missing }, share))
}
