//! What the ValidatingAdmissionPolicies of the cluster and of the release decide, worked out.

use std::collections::BTreeSet;
use std::sync::Arc;

use preflight_core::cluster::{ClusterError, Discovery, Identity, Reader};
use preflight_core::release::{Action, Projected, Release};
use preflight_core::{Context, Examination, Remediation, RuleCheck};
use serde::Deserialize;
use serde_json::{Value, json};

use super::trials::Trials;
use super::{PODS_CHANGED, POLICY};
use crate::admitted::AdmittedPods;
use crate::cel::PARTIAL;
use crate::effective::without_marks;
use crate::intercept::{
    Compiled, Force, LimitRanges, Matched, Outcome, Pair, Parameters, Policies, PolicyKind, Request,
    Requests, Seen, Settled, Sources, Webhook, changing, compiled, parameters, requests, settle, validate,
};

/// A LimitRange, of which only matters that there is one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LimitRange {}

preflight_core::view!(LimitRange: namespaced "" "v1" "limitranges" "LimitRange");

/// What is needed to judge the requests of the release.
pub(super) struct Prepared {
    discovery: Arc<Discovery>,
    policies: Result<Policies, ClusterError>,
    webhooks: Result<Vec<Webhook>, ClusterError>,
    limits: LimitRanges,
    user: Option<Value>,
}

/// Asks for what is needed; it does not depend on what trying the release out comes to.
pub(super) async fn prepare(
    check: &Examination,
    cluster: &Reader,
    projected: &Projected,
    release: &Release,
    deployer: Option<&Identity>,
) -> Option<Prepared> {
    let (policies, discovery, webhooks, limits, user) = futures::join!(
        Policies::of(cluster, release),
        cluster.discovery(),
        changing(cluster, release),
        projected.list::<LimitRange>(),
        user(cluster, deployer),
    );
    let limits = match limits {
        Ok(limits) => LimitRanges::In(limits.iter().map(|(namespace, _, _)| namespace.to_owned()).collect()),
        Err(_) => LimitRanges::Unknown,
    };
    let discovery = check.need(&[&POLICY, &PODS_CHANGED], discovery)?;
    Some(Prepared { discovery, policies, webhooks, limits, user })
}

/// Judges the requests, and hands over what becomes of the pods.
pub(super) async fn examine(
    check: &Examination,
    context: &Context,
    cluster: &Reader,
    release: &Release,
    prepared: Option<Prepared>,
    trials: &Trials,
) {
    let mut admitted = AdmittedPods::default();
    trials.workloads().iter().for_each(|(position, why)| admitted.unclear(*position, why.clone()));
    let Some(Prepared { discovery, policies, webhooks, limits, user }) = prepared else {
        trials.changed().iter().for_each(|(position, pod)| admitted.change(*position, pod.clone()));
        return context.provide(admitted);
    };
    let sources = Sources { cluster, release, discovery: &discovery };
    let (policies, why) = match policies {
        Ok(policies) => (policies, None),
        Err(error) => (Policies::default(), Some(error)),
    };
    let mut requests = requests(release, cluster, &limits).await;
    for request in requests.all.iter_mut().filter(|request| !request.by_controller) {
        request.user.clone_from(&user);
    }
    let called = webhooks.as_deref().unwrap_or_default();
    let Settled { stopped, changed } = settle(sources, &mut requests, &policies.pairs, called).await;
    hand_over(&mut admitted, &requests, release, trials, &changed);
    context.provide(admitted);
    pods_changed(check, &requests, release, trials, webhooks.as_ref().err().or(why.as_ref()));
    if let Some(error) = why {
        return without_policies(check, release, trials, error);
    }
    let mut rule = check.rule(&POLICY);
    for one in stopped {
        let Some(request) = requests.all.get(one.request) else { continue };
        if is_decided(one.pair, request, &requests, release, trials) {
            continue;
        }
        let why = format!("it cannot change what it is to change: {}", one.why);
        tell(check, &mut rule, one.pair, request, Outcome::Refused(why), None);
    }
    if let Err(error) = &webhooks {
        let why = format!("webhooks may change it, which cannot be listed: {error}");
        requests.all.iter_mut().for_each(|request| request.changed = Some(why.clone()));
    }
    let mut told = BTreeSet::new();
    for (pair, compiled) in &compiled(&policies.pairs, PolicyKind::Validating) {
        for request in requests.all.iter().filter(|request| request.lands_anyway.is_none()) {
            let force = pair.force(request);
            if force == Force::No || is_decided(pair, request, &requests, release, trials) {
                continue;
            }
            let doubt = match pair.matches(request, &requests, &discovery) {
                Matched::No => continue,
                Matched::Yes if force == Force::Perhaps && request.at_once => Some(Doubt::Soon),
                Matched::Yes if force == Force::Perhaps => Some(Doubt::Match(LATER.to_owned())),
                Matched::Yes if force == Force::Still => Some(Doubt::Match(STILL.to_owned())),
                Matched::Yes => None,
                Matched::Unsure(why) => Some(Doubt::Match(why)),
            };
            rule.examined();
            for outcome in judge(sources, &requests, pair, request, compiled).await {
                // One object may be asked for with several requests.
                if told.insert(format!("{} {} {} {outcome:?}", pair.name, pair.bound_by, request.id)) {
                    tell(check, &mut rule, pair, request, outcome, doubt.as_ref());
                }
            }
        }
    }
    let tried = trials.decided();
    rule.examined_many(tried);
    if policies.pairs.is_empty() {
        rule.examined_many(release.objects().len());
        return rule.conclude_with("no admission policy is bound");
    }
    let also = if tried == 0 { String::new() } else { format!(", {tried} of them tried out") };
    rule.conclude(&format!("requests that admission policies match{also}"));
}

