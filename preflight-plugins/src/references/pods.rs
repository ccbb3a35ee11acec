//! What pods need in order to start: ConfigMaps, Secrets and their keys, and their ServiceAccount.

use std::collections::BTreeMap;

use futures::future::join_all;
use preflight_core::release::Planned;
use preflight_core::{Examination, FieldPath, Remediation, RuleCheck, Subject, Undecided};

use super::find::{Finder, Found, Target};
use super::keys::{self, Keys};
use super::producers::{self, Maker};
use super::settings::References;
use super::{
    CONFIG_MAPS, CONFIG_MISSING, KEY_MISSING, OF_PODS, SECRETS, SERVICE_ACCOUNT_MISSING, SERVICE_ACCOUNTS,
};
use crate::changes::{Happens, rollout};
use crate::told::some;

/// ConfigMaps that a controller puts into every namespace (`pkg/controller/certificates/rootcacertpublisher/publisher.go`,
/// v1.36, and OpenShift's service CA operator).
const EVERYWHERE: [&str; 2] = ["kube-root-ca.crt", "openshift-service-ca.crt"];
/// How many keys are told.
const TOLD: usize = 8;

/// An object that a workload's pods need, and where it is named.
struct Need<'a> {
    planned: &'a Planned,
    /// Whether pods are made now.
    pods: Happens,
    target: Target,
    /// Where it is named first.
    path: FieldPath,
    /// The keys that are needed, and where.
    keys: Vec<(String, FieldPath)>,
}

/// What is known of an object that is needed.
struct Known {
    found: Found,
    keys: Option<Keys>,
    maker: Option<Maker>,
}

pub(super) async fn examine(check: &Examination, finder: &Finder<'_>, settings: &References) {
    let needs = needs(finder);
    let mut wanted: BTreeMap<&Target, bool> = BTreeMap::new();
    for need in &needs {
        *wanted.entry(&need.target).or_default() |= !need.keys.is_empty();
    }
    let looking = wanted.iter().map(|(target, keys)| look(check, finder, *settings, target, *keys));
    let known: BTreeMap<&Target, Option<Known>> =
        wanted.keys().copied().zip(join_all(looking).await).collect();
    let mut missing = check.rule(&CONFIG_MISSING);
    let mut lacking = check.rule(&KEY_MISSING);
    for need in &needs {
        let Some(Some(known)) = known.get(&need.target) else { continue };
        missing.examined();
        match known.found.lack() {
            Some(lack) => absent(&mut missing, finder, need, known, lack),
            None => {
                for (key, path) in &need.keys {
                    lacking.examined();
                    if let Some(keys) = &known.keys {
                        judge_key(&mut lacking, need, keys, key, path);
                    }
                }
            }
        }
    }
    missing.conclude("ConfigMaps and Secrets that pods need");
    lacking.conclude("keys that pods need");
    accounts(check, finder).await;
}

/// What is known of an object; nothing if it could not be looked at, which is told.
async fn look(
    check: &Examination,
    finder: &Finder<'_>,
    settings: References,
    target: &Target,
    needs_keys: bool,
) -> Option<Known> {
    let rules = &OF_PODS[..if needs_keys { 2 } else { 1 }];
    if target.kind == "ConfigMap" && EVERYWHERE.contains(&target.name.as_str()) {
        let found = Found::Coming(0, std::sync::Arc::default());
        return Some(Known { found, keys: None, maker: None });
    }
    let found = check.need(rules, finder.find(target).await)?;
    let is_missing = found.lack().is_some();
    let keys = match needs_keys && !is_missing {
        true => check.need(&[&KEY_MISSING], keys::of(finder, settings, target, &found).await),
        false => None,
    };
    let maker = match is_missing {
        true => check.need(&[&CONFIG_MISSING], unable(target, producers::of(finder, target).await))?,
        false => None,
    };
    Some(Known { found, keys, maker })
}

