//! Pod Security Standards, worked out: the labels of the namespaces as the release leaves them, and its pods.

use std::collections::BTreeMap;

use futures::future::join_all;
use preflight_core::cluster::Reader;
use preflight_core::release::{Planned, Release};
use preflight_core::{Examination, FieldPath, Remediation, RuleCheck, Subject};
use serde_json::Value;

use super::pod_security::{LABELS, Policy, Violation};
use super::pods::{Made, of_template};
use super::trials::Trials;
use super::{NAMESPACES, POD_SECURITY};
use crate::changes::{Happens, merged, rollout};
use crate::labels;

pub(super) async fn examine(check: &Examination, cluster: &Reader, release: &Release, trials: &Trials) {
    let mut rule = check.rule(&POD_SECURITY);
    let with_pods = release.objects().iter().enumerate();
    let with_pods = with_pods.filter(|(_, planned)| planned.object.pod_template().is_some());
    let pods: Vec<(usize, &Planned)> = with_pods.filter(|(_, planned)| planned.namespace.is_some()).collect();
    let mut names: Vec<&str> = pods.iter().filter_map(|(_, planned)| planned.namespace.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    let minor = cluster.version().await.ok().and_then(|version| version.minor());
    let reading = names.iter().map(|name| cluster.get(&NAMESPACES, None, name));
    let mut policies: BTreeMap<&str, (Policy, Option<Policy>)> = BTreeMap::new();
    for (name, live) in names.iter().copied().zip(join_all(reading).await) {
        let Some(live) = check.need(&[&POD_SECURITY], live) else { continue };
        let of = |object: &Value| Policy::of(&labels::of(object)).0.on(minor);
        let before = live.as_deref().map(&of);
        let coming =
            release.of_kind("", "Namespace").find(|(_, planned)| planned.object.name() == Some(name));
        let after = match coming {
            Some((_, planned)) => of(&merged(planned, release.method())),
            // One that is not there is told elsewhere, and expects nothing.
            None => before.unwrap_or_default(),
        };
        policies.insert(name, (after, before));
    }
    labels_of_namespaces(&mut rule, release);
    for (at, planned) in pods {
        let Some((after, before)) = policies.get(planned.namespace.as_deref().unwrap_or_default()) else {
            continue;
        };
        rule.examined();
        // A Pod that comes before its Namespace meets the labels that are there.
        let early = planned.object.kind() == "Pod" && comes_later(release, planned, at);
        let policy = if early { before.as_ref().unwrap_or(after) } else { after };
        // The server's own configuration may exempt some, which no label tells.
        if before.as_ref() == Some(policy) && trials.takes_pods_of(planned) {
            continue;
        }
        judge(&mut rule, planned, policy, rollout(planned, release.method()).pods);
    }
    rule.conclude("workloads and pods");
}

fn comes_later(release: &Release, planned: &Planned, at: usize) -> bool {
    let mut namespaces = release.of_kind("", "Namespace");
    namespaces.any(|(place, namespace)| place > at && namespace.object.name() == planned.namespace.as_deref())
}

/// Labels that say nothing valid: the API server refuses the Namespace.
fn labels_of_namespaces(rule: &mut RuleCheck<'_>, release: &Release) {
    for (_, planned) in release.of_kind("", "Namespace") {
        rule.examined();
        let invalid = |object: &Value| Policy::of(&labels::of(object)).1;
        let before = match &planned.live {
            preflight_core::release::Live::Present(live) => invalid(live),
            _ => Vec::new(),
        };
        let after = invalid(&merged(planned, release.method()));
        // Labels that were invalid before are let through as long as they stay so.
        if let Some(wrong) = after.iter().find(|_| before != after) {
            let path = FieldPath::of("metadata.labels").key(wrong.label.clone());
            rule.predict(
                Subject::at(&planned.object, &path),
                format!("{} is refused: {wrong}", planned.object.id()),
                Remediation::new("Name one of the levels privileged, baseline and restricted, and a version such as v1.30 or latest")
                    .command(format!("kubectl get namespace {} --show-labels", planned.object.display_name())),
            );
        }
    }
}

fn judge(rule: &mut RuleCheck<'_>, planned: &Planned, policy: &Policy, pods: Happens) {
    let made = of_template(planned).unwrap_or_else(|| Made {
        metadata: planned.effective["metadata"].clone(),
        spec: planned.effective["spec"].clone(),
        path: FieldPath::root(),
    });
    let violations = policy.enforced(&made.metadata, &made.spec);
    let Some(first) = violations.first() else { return };
    let (level, version) = policy.enforce;
    let namespace = planned.namespace.as_deref().unwrap_or_default();
    let all: Vec<String> = violations.iter().map(ToString::to_string).collect();
    let what = if planned.object.kind() == "Pod" { "is" } else { "has pods that are" };
    let message = format!(
        "{} {what} refused: the namespace {namespace} enforces the Pod Security Standard {level}:{version}, which it violates: {}",
        planned.object.id(),
        all.join(", ")
    );
    let remedy = Remediation::new("Change the pod, or what the namespace enforces")
        .command(format!("kubectl get namespace {namespace} -L {LABELS}enforce"));
    pods.predict(rule, Subject::at(&planned.object, &place(&made, first)), &message, "pods are made", remedy);
}

/// Where a violation is in the manifest.
fn place(made: &Made, violation: &Violation) -> FieldPath {
    let field = violation.fields.first().map(String::as_str).unwrap_or_default();
    match field.strip_prefix("metadata.") {
        Some(_) => made.path.clone().join(&FieldPath::parse(field)),
        None => made.path.clone().key("spec").join(&FieldPath::parse(field)),
    }
}
