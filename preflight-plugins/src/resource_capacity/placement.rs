//! Whether the pods of the release are let in, and find nodes.

use std::sync::Arc;

use preflight_core::cluster::{Listed, Reader};
use preflight_core::manifests::ObjectId;
use preflight_core::release::{Live, Projected, Release};
use preflight_core::{Context, Examination, FieldPath, Remediation, RuleCheck, Subject, Undecided};

use super::decide::{Bar, Decided, Inputs, Obstacle, Placement, amount_of, decide};
use super::open::{ALL, Open};
use super::reading::Read;
use super::remedies::{field, remedy};
use super::settings::{Capacity, ResourceThresholds};
use super::volumes::Storage;
use super::workloads::{Kind, Scalers, Unclear, Wanted, wanted};
use super::{
    AUTOSCALING_MAXIMUM, CLASS_MISSING, LIMIT_RANGE, PREEMPTION, QUOTA_EXCEEDED, REQUESTED_OVER_THRESHOLD,
    UNSCHEDULABLE, autoscalers, config_maps, objects, volumes,
};
use crate::admitted::AdmittedPods;
use crate::capacity::admit::{Refusal, Rules};
use crate::capacity::quota::Quota;
use crate::capacity::scene::Hitch;
use crate::capacity::view::Pod;
use crate::labels::Labels;
use crate::storage::NewClaim;
use crate::told::some;

/// Names of pods that are told.
const TOLD: usize = 5;
/// What fields of the first container begin with.
const CONTAINER: &str = "containers[0].";

/// What others want to know of the release's pods.
#[derive(Default)]
pub(super) struct Placed {
    /// Namespace, labels and number of the pods of each workload.
    pub(super) workloads: Vec<(String, Labels, usize)>,
}

pub(super) async fn examine(
    check: &Examination,
    context: &Context,
    cluster: &Reader,
    release: &Arc<Release>,
    projected: &Projected,
    read: &Read,
) -> Placed {
    let mut placed = Placed::default();
    let (Some(capacity), Some(thresholds)) = (
        check.need(ALL, context.settings::<Capacity>()),
        check.need(ALL, context.settings::<ResourceThresholds>()),
    ) else {
        return placed;
    };
    let scalers = autoscalers::read(projected).await;
    let open = Open::of(release, read, &scalers, &thresholds);
    open.conclude_others(check);
    let Some(rules) = open.admission_rules(check, read, release) else { return placed };
    let pods = check.need(open.rules(), read.pods.clone());
    let here = pods.clone().or_else(|| read.pods_here.clone().ok());
    let scalers = check.need(open.rules(), scalers);
    let none = Arc::default();
    let no_scalers = Scalers::default();
    let mut all = Vec::new();
    let mut unclear: Vec<Unclear> = Vec::new();
    // What a sidecar requests, or a toleration lets in, counts as it will be.
    let admitted = context.provided::<AdmittedPods>().await;
    for (position, planned) in release.objects().iter().enumerate() {
        match wanted(
            planned,
            release.method(),
            &rules,
            here.as_ref().unwrap_or(&none),
            scalers.as_ref().unwrap_or(&no_scalers),
            admitted.as_ref().map_or(Ok(None), |admitted| admitted.of(position)),
        ) {
            Ok(Some(mut wanted)) => {
                too_early(&mut wanted, release);
                all.push(wanted);
            }
            Ok(None) => {}
            Err(why) => unclear.push(why),
        }
    }
    for wanted in &all {
        let replicas = wanted.kind.replicas().unwrap_or(1);
        placed.workloads.push((wanted.namespace.clone(), wanted.pods.labels.clone(), replicas));
    }
    let claims = objects::new_claims_of(cluster, projected, release).await;
    let claims = check.need(&[&LIMIT_RANGE, &QUOTA_EXCEEDED], claims).unwrap_or_default();
    admission(check, &all, &claims, &rules);
    let (mut schedulable, mut others) = (Vec::new(), Vec::new());
    for wanted in all {
        match by_others(&wanted) {
            Some(why) => others.push(why),
            None => schedulable.push(wanted),
        }
    }
    for Unclear { why, advice } in unclear.into_iter().chain(others) {
        check.unknown(open.rules(), why, advice);
    }
    let mut quota_rule = check.rule(&QUOTA_EXCEEDED);
    let mut quotas = Vec::new();
    // What a new quota counts is counted now.
    let counts = open.has(&QUOTA_EXCEEDED) || release.of_kind("", "ResourceQuota").next().is_some();
    let seen = match here {
        None if counts => check.need(&[&QUOTA_EXCEEDED], read.pods_here.clone()),
        here => Some(here.unwrap_or_default()),
    };
    if let (Some(live), Some(here)) = (check.need(&[&QUOTA_EXCEEDED], read.quotas.clone()), seen) {
        let (known, uncounted) = objects::quotas(cluster, &live, release, &here).await;
        quotas = objects::examine(&mut quota_rule, release, &live, known, &claims);
        for why in uncounted {
            quota_rule.unknown(why, "see `kubectl describe resourcequota`");
        }
    }
    let counted = quotas.len();
    let decided = match (pods, scalers) {
        (Some(pods), Some(_)) if open.classes_known => {
            place(
                check,
                cluster,
                release,
                projected,
                read,
                &open,
                Parts { pods, quotas, wanted: schedulable, capacity },
            )
            .await
        }
        _ => None,
    };
    match decided {
        Some(decided) => {
            tell(check, quota_rule, &decided, counted);
            thresholds_of(check, &thresholds, &decided);
        }
        // Whether quotas let pods in depends on where they go; the other objects have been counted.
        None if !open.has(&QUOTA_EXCEEDED) => {
            quota_rule.examined_many(counted);
            quota_rule.conclude("ResourceQuotas");
        }
        None => {}
    }
    placed
}

