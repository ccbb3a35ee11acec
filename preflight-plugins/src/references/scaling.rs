//! Whether HorizontalPodAutoscalers can do their work.

use std::collections::BTreeMap;

use futures::future::join_all;
use preflight_core::cluster::Lookup;
use preflight_core::release::Planned;
use preflight_core::{Examination, FieldPath, Remediation, RuleCheck, Subject, Undecided};
use serde_json::Value;

use super::find::{Finder, Found, Target};
use super::{SCALE_METRICS, SCALE_TARGET, SCALERS};

/// What is scaled: kind and name.
type Scaled = (String, String);

pub(super) async fn examine(check: &Examination, finder: &Finder<'_>) {
    let scalers: Vec<&Planned> = finder
        .release
        .of_kind("autoscaling", "HorizontalPodAutoscaler")
        .map(|(_, planned)| planned)
        .filter(|planned| planned.namespace.is_some())
        .collect();
    let mut targets = check.rule(&SCALE_TARGET);
    let mut metrics = check.rule(&SCALE_METRICS);
    let looking = scalers
        .iter()
        .map(|planned| async { (target_of(finder, planned).await, others(finder, planned).await) });
    for (planned, (target, others)) in scalers.iter().zip(join_all(looking).await) {
        let target = check.need(&[&SCALE_TARGET, &SCALE_METRICS], target);
        if let (Some(found), Some(others)) = (&target, check.need(&[&SCALE_TARGET], others)) {
            targets.examined();
            judge_target(&mut targets, planned, found, &others);
        }
        metrics.examined();
        judge_metrics(&mut metrics, finder, planned, target.as_ref());
    }
    targets.conclude("HorizontalPodAutoscalers");
    metrics.conclude("HorizontalPodAutoscalers");
}

fn scaled(object: &Value) -> Option<Scaled> {
    let named = &object["spec"]["scaleTargetRef"];
    Some((named["kind"].as_str()?.to_owned(), named["name"].as_str()?.to_owned()))
}

async fn target_of(finder: &Finder<'_>, planned: &Planned) -> Result<Found, Undecided> {
    let named = &planned.effective["spec"]["scaleTargetRef"];
    let text = |key: &str| named[key].as_str().unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    let target = Target {
        group: group.to_owned().into(),
        kind: text("kind").to_owned().into(),
        namespace: planned.namespace.clone(),
        name: text("name").to_owned(),
    };
    finder.find(&target).await
}

