//! Services of the release, and the pods that they lead to.

use preflight_core::release::Planned;
use preflight_core::{Examination, FieldPath, Remediation, RuleCheck, Subject};
use serde_json::Value;

use super::world::{Backend, Found, World};
use super::{MOVES_TOO_EARLY, NO_PODS, PODS_OF_JOB, TARGET_PORT};
use crate::told::some;

/// How many labels and workloads are told.
const TOLD: usize = 3;

pub(super) fn examine(check: &Examination, world: &World<'_>) {
    let rules = [&NO_PODS, &PODS_OF_JOB, &TARGET_PORT, &MOVES_TOO_EARLY];
    let mut none = check.rule(&NO_PODS);
    let mut jobs = check.rule(&PODS_OF_JOB);
    let mut ports = check.rule(&TARGET_PORT);
    let mut moves = check.rule(&MOVES_TOO_EARLY);
    let services = check.need(&rules, world.services.as_ref().map_err(Clone::clone));
    for service in services.into_iter().flatten() {
        let Some((_, planned)) = service.planned else { continue };
        let selector = &service.object["spec"]["selector"];
        // Without a selector, somebody else says where it leads.
        let selects_any = selector.as_object().is_some_and(|selector| !selector.is_empty());
        if !selects_any || service.object["spec"]["type"] == "ExternalName" {
            continue;
        }
        let Some(backends) = check.need(&rules, world.backends(&service.namespace)) else { continue };
        none.examined();
        jobs.examined();
        let selected: Vec<&Backend> =
            backends.iter().filter(|backend| backend.is_selected(selector)).collect();
        if selected.is_empty() {
            nobody(&mut none, service, planned, selector);
            continue;
        }
        with_jobs(&mut jobs, service, planned, &selected);
        target_ports(&mut ports, service, planned, &selected);
        moving(&mut moves, service, planned, selector, &backends);
    }
    none.conclude("Services with a selector");
    jobs.conclude("Services with a selector");
    ports.conclude("ports that are named");
    moves.conclude("Services whose selector changes");
}

fn told(selector: &Value) -> String {
    let pairs = selector.as_object().into_iter().flatten();
    let pairs: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    pairs.join(",")
}

fn nobody(rule: &mut RuleCheck<'_>, service: &Found<'_>, planned: &Planned, selector: &Value) {
    let message =
        format!("{} selects no pods: none will have the labels {}", planned.object.id(), told(selector));
    let remedy = Remediation::new("Select by the labels of the pod template")
        .command(format!("kubectl get pods -n {} --show-labels", service.namespace));
    rule.warn(Subject::at(&planned.object, &FieldPath::of("spec.selector")), message, remedy);
}

fn with_jobs(rule: &mut RuleCheck<'_>, service: &Found<'_>, planned: &Planned, selected: &[&Backend]) {
    let jobs: Vec<&str> = selected.iter().filter(|one| one.ends).map(|one| one.id.as_str()).collect();
    if jobs.is_empty() || jobs.len() == selected.len() {
        return;
    }
    let message = format!("{} selects the pods of {} as well", planned.object.id(), some(&jobs, TOLD));
    let remedy = Remediation::new("Give those pods other labels, or select by more").command(format!(
        "kubectl get pods -n {} -l {}",
        service.namespace,
        told(&service.object["spec"]["selector"])
    ));
    rule.warn(Subject::at(&planned.object, &FieldPath::of("spec.selector")), message, remedy);
}

fn target_ports(rule: &mut RuleCheck<'_>, service: &Found<'_>, planned: &Planned, selected: &[&Backend]) {
    // What the release brings counts; what it replaces does not.
    let coming: Vec<&&Backend> = selected.iter().filter(|one| one.coming && !one.ends).collect();
    for (at, port) in service.object["spec"]["ports"].as_array().into_iter().flatten().enumerate() {
        let Some(name) = port["targetPort"].as_str().filter(|name| name.parse::<u16>().is_err()) else {
            continue;
        };
        rule.examined();
        let has = |backend: &&&Backend| backend.ports.iter().any(|own| own.name == name);
        let known =
            if coming.is_empty() { selected.iter().any(|one| has(&one)) } else { coming.iter().any(has) };
        if known {
            continue;
        }
        let pods = coming.first().map_or_else(|| selected[0].id.clone(), |one| one.id.clone());
        let message =
            format!("{} leads to the port {name:?}, which no container of {pods} has", planned.object.id());
        let path = FieldPath::of("spec.ports").index(at).key("targetPort");
        let remedy = Remediation::new("Name the port in the container, or give its number")
            .command(format!("kubectl get service {} -n {} -o yaml", service.name, service.namespace));
        rule.warn(Subject::at(&planned.object, &path), message, remedy);
    }
}

fn moving(
    rule: &mut RuleCheck<'_>,
    service: &Found<'_>,
    planned: &Planned,
    selector: &Value,
    backends: &[Backend],
) {
    let Some(before) = service.before.as_ref().map(|before| &before["spec"]["selector"]) else { return };
    if before == selector {
        return;
    }
    rule.examined();
    let ready = |selector: &Value| backends.iter().any(|one| one.ready && one.is_selected(selector));
    if ready(before) && !ready(selector) {
        let message = format!(
            "{} is moved to pods with the labels {}, and none of them is ready now",
            planned.object.id(),
            told(selector)
        );
        let remedy = Remediation::new("Apply the workload first, and the Service once it has rolled out")
            .command(format!("kubectl get pods -n {} -l {}", service.namespace, told(selector)));
        rule.warn(Subject::at(&planned.object, &FieldPath::of("spec.selector")), message, remedy);
    }
}
