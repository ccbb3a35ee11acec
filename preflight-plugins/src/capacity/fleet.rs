//! Nodes and the shapes of pods, prepared so that fitting one onto the other is arithmetic.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use preflight_core::Quantity;

use super::reason::Reason;
use super::shape::{Selector, Shape, SpreadTerm, Term};
use super::view::{self, Taint};
use super::volumes::Volumes;
use crate::labels::{Labels, selects};

/// The taint of a cordoned node.
const CORDON: &str = "node.kubernetes.io/unschedulable";
/// Resources that every fleet has: their places in the amounts.
const BASIC: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// A shape's place in its fleet.
pub type ShapeId = usize;
/// A node's place in its fleet.
pub type NodeId = usize;

/// A node, as far as pods are fitted onto it.
#[derive(Debug, Clone)]
pub struct NodeInfo {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// Whether it is cordoned.
    pub cordoned: bool,
    /// What pods may request of it.
    pub allocatable: BTreeMap<String, Quantity>,
    /// How many pods it takes.
    pub max_pods: i64,
    /// How many volumes each driver attaches to it.
    pub attach_limits: BTreeMap<String, u64>,
    /// The node after which it will be, if it is still to come.
    pub like: Option<String>,
}

impl NodeInfo {
    /// A node as it is.
    #[must_use]
    pub fn of(name: &str, node: &view::Node) -> Self {
        let allocatable = node.status.allocatable.clone();
        Self {
            name: name.to_owned(),
            labels: node.metadata.labels.clone(),
            taints: node.spec.taints.clone(),
            cordoned: node.spec.unschedulable,
            max_pods: allocatable.get("pods").copied().unwrap_or_default().value(),
            allocatable,
            attach_limits: BTreeMap::new(),
            like: None,
        }
    }
}

/// A selector of pods and where "near" is, by their places in the fleet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Near {
    pub(super) selector: usize,
    pub(super) topology: usize,
}

/// A way of spreading, by places in the fleet.
#[derive(Debug, Clone)]
pub(super) struct Spreading {
    pub(super) near: Near,
    pub(super) term: SpreadTerm,
}

/// A shape, prepared.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) shape: Shape,
    pub(super) group: usize,
    pub(super) amounts: Vec<i64>,
    pub(super) near: Vec<Near>,
    pub(super) apart: Vec<Near>,
    pub(super) spread: Vec<Spreading>,
    pub(super) spread_softly: Vec<Spreading>,
    lasting: OnceCell<Lasting>,
    /// What its volumes demand.
    pub(super) volumes: Volumes,
}

/// What a shape and the nodes say of each other, whatever runs there.
#[derive(Debug)]
pub(super) struct Lasting {
    /// Why a node is out of the question.
    pub(super) refused: Vec<Option<Reason>>,
    /// Whether the shape's selector and affinity allow a node.
    pub(super) selected: Vec<bool>,
    /// Whether the shape bears a node's taints.
    pub(super) borne: Vec<bool>,
}

/// The values that a label of nodes has.
#[derive(Debug)]
pub(super) struct Topology {
    key: String,
    /// Of each node, the place of its value.
    pub(super) of: Vec<Option<usize>>,
    pub(super) values: usize,
}

/// Nodes and the shapes of pods.
#[derive(Debug, Default)]
pub struct Fleet {
    nodes: Vec<NodeInfo>,
    by_name: HashMap<String, NodeId>,
    namespaces: BTreeMap<String, Labels>,
    resources: Vec<String>,
    shapes: Vec<Prepared>,
    groups: HashMap<(String, Labels), usize>,
    group_list: Vec<(String, Labels)>,
    selectors: Vec<Selector>,
    topologies: Vec<Topology>,
    matches: RefCell<HashMap<(usize, usize), bool>>,
    lowest_priority: i32,
}

impl Fleet {
    /// A fleet without pods. The labels of namespaces are what terms with a namespace selector go by.
    #[must_use]
    pub fn new(nodes: Vec<NodeInfo>, namespaces: BTreeMap<String, Labels>) -> Self {
        let by_name = nodes.iter().enumerate().map(|(at, node)| (node.name.clone(), at)).collect();
        let mut resources: Vec<String> = BASIC.map(str::to_owned).to_vec();
        let told: BTreeSet<&String> = nodes.iter().flat_map(|node| node.allocatable.keys()).collect();
        resources.extend(
            told.into_iter().filter(|name| !BASIC.contains(&name.as_str()) && *name != "pods").cloned(),
        );
        Self { nodes, by_name, namespaces, resources, lowest_priority: i32::MAX, ..Self::default() }
    }

    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> &[NodeInfo] {
        &self.nodes
    }

