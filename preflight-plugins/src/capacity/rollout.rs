//! What the controllers of workloads do next, one step after the other: which pods they make, and which they end.
//!
//! This knows nothing of nodes and quotas: it is told which pods there are and how they are, and says what comes next.
//! Whoever plays it through decides whether a pod is accepted and where it lands.

use std::collections::{HashMap, HashSet};

/// What a workload is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Plan {
    /// A Deployment that rolls (`pkg/controller/deployment/rolling.go`, v1.36).
    Rolling {
        /// How many pods there are to be.
        replicas: usize,
        /// How many more there may be meanwhile.
        surge: usize,
        /// How many fewer may be available meanwhile.
        unavailable: usize,
    },
    /// A Deployment whose old pods all go first (`pkg/controller/deployment/recreate.go`, v1.36).
    Recreate {
        /// How many pods there are to be.
        replicas: usize,
    },
    /// A ReplicaSet or ReplicationController: pods that are there stay as they are.
    Fixed {
        /// How many pods there are to be.
        replicas: usize,
    },
    /// A StatefulSet (`pkg/controller/statefulset/stateful_set_control.go`, v1.36).
    Stateful {
        /// The first ordinal.
        start: usize,
        /// How many pods there are to be.
        replicas: usize,
        /// Whether each waits for the one before it.
        ordered: bool,
        /// Pods below this place stay as they are.
        partition: usize,
        /// Whether pods that are there stay until someone deletes them.
        on_delete: bool,
    },
    /// A DaemonSet (`pkg/controller/daemon/update.go`, v1.36). A slot is a node.
    Daemon {
        /// The nodes that are to have one.
        nodes: Vec<usize>,
        /// How many nodes may have two meanwhile.
        surge: usize,
        /// How many may have none meanwhile.
        unavailable: usize,
        /// Whether pods that are there stay until someone deletes them.
        on_delete: bool,
    },
    /// A Job.
    Tasks {
        /// How many pods run at once.
        parallelism: usize,
        /// How many must have succeeded.
        completions: usize,
    },
    /// A pod of its own.
    Single,
}

/// Whether a pod is of the template that is applied, or of one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// Of one before.
    Old,
    /// Of the one that is applied.
    New,
}

/// How a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its creation was refused; it is tried again.
    Refused,
    /// It has no node yet.
    Pending,
    /// It has a node, and is not ready there.
    Unready,
    /// It has a node, and is taken to get ready there.
    Ready,
    /// It ran to its end.
    Done,
    /// It is no more.
    Gone,
}

/// A pod of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Of which template.
    pub generation: Generation,
    /// Its ordinal, or its node, where that matters.
    pub slot: usize,
    /// How it is.
    pub stage: Stage,
}

impl Member {
    const fn is_there(&self) -> bool {
        matches!(self.stage, Stage::Refused | Stage::Pending | Stage::Unready | Stage::Ready)
    }

    const fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready)
    }
}

/// What a controller does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Makes a pod.
    Make {
        /// Of which template.
        generation: Generation,
        /// Its ordinal, or its node.
        slot: usize,
    },
    /// Ends this pod, by its place among the members.
    End(usize),
    /// Ends that many pods of a generation, those first that are not ready.
    EndSome {
        /// Of which template.
        generation: Generation,
        /// How many.
        count: usize,
    },
}

impl Plan {
    /// What the controller does next; nothing if it waits, or is done.
    #[must_use]
    pub fn next(&self, members: &[Member]) -> Vec<Step> {
        match self {
            Self::Rolling { replicas, surge, unavailable } => {
                rolling(members, *replicas, *surge, *unavailable)
            }
            Self::Recreate { replicas } => {
                let old = count(members, Generation::Old);
                if old > 0 { end(Generation::Old, old) } else { fixed(members, *replicas) }
            }
            Self::Fixed { replicas } => fixed(members, *replicas),
            Self::Stateful { start, replicas, ordered, partition, on_delete } => {
                let set = Stateful { start: *start, replicas: *replicas, ordered: *ordered };
                set.next(members, *partition, *on_delete)
            }
            Self::Daemon { nodes, surge, unavailable, on_delete } => {
                daemon(members, nodes, *surge, *unavailable, *on_delete)
            }
            Self::Tasks { parallelism, completions } => {
                let done = members.iter().filter(|member| member.stage == Stage::Done).count();
                let active = members.iter().filter(|member| member.is_there()).count();
                let wanted = (*parallelism).min(completions.saturating_sub(done));
                make(wanted.saturating_sub(active))
            }
            Self::Single => make(usize::from(members.is_empty())),
        }
    }

