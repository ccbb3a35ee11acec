//! LimitRanges: what they give to pods, and what they refuse (`plugin/pkg/admission/limitranger/admission.go` and
//! `pkg/apis/core/v1/defaults.go`, v1.36).

use std::collections::BTreeSet;

use preflight_core::{Quantity, view};
use serde::Deserialize;

use super::requests::{self, Containers, Requirements, ResourceList};

/// A LimitRange.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct LimitRange {
    spec: Spec,
}

view!(LimitRange: namespaced "" "v1" "limitranges" "LimitRange");

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Spec {
    limits: Vec<Item>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Item {
    #[serde(rename = "type")]
    kind: String,
    min: ResourceList,
    max: ResourceList,
    default: ResourceList,
    default_request: ResourceList,
    max_limit_request_ratio: ResourceList,
}

impl Item {
    /// What is not said follows from what is said (`SetDefaults_LimitRangeItem`).
    fn completed(&self) -> Self {
        let mut item = self.clone();
        if item.kind == "Container" {
            let fill = |into: &mut ResourceList, from: &ResourceList| {
                for (name, amount) in from {
                    into.entry(name.clone()).or_insert(*amount);
                }
            };
            fill(&mut item.default, &self.max);
            let limits = item.default.clone();
            fill(&mut item.default_request, &limits);
            fill(&mut item.default_request, &self.min);
        }
        item
    }
}

impl LimitRange {
    /// Gives containers that say nothing what it has for them.
    pub fn give(&self, containers: &mut Containers) {
        for item in self.spec.limits.iter().filter(|item| item.kind == "Container") {
            let item = item.completed();
            for container in containers.containers.iter_mut().chain(&mut containers.init_containers) {
                let Requirements { requests, limits, .. } = &mut container.resources;
                for (into, from) in [(limits, &item.default), (requests, &item.default_request)] {
                    for (name, amount) in from {
                        into.entry(name.clone()).or_insert(*amount);
                    }
                }
            }
        }
    }

    /// Why it refuses a pod; empty if it does not.
    #[must_use]
    pub fn refuses(&self, containers: &Containers) -> Vec<String> {
        let mut why = Vec::new();
        for item in &self.spec.limits {
            match item.kind.as_str() {
                "Container" => {
                    for container in containers.containers.iter().chain(&containers.init_containers) {
                        let Requirements { requests, limits, .. } = &container.resources;
                        let whose = format!("container {:?}", container.name);
                        why.extend(item.refuses(&whose, requests, limits));
                    }
                }
                "Pod" => {
                    let mut own = containers.clone();
                    own.overhead.clear();
                    why.extend(item.refuses("the pod", &requests::requests(&own), &requests::limits(&own)));
                }
                _ => {}
            }
        }
        why
    }

    /// Why it refuses a claim of that size; empty if it does not.
    #[must_use]
    pub fn refuses_claim(&self, size: Quantity) -> Vec<String> {
        let of_claims = self.spec.limits.iter().filter(|item| item.kind == "PersistentVolumeClaim");
        let mut why = Vec::new();
        for item in of_claims {
            match (item.min.get("storage"), item.max.get("storage")) {
                (Some(min), _) if size < *min => {
                    why.push(format!("a claim must request {min} at least, and it requests {size}"));
                }
                (_, Some(max)) if size > *max => {
                    why.push(format!("a claim may request {max} at most, and it requests {size}"));
                }
                _ => {}
            }
        }
        why
    }
}

impl Item {
    fn refuses(&self, whose: &str, requests: &ResourceList, limits: &ResourceList) -> Vec<String> {
        let mut why = Vec::new();
        for (name, min) in &self.min {
            match (requests.get(name), limits.get(name)) {
                (None, _) => {
                    why.push(format!("{whose} must request {min} {name} at least, and requests none"))
                }
                (Some(request), _) if request < min => {
                    why.push(format!("{whose} must request {min} {name} at least, and requests {request}"));
                }
                (_, Some(limit)) if limit < min => {
                    why.push(format!("{whose} must have a limit of {min} {name} at least, and has {limit}"));
                }
                _ => {}
            }
        }
        for (name, max) in &self.max {
            match (requests.get(name), limits.get(name)) {
                (_, None) => {
                    why.push(format!("{whose} must have a limit of {max} {name} at most, and has none"))
                }
                (_, Some(limit)) if limit > max => {
                    why.push(format!("{whose} may have a limit of {max} {name} at most, and has {limit}"));
                }
                (Some(request), _) if request > max => {
                    why.push(format!("{whose} may request {max} {name} at most, and requests {request}"));
                }
                _ => {}
            }
        }
        for (name, ratio) in &self.max_limit_request_ratio {
            let (request, limit) = (
                requests.get(name).copied().unwrap_or_default(),
                limits.get(name).copied().unwrap_or_default(),
            );
            if request.is_zero() || limit.is_zero() {
                why.push(format!("{whose} must have a request and a limit for {name}"));
            } else if exceeds(limit, request, *ratio) {
                why.push(format!(
                    "{whose} may have {ratio} times its request of {request} {name} as limit, and has {limit}"
                ));
            }
        }
        why
    }
}

/// Whether the limit is more than `ratio` times the request, in thousandths.
fn exceeds(limit: Quantity, request: Quantity, ratio: Quantity) -> bool {
    i128::from(limit.milli_value()) * 1000
        > i128::from(request.milli_value()) * i128::from(ratio.milli_value())
}

/// Requests that are not said are the limits (`SetDefaults_Pod`); nothing is finer than a thousandth
/// (`SetDefaults_ResourceList`).
pub fn requests_from_limits(containers: &mut Containers) {
    let all = containers.containers.iter_mut().chain(&mut containers.init_containers);
    let resources = all.map(|container| &mut container.resources).chain(&mut containers.resources);
    for Requirements { requests, limits, .. } in resources {
        for amount in requests.values_mut().chain(limits.values_mut()) {
            *amount = Quantity::from_milli(amount.milli_value());
        }
    }
    for container in containers.containers.iter_mut().chain(&mut containers.init_containers) {
        let Requirements { requests, limits, .. } = &mut container.resources;
        for (name, amount) in limits {
            requests.entry(name.clone()).or_insert(*amount);
        }
    }
}

/// What the pod as a whole requests follows from its limits and from what its containers request, where it has limits of
/// its own (`defaultPodRequests`).
pub fn pod_requests_from_limits(containers: &mut Containers) {
    let sum = sum_of_containers(containers);
    let Some(Requirements { requests, limits, .. }) = &mut containers.resources else { return };
    if limits.is_empty() {
        return;
    }
    for (name, amount) in sum.iter().filter(|(name, _)| matches!(name.as_str(), "cpu" | "memory")) {
        requests.entry(name.clone()).or_insert(*amount);
    }
    let pod_level = |name: &str| matches!(name, "cpu" | "memory") || name.starts_with("hugepages-");
    for (name, amount) in limits.iter().filter(|(name, _)| pod_level(name)) {
        requests.entry(name.clone()).or_insert(*amount);
    }
}

fn sum_of_containers(containers: &Containers) -> ResourceList {
    let mut own = containers.clone();
    own.overhead.clear();
    own.resources = None;
    requests::requests(&own)
}

/// Containers that have more than the pod as a whole, which no pod may have (`validatePodResourceConsistency`,
/// `pkg/apis/core/validation/validation.go`, v1.36).
#[must_use]
pub fn above_pod(containers: &Containers) -> Vec<String> {
    let Some(pod) = &containers.resources else { return Vec::new() };
    let mut why = Vec::new();
    for (name, sum) in sum_of_containers(containers) {
        if let Some(own) = pod.requests.get(&name).filter(|own| sum > **own) {
            why.push(format!(
                "its containers request {sum} {name}, more than the {own} of the pod as a whole"
            ));
        }
    }
    for container in &containers.containers {
        for (name, limit) in &container.resources.limits {
            if let Some(own) = pod.limits.get(name).filter(|own| limit > *own) {
                let container = &container.name;
                why.push(format!("container {container:?} has a limit of {limit} {name}, more than the {own} of the pod as a whole"));
            }
        }
    }
    for (name, request) in &pod.requests {
        if let Some(limit) = pod.limits.get(name).filter(|limit| request > *limit) {
            why.push(format!("the pod as a whole requests {request} {name}, more than its limit of {limit}"));
        }
    }
    why
}

/// Requests above their limits, which no pod may have.
#[must_use]
pub fn above_limits(containers: &Containers) -> Vec<String> {
    let mut why = BTreeSet::new();
    for container in containers.containers.iter().chain(&containers.init_containers) {
        for (name, request) in &container.resources.requests {
            if let Some(limit) = container.resources.limits.get(name).filter(|limit| request > *limit) {
                why.insert(format!(
                    "container {:?} requests {request} {name}, more than its limit of {limit}",
                    container.name
                ));
            }
        }
    }
    why.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn range(limits: Value) -> LimitRange {
        serde_json::from_value(json!({"spec": {"limits": [limits]}})).unwrap()
    }

    fn asking(resources: Value) -> Containers {
        serde_json::from_value(json!({"containers": [{"name": "c", "resources": resources}]})).unwrap()
    }

    #[test]
    fn defaults_follow_from_one_another() {
        let range = range(
            json!({"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "64Mi"}, "defaultRequest": {"cpu": "100m"}}),
        );
        let mut containers = asking(json!({}));
        range.give(&mut containers);
        let Requirements { requests, limits, .. } = &containers.containers[0].resources;
        let told = |list: &ResourceList| {
            list.iter().map(|(name, amount)| format!("{name}={amount}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!((told(requests), told(limits)), ("cpu=100m memory=64Mi".to_owned(), "cpu=2".to_owned()));
    }

    #[test]
    fn bounds_are_kept() {
        let container = |mut limits: Value| {
            limits["type"] = json!("Container");
            range(limits)
        };
        let one = json!({"requests": {"cpu": "1"}, "limits": {"cpu": "1"}});
        let cases = [
            (container(json!({"max": {"cpu": "1"}})), one.clone(), ""),
            (
                container(json!({"max": {"cpu": "900m"}})),
                one.clone(),
                "may have a limit of 900m cpu at most, and has 1",
            ),
            (
                container(json!({"max": {"cpu": "1"}})),
                json!({"requests": {"cpu": "1"}}),
                "must have a limit of 1 cpu at most, and has none",
            ),
            (container(json!({"min": {"cpu": "1"}})), one.clone(), ""),
            (
                container(json!({"min": {"cpu": "2"}})),
                one.clone(),
                "must request 2 cpu at least, and requests 1",
            ),
            (
                container(json!({"min": {"memory": "1Gi"}})),
                one.clone(),
                "must request 1Gi memory at least, and requests none",
            ),
            (
                container(json!({"maxLimitRequestRatio": {"cpu": "2"}})),
                json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}),
                "",
            ),
            (
                container(json!({"maxLimitRequestRatio": {"cpu": "2"}})),
                json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2001m"}}),
                "may have 2 times its request of 1 cpu as limit, and has 2001m",
            ),
            (
                range(json!({"type": "Pod", "max": {"cpu": "500m"}})),
                one,
                "the pod may have a limit of 500m cpu at most, and has 1",
            ),
        ];
        for (range, resources, why) in cases {
            let told = range.refuses(&asking(resources.clone())).join("; ");
            assert!(
                told.ends_with(why) && told.is_empty() == why.is_empty(),
                "{range:?} {resources}: {told:?}"
            );
        }
    }

    #[test]
    fn claims_are_bounded_too() {
        let range = range(
            json!({"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "5Gi"}}),
        );
        let refused = |size: &str| !range.refuses_claim(Quantity::parse(size).unwrap()).is_empty();
        assert_eq!(["512Mi", "1Gi", "5Gi", "6Gi"].map(refused), [true, false, false, true]);
    }

    #[test]
    fn requests_above_limits_are_told() {
        let mut containers =
            asking(json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1", "memory": "1Gi"}}));
        requests_from_limits(&mut containers);
        assert_eq!(containers.containers[0].resources.requests["memory"], Quantity::parse("1Gi").unwrap());
        assert_eq!(above_limits(&containers), ["container \"c\" requests 2 cpu, more than its limit of 1"]);
    }

    #[test]
    fn containers_have_no_more_than_their_pod() {
        let whole = |resources: Value, container: Value| -> Containers {
            let spec = json!({"resources": resources, "containers": [{"name": "c", "resources": container}]});
            let mut containers = serde_json::from_value(spec).unwrap();
            requests_from_limits(&mut containers);
            pod_requests_from_limits(&mut containers);
            containers
        };
        let fine = whole(json!({"limits": {"cpu": "2"}}), json!({"requests": {"cpu": "1"}}));
        assert_eq!(above_pod(&fine), [""; 0]);
        assert_eq!(fine.resources.unwrap().requests["cpu"], Quantity::from_value(1));
        let more = whole(json!({"requests": {"memory": "32Mi"}}), json!({"requests": {"memory": "64Mi"}}));
        assert_eq!(
            above_pod(&more),
            ["its containers request 64Mi memory, more than the 32Mi of the pod as a whole"]
        );
        let higher =
            whole(json!({"limits": {"cpu": "1"}}), json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}));
        assert_eq!(
            above_pod(&higher),
            ["container \"c\" has a limit of 2 cpu, more than the 1 of the pod as a whole"]
        );
    }
}