/// What is known before pods are placed.
struct Parts {
    pods: Arc<Listed<Pod>>,
    quotas: Vec<Quota>,
    wanted: Vec<Wanted>,
    capacity: Arc<Capacity>,
}

/// Plays the release through; nothing if what that needs is not known, which is told.
async fn place(
    check: &Examination,
    cluster: &Reader,
    release: &Arc<Release>,
    projected: &Projected,
    read: &Read,
    open: &Open,
    parts: Parts,
) -> Option<Decided> {
    let Parts { pods, quotas, wanted, capacity } = parts;
    let nodes = check.need(open.rules(), read.nodes.clone())?;
    let namespaces = match &read.namespaces {
        Ok(namespaces) => namespaces.clone(),
        Err(error) if looks_at_namespaces(&pods, &wanted) => check.need(open.rules(), Err(error.clone()))?,
        Err(_) => Default::default(),
    };
    let storage = if volumes::is_wanted(&wanted) {
        check.need(open.rules(), volumes::read(cluster, projected, release).await)?
    } else {
        Storage::default()
    };
    let pruning = check.need(open.rules(), release.pruning())?;
    let going = pruning.deletions.iter().map(|gone| {
        let namespace = gone.namespace.clone().unwrap_or_default();
        (gone.resource.kind.to_string(), namespace, gone.name.clone())
    });
    let going = going.collect();
    let inputs = Inputs { nodes, pods, namespaces, quotas, wanted, capacity, storage, going };
    let decided = tokio::task::spawn_blocking(move || decide(inputs)).await;
    let decided =
        decided.map_err(|_| Undecided::unknown("playing the release through came to an unexpected end"));
    let mut decided = check.need(open.rules(), decided)?;
    if decided.is_short_of_nodes() && has_autoscaler(cluster).await {
        let why = "not every pod fits onto the nodes that there are, and a cluster autoscaler runs that may add some";
        let advice = "say in the environment how far it goes: `capacity.elastic`";
        decided.placement = Placement::Unknown(Bar::Nodes, Unclear { why: why.to_owned(), advice });
    }
    Some(decided)
}

/// Whether a cluster autoscaler keeps its status (`kube-system/cluster-autoscaler-status`, its default since 1.0). Who may
/// not look at it does not know of one.
async fn has_autoscaler(cluster: &Reader) -> bool {
    let status = cluster.get(&config_maps(), Some("kube-system"), "cluster-autoscaler-status").await;
    status.is_ok_and(|status| status.is_some())
}

/// Nobody applies a pod of its own again, so the classes that it names must be there when it is applied.
fn too_early(wanted: &mut Wanted, release: &Release) {
    if wanted.kind != Kind::Pod {
        return;
    }
    let place = |id: &ObjectId| release.objects().iter().position(|planned| planned.object.id() == id);
    let own = place(wanted.object.id());
    let comes_later = |group: &str, kind: &str, name: &str| {
        let mut classes = release.of_kind(group, kind);
        classes.any(|(at, class)| {
            class.object.name() == Some(name) && matches!(class.live, Live::Absent) && Some(at) > own
        })
    };
    let (priority, runtime) = (&wanted.pods.spec.priority_class_name, &wanted.pods.spec.runtime_class_name);
    let mut refusals = Vec::new();
    if comes_later("scheduling.k8s.io", "PriorityClass", priority) {
        refusals.push(Refusal::NoPriorityClass(priority.clone()));
    }
    if comes_later("node.k8s.io", "RuntimeClass", runtime) {
        refusals.push(Refusal::NoRuntimeClass(runtime.clone()));
    }
    wanted.pods.refusals.extend(refusals);
}