fn unable<T>(target: &Target, maker: Result<T, Undecided>) -> Result<T, Undecided> {
    maker.map_err(|error| {
        let why = format!(
            "{target} does not exist, and whether something will make it is not known: {}",
            error.message()
        );
        Undecided::unknown(why).advice("name it under `expects` in the environment, or create it")
    })
}

/// The ConfigMaps and Secrets that pods of the release do not start without, each once for a workload.
fn needs<'a>(finder: &Finder<'a>) -> Vec<Need<'a>> {
    let mut needs = Vec::new();
    for planned in finder.release.objects() {
        let Some(namespace) =
            planned.namespace.as_deref().filter(|_| planned.object.pod_template().is_some())
        else {
            continue;
        };
        let pods = rollout(planned, finder.release.method()).pods;
        let mut own: BTreeMap<Target, Need<'a>> = BTreeMap::new();
        for named in planned.object.references() {
            let resource = match (named.group.as_str(), named.kind.as_str()) {
                ("", "ConfigMap") => CONFIG_MAPS,
                ("", "Secret") => SECRETS,
                _ => continue,
            };
            // The kubelet pulls without Secrets that are not there; whether it can is looked at with the images.
            if named.optional || named.path.to_string().contains("imagePullSecrets") {
                continue;
            }
            let target = Target::of(&resource, Some(namespace), &named.name);
            let need = own.entry(target.clone()).or_insert_with(|| Need {
                planned,
                pods,
                target,
                path: named.path.clone(),
                keys: Vec::new(),
            });
            if let Some(key) = named.key {
                need.keys.push((key, named.path.parent().key("key")));
            }
        }
        needs.extend(own.into_values());
    }
    needs
}

fn absent(rule: &mut RuleCheck<'_>, finder: &Finder<'_>, need: &Need<'_>, known: &Known, lack: &str) {
    let Need { planned, target, .. } = need;
    let subject = Subject::at(&planned.object, &need.path);
    let namespace = target.namespace.as_deref().unwrap_or_default();
    if let Some(by) = finder.expected(target) {
        let message = format!("{target} does not exist yet; the environment expects {by} to make it");
        let remedy = Remediation::new("Make sure that it is there before the release is applied")
            .command(format!("kubectl get {} {} -n {namespace}", target.kind.to_lowercase(), target.name));
        return rule.warn(subject, message, remedy);
    }
    let id = planned.object.id();
    match &known.maker {
        Some(Maker { what, trouble: None }) => {
            let message = format!("{id} needs the {target}, {lack}; {what} is to have it made");
            let remedy = Remediation::new("Make sure that its operator runs, and has made it").command(
                format!("kubectl get {} {} -n {namespace}", target.kind.to_lowercase(), target.name),
            );
            rule.warn(subject, message, remedy);
        }
        Some(Maker { what, trouble: Some(trouble) }) => {
            let message = format!(
                "{id} needs the {target}, {lack}; {what} is to have it made, and is not well: {trouble}"
            );
            let remedy = Remediation::new(format!("See to {what}"))
                .command(format!("kubectl get {} -n {namespace}", target.kind.to_lowercase()));
            need.pods.predict(rule, subject, &message, "its pods start", remedy);
        }
        None => {
            let elsewhere = finder
                .elsewhere(target)
                .map(|other| format!("; the release has one in the namespace {other}"));
            let message = format!("{id} needs the {target}, {lack}{}", elsewhere.unwrap_or_default());
            need.pods.predict(rule, subject, &message, "its pods start", create(need));
        }
    }
}

