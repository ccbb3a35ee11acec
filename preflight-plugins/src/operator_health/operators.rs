//! The operators that the environment requires.

use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;
use preflight_core::cluster::{ClusterError, Reader, Resource};
use preflight_core::{Context, Examination, Remediation, RuleCheck, Subject};
use serde_json::Value;

use super::settings::{Operator, Operators};
use super::{
    LEADER_LEASE, OF_OPERATORS, OPERATOR_CRASH_LOOP, OPERATOR_MISSING, OPERATOR_NOT_OBSERVED,
    OPERATOR_NOT_READY, pods,
};
use crate::labels;

/// How much longer than its duration a Lease may go without being renewed: clocks differ.
const LENIENCE: i64 = 5;

fn workload(plural: &'static str, kind: &'static str) -> Resource {
    Resource::namespaced("apps", "v1", plural, kind)
}

fn leases() -> Resource {
    Resource::namespaced("coordination.k8s.io", "v1", "leases", "Lease")
}

fn service_versions() -> Resource {
    Resource::namespaced(
        "operators.coreos.com",
        "v1alpha1",
        "clusterserviceversions",
        "ClusterServiceVersion",
    )
}

/// Kinds that are read.
pub(super) fn kinds() -> [Resource; 5] {
    let [deployments, stateful_sets, daemon_sets] = workloads();
    [deployments, stateful_sets, daemon_sets, leases(), service_versions()]
}

fn workloads() -> [Resource; 3] {
    [
        workload("deployments", "Deployment"),
        workload("statefulsets", "StatefulSet"),
        workload("daemonsets", "DaemonSet"),
    ]
}

struct Rules<'a> {
    check: &'a Examination,
    missing: RuleCheck<'a>,
    ready: RuleCheck<'a>,
    crash: RuleCheck<'a>,
    observed: RuleCheck<'a>,
    lease: RuleCheck<'a>,
}

/// What was found of an operator.
struct Found {
    workloads: Vec<(Resource, Arc<Value>)>,
    version: Option<Arc<Value>>,
    pods: Result<Vec<Value>, ClusterError>,
}

pub(super) async fn examine(check: &Examination, context: &Context, cluster: &Reader) {
    let settings = check.need(OF_OPERATORS, context.settings::<Operators>());
    let Some(settings) = settings else { return };
    let looking = settings
        .0
        .values()
        .map(|operator| async { futures::join!(find(cluster, operator), lease(cluster, operator)) });
    let found = join_all(looking).await;
    let mut rules = Rules {
        check,
        missing: check.rule(&OPERATOR_MISSING),
        ready: check.rule(&OPERATOR_NOT_READY),
        crash: check.rule(&OPERATOR_CRASH_LOOP),
        observed: check.rule(&OPERATOR_NOT_OBSERVED),
        lease: check.rule(&LEADER_LEASE),
    };
    for ((name, operator), (found, lease)) in settings.0.iter().zip(found) {
        let of_workloads =
            [&OPERATOR_MISSING, &OPERATOR_NOT_READY, &OPERATOR_CRASH_LOOP, &OPERATOR_NOT_OBSERVED];
        let is_there =
            check.need(&of_workloads, found).is_none_or(|found| rules.operator(name, operator, found));
        // Who leads what is not there is no question.
        if let Some((namespace, own)) = operator.leads_by().filter(|_| is_there)
            && let Some(lease) = check.need(&[&LEADER_LEASE], lease)
        {
            rules.leader(name, namespace, own, lease.as_deref());
        }
    }
    let what = "operators that the environment requires";
    for rule in [rules.missing, rules.ready, rules.crash, rules.observed] {
        rule.conclude(what);
    }
    rules.lease.conclude("leases of operators");
}

