//! Whether a pod fits onto a node: the scheduler's filters, in the scheduler's order
//! (`pkg/scheduler/framework/plugins` and `pkg/scheduler/apis/config/v1/default_plugins.go`, v1.36).

use super::fleet::{Fleet, NodeId, ShapeId, Spreading};
use super::reason::{Histogram, Reason};
use super::state::State;

/// What is known of a state before nodes are looked at one by one (the filters' `PreFilter`).
#[derive(Debug)]
pub struct Survey<'a> {
    fleet: &'a Fleet,
    state: &'a State,
    shape: ShapeId,
    spread: Vec<Counted>,
    /// By topology and value, how many pods are near that must be; for each term.
    near: Vec<Vec<i64>>,
    /// Whether any pod is near that must be, wherever.
    any_near: bool,
    /// By topology and value, whether a pod is there that must not be near.
    apart: Vec<Vec<bool>>,
    /// Topologies and their values that pods which are there keep for themselves.
    kept: Vec<(usize, Vec<bool>)>,
    /// Whether another pod has a claim that the pod must have for itself.
    claim_in_use: bool,
}

/// How pods are spread over the places of one constraint.
#[derive(Debug)]
struct Counted {
    counts: Vec<i64>,
    least: i64,
    itself: i64,
}

impl<'a> Survey<'a> {
    /// Counts what has to be counted before a pod of this shape is fitted onto nodes.
    #[must_use]
    pub fn of(fleet: &'a Fleet, state: &'a State, shape: ShapeId) -> Self {
        let prepared = fleet.prepared(shape);
        let spread =
            prepared.spread.iter().map(|spreading| count_spread(fleet, state, shape, spreading)).collect();
        let near = near_counts(fleet, state, shape);
        let any_near = near.iter().any(|counts| counts.iter().any(|count| *count > 0));
        let apart = prepared
            .apart
            .iter()
            .map(|term| {
                let topology = fleet.topology(term.topology);
                let mut taken = vec![false; topology.values];
                for (_, pod) in state.pods() {
                    if let Some(value) = topology.of[pod.node]
                        && fleet.selects(term.selector, fleet.prepared(pod.shape).group)
                    {
                        taken[value] = true;
                    }
                }
                taken
            })
            .collect();
        let exclusive = &prepared.volumes.exclusive;
        let claim_in_use = !exclusive.is_empty()
            && state.pods().any(|(_, pod)| {
                fleet.prepared(pod.shape).volumes.claims.iter().any(|claim| exclusive.contains(claim))
            });
        let kept = kept(fleet, state, prepared.group);
        Self { fleet, state, shape, spread, near, any_near, apart, kept, claim_in_use }
    }

    /// Whether the node takes the pod.
    #[must_use]
    pub fn fits(&self, node: NodeId) -> bool {
        let mut fits = true;
        self.judge(node, |_| fits = false);
        fits
    }

    /// Why the node does not take the pod; empty if it does.
    #[must_use]
    pub fn reasons(&self, node: NodeId) -> Vec<Reason> {
        let mut all = Vec::new();
        self.judge(node, |reason| all.push(reason));
        all
    }

    /// The nodes that take the pod.
    #[must_use]
    pub fn feasible(&self) -> Vec<NodeId> {
        (0..self.fleet.nodes().len()).filter(|node| self.fits(*node)).collect()
    }

    /// How many nodes have which reason.
    #[must_use]
    pub fn histogram(&self) -> Histogram {
        let nodes = self.fleet.nodes().len();
        let mut histogram = Histogram { nodes, ..Histogram::default() };
        for reason in (0..nodes).flat_map(|node| self.reasons(node)) {
            *histogram.counts.entry(reason).or_default() += 1;
        }
        histogram
    }

