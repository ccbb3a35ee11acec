//! Trying the release out: every object as it will be applied, and a Pod of every template.

use std::collections::BTreeSet;

use futures::future::join_all;
use preflight_core::cluster::{
    Act, ClusterError, ClusterErrorKind, Identity, Reader, Refusal, Resource, Tried, Write, WriteKind,
};
use preflight_core::release::{Action, Live, Planned, Release, Serving};
use preflight_core::{Apply, Examination, FieldPath, Method};
use serde_json::Value;

use super::OF_TRIALS;
use super::fields::who_drops;
use super::pods::of_template;
use super::refusals::{self, Meaning, Touches, meaning};
use super::settings::DryRun;
use super::telling::{Telling, is_known_conflict};
use crate::changes::{Happens, last_applied, rollout};
use crate::effective::{Surroundings, created, differences};
use crate::intercept::{Pair, Policies};
use crate::updates::patch;

static PODS: Resource = Resource::namespaced("", "v1", "pods", "Pod");

/// Something that is tried.
pub(super) struct Trial<'a> {
    pub(super) planned: &'a Planned,
    /// Its place in the release.
    position: usize,
    /// The Pod that is sent, if it is one.
    pod: Option<Value>,
    /// The workload that is made, if it is one.
    workload: Option<Value>,
    /// Where the Pod's template is, if it is a Pod of one.
    pub(super) template: Option<FieldPath>,
    write: Write,
    /// What is sent where the kind's objects are not merged by keys.
    instead: Option<Write>,
}

/// What came of trying the release out: which pods are taken, by the place of their workload, and which objects were
/// decoded.
#[derive(Debug, Default)]
pub(super) struct Trials {
    taken: BTreeSet<usize>,
    /// Objects, and templates, that the API server decided about.
    objects: BTreeSet<usize>,
    templates: BTreeSet<usize>,
    /// Pods that admission changes, by the place of their workload.
    changed: Vec<(usize, Value)>,
    /// Workloads that admission changes themselves.
    workloads: Vec<(usize, String)>,
    decoded: BTreeSet<usize>,
}

impl Trials {
    /// Whether a Pod of this object was tried and taken.
    pub(super) fn takes_pods_of(&self, planned: &Planned) -> bool {
        self.taken.contains(&key(planned))
    }

    /// Whether the API server decided about this object.
    pub(super) fn decides_object(&self, planned: &Planned) -> bool {
        self.objects.contains(&key(planned))
    }

    /// Whether the API server decided about this object, and about a Pod of it if it makes any.
    pub(super) fn decides(&self, planned: &Planned) -> bool {
        let unchanged = planned.action == Action::Unchanged;
        let pods = of_template(planned).is_none() || self.templates.contains(&key(planned));
        unchanged || (self.decides_object(planned) && pods)
    }

    /// The pods that admission changes, by the place of their workload.
    pub(super) fn changed(&self) -> &[(usize, Value)] {
        &self.changed
    }

    /// Workloads that admission changes themselves, and how that is told.
    pub(super) fn workloads(&self) -> &[(usize, String)] {
        &self.workloads
    }

    /// How many objects and pods the API server decided about.
    pub(super) fn decided(&self) -> usize {
        self.objects.len() + self.templates.len()
    }

    /// Whether the API server itself has said whether it can decode this object.
    pub(super) fn decoded(&self, planned: &Planned) -> bool {
        self.decoded.contains(&key(planned))
    }
}

fn key(planned: &Planned) -> usize {
    std::ptr::from_ref(planned) as usize
}

