//! Objects that are there, one by one: whether they take the change, and whether anything comes of it.

use preflight_core::release::{Live, Planned, Release};
use preflight_core::{Examination, FieldPath, Method, Remediation, Rule, Subject};
use serde_json::Value;

use super::{
    ANNOTATIONS_TOO_LARGE, BEING_DELETED, FIELD_CONFLICT, HELM_OWNERSHIP, IMMUTABLE_FIELD, JOB_DONE,
    OWNED_BY_OTHERS, PAUSED,
};
use crate::changes::{Happens, last_applied, rollout};
use crate::updates::before_and_after;
use crate::updates::immutable::refused;
use crate::updates::patch::annotated;

/// How large all annotations of an object together may be, in bytes (`TotalAnnotationSizeLimitB`,
/// `staging/src/k8s.io/apimachinery/pkg/api/validation/objectmeta.go`, v1.36).
const ANNOTATIONS: usize = 256 << 10;
/// Kinds of which another check tells that they are being deleted.
const ELSEWHERE: [&str; 2] = ["Namespace", "PersistentVolumeClaim"];

pub(super) fn examine(check: &Examination, release: &Release) {
    immutable(check, release);
    going(check, release);
    sizes(check, release);
    rollouts(check, release);
}

fn immutable(check: &Examination, release: &Release) {
    let mut rule = check.rule(&IMMUTABLE_FIELD);
    for planned in release.objects() {
        if let Live::Unknown(error) = &planned.live {
            check.need::<()>(&depending(planned, release.method()), Err(error.clone()));
        }
        let Some((mut before, after)) = before_and_after(planned, release.method()) else { continue };
        if planned.object.kind() == "Secret" && planned.object.group().is_empty() {
            with_contents(&mut before);
        }
        rule.examined();
        for change in refused(planned.object.group(), planned.object.kind(), &before, &after) {
            let message =
                format!("{}: {} cannot be changed: {}", planned.object.id(), change.path, change.why);
            let remedy = Remediation::new("Keep the field, or delete the object and make it anew")
                .command(get(planned, "-o yaml"));
            rule.predict(Subject::at(&planned.object, &change.path), message, remedy);
        }
    }
    rule.conclude("objects that are there and change");
}

/// The rules for which one has to see what is there.
fn depending(planned: &Planned, method: Method) -> Vec<&'static Rule> {
    let mut rules: Vec<&'static Rule> = vec![&IMMUTABLE_FIELD, &BEING_DELETED, &OWNED_BY_OTHERS];
    match planned.object.kind() {
        "Deployment" => rules.push(&PAUSED),
        "Job" => rules.push(&JOB_DONE),
        _ => {}
    }
    match method {
        Method::Server => rules.push(&FIELD_CONFLICT),
        Method::Helm => rules.push(&HELM_OWNERSHIP),
        _ => {}
    }
    rules
}

/// The command that shows an object.
fn get(planned: &Planned, how: &str) -> String {
    let namespace =
        planned.namespace.as_deref().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    let kind = planned.object.kind().to_lowercase();
    format!("kubectl get {kind} {}{namespace} {how}", planned.object.display_name())
}

/// Of a Secret only the metadata is read; what kubectl applied last is in there.
fn with_contents(secret: &mut Value) {
    let Some(Value::Object(last)) = last_applied(secret) else { return };
    let known = ["type", "immutable", "data", "stringData"];
    for (key, value) in last.into_iter().filter(|(key, _)| known.contains(&key.as_str())) {
        secret[key] = value;
    }
    if secret["type"].is_null() {
        secret["type"] = "Opaque".into();
    }
}

fn going(check: &Examination, release: &Release) {
    let mut rule = check.rule(&BEING_DELETED);
    for planned in release.objects() {
        let Live::Present(live) = &planned.live else { continue };
        if ELSEWHERE.contains(&planned.object.kind()) {
            continue;
        }
        rule.examined();
        if live["metadata"]["deletionTimestamp"].is_null() {
            continue;
        }
        let finalizers = live["metadata"]["finalizers"].as_array().into_iter().flatten();
        let held: Vec<&str> = finalizers.filter_map(Value::as_str).collect();
        let held = if held.is_empty() { String::new() } else { format!(", held by {}", held.join(", ")) };
        let message = format!("{} is being deleted{held}: what is applied goes with it", planned.object.id());
        let namespace =
            planned.namespace.as_deref().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
        let wait = format!(
            "kubectl wait --for=delete {}/{}{namespace} --timeout=5m",
            planned.object.kind().to_lowercase(),
            planned.object.display_name()
        );
        let remedy = Remediation::new("Wait until it is gone, and apply again").command(wait);
        rule.fail_for_now(Subject::object(&planned.object), message, remedy);
    }
    rule.conclude("objects that are there");
}

