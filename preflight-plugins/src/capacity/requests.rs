//! What pods request, exactly as Kubernetes computes it: `staging/src/k8s.io/component-helpers/resource/helpers.go`,
//! v1.36, with the feature gates as they are by default.
//!
//! Nothing is made up here: what defaults and limit ranges add on admission must be in the spec already.

use std::collections::BTreeMap;

use preflight_core::Quantity;
use serde::{Deserialize, Deserializer};

/// How much of what, by the resource's name. What is not there is zero.
pub type ResourceList = BTreeMap<String, Quantity>;

/// What a container or a pod asks for, and what it may use at most.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Requirements {
    /// What is set aside for it.
    #[serde(deserialize_with = "null_is_empty")]
    pub requests: ResourceList,
    /// What it may use at most.
    #[serde(deserialize_with = "null_is_empty")]
    pub limits: ResourceList,
}

/// What is looked at of a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Container {
    /// Its name.
    #[serde(deserialize_with = "null_is_empty")]
    pub name: String,
    /// Its image.
    #[serde(deserialize_with = "null_is_empty")]
    pub image: String,
    /// What it asks for.
    #[serde(deserialize_with = "null_is_empty")]
    pub resources: Requirements,
    /// `Always` makes a sidecar of an init container.
    pub restart_policy: Option<String>,
    /// The ports that it names.
    #[serde(deserialize_with = "null_is_empty")]
    pub ports: Vec<Port>,
}

/// A port of a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Port {
    /// Inside the pod.
    #[serde(deserialize_with = "null_is_empty")]
    pub container_port: i32,
    /// On the node; zero where it wants none.
    #[serde(deserialize_with = "null_is_empty")]
    pub host_port: i32,
    /// The node's address that it wants the port of; empty for all.
    #[serde(rename = "hostIP", deserialize_with = "null_is_empty")]
    pub host_ip: String,
    /// Empty for TCP.
    #[serde(deserialize_with = "null_is_empty")]
    pub protocol: String,
}

/// What is looked at of a pod's `spec`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Containers {
    /// Run one after the other before the others; sidecars go on.
    #[serde(deserialize_with = "null_is_empty")]
    pub init_containers: Vec<Container>,
    /// Run at the same time.
    #[serde(deserialize_with = "null_is_empty")]
    pub containers: Vec<Container>,
    /// What the pod as a whole asks for.
    pub resources: Option<Requirements>,
    /// What the runtime class takes on top.
    #[serde(deserialize_with = "null_is_empty")]
    pub overhead: ResourceList,
}

/// What is looked at of a pod's `status`: what its node has set aside for it, which differs from the spec while it is
/// resized in place.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Allocated {
    /// Of the containers.
    #[serde(deserialize_with = "null_is_empty")]
    pub container_statuses: Vec<AllocatedContainer>,
    /// Of the init containers.
    #[serde(deserialize_with = "null_is_empty")]
    pub init_container_statuses: Vec<AllocatedContainer>,
    /// What is set aside for the pod as a whole.
    #[serde(deserialize_with = "null_is_empty")]
    pub allocated_resources: ResourceList,
    /// What is in force for the pod as a whole.
    pub resources: Option<Requirements>,
    /// `PodResizePending` tells of a resize that did not happen.
    #[serde(deserialize_with = "null_is_empty")]
    pub conditions: Vec<Condition>,
}

/// What a node has set aside for a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AllocatedContainer {
    /// The container's name.
    #[serde(deserialize_with = "null_is_empty")]
    pub name: String,
    /// What is set aside.
    #[serde(deserialize_with = "null_is_empty")]
    pub allocated_resources: ResourceList,
    /// What is in force.
    pub resources: Option<Requirements>,
}

/// A condition of a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type", deserialize_with = "null_is_empty")]
    pub kind: String,
    /// Why it is so, in one word.
    #[serde(deserialize_with = "null_is_empty")]
    pub reason: String,
}

/// What a pod needs room for that has no node yet (`computePodResourceRequest` in
/// `pkg/scheduler/framework/plugins/noderesources/fit.go`, v1.36).
#[must_use]
pub fn requests(spec: &Containers) -> ResourceList {
    requests_of(spec, None, None)
}

/// What a pod may use at most. What is not limited is not there.
#[must_use]
pub fn limits(spec: &Containers) -> ResourceList {
    limits_of(spec, None)
}

/// What a pod takes away from its node (`CalculateResource` in `pkg/scheduler/framework/types.go`, v1.36).
#[must_use]
pub fn running_requests(spec: &Containers, status: &Allocated) -> ResourceList {
    requests_of(spec, Some(status), Some(status))
}

