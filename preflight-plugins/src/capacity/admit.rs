//! What the API server makes of a pod when its controller creates it: defaults, classes and limits.

use std::collections::BTreeMap;
use std::fmt;

use preflight_core::view;
use serde::Deserialize;
use serde_json::Value;

use super::limits::{self, LimitRange};
use super::requests::ResourceList;
use super::view::{PodSpec, Toleration};
use crate::labels::Labels;

/// A PriorityClass.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PriorityClass {
    /// The priority.
    pub value: i32,
    /// Whether pods without a class get it.
    pub global_default: bool,
    /// `Never`, or `PreemptLowerPriority`.
    pub preemption_policy: Option<String>,
}

view!(PriorityClass: cluster "scheduling.k8s.io" "v1" "priorityclasses" "PriorityClass");

/// A RuntimeClass.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RuntimeClass {
    overhead: Option<Overhead>,
    scheduling: Option<Scheduling>,
}

view!(RuntimeClass: cluster "node.k8s.io" "v1" "runtimeclasses" "RuntimeClass");

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Overhead {
    pod_fixed: ResourceList,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Scheduling {
    node_selector: Option<Labels>,
    tolerations: Option<Vec<Toleration>>,
}

/// Classes that exist always (`pkg/apis/scheduling/v1/helpers.go`, v1.36).
const SYSTEM: [(&str, i32); 2] =
    [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

/// What pods are admitted by.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// PriorityClasses by name.
    pub priorities: BTreeMap<String, PriorityClass>,
    /// RuntimeClasses by name.
    pub runtimes: BTreeMap<String, RuntimeClass>,
    /// LimitRanges by namespace.
    pub limits: BTreeMap<String, Vec<(String, LimitRange)>>,
}

/// Why the API server refuses a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// A LimitRange of that name, and what it says.
    Limit(String, String),
    /// A request is above its limit.
    AboveLimit(String),
    /// There is no such PriorityClass.
    NoPriorityClass(String),
    /// There is no such RuntimeClass.
    NoRuntimeClass(String),
    /// The pod and its RuntimeClass contradict each other.
    Contradiction(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(name, why) => write!(f, "the LimitRange {name} refuses the pods: {why}"),
            Self::AboveLimit(why) | Self::Contradiction(why) => f.write_str(why),
            Self::NoPriorityClass(name) => write!(f, "there is no PriorityClass {name}"),
            Self::NoRuntimeClass(name) => write!(f, "there is no RuntimeClass {name}"),
        }
    }
}

/// A pod as it is admitted, and why it is not.
#[derive(Debug, Clone, Default)]
pub struct Admitted {
    /// Its labels.
    pub labels: Labels,
    /// What it demands.
    pub spec: PodSpec,
    /// Why it is refused; empty if it is not.
    pub refusals: Vec<Refusal>,
}

impl Rules {
    /// What becomes of the pods of a template, in a namespace. A DaemonSet's pods bear more.
    ///
    /// # Errors
    /// The template is no pod's.
    pub fn admit(
        &self,
        namespace: &str,
        template: &Value,
        daemon: bool,
    ) -> Result<Admitted, serde_json::Error> {
        let mut spec = PodSpec::deserialize(&template["spec"])?;
        let mut refusals = Vec::new();
        self.priority(&mut spec, &mut refusals);
        let mut containers = spec.containers();
        limits::requests_from_limits(&mut containers);
        limits::pod_requests_from_limits(&mut containers);
        let ranges = self.limits.get(namespace).map(Vec::as_slice).unwrap_or_default();
        ranges.iter().for_each(|(_, range)| range.give(&mut containers));
        for (name, range) in ranges {
            refusals
                .extend(range.refuses(&containers).into_iter().map(|why| Refusal::Limit(name.clone(), why)));
        }
        refusals.extend(limits::above_limits(&containers).into_iter().map(Refusal::AboveLimit));
        refusals.extend(limits::above_pod(&containers).into_iter().map(Refusal::AboveLimit));
        self.runtime(&mut spec, &mut containers.overhead, &mut refusals);
        spec = spec.with_containers(containers);
        if daemon {
            spec.tolerations.extend(daemon_tolerations(spec.host_network));
        }
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            spec.tolerations.push(exists(key, "NoExecute"));
        }
        Ok(Admitted { labels: crate::labels::of(template), spec, refusals })
    }

    fn priority(&self, spec: &mut PodSpec, refusals: &mut Vec<Refusal>) {
        if spec.priority_class_name.is_empty() {
            let default = self.priorities.iter().filter(|(_, class)| class.global_default);
            let Some((name, class)) = default.min_by_key(|(_, class)| class.value) else { return };
            spec.priority_class_name.clone_from(name);
            spec.priority = Some(class.value);
            spec.preemption_policy = class.preemption_policy.clone().unwrap_or_default();
        } else if let Some(class) = self.priorities.get(&spec.priority_class_name) {
            spec.priority = Some(class.value);
            spec.preemption_policy = class.preemption_policy.clone().unwrap_or_default();
        } else if let Some((_, value)) = SYSTEM.iter().find(|(name, _)| *name == spec.priority_class_name) {
            spec.priority = Some(*value);
        } else {
            refusals.push(Refusal::NoPriorityClass(spec.priority_class_name.clone()));
        }
    }

    /// `plugin/pkg/admission/runtimeclass/admission.go`, v1.36.
    fn runtime(&self, spec: &mut PodSpec, overhead: &mut ResourceList, refusals: &mut Vec<Refusal>) {
        if spec.runtime_class_name.is_empty() {
            return;
        }
        let Some(class) = self.runtimes.get(&spec.runtime_class_name) else {
            refusals.push(Refusal::NoRuntimeClass(spec.runtime_class_name.clone()));
            return;
        };
        if let Some(fixed) = class.overhead.as_ref().map(|overhead| &overhead.pod_fixed) {
            if !overhead.is_empty() && overhead != fixed {
                let why =
                    format!("the pod's overhead is not that of the RuntimeClass {}", spec.runtime_class_name);
                refusals.push(Refusal::Contradiction(why));
            }
            overhead.clone_from(fixed);
        }
        let Some(scheduling) = &class.scheduling else { return };
        for (key, value) in scheduling.node_selector.iter().flatten() {
            if let Some(own) =
                spec.node_selector.insert(key.clone(), value.clone()).filter(|own| own != value)
            {
                let class = &spec.runtime_class_name;
                let why = format!(
                    "nodeSelector[{key}] is {own} in the pod, and {value} in the RuntimeClass {class}"
                );
                refusals.push(Refusal::Contradiction(why));
            }
        }
        spec.tolerations.extend(scheduling.tolerations.iter().flatten().cloned());
    }
}

/// `AddOrUpdateDaemonPodTolerations`, `pkg/controller/daemon/util/daemonset_util.go`, v1.36.
fn daemon_tolerations(host_network: bool) -> Vec<Toleration> {
    let pressure = ["disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"];
    let network = host_network.then_some("network-unavailable");
    pressure
        .into_iter()
        .chain(network)
        .map(|key| exists(&format!("node.kubernetes.io/{key}"), "NoSchedule"))
        .collect()
}

fn exists(key: &str, effect: &str) -> Toleration {
    Toleration {
        key: key.to_owned(),
        operator: "Exists".to_owned(),
        effect: effect.to_owned(),
        value: String::new(),
    }
}
