//! The cluster and the release, made ready to be played through.

use std::collections::{BTreeMap, HashMap};

use preflight_core::cluster::Listed;
use serde_json::json;

use super::volumes::Storage;
use super::workloads::{Kind, Own, Slot, Wanted, equal, node_of_daemon};
use crate::capacity::fit::Survey;
use crate::capacity::fleet::{Fleet, NodeId, NodeInfo, ShapeId};
use crate::capacity::quota::{Charge, Quota};
use crate::capacity::requests;
use crate::capacity::rollout::{Generation, Member, Plan, share};
use crate::capacity::scene::{Mold, Scene, Shapes, Waiting, Workload};
use crate::capacity::shape::{Shape, SpreadTerm};
use crate::capacity::state::{PodId, State};
use crate::capacity::view::{Pod, Spread};
use crate::changes::Happens;
use crate::labels::Labels;

/// How the scheduler spreads pods that do not say how (`pkg/scheduler/framework/plugins/podtopologyspread/plugin.go`,
/// v1.36).
const SPREAD: [(&str, i64); 2] = [("kubernetes.io/hostname", 3), ("topology.kubernetes.io/zone", 5)];

/// Nodes, the pods on them, and who has which name.
pub(super) struct Staged {
    pub(super) fleet: Fleet,
    pub(super) state: State,
    pub(super) workloads: Vec<Workload>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) quotas: Vec<Quota>,
    /// `NAMESPACE/NAME` of the pods of the state.
    pub(super) names: HashMap<PodId, String>,
}

impl Staged {
    pub(super) fn scene(&self) -> Scene<'_> {
        Scene {
            fleet: &self.fleet,
            state: self.state.clone(),
            quotas: self.quotas.clone(),
            workloads: self.workloads.clone(),
            waiting: self.waiting.clone(),
        }
    }
}

/// What is there beside the release.
pub(super) struct Others<'a> {
    pub(super) pods: &'a Listed<Pod>,
    pub(super) namespaces: &'a BTreeMap<String, Labels>,
    /// What pruning takes away: kind, namespace and name.
    pub(super) going: &'a [(String, String, String)],
}

impl Others<'_> {
    /// Whether a pod goes with what pruning takes away.
    fn is_going(&self, namespace: &str, name: &str, pod: &Pod) -> bool {
        self.going.iter().any(|(kind, at, gone)| {
            at == namespace && if kind == "Pod" { gone == name } else { pod.is_made_by(kind, gone) }
        })
    }
}

/// Makes everything ready. The workloads stay in their order.
pub(super) fn set(
    nodes: Vec<NodeInfo>,
    others: &Others<'_>,
    quotas: &[Quota],
    storage: &Storage,
    wanted: &[&Wanted],
) -> Staged {
    let mut nodes = nodes;
    storage.limit(&mut nodes);
    let pods = others.pods;
    let mut fleet = Fleet::new(nodes, others.namespaces.clone());
    let mut placed: Vec<(String, ShapeId, NodeId, bool)> = Vec::new();
    let mut pending: HashMap<String, ShapeId> = HashMap::new();
    let mut waiting = Vec::new();
    let mut alike: HashMap<String, Vec<NodeId>> = HashMap::new();
    for (at, node) in fleet.nodes().iter().enumerate() {
        if let Some(like) = &node.like {
            alike.entry(like.clone()).or_default().push(at);
        }
    }
    for (namespace, name, pod) in pods.iter().filter(|(_, _, pod)| !pod.has_ended()) {
        let called = format!("{namespace}/{name}");
        let node = fleet.node(&pod.spec.node_name);
        if !pod.spec.node_name.is_empty() && node.is_none() {
            continue;
        }
        let shape =
            fleet.add(Shape::with_requests(namespace, &pod.metadata.labels, &pod.spec, pod.requests()));
        storage.equip(&mut fleet, shape);
        match node {
            Some(node) => {
                let leaves = pod.is_terminating() || others.is_going(namespace, name, pod);
                // A DaemonSet has a pod on each node to come as well.
                if let Some(alike) = alike.get(&pod.spec.node_name).filter(|_| is_of_daemon_set(pod)) {
                    let to_come = format!("{called} on a node to come");
                    placed.extend(alike.iter().map(|at| (to_come.clone(), shape, *at, leaves)));
                }
                placed.push((called, shape, node, leaves));
            }
            None => {
                let own = matches!(pod.spec.scheduler_name.as_str(), "" | "default-scheduler");
                let waits = own
                    && pod.spec.scheduling_gates.is_empty()
                    && pod.spec.resource_claims.is_empty()
                    && !pod.is_terminating();
                let is_ours =
                    wanted.iter().any(|wanted| wanted.own.iter().any(|own| own.is(namespace, name)));
                if waits && !is_ours {
                    let node = is_of_daemon_set(pod).then(|| fleet.node(&node_of_daemon(pod))).flatten();
                    let in_vain = pod
                        .status
                        .conditions
                        .iter()
                        .any(|condition| condition.kind == "PodScheduled" && condition.status == "False");
                    waiting.push((Waiting { shape, node }, in_vain));
                }
                pending.insert(called, shape);
            }
        }
    }
    let molds: Vec<Mold> = wanted.iter().map(|wanted| mold(&mut fleet, storage, wanted)).collect();
    let mut state = State::empty(&fleet);
    let (mut ids, mut names) = (HashMap::new(), HashMap::new());
    for (called, shape, node, leaving) in placed {
        let id = state.put(&fleet, shape, node, leaving);
        ids.insert(called.clone(), id);
        names.insert(id, called);
    }
    // Whoever fits, and was tried in vain, waits for something that is not seen here.
    let fits = |waiting: &Waiting| {
        let survey = Survey::of(&fleet, &state, waiting.shape);
        match waiting.node {
            Some(node) => survey.fits(node),
            None => !survey.feasible().is_empty(),
        }
    };
    let waiting = waiting
        .into_iter()
        .filter(|(waiting, in_vain)| !(*in_vain && fits(waiting)))
        .map(|(waiting, _)| waiting)
        .collect();
    let find = |own: &Own| ids.get(&own.called()).copied();
    let workloads = wanted
        .iter()
        .zip(molds)
        .map(|(wanted, new)| workload(&fleet, &state, wanted, new, pods, &find, &pending))
        .collect();
    Staged { fleet, state, workloads, waiting, quotas: quotas.to_vec(), names }
}