/// Other autoscalers of the same target, in the cluster and in the release.
async fn others(finder: &Finder<'_>, planned: &Planned) -> Result<Vec<String>, Undecided> {
    let namespace = planned.namespace.as_deref();
    let mut all: BTreeMap<String, Option<Scaled>> = BTreeMap::new();
    for live in finder.cluster.select(&SCALERS, namespace, "").await? {
        let name = live["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        all.insert(name, scaled(&live));
    }
    for gone in &finder.release.pruning()?.deletions {
        if gone.resource.kind == SCALERS.kind && gone.namespace.as_deref() == namespace {
            all.remove(&gone.name);
        }
    }
    for (_, other) in finder.release.of_kind("autoscaling", "HorizontalPodAutoscaler") {
        if let Some(name) = other.object.name().filter(|_| other.namespace.as_deref() == namespace) {
            all.insert(name.to_owned(), scaled(&other.effective));
        }
    }
    let own = scaled(&planned.effective);
    let same = all.into_iter().filter(|(name, target)| planned.object.name() != Some(name) && *target == own);
    Ok(same.map(|(name, _)| name).collect())
}

fn judge_target(rule: &mut RuleCheck<'_>, planned: &Planned, found: &Found, others: &[String]) {
    let id = planned.object.id();
    let (kind, name) = scaled(&planned.effective).unwrap_or_default();
    let namespace = planned.namespace.as_deref().unwrap_or_default();
    let subject = || Subject::at(&planned.object, &FieldPath::of("spec.scaleTargetRef.name"));
    if let Some(lack) = found.lack() {
        let message = format!("{id} scales nothing: it names the {kind} {namespace}/{name}, {lack}");
        let remedy = Remediation::new("Name what is to be scaled")
            .command(format!("kubectl get {} -n {namespace}", kind.to_lowercase()));
        rule.warn(subject(), message, remedy);
    }
    if let Some(other) = others.first() {
        let message = format!(
            "{id} and HorizontalPodAutoscaler {other} both scale the {kind} {namespace}/{name}, so that neither does"
        );
        let remedy = Remediation::new("Keep one of them")
            .command(format!("kubectl delete horizontalpodautoscaler {other} -n {namespace}"));
        rule.warn(subject(), message, remedy);
    }
}

fn judge_metrics(rule: &mut RuleCheck<'_>, finder: &Finder<'_>, planned: &Planned, target: Option<&Found>) {
    let id = planned.object.id();
    for metric in metrics_of(&planned.effective) {
        let subject = || Subject::at(&planned.object, &FieldPath::of(metric.path));
        if let Some(why) = unserved(finder, metric.group) {
            let message = format!("{id} does not scale by {}: the API {} {why}", metric.what, metric.group);
            let remedy = Remediation::new("Install what serves these metrics, or see why it does not answer")
                .command(format!("kubectl get apiservices | grep {}", metric.group));
            rule.warn(subject(), message, remedy);
        }
        let Some(Found::There(target) | Found::Coming(_, target)) = target.filter(|_| metric.is_share) else {
            continue;
        };
        if let Some(container) = asks_nothing(&target["spec"]["template"]["spec"], &metric) {
            let message = format!(
                "{id} goes by the share of {} that is used of what is requested, and the container {container} requests \
                 none, unless a LimitRange has it do so",
                metric.what
            );
            let remedy =
                Remediation::new(format!("Request {} in that container", metric.what)).command(format!(
                    "kubectl describe limitranges -n {}",
                    planned.namespace.as_deref().unwrap_or_default()
                ));
            rule.warn(subject(), message, remedy);
        }
    }
}

/// A metric that an autoscaler goes by.
#[derive(Debug, PartialEq, Eq)]
struct Metric {
    /// `cpu`, or the name of another one.
    what: String,
    /// The API group that serves it.
    group: &'static str,
    /// Whether it is a share of what is requested.
    is_share: bool,
    /// The container that it is of; of all if none is named.
    container: Option<String>,
    path: &'static str,
}

/// The metrics that it goes by; the share of CPU if it names none (`pkg/apis/autoscaling/v2/defaults.go`, v1.36).
fn metrics_of(object: &Value) -> Vec<Metric> {
    let spec = &object["spec"];
    let default = |path| Metric {
        what: "cpu".to_owned(),
        group: "metrics.k8s.io",
        is_share: true,
        container: None,
        path,
    };
    let Some(metrics) = spec["metrics"].as_array().filter(|metrics| !metrics.is_empty()) else {
        let key = "targetCPUUtilizationPercentage";
        return vec![default(if spec[key].is_null() {
            "spec"
        } else {
            "spec.targetCPUUtilizationPercentage"
        })];
    };
    let one = |metric: &Value| {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (key, group) = match metric["type"].as_str()? {
            "Resource" => ("resource", "metrics.k8s.io"),
            "ContainerResource" => ("containerResource", "metrics.k8s.io"),
            "Pods" => ("pods", "custom.metrics.k8s.io"),
            "Object" => ("object", "custom.metrics.k8s.io"),
            "External" => ("external", "external.metrics.k8s.io"),
            _ => return None,
        };
        let source = &metric[key];
        let what = text(&source["name"]).or_else(|| text(&source["metric"]["name"])).unwrap_or_default();
        let is_share = !source["target"]["averageUtilization"].is_null();
        Some(Metric { what, group, is_share, container: text(&source["container"]), path: "spec.metrics" })
    };
    metrics.iter().filter_map(one).collect()
}

/// Why an API group of metrics does not help.
fn unserved(finder: &Finder<'_>, group: &str) -> Option<&'static str> {
    let silent = finder.discovery.unavailable().iter().any(|name| name.starts_with(&format!("{group}/")));
    if silent {
        return Some("does not answer");
    }
    // Metrics are registered as they come, so the kinds say nothing.
    let served = finder.discovery.served().any(|served| served.resource.group == group)
        || !matches!(finder.discovery.lookup(group, "v1beta1", ""), Lookup::NotServed { .. });
    (!served).then_some("is not served")
}

/// A container that requests nothing of a resource. What is limited is requested.
fn asks_nothing(spec: &Value, metric: &Metric) -> Option<String> {
    let containers = spec["containers"].as_array().into_iter().flatten();
    let mut of = containers
        .filter(|container| metric.container.as_deref().is_none_or(|name| container["name"] == name));
    let none = of.find(|container| {
        let resources = &container["resources"];
        ["requests", "limits"].iter().all(|list| resources[*list][&metric.what].is_null())
    });
    let of_pod = ["requests", "limits"].iter().any(|list| !spec["resources"][*list][&metric.what].is_null());
    none.filter(|_| !of_pod).map(|container| container["name"].as_str().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metrics_are_those_that_are_named_or_cpu() {
        let told = |spec: Value| {
            let metrics = metrics_of(&json!({"spec": spec}));
            metrics
                .into_iter()
                .map(|one| format!("{} {} {}", one.what, one.group, one.is_share))
                .collect::<Vec<_>>()
        };
        assert_eq!(told(json!({})), ["cpu metrics.k8s.io true"]);
        assert_eq!(
            told(json!({"metrics": [
                {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
                {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "app", "target": {"averageUtilization": 5}}},
                {"type": "External", "external": {"metric": {"name": "depth"}, "target": {}}}]})),
            ["memory metrics.k8s.io false", "cpu metrics.k8s.io true", "depth external.metrics.k8s.io false"]
        );
    }

    #[test]
    fn who_requests_nothing_is_found() {
        let metric = |container: Option<&str>| Metric {
            what: "cpu".to_owned(),
            group: "metrics.k8s.io",
            is_share: true,
            container: container.map(str::to_owned),
            path: "spec",
        };
        let spec = json!({"containers": [
            {"name": "app", "resources": {"limits": {"cpu": "1"}}}, {"name": "side", "resources": {"requests": {"memory": "1Mi"}}}]});
        assert_eq!(asks_nothing(&spec, &metric(None)).as_deref(), Some("side"));
        assert_eq!(asks_nothing(&spec, &metric(Some("app"))), None);
    }
}
