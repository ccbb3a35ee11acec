//! Quotas: which there will be, what of them is used, and whether the release's own objects still go through.

use std::collections::BTreeMap;

use preflight_core::cluster::{ClusterError, Listed, Reader, Resource};
use preflight_core::manifests::Object;
use preflight_core::release::{Action, Planned, Projected, Release};
use preflight_core::{Quantity, RuleCheck, Subject};
use serde::Deserialize;
use serde_json::Value;

use super::placement::describe_quota;
use crate::capacity::quota::{BY_PLURAL, Charge, Quota, ResourceQuota};
use crate::capacity::requests;
use crate::capacity::view::Pod;
use crate::changes::{self, Happens};
use crate::storage::{self, Claim, NewClaim, StorageClass};

/// What cannot be told of a quota.
pub(super) struct Uncounted {
    pub(super) why: String,
}

/// The quotas as they will be. What is used of a new one, or of what an old one did not count, is counted now.
pub(super) async fn quotas(
    cluster: &Reader,
    live: &Listed<ResourceQuota>,
    release: &Release,
    pods: &Listed<Pod>,
) -> (Vec<Quota>, Vec<Uncounted>) {
    let mut quotas: BTreeMap<(String, String), (Quota, bool)> = BTreeMap::new();
    for (namespace, name, quota) in live.iter() {
        let quota = Quota::live(namespace, name, quota);
        quotas.insert((namespace.to_owned(), name.to_owned()), (quota, false));
    }
    let mut uncounted = Vec::new();
    for (_, planned) in release.of_kind("", "ResourceQuota") {
        let (Some(namespace), Some(name)) = (planned.namespace.clone(), planned.object.name()) else {
            continue;
        };
        let merged = changes::merged(planned, release.method());
        let Ok(wanted) = ResourceQuota::deserialize(&merged) else {
            uncounted.push(Uncounted { why: format!("{} cannot be read", planned.object.id()) });
            continue;
        };
        let key = (namespace.clone(), name.to_owned());
        let quota = match quotas.get(&key) {
            Some((live, _)) => live.changed(&wanted),
            None => Quota::live(&namespace, name, &wanted),
        };
        quotas.insert(key, (quota, true));
    }
    let mut all = Vec::new();
    for (mut quota, is_of_release) in quotas.into_values() {
        let names: Vec<String> = quota.uncounted().map(str::to_owned).collect();
        if !names.is_empty() && !is_of_release {
            uncounted.push(Uncounted {
                why: format!(
                    "the quota {} in {} does not say yet how much of {} is used",
                    quota.name,
                    quota.namespace,
                    names.join(", ")
                ),
            });
        }
        if is_of_release && !names.is_empty() {
            match count(cluster, &quota, &names, pods).await {
                Ok(counted) => counted.into_iter().for_each(|(name, amount)| quota.set_used(&name, amount)),
                Err(why) => uncounted.push(Uncounted { why }),
            }
        }
        all.push(quota);
    }
    (all, uncounted)
}

/// Counts what there is in a quota's namespace.
async fn count(
    cluster: &Reader,
    quota: &Quota,
    names: &[String],
    pods: &Listed<Pod>,
) -> Result<BTreeMap<String, Quantity>, String> {
    let mut counted: BTreeMap<String, Quantity> = BTreeMap::new();
    let of_pods = pods.iter().filter(|(namespace, _, pod)| *namespace == quota.namespace && !pod.has_ended());
    for (namespace, _, pod) in of_pods {
        let charge = Charge::pod(namespace, &pod.spec, &requests::requests(&pod.spec.containers()));
        if quota.covers(&charge.traits) {
            for (name, amount) in charge.amounts {
                let sum = counted.entry(name).or_default();
                *sum = sum.saturating_add(amount);
            }
        }
    }
    let mut used = BTreeMap::new();
    for name in names {
        let amount = match kind_of(name) {
            Some((plural, group)) if plural != "pods" => {
                let resource =
                    resource_of(cluster, plural, group).await.map_err(|error| error.to_string())?;
                let Some(resource) = resource else {
                    return Err(format!(
                        "the quota {} counts {name}, which the cluster does not serve",
                        quota.name
                    ));
                };
                let found = cluster.select(&resource, Some(&quota.namespace), "").await;
                let found = found.map_err(|error| {
                    format!("how many {plural} there are in {} is not known: {error}", quota.namespace)
                })?;
                Quantity::from_value(i64::try_from(found.len()).unwrap_or(i64::MAX))
            }
            _ if name.contains("storage") && !name.contains("ephemeral") => {
                return Err(format!("how much of {name} is used in {} is not counted", quota.namespace));
            }
            _ => counted.get(name).copied().unwrap_or_default(),
        };
        used.insert(name.clone(), amount);
    }
    Ok(used)
}

/// Plural and group of what a name of a quota counts, where it counts objects.
fn kind_of(name: &str) -> Option<(&str, &str)> {
    if let Some(counted) = name.strip_prefix("count/") {
        return Some(counted.split_once('.').unwrap_or((counted, "")));
    }
    BY_PLURAL.contains(&name).then_some((name, ""))
}

