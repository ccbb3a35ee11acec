//! What the ValidatingAdmissionPolicies of the cluster and of the release decide, worked out.

use std::collections::BTreeSet;

use futures::future::join_all;
use preflight_core::cluster::{ClusterError, Identity, Reader};
use preflight_core::release::{Projected, Release};
use preflight_core::{Examination, Remediation, RuleCheck};
use serde::Deserialize;
use serde_json::{Value, json};

use super::POLICY;
use super::trials::Trials;
use crate::cel::PARTIAL;
use crate::intercept::{
    Force, LimitRanges, Matched, Outcome, Pair, Parameters, Policies, PolicyKind, Request, Requests, Seen,
    Sources, changing, compiled, parameters, requests, settle, validate,
};

/// A LimitRange, of which only matters that there is one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LimitRange {}

preflight_core::view!(LimitRange: namespaced "" "v1" "limitranges" "LimitRange");

pub(super) async fn examine(
    check: &Examination,
    cluster: &Reader,
    projected: &Projected,
    release: &Release,
    deployer: Option<&Identity>,
    trials: &Trials,
) {
    let (policies, discovery, webhooks, limits) = futures::join!(
        Policies::of(cluster, release),
        cluster.discovery(),
        changing(cluster, release),
        projected.list::<LimitRange>(),
    );
    let mut rule = check.rule(&POLICY);
    let Some(discovery) = check.need(&[&POLICY], discovery) else { return };
    let policies = match policies {
        Ok(policies) => policies,
        Err(error) => return without_policies(check, rule, release, trials, error),
    };
    if policies.pairs.is_empty() {
        rule.examined_many(release.objects().len());
        return rule.conclude_with("no admission policy is bound");
    }
    let limits = match limits {
        Ok(limits) => LimitRanges::In(limits.iter().map(|(namespace, _, _)| namespace.to_owned()).collect()),
        Err(_) => LimitRanges::Unknown,
    };
    let mut requests = requests(release, cluster, &limits).await;
    let user = user(cluster, deployer).await;
    for request in requests.all.iter_mut().filter(|request| !request.by_controller) {
        request.user.clone_from(&user);
    }
    let sources = Sources { cluster, release, discovery: &discovery };
    let webhooks = webhooks.unwrap_or_else(|error| {
        let why = format!("webhooks may change it, which cannot be listed: {error}");
        requests.all.iter_mut().for_each(|request| request.changed = Some(why.clone()));
        Vec::new()
    });
    let stopped = settle(sources, &mut requests, &policies.pairs, &webhooks).await;
    for one in stopped {
        let Some(request) = requests.all.get(one.request) else { continue };
        let why = format!("it cannot change what it is to change: {}", one.why);
        tell(check, &mut rule, one.pair, request, Outcome::Refused(why), None);
    }
    let compiled = compiled(&policies.pairs);
    let mut told = BTreeSet::new();
    for (at, compiled) in &compiled {
        let Some(pair) = policies.pairs.get(*at) else { continue };
        let asked = requests.all.iter().filter(|request| request.lands_anyway.is_none());
        for request in asked {
            let force = pair.force(request);
            if force == Force::No || is_decided(pair, request, release, trials) {
                continue;
            }
            let unsure = match pair.matches(request, &requests, &discovery) {
                Matched::No => continue,
                Matched::Yes if force == Force::Perhaps => Some(Doubt::Soon),
                Matched::Yes => None,
                Matched::Unsure(why) => Some(Doubt::Match(why)),
            };
            rule.examined();
            for outcome in judge(sources, &requests, pair, request, compiled).await {
                // One object may be asked for with several requests.
                if told.insert(format!("{} {} {} {outcome:?}", pair.name, pair.bound_by, request.id)) {
                    tell(check, &mut rule, pair, request, outcome, unsure.as_ref());
                }
            }
        }
    }
    let tried = trials.decided();
    let also = if tried == 0 { String::new() } else { format!("; {tried} objects and pods were tried out") };
    rule.examined_many(tried);
    rule.conclude(&format!("requests that admission policies match, or that were tried out{also}"));
}

/// Why a policy may not decide.
enum Doubt {
    /// Whether it matches is not known.
    Match(String),
    /// The release changes it shortly before.
    Soon,
}

/// Policies that cannot be listed decide all the same: what was tried out they have decided.
fn without_policies(
    check: &Examination,
    mut rule: RuleCheck<'_>,
    release: &Release,
    trials: &Trials,
    error: ClusterError,
) {
    let open = release.objects().iter().filter(|planned| !trials.decides(planned));
    if open.count() > 0 {
        let _ = check.need::<()>(&[&POLICY], Err(error));
        return;
    }
    rule.examined_many(trials.decided());
    rule.conclude_with(format!("{} objects and pods were tried out", trials.decided()));
}