/// The requests that are charged to quotas (`PodUsageFunc` in `pkg/quota/v1/evaluator/core/pods.go`, v1.36): of a pod
/// that is resized as a whole, what is written.
#[must_use]
pub fn quota_requests(spec: &Containers, status: &Allocated) -> ResourceList {
    requests_of(spec, Some(status), None)
}

/// The limits that are charged to quotas.
#[must_use]
pub fn quota_limits(spec: &Containers, status: &Allocated) -> ResourceList {
    limits_of(spec, Some(status))
}

/// By the containers' status, and by that of the pod as a whole, where they count (`PodRequests`).
fn requests_of(
    spec: &Containers,
    containers: Option<&Allocated>,
    whole_pod: Option<&Allocated>,
) -> ResourceList {
    let mut total = aggregate(spec, |container, resizable| {
        let written = &container.resources.requests;
        let status = containers.filter(|_| resizable);
        let seen = status.and_then(|status| Some((status, status.container(&container.name)?)));
        match seen.and_then(|(status, seen)| Some((status, seen, seen.resources.as_ref()?))) {
            Some((status, seen, actual)) => {
                status.effective_requests(written, &actual.requests, &seen.allocated_resources)
            }
            None => written.clone(),
        }
    });
    if let Some(written) = spec.resources.as_ref().map(|resources| &resources.requests) {
        let effective = whole_pod.and_then(|status| {
            let actual = &status.resources.as_ref()?.requests;
            Some(status.effective_requests(written, actual, &status.allocated_resources))
        });
        replace(&mut total, written, effective.as_ref());
    }
    add(&mut total, &spec.overhead);
    total
}

/// By the containers' status, where it counts (`PodLimits`). Nobody asks for limits by that of the pod as a whole.
fn limits_of(spec: &Containers, containers: Option<&Allocated>) -> ResourceList {
    let mut total = aggregate(spec, |container, resizable| {
        let written = &container.resources.limits;
        let status = containers.filter(|_| resizable);
        let seen = status.and_then(|status| Some((status, status.container(&container.name)?)));
        match seen.and_then(|(status, seen)| Some((status, seen.resources.as_ref()?))) {
            Some((status, actual)) => status.effective_limits(written, &actual.limits),
            None => written.clone(),
        }
    });
    if let Some(resources) = &spec.resources {
        replace(&mut total, &resources.limits, None);
    }
    for (name, quantity) in &spec.overhead {
        if let Some(limit) = total.get_mut(name).filter(|limit| !limit.is_zero()) {
            *limit += *quantity;
        }
    }
    total
}

/// The containers' sum, or what an init container with the sidecars before it needs if that is more. `of` says what one
/// container counts for; it is told whether that container may be resized (`AggregateContainerRequests`,
/// `AggregateContainerLimits`).
fn aggregate(spec: &Containers, of: impl Fn(&Container, bool) -> ResourceList) -> ResourceList {
    let mut together = ResourceList::new();
    for container in &spec.containers {
        add(&mut together, &of(container, true));
    }
    let (mut sidecars, mut starting) = (ResourceList::new(), ResourceList::new());
    for container in &spec.init_containers {
        let sidecar = container.is_sidecar();
        let mut needs = of(container, sidecar);
        if sidecar {
            add(&mut together, &needs);
            add(&mut sidecars, &needs);
            raise(&mut starting, &sidecars);
        } else {
            add(&mut needs, &sidecars);
            raise(&mut starting, &needs);
        }
    }
    raise(&mut together, &starting);
    together
}

impl Container {
    /// Whether an init container goes on beside the others.
    #[must_use]
    pub fn is_sidecar(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }
}

impl Allocated {
    /// The last one of that name, init containers after the others.
    fn container(&self, name: &str) -> Option<&AllocatedContainer> {
        self.container_statuses.iter().chain(&self.init_container_statuses).rfind(|seen| seen.name == name)
    }

    fn effective_requests(
        &self,
        written: &ResourceList,
        actual: &ResourceList,
        allocated: &ResourceList,
    ) -> ResourceList {
        let mut effective = self.effective_limits(written, actual);
        raise(&mut effective, allocated);
        effective
    }

    /// What is written does not count where the node will never have it.
    fn effective_limits(&self, written: &ResourceList, actual: &ResourceList) -> ResourceList {
        let mut effective = actual.clone();
        if !self.resize_infeasible() {
            raise(&mut effective, written);
        }
        effective
    }