    /// The first filter that refuses ends it; that of resources may have several reasons.
    fn judge(&self, node: NodeId, mut told: impl FnMut(Reason)) {
        let Self { fleet, state, shape, .. } = *self;
        if let Some(reason) = &fleet.lasting(shape).refused[node] {
            return told(reason.clone());
        }
        let prepared = fleet.prepared(shape);
        let taken = |pod: &usize| {
            let ports = &fleet.prepared(state.pod(*pod).shape).shape.ports;
            ports.iter().any(|port| prepared.shape.ports.iter().any(|own| own.conflicts(port)))
        };
        if !prepared.shape.ports.is_empty() && state.on(node).iter().any(taken) {
            return told(Reason::Port);
        }
        let mut short = false;
        if i64::try_from(state.on(node).len()).unwrap_or(i64::MAX) >= fleet.nodes()[node].max_pods {
            short = true;
            told(Reason::TooManyPods);
        }
        for (at, amount) in prepared.amounts.iter().enumerate() {
            if *amount > 0 && *amount > fleet.allocatable(node, at) - state.used(node, at) {
                short = true;
                told(Reason::Insufficient(fleet.resources()[at].clone()));
            }
        }
        if short {
            return;
        }
        if let Some(reason) = self.volumes(node) {
            return told(reason);
        }
        if let Some(reason) = self.unspread(node) {
            return told(reason);
        }
        if !self.is_near(node) {
            return told(Reason::PodAffinity);
        }
        let at = |topology: usize| fleet.topology(topology).of[node];
        if prepared
            .apart
            .iter()
            .zip(&self.apart)
            .any(|(term, taken)| at(term.topology).is_some_and(|value| taken[value]))
        {
            return told(Reason::PodAntiAffinity);
        }
        if self.kept.iter().any(|(topology, kept)| at(*topology).is_some_and(|value| kept[value])) {
            told(Reason::ExistingAntiAffinity);
        }
    }

    fn volumes(&self, node: NodeId) -> Option<Reason> {
        let volumes = &self.fleet.prepared(self.shape).volumes;
        if volumes.is_empty() {
            return None;
        }
        if self.claim_in_use {
            return Some(Reason::ClaimInUse);
        }
        let others =
            self.state.on(node).iter().map(|pod| &self.fleet.prepared(self.state.pod(*pod).shape).volumes);
        if volumes.too_many(&self.fleet.nodes()[node].attach_limits, others) {
            return Some(Reason::VolumeCount);
        }
        volumes.refused(node, self.state.bindings())
    }

    fn unspread(&self, node: NodeId) -> Option<Reason> {
        for (spreading, counted) in self.fleet.prepared(self.shape).spread.iter().zip(&self.spread) {
            let Some(value) = self.fleet.topology(spreading.near.topology).of[node] else {
                return Some(Reason::SpreadLabel);
            };
            if counted.counts[value].max(0) + counted.itself - counted.least > spreading.term.max_skew {
                return Some(Reason::Spread);
            }
        }
        None
    }

    /// The first of pods that must be near each other may go anywhere that has the labels.
    fn is_near(&self, node: NodeId) -> bool {
        let prepared = self.fleet.prepared(self.shape);
        let mut near = true;
        for (term, counts) in prepared.near.iter().zip(&self.near) {
            match self.fleet.topology(term.topology).of[node] {
                None => return false,
                Some(value) => near &= counts[value] > 0,
            }
        }
        near || (!self.any_near
            && prepared.near.iter().all(|term| self.fleet.selects(term.selector, prepared.group)))
    }
}

/// Pods count for affinity only where they match every term.
fn near_counts(fleet: &Fleet, state: &State, shape: ShapeId) -> Vec<Vec<i64>> {
    let terms = &fleet.prepared(shape).near;
    let mut counts: Vec<Vec<i64>> =
        terms.iter().map(|term| vec![0; fleet.topology(term.topology).values]).collect();
    if terms.is_empty() {
        return counts;
    }
    for (_, pod) in state.pods() {
        let group = fleet.prepared(pod.shape).group;
        if !terms.iter().all(|term| fleet.selects(term.selector, group)) {
            continue;
        }
        for (term, counts) in terms.iter().zip(&mut counts) {
            if let Some(value) = fleet.topology(term.topology).of[pod.node] {
                counts[value] += 1;
            }
        }
    }
    counts
}