pub(super) async fn examine(
    check: &Examination,
    cluster: &Reader,
    release: &Release,
    apply: &Apply,
    deployer: Option<&Identity>,
    setting: DryRun,
) -> Trials {
    if setting == DryRun::Never {
        check.set_aside(&OF_TRIALS, "the environment says `admission: {dry_run: never}`");
        return Trials::default();
    }
    let (trials, mut not_tried) = plan(release, apply);
    if let Some(why) = impossible(cluster, deployer).await {
        cannot(check, setting, why);
        return Trials::default();
    }
    let trying = trials.iter().map(|trial| one(cluster, trial, deployer));
    let answers = join_all(trying).await;
    if let Some(Err(error)) = answers.iter().find(|answer| {
        matches!(answer, Err(error) if error.cause().is_some() || matches!(error.kind(), ClusterErrorKind::NotRecorded))
    }) {
        match error.cause() {
            Some(_) => drop(check.need::<()>(&OF_TRIALS, Err(error.clone()))),
            None => cannot(check, setting, "a snapshot cannot be written to".to_owned()),
        }
        return Trials::default();
    }
    let touches = Touches::of(release);
    let mut telling = Telling::new(check, release.method());
    let mut trials_done = Trials::default();
    let is_changed = |(trial, answer): (&Trial<'_>, &Result<Tried, _>)| match (answer, &trial.workload) {
        (Ok(Tried::Accepted { object, .. }), Some(sent)) if object["spec"].is_object() => {
            let expected = created(sent, Surroundings { limit_range: true });
            (!differences(&expected["spec"], &object["spec"]).is_empty()).then_some(trial.position)
        }
        _ => None,
    };
    let changed: BTreeSet<usize> = trials.iter().zip(&answers).filter_map(is_changed).collect();
    let policies = refusing(cluster, release, &answers).await;
    for (trial, answer) in trials.iter().zip(answers) {
        let stands =
            matches!(&answer, Ok(Tried::Refused(refusal)) if stands(&policies, release, trial, refusal));
        if let Ok(answer) = &answer
            && (stands || is_decision(answer, &touches))
        {
            let decided =
                if trial.template.is_some() { &mut trials_done.templates } else { &mut trials_done.objects };
            decided.insert(key(trial.planned));
        }
        if trial.template.is_none() && answer.as_ref().is_ok_and(|tried| is_decoded(tried, &touches)) {
            trials_done.decoded.insert(key(trial.planned));
        }
        match answer {
            Ok(Tried::Accepted { warnings, object }) => {
                telling.accepted(trial, &warnings);
                // A LimitRange fills in what other checks work out for themselves.
                let surroundings = Surroundings { limit_range: true };
                let expected = trial.pod.as_ref().map(|pod| created(pod, surroundings));
                if expected.is_some_and(|expected| !differences(&expected, &object).is_empty()) {
                    trials_done.changed.push((trial.position, *object));
                }
                if trial.template.is_some() || trial.planned.object.kind() == "Pod" {
                    trials_done.taken.insert(key(trial.planned));
                }
            }
            // What is there is deleted first.
            Ok(Tried::Refused(refusal))
                if refusal.code == 409 && trial.planned.is_made_anew(release.method()) => {}
            // It is told by the check that looks at changes.
            Ok(Tried::Refused(refusal)) if refusal.code == 409 && is_known_conflict(trial, apply) => {
                telling.decided(trial)
            }
            Ok(Tried::Refused(refusal)) => {
                let mut meaning = meaning(&refusal, &touches);
                if meaning == Meaning::Elsewhere && stands {
                    meaning = Meaning::Denied;
                }
                let denied = matches!(meaning, Meaning::Denied | Meaning::Invalid(_));
                if denied && trial.template.is_some() && changed.contains(&trial.position) {
                    meaning = Meaning::Unclear("the workload is changed when it is applied");
                }
                if trial.template.is_some() && goes_by_who_asks(&policies, &refusal) {
                    meaning = Meaning::Unclear("the policy goes by who asks, which a controller will do");
                }
                telling.refused(trial, &refusal, meaning, &mut not_tried);
            }
            Ok(_) => {}
            Err(error) => not_tried.push(error.to_string()),
        }
    }
    let why = |position| (position, "it is changed when it is applied".to_owned());
    trials_done.workloads = changed.into_iter().map(why).collect();
    telling.conclude(setting, &not_tried);
    trials_done
}

/// Whether it says what policies make of it.
fn is_decision(answer: &Tried, touches: &Touches) -> bool {
    match answer {
        Tried::Accepted { .. } => true,
        Tried::Refused(refusal) => matches!(meaning(refusal, touches), Meaning::Denied | Meaning::Invalid(_)),
        _ => false,
    }
}

