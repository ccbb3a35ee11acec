//! Whether a release lands, from playing it through more than once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::capacity::fit::Survey;
use crate::capacity::fleet::{Fleet, ShapeId};
use crate::capacity::place::Policy;
use crate::capacity::scene::{Ending, Hitch, Scene, Shapes, Stuck};
use crate::capacity::state::{PodId, State};

/// How often it is played with each policy.
const PLAYS: [(Policy, u64); 9] = [
    (Policy::Scored, 1),
    (Policy::Random, 2),
    (Policy::Pack, 3),
    (Policy::Scored, 4),
    (Policy::Random, 5),
    (Policy::Scored, 6),
    (Policy::Random, 7),
    (Policy::Scored, 8),
    (Policy::Random, 9),
];
/// How often more, where none of these ends well and another might.
const MORE: u64 = 120;
/// After how long no more plays are begun, once a few are done.
const BUDGET: Duration = Duration::from_millis(1500);

/// Whether a release lands.
pub(super) enum Verdict {
    /// However pods are placed.
    Lands(Ending, Aside),
    /// However they are placed, or in none of the ways that were tried.
    Stuck { ending: Ending, stuck: Vec<Stuck>, proven: bool },
    /// That cannot be told: there are more steps than are played.
    TooLong,
    /// That depends on where the scheduler puts them.
    Depends { well: usize, of: usize, stuck: Vec<Stuck> },
}

/// What comes with landing.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// Who is evicted, in any of the plays.
    pub(super) evicted: BTreeSet<PodId>,
    /// Which workloads are held up by quotas for a while.
    pub(super) slow: BTreeSet<usize>,
}

/// Plays it through until it is clear, or the time is over.
pub(super) fn judge(scene: &Scene<'_>) -> Verdict {
    let begun = Instant::now();
    let mut endings: Vec<Ending> = Vec::new();
    for (policy, seed) in PLAYS {
        let ending = scene.play(policy, seed);
        if !ending.settled {
            return Verdict::TooLong;
        }
        let clear = !ending.had_choice;
        endings.push(ending);
        if clear || (endings.len() > 2 && begun.elapsed() > BUDGET) {
            break;
        }
    }
    let is_clear = endings.iter().any(|ending| !ending.had_choice);
    let well = endings.iter().filter(|ending| ending.stuck.is_empty()).count();
    if well == endings.len() {
        let aside = Aside {
            evicted: endings.iter().flat_map(|ending| ending.evicted.iter().copied()).collect(),
            slow: endings.iter().flat_map(|ending| ending.slow.iter().copied()).collect(),
        };
        return Verdict::Lands(endings.swap_remove(0), aside);
    }
    if well > 0 {
        let stuck = endings.iter().find(|ending| !ending.stuck.is_empty()).map(|ending| ending.stuck.clone());
        return Verdict::Depends { well, of: endings.len(), stuck: stuck.unwrap_or_default() };
    }
    let always: BTreeSet<usize> = endings
        .iter()
        .map(|ending| ending.stuck.iter().map(|stuck| stuck.workload).collect())
        .reduce(|all: BTreeSet<usize>, more| all.intersection(&more).copied().collect())
        .unwrap_or_default();
    let first = endings.swap_remove(0);
    let of_all: Vec<Stuck> = first
        .stuck
        .iter()
        .filter(|stuck| always.is_empty() || always.contains(&stuck.workload))
        .cloned()
        .collect();
    let proven = is_clear || of_all.iter().any(|stuck| cannot_ever(scene, stuck));
    if !proven {
        for seed in 0..MORE {
            if begun.elapsed() > BUDGET {
                break;
            }
            if scene.play(Policy::Random, 1000 + seed).stuck.is_empty() {
                let tried = endings.len() + 2 + usize::try_from(seed).unwrap_or_default();
                return Verdict::Depends { well: 1, of: tried, stuck: of_all };
            }
        }
    }
    Verdict::Stuck { ending: first, stuck: of_all, proven }
}

/// Whether a pod fits nowhere even where nothing of the release is there, or not as many of them as there are to be.
fn cannot_ever(scene: &Scene<'_>, stuck: &Stuck) -> bool {
    let Hitch::NoNode { .. } = stuck.why else { return false };
    let workload = &scene.workloads[stuck.workload];
    // Pods with claims of their own are looked at one by one.
    let (shapes, copies) = match &workload.new.shapes {
        Shapes::One(shape) => (vec![*shape], workload.plan.at_once()),
        Shapes::BySlot(_, shapes) => (shapes.clone(), 1),
    };
    let mut state = scene.state.clone();
    for pod in
        scene.workloads.iter().flat_map(|workload| workload.members.iter().filter_map(|(_, pod, _)| *pod))
    {
        state.take(scene.fleet, pod);
    }
    // Others that leave make room as well.
    let leaving: Vec<PodId> = state.pods().filter(|(_, pod)| pod.leaving).map(|(id, _)| id).collect();
    leaving.into_iter().for_each(|pod| state.take(scene.fleet, pod));
    shapes.into_iter().any(|shape| {
        let own = scene.fleet.shape(shape);
        let bound_to_neighbours = !own.near.is_empty() || !own.spread.is_empty();
        !bound_to_neighbours
            && !own.preempts_any(scene.fleet)
            && !has_room(scene.fleet, state.clone(), shape, copies)
    })
}

/// Whether so many pods of a shape find nodes.
fn has_room(fleet: &Fleet, mut state: State, shape: ShapeId, copies: usize) -> bool {
    for _ in 0..copies {
        let Some(node) = Survey::of(fleet, &state, shape).feasible().first().copied() else { return false };
        state.put(fleet, shape, node, false);
    }
    true
}
