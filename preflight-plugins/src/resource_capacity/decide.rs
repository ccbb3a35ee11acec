//! The thinking, once everything is read: it takes time, so it is done beside the runtime.

use std::collections::BTreeMap;
use std::sync::Arc;

use preflight_core::cluster::Listed;

use super::scene::{self, another};
use super::settings::Capacity;
use super::verdict::{Verdict, judge};
use super::volumes::Storage;
use super::workloads::{Unclear, Wanted};
use crate::capacity::fleet::NodeInfo;
use crate::capacity::quota::Quota;
use crate::capacity::rollout::{Generation, Stage};
use crate::capacity::scene::{Hitch, Stuck};
use crate::capacity::state::State;
use crate::capacity::view::{Node, Pod};
use crate::changes::Happens;
use crate::labels::Labels;

/// What is decided by.
pub(super) struct Inputs {
    pub(super) nodes: Arc<Listed<Node>>,
    pub(super) pods: Arc<Listed<Pod>>,
    pub(super) namespaces: BTreeMap<String, Labels>,
    pub(super) quotas: Vec<Quota>,
    pub(super) wanted: Vec<Wanted>,
    pub(super) capacity: Arc<Capacity>,
    pub(super) storage: Storage,
    /// What pruning takes away: kind, namespace and name.
    pub(super) going: Vec<(String, String, String)>,
}

/// What was decided.
pub(super) struct Decided {
    pub(super) wanted: Vec<Wanted>,
    /// Whether pods can be placed, and quotas let them in.
    pub(super) placement: Placement,
    /// Who is evicted for the release.
    pub(super) evicted: Vec<String>,
    /// Which workloads come in only when old pods have gone.
    pub(super) slow: Vec<usize>,
    /// What does not fit once an autoscaler goes to its maximum.
    pub(super) at_maximum: Vec<(usize, String)>,
    /// How many nodes and pods were looked at.
    pub(super) looked_at: (usize, usize),
    /// What is requested and what may be, of CPU in millicores and of memory in bytes, once the release has landed.
    pub(super) requested: [(i64, i64); 2],
}

/// Whether pods can be placed.
pub(super) enum Placement {
    /// They can.
    Found,
    /// They can, once something has happened that is under way or declared: which workload waits, and for what.
    Later(usize, String),
    /// These cannot.
    NotFound(Vec<Obstacle>),
    /// That cannot be told, of nodes or of quotas.
    Unknown(Bar, Unclear),
}

/// What keeps pods out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bar {
    /// No node takes them.
    Nodes,
    /// A quota has no room.
    Quota,
}

impl Bar {
    /// What keeps out the first of those that are stuck.
    fn of(stuck: &[Stuck]) -> Self {
        match stuck.first() {
            Some(Stuck { why: Hitch::Quota(_), .. }) => Self::Quota,
            _ => Self::Nodes,
        }
    }
}

/// What stands in a workload's way.
pub(super) struct Obstacle {
    pub(super) workload: usize,
    pub(super) message: String,
    pub(super) hitch: Hitch,
    pub(super) node: Option<String>,
    /// Whether no order could have helped.
    pub(super) proven: bool,
}

impl Decided {
    /// Whether nothing but nodes is missing, and nothing is declared of more to come.
    pub(super) fn is_short_of_nodes(&self) -> bool {
        match &self.placement {
            Placement::NotFound(obstacles) => {
                obstacles.iter().all(|obstacle| matches!(obstacle.hitch, Hitch::NoNode { .. }))
            }
            _ => false,
        }
    }
}

