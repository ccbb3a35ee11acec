//! ResourceQuotas: what counts against which, and what still goes through.

use std::collections::BTreeMap;
use std::fmt;

use preflight_core::{Quantity, view};
use serde::Deserialize;
use serde_json::Value;

use super::requests::{self, ResourceList};
use super::view::{PodSpec, PodTerm};
use crate::labels::meets;

/// What pods must say of themselves where a quota counts it (`validationSet`,
/// `pkg/quota/v1/evaluator/core/pods.go`, v1.36).
const MUST_BE_SAID: [&str; 6] =
    ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];
/// Kinds that a quota may count by their plural alone (`pkg/quota/v1/evaluator/core/registry.go`, v1.36).
pub const BY_PLURAL: [&str; 6] = [
    "configmaps",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];
/// What a quota with scopes may count of pods.
const OF_PODS: [&str; 4] = ["pods", "count/pods", "cpu", "memory"];

/// A ResourceQuota as it is read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ResourceQuota {
    spec: Spec,
    status: Status,
}

view!(ResourceQuota: namespaced "" "v1" "resourcequotas" "ResourceQuota");

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    hard: ResourceList,
    scopes: Vec<String>,
    scope_selector: Option<ScopeSelector>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ScopeSelector {
    match_expressions: Vec<Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Status {
    hard: ResourceList,
    used: ResourceList,
}

/// What a quota goes by beside names of resources.
#[derive(Debug, Clone, Default)]
pub struct Traits {
    /// Whether the object is a pod.
    pub is_pod: bool,
    /// Whether the pod's time is limited.
    pub terminating: bool,
    /// Whether the pod requests nothing.
    pub best_effort: bool,
    /// The pod's PriorityClass.
    pub priority_class: String,
    /// Whether the pod's affinity looks into other namespaces.
    pub across_namespaces: bool,
    /// What the containers say nothing of, as a quota names it, and which containers.
    pub unsaid: BTreeMap<&'static str, Vec<String>>,
}

/// What an object counts for.
#[derive(Debug, Clone, Default)]
pub struct Charge {
    /// The object's namespace.
    pub namespace: String,
    /// How much of what, as quotas name it.
    pub amounts: ResourceList,
    /// What scopes go by.
    pub traits: Traits,
}

impl Charge {
    /// One object of a kind, by its plural and group.
    #[must_use]
    pub fn object(namespace: &str, plural: &str, group: &str) -> Self {
        let counted =
            if group.is_empty() { format!("count/{plural}") } else { format!("count/{plural}.{group}") };
        let mut amounts = ResourceList::from([(counted, Quantity::from_value(1))]);
        if group.is_empty() && BY_PLURAL.contains(&plural) {
            amounts.insert(plural.to_owned(), Quantity::from_value(1));
        }
        Self { namespace: namespace.to_owned(), amounts, traits: Traits::default() }
    }

    /// A pod that is there, or will be (`PodUsageFunc`).
    #[must_use]
    pub fn pod(namespace: &str, spec: &PodSpec, requests: &ResourceList) -> Self {
        let one = Quantity::from_value(1);
        let mut amounts = ResourceList::from([("pods".to_owned(), one), ("count/pods".to_owned(), one)]);
        let containers = spec.containers();
        amounts.extend(usage(requests, &requests::limits(&containers)));
        let said = |resources: &requests::Requirements| {
            let said = usage(&resources.requests, &resources.limits);
            MUST_BE_SAID.into_iter().filter(move |name| !said.contains_key(*name))
        };
        let mut unsaid: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        let pod_level = containers
            .resources
            .as_ref()
            .is_some_and(|all| !all.requests.is_empty() || !all.limits.is_empty());
        if !pod_level {
            for container in containers.containers.iter().chain(&containers.init_containers) {
                for name in said(&container.resources) {
                    unsaid.entry(name).or_default().push(container.name.clone());
                }
            }
        }
        let terms = [&spec.affinity.pod_affinity, &spec.affinity.pod_anti_affinity];
        let far = |term: &PodTerm| !term.namespaces.is_empty() || term.namespace_selector.is_some();
        let traits = Traits {
            is_pod: true,
            terminating: spec.active_deadline_seconds.is_some(),
            best_effort: is_best_effort(&containers),
            priority_class: spec.priority_class_name.clone(),
            across_namespaces: terms.iter().any(|terms| terms.required.iter().any(far)),
            unsaid,
        };
        Self { namespace: namespace.to_owned(), amounts, traits }
    }
}

fn is_best_effort(containers: &requests::Containers) -> bool {
    let says = |resources: &requests::Requirements| {
        let all = resources.requests.iter().chain(&resources.limits);
        all.into_iter().any(|(name, amount)| (name == "cpu" || name == "memory") && !amount.is_zero())
    };
    let all = containers.containers.iter().chain(&containers.init_containers);
    !all.map(|container| &container.resources).chain(&containers.resources).any(says)
}

/// `podComputeUsageHelper`.
fn usage(requests: &ResourceList, limits: &ResourceList) -> ResourceList {
    let mut all = ResourceList::new();
    for (name, amount) in requests {
        let basic = matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage");
        if basic || name.starts_with("hugepages-") {
            all.insert(name.clone(), *amount);
        }
        if basic || name.starts_with("hugepages-") || name.contains('/') {
            all.insert(format!("requests.{name}"), *amount);
        }
    }
    for name in ["cpu", "memory", "ephemeral-storage"] {
        if let Some(amount) = limits.get(name) {
            all.insert(format!("limits.{name}"), *amount);
        }
    }
    all
}

/// A quota and how much of it is used.
#[derive(Debug, Clone)]
pub struct Quota {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    hard: ResourceList,
    used: ResourceList,
    scopes: Vec<Value>,
}

impl Quota {
    /// A quota that is there.
    #[must_use]
    pub fn live(namespace: &str, name: &str, quota: &ResourceQuota) -> Self {
        let scopes = quota
            .spec
            .scopes
            .iter()
            .map(|scope| serde_json::json!({"scopeName": scope, "operator": "Exists"}));
        let selected =
            quota.spec.scope_selector.iter().flat_map(|selector| selector.match_expressions.iter().cloned());
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            hard: if quota.status.hard.is_empty() {
                quota.spec.hard.clone()
            } else {
                quota.status.hard.clone()
            },
            used: quota.status.used.clone(),
            scopes: scopes.chain(selected).collect(),
        }
    }

    /// A quota as it is wanted: nothing of it is used yet.
    #[must_use]
    pub fn wanted(namespace: &str, name: &str, quota: &ResourceQuota) -> Self {
        let mut wanted = Self::live(namespace, name, quota);
        wanted.hard.clone_from(&quota.spec.hard);
        wanted.used.clear();
        wanted
    }

    /// Whether it is the quota of that name.
    #[must_use]
    pub fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    /// The same with the bounds and scopes of another, and what is used of that where this one did not count it.
    #[must_use]
    pub fn with_bounds_of(&self, other: &Self) -> Self {
        let mut changed = other.clone();
        changed.used.extend(self.used.iter().map(|(name, amount)| (name.clone(), *amount)));
        changed
    }

    /// Names of what it counts and of which nothing is known yet.
    pub fn uncounted(&self) -> impl Iterator<Item = &str> {
        self.hard.keys().filter(|name| !self.used.contains_key(*name)).map(String::as_str)
    }

    /// Says how much of something is used.
    pub fn set_used(&mut self, name: &str, amount: Quantity) {
        self.used.insert(name.to_owned(), amount);
    }

    /// Whether it counts objects of which these are the traits.
    #[must_use]
    pub fn covers(&self, traits: &Traits) -> bool {
        self.scopes.iter().all(|scope| matches_scope(scope, traits))
    }

    /// Why it has no room; `None` if it has.
    #[must_use]
    pub fn refuses(&self, charge: &Charge) -> Option<Excess> {
        if self.namespace != charge.namespace || !self.covers(&charge.traits) {
            return None;
        }
        let excess = |why| Some(Excess { quota: self.name.clone(), why });
        let counted = |name: &&str| self.hard.contains_key(*name);
        let unsaid: Vec<String> = charge
            .traits
            .unsaid
            .iter()
            .filter(|(name, _)| counted(name))
            .map(|(name, containers)| format!("{name} for: {}", containers.join(",")))
            .collect();
        if !unsaid.is_empty() {
            return excess(Why::Unsaid(unsaid.join("; ")));
        }
        let over =
            charge.amounts.iter().filter(|(_, amount)| !amount.is_zero()).filter_map(|(name, amount)| {
                let hard = *self.hard.get(name)?;
                let used = self.used.get(name).copied().unwrap_or_default();
                (used.saturating_add(*amount) > hard).then(|| Over {
                    name: name.clone(),
                    requested: *amount,
                    used,
                    hard,
                })
            });
        let over: Vec<Over> = over.collect();
        if over.is_empty() { None } else { excess(Why::Over(over)) }
    }

    /// Counts an object, or counts it no longer.
    pub fn charge(&mut self, charge: &Charge, comes: bool) {
        if self.namespace != charge.namespace || !self.covers(&charge.traits) {
            return;
        }
        for (name, amount) in &charge.amounts {
            if self.hard.contains_key(name) {
                let used = self.used.entry(name.clone()).or_default();
                *used = if comes { used.saturating_add(*amount) } else { used.saturating_sub(*amount) };
            }
        }
    }

    /// Whether it counts anything of pods.
    #[must_use]
    pub fn is_of_pods(&self) -> bool {
        let of_pods = |name: &String| {
            OF_PODS.contains(&name.as_str())
                || name.starts_with("requests.") && name != "requests.storage"
                || name.starts_with("limits.")
                || name.starts_with("hugepages-")
                || name == "ephemeral-storage"
        };
        self.hard.keys().any(of_pods)
    }
}