fn kept(fleet: &Fleet, state: &State, group: usize) -> Vec<(usize, Vec<bool>)> {
    let mut kept: Vec<(usize, Vec<bool>)> = Vec::new();
    for pod in state.shy() {
        let placed = state.pod(*pod);
        for term in &fleet.prepared(placed.shape).apart {
            let topology = fleet.topology(term.topology);
            let Some(value) = topology.of[placed.node].filter(|_| fleet.selects(term.selector, group)) else {
                continue;
            };
            let at = kept.iter().position(|(known, _)| *known == term.topology).unwrap_or_else(|| {
                kept.push((term.topology, vec![false; topology.values]));
                kept.len() - 1
            });
            kept[at].1[value] = true;
        }
    }
    kept
}

/// The pods that a constraint counts, by value of its label, and the least of them among the nodes that count.
pub(super) fn count_by_value(
    fleet: &Fleet,
    state: &State,
    shape: ShapeId,
    all: &[Spreading],
    spreading: &Spreading,
) -> (Vec<i64>, Vec<bool>) {
    let topology = fleet.topology(spreading.near.topology);
    let (mut counts, mut counted) = (vec![0; topology.values], vec![false; topology.values]);
    let lasting = fleet.lasting(shape);
    for node in 0..fleet.nodes().len() {
        let labelled = all.iter().all(|other| fleet.topology(other.near.topology).of[node].is_some());
        let counts_here = (!spreading.term.honors_affinity || lasting.selected[node])
            && (!spreading.term.honors_taints || lasting.borne[node]);
        let Some(value) = topology.of[node].filter(|_| labelled && counts_here) else { continue };
        counted[value] = true;
        if spreading.term.counts_nothing() {
            continue;
        }
        let here = state.on(node).iter().filter(|pod| {
            let placed = state.pod(**pod);
            !placed.leaving && fleet.selects(spreading.near.selector, fleet.prepared(placed.shape).group)
        });
        counts[value] += i64::try_from(here.count()).unwrap_or(i64::MAX);
    }
    (counts, counted)
}