pub(super) fn decide(inputs: Inputs) -> Decided {
    let thinking = Thinking::of(&inputs);
    let staged = thinking.set(thinking.nodes.clone(), &thinking.all);
    let (mut evicted, mut slow) = (Vec::new(), Vec::new());
    let mut end = staged.state.clone();
    let placement = match judge(&staged.scene()) {
        Verdict::Lands(ending, aside) => {
            evicted = aside.evicted.iter().filter_map(|pod| staged.names.get(pod).cloned()).collect();
            slow = aside.slow.iter().map(|at| thinking.place(*at)).collect();
            end = ending.state;
            Placement::Found
        }
        Verdict::TooLong => unknown(
            Bar::Nodes,
            "the rollout has more steps than are played through".to_owned(),
            "raise maxSurge or maxUnavailable, or release fewer workloads at once",
        ),
        Verdict::Depends { well, of, stuck } => {
            let first = thinking.all.get(stuck.first().map_or(0, |stuck| stuck.workload));
            let what = first.map_or("it".to_owned(), |wanted| wanted.object.id().to_string());
            let bar = Bar::of(&stuck);
            let (how, advice) = match bar {
                Bar::Nodes => {
                    ("fits depends on where the scheduler puts the pods", "make more room, or ask for less")
                }
                Bar::Quota => (
                    "gets into its quota depends on who asks first while others come and go",
                    "raise the quota, or release one after the other",
                ),
            };
            let ill = of - well;
            unknown(bar, format!("whether {what} {how}: in {ill} of {of} plays it does not"), advice)
        }
        Verdict::Stuck { ending, stuck, proven } => {
            end = ending.state;
            let later = thinking.doubt(&stuck).or_else(|| thinking.later(&staged, &stuck));
            later.unwrap_or_else(|| thinking.obstacles(&staged, stuck, proven))
        }
    };
    let requested = [0, 1].map(|at| requested(&end, &staged, at));
    let looked_at = (thinking.nodes.len(), inputs.pods.len());
    let found = matches!(placement, Placement::Found);
    let at_maximum = if found { thinking.at_maximum() } else { Vec::new() };
    Decided { placement, evicted, slow, at_maximum, looked_at, requested, wanted: inputs.wanted }
}

const fn unknown(bar: Bar, why: String, advice: &'static str) -> Placement {
    Placement::Unknown(bar, Unclear { why, advice })
}

/// What is thought about: the workloads whose pods are let in, on the nodes that there are.
struct Thinking<'a> {
    inputs: &'a Inputs,
    nodes: Vec<NodeInfo>,
    all: Vec<&'a Wanted>,
}

impl<'a> Thinking<'a> {
    fn of(inputs: &'a Inputs) -> Self {
        let nodes = inputs.nodes.iter().map(|(_, name, node)| NodeInfo::of(name, node)).collect();
        let all = inputs.wanted.iter().filter(|wanted| wanted.refusals().is_empty()).collect();
        Self { inputs, nodes, all }
    }

    fn set(&self, nodes: Vec<NodeInfo>, wanted: &[&Wanted]) -> scene::Staged {
        let Inputs { pods, namespaces, going, quotas, storage, .. } = self.inputs;
        scene::set(nodes, &scene::Others { pods, namespaces, going }, quotas, storage, wanted)
    }

    /// Where a workload stands among all that are wanted.
    fn place(&self, at: usize) -> usize {
        self.inputs.wanted.iter().position(|wanted| std::ptr::eq(wanted, self.all[at])).unwrap_or(at)
    }

    /// Why it is not sure that those that are stuck are so.
    fn doubt(&self, stuck: &[Stuck]) -> Option<Placement> {
        let bar = Bar::of(stuck);
        if let Some(stuck) = stuck.iter().find(|stuck| matches!(stuck.why, Hitch::Steps)) {
            let id = self.all[stuck.workload].object.id();
            let why = format!(
                "the rollout of {id} waits for a pod of its that is not ready, and whether it gets so is not known"
            );
            return Some(unknown(bar, why, "see what keeps the pod from getting ready"));
        }
        let mut workloads = stuck.iter().map(|stuck| self.all[stuck.workload]);
        let raised = workloads.clone().find(|wanted| {
            !wanted.own.is_empty() && wanted.scaled.as_ref().is_some_and(|scaled| scaled.raises)
        });
        if let Some(wanted) = raised {
            let why = format!(
                "with as many pods as its autoscaler wants, {} does not fit while it rolls; with as many as are written it may",
                wanted.object.id()
            );
            let advice = "write as many replicas as the autoscaler's minimum, or make room";
            return Some(unknown(bar, why, advice));
        }
        workloads.find_map(|wanted| {
            let Happens::Perhaps(why) = wanted.changes else { return None };
            let id = wanted.object.id();
            let why =
                format!("if {id} rolls out, it does not fit, and whether it does so is not known: {why}");
            Some(unknown(bar, why, "make room for it"))
        })
    }