fn sizes(check: &Examination, release: &Release) {
    let mut rule = check.rule(&ANNOTATIONS_TOO_LARGE);
    let writes_down = matches!(release.method(), Method::Client | Method::Argocd);
    for planned in release.objects().iter().filter(|planned| planned.object.name().is_some()) {
        let with = if writes_down { annotated(&planned.effective) } else { (*planned.effective).clone() };
        let mut annotations = with["metadata"]["annotations"].clone();
        if let (Live::Present(live), Some(own)) = (&planned.live, annotations.as_object_mut()) {
            for (key, value) in live["metadata"]["annotations"].as_object().into_iter().flatten() {
                own.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        rule.examined();
        let all = annotations.as_object().into_iter().flatten();
        let size: usize = all.map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
        if size > ANNOTATIONS {
            let message = format!(
                "{} would have {} KiB of annotations, and {} KiB are allowed: kubectl keeps the whole manifest in one",
                planned.object.id(),
                size >> 10,
                ANNOTATIONS >> 10
            );
            let file = planned.object.place_of_name().file;
            let remedy = Remediation::new(
                "Apply it on the server's side, and say so with `apply: server` in the environment",
            )
            .command(format!("kubectl apply --server-side -f {file}"));
            rule.predict(Subject::object(&planned.object), message, remedy);
        }
    }
    rule.conclude("objects");
}

/// Deployments that stand still, Jobs that are done, and what restarts.
fn rollouts(check: &Examination, release: &Release) {
    let mut paused = check.rule(&PAUSED);
    let mut done = check.rule(&JOB_DONE);
    let mut restarts = Vec::new();
    for planned in release.objects().iter().filter(|planned| planned.object.pod_template().is_some()) {
        let rollout = rollout(planned, release.method());
        let id = planned.object.id();
        if rollout.is_update && rollout.template == Happens::Yes {
            restarts.push(id.to_string());
        }
        let namespace = planned.namespace.as_deref().unwrap_or_default();
        let name = planned.object.display_name();
        match planned.object.kind() {
            "Deployment" => {
                paused.examined();
                let after = before_and_after(planned, release.method()).map(|(_, after)| after);
                let is_paused = after.as_ref().unwrap_or(&planned.effective)["spec"]["paused"] == true;
                if is_paused {
                    let message =
                        format!("{id} is paused, and makes no pods of its new template until it is resumed");
                    let remedy = Remediation::new("Resume it")
                        .command(format!("kubectl rollout resume deployment/{name} -n {namespace}"));
                    let subject = Subject::at(&planned.object, &FieldPath::of("spec.paused"));
                    rollout.template.predict(&mut paused, subject, &message, "it is to roll", remedy);
                }
            }
            "Job" => {
                let Live::Present(live) = &planned.live else { continue };
                done.examined();
                let conditions = live["status"]["conditions"].as_array().into_iter().flatten();
                let mut ended = conditions.filter(|one| {
                    one["status"] == "True" && matches!(one["type"].as_str(), Some("Complete" | "Failed"))
                });
                if let Some(ended) = ended.next() {
                    let how = if ended["type"] == "Complete" { "has run already" } else { "has failed" };
                    let message = format!("{id} {how}, and does not run again");
                    let remedy = Remediation::new("Delete it first if it is to run, or give it another name")
                        .command(format!("kubectl delete job {name} -n {namespace}"));
                    done.warn(Subject::object(&planned.object), message, remedy);
                }
            }
            _ => {}
        }
    }
    if !restarts.is_empty() {
        check.detail("restarts", restarts);
    }
    paused.conclude("Deployments");
    done.conclude("Jobs that are there");
}
