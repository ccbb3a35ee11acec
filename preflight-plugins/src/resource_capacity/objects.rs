//! Quotas: which there will be, what of them is used, and whether the release's own objects still go through.

use std::collections::BTreeMap;

use preflight_core::cluster::{ClusterError, Listed, Reader, Resource};
use preflight_core::manifests::Object;
use preflight_core::release::{Live, Planned, Projected, Release};
use preflight_core::{Method, Quantity, RuleCheck, Subject};
use serde::Deserialize;
use serde_json::Value;

use super::placement::describe_quota;
use crate::capacity::quota::{BY_PLURAL, Charge, Quota, ResourceQuota};
use crate::capacity::requests::{self, ResourceList};
use crate::capacity::view::Pod;
use crate::changes::{self, Happens};
use crate::storage::{self, Claim, NewClaim, StorageClass};

/// The quotas as they will be, and what cannot be told of them. What is used of a new one, or of what an old one did not
/// count, is counted now.
pub(super) async fn quotas(
    cluster: &Reader,
    live: &Listed<ResourceQuota>,
    release: &Release,
    pods: &Listed<Pod>,
) -> (Vec<Quota>, Vec<String>) {
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
            uncounted.push(format!("{} cannot be read", planned.object.id()));
            continue;
        };
        let key = (namespace.clone(), name.to_owned());
        let wanted = Quota::wanted(&namespace, name, &wanted);
        let quota = quotas.get(&key).map_or(wanted.clone(), |(live, _)| live.with_bounds_of(&wanted));
        quotas.insert(key, (quota, true));
    }
    let mut all = Vec::new();
    for (mut quota, is_of_release) in quotas.into_values() {
        let names: Vec<String> = quota.uncounted().map(str::to_owned).collect();
        if !names.is_empty() && !is_of_release {
            uncounted.push(format!(
                "the quota {} in {} does not say yet how much of {} is used",
                quota.name,
                quota.namespace,
                names.join(", ")
            ));
        }
        if is_of_release && !names.is_empty() {
            match count(cluster, &quota, &names, pods).await {
                Ok(counted) => counted.into_iter().for_each(|(name, amount)| quota.set_used(&name, amount)),
                Err(why) => uncounted.push(why),
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
    let of_pods = pods.iter().filter(|(namespace, _, _)| *namespace == quota.namespace);
    for (namespace, _, pod) in of_pods {
        let mut charge = Charge::pod(namespace, &pod.spec, &requests::requests(&pod.spec.containers()));
        if pod.has_ended() {
            charge.amounts.retain(|name, _| name == "count/pods");
        }
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

/// Asks the quotas for each object that the release makes or lets grow, in order, and counts what goes through. What a
/// quota of the release says counts from there on. Gives the quotas as they will be.
pub(super) fn examine(
    rule: &mut RuleCheck<'_>,
    release: &Release,
    live: &Listed<ResourceQuota>,
    after: Vec<Quota>,
    claims: &[NewClaim<'_>],
) -> Vec<Quota> {
    let mut now: Vec<Quota> =
        live.iter().map(|(namespace, name, quota)| Quota::live(namespace, name, quota)).collect();
    let mut brought: Vec<(String, String)> = Vec::new();
    if release.method() == Method::Helm {
        // Helm keeps each revision in a Secret.
        let secret = Charge::object(release.default_namespace(), "secrets", "");
        if let Some(excess) = now.iter().find_map(|quota| quota.refuses(&secret)) {
            let message = format!("the Secret in which Helm keeps the release cannot be made: {excess}");
            let remedy = describe_quota(release.default_namespace(), &excess.quota);
            rule.predict(Subject::new("Helm release"), message, remedy);
        }
    }
    for planned in release.objects() {
        let Some(namespace) = planned.namespace.clone() else { continue };
        if planned.object.kind() == "ResourceQuota" && planned.object.group().is_empty() {
            let name = planned.object.display_name();
            if let Some(quota) = after.iter().find(|quota| quota.is(&namespace, name)) {
                let before = now.iter().position(|known| known.is(&namespace, name));
                match before {
                    Some(at) => now[at] = now[at].with_bounds_of(quota),
                    None => now.push(quota.clone()),
                }
                brought.push((namespace, name.to_owned()));
            }
            continue;
        }
        for (charge, what) in charges(planned, release, claims) {
            let Some(excess) = now.iter().find_map(|quota| quota.refuses(&charge)) else {
                now.iter_mut().for_each(|quota| quota.charge(&charge, true));
                continue;
            };
            let message = format!("{what} cannot be made: {excess}");
            let remedy = describe_quota(&namespace, &excess.quota);
            if brought.contains(&(namespace.clone(), excess.quota.clone())) {
                let why = format!(
                    "{message}; whether the quota counts by then is not sure, as it is applied just before"
                );
                rule.unknown(why, remedy.on_one_line());
            } else if what.starts_with(SET) && has_history(planned) {
                let why = format!("{message}; whether a former one is used again is not looked at");
                rule.unknown(why, remedy.on_one_line());
            } else {
                rule.predict(Subject::object(&planned.object), message, remedy);
            }
        }
    }
    // What is used counts on, for the pods that controllers make from now on.
    after
        .into_iter()
        .map(|quota| {
            let known = now.iter().find(|known| known.is(&quota.namespace, &quota.name));
            known.cloned().unwrap_or(quota)
        })
        .collect()
}

/// How the ReplicaSet of a Deployment is told.
const SET: &str = "the ReplicaSet of";

/// Whether a Deployment has had more than one template.
fn has_history(planned: &Planned) -> bool {
    let Live::Present(live) = &planned.live else { return false };
    let revision = live["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_str();
    revision.is_some_and(|revision| revision != "1")
}

/// What an object counts for beside its pods, and in what words.
fn charges(planned: &Planned, release: &Release, claims: &[NewClaim<'_>]) -> Vec<(Charge, String)> {
    let (Some(resource), Some(namespace)) = (planned.serving.resource(), planned.namespace.as_deref()) else {
        return Vec::new();
    };
    let object: &Object = &planned.object;
    let id = object.id();
    let mut all = Vec::new();
    match &planned.live {
        // Pods are counted when they are played through, claims with those that are made of templates.
        Live::Absent if !matches!(object.kind(), "Pod" | "PersistentVolumeClaim") => {
            let mut charge = Charge::object(namespace, &resource.plural, &resource.group);
            charge.amounts.extend(ports_of(object, &planned.effective));
            all.push((charge, format!("the object {id}")));
        }
        Live::Present(live) => {
            let merged = changes::merged(planned, release.method());
            let more = growth(&grown(object, live), &grown(object, &merged));
            if !more.is_empty() {
                let charge = Charge { namespace: namespace.to_owned(), amounts: more, ..Charge::default() };
                all.push((charge, format!("what {id} is to become")));
            }
        }
        _ => {}
    }
    let makes_set = object.group() == "apps" && object.kind() == "Deployment";
    if makes_set && changes::rollout(planned, release.method()).template == Happens::Yes {
        all.push((Charge::object(namespace, "replicasets", "apps"), format!("{SET} {id}")));
    }
    for claim in claims.iter().filter(|claim| std::ptr::eq(claim.of.planned, planned)) {
        let mut charge = charge_of(claim);
        let count = i64::try_from(claim.of.count.unwrap_or(1)).unwrap_or(i64::MAX);
        charge.amounts.values_mut().for_each(|amount| *amount = amount.saturating_mul(count));
        all.push((charge, format!("the claim {}/{}", claim.of.namespace, claim.of.name)));
    }
    all
}

/// What an object counts for that may grow while it is there.
fn grown(object: &Object, value: &Value) -> ResourceList {
    if object.group().is_empty() && object.kind() == "PersistentVolumeClaim" {
        let spec = &value["spec"];
        let size =
            spec["resources"]["requests"]["storage"].as_str().and_then(|size| Quantity::parse(size).ok());
        return storage_of(size.unwrap_or_default(), spec["storageClassName"].as_str());
    }
    ports_of(object, value)
}

/// By how much more it counts (`SubtractWithNonNegativeResult`, `staging/src/k8s.io/apiserver/pkg/quota/v1/resources.go`,
/// v1.36).
fn growth(before: &ResourceList, after: &ResourceList) -> ResourceList {
    let more = after.iter().map(|(name, amount)| {
        (name.clone(), amount.saturating_sub(before.get(name).copied().unwrap_or_default()))
    });
    more.filter(|(_, more)| !more.is_zero() && !more.is_negative()).collect()
}

/// What Services count for beside being one (`pkg/quota/v1/evaluator/core/services.go`, v1.36).
fn ports_of(object: &Object, value: &Value) -> ResourceList {
    let mut amounts = ResourceList::new();
    if object.group() != "" || object.kind() != "Service" {
        return amounts;
    }
    let spec = &value["spec"];
    let ports = i64::try_from(spec["ports"].as_array().map_or(0, Vec::len)).unwrap_or(0);
    let kind = spec["type"].as_str().unwrap_or("ClusterIP");
    if kind == "LoadBalancer" {
        amounts.insert("services.loadbalancers".to_owned(), Quantity::from_value(1));
    }
    if kind == "NodePort" || (kind == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"] != false) {
        amounts.insert("services.nodeports".to_owned(), Quantity::from_value(ports));
    }
    amounts
}

/// `pkg/quota/v1/evaluator/core/persistent_volume_claims.go`, v1.36.
fn charge_of(claim: &NewClaim<'_>) -> Charge {
    let mut charge = Charge::object(&claim.of.namespace, "persistentvolumeclaims", "");
    let class = claim.class.as_deref();
    charge.amounts.extend(storage_of(claim.size().unwrap_or_default(), class));
    if let Some(class) = class.filter(|class| !class.is_empty()) {
        let name = format!("{class}.storageclass.storage.k8s.io/persistentvolumeclaims");
        charge.amounts.insert(name, Quantity::from_value(1));
    }
    charge
}

fn storage_of(size: Quantity, class: Option<&str>) -> ResourceList {
    let mut amounts = ResourceList::from([("requests.storage".to_owned(), size)]);
    if let Some(class) = class.filter(|class| !class.is_empty()) {
        amounts.insert(format!("{class}.storageclass.storage.k8s.io/requests.storage"), size);
    }
    amounts
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
