//! Which node the scheduler would rather have, so that what is played through is close to what will happen
//! (`pkg/scheduler/framework/plugins`, v1.36: NodeResourcesFit, NodeResourcesBalancedAllocation, TaintToleration,
//! NodeAffinity and PodTopologySpread with their default weights). Preferences between pods and images that are there
//! already are left out; that is why other choices are played through as well.

use super::fit::count_by_value;
use super::fleet::{Fleet, NodeId, ShapeId, Spreading};
use super::shape::term_matches;
use super::state::State;

const MAX: i64 = 100;
const OF_TAINTS: i64 = 3;
const OF_AFFINITY: i64 = 2;
const OF_SPREAD: i64 = 2;

/// The scores of the nodes, in their order.
pub(super) fn scores(fleet: &Fleet, state: &State, shape: ShapeId, nodes: &[NodeId]) -> Vec<i64> {
    let taints = normalized(nodes.iter().map(|node| hostile(fleet, shape, *node)).collect(), true);
    let preferred = normalized(nodes.iter().map(|node| preferred(fleet, shape, *node)).collect(), false);
    let spread = spread(fleet, state, shape, nodes);
    let all = nodes.iter().zip(taints).zip(preferred).zip(spread);
    all.map(|(((node, taints), preferred), spread)| {
        let [free, balance] = resources(fleet, state, shape, *node);
        free + balance + OF_TAINTS * taints + OF_AFFINITY * preferred + OF_SPREAD * spread
    })
    .collect()
}

/// `LeastAllocated`, and how much the pod evens out the use of CPU and memory.
fn resources(fleet: &Fleet, state: &State, shape: ShapeId, node: NodeId) -> [i64; 2] {
    let prepared = fleet.prepared(shape);
    let (mut free, mut kinds) = (0, 0);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for at in 0..2 {
        let all = fleet.allocatable(node, at);
        if all == 0 {
            continue;
        }
        let reckoned = state.reckoned(node)[at] + prepared.shape.reckoned[at];
        free += if reckoned > all { 0 } else { (all - reckoned) * MAX / all };
        kinds += 1;
        let share = |amount: i64| (amount as f64 / all as f64).min(1.0);
        without.push(share(state.used(node, at)));
        with.push(share(state.used(node, at) + prepared.amounts[at]));
    }
    let balance = |shares: &[f64]| match shares {
        [a, b] => ((1.0 - ((a - b) / 2.0).abs()) * MAX as f64) as i64,
        _ => MAX,
    };
    let best_effort = prepared.amounts.iter().take(2).all(|amount| *amount == 0);
    let balanced = if best_effort { 0 } else { MAX / 2 + (MAX / 2 + balance(&with) - balance(&without)) / 2 };
    [if kinds == 0 { 0 } else { free / kinds }, balanced]
}

fn hostile(fleet: &Fleet, shape: ShapeId, node: NodeId) -> i64 {
    let tolerations = &fleet.shape(shape).tolerations;
    let counts = fleet.nodes()[node].taints.iter().filter(|taint| {
        taint.effect == "PreferNoSchedule" && !tolerations.iter().any(|toleration| toleration.bears(taint))
    });
    i64::try_from(counts.count()).unwrap_or(MAX)
}

fn preferred(fleet: &Fleet, shape: ShapeId, node: NodeId) -> i64 {
    let info = &fleet.nodes()[node];
    let met = fleet.shape(shape).preferred.iter().filter(|term| {
        let all = term.preference.match_expressions.is_empty() && term.preference.match_fields.is_empty();
        all || term_matches(&term.preference, &info.name, &info.labels)
    });
    met.map(|term| term.weight).sum()
}

/// From 0 to 100, or the other way round (`DefaultNormalizeScore`).
fn normalized(scores: Vec<i64>, reverse: bool) -> Vec<i64> {
    let most = scores.iter().copied().max().unwrap_or(0);
    let one = |score: i64| match (most, reverse) {
        (0, true) => MAX,
        (0, false) => 0,
        (_, true) => MAX - score * MAX / most,
        (_, false) => score * MAX / most,
    };
    scores.into_iter().map(one).collect()
}

fn spread(fleet: &Fleet, state: &State, shape: ShapeId, nodes: &[NodeId]) -> Vec<i64> {
    let softly = &fleet.prepared(shape).spread_softly;
    if softly.is_empty() {
        return vec![0; nodes.len()];
    }
    let counted: Vec<Vec<i64>> =
        softly.iter().map(|spreading| count_by_value(fleet, state, shape, softly, spreading).0).collect();
    let score = |node: &NodeId| -> i64 {
        let of = |(spreading, counts): (&Spreading, &Vec<i64>)| -> f64 {
            let topology = fleet.topology(spreading.near.topology);
            let Some(value) = topology.of[*node] else { return 0.0 };
            let weight = ((topology.values + 2) as f64).ln();
            counts[value] as f64 * weight + (spreading.term.max_skew - 1) as f64
        };
        softly.iter().zip(&counted).map(of).sum::<f64>().round() as i64
    };
    let scores: Vec<i64> = nodes.iter().map(score).collect();
    let (most, least) =
        (scores.iter().copied().max().unwrap_or(0), scores.iter().copied().min().unwrap_or(0));
    scores
        .into_iter()
        .map(|score| if most == 0 { MAX } else { MAX * (most + least - score) / most })
        .collect()
}