/// Says what becomes of pods: as they came back where they were tried out and the release changes nothing that they go by,
/// else as it was worked out. Where a workload itself is changed, nobody knows its pods.
fn hand_over(
    admitted: &mut AdmittedPods,
    requests: &Requests<'_>,
    release: &Release,
    trials: &Trials,
    changed: &BTreeSet<usize>,
) {
    for (at, request) in pods(requests) {
        if takes_pods(trials, request, release) && !requests.relabels(request) {
            let tried = trials.changed().iter().filter(|(position, _)| *position == request.position);
            tried.for_each(|(position, pod)| admitted.change(*position, pod.clone()));
        } else if changed.contains(&at) {
            admitted.change(request.position, without_marks(&request.object));
        }
    }
    for request in requests.all.iter().filter(|request| request.by_policy) {
        // What a policy makes of pods is known, unless it says so.
        if !request.is_pod() || (request.changed.is_some() && !takes_pods(trials, request, release)) {
            let why = request.changed.clone();
            admitted.unclear(
                request.position,
                why.unwrap_or_else(|| "an admission policy changes it".to_owned()),
            );
        }
    }
}

/// Whether a Pod of the object behind a request was tried and taken.
fn takes_pods(trials: &Trials, request: &Request<'_>, release: &Release) -> bool {
    release.objects().get(request.position).is_some_and(|planned| trials.takes_pods_of(planned))
}

/// The pods that are made.
fn pods<'r>(requests: &'r Requests<'_>) -> impl Iterator<Item = (usize, &'r Request<'r>)> {
    let made = |request: &&Request<'_>| {
        request.is_pod()
            && request.operation == "CREATE"
            && request.subresource.is_none()
            && request.lands_anyway.is_none()
    };
    requests.all.iter().enumerate().filter(move |(_, request)| made(request))
}

