//! Every kind in the manifests is served.

use std::collections::BTreeSet;

use preflight_core::cluster::{Discovery, Lookup};
use preflight_core::release::{Live, Planned, Release, Serving};
use preflight_core::{Examination, FieldPath, Method, Remediation, Subject};

use super::api_lifecycle::{Lifecycle, lifecycle};
use super::{
    ALREADY_EXISTS, API_DEPRECATED, API_GROUP_UNAVAILABLE, API_REMOVED, CRD_IN_RELEASE, KIND_NOT_SERVED,
};

pub(super) fn examine(check: &Examination, release: &Release, discovery: &Discovery, server: Option<u16>) {
    let mut served = check.rule(&KIND_NOT_SERVED);
    let mut own = check.rule(&CRD_IN_RELEASE);
    let mut removed = check.rule(&API_REMOVED);
    let mut deprecated = check.rule(&API_DEPRECATED);
    let mut available = check.rule(&API_GROUP_UNAVAILABLE);
    let mut told = BTreeSet::new();
    for (at, planned) in release.objects().iter().enumerate() {
        let object = &planned.object;
        let kind = (object.group(), object.version(), object.kind());
        let first = told.insert(kind);
        let life = lifecycle(kind.0, kind.1, kind.2);
        served.examined();
        removed.examined();
        available.examined();
        match &planned.serving {
            Serving::Cluster(_) => {
                deprecated.examined();
                if let Some(lacks) = lacking_verb(planned, release.method(), discovery) {
                    served.fail(
                        api_version(planned),
                        format!(
                            "{} cannot be applied: the API server does not {lacks} its kind",
                            object.id()
                        ),
                        Remediation::new("Remove it from the manifests: it is not an object that is kept")
                            .command(format!("kubectl api-resources --api-group={} -o wide", object.group())),
                    );
                }
                let due = |life: &&Lifecycle| {
                    life.deprecated.is_some_and(|since| server.is_none_or(|now| since <= now))
                };
                if let Some(life) = life.filter(|life| first && due(life)) {
                    let (message, remedy) = about(planned, life, "is deprecated");
                    deprecated.warn(api_version(planned), message, remedy);
                }
            }
            Serving::Release { definition, .. } => {
                own.examined();
                let made_at = release
                    .of_kind("apiextensions.k8s.io", "CustomResourceDefinition")
                    .find(|(_, crd)| crd.object.name() == Some(definition))
                    .map(|(at, _)| at);
                let mend = Remediation::new("Apply the definition first, and wait until it is established")
                    .command(format!("kubectl wait --for=condition=Established crd/{definition}"));
                if release.is_file_order() && made_at.is_some_and(|made| made > at) {
                    let message =
                        format!("{} is applied before {definition}, which defines its kind", object.id());
                    served.predict(api_version(planned), message, mend);
                } else if first {
                    let message = format!(
                        "{} is served only once the release's own {definition} is established",
                        object.kind()
                    );
                    own.warn(api_version(planned), message, mend);
                }
            }
            Serving::Unavailable => available.fail_for_now(
                api_version(planned),
                format!(
                    "{} cannot be applied: what serves {} does not answer",
                    object.id(),
                    object.api_version()
                ),
                Remediation::new("Mend the Service behind the APIService, or remove the APIService")
                    .command(format!("kubectl get apiservice {}.{}", object.version(), object.group()))
                    .command(format!("kubectl describe apiservice {}.{}", object.version(), object.group())),
            ),
            Serving::Nothing { versions, nearest } => match life {
                Some(life) if life.removed.is_some() => {
                    let (message, remedy) = about(planned, life, "was removed");
                    removed.fail(api_version(planned), message, remedy);
                }
                _ => {
                    let (message, remedy) = not_served(planned, versions, nearest.as_deref());
                    served.fail(api_version(planned), message, remedy);
                }
            },
            _ => {}
        }
    }
    served.conclude(&match release.left_out().len() {
        0 => "objects".to_owned(),
        n => format!("objects, without {n} that Helm makes at other times"),
    });
    own.conclude("kinds of the release's own definitions");
    removed.conclude("objects");
    deprecated.conclude("objects");
    available.conclude("objects");
}

