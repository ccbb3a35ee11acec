//! Every namespace that the release needs exists, or comes with it in time.

use std::collections::BTreeMap;

use futures::FutureExt;
use preflight_core::cluster::{ClusterErrorKind, Reader};
use preflight_core::release::{Live, Planned, Release};
use preflight_core::{Context, Examination, FieldPath, Remediation, RuleCheck, Subject};
use serde_json::Value;

use super::{NAMESPACE_MISSING, NAMESPACE_TERMINATING};

pub(super) async fn examine(check: &Examination, context: &Context, cluster: &Reader, release: &Release) {
    let mut missing = check.rule(&NAMESPACE_MISSING);
    let mut terminating = check.rule(&NAMESPACE_TERMINATING);
    let needed = needed(context, release);
    let names: Vec<&str> = needed.keys().map(String::as_str).collect();
    let resource = super::namespaces();
    let asking: Vec<_> = names.iter().map(|name| cluster.get(&resource, None, name).boxed()).collect();
    let answers = futures::future::join_all(asking).await;

    for ((name, need), answer) in needed.iter().zip(answers) {
        match answer {
            Ok(Some(live)) => {
                missing.examined();
                terminating.examined();
                if is_terminating(&live) {
                    fail_terminating(&mut terminating, need.subject(name), name, &live);
                }
            }
            Ok(None) => {
                missing.examined();
                judge_absent(&mut missing, context, name, need);
            }
            // What is in a namespace proves that it is there, to an identity that may not look at namespaces.
            Err(error) if need.lives && matches!(error.kind(), ClusterErrorKind::Forbidden) => {
                missing.examined();
                check.need::<()>(&[&NAMESPACE_TERMINATING], Err(error));
            }
            Err(error) => {
                check.need::<()>(&[&NAMESPACE_MISSING, &NAMESPACE_TERMINATING], Err(error));
            }
        }
    }
    missing.conclude("namespaces");
    terminating.conclude("existing namespaces");
}

/// What the release does in a namespace.
struct Need<'a> {
    /// The first object that needs it, and its place in the order of applying.
    first: Option<(usize, &'a Planned)>,
    /// The Namespace of the release, and its place in the order of applying.
    made: Option<(usize, &'a Planned)>,
    /// Whether an object of the release is in it already.
    lives: bool,
    in_time: bool,
}

impl Need<'_> {
    fn subject(&self, name: &str) -> Subject {
        match self.first.or(self.made) {
            Some((_, planned)) if planned.object.namespace().is_some() => {
                Subject::at(&planned.object, &FieldPath::of("metadata.namespace"))
            }
            Some((_, planned)) => Subject::object(&planned.object),
            None => Subject::new(format!("Namespace {name}")),
        }
    }
}

fn needed<'a>(context: &Context, release: &'a Release) -> BTreeMap<String, Need<'a>> {
    let mut needed: BTreeMap<String, Need<'a>> = BTreeMap::new();
    let entry = || Need { first: None, made: None, lives: false, in_time: true };
    for (at, planned) in release.objects().iter().enumerate() {
        if let Some(namespace) = &planned.namespace {
            let need = needed.entry(namespace.clone()).or_insert_with(entry);
            need.first.get_or_insert((at, planned));
            need.lives |= matches!(planned.live, Live::Present(_));
        }
    }
    for (at, planned) in release.of_kind("", "Namespace") {
        if let Some(name) = planned.object.name() {
            let need = needed.entry(name.to_owned()).or_insert_with(entry);
            need.made = Some((at, planned));
            need.in_time = need.first.is_none_or(|(first, _)| at < first);
        }
    }
    if let Some(asked) = context.requested_namespace().filter(|_| release.objects().is_empty()) {
        needed.entry(asked.to_owned()).or_insert_with(entry);
    }
    needed
}

fn judge_absent(rule: &mut RuleCheck<'_>, context: &Context, name: &str, need: &Need<'_>) {
    let expected = context.environment().expects().iter().find(|e| e.kind == "Namespace" && e.name == name);
    match (need.made, expected) {
        (Some(_), _) if need.in_time => {}
        (Some((_, made)), _) => rule.predict(
            need.subject(name),
            format!("The namespace {name} is created only after this object, which is applied before it"),
            Remediation::new(format!(
                "Put the Namespace ({}) before the objects that need it",
                made.object.place_of_name()
            ))
            .command(format!("kubectl create namespace {name}")),
        ),
        (None, Some(expected)) => {
            let by = expected.by.as_deref().unwrap_or("something else");
            rule.warn(
                need.subject(name),
                format!("The namespace {name} does not exist yet; the environment expects {by} to make it"),
                Remediation::new("Make sure that it is there before the release is applied")
                    .command(format!("kubectl get namespace {name}")),
            );
        }
        (None, None) => rule.fail(
            need.subject(name),
            format!("The namespace {name} does not exist"),
            Remediation::new("Create it, or put it first in the manifests")
                .command(format!("kubectl create namespace {name}")),
        ),
    }
}

fn is_terminating(live: &Value) -> bool {
    live.pointer("/status/phase").and_then(Value::as_str) == Some("Terminating")
        || live.pointer("/metadata/deletionTimestamp").is_some()
}

fn fail_terminating(rule: &mut RuleCheck<'_>, subject: Subject, name: &str, live: &Value) {
    let conditions = live.pointer("/status/conditions").and_then(Value::as_array);
    let holding = conditions.into_iter().flatten().find(|condition| {
        condition["status"] == "True"
            && condition["message"].as_str().is_some_and(|message| !message.is_empty())
    });
    let why = holding.and_then(|condition| condition["message"].as_str());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    rule.fail_for_now(
        subject,
        format!("The namespace {name} is being deleted{why}"),
        Remediation::new("Wait until it is gone and create it anew; its conditions say what holds it")
            .command(format!("kubectl wait --for=delete namespace/{name} --timeout=5m"))
            .command(format!("kubectl get namespace {name} -o yaml")),
    );
}