fn matches_scope(scope: &Value, traits: &Traits) -> bool {
    if !traits.is_pod {
        return false;
    }
    match scope["scopeName"].as_str().unwrap_or_default() {
        "Terminating" => traits.terminating,
        "NotTerminating" => !traits.terminating,
        "BestEffort" => traits.best_effort,
        "NotBestEffort" => !traits.best_effort,
        "CrossNamespacePodAffinity" => traits.across_namespaces,
        "PriorityClass" => {
            let class = (!traits.priority_class.is_empty()).then_some(traits.priority_class.as_str());
            meets(scope, class)
        }
        _ => false,
    }
}

/// Why a quota has no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// The quota's name.
    pub quota: String,
    why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    Unsaid(String),
    Over(Vec<Over>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Over {
    name: String,
    requested: Quantity,
    used: Quantity,
    hard: Quantity,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::Unsaid(what) => {
                write!(f, "the quota {} needs every container to specify {what}", self.quota)
            }
            Why::Over(all) => {
                let told: Vec<String> = all
                    .iter()
                    .map(|over| {
                        let Over { name, requested, used, hard } = over;
                        format!("{name}: {requested} requested, {used} of {hard} used")
                    })
                    .collect();
                write!(f, "the quota {} has no room: {}", self.quota, told.join("; "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn quota(spec: Value, used: Value) -> Quota {
        let hard = spec["hard"].clone();
        let quota = json!({"spec": spec, "status": {"hard": hard, "used": used}});
        Quota::live("shop", "q", &serde_json::from_value(quota).unwrap())
    }

    fn pod(spec: Value) -> Charge {
        let spec: PodSpec = serde_json::from_value(spec).unwrap();
        Charge::pod("shop", &spec, &requests::requests(&spec.containers()))
    }

    fn asking(resources: Value) -> Charge {
        pod(json!({"containers": [{"name": "c", "resources": resources}]}))
    }

    #[test]
    fn what_pods_ask_for_is_counted_by_every_name() {
        let charge = asking(json!({
            "requests": {"cpu": "500m", "memory": "1Gi", "example.com/gpu": "1", "hugepages-2Mi": "4Mi"},
            "limits": {"cpu": "1", "ephemeral-storage": "1Gi"},
        }));
        let told: Vec<String> =
            charge.amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
        assert_eq!(
            told,
            [
                "count/pods=1",
                "cpu=500m",
                "hugepages-2Mi=4Mi",
                "limits.cpu=1",
                "limits.ephemeral-storage=1Gi",
                "memory=1Gi",
                "pods=1",
                "requests.cpu=500m",
                "requests.example.com/gpu=1",
                "requests.hugepages-2Mi=4Mi",
                "requests.memory=1Gi",
            ]
        );
    }

    #[test]
    fn a_quota_lets_in_what_fits_and_says_why_not() {
        let mut quota = quota(
            json!({"hard": {"requests.cpu": "2", "pods": "3"}}),
            json!({"requests.cpu": "1", "pods": "1"}),
        );
        let charge = asking(json!({"requests": {"cpu": "600m"}}));
        assert_eq!(quota.refuses(&charge), None);
        quota.charge(&charge, true);
        assert_eq!(
            quota.refuses(&charge).unwrap().to_string(),
            "the quota q has no room: requests.cpu: 600m requested, 1600m of 2 used"
        );
        quota.charge(&charge, false);
        assert_eq!(quota.refuses(&charge), None);
        let silent = asking(json!({}));
        assert_eq!(
            quota.refuses(&silent).unwrap().to_string(),
            "the quota q needs every container to specify requests.cpu for: c"
        );
        let elsewhere = Charge { namespace: "other".to_owned(), ..charge };
        assert_eq!(quota.refuses(&elsewhere), None);
    }

    #[test]
    fn scopes_are_kept() {
        let with =
            |scope: &str| quota(json!({"hard": {"pods": "0"}, "scopes": [scope]}), json!({"pods": "0"}));
        let class = |operator: &str, values: Value| {
            let scope = json!({"scopeName": "PriorityClass", "operator": operator, "values": values});
            quota(
                json!({"hard": {"pods": "0"}, "scopeSelector": {"matchExpressions": [scope]}}),
                json!({"pods": "0"}),
            )
        };
        let plain = asking(json!({"requests": {"cpu": "1"}}));
        let idle = asking(json!({}));
        let limited = pod(json!({"containers": [{"name": "c"}], "activeDeadlineSeconds": 5}));
        let urgent = pod(json!({"containers": [{"name": "c"}], "priorityClassName": "high"}));
        let term = json!({"topologyKey": "z", "labelSelector": {}, "namespaces": ["other"]});
        let far = pod(
            json!({"containers": [{"name": "c"}], "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}),
        );
        for (quota, charge, counts) in [
            (with("Terminating"), &limited, true),
            (with("Terminating"), &plain, false),
            (with("NotTerminating"), &plain, true),
            (with("NotTerminating"), &limited, false),
            (with("BestEffort"), &idle, true),
            (with("BestEffort"), &plain, false),
            (with("NotBestEffort"), &plain, true),
            (with("NotBestEffort"), &idle, false),
            (with("CrossNamespacePodAffinity"), &far, true),
            (with("CrossNamespacePodAffinity"), &plain, false),
            (with("PriorityClass"), &urgent, true),
            (with("PriorityClass"), &plain, false),
            (class("In", json!(["high"])), &urgent, true),
            (class("In", json!(["low"])), &urgent, false),
            (class("NotIn", json!(["high"])), &plain, true),
            (class("DoesNotExist", json!([])), &urgent, false),
        ] {
            assert_eq!(quota.refuses(charge).is_some(), counts, "{quota:?} {charge:?}");
        }
        // Objects that are no pods are not of any scope.
        let service = Charge::object("shop", "services", "");
        assert!(!with("NotTerminating").covers(&service.traits));
    }
}