/// A verb that applying the object takes and that its kind does not support. Reviews, for example, can only be
/// created, and what an aggregated API measures can only be read.
fn lacking_verb(planned: &Planned, method: Method, discovery: &Discovery) -> Option<&'static str> {
    let object = &planned.object;
    let Lookup::Served(served) = discovery.lookup(object.group(), object.version(), object.kind()) else {
        return None;
    };
    // Some servers do not say.
    if served.verbs.is_empty() {
        return None;
    }
    let needed: &[&'static str] = match (method, object.name()) {
        (Method::Create, _) | (_, None) => &["create"],
        (Method::Server, _) => &["patch"],
        _ => &["get", "create"],
    };
    needed.iter().copied().find(|verb| !served.verbs.iter().any(|has| has == verb))
}

fn api_version(planned: &Planned) -> Subject {
    Subject::at(&planned.object, &FieldPath::of("apiVersion"))
}

fn about(planned: &Planned, life: &Lifecycle, what: &str) -> (String, Remediation) {
    let object = &planned.object;
    let since = match (what, life.removed, life.deprecated) {
        ("was removed", Some(minor), _) => format!(" in Kubernetes 1.{minor}"),
        (_, Some(removed), Some(since)) => format!(" since Kubernetes 1.{since}, and goes in 1.{removed}"),
        (_, None, Some(since)) => format!(" since Kubernetes 1.{since}"),
        _ => String::new(),
    };
    let instead = life.replacement.map(|to| format!("; {to} takes its place")).unwrap_or_default();
    let message = format!("{} {} {what}{since}{instead}", object.api_version(), object.kind());
    let remedy = match (life.replacement, life.note) {
        (Some(to), note) => {
            let (api_version, kind) = to.split_once(' ').unwrap_or((to, object.kind()));
            Remediation::new(match note {
                Some(note) => format!("Use {to}. {note}"),
                None => format!("Use {to}, and compare its fields"),
            })
            .command(format!("kubectl explain {kind} --api-version={api_version}"))
        }
        (None, Some(note)) => Remediation::new(note).command("kubectl api-resources"),
        (None, None) => {
            Remediation::new("Nothing takes its place: remove the object").command("kubectl api-resources")
        }
    };
    (message, remedy)
}

fn not_served(planned: &Planned, versions: &[String], nearest: Option<&str>) -> (String, Remediation) {
    let object = &planned.object;
    let message = format!("The cluster does not serve {} {}", object.api_version(), object.kind());
    if let Some(version) = versions.first() {
        let api =
            if object.group().is_empty() { version.clone() } else { format!("{}/{version}", object.group()) };
        let message = format!("{message}, only {}", versions.join(", "));
        let remedy = Remediation::new(format!("Use {api}, and compare its fields"))
            .command(format!("kubectl explain {} --api-version={api}", object.kind().to_lowercase()));
        return (message, remedy);
    }
    match nearest {
        Some(near) => {
            (message, Remediation::new(format!("Did you mean {near}?")).command("kubectl api-resources"))
        }
        None => (
            message,
            Remediation::new("Install what defines this kind, or correct apiVersion and kind")
                .command(format!("kubectl api-resources --api-group={}", object.group())),
        ),
    }
}

/// `kubectl create` refuses what is there.
pub(super) fn existing(check: &Examination, release: &Release) {
    let mut rule = check.rule(&ALREADY_EXISTS);
    if release.method() != Method::Create {
        return rule.conclude("objects that are created and not applied");
    }
    for planned in release.objects() {
        let error = match &planned.live {
            Live::Unknown(error) => error.clone(),
            live => {
                rule.examined();
                if matches!(live, Live::Present(_)) {
                    rule.fail(
                        Subject::object(&planned.object),
                        format!("{} exists already, and creating it is refused", planned.object.id()),
                        Remediation::new("Apply the release instead of creating it (`apply: client`), or delete the object"),
                    );
                }
                continue;
            }
        };
        check.need::<()>(&[&ALREADY_EXISTS], Err(error));
    }
    rule.conclude("objects");
}