/// How a missing ConfigMap or Secret is made.
fn create(need: &Need<'_>) -> Remediation {
    let Target { kind, name, .. } = &need.target;
    let namespace = need.target.namespace.as_deref().unwrap_or_default();
    let literals: String = match need.keys.is_empty() {
        true => " --from-literal=KEY=VALUE".to_owned(),
        false => {
            let mut keys: Vec<&String> = need.keys.iter().map(|(key, _)| key).collect();
            keys.sort();
            keys.dedup();
            keys.into_iter().map(|key| format!(" --from-literal={key}=VALUE")).collect()
        }
    };
    let what = if kind == "Secret" { "secret generic" } else { "configmap" };
    let plural = if kind == "Secret" { "secrets" } else { "configmaps" };
    Remediation::new("Put it into the release, create it, or name one that exists")
        .command(format!("kubectl get {plural} -n {namespace}"))
        .command(format!("kubectl create {what} {name} -n {namespace}{literals}"))
}

fn judge_key(rule: &mut RuleCheck<'_>, need: &Need<'_>, keys: &Keys, key: &str, path: &FieldPath) {
    let Target { kind, name, .. } = &need.target;
    let namespace = need.target.namespace.as_deref().unwrap_or_default();
    let look = format!("kubectl describe {} {name} -n {namespace}", kind.to_lowercase());
    match keys.has(key) {
        Ok(true) => {}
        Ok(false) => {
            let has = match keys.known().len() {
                0 => "it has none".to_owned(),
                _ => format!("it has {}", some(keys.known(), TOLD)),
            };
            let message =
                format!("{} needs the key {key:?} of the {}: {has}", need.planned.object.id(), need.target);
            let remedy = Remediation::new("Add the key, or name one that it has").command(look);
            need.pods.predict(rule, Subject::at(&need.planned.object, path), &message, "its pods start", remedy);
        }
        Err(why) => rule.unknown(
            format!("{} needs the key {key:?} of the {}, and {why}", need.planned.object.id(), need.target),
            "set `references: {read_secrets: true}` in the environment and grant `get` on it, or accept not knowing",
        ),
    }
}

async fn accounts(check: &Examination, finder: &Finder<'_>) {
    let mut rule = check.rule(&SERVICE_ACCOUNT_MISSING);
    let workloads = finder.release.objects().iter().enumerate().filter_map(|(at, planned)| {
        let template = planned.object.pod_template()?;
        let account = template.service_account();
        let target = Target::of(&SERVICE_ACCOUNTS, planned.namespace.as_deref(), account);
        // Every namespace gets the one that is called `default`, and the API server waits for it.
        target.namespace.as_ref().filter(|_| account != "default")?;
        Some((at, planned, template.spec_path("serviceAccountName"), target))
    });
    let workloads: Vec<_> = workloads.collect();
    let looking = workloads.iter().map(|(.., target)| finder.find(target));
    for ((at, planned, path, target), found) in workloads.iter().zip(join_all(looking).await) {
        let Some(found) = check.need(&[&SERVICE_ACCOUNT_MISSING], found) else { continue };
        rule.examined();
        let namespace = target.namespace.as_deref().unwrap_or_default();
        let (subject, id) = (Subject::at(&planned.object, path), planned.object.id());
        let pods = rollout(planned, finder.release.method()).pods;
        let remedy = Remediation::new("Put it into the release, create it, or name one that exists")
            .command(format!("kubectl create serviceaccount {} -n {namespace}", target.name));
        match found.lack() {
            None => {
                let late = matches!(found, Found::Coming(place, _) if place > *at);
                if late && planned.object.kind() == "Pod" {
                    let message = format!("{id} runs as the {target}, which is applied only after it");
                    let remedy = Remediation::new("Put the ServiceAccount before the pods that run as it")
                        .command(format!("kubectl create serviceaccount {} -n {namespace}", target.name));
                    rule.predict(subject, message, remedy);
                }
            }
            Some(lack) => match finder.expected(target) {
                Some(by) => {
                    let message =
                        format!("{target} does not exist yet; the environment expects {by} to make it");
                    rule.warn(subject, message, remedy);
                }
                None => {
                    let message = format!("{id} runs as the {target}, {lack}: no pod of it can be made");
                    pods.predict(&mut rule, subject, &message, "pods are made", remedy);
                }
            },
        }
    }
    rule.conclude("workloads that run as a ServiceAccount of their own");
}