fn is_of_daemon_set(pod: &Pod) -> bool {
    pod.metadata.controller().is_some_and(|owner| owner.kind == "DaemonSet")
}

impl Own {
    fn called(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }
}

fn mold(fleet: &mut Fleet, storage: &Storage, wanted: &Wanted) -> Mold {
    let admitted = &wanted.pods;
    let mut shape = Shape::of(&wanted.namespace, &admitted.labels, &admitted.spec);
    if admitted.spec.topology_spread_constraints.is_empty()
        && let Some(labels) = wanted.spread_by()
    {
        shape.spread_softly =
            SPREAD.iter().map(|(key, skew)| softly(&wanted.namespace, &labels, key, *skew)).collect();
    }
    let charge = Charge::pod(&wanted.namespace, &admitted.spec, &shape.requests);
    let shapes = match &wanted.kind {
        Kind::StatefulSet { start, replicas, .. } if !wanted.claims.is_empty() => {
            let name = wanted.object.display_name();
            let of = |ordinal: usize| {
                let mut shape = shape.clone();
                shape
                    .labels
                    .insert("statefulset.kubernetes.io/pod-name".to_owned(), format!("{name}-{ordinal}"));
                shape.labels.insert("apps.kubernetes.io/pod-index".to_owned(), ordinal.to_string());
                shape.claims.extend(wanted.claims.iter().map(|claim| format!("{claim}-{name}-{ordinal}")));
                shape
            };
            let shapes: Vec<Shape> = (*start..*start + *replicas).map(of).collect();
            Shapes::BySlot(*start, shapes.into_iter().map(|shape| add(fleet, storage, shape)).collect())
        }
        _ => Shapes::One(add(fleet, storage, shape)),
    };
    Mold { shapes, charge }
}

fn add(fleet: &mut Fleet, storage: &Storage, shape: Shape) -> ShapeId {
    let id = fleet.add(shape);
    storage.equip(fleet, id);
    id
}

/// The spreading that the scheduler makes up.
fn softly(namespace: &str, labels: &Labels, key: &str, skew: i64) -> SpreadTerm {
    let spread = Spread {
        max_skew: skew,
        topology_key: key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(equal(labels)),
        ..Spread::default()
    };
    SpreadTerm::of(&spread, namespace, labels)
}

