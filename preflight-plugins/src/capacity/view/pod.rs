//! What is read of pods.

use preflight_core::view;
use serde::Deserialize;
use serde_json::Value;

use super::{Affinity, Condition, Taint, or_default};
use crate::capacity::requests::{
    self, Allocated, AllocatedContainer, Container, Containers, Requirements, ResourceList,
};
use crate::labels::Labels;

/// A pod that is there, or that will be made.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Labels, owners and times.
    pub metadata: PodMeta,
    /// What it demands.
    pub spec: PodSpec,
    /// What became of it.
    pub status: PodStatus,
}

view!(Pod: namespaced "" "v1" "pods" "Pod");

/// Labels, owners and times of a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodMeta {
    /// Its labels.
    #[serde(deserialize_with = "or_default")]
    pub labels: Labels,
    /// Who made it.
    #[serde(deserialize_with = "or_default")]
    pub owner_references: Vec<Owner>,
    /// When it was told to end, if it was.
    pub deletion_timestamp: Option<String>,
    /// When it was made.
    pub creation_timestamp: Option<String>,
    #[serde(deserialize_with = "or_default")]
    annotations: Annotations,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "controller.kubernetes.io/pod-deletion-cost")]
    deletion_cost: Option<String>,
    #[serde(rename = "kubernetes.io/config.mirror")]
    mirror: Option<String>,
}

impl PodMeta {
    /// Its controller.
    #[must_use]
    pub fn controller(&self) -> Option<&Owner> {
        self.owner_references.iter().find(|owner| owner.controller)
    }

    /// What a controller is asked to reckon for its deletion (`controller.kubernetes.io/pod-deletion-cost`).
    #[must_use]
    pub fn deletion_cost(&self) -> i32 {
        self.annotations.deletion_cost.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Whether it stands for a static pod of a kubelet.
    #[must_use]
    pub const fn is_mirror(&self) -> bool {
        self.annotations.mirror.is_some()
    }
}

/// Who made an object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Owner {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Whether it is the one that manages the object.
    pub controller: bool,
}

/// What a pod demands.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec {
    #[serde(deserialize_with = "or_default")]
    init_containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    containers: Vec<Container>,
    resources: Option<Requirements>,
    #[serde(deserialize_with = "or_default")]
    overhead: ResourceList,
    /// Whether containers are started again when they end.
    #[serde(deserialize_with = "or_default")]
    pub restart_policy: String,
    /// The class that says how it is run.
    #[serde(deserialize_with = "or_default")]
    pub runtime_class_name: String,
    /// The node that it is on, or is to be on.
    #[serde(deserialize_with = "or_default")]
    pub node_name: String,
    /// Labels that the node must have.
    #[serde(deserialize_with = "or_default")]
    pub node_selector: Labels,
    /// Affinity to nodes and pods.
    #[serde(deserialize_with = "or_default")]
    pub affinity: Affinity,
    /// Taints that it bears.
    #[serde(deserialize_with = "or_default")]
    pub tolerations: Vec<Toleration>,
    /// How it is to be spread.
    #[serde(deserialize_with = "or_default")]
    pub topology_spread_constraints: Vec<Spread>,
    /// Its priority, once it is admitted.
    pub priority: Option<i32>,
    /// The class that its priority comes from.
    #[serde(deserialize_with = "or_default")]
    pub priority_class_name: String,
    /// `Never`, or `PreemptLowerPriority`.
    #[serde(deserialize_with = "or_default")]
    pub preemption_policy: String,
    /// Who schedules it; empty for `default-scheduler`.
    #[serde(deserialize_with = "or_default")]
    pub scheduler_name: String,
    /// What must be taken away before it is scheduled.
    #[serde(deserialize_with = "or_default")]
    pub scheduling_gates: Vec<Gate>,
    /// Devices that it claims (dynamic resource allocation).
    #[serde(deserialize_with = "or_default")]
    pub resource_claims: Vec<Value>,
    /// Whether it uses the node's network.
    #[serde(deserialize_with = "or_default")]
    pub host_network: bool,
    /// Its volumes.
    #[serde(deserialize_with = "or_default")]
    pub volumes: Vec<Volume>,
    /// How long it may run, in seconds.
    pub active_deadline_seconds: Option<i64>,
}

/// A gate that keeps a pod from being scheduled.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Gate {
    /// Its name.
    pub name: String,
}

/// A volume of a pod, as far as it is a claim or a device.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// The claim that it is, if it is one.
    pub persistent_volume_claim: Option<ClaimSource>,
    /// The claim that comes and goes with the pod, if it is one.
    pub ephemeral: Option<Value>,
}

