//! Choosing a node for a pod, and whom to evict for it.

use fastrand::Rng;

use super::fit::Survey;
use super::fleet::{Fleet, NodeId, ShapeId};
use super::score::scores;
use super::state::{PodId, State};

/// How a node is chosen among those that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The one with the best score, as the scheduler does; at random among equals.
    Scored,
    /// Any.
    Random,
    /// The fullest.
    Pack,
}

/// A node for a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The node.
    pub node: NodeId,
    /// Whether there were others.
    pub had_others: bool,
}

/// Chooses a node, where one fits.
pub fn choose(fleet: &Fleet, state: &State, shape: ShapeId, policy: Policy, rng: &mut Rng) -> Option<Choice> {
    let feasible = Survey::of(fleet, state, shape).feasible();
    let node = match feasible.as_slice() {
        [] => return None,
        [only] => *only,
        many => match policy {
            Policy::Random => many[rng.usize(..many.len())],
            Policy::Scored => best(many, &scores(fleet, state, shape, many), rng),
            Policy::Pack => {
                let fullness = |node: &NodeId| {
                    state.used(*node, 0).saturating_mul(1 << 20) + (state.used(*node, 1) >> 10)
                };
                best(many, &many.iter().map(fullness).collect::<Vec<_>>(), rng)
            }
        },
    };
    Some(Choice { node, had_others: feasible.len() > 1 })
}

fn best(nodes: &[NodeId], scores: &[i64], rng: &mut Rng) -> NodeId {
    let most = scores.iter().copied().max().unwrap_or(0);
    let ties: Vec<NodeId> =
        nodes.iter().zip(scores).filter(|(_, score)| **score == most).map(|(node, _)| *node).collect();
    ties[rng.usize(..ties.len())]
}

/// A node on which a pod fits once others are evicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eviction {
    /// The node.
    pub node: NodeId,
    /// Who goes.
    pub victims: Vec<PodId>,
}

/// Finds the node where making room costs least (`pkg/scheduler/framework/preemption/preemption.go`, v1.36: the lowest
/// of the highest priorities among those who go, then the lowest sum, then the fewest). PodDisruptionBudgets are
/// not asked; the scheduler goes through them as well where nothing else helps. `pin` is the only node in question, if one is.
pub fn evict(fleet: &Fleet, state: &mut State, shape: ShapeId, pin: Option<NodeId>) -> Option<Eviction> {
    let own = fleet.shape(shape);
    if !own.preempts_any(fleet) {
        return None;
    }
    let priority = own.priority;
    let helpless = |node: NodeId, state: &State| {
        Survey::of(fleet, state, shape).reasons(node).iter().any(|reason| !reason.may_be_resolved())
    };
    let mut found: Option<(Eviction, (i32, i64, usize))> = None;
    for node in (0..fleet.nodes().len()).filter(|node| pin.is_none_or(|pin| pin == *node)) {
        let of = |pod: &PodId, state: &State| fleet.shape(state.pod(*pod).shape).priority;
        let mut lower: Vec<PodId> =
            state.on(node).iter().copied().filter(|pod| of(pod, state) < priority).collect();
        if lower.is_empty() || helpless(node, state) {
            continue;
        }
        lower.iter().for_each(|pod| state.take(fleet, *pod));
        if Survey::of(fleet, state, shape).fits(node) {
            // Whoever may stay, stays, the most important first.
            lower.sort_by_key(|pod| std::cmp::Reverse(of(pod, state)));
            let mut victims = Vec::new();
            for pod in &lower {
                state.put_back(fleet, *pod);
                if !Survey::of(fleet, state, shape).fits(node) {
                    state.take(fleet, *pod);
                    victims.push(*pod);
                }
            }
            let priorities = || victims.iter().map(|pod| of(pod, state));
            let cost =
                (priorities().max().unwrap_or(i32::MIN), priorities().map(i64::from).sum(), victims.len());
            if found.as_ref().is_none_or(|(_, least)| cost < *least) {
                found = Some((Eviction { node, victims }, cost));
            }
        }
        lower.iter().for_each(|pod| state.put_back(fleet, *pod));
    }
    found.map(|(eviction, _)| eviction)
}