    /// What may still come, and then those that are stuck go on.
    fn later(&self, staged: &scene::Staged, stuck: &[Stuck]) -> Option<Placement> {
        let first = stuck.first()?.workload;
        if let Some(what) = once_they_are_gone(staged) {
            return Some(Placement::Later(self.place(first), what));
        }
        if !stuck.iter().all(|stuck| matches!(stuck.why, Hitch::NoNode { .. })) {
            return None;
        }
        self.elastic(self.place(first)).or_else(|| {
            let sign = autoscaler(&self.inputs.nodes)?;
            let id = self.all[first].object.id();
            let why = format!("{id} does not fit onto the nodes that there are, and {sign}");
            Some(unknown(Bar::Nodes, why, "say in the environment how far it goes: `capacity.elastic`"))
        })
    }

    fn obstacles(&self, staged: &scene::Staged, stuck: Vec<Stuck>, proven: bool) -> Placement {
        let name_of = |node: usize| staged.fleet.nodes()[node].name.clone();
        let obstacles = stuck.into_iter().map(|stuck| {
            let message = message(self.all[stuck.workload], &stuck, proven, &name_of);
            let node = match &stuck.why {
                Hitch::NoNode { shortfall: Some(shortfall), .. } => Some(name_of(shortfall.node)),
                _ => None,
            };
            Obstacle { workload: self.place(stuck.workload), message, hitch: stuck.why, node, proven }
        });
        Placement::NotFound(obstacles.collect())
    }

    /// Whether it fits once the declared groups have grown.
    fn elastic(&self, waits: usize) -> Option<Placement> {
        let (inputs, nodes) = (self.inputs, &self.nodes);
        if inputs.capacity.elastic.is_empty() {
            return None;
        }
        let mut more = nodes.clone();
        let mut told = Vec::new();
        for (name, group) in &inputs.capacity.elastic {
            let there: Vec<&NodeInfo> = nodes.iter().filter(|node| group.has(&node.labels)).collect();
            let added = group.max_nodes.saturating_sub(there.len());
            let new = (0..added)
                .filter_map(|at| another(there.first().copied(), &format!("{name}-{at}-to-come"), group));
            let before = more.len();
            more.extend(new);
            told.push(format!("{name} ({} nodes, up to {} more)", there.len(), more.len() - before));
        }
        let staged = self.set(more, &self.all);
        let groups = told.join(", ");
        let beyond = |why: &str| {
            let why = format!("it does not fit onto the nodes that there are, and {why}: {groups}");
            unknown(Bar::Nodes, why, "raise the maximum of a group, make room, or ask for less")
        };
        Some(match judge(&staged.scene()) {
            Verdict::Lands(..) => Placement::Later(waits, format!("nodes are added: {groups}")),
            Verdict::Depends { .. } => {
                beyond("whether it fits onto the declared maximum depends on where pods are put")
            }
            Verdict::Stuck { .. } => beyond("no placement is found inside the declared maximum either"),
            Verdict::TooLong => beyond("the rollout has more steps than are played through"),
        })
    }

    /// What does not fit once every autoscaler has gone to its maximum, on top of the release.
    fn at_maximum(&self) -> Vec<(usize, String)> {
        let inputs = self.inputs;
        let scaled = |wanted: &Wanted| {
            wanted
                .scaled
                .as_ref()
                .map(|scaled| scaled.max)
                .filter(|max| wanted.kind.replicas().is_some_and(|now| now > 0 && now < *max))
        };
        if inputs.wanted.iter().all(|wanted| scaled(wanted).is_none()) {
            return Vec::new();
        }
        let grown: Vec<Wanted> = inputs
            .wanted
            .iter()
            .filter(|wanted| wanted.refusals().is_empty())
            .map(|wanted| {
                let kind =
                    scaled(wanted).map_or_else(|| wanted.kind.clone(), |max| wanted.kind.with_replicas(max));
                wanted.with_kind(kind)
            })
            .collect();
        let all: Vec<&Wanted> = grown.iter().collect();
        let staged = self.set(self.nodes.clone(), &all);
        let (Verdict::Stuck { stuck, .. } | Verdict::Depends { stuck, .. }) = judge(&staged.scene()) else {
            return Vec::new();
        };
        let name_of = |node: usize| staged.fleet.nodes()[node].name.clone();
        let told = stuck.into_iter().filter_map(|stuck| {
            let wanted = &grown[stuck.workload];
            let scaled = wanted.scaled.as_ref()?;
            let place = inputs.wanted.iter().position(|other| Arc::ptr_eq(&other.object, &wanted.object))?;
            let why = why(wanted, &stuck, &name_of);
            Some((place, format!("at the {} replicas of its autoscaler {}, {why}", scaled.max, scaled.by)))
        });
        told.collect()
    }
}