    fn resize_infeasible(&self) -> bool {
        let pending = self.conditions.iter().find(|condition| condition.kind == "PodResizePending");
        pending.is_some_and(|condition| condition.reason == "Infeasible")
    }
}

/// Puts what the pod as a whole asks for in place of its containers' sum: what is written, or else what is effective.
fn replace(total: &mut ResourceList, written: &ResourceList, effective: Option<&ResourceList>) {
    for (name, quantity) in written.iter().filter(|(name, _)| is_pod_level(name)) {
        let effective = effective.map(|all| all.get(name).copied().unwrap_or_default());
        total.insert(name.clone(), effective.unwrap_or(*quantity));
    }
}

/// Whether a resource can be asked for by a pod as a whole.
fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

fn add(total: &mut ResourceList, more: &ResourceList) {
    for (name, quantity) in more {
        *total.entry(name.clone()).or_default() += *quantity;
    }
}

fn raise(total: &mut ResourceList, other: &ResourceList) {
    for (name, quantity) in other {
        total.entry(name.clone()).and_modify(|has| *has = (*has).max(*quantity)).or_insert(*quantity);
    }
}

fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn list<const N: usize>(all: [(&str, &str); N]) -> ResourceList {
        all.map(|(name, quantity)| (name.to_owned(), quantity.parse().unwrap())).into()
    }

    #[test]
    fn null_is_nothing() {
        let spec: Containers = serde_json::from_value(json!({
            "initContainers": null, "overhead": null, "resources": null,
            "containers": [
                {"name": null, "image": null, "resources": null, "restartPolicy": null, "ports": null},
                {"resources": {"requests": null, "limits": {"cpu": null}},
                 "ports": [{"containerPort": null, "hostPort": null, "hostIP": null, "protocol": null}]}],
        }))
        .unwrap();
        assert_eq!(requests(&spec), list([]));
        assert_eq!(limits(&spec), list([("cpu", "0")]));
        let status: Allocated = serde_json::from_value(json!({
            "containerStatuses": [{"name": null, "allocatedResources": null, "resources": null}],
            "initContainerStatuses": null, "allocatedResources": null, "resources": null,
            "conditions": [{"type": null, "reason": null}],
        }))
        .unwrap();
        assert_eq!(running_requests(&spec, &status), list([]));
        for empty in [Value::Null, json!({})] {
            let spec = Option::<Containers>::deserialize(empty).unwrap().unwrap_or_default();
            assert_eq!(requests(&spec), list([]));
        }
    }

    #[test]
    fn fields_are_where_kubernetes_has_them() {
        let spec: Containers = serde_json::from_value(json!({"containers": [{
            "name": "web", "image": "web:1", "restartPolicy": "Always", "stdin": true,
            "ports": [{"containerPort": 80, "hostPort": 8080, "hostIP": "10.0.0.1", "protocol": "UDP"}],
        }]}))
        .unwrap();
        let container = &spec.containers[0];
        assert_eq!((container.name.as_str(), container.image.as_str()), ("web", "web:1"));
        assert!(container.is_sidecar());
        let port = &container.ports[0];
        assert_eq!((port.container_port, port.host_port), (80, 8080));
        assert_eq!((port.host_ip.as_str(), port.protocol.as_str()), ("10.0.0.1", "UDP"));
    }

    #[test]
    fn the_larger_of_start_and_run_counts() {
        let spec: Containers = serde_json::from_value(json!({
            "initContainers": [
                {"name": "proxy", "restartPolicy": "Always", "resources": {"requests": {"cpu": "500m"}}},
                {"name": "migrate", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}],
            "containers": [{"name": "web", "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}}}],
            "overhead": {"cpu": "10m"},
        }))
        .unwrap();
        assert_eq!(requests(&spec), list([("cpu", "1510m"), ("memory", "1Gi")]));
    }

    #[test]
    fn what_can_never_be_is_not_counted() {
        let spec: Containers = serde_json::from_value(
            json!({"containers": [{"name": "web", "resources": {"requests": {"cpu": "8"}}}]}),
        )
        .unwrap();
        let mut seen = json!({
            "containerStatuses": [
                {"name": "web", "allocatedResources": {"cpu": "1"}, "resources": {"requests": {"cpu": "1"}}}],
            "conditions": [{"type": "PodResizePending", "reason": "Deferred"}],
        });
        let running = |seen: &Value| running_requests(&spec, &Allocated::deserialize(seen).unwrap());
        assert_eq!(running(&seen), list([("cpu", "8")]));
        seen["conditions"][0]["reason"] = "Infeasible".into();
        assert_eq!(running(&seen), list([("cpu", "1")]));
    }
}