fn workload(
    fleet: &Fleet,
    state: &State,
    wanted: &Wanted,
    new: Mold,
    pods: &Listed<Pod>,
    find: &dyn Fn(&Own) -> Option<PodId>,
    pending: &HashMap<String, ShapeId>,
) -> Workload {
    let first = match &new.shapes {
        Shapes::One(shape) => Some(*shape),
        Shapes::BySlot(_, shapes) => shapes.first().copied(),
    };
    let nodes = first.map(|shape| daemon_nodes(fleet, shape)).unwrap_or_default();
    let plan = plan(&wanted.kind, &nodes);
    let mut members = Vec::new();
    for own in &wanted.own {
        let slot = match &own.slot {
            Slot::Any => 0,
            Slot::Ordinal(ordinal) => *ordinal,
            Slot::Node(name) => {
                match fleet.node(name).filter(|node| nodes.contains(node) || !stays(fleet, first, *node)) {
                    Some(node) => node,
                    None => continue,
                }
            }
        };
        let member = Member { generation: own.generation, slot, stage: own.stage };
        members.push((member, find(own), own.cost));
    }
    let old = wanted.own.iter().find(|own| own.generation == Generation::Old).and_then(|own| {
        let shape =
            find(own).map(|pod| state.pod(pod).shape).or_else(|| pending.get(&own.called()).copied())?;
        let pod = pods.get_in(&own.namespace, &own.name)?;
        let charge = Charge::pod(&own.namespace, &pod.spec, &requests::requests(&pod.spec.containers()));
        Some(Mold { shapes: Shapes::One(shape), charge })
    });
    let scaled_first = match &wanted.kind {
        Kind::Deployment { replicas, rolling: Some(_), before: Some(before) }
            if !matches!(wanted.changes, Happens::No(_))
                && before != replicas
                && *before > 0
                && old.is_some() =>
        {
            Some(*replicas)
        }
        _ => None,
    };
    let ends = match wanted.kind {
        Kind::Job { .. } => true,
        Kind::Pod => !matches!(wanted.pods.spec.restart_policy.as_str(), "" | "Always"),
        _ => false,
    };
    Workload { plan, new, old, members, scaled_first, ends }
}

fn plan(kind: &Kind, nodes: &[NodeId]) -> Plan {
    match kind {
        Kind::Deployment { replicas, rolling: None, .. } => Plan::Recreate { replicas: *replicas },
        Kind::Deployment { replicas, .. } => {
            let (surge, unavailable) = kind.fenceposts().unwrap_or((1, 0));
            Plan::Rolling { replicas: *replicas, surge, unavailable }
        }
        Kind::Fixed { replicas } => Plan::Fixed { replicas: *replicas },
        Kind::StatefulSet { start, replicas, ordered, partition, on_delete } => Plan::Stateful {
            start: *start,
            replicas: *replicas,
            ordered: *ordered,
            partition: *partition,
            on_delete: *on_delete,
        },
        Kind::DaemonSet { surge, unavailable, on_delete } => Plan::Daemon {
            nodes: nodes.to_vec(),
            surge: share(surge, nodes.len(), true).unwrap_or(0),
            unavailable: share(unavailable, nodes.len(), true).unwrap_or(1),
            on_delete: *on_delete,
        },
        Kind::Job { parallelism, completions } => {
            Plan::Tasks { parallelism: *parallelism, completions: *completions }
        }
        Kind::Pod => Plan::Single,
    }
}

/// The nodes that a DaemonSet has a pod on (`NodeShouldRunDaemonPod`, `pkg/controller/daemon/daemon_controller.go`, v1.36).
fn daemon_nodes(fleet: &Fleet, shape: ShapeId) -> Vec<NodeId> {
    let shape = fleet.shape(shape);
    let runs = |node: &NodeInfo| {
        (shape.node_name.is_empty() || shape.node_name == node.name)
            && shape.selects(&node.name, &node.labels)
            && shape.repelled(&node.taints, &["NoSchedule", "NoExecute"]).is_none()
    };
    (0..fleet.nodes().len()).filter(|node| runs(&fleet.nodes()[*node])).collect()
}

/// Whether a DaemonSet's pod that is on a node already stays there, though none would be made there.
fn stays(fleet: &Fleet, shape: Option<ShapeId>, node: NodeId) -> bool {
    let (Some(shape), node) = (shape.map(|shape| fleet.shape(shape)), &fleet.nodes()[node]) else {
        return true;
    };
    shape.selects(&node.name, &node.labels) && shape.repelled(&node.taints, &["NoExecute"]).is_none()
}

/// A node that an autoscaler may add, after one that is there, or from what the environment says.
pub(super) fn another(
    like: Option<&NodeInfo>,
    name: &str,
    group: &super::settings::Group,
) -> Option<NodeInfo> {
    let mut node = match like {
        Some(like) => {
            let mut node = like.clone();
            node.cordoned = false;
            node.taints.retain(|taint| !taint.key.starts_with("node.kubernetes.io/"));
            node.like = Some(like.name.clone());
            node
        }
        None => {
            let status =
                json!({"status": {"allocatable": group.allocatable}, "metadata": {"labels": group.labels}});
            let view = serde_json::from_value(status).ok()?;
            let mut node = NodeInfo::of(name, &view);
            node.max_pods = if node.max_pods == 0 { 110 } else { node.max_pods };
            (!group.allocatable.is_empty()).then_some(node)?
        }
    };
    name.clone_into(&mut node.name);
    node.labels.insert("kubernetes.io/hostname".to_owned(), name.to_owned());
    Some(node)
}