async fn find(cluster: &Reader, operator: &Operator) -> Result<Found, ClusterError> {
    let namespace = Some(operator.namespace.as_str());
    let [deployments, stateful_sets, daemon_sets] = workloads();
    let named = [
        (deployments, &operator.deployment),
        (stateful_sets, &operator.stateful_set),
        (daemon_sets, &operator.daemon_set),
    ];
    let mut found = Found { workloads: Vec::new(), version: None, pods: Ok(Vec::new()) };
    for (resource, name) in named {
        if let Some(name) = name
            && let Some(object) = cluster.get(&resource, namespace, name).await?
        {
            found.workloads.push((resource, object));
        }
    }
    if let Some(selector) = &operator.selector {
        let selecting = workloads().map(|resource| async move {
            let selected = cluster.select(&resource, namespace, selector).await;
            (resource, selected)
        });
        for (resource, selected) in join_all(selecting).await {
            found.workloads.extend(selected?.into_iter().map(|object| (resource.clone(), Arc::new(object))));
        }
    }
    if let Some(name) = &operator.cluster_service_version {
        found.version = cluster.get(&service_versions(), namespace, name).await?;
    }
    found.pods = pods_of(cluster, &found.workloads, namespace).await;
    Ok(found)
}

async fn pods_of(
    cluster: &Reader,
    workloads: &[(Resource, Arc<Value>)],
    namespace: Option<&str>,
) -> Result<Vec<Value>, ClusterError> {
    let selectors = workloads.iter().filter_map(|(_, object)| labels::query(&object["spec"]["selector"]));
    let selecting =
        selectors.map(|selector| async move { cluster.select(&pods(), namespace, &selector).await });
    let found: Result<Vec<_>, _> = join_all(selecting).await.into_iter().collect();
    Ok(found?.concat())
}

async fn lease(cluster: &Reader, operator: &Operator) -> Result<Option<Arc<Value>>, ClusterError> {
    match operator.leads_by() {
        Some((namespace, name)) => cluster.get(&leases(), Some(namespace), name).await,
        None => Ok(None),
    }
}