fn count_spread(fleet: &Fleet, state: &State, shape: ShapeId, spreading: &Spreading) -> Counted {
    let prepared = fleet.prepared(shape);
    let (counts, counted) = count_by_value(fleet, state, shape, &prepared.spread, spreading);
    let domains = counted.iter().filter(|counted| **counted).count();
    // Without any place that counts, the least is as high as can be.
    let least = counts.iter().zip(&counted).filter(|(_, counted)| **counted).map(|(count, _)| *count).min();
    let least = if domains < spreading.term.min_domains { 0 } else { least.unwrap_or(i64::from(i32::MAX)) };
    let itself = i64::from(fleet.selects(spreading.near.selector, prepared.group));
    Counted { counts, least, itself }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::capacity::fleet::NodeInfo;
    use crate::capacity::shape::Shape;
    use crate::capacity::view::Pod;

    fn node(name: &str, mut more: Value) -> NodeInfo {
        more["metadata"]["labels"]["kubernetes.io/hostname"] = json!(name);
        if more["status"]["allocatable"].is_null() {
            more["status"]["allocatable"] = json!({"cpu": "2", "memory": "4Gi", "pods": "3"});
        }
        NodeInfo::of(name, &serde_json::from_value(more).unwrap())
    }

    fn shape(labels: Value, spec: Value) -> Shape {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"labels": labels}, "spec": spec})).unwrap();
        Shape::of("shop", &pod.metadata.labels, &pod.spec)
    }

    /// What is said of a pod on two nodes, `a` in zone 1 and `b` in zone 2, with others on `a`.
    fn told(nodes: Vec<NodeInfo>, others: Vec<Shape>, pod: Shape) -> String {
        let mut fleet = Fleet::new(nodes, Default::default());
        let others: Vec<ShapeId> = others.into_iter().map(|other| fleet.add(other)).collect();
        let pod = fleet.add(pod);
        let mut state = State::empty(&fleet);
        for other in others {
            state.put(&fleet, other, 0, false);
        }
        let survey = Survey::of(&fleet, &state, pod);
        let feasible: Vec<&str> =
            survey.feasible().into_iter().map(|at| fleet.nodes()[at].name.as_str()).collect();
        if feasible.is_empty() { survey.histogram().to_string() } else { feasible.join(" ") }
    }

    fn two() -> Vec<NodeInfo> {
        let zone = |zone: &str| json!({"metadata": {"labels": {"zone": zone, "size": "3"}}});
        vec![node("a", zone("1")), node("b", zone("2"))]
    }

    fn asking(cpu: &str) -> Value {
        json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]})
    }

    #[test]
    fn nodes_are_told_in_the_schedulers_words() {
        let app = || json!({"app": "web"});
        let with = |field: &str, value: Value| {
            let mut spec = asking("100m");
            spec[field] = value;
            shape(app(), spec)
        };
        let term =
            |key: &str| json!([{"topologyKey": key, "labelSelector": {"matchLabels": {"app": "web"}}}]);
        let near = |key: &str| {
            with(
                "affinity",
                json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term(key)}}),
            )
        };
        let apart = |key: &str| {
            with(
                "affinity",
                json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term(key)}}),
            )
        };
        let spread = |key: &str| {
            let term = json!({"topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}});
            with("topologySpreadConstraints", json!([term]))
        };
        let nodes_with = |term: Value| {
            with(
                "affinity",
                json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}),
            )
        };
        let port = || {
            let spec =
                json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]});
            shape(json!({}), spec)
        };
        let web = || shape(app(), asking("100m"));
        let cases = [
            (vec![], web(), "a b"),
            (vec![shape(json!({}), asking("1950m"))], web(), "b"),
            (vec![], shape(app(), asking("3")), "0/2 nodes are available: 2 Insufficient cpu."),
            (vec![web(), web(), web()], web(), "b"),
            (vec![], with("nodeSelector", json!({"zone": "2"})), "b"),
            (
                vec![],
                with("nodeSelector", json!({"zone": "3"})),
                "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
            ),
            (
                vec![],
                nodes_with(json!({"matchExpressions": [{"key": "size", "operator": "Gt", "values": ["3"]}]})),
                "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
            ),
            (
                vec![],
                nodes_with(
                    json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}),
                ),
                "b",
            ),
            (
                vec![],
                nodes_with(
                    json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["c"]}]}),
                ),
                "0/2 nodes are available: 2 node(s) didn't satisfy plugin(s) [NodeAffinity].",
            ),
            (vec![], near("zone"), "a b"),
            (vec![web()], near("zone"), "a"),
            (vec![], near("rack"), "0/2 nodes are available: 2 node(s) didn't match pod affinity rules."),
            (vec![web()], apart("zone"), "b"),
            (vec![apart("zone")], web(), "b"),
            (vec![web()], spread("zone"), "b"),
            (
                vec![],
                spread("rack"),
                "0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints (missing required label).",
            ),
            (vec![port()], port(), "b"),
        ];
        for (others, pod, expected) in cases {
            assert_eq!(told(two(), others, pod.clone()), expected, "{pod:?}");
        }
        let closed = vec![
            node(
                "a",
                json!({"spec": {"unschedulable": true, "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]}}),
            ),
            node("b", json!({"spec": {"taints": [{"key": "gpu", "value": "yes", "effect": "NoExecute"}]}})),
        ];
        assert_eq!(
            told(closed.clone(), vec![], web()),
            "0/2 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable."
        );
        assert_eq!(told(closed, vec![], with("tolerations", json!([{"key": "gpu", "value": "yes"}]))), "b");
        assert_eq!(told(vec![], vec![], web()), "no nodes available to schedule pods");
    }

    #[test]
    fn a_pod_that_does_not_select_itself_may_be_spread_anywhere() {
        let term = json!({"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}});
        let mut spec = asking("100m");
        spec["topologySpreadConstraints"] = json!([term]);
        let web = shape(json!({"app": "web"}), asking("100m"));
        assert_eq!(told(two(), vec![web], shape(json!({"app": "other"}), spec)), "a b");
    }
}
