//! Pods as the scheduler sees them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::fleet::Fleet;
use super::requests::{self, Containers, ResourceList};
use super::view::{NodeTerm, PodSpec, PodTerm, PreferredNode, Spread, Taint, Toleration};
use crate::labels::{Labels, key_of, meets};

/// What the scheduler reckons for containers that request nothing, when it compares nodes
/// (`pkg/scheduler/util/pod_resources.go`, v1.36): millicores and bytes.
const RECKONED: [i64; 2] = [100, 200 << 20];

/// A port of the node's that a pod wants for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    ip: String,
    protocol: String,
    port: i64,
}

impl HostPort {
    /// Whether the two cannot be had at once (`HostPortInfo.CheckConflict`, `staging/src/k8s.io/kube-scheduler/framework/types.go`,
    /// v1.36).
    #[must_use]
    pub fn conflicts(&self, other: &Self) -> bool {
        let any = |ip: &str| ip.is_empty() || ip == "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (any(&self.ip) || any(&other.ip) || self.ip == other.ip)
    }
}

/// A claim of a pod, by its name in the pod's namespace.
pub type Claim = String;

/// A pod as the scheduler sees it. Pods of one template have one shape.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    pub labels: Labels,
    /// What it requests.
    pub requests: ResourceList,
    /// What is reckoned for it when nodes are compared: millicores and bytes.
    pub reckoned: [i64; 2],
    /// Ports of the node's.
    pub ports: Vec<HostPort>,
    /// Taints that it bears.
    pub tolerations: Vec<Toleration>,
    /// Labels that the node must have.
    pub node_selector: Labels,
    /// Alternatives, of which a node must meet one.
    pub node_terms: Option<Vec<NodeTerm>>,
    /// Which nodes are preferred.
    pub preferred: Vec<PreferredNode>,
    /// Pods that must be near.
    pub near: Vec<Term>,
    /// Pods that must not be near.
    pub apart: Vec<Term>,
    /// How it must be spread.
    pub spread: Vec<SpreadTerm>,
    /// How it should be spread.
    pub spread_softly: Vec<SpreadTerm>,
    /// Its priority.
    pub priority: i32,
    /// Whether others are evicted for it.
    pub preempts: bool,
    /// The node that it names.
    pub node_name: String,
    /// Its claims.
    pub claims: Vec<Claim>,
}

/// Pods of some kind, and the label of nodes that tells what is near.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The label of nodes that tells what is one place.
    pub topology_key: String,
    /// Which pods.
    pub pods: Selector,
}

/// How pods are spread.
#[derive(Debug, Clone, PartialEq)]
pub struct SpreadTerm {
    /// The label of nodes that tells what is one place.
    pub topology_key: String,
    /// By how many the places may differ.
    pub max_skew: i64,
    /// How many places there should be.
    pub min_domains: usize,
    /// Whether only nodes count that the pod selects.
    pub honors_affinity: bool,
    /// Whether only nodes count whose taints the pod bears.
    pub honors_taints: bool,
    /// Which pods count.
    pub pods: Selector,
}

impl SpreadTerm {
    /// Whether no pod that is there counts: a selector that selects everything counts nothing
    /// (`countPodsMatchSelector`, `pkg/scheduler/framework/plugins/podtopologyspread/common.go`, v1.36).
    #[must_use]
    pub fn counts_nothing(&self) -> bool {
        let empty = |key: &str| {
            let part = self.pods.labels.as_ref().map(|labels| &labels[key]);
            part.is_none_or(|part| match part {
                Value::Object(map) => map.is_empty(),
                Value::Array(list) => list.is_empty(),
                _ => true,
            })
        };
        empty("matchLabels") && empty("matchExpressions")
    }
}

/// Which pods are meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    /// A label selector; `None` selects nothing.
    pub labels: Option<Value>,
    /// In these namespaces.
    pub namespaces: BTreeSet<String>,
    /// And in those with these labels.
    pub namespaces_with: Option<Value>,
}