    /// The node of that name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<NodeId> {
        self.by_name.get(name).copied()
    }

    /// Names of the resources, in the order of amounts.
    #[must_use]
    pub fn resources(&self) -> &[String] {
        &self.resources
    }

    /// A shape.
    #[must_use]
    pub fn shape(&self, id: ShapeId) -> &Shape {
        &self.shapes[id].shape
    }

    /// The lowest priority of any shape.
    #[must_use]
    pub fn lowest_priority(&self) -> i32 {
        self.lowest_priority
    }

    pub(super) fn prepared(&self, id: ShapeId) -> &Prepared {
        &self.shapes[id]
    }

    pub(super) fn topology(&self, at: usize) -> &Topology {
        &self.topologies[at]
    }

    /// Adds a shape.
    pub fn add(&mut self, shape: Shape) -> ShapeId {
        for name in shape.requests.keys() {
            if name != "pods" && !self.resources.contains(name) {
                self.resources.push(name.clone());
            }
        }
        let amounts = self.amounts(&shape.requests);
        self.lowest_priority = self.lowest_priority.min(shape.priority);
        let group = self.group(&shape.namespace, &shape.labels);
        let near = shape.near.iter().map(|term| self.near(term)).collect();
        let apart = shape.apart.iter().map(|term| self.near(term)).collect();
        let spread = shape.spread.iter().map(|term| self.spreading(term)).collect();
        let spread_softly = shape.spread_softly.iter().map(|term| self.spreading(term)).collect();
        self.shapes.push(Prepared {
            shape,
            group,
            amounts,
            near,
            apart,
            spread,
            spread_softly,
            lasting: OnceCell::new(),
            volumes: Volumes::default(),
        });
        self.shapes.len() - 1
    }

    /// Says what a shape's volumes demand.
    pub fn set_volumes(&mut self, id: ShapeId, volumes: Volumes) {
        self.shapes[id].volumes = volumes;
    }

    fn amounts(&self, requests: &BTreeMap<String, Quantity>) -> Vec<i64> {
        let amount = |name: &String| requests.get(name).map_or(0, |quantity| in_units(name, *quantity));
        self.resources.iter().map(amount).collect()
    }

    /// What pods may request of a node, of the resource at a place.
    #[must_use]
    pub fn allocatable(&self, node: NodeId, resource: usize) -> i64 {
        let name = &self.resources[resource];
        self.nodes[node].allocatable.get(name).map_or(0, |quantity| in_units(name, *quantity))
    }

    fn group(&mut self, namespace: &str, labels: &Labels) -> usize {
        let key = (namespace.to_owned(), labels.clone());
        if let Some(group) = self.groups.get(&key) {
            return *group;
        }
        self.group_list.push(key.clone());
        self.groups.insert(key, self.group_list.len() - 1);
        self.group_list.len() - 1
    }

    fn near(&mut self, term: &Term) -> Near {
        Near { selector: self.selector(&term.pods), topology: self.topology_of(&term.topology_key) }
    }

    fn spreading(&mut self, term: &SpreadTerm) -> Spreading {
        let near =
            Near { selector: self.selector(&term.pods), topology: self.topology_of(&term.topology_key) };
        Spreading { near, term: term.clone() }
    }

    fn selector(&mut self, selector: &Selector) -> usize {
        if let Some(at) = self.selectors.iter().position(|known| known == selector) {
            return at;
        }
        self.selectors.push(selector.clone());
        self.selectors.len() - 1
    }

    pub(super) fn topology_of(&mut self, key: &str) -> usize {
        if let Some(at) = self.topologies.iter().position(|known| known.key == key) {
            return at;
        }
        let mut values: HashMap<&str, usize> = HashMap::new();
        let of = self.nodes.iter().map(|node| {
            let value = node.labels.get(key)?;
            let next = values.len();
            Some(*values.entry(value).or_insert(next))
        });
        let of = of.collect();
        let values = values.len();
        self.topologies.push(Topology { key: key.to_owned(), of, values });
        self.topologies.len() - 1
    }

    /// Whether a selector selects the pods of a group.
    pub(super) fn selects(&self, selector: usize, group: usize) -> bool {
        if let Some(known) = self.matches.borrow().get(&(selector, group)) {
            return *known;
        }
        let (wanted, (namespace, labels)) = (&self.selectors[selector], &self.group_list[group]);
        let there = wanted.namespaces.contains(namespace)
            || wanted.namespaces_with.as_ref().is_some_and(|with| {
                let own = Labels::new();
                selects(with, self.namespaces.get(namespace).unwrap_or(&own))
            });
        let selected = there && wanted.labels.as_ref().is_some_and(|wanted| selects(wanted, labels));
        self.matches.borrow_mut().insert((selector, group), selected);
        selected
    }

    pub(super) fn lasting(&self, id: ShapeId) -> &Lasting {
        let prepared = &self.shapes[id];
        prepared.lasting.get_or_init(|| {
            let shape = &prepared.shape;
            let named = shape.named_nodes();
            let selected: Vec<bool> =
                self.nodes.iter().map(|node| shape.selects(&node.name, &node.labels)).collect();
            let borne: Vec<bool> = self
                .nodes
                .iter()
                .map(|node| shape.repelled(&node.taints, &["NoSchedule", "NoExecute"]).is_none())
                .collect();
            let cordon =
                Taint { key: CORDON.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() };
            let bears_cordon = shape.tolerations.iter().any(|toleration| toleration.bears(&cordon));
            let refused = self.nodes.iter().enumerate().map(|(at, node)| {
                if named.as_ref().is_some_and(|named| !named.contains(node.name.as_str())) {
                    return Some(if named.as_ref().is_some_and(BTreeSet::is_empty) {
                        Reason::TermsConflict
                    } else {
                        Reason::NotNamed
                    });
                }
                // The kubelet takes a pod that names its node (`pkg/kubelet/lifecycle/predicate.go`, v1.36).
                if !shape.node_name.is_empty() {
                    let stays = shape.repelled(&node.taints, &["NoExecute"]).is_none();
                    return match (shape.node_name == node.name, stays, selected[at]) {
                        (false, ..) => Some(Reason::NodeName),
                        (_, false, _) => Some(Reason::Taint),
                        (.., false) => Some(Reason::Affinity),
                        _ => None,
                    };
                }
                if node.cordoned && !bears_cordon {
                    return Some(Reason::Cordoned);
                }
                if !borne[at] {
                    return Some(Reason::Taint);
                }
                (!selected[at]).then_some(Reason::Affinity)
            });
            Lasting { refused: refused.collect(), selected, borne }
        })
    }
}

/// CPU in millicores, everything else in whole units, as the scheduler reckons.
#[must_use]
pub fn in_units(resource: &str, quantity: Quantity) -> i64 {
    if resource == "cpu" { quantity.milli_value() } else { quantity.value() }
}
