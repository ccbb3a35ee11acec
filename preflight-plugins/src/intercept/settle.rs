//! What becomes of the objects of requests before they are judged: policies and webhooks may change them.

use std::collections::{BTreeMap, BTreeSet};

use preflight_core::cluster::{ClusterError, ClusterErrorKind, Discovery, Reader};
use preflight_core::release::Release;
use serde::Deserialize;
use serde_json::Value;

use super::evaluate::{Compiled, Seen};
use super::matching::{Matched, Whose};
use super::mutate::{Mutated, mutate};
use super::policies::{Force, Pair, Parameters, PolicyKind, parameters};
use super::requests::Requests;
use super::webhooks::{Mutating, Webhook};
use crate::cel::UNKNOWN;
use crate::effective::{Surroundings, created};
use crate::labels;

/// Where the answers come from.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) cluster: &'a Reader,
    pub(crate) release: &'a Release,
    pub(crate) discovery: &'a Discovery,
}

/// A request that a policy refuses because it cannot change its object.
pub(crate) struct Stopped<'a> {
    /// Its place among the requests.
    pub(crate) request: usize,
    pub(crate) pair: &'a Pair,
    pub(crate) why: String,
}

/// The webhooks that may change objects, as they are and as the release brings them.
///
/// # Errors
/// They cannot be listed.
pub(crate) async fn changing(cluster: &Reader, release: &Release) -> Result<Vec<Webhook>, ClusterError> {
    let live = match cluster.list::<Mutating>().await {
        Err(error) if matches!(error.kind(), ClusterErrorKind::NotFound) => Vec::new(),
        live => live?.iter().flat_map(|(_, _, one)| one.webhooks.clone()).collect(),
    };
    let coming = release.of_kind("admissionregistration.k8s.io", "MutatingWebhookConfiguration");
    let coming = coming.filter_map(|(_, planned)| {
        Option::<Vec<Webhook>>::deserialize(&planned.effective["webhooks"]).ok()?
    });
    Ok(live.into_iter().chain(coming.flatten()).collect())
}

/// What came of settling.
pub(crate) struct Settled<'a> {
    pub(crate) stopped: Vec<Stopped<'a>>,
    /// Places of the requests whose object policies have changed.
    pub(crate) changed: BTreeSet<usize>,
}

/// Makes of the objects of requests what policies make of them, and says of which it is not known.
pub(crate) async fn settle<'a>(
    sources: Sources<'_>,
    requests: &mut Requests<'_>,
    pairs: &'a [Pair],
    webhooks: &[Webhook],
) -> Settled<'a> {
    let mut mutating = compiled(pairs, PolicyKind::Mutating);
    mutating.sort_by(|(one, _), (two, _)| one.name.cmp(&two.name));
    let (mut stopped, mut changed) = (Vec::new(), BTreeSet::new());
    for at in 0..requests.all.len() {
        for (pair, compiled) in &mutating {
            let Some(request) = requests.all.get(at) else { break };
            // Pods that are made at once are made before the API server has seen that the policy changes.
            let still =
                pair.until.is_some() && pair.from.is_none() && request.by_controller && request.at_once;
            let force = if still { Force::Still } else { pair.force(request) };
            let why = match (force, pair.matches(request, requests, sources.discovery)) {
                (Force::No, _) | (_, Matched::No) => continue,
                (_, Matched::Unsure(why)) => Some(why),
                (Force::Perhaps | Force::Still, Matched::Yes) => Some("the release changes it".to_owned()),
                (Force::Yes, Matched::Yes) => None,
            };
            let told = |why: &str| format!("the policy {} may change it: {why}", pair.name);
            let next = match why {
                Some(why) => Err(told(&why)),
                None => one(sources, requests, at, pair, compiled).await,
            };
            let Some(request) = requests.all.get_mut(at) else { break };
            match next {
                Ok(Mutated::No) => {}
                Ok(Mutated::Into(object)) => {
                    request.by_policy = true;
                    request.object = object;
                    changed.insert(at);
                }
                Ok(Mutated::Refused(why)) => stopped.push(Stopped { request: at, pair, why }),
                Ok(Mutated::Unknown(why)) => {
                    request.by_policy = true;
                    request.changed = Some(told(&why));
                }
                Err(why) => {
                    // What the release brings does mostly not count yet.
                    request.by_policy |= force != Force::Perhaps;
                    request.changed = Some(why);
                }
            }
        }
        if let Some(request) = requests.all.get_mut(at).filter(|_| changed.contains(&at)) {
            // What was added is completed in its turn, and selected by.
            if request.operation == "CREATE" {
                request.object = created(&request.object, Surroundings { limit_range: true });
            }
            if let Some(labels) = request.labels.first_mut() {
                *labels = labels::of(&request.object);
                labels.values_mut().filter(|value| *value == UNKNOWN).for_each(String::clear);
            }
        }
        let Some(request) = requests.all.get(at) else { break };
        let called = webhooks.iter().find(|webhook| {
            let matched =
                webhook.criteria.matches(Whose::Webhook, request, &requests.namespaces, sources.discovery);
            matched != Matched::No
        });
        if let (Some(webhook), Some(request)) = (called, requests.all.get_mut(at)) {
            request.changed.get_or_insert_with(|| format!("the webhook {} may change it", webhook.name));
        }
    }
    // What controllers make of an object that is changed is not what it was.
    let owners: BTreeMap<usize, String> = requests
        .all
        .iter()
        .filter(|request| request.by_policy && !request.is_pod())
        .map(|request| (request.position, format!("a policy changes {}", request.told())))
        .collect();
    for request in requests.all.iter_mut().filter(|request| request.by_controller) {
        if let Some(why) = owners.get(&request.position) {
            request.changed.get_or_insert_with(|| why.clone());
        }
    }
    Settled { stopped, changed }
}

async fn one(
    sources: Sources<'_>,
    requests: &Requests<'_>,
    at: usize,
    pair: &Pair,
    compiled: &Compiled,
) -> Result<Mutated, String> {
    let Some(request) = requests.all.get(at) else { return Ok(Mutated::No) };
    let Sources { cluster, release, discovery } = sources;
    if pair.converts(request, discovery) {
        return Err(format!("the policy {} may change it: it looks at another version", pair.name));
    }
    let all = match parameters(pair, request, discovery, cluster, release).await {
        Parameters::These(all) => all,
        Parameters::Absent => return Ok(Mutated::No),
        Parameters::Broken(_) if pair.policy.ignores_failures() => return Ok(Mutated::No),
        // That it cannot be evaluated is told by another check.
        Parameters::Broken(why) | Parameters::Unknown(why) => return Err(why),
    };
    let namespace = requests.namespace_of(request);
    let mut object: Option<Value> = None;
    for parameters in &all {
        let namespace = namespace.as_ref().map_err(String::as_str);
        let request = match &object {
            Some(object) => super::Request { object: object.clone(), ..request.clone() },
            None => request.clone(),
        };
        match mutate(pair, compiled, &request, &Seen { parameters, namespace }) {
            Mutated::Into(next) => object = Some(next),
            Mutated::No => {}
            other => return Ok(other),
        }
    }
    Ok(object.map_or(Mutated::No, Mutated::Into))
}

/// The policies of a kind, each compiled once.
pub(crate) fn compiled(pairs: &[Pair], kind: PolicyKind) -> Vec<(&Pair, Compiled)> {
    let of_kind = pairs.iter().filter(|pair| pair.kind == kind);
    of_kind.map(|pair| (pair, Compiled::of(&pair.policy))).collect()
}