/// The claim that a volume is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClaimSource {
    /// Its name, in the pod's namespace.
    pub claim_name: String,
}

/// What a pod bears.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Toleration {
    /// The taint's key; empty for every one.
    #[serde(deserialize_with = "or_default")]
    pub key: String,
    /// `Equal` or `Exists`.
    #[serde(deserialize_with = "or_default")]
    pub operator: String,
    /// The taint's value.
    #[serde(deserialize_with = "or_default")]
    pub value: String,
    /// The taint's effect; empty for every one.
    #[serde(deserialize_with = "or_default")]
    pub effect: String,
}

/// How pods are to be spread.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spread {
    /// By how many the places may differ.
    pub max_skew: i64,
    /// The label of nodes that tells what is one place.
    pub topology_key: String,
    /// `DoNotSchedule` or `ScheduleAnyway`.
    pub when_unsatisfiable: String,
    /// Which pods count; null selects none.
    pub label_selector: Option<Value>,
    /// How many places there should be.
    pub min_domains: Option<i64>,
    /// `Honor` or `Ignore`.
    pub node_affinity_policy: Option<String>,
    /// `Honor` or `Ignore`.
    pub node_taints_policy: Option<String>,
    /// Labels whose value must be that of the pod itself.
    #[serde(deserialize_with = "or_default")]
    pub match_label_keys: Vec<String>,
}

/// What became of a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed`.
    #[serde(deserialize_with = "or_default")]
    pub phase: String,
    /// What is true of it.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
    /// The node that it was promised by preemption.
    #[serde(deserialize_with = "or_default")]
    pub nominated_node_name: String,
    #[serde(deserialize_with = "or_default")]
    container_statuses: Vec<AllocatedContainer>,
    #[serde(deserialize_with = "or_default")]
    init_container_statuses: Vec<AllocatedContainer>,
    #[serde(deserialize_with = "or_default")]
    allocated_resources: ResourceList,
    resources: Option<Requirements>,
}

impl PodSpec {
    /// Its containers and what they request.
    #[must_use]
    pub fn containers(&self) -> Containers {
        Containers {
            init_containers: self.init_containers.clone(),
            containers: self.containers.clone(),
            resources: self.resources.clone(),
            overhead: self.overhead.clone(),
        }
    }

    /// The same with other containers.
    #[must_use]
    pub fn with_containers(mut self, containers: Containers) -> Self {
        self.init_containers = containers.init_containers;
        self.containers = containers.containers;
        self.resources = containers.resources;
        self.overhead = containers.overhead;
        self
    }
}

impl PodStatus {
    fn allocated(&self) -> Allocated {
        let conditions = self.conditions.iter();
        Allocated {
            container_statuses: self.container_statuses.clone(),
            init_container_statuses: self.init_container_statuses.clone(),
            allocated_resources: self.allocated_resources.clone(),
            resources: self.resources.clone(),
            conditions: conditions
                .map(|condition| requests::Condition {
                    kind: condition.kind.clone(),
                    reason: condition.reason.clone(),
                })
                .collect(),
        }
    }
}

impl Pod {
    /// What it counts for on its node.
    #[must_use]
    pub fn requests(&self) -> ResourceList {
        requests::running_requests(&self.spec.containers(), &self.status.allocated())
    }

    /// Whether a workload of its namespace made it; a Deployment does so by its ReplicaSets.
    #[must_use]
    pub fn is_made_by(&self, kind: &str, name: &str) -> bool {
        let Some(owner) = self.metadata.controller() else { return false };
        if kind != "Deployment" {
            return owner.kind == kind && owner.name == name;
        }
        let hash = self.metadata.labels.get("pod-template-hash").map_or("", String::as_str);
        owner.kind == "ReplicaSet" && owner.name == format!("{name}-{hash}")
    }

    /// Whether it has ended: its room is free again.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Whether it was told to end.
    #[must_use]
    pub const fn is_terminating(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Whether it is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True")
    }
}

impl Toleration {
    /// Whether it bears a taint (`staging/src/k8s.io/api/core/v1/toleration.go`, v1.36, `ToleratesTaint`).
    #[must_use]
    pub fn bears(&self, taint: &Taint) -> bool {
        let value = match self.operator.as_str() {
            "" | "Equal" => self.value == taint.value,
            "Exists" => true,
            _ => false,
        };
        (self.effect.is_empty() || self.effect == taint.effect)
            && (self.key.is_empty() || self.key == taint.key)
            && value
    }
}