    /// How many of its pods there are at once in the end, at least.
    #[must_use]
    pub const fn at_once(&self) -> usize {
        match self {
            Self::Rolling { replicas, .. }
            | Self::Recreate { replicas }
            | Self::Fixed { replicas }
            | Self::Stateful { replicas, .. } => *replicas,
            _ => 1,
        }
    }

    /// Whether everything is as it is to be.
    #[must_use]
    pub fn is_done(&self, members: &[Member]) -> bool {
        let all_ready = || members.iter().filter(|member| member.is_there()).all(Member::is_ready);
        match self {
            Self::Tasks { completions, .. } => {
                members.iter().filter(|member| member.stage == Stage::Done).count() >= *completions
            }
            Self::Single => members.iter().any(|member| matches!(member.stage, Stage::Ready | Stage::Done)),
            _ => self.next(members).is_empty() && all_ready(),
        }
    }
}

fn count(members: &[Member], generation: Generation) -> usize {
    members.iter().filter(|member| member.is_there() && member.generation == generation).count()
}

fn make(count: usize) -> Vec<Step> {
    vec![Step::Make { generation: Generation::New, slot: 0 }; count]
}

fn end(generation: Generation, count: usize) -> Vec<Step> {
    if count == 0 { Vec::new() } else { vec![Step::EndSome { generation, count }] }
}

fn fixed(members: &[Member], replicas: usize) -> Vec<Step> {
    let new = count(members, Generation::New);
    if new < replicas { make(replicas - new) } else { end(Generation::New, new - replicas) }
}

fn rolling(members: &[Member], replicas: usize, surge: usize, unavailable: usize) -> Vec<Step> {
    let (new, old) = (count(members, Generation::New), count(members, Generation::Old));
    if new != replicas {
        let steps = if new > replicas {
            end(Generation::New, new - replicas)
        } else {
            make((replicas + surge).saturating_sub(new + old).min(replicas - new))
        };
        if !steps.is_empty() {
            return steps;
        }
    }
    if old == 0 {
        return Vec::new();
    }
    let ready = |generation| {
        members.iter().filter(|member| member.generation == generation && member.is_ready()).count()
    };
    let (new_ready, old_ready) = (ready(Generation::New), ready(Generation::Old));
    let least = replicas.saturating_sub(unavailable);
    let most_down = (new + old).saturating_sub(least + (new - new_ready));
    // Those that are not ready go first, and then as many as are available beyond the least.
    let unready = most_down.min(old - old_ready);
    let spare =
        if most_down == 0 { 0 } else { (new_ready + old_ready).saturating_sub(least).min(old - unready) };
    end(Generation::Old, unready + spare)
}

#[derive(Debug, Clone, Copy)]
struct Stateful {
    start: usize,
    replicas: usize,
    ordered: bool,
}

impl Stateful {
    fn next(self, members: &[Member], partition: usize, on_delete: bool) -> Vec<Step> {
        let slots = self.start..self.start.saturating_add(self.replicas);
        let there = members.iter().enumerate().filter(|(_, member)| member.is_there());
        let by_slot: HashMap<usize, usize> = there.map(|(at, member)| (member.slot, at)).collect();
        let at = |slot: usize| by_slot.get(&slot).copied();
        let has_old = members.iter().any(|member| member.generation == Generation::Old);
        let mut steps = Vec::new();
        for slot in slots.clone() {
            match at(slot) {
                None => {
                    let stays = has_old && slot - self.start < partition;
                    let generation = if stays { Generation::Old } else { Generation::New };
                    steps.push(Step::Make { generation, slot });
                    if self.ordered {
                        return steps;
                    }
                }
                Some(member) if self.ordered && !members[member].is_ready() => return steps,
                Some(_) => {}
            }
        }
        let mut condemned: Vec<usize> = (0..members.len())
            .filter(|at| members[*at].is_there() && !slots.contains(&members[*at].slot))
            .collect();
        condemned.sort_by_key(|at| std::cmp::Reverse(members[*at].slot));
        if self.ordered {
            condemned.truncate(1);
        }
        steps.extend(condemned.into_iter().map(Step::End));
        if !steps.is_empty() || on_delete {
            return steps;
        }
        for slot in slots.rev().filter(|slot| slot - self.start >= partition) {
            let Some(member) = at(slot) else { break };
            if members[member].generation == Generation::Old {
                return vec![Step::End(member)];
            }
            if !members[member].is_ready() {
                break;
            }
        }
        Vec::new()
    }
}