/// Whether it was decoded, or refused because it could not be. Permissions come before that, everything else after.
fn is_decoded(tried: &Tried, touches: &Touches) -> bool {
    match tried {
        Tried::Accepted { .. } => true,
        Tried::Refused(refusal) => match meaning(refusal, touches) {
            Meaning::NotAllowed | Meaning::Undecided => false,
            _ => matches!(refusal.code, 400 | 403 | 409 | 422 | 500),
        },
        _ => false,
    }
}

/// The policies, where one of them refuses something; none where they cannot be listed.
async fn refusing(cluster: &Reader, release: &Release, answers: &[Result<Tried, ClusterError>]) -> Policies {
    let by_policy = |answer: &Result<Tried, ClusterError>| matches!(answer, Ok(Tried::Refused(refusal)) if refusals::policy(refusal).is_some());
    match answers.iter().any(by_policy) {
        true => Policies::of(cluster, release).await.unwrap_or_default(),
        false => Policies::default(),
    }
}

/// Whether a policy refuses, and nothing that the release changes is what it goes by.
fn stands(policies: &Policies, release: &Release, trial: &Trial<'_>, refusal: &Refusal) -> bool {
    let Some(name) = refusals::policy(refusal).filter(|_| refusals::is_judged(refusal)) else { return false };
    let relabelled = release.of_kind("", "Namespace").any(|(_, planned)| {
        planned.object.name() == trial.planned.namespace.as_deref() && planned.action != Action::Unchanged
    });
    let mut own = policies.pairs.iter().filter(|pair| pair.name == name).peekable();
    let known = own.peek().is_some();
    let same = |pair: &Pair| pair.from.is_none() && pair.until.is_none() && !pair.parameters_change(release);
    !relabelled && known && own.all(same)
}

/// Whether a policy refuses that looks at who asks.
fn goes_by_who_asks(policies: &Policies, refusal: &Refusal) -> bool {
    let Some(name) = refusals::policy(refusal) else { return false };
    policies.pairs.iter().any(|pair| pair.name == name && pair.policy.asks_who())
}

/// Why nothing can be tried as the one who deploys.
async fn impossible(cluster: &Reader, deployer: Option<&Identity>) -> Option<String> {
    let deployer = deployer?;
    let act = Act::resource("impersonate", "", "users", None, None, Some(&deployer.user));
    match cluster.may(None, &act).await {
        Ok(permission) if permission.allowed => None,
        Ok(_) => Some(format!("one may not act as {}", deployer.user)),
        Err(error) => Some(error.to_string()),
    }
}

pub(super) fn cannot(check: &Examination, setting: DryRun, why: String) {
    match setting {
        DryRun::Required => check.unknown(
            &OF_TRIALS,
            format!("the release cannot be tried out: {why}"),
            "let the identity write what it is to try, or set `admission: {dry_run: auto}`",
        ),
        _ => check.set_aside(&OF_TRIALS, &format!("the release is not tried out: {why}")),
    }
}

/// What is tried, and why some of it is not.
fn plan<'a>(release: &'a Release, apply: &Apply) -> (Vec<Trial<'a>>, Vec<String>) {
    let (mut trials, mut not_tried) = (Vec::new(), Vec::new());
    let coming: BTreeSet<&str> = release
        .of_kind("", "Namespace")
        .filter(|(_, planned)| matches!(planned.live, Live::Absent))
        .filter_map(|(_, planned)| planned.object.name())
        .collect();
    for (position, planned) in release.objects().iter().enumerate() {
        let id = planned.object.id();
        if planned.namespace.as_deref().is_some_and(|namespace| coming.contains(namespace)) {
            not_tried.push(format!("the namespace of {id} comes with the release"));
            continue;
        }
        if changes_with_release(planned, release) {
            not_tried.push(format!("the definition of {id} changes with the release"));
            continue;
        }
        match writes(planned, apply) {
            Ok(Some((write, instead))) => {
                let pod = (planned.object.kind() == "Pod" && matches!(planned.live, Live::Absent))
                    .then(|| (*planned.effective).clone());
                let makes = planned.object.pod_template().is_some() && planned.object.kind() != "Pod";
                let workload =
                    (makes && matches!(planned.live, Live::Absent)).then(|| (*planned.effective).clone());
                trials.push(Trial { planned, position, pod, workload, template: None, write, instead });
            }
            Ok(None) => {}
            Err(why) => not_tried.push(format!("{id}: {why}")),
        }
        let starts = rollout(planned, release.method()).pods == Happens::Yes;
        if let (Some(made), Some(namespace), true) =
            (of_template(planned), planned.namespace.as_deref(), starts)
        {
            let pod = made.pod(planned, namespace);
            let write = Write::new(
                WriteKind::Create,
                PODS.path(Some(namespace)),
                "kube-controller-manager",
                pod.clone(),
            );
            let (pod, template) = (Some(pod), Some(made.path));
            trials.push(Trial { planned, position, pod, workload: None, template, write, instead: None });
        }
    }
    for trial in trials.iter_mut().filter(|trial| who_drops(trial.planned, apply.method).is_some()) {
        trial.write.drop_unknown_fields();
        trial.instead.iter_mut().for_each(Write::drop_unknown_fields);
    }
    (trials, not_tried)
}