/// Whether it fits once the pods are gone that were told to end.
fn once_they_are_gone(staged: &scene::Staged) -> Option<String> {
    let mut scene = staged.scene();
    let leaving: Vec<usize> = scene.state.pods().filter(|(_, pod)| pod.leaving).map(|(pod, _)| pod).collect();
    let first = staged.names.get(leaving.first()?)?;
    leaving.iter().for_each(|pod| scene.state.take(&staged.fleet, *pod));
    let what = format!("{} pods are gone that were told to end, {first} among them", leaving.len());
    matches!(judge(&scene), Verdict::Lands(..)).then_some(what)
}

/// Cordoned nodes count for nothing.
fn requested(state: &State, staged: &scene::Staged, at: usize) -> (i64, i64) {
    let open = (0..staged.fleet.nodes().len()).filter(|node| !staged.fleet.nodes()[*node].cordoned);
    open.fold((0, 0), |(used, all), node| {
        (used + state.used(node, at), all + staged.fleet.allocatable(node, at))
    })
}

/// A sign that nodes may be added.
fn autoscaler(nodes: &Listed<Node>) -> Option<String> {
    let signs = ["karpenter.sh/nodepool", "karpenter.sh/provisioner-name"];
    let found = nodes
        .iter()
        .find_map(|(_, _, node)| signs.iter().find(|sign| node.metadata.labels.contains_key(**sign)));
    found.map(|sign| format!("nodes may be added (there are some with the label {sign})"))
}

fn message(wanted: &Wanted, stuck: &Stuck, proven: bool, name_of: &dyn Fn(usize) -> String) -> String {
    let old =
        wanted.own.iter().filter(|own| own.generation == Generation::Old && own.stage != Stage::Done).count();
    let while_old = match (wanted.kind.fenceposts(), old) {
        (Some((surge, unavailable)), 1..) => {
            format!(
                "; the rollout from {old} old pods stands still (maxSurge {surge}, maxUnavailable {unavailable})"
            )
        }
        _ => String::new(),
    };
    let found = if proven || matches!(stuck.why, Hitch::Quota(_)) { "" } else { "no placement found: " };
    format!("{found}{}{while_old}", why(wanted, stuck, name_of))
}

fn why(wanted: &Wanted, stuck: &Stuck, name_of: &dyn Fn(usize) -> String) -> String {
    let (pods, ready) = stuck.pods;
    let missing = pods.saturating_sub(ready);
    let what = match missing {
        0 | 1 if pods <= 1 => format!("the pod of {}", wanted.object.id()),
        _ => format!("{missing} of {pods} pods of {}", wanted.object.id()),
    };
    match &stuck.why {
        Hitch::Quota(excess) => format!("{what} cannot be made: {excess}"),
        Hitch::NoNode { nodes, shortfall } => {
            let short = shortfall.as_ref().map(|shortfall| {
                let missing = shortfall
                    .missing
                    .iter()
                    .map(|(name, amount)| format!("{name}: short of {}", amount_of(name, *amount)));
                let missing: Vec<String> = missing.collect();
                format!(" {} on the best node, {}", missing.join(", "), name_of(shortfall.node))
            });
            format!("no node takes {what}: {nodes}{}", short.unwrap_or_default())
        }
        Hitch::Steps => format!("the rollout of {} does not come to an end", wanted.object.id()),
    }
}

/// An amount of a resource as people write it.
pub(super) fn amount_of(resource: &str, amount: i64) -> String {
    match resource {
        "cpu" if amount % 1000 == 0 => (amount / 1000).to_string(),
        "cpu" => format!("{amount}m"),
        "memory" | "ephemeral-storage" => bytes(amount),
        name if name.starts_with("hugepages-") => bytes(amount),
        _ => amount.to_string(),
    }
}

fn bytes(amount: i64) -> String {
    let units = [("GiB", 1_i64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let fitting = units.into_iter().find(|(_, size)| amount >= *size);
    match fitting {
        Some((unit, size)) if amount % size == 0 => format!("{} {unit}", amount / size),
        Some((unit, size)) => format!("{:.1} {unit}", amount as f64 / size as f64),
        None => format!("{amount} B"),
    }
}
