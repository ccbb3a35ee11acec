//! The definitions of the release's custom resources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;
use preflight_core::cluster::{ClusterError, Reader};
use preflight_core::release::{Live, Planned, Release, Serving};
use preflight_core::{Examination, FieldPath, Remediation, RuleCheck, Subject};
use serde_json::Value;

use super::backend::{Authority, Backends, Health, authority};
use super::instances;
use super::{
    CONVERSION_WEBHOOK, CUSTOM_RESOURCE_INVALID, DEFINITION_NOT_ESTABLISHED, STORED_VERSION_REMOVED,
    definitions,
};
use crate::changes::merge;
use crate::intercept::ClientConfig;

/// API groups of which no definition is asked for: they are Kubernetes' own.
const OWN_GROUPS: &[&str] = &[
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "metrics.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

/// A definition: live, or as the release leaves it.
type Definitions = BTreeMap<String, Result<Option<Arc<Value>>, ClusterError>>;

pub(super) async fn examine(
    check: &Examination,
    cluster: &Reader,
    release: &Release,
    backends: &Backends<'_>,
) {
    let resources: Vec<(usize, &Planned, String)> = release
        .objects()
        .iter()
        .enumerate()
        .filter_map(|(at, planned)| Some((at, planned, name(planned)?)))
        .collect();
    let names: BTreeSet<&String> = resources
        .iter()
        .filter(|(_, planned, _)| matches!(planned.serving, Serving::Cluster(_)))
        .map(|(_, _, name)| name)
        .collect();
    let looking = names
        .into_iter()
        .map(|name| async move { (name.clone(), cluster.get(&definitions(), None, name).await) });
    let live: Definitions = join_all(looking).await.into_iter().collect();

    let mut established = check.rule(&DEFINITION_NOT_ESTABLISHED);
    let mut conversion = check.rule(&CONVERSION_WEBHOOK);
    let mut valid = check.rule(&CUSTOM_RESOURCE_INVALID);
    let (mut told, mut converted_for) = (BTreeSet::new(), BTreeSet::new());
    for (position, planned, name) in &resources {
        let of_release = release
            .of_kind("apiextensions.k8s.io", "CustomResourceDefinition")
            .find(|(at, crd)| at < position && crd.object.name() == Some(name));
        let definition = match (live.get(name), of_release) {
            (Some(Err(error)), _) => {
                let rules = [&DEFINITION_NOT_ESTABLISHED, &CONVERSION_WEBHOOK, &CUSTOM_RESOURCE_INVALID];
                check.need::<()>(&rules, Err(error.clone()));
                continue;
            }
            (Some(Ok(Some(live))), _) => {
                if told.insert(name) {
                    established.examined();
                    not_established(&mut established, planned, name, live);
                }
                // What the release's own says nothing of stays: an authority that was put in, for example.
                let mut left = (**live).clone();
                if let Some((_, crd)) = of_release {
                    merge(&mut left, &crd.effective);
                }
                left
            }
            (_, Some((_, crd))) => (*crd.effective).clone(),
            // An aggregated API: its own server validates.
            _ => continue,
        };
        if converted_for.insert((name, planned.object.version())) {
            converted(check, &mut conversion, planned, name, &definition, backends).await;
        }
        instances::examine(check, &mut valid, release.method(), planned, &definition);
    }
    established.conclude("definitions that the release uses");
    conversion.conclude("definitions that the release uses and that convert by webhook");
    valid.conclude("custom resources");
    stored_versions(check, release);
}

/// The name of the definition that a custom resource would have.
fn name(planned: &Planned) -> Option<String> {
    let resource = planned.serving.resource()?;
    (!OWN_GROUPS.contains(&&*resource.group)).then(|| resource.group_resource())
}

fn not_established(rule: &mut RuleCheck<'_>, planned: &Planned, name: &str, live: &Value) {
    let conditions = live["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is = |kind: &str, status: &str| {
        conditions.iter().find(|condition| condition["type"] == kind && condition["status"] == status)
    };
    let clash = is("NamesAccepted", "False");
    let clash =
        clash.map(|clash| format!("its names clash: {}", clash["message"].as_str().unwrap_or_default()));
    let subject = Subject::at(&planned.object, &FieldPath::of("apiVersion"));
    let remedy =
        Remediation::new("Mend the definition first").command(format!("kubectl describe crd {name}"));
    let why = match (is("Established", "True"), is("Terminating", "True"), clash) {
        (None, _, clash) => clash.unwrap_or_else(|| "it is not established".to_owned()),
        (Some(_), Some(_), _) => "it is being deleted, with everything of its kind".to_owned(),
        // It is served as it was before (`ServeHTTP` of `customresource_handler.go`, v1.36).
        (Some(_), None, Some(clash)) => {
            let message =
                format!("The definition {name} is served under its former names: of the new ones, {clash}");
            return rule.warn(subject, message, remedy);
        }
        _ => return,
    };
    let message = format!("{} cannot be applied: of its definition {name}, {why}", planned.object.id());
    rule.fail(subject, message, remedy);
}

/// Whether the release needs the webhook that converts, and whether that can be called.
async fn converted(
    check: &Examination,
    rule: &mut RuleCheck<'_>,
    planned: &Planned,
    name: &str,
    definition: &Value,
    backends: &Backends<'_>,
) {
    let conversion = &definition["spec"]["conversion"];
    if conversion["strategy"] != "Webhook" {
        return;
    }
    rule.examined();
    let versions = definition["spec"]["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let storage = versions.iter().find(|version| version["storage"] == true);
    let storage = storage.and_then(|version| version["name"].as_str()).unwrap_or_default();
    let stored = definition["status"]["storedVersions"].as_array().into_iter().flatten();
    let stored: Vec<&str> = stored.filter_map(Value::as_str).collect();
    let own = planned.object.version();
    // What is written in the storage version, and was never stored in another, is converted for nobody.
    let needed = own != storage || stored.iter().any(|version| *version != own);
    let config: ClientConfig =
        serde_json::from_value(conversion["webhook"]["clientConfig"].clone()).unwrap_or_default();
    let subject = Subject::at(&planned.object, &FieldPath::of("apiVersion"));
    let mut broken = |why: &str, remedy: Remediation| {
        let message = format!(
            "{} {} is converted from and to {storage} by a webhook that cannot be called: {why}",
            own,
            planned.object.id()
        );
        match needed && own != storage {
            true => rule.predict(subject.clone(), message, remedy),
            false => {
                let message = format!("The webhook that converts {name} cannot be called: {why}");
                rule.warn(subject.clone(), message, remedy);
            }
        }
    };
    match backends.health(&config).await {
        Health::Broken { why, remedy, command } => broken(&why, Remediation::new(remedy).command(command)),
        Health::Unseen { why, advice } if needed => {
            check.unknown(&[&CONVERSION_WEBHOOK], format!("the webhook that converts {name}: {why}"), advice);
        }
        Health::Unseen { .. } | Health::Well => match authority(&config) {
            Authority::Broken(why) => broken(
                &format!("its caBundle {why}"),
                Remediation::new("Renew the authority's certificate, and put it into caBundle")
                    .command(format!("kubectl get crd {name} -o jsonpath='{{.spec.conversion}}'")),
            ),
            Authority::Default if needed => {
                let why = format!("the caBundle of the webhook that converts {name} is empty");
                check.unknown(&[&CONVERSION_WEBHOOK], why, format!("kubectl get crd {name} -o yaml"));
            }
            _ => {}
        },
    }
}

/// Definitions of the release that give up a version in which objects may be stored
/// (`ValidateCustomResourceDefinitionUpdate` and `validateCustomResourceDefinitionStoredVersions`,
/// `staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go`, v1.36).
fn stored_versions(check: &Examination, release: &Release) {
    let mut rule = check.rule(&STORED_VERSION_REMOVED);
    for (_, planned) in release.of_kind("apiextensions.k8s.io", "CustomResourceDefinition") {
        let live = match &planned.live {
            Live::Present(live) => live,
            Live::Unknown(error) => {
                check.need::<()>(&[&STORED_VERSION_REMOVED], Err(error.clone()));
                continue;
            }
            _ => continue,
        };
        rule.examined();
        let versions =
            planned.effective["spec"]["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let kept: Vec<&str> = versions.iter().filter_map(|version| version["name"].as_str()).collect();
        let stored =
            live["status"]["storedVersions"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let name = planned.object.display_name();
        for lost in stored.filter(|version| !kept.contains(version)) {
            rule.predict(
                Subject::at(&planned.object, &FieldPath::of("spec.versions")),
                format!("{name} gives up the version {lost}, in which objects may still be stored"),
                Remediation::new(format!(
                    "Keep {lost} with `served: false`, store every object anew, and take it out of status.storedVersions"
                ))
                .command(format!("kubectl get crd {name} -o jsonpath='{{.status.storedVersions}}'")),
            );
        }
    }
    rule.conclude("definitions that the release changes");
}