fn daemon(
    members: &[Member],
    nodes: &[usize],
    surge: usize,
    unavailable: usize,
    on_delete: bool,
) -> Vec<Step> {
    let mut by_node: HashMap<usize, [Option<usize>; 2]> = HashMap::new();
    for (at, member) in members.iter().enumerate().filter(|(_, member)| member.is_there()) {
        by_node.entry(member.slot).or_default()[usize::from(member.generation == Generation::New)] = Some(at);
    }
    let at = |node: usize| by_node.get(&node).copied().unwrap_or_default();
    let wanted: HashSet<usize> = nodes.iter().copied().collect();
    let mut steps: Vec<Step> = (0..members.len())
        .filter(|at| members[*at].is_there() && !wanted.contains(&members[*at].slot))
        .map(Step::End)
        .collect();
    for node in nodes {
        if at(*node) == [None, None] {
            steps.push(Step::Make { generation: Generation::New, slot: *node });
        }
    }
    if !steps.is_empty() || on_delete {
        return steps;
    }
    let ready = |member: Option<usize>| member.is_some_and(|member| members[member].is_ready());
    let (mut replaced, mut candidates, mut busy) = (Vec::new(), Vec::new(), 0);
    for node in nodes {
        let [old, new] = at(*node);
        match (old, new) {
            (Some(old), Some(_)) if surge > 0 && ready(new) => replaced.push(Step::End(old)),
            (Some(_), Some(_)) => busy += 1,
            (None, _) if surge == 0 && !ready(new) => busy += 1,
            (Some(old), None) if !ready(Some(old)) => {
                busy += usize::from(surge == 0);
                replaced.push(replace(*node, old, surge));
            }
            (Some(old), None) => candidates.push(replace(*node, old, surge)),
            _ => {}
        }
    }
    let room = if surge > 0 { surge } else { unavailable.max(1) };
    replaced.extend(candidates.into_iter().take(room.saturating_sub(busy)));
    replaced
}

fn replace(node: usize, old: usize, surge: usize) -> Step {
    if surge > 0 { Step::Make { generation: Generation::New, slot: node } } else { Step::End(old) }
}

/// Surge and unavailable of a Deployment as numbers: surge is rounded up, unavailable down, and one of them is at least
/// one (`ResolveFenceposts`, `pkg/controller/deployment/util/deployment_util.go`, v1.36). `None` where they cannot be read.
#[must_use]
pub fn fenceposts(surge: Option<&str>, unavailable: Option<&str>, replicas: usize) -> Option<(usize, usize)> {
    let surge = share(surge.unwrap_or("25%"), replicas, true)?;
    let unavailable = share(unavailable.unwrap_or("25%"), replicas, false)?;
    Some(if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) })
}