/// What the API server refuses of each pod and claim.
fn admission(check: &Examination, all: &[Wanted], claims: &[NewClaim<'_>], rules: &Rules) {
    let mut limits = check.rule(&LIMIT_RANGE);
    let mut classes = check.rule(&CLASS_MISSING);
    for wanted in all {
        limits.examined();
        classes.examined();
        for refusal in wanted.refusals() {
            let message = format!("no pod of {} can be made: {refusal}", wanted.object.id());
            let namespace = &wanted.namespace;
            let (rule, field, remedy) = match refusal {
                Refusal::Limit(..) | Refusal::AboveLimit(_) => {
                    let remedy =
                        Remediation::new("Bring requests and limits within what the namespace allows")
                            .command(format!("kubectl describe limitrange -n {namespace}"));
                    (&mut limits, "containers[0].resources", remedy)
                }
                Refusal::NoPriorityClass(_) => {
                    let remedy = Remediation::new("Create it before, or name one that exists")
                        .command("kubectl get priorityclasses");
                    (&mut classes, "priorityClassName", remedy)
                }
                Refusal::NoRuntimeClass(_) | Refusal::Contradiction(_) => {
                    let remedy = Remediation::new("Create it before, or name one that exists")
                        .command("kubectl get runtimeclasses -o yaml");
                    (&mut classes, "runtimeClassName", remedy)
                }
            };
            wanted.makes.predict(rule, subject(wanted, field), &message, "one is made", remedy);
        }
    }
    for claim in claims {
        limits.examined();
        let (namespace, name) = (&claim.of.namespace, &claim.of.name);
        for (range, limit) in rules.limits.get(namespace).into_iter().flatten() {
            for why in limit.refuses_claim(claim.size().unwrap_or_default()) {
                let message = format!(
                    "the claim {namespace}/{name} cannot be made: the LimitRange {range} refuses it: {why}"
                );
                let remedy = Remediation::new("Ask for a size that the namespace allows")
                    .command(format!("kubectl describe limitrange {range} -n {namespace}"));
                limits.predict(Subject::at(&claim.of.planned.object, &claim.of.path), message, remedy);
            }
        }
    }
    limits.conclude("workloads and claims");
    classes.conclude("workloads");
}

/// A field of a workload's pods, or of their first container.
fn subject(wanted: &Wanted, field: &str) -> Subject {
    let path = wanted.object.pod_template().map(|template| match field.strip_prefix(CONTAINER) {
        Some(field) => template.spec_path("containers").index(0).key(field),
        None => template.spec_path(field),
    });
    Subject::at(&wanted.object, &path.unwrap_or_else(|| FieldPath::of("spec")))
}

/// Whoever else decides where the pods go.
fn by_others(wanted: &Wanted) -> Option<Unclear> {
    let (id, spec) = (wanted.object.id(), &wanted.pods.spec);
    let unclear = |why: String, advice| Some(Unclear { why, advice });
    if !matches!(spec.scheduler_name.as_str(), "" | "default-scheduler") {
        return unclear(
            format!("the pods of {id} are scheduled by {}, whose ways are not known", spec.scheduler_name),
            "ask that scheduler",
        );
    }
    if let Some(gate) = spec.scheduling_gates.first() {
        return unclear(
            format!("the pods of {id} wait until something takes the scheduling gate {} away", gate.name),
            "see that whatever takes it away is well",
        );
    }
    if !spec.resource_claims.is_empty() {
        return unclear(
            format!("the pods of {id} claim devices (dynamic resource allocation), which is not looked at"),
            "look at the ResourceSlices of the driver",
        );
    }
    None
}

fn looks_at_namespaces(pods: &Listed<Pod>, wanted: &[Wanted]) -> bool {
    let specs = pods.iter().map(|(_, _, pod)| &pod.spec).chain(wanted.iter().map(|wanted| &wanted.pods.spec));
    let terms = specs.flat_map(|spec| {
        spec.affinity.pod_affinity.required.iter().chain(&spec.affinity.pod_anti_affinity.required)
    });
    terms.into_iter().any(|term| term.namespace_selector.is_some())
}

/// How a quota is looked at.
pub(super) fn describe_quota(namespace: &str, name: &str) -> Remediation {
    more_of(format!("kubectl describe resourcequota {name} -n {namespace}"))
}

fn more_of(command: String) -> Remediation {
    Remediation::new("Raise the quota, ask for less, or take something away").command(command)
}

fn tell(check: &Examination, mut quota: RuleCheck<'_>, decided: &Decided, quotas: usize) {
    let mut unschedulable = check.rule(&UNSCHEDULABLE);
    let mut preemption = check.rule(&PREEMPTION);
    let mut maximum = check.rule(&AUTOSCALING_MAXIMUM);
    let (nodes, pods) = decided.looked_at;
    unschedulable.examined_many(decided.wanted.len());
    match &decided.placement {
        Placement::Found => {}
        Placement::Later(workload, what) => {
            let message = format!("not every pod fits now, but they do once {what}");
            let first =
                decided.wanted.get(*workload).map(|wanted| subject(wanted, "containers[0].resources"));
            let remedy = Remediation::new("See that it happens")
                .command("kubectl get pods -A -o wide -w")
                .command("kubectl get nodes -w");
            unschedulable.warn(first.unwrap_or_else(|| Subject::new("nodes")), message, remedy);
        }
        Placement::Unknown(Bar::Nodes, Unclear { why, advice }) => unschedulable.unknown(why, *advice),
        Placement::Unknown(Bar::Quota, Unclear { why, advice }) => quota.unknown(why, *advice),
        Placement::NotFound(obstacles) => {
            for obstacle in obstacles {
                let Obstacle { workload, message, hitch, node, .. } = obstacle;
                let wanted = &decided.wanted[*workload];
                match hitch {
                    Hitch::Quota(excess) => {
                        let remedy = describe_quota(&wanted.namespace, &excess.quota);
                        quota.predict(subject(wanted, "containers[0].resources"), message, remedy);
                    }
                    Hitch::NoNode { nodes, shortfall } => {
                        let remedy = remedy(nodes, node.as_deref(), shortfall.as_ref());
                        unschedulable.predict(subject(wanted, field(nodes)), message, remedy);
                    }
                    Hitch::Steps => {
                        let remedy = Remediation::new("Look at how the rollout is to go on");
                        unschedulable.predict(Subject::object(&wanted.object), message, remedy);
                    }
                }
            }
            let proofs = obstacles.iter().map(|obstacle| obstacle.proven).collect::<Vec<_>>();
            check.detail("placement_proven", proofs);
        }
    }
    for at in &decided.slow {
        let wanted = &decided.wanted[*at];
        let message = format!(
            "{} lands slowly: its quota lets new pods in only when old ones have gone, and controllers wait longer each time they are refused",
            wanted.object.id()
        );
        quota.warn(
            Subject::object(&wanted.object),
            message,
            more_of(format!("kubectl describe resourcequota -n {}", wanted.namespace)),
        );
    }
    if let Some(first) = decided.evicted.first() {
        let told = some(&decided.evicted, TOLD);
        let message = format!("pods with a lower priority are evicted for the release: {told}");
        let remedy = Remediation::new("Make room, or give the release a lower priority");
        let remedy = match first.split_once('/') {
            Some((namespace, name)) => remedy.command(format!("kubectl describe pod {name} -n {namespace}")),
            None => remedy,
        };
        preemption.warn(Subject::new(format!("Pod {first}")), message, remedy);
    }
    for (at, message) in &decided.at_maximum {
        let wanted = &decided.wanted[*at];
        let remedy = Remediation::new("Make room for it, or lower `maxReplicas`")
            .command(format!("kubectl get horizontalpodautoscalers -n {}", wanted.namespace));
        maximum.warn(Subject::object(&wanted.object), message, remedy);
    }
    for wanted in &decided.wanted {
        preemption.examined();
        if wanted.scaled.is_some() {
            maximum.examined();
        }
    }
    unschedulable.conclude(&format!("workloads, {nodes} nodes, {pods} pods"));
    preemption.conclude("workloads");
    maximum.conclude("workloads with an autoscaler");
    quota.examined_many(quotas);
    quota.conclude("ResourceQuotas");
}

fn thresholds_of(check: &Examination, thresholds: &ResourceThresholds, decided: &Decided) {
    let mut rule = check.rule(&REQUESTED_OVER_THRESHOLD);
    for ((resource, percent), (requested, all)) in thresholds.percents().into_iter().zip(decided.requested) {
        let Some(percent) = percent else { continue };
        rule.examined();
        if i128::from(requested) * 100 > i128::from(all) * i128::from(percent) {
            let share = i128::from(requested) * 100 / i128::from(all.max(1));
            let message = format!(
                "after the release {share} % of the cluster's {resource} is requested ({} of {}), and {percent} % may be",
                amount_of(resource, requested),
                amount_of(resource, all)
            );
            let remedy = Remediation::new("Add nodes, or ask for less").command("kubectl describe nodes");
            rule.predict(Subject::new("cluster"), message, remedy);
        }
    }
    rule.conclude("thresholds of what is requested");
}