/// Whether the API server has said so itself.
fn is_decided(pair: &Pair, request: &Request<'_>, release: &Release, trials: &Trials) -> bool {
    let Some(planned) = release.objects().get(request.position) else { return false };
    if pair.from.is_some() || pair.until.is_some() || request.subresource.is_some() {
        return false;
    }
    match (request.by_controller, request.operation) {
        (false, _) => trials.decides_object(planned),
        (true, "CREATE") => request.resource.plural == "pods" && trials.takes_pods_of(planned),
        _ => false,
    }
}

async fn judge(
    sources: Sources<'_>,
    requests: &Requests<'_>,
    pair: &Pair,
    request: &Request<'_>,
    compiled: &crate::intercept::Compiled,
) -> Vec<Outcome> {
    let Sources { cluster, release, discovery } = sources;
    let all = match parameters(pair, request, discovery, cluster, release).await {
        Parameters::These(all) => all,
        // What is wrong with parameters is told by the check that looks at operators.
        Parameters::Absent | Parameters::Broken(_) | Parameters::Unknown(_) => return Vec::new(),
    };
    let namespace = requests.namespace_of(request);
    let namespace = namespace.as_ref().map_err(String::as_str);
    let each =
        all.iter().flat_map(|parameters| validate(pair, compiled, request, &Seen { parameters, namespace }));
    each.collect()
}

fn tell(
    check: &Examination,
    rule: &mut RuleCheck<'_>,
    pair: &Pair,
    request: &Request<'_>,
    outcome: Outcome,
    doubt: Option<&Doubt>,
) {
    let Pair { kind, name, bound_by, .. } = pair;
    let remedy = Remediation::new("Change the object, or what the policy asks for")
        .command(format!("kubectl get {} {name} -o yaml", kind.name()))
        .command(format!("kubectl get {}binding {bound_by} -o yaml", kind.name()));
    let what = format!("the policy {name} (binding {bound_by})");
    let told = request.told();
    let has = |action: &str| pair.binding.validation_actions.iter().any(|own| own == action);
    let (denies, why) = match outcome {
        Outcome::Refused(why) => (true, why),
        Outcome::Broken(why) if has("Deny") => (true, why),
        Outcome::Broken(why) if has("Warn") => (false, why),
        Outcome::Broken(_) => return,
        Outcome::Open(_) if *kind == PolicyKind::Validating && !has("Deny") => return,
        Outcome::Open(why) => {
            let why = format!("what {what} decides about {told} is not known: {why}");
            return check.unknown(&[&POLICY], why, remedy.on_one_line());
        }
    };
    match (denies, doubt) {
        (true, None) => {
            rule.predict(request.subject(), format!("{told} is refused: {what} says: {why}"), remedy)
        }
        (true, Some(Doubt::Match(unsure))) => {
            let why = format!("{what} refuses {told} if it matches ({why}), and that is not known: {unsure}");
            check.unknown(&[&POLICY], why, remedy.on_one_line());
        }
        (true, Some(Doubt::Soon)) => {
            let why = format!(
                "{what}, which the release changes, refuses {told} if the API server has seen the change by then: {why}"
            );
            rule.warn(request.subject(), why, remedy);
        }
        (false, _) => rule.warn(request.subject(), format!("{what} warns of {told}: {why}"), remedy),
    }
}

/// Who applies the release, as `userInfo` says it. What else it says is not known.
async fn user(cluster: &Reader, deployer: Option<&Identity>) -> Option<Value> {
    let (name, groups) = match deployer {
        Some(deployer) => (deployer.user.clone(), deployer.groups.clone()),
        None => {
            let user = cluster.user().await.ok()?;
            (user.username, user.groups)
        }
    };
    (!name.is_empty()).then(|| json!({"username": name, "groups": groups, PARTIAL: true}))
}

/// Asks for the lists; whoever needs one shares the answer.
pub(super) async fn prefetch(cluster: &Reader) {
    use crate::intercept::{Binding, Mutating, MutatingBinding, MutatingPolicy, Policy};
    let _ = join_all([
        Box::pin(async { drop(cluster.list::<Policy>().await) }) as futures::future::BoxFuture<'_, ()>,
        Box::pin(async { drop(cluster.list::<Binding>().await) }),
        Box::pin(async { drop(cluster.list::<MutatingPolicy>().await) }),
        Box::pin(async { drop(cluster.list::<MutatingBinding>().await) }),
        Box::pin(async { drop(cluster.list::<Mutating>().await) }),
    ])
    .await;
}