/// A number, or a percentage of `all`.
#[must_use]
pub fn share(text: &str, all: usize, up: bool) -> Option<usize> {
    let Some(percent) = text.strip_suffix('%') else { return text.parse().ok() };
    let product = percent.parse::<usize>().ok()?.checked_mul(all)?;
    Some(if up { product.div_ceil(100) } else { product / 100 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(generation: Generation, slot: usize, stage: Stage) -> Member {
        Member { generation, slot, stage }
    }

    fn old(count: usize) -> Vec<Member> {
        (0..count).map(|slot| member(Generation::Old, slot, Stage::Ready)).collect()
    }

    fn there(members: &[Member]) -> usize {
        members.iter().filter(|member| member.is_there()).count()
    }

    fn ready(members: &[Member]) -> usize {
        members.iter().filter(|member| member.is_ready()).count()
    }

    /// Takes the steps, and gets every pod ready that is made.
    fn take(members: &mut Vec<Member>, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Make { generation, slot } => members.push(member(*generation, *slot, Stage::Ready)),
                Step::End(at) => members[*at].stage = Stage::Gone,
                Step::EndSome { generation, count } => {
                    let of = members
                        .iter_mut()
                        .filter(|member| member.is_there() && member.generation == *generation);
                    of.take(*count).for_each(|member| member.stage = Stage::Gone);
                }
            }
        }
    }

    /// Plays a plan to its end, where every pod gets ready, and gives what was there at each step.
    fn play(plan: &Plan, mut members: Vec<Member>, mut look: impl FnMut(&[Member])) -> Vec<Member> {
        for _ in 0..1000 {
            let steps = plan.next(&members);
            if steps.is_empty() {
                return members;
            }
            take(&mut members, &steps);
            look(&members);
        }
        panic!("{plan:?} does not come to an end");
    }

    proptest! {
        #[test]
        fn a_rolling_deployment_keeps_to_its_bounds(before in 0_usize..12, replicas in 0_usize..12, surge in 0_usize..5, unavailable in 0_usize..5) {
            let (surge, unavailable) = if surge + unavailable == 0 { (0, 1) } else { (surge, unavailable) };
            let plan = Plan::Rolling { replicas, surge, unavailable };
            let end = play(&plan, old(before), |members| {
                assert!(there(members) <= (replicas + surge).max(before));
                assert!(ready(members) >= replicas.saturating_sub(unavailable).min(before));
            });
            prop_assert!(plan.is_done(&end));
            prop_assert_eq!((count(&end, Generation::New), count(&end, Generation::Old)), (replicas, 0));
        }

        #[test]
        fn a_daemon_set_keeps_to_its_bounds(nodes in 1_usize..9, surge in 0_usize..4, unavailable in 0_usize..4) {
            let plan = Plan::Daemon { nodes: (0..nodes).collect(), surge, unavailable, on_delete: false };
            let end = play(&plan, old(nodes), |members| {
                assert!(there(members) <= nodes + surge);
                let least = if surge > 0 { nodes } else { nodes - unavailable.clamp(1, nodes) };
                assert!(ready(members) >= least);
            });
            prop_assert!(plan.is_done(&end));
            prop_assert_eq!(count(&end, Generation::New), nodes);
        }
    }

    #[test]
    fn a_rollout_without_room_stands_still() {
        let plan = Plan::Rolling { replicas: 2, surge: 1, unavailable: 0 };
        let mut members = old(2);
        let steps = plan.next(&members);
        take(&mut members, &steps);
        members[2].stage = Stage::Pending;
        assert_eq!(plan.next(&members), []);
        assert!(!plan.is_done(&members));
        // Old pods that are not ready go, whatever the new one does.
        members[0].stage = Stage::Unready;
        members.push(member(Generation::Old, 0, Stage::Ready));
        assert_eq!(plan.next(&members), [Step::EndSome { generation: Generation::Old, count: 1 }]);
    }

    #[test]
    fn all_old_pods_go_first_where_it_recreates() {
        let plan = Plan::Recreate { replicas: 3 };
        assert_eq!(plan.next(&old(2)), [Step::EndSome { generation: Generation::Old, count: 2 }]);
        let mut most = 0;
        let end = play(&plan, old(2), |members| most = most.max(there(members)));
        assert_eq!((most, there(&end)), (3, 3));
    }

    #[test]
    fn a_stateful_set_goes_one_by_one() {
        let plan = |partition, ordered| Plan::Stateful {
            start: 1,
            replicas: 3,
            ordered,
            partition,
            on_delete: false,
        };
        let set: Vec<Member> = (1..4).map(|slot| member(Generation::Old, slot, Stage::Ready)).collect();
        // The highest goes first, and is made again.
        let mut members = set.clone();
        assert_eq!(plan(0, true).next(&members), [Step::End(2)]);
        take(&mut members, &[Step::End(2)]);
        assert_eq!(plan(0, true).next(&members), [Step::Make { generation: Generation::New, slot: 3 }]);
        members.push(member(Generation::New, 3, Stage::Pending));
        assert_eq!(plan(0, true).next(&members), []);
        let end = play(&plan(0, true), set.clone(), |members| assert!(ready(members) >= 2));
        assert!(
            end.iter().filter(|member| member.is_there()).all(|member| member.generation == Generation::New)
        );
        let end = play(&plan(2, true), set, |_| {});
        assert_eq!(count(&end, Generation::Old), 2);
        // From nothing: in order, or all at once.
        assert_eq!(plan(0, true).next(&[]).len(), 1);
        assert_eq!(plan(0, false).next(&[]).len(), 3);
    }

    #[test]
    fn jobs_run_as_many_pods_as_they_may() {
        let plan = Plan::Tasks { parallelism: 2, completions: 3 };
        assert_eq!(plan.next(&[]).len(), 2);
        let done = member(Generation::New, 0, Stage::Done);
        assert_eq!(plan.next(&[done.clone(), done.clone()]).len(), 1);
        assert!(plan.is_done(&[done.clone(), done.clone(), done]));
    }

    #[test]
    fn percentages_are_rounded_as_the_controller_does() {
        for (surge, unavailable, replicas, expected) in [
            (None, None, 3, Some((1, 0))),
            (None, None, 10, Some((3, 2))),
            (Some("0"), Some("25%"), 3, Some((0, 1))),
            (Some("100%"), Some("0"), 4, Some((4, 0))),
            (Some("x"), None, 4, None),
        ] {
            assert_eq!(
                fenceposts(surge, unavailable, replicas),
                expected,
                "{surge:?} {unavailable:?} {replicas}"
            );
        }
    }
}