impl Selector {
    fn of_term(term: &PodTerm, namespace: &str, own: &Labels) -> Self {
        let mut namespaces: BTreeSet<String> = term.namespaces.iter().cloned().collect();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.insert(namespace.to_owned());
        }
        let labels = with_keys(term.label_selector.as_ref(), &term.match_label_keys, "In", own);
        Self {
            labels: with_keys(labels.as_ref(), &term.mismatch_label_keys, "NotIn", own),
            namespaces,
            namespaces_with: term.namespace_selector.clone(),
        }
    }

    fn of_spread(spread: &Spread, namespace: &str, own: &Labels) -> Self {
        Self {
            labels: with_keys(spread.label_selector.as_ref(), &spread.match_label_keys, "In", own),
            namespaces: BTreeSet::from([namespace.to_owned()]),
            namespaces_with: None,
        }
    }
}

/// The selector with the pod's own values of these labels, as the API server puts them in
/// (`pkg/registry/core/pod/strategy.go`, v1.36, `applyMatchLabelKeysAndMismatchLabelKeys`).
fn with_keys(selector: Option<&Value>, keys: &[String], operator: &str, own: &Labels) -> Option<Value> {
    let mut selector = selector?.clone();
    let wanted = keys
        .iter()
        .filter_map(|key| Some(json!({"key": key, "operator": operator, "values": [own.get(key)?]})));
    let wanted: Vec<Value> = wanted.collect();
    if wanted.is_empty() {
        return Some(selector);
    }
    if !selector.is_object() {
        selector = json!({});
    }
    match selector["matchExpressions"].as_array_mut() {
        Some(all) => all.extend(wanted),
        None => selector["matchExpressions"] = wanted.into(),
    }
    Some(selector)
}

impl Shape {
    /// The shape of a pod that is not there yet.
    #[must_use]
    pub fn of(namespace: &str, labels: &Labels, spec: &PodSpec) -> Self {
        Self::with_requests(namespace, labels, spec, requests::requests(&spec.containers()))
    }

    /// The shape of a pod with these requests.
    #[must_use]
    pub fn with_requests(namespace: &str, labels: &Labels, spec: &PodSpec, requests: ResourceList) -> Self {
        let containers = spec.containers();
        let term = |term: &PodTerm| Term {
            topology_key: term.topology_key.clone(),
            pods: Selector::of_term(term, namespace, labels),
        };
        let spreads = |when: &str| -> Vec<SpreadTerm> {
            let all = spec.topology_spread_constraints.iter();
            all.filter(|spread| spread.when_unsatisfiable == when)
                .map(|spread| SpreadTerm::of(spread, namespace, labels))
                .collect()
        };
        Self {
            namespace: namespace.to_owned(),
            labels: labels.clone(),
            ports: ports(&containers, spec.host_network),
            reckoned: reckoned(containers),
            requests,
            tolerations: spec.tolerations.clone(),
            node_selector: spec.node_selector.clone(),
            node_terms: spec
                .affinity
                .node_affinity
                .required
                .as_ref()
                .map(|terms| terms.node_selector_terms.clone()),
            preferred: spec.affinity.node_affinity.preferred.clone(),
            near: spec.affinity.pod_affinity.required.iter().map(term).collect(),
            apart: spec.affinity.pod_anti_affinity.required.iter().map(term).collect(),
            spread: spreads("DoNotSchedule"),
            spread_softly: spreads("ScheduleAnyway"),
            priority: spec.priority.unwrap_or(0),
            preempts: spec.preemption_policy != "Never",
            node_name: spec.node_name.clone(),
            claims: claims(spec),
        }
    }

    /// Whether its node selector and required affinity allow a node (`GetRequiredNodeAffinity`,
    /// `staging/src/k8s.io/component-helpers/scheduling/corev1/nodeaffinity/nodeaffinity.go`, v1.36).
    #[must_use]
    pub fn selects(&self, name: &str, labels: &Labels) -> bool {
        self.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self
                .node_terms
                .as_ref()
                .is_none_or(|terms| terms.iter().any(|term| term_matches(term, name, labels)))
    }