/// Whether the release changes what custom resources of that kind may be.
fn changes_with_release(planned: &Planned, release: &Release) -> bool {
    let Some(resource) = planned.serving.resource() else { return false };
    let name = resource.group_resource();
    let mut definitions = release.of_kind("apiextensions.k8s.io", "CustomResourceDefinition");
    definitions.any(|(_, own)| own.object.name() == Some(&name) && own.action != Action::Unchanged)
}

/// The write with which an object is applied; none where nothing is sent.
fn writes(planned: &Planned, apply: &Apply) -> Result<Option<(Write, Option<Write>)>, &'static str> {
    let resource = match &planned.serving {
        Serving::Cluster(resource) => resource,
        Serving::Release { .. } => return Err("its kind comes with the release"),
        _ => return Ok(None),
    };
    let list = resource.path(planned.namespace.as_deref());
    let wanted = &*planned.effective;
    let (manager, by_kubectl) = match apply.method {
        Method::Client => ("kubectl-client-side-apply", true),
        Method::Argocd => ("argocd-controller", true),
        Method::Helm => ("helm", false),
        _ => ("kubectl-create", false),
    };
    let Some(name) = planned.object.name() else {
        return Ok(Some((Write::new(WriteKind::Create, list, manager, wanted.clone()), None)));
    };
    let path = format!("{list}/{name}");
    if apply.method == Method::Server {
        let manager = apply.field_manager.as_deref().unwrap_or("kubectl");
        let write = Write::new(WriteKind::Apply { force: apply.force }, path, manager, wanted.clone());
        return Ok(Some((write, None)));
    }
    let body = if by_kubectl { patch::annotated(wanted) } else { wanted.clone() };
    match (&planned.live, planned.action) {
        (_, Action::Unchanged) => Ok(None),
        (Live::Unknown(_), _) => Err("what is there could not be looked at"),
        (Live::Absent, _) => {
            let body = if by_kubectl { patch::without_nulls(body) } else { body };
            Ok(Some((Write::new(WriteKind::Create, list, manager, body), None)))
        }
        // `kubectl create` refuses whatever is there, and that is told elsewhere.
        (Live::Present(_), _) if apply.method == Method::Create => Ok(None),
        (Live::Present(live), _) => {
            let before = if by_kubectl { last_applied(live).unwrap_or_default() } else { Value::Null };
            let strategic = patch::strategic(&before, live, &body);
            let merging = patch::merging(&before, &body);
            let instead = Write::new(WriteKind::Merge, path.clone(), manager, merging);
            Ok(Some((Write::new(WriteKind::StrategicMerge, path, manager, strategic), Some(instead))))
        }
        _ => Ok(None),
    }
}

async fn one(
    cluster: &Reader,
    trial: &Trial<'_>,
    deployer: Option<&Identity>,
) -> Result<Tried, ClusterError> {
    let tried = cluster.try_out(trial.write.clone(), deployer).await?;
    match (&tried, &trial.instead) {
        // Custom resources are not merged by keys.
        (Tried::Refused(refusal), Some(instead)) if refusal.code == 415 => {
            cluster.try_out(instead.clone(), deployer).await
        }
        _ => Ok(tried),
    }
}