async fn resource_of(cluster: &Reader, plural: &str, group: &str) -> Result<Option<Resource>, ClusterError> {
    let discovery = cluster.discovery().await?;
    let found =
        discovery.served().find(|served| served.resource.plural == plural && served.resource.group == group);
    Ok(found.map(|served| served.resource.clone()))
}

/// Asks the quotas for each object that the release makes, in order, and counts those that go through.
pub(super) fn examine(rule: &mut RuleCheck<'_>, release: &Release, quotas: &mut [Quota]) {
    for planned in release.objects() {
        let Some((namespace, charges)) = charges(planned, release) else { continue };
        for (charge, what) in charges {
            match quotas.iter().find_map(|quota| quota.refuses(&charge)) {
                Some(excess) => {
                    let id = planned.object.id();
                    let message = format!("{what} {id} cannot be made: {excess}");
                    rule.predict(
                        Subject::object(&planned.object),
                        message,
                        describe_quota(&namespace, &excess.quota),
                    );
                }
                None => quotas.iter_mut().for_each(|quota| quota.charge(&charge, true)),
            }
        }
    }
}

/// What an object counts for beside its pods, and in what words.
fn charges(planned: &Planned, release: &Release) -> Option<(String, Vec<(Charge, &'static str)>)> {
    let (resource, namespace) = (planned.serving.resource()?, planned.namespace.clone()?);
    let object: &Object = &planned.object;
    let mut all = Vec::new();
    if planned.action == Action::Create {
        // Pods are counted when they are played through, claims with those that are made of templates.
        if !matches!(object.kind(), "Pod" | "PersistentVolumeClaim") {
            let mut charge = Charge::object(&namespace, &resource.plural, &resource.group);
            more_of(object, &planned.effective, &mut charge);
            all.push((charge, ""));
        }
    }
    let makes_set = object.group() == "apps" && object.kind() == "Deployment";
    if makes_set && changes::rollout(planned, release.method()).template == Happens::Yes {
        all.push((Charge::object(&namespace, "replicasets", "apps"), "the ReplicaSet of"));
    }
    let told =
        all.into_iter().map(|(charge, what)| (charge, if what.is_empty() { "the object" } else { what }));
    Some((namespace, told.collect()))
}

/// What Services count for beside being one (`pkg/quota/v1/evaluator/core/services.go`, v1.36).
fn more_of(object: &Object, effective: &Value, charge: &mut Charge) {
    if object.group() != "" || object.kind() != "Service" {
        return;
    }
    let spec = &effective["spec"];
    let ports = i64::try_from(spec["ports"].as_array().map_or(0, Vec::len)).unwrap_or(0);
    let kind = spec["type"].as_str().unwrap_or("ClusterIP");
    if kind == "LoadBalancer" {
        charge.amounts.insert("services.loadbalancers".to_owned(), Quantity::from_value(1));
    }
    if kind == "NodePort" || (kind == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"] != false) {
        charge.amounts.insert("services.nodeports".to_owned(), Quantity::from_value(ports));
    }
}

/// Asks the quotas for the claims that the release makes, and counts those that go through.
pub(super) fn examine_claims(rule: &mut RuleCheck<'_>, claims: &[NewClaim<'_>], quotas: &mut [Quota]) {
    for claim in claims {
        let charge = charge_of(claim);
        for _ in 0..claim.of.count.unwrap_or(1) {
            let Some(excess) = quotas.iter().find_map(|quota| quota.refuses(&charge)) else {
                quotas.iter_mut().for_each(|quota| quota.charge(&charge, true));
                continue;
            };
            let (namespace, name) = (&claim.of.namespace, &claim.of.name);
            let message = format!("the claim {namespace}/{name} cannot be made: {excess}");
            let subject = Subject::at(&claim.of.planned.object, &claim.of.path);
            rule.predict(subject, message, describe_quota(namespace, &excess.quota));
            break;
        }
    }
}

/// `pkg/quota/v1/evaluator/core/persistent_volume_claims.go`, v1.36.
fn charge_of(claim: &NewClaim<'_>) -> Charge {
    let mut charge = Charge::object(&claim.of.namespace, "persistentvolumeclaims", "");
    let size = claim.size().unwrap_or_default();
    charge.amounts.insert("requests.storage".to_owned(), size);
    if let Some(class) = claim.class.as_deref().filter(|class| !class.is_empty()) {
        let of_class = format!("{class}.storageclass.storage.k8s.io");
        charge.amounts.insert(format!("{of_class}/requests.storage"), size);
        charge.amounts.insert(format!("{of_class}/persistentvolumeclaims"), Quantity::from_value(1));
    }
    charge
}

/// The claims that the release makes; asks for those that are there only where it has any.
pub(super) async fn new_claims_of<'a>(
    cluster: &Reader,
    projected: &Projected,
    release: &'a Release,
) -> Result<Vec<NewClaim<'a>>, ClusterError> {
    if storage::claims_of(release).0.is_empty() {
        return Ok(Vec::new());
    }
    let (there, classes) = futures::try_join!(cluster.list::<Claim>(), projected.list::<StorageClass>())?;
    let exists = |namespace: &str, name: &str| there.get_in(namespace, name).is_some();
    Ok(storage::new_claims(release, exists, classes.iter().map(|(_, name, class)| (name, class))))
}