/// Whether the release changes what changes pods: webhooks, policies, or labels that these go by.
fn changes_admission(release: &Release, request: &Request<'_>, requests: &Requests<'_>) -> bool {
    let kinds = ["MutatingWebhookConfiguration", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"];
    let changed = kinds.iter().any(|kind| {
        let mut of_kind = release.of_kind("admissionregistration.k8s.io", kind);
        of_kind.any(|(_, planned)| planned.action != Action::Unchanged)
    });
    changed || requests.relabels(request)
}

/// Pods that were not tried, and of which it is not known what becomes of them.
fn pods_changed(
    check: &Examination,
    requests: &Requests<'_>,
    release: &Release,
    trials: &Trials,
    error: Option<&ClusterError>,
) {
    let mut rule = check.rule(&PODS_CHANGED);
    let mut seen = BTreeSet::new();
    for (_, request) in pods(requests).filter(|(_, request)| seen.insert(request.position)) {
        rule.examined();
        // What the release changes itself, trying it out does not show.
        let own = changes_admission(release, request, requests);
        if takes_pods(trials, request, release) && !own {
            continue;
        }
        if let Some(error) = error {
            let _ = check.need::<()>(&[&PODS_CHANGED], Err(error.clone()));
        } else if let Some(why) = request.changed.as_ref().or_else(|| {
            let mut direct = requests.all.iter().filter(|other| !other.by_controller);
            direct.find(|other| other.position == request.position)?.changed.as_ref()
        }) {
            let remedy = Remediation::new("Let the release be tried out, or see what is added to pods")
                .command("kubectl get mutatingwebhookconfigurations")
                .command("kubectl get mutatingadmissionpolicies");
            let why = format!(
                "{} may be changed when they are made, and checks do not see it: {why}",
                request.told()
            );
            // Those that are made at once are made before the change counts.
            if own && !request.at_once {
                rule.unknown(why, remedy.on_one_line());
            } else {
                rule.warn(request.subject(), why, remedy);
            }
        }
    }
    // Claims that a policy changes are looked at as they are written.
    let claims = requests.all.iter().filter(|request| {
        !request.by_controller && request.by_policy && request.resource.plural == "persistentvolumeclaims"
    });
    for request in claims {
        rule.examined();
        let why = format!("a policy changes {}, and checks do not see it", request.told());
        let remedy = "write into the manifest what is changed in it";
        rule.unknown(why, remedy);
    }
    rule.conclude("workloads whose pods are made");
}

/// Why a policy of the release may not decide.
const LATER: &str =
    "the release changes it, and some of the pods are made before the API server has seen that";

/// Why a policy that the release changes may decide all the same.
const STILL: &str = "the release changes it just before, which the API server sees about a second later";

/// Why a policy may not decide.
enum Doubt {
    /// Whether it matches is not known.
    Match(String),
    /// The release changes it shortly before.
    Soon,
}

/// Policies that cannot be listed decide all the same: what was tried out they have decided.
fn without_policies(check: &Examination, release: &Release, trials: &Trials, error: ClusterError) {
    let open = release.objects().iter().filter(|planned| !trials.decides(planned));
    if open.count() > 0 {
        let _ = check.need::<()>(&[&POLICY], Err(error));
        return;
    }
    let mut rule = check.rule(&POLICY);
    rule.examined_many(trials.decided());
    rule.conclude_with(format!("{} objects and pods were tried out", trials.decided()));
}

/// Whether the API server has said so itself.
fn is_decided(
    pair: &Pair,
    request: &Request<'_>,
    requests: &Requests<'_>,
    release: &Release,
    trials: &Trials,
) -> bool {
    let Some(planned) = release.objects().get(request.position) else { return false };
    if requests.relabels(request) || pair.parameters_change(release) {
        return false;
    }
    if pair.from.is_some() || pair.until.is_some() || request.subresource.is_some() {
        return false;
    }
    match (request.by_controller, request.operation) {
        (false, _) => trials.decides_object(planned),
        // Who tries is not who will ask.
        (true, "CREATE") => request.is_pod() && trials.takes_pods_of(planned) && !pair.policy.asks_who(),
        _ => false,
    }
}

async fn judge(
    sources: Sources<'_>,
    requests: &Requests<'_>,
    pair: &Pair,
    request: &Request<'_>,
    compiled: &Compiled,
) -> Vec<Outcome> {
    let Sources { cluster, release, discovery } = sources;
    if pair.converts(request, discovery) {
        return vec![Outcome::Open("it looks at another version of the object".to_owned())];
    }
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
            rule.predict(request.subject(), format!("{what} refuses {told}, and says: {why}"), remedy)
        }
        (true, Some(Doubt::Match(unsure))) => {
            let why =
                format!("{what} refuses {told} if it counts for it ({why}), and that is not known: {unsure}");
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