impl Rules<'_> {
    /// Tells whether the operator is there.
    fn operator(&mut self, name: &str, operator: &Operator, found: Found) -> bool {
        let namespace = &operator.namespace;
        self.missing.examined();
        if found.workloads.is_empty() && found.version.is_none() {
            self.missing.fail(
                Subject::new(format!("operator {name}")),
                format!("The operator {name} is not there: nothing in {namespace} is {}", told(operator)),
                Remediation::new("Install it, or correct its entry in the environment")
                    .command(format!("kubectl get deployments,statefulsets,daemonsets -n {namespace}")),
            );
            for rule in [&OPERATOR_NOT_READY, &OPERATOR_CRASH_LOOP, &OPERATOR_NOT_OBSERVED] {
                self.check.blocked(&[rule], &OPERATOR_MISSING, format!("the operator {name} is not there"));
            }
            return false;
        }
        if let Some(version) = &found.version {
            self.service_version(name, namespace, version);
        }
        for (resource, object) in &found.workloads {
            self.workload(name, namespace, resource, object);
        }
        // Which pods a ClusterServiceVersion has is not looked at.
        if !found.workloads.is_empty()
            && let Some(pods) = self.check.need(&[&OPERATOR_CRASH_LOOP], found.pods)
        {
            self.crashes(name, namespace, &pods);
        }
        true
    }

    fn service_version(&mut self, name: &str, namespace: &str, version: &Value) {
        self.ready.examined();
        let phase = version["status"]["phase"].as_str().unwrap_or("none");
        if phase != "Succeeded" {
            let own = version["metadata"]["name"].as_str().unwrap_or_default();
            let why = version["status"]["message"].as_str().unwrap_or_default();
            self.ready.fail_for_now(
                Subject::new(format!("ClusterServiceVersion {namespace}/{own}")),
                format!("The operator {name} is in the phase {phase}: {why}"),
                Remediation::new("Look at what its installation waits for")
                    .command(format!("kubectl describe csv {own} -n {namespace}")),
            );
        }
    }

    fn workload(&mut self, name: &str, namespace: &str, resource: &Resource, object: &Value) {
        let own = object["metadata"]["name"].as_str().unwrap_or_default();
        let subject = || Subject::new(format!("{} {namespace}/{own}", resource.kind));
        let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
        self.observed.examined();
        let kind = resource.kind.to_lowercase();
        if number("/status/observedGeneration") < number("/metadata/generation") {
            self.observed.fail_for_now(
                subject(),
                format!(
                    "{} {namespace}/{own} of the operator {name} was changed, and nobody has looked yet",
                    resource.kind
                ),
                Remediation::new("Wait until its rollout is through")
                    .command(format!("kubectl rollout status {kind} {own} -n {namespace}")),
            );
        }
        self.ready.examined();
        let (ready, wanted) = match &*resource.kind {
            "DaemonSet" => {
                (number("/status/numberReady"), number("/status/desiredNumberScheduled").unwrap_or(0))
            }
            _ => (number("/status/readyReplicas"), number("/spec/replicas").unwrap_or(1)),
        };
        let ready = ready.unwrap_or(0);
        let remedy = Remediation::new("Look at the events of its pods")
            .command(format!("kubectl describe {kind} {own} -n {namespace}"))
            .command(format!("kubectl get pods -n {namespace}"));
        if ready == 0 {
            let message = match wanted {
                0 => format!("The operator {name} is switched off: {own} is to have no pods"),
                _ => format!("The operator {name} is not ready: none of {wanted} pods of {own} is"),
            };
            self.ready.fail_for_now(subject(), message, remedy);
        } else if ready < wanted {
            let message = format!("The operator {name} has {ready} ready pods of {wanted} in {own}");
            self.ready.warn(subject(), message, remedy);
        }
    }

    fn crashes(&mut self, name: &str, namespace: &str, pods: &[Value]) {
        self.crash.examined();
        for pod in pods {
            let own = pod["metadata"]["name"].as_str().unwrap_or_default();
            let statuses = ["initContainerStatuses", "containerStatuses"];
            let containers =
                statuses.iter().flat_map(|list| pod["status"][list].as_array().into_iter().flatten());
            for container in containers {
                if container["state"]["waiting"]["reason"] != "CrashLoopBackOff" {
                    continue;
                }
                let restarts = container["restartCount"].as_i64().unwrap_or(0);
                let which = container["name"].as_str().unwrap_or_default();
                self.crash.fail_for_now(
                    Subject::new(format!("Pod {namespace}/{own}")),
                    format!("The operator {name} crashes: the container {which} of {own} was started {restarts} times again"),
                    Remediation::new("Read its last words")
                        .command(format!("kubectl logs {own} -c {which} -n {namespace} --previous")),
                );
            }
        }
    }

    fn leader(&mut self, name: &str, namespace: &str, lease: &str, found: Option<&Value>) {
        self.lease.examined();
        let subject = Subject::new(format!("Lease {namespace}/{lease}"));
        let remedy =
            Remediation::new("Wait until a replica takes over; if none does, read the operator's log")
                .command(format!("kubectl get lease {lease} -n {namespace} -o yaml"));
        let Some(found) = found else {
            return self.lease.fail(
                subject,
                format!("The operator {name} has no Lease {namespace}/{lease}"),
                remedy,
            );
        };
        let spec = &found["spec"];
        let holder = spec["holderIdentity"].as_str().unwrap_or_default();
        if holder.is_empty() {
            return self.lease.fail_for_now(subject, format!("Nobody leads the operator {name}"), remedy);
        }
        let renewed = spec["renewTime"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
        let Some(renewed) = renewed else {
            let why = format!("the Lease {namespace}/{lease} does not say when it was renewed");
            return self.check.unknown(&[&LEADER_LEASE], why, "read the operator's log");
        };
        let holds = spec["leaseDurationSeconds"].as_i64().unwrap_or(15);
        let since = Timestamp::now().duration_since(renewed).as_secs();
        if since > holds + LENIENCE {
            let message = format!(
                "Nobody leads the operator {name}: {holder} has not renewed its Lease for {since} s, and it holds for {holds} s"
            );
            self.lease.fail_for_now(subject, message, remedy);
        }
    }
}

fn told(operator: &Operator) -> String {
    let one = |what: &str, name: &Option<String>| name.as_ref().map(|name| format!("{what} {name}"));
    one("the Deployment", &operator.deployment)
        .or_else(|| one("the StatefulSet", &operator.stateful_set))
        .or_else(|| one("the DaemonSet", &operator.daemon_set))
        .or_else(|| one("labelled", &operator.selector))
        .or_else(|| one("the ClusterServiceVersion", &operator.cluster_service_version))
        .unwrap_or_default()
}