    /// The nodes that it names in every alternative of its affinity; `None` where one of them names none
    /// (`NodeAffinity.PreFilter`).
    #[must_use]
    pub fn named_nodes(&self) -> Option<BTreeSet<&str>> {
        let terms = self.node_terms.as_ref().filter(|terms| !terms.is_empty())?;
        let mut all = BTreeSet::new();
        for term in terms {
            let named = term
                .match_fields
                .iter()
                .filter(|wanted| key_of(wanted) == "metadata.name" && wanted["operator"] == "In")
                .map(|wanted| -> BTreeSet<&str> {
                    wanted["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
                })
                .reduce(|all, more| all.intersection(&more).copied().collect());
            all.extend(named?);
        }
        Some(all)
    }

    /// Whether there is anybody whom it may evict.
    #[must_use]
    pub fn preempts_any(&self, fleet: &Fleet) -> bool {
        self.preempts && fleet.lowest_priority() < self.priority
    }

    /// The first taint with one of these effects that it does not bear.
    #[must_use]
    pub fn repelled<'a>(&self, taints: &'a [Taint], effects: &[&str]) -> Option<&'a Taint> {
        taints.iter().find(|taint| {
            effects.contains(&taint.effect.as_str())
                && !self.tolerations.iter().any(|toleration| toleration.bears(taint))
        })
    }
}

/// Whether a node meets a term; an empty one matches nothing.
#[must_use]
pub fn term_matches(term: &NodeTerm, name: &str, labels: &Labels) -> bool {
    (!term.match_expressions.is_empty() || !term.match_fields.is_empty())
        && term
            .match_expressions
            .iter()
            .all(|wanted| meets(wanted, labels.get(key_of(wanted)).map(String::as_str)))
        && term
            .match_fields
            .iter()
            .all(|wanted| meets(wanted, (key_of(wanted) == "metadata.name").then_some(name)))
}

impl SpreadTerm {
    /// A constraint of a pod with these labels.
    #[must_use]
    pub fn of(spread: &Spread, namespace: &str, labels: &Labels) -> Self {
        let min_domains = spread.min_domains.and_then(|domains| usize::try_from(domains).ok()).unwrap_or(1);
        Self {
            topology_key: spread.topology_key.clone(),
            max_skew: spread.max_skew,
            min_domains,
            honors_affinity: spread.node_affinity_policy.as_deref() != Some("Ignore"),
            honors_taints: spread.node_taints_policy.as_deref() == Some("Honor"),
            pods: Selector::of_spread(spread, namespace, labels),
        }
    }
}

/// `GetNonzeroRequests`: containers without a request for CPU or memory count with a small one.
fn reckoned(mut containers: Containers) -> [i64; 2] {
    for container in containers.containers.iter_mut().chain(&mut containers.init_containers) {
        for (resource, amount) in ["cpu", "memory"].into_iter().zip(RECKONED) {
            let default = match resource {
                "cpu" => preflight_core::Quantity::from_milli(amount),
                _ => preflight_core::Quantity::from_value(amount),
            };
            container.resources.requests.entry(resource.to_owned()).or_insert(default);
        }
    }
    let all = requests::requests(&containers);
    let of = |resource: &str| all.get(resource).copied().unwrap_or_default();
    [of("cpu").milli_value(), of("memory").value()]
}

/// Ports of the node's; with the node's network, every port of a container is one
/// (`pkg/apis/core/v1/defaults.go`, v1.36).
fn ports(containers: &Containers, host_network: bool) -> Vec<HostPort> {
    let sidecars = containers.init_containers.iter().filter(|container| container.is_sidecar());
    let all = containers.containers.iter().chain(sidecars).flat_map(|container| &container.ports);
    all.filter_map(|port| {
        let own = if host_network && port.host_port == 0 { port.container_port } else { port.host_port };
        let protocol = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
        (own > 0).then(|| HostPort {
            ip: port.host_ip.clone(),
            protocol: protocol.to_owned(),
            port: own.into(),
        })
    })
    .collect()
}

fn claims(spec: &PodSpec) -> Vec<Claim> {
    spec.volumes
        .iter()
        .filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.clone()))
        .collect()
}
