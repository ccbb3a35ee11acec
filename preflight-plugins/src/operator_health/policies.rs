//! Admission policies in CEL that match the release, validating and mutating ones: can they be evaluated at all?

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;
use preflight_core::cluster::{ClusterError, ClusterErrorKind, Discovery, Listed, Lookup, Reader};
use preflight_core::release::Release;
use preflight_core::{Examination, Remediation, RuleCheck, view};
use serde::Deserialize;
use serde_json::Value;

use super::ADMISSION_POLICY;
use super::requests::{Request, Requests};
use super::webhooks::{Criteria, Matched, Whose};
use crate::labels;

/// A ValidatingAdmissionPolicy, as far as it is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Policy {
    spec: PolicySpec,
}

view!(Policy: cluster "admissionregistration.k8s.io" "v1" "validatingadmissionpolicies" "ValidatingAdmissionPolicy");

/// A MutatingAdmissionPolicy, in the same part.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MutatingPolicy {
    spec: PolicySpec,
}

view!(MutatingPolicy: cluster "admissionregistration.k8s.io" "v1" "mutatingadmissionpolicies" "MutatingAdmissionPolicy");

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PolicySpec {
    param_kind: Option<ParamKind>,
    failure_policy: Option<String>,
    match_constraints: Criteria,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ParamKind {
    api_version: String,
    kind: String,
}

/// A ValidatingAdmissionPolicyBinding, as far as it is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Binding {
    spec: BindingSpec,
}

view!(Binding: cluster "admissionregistration.k8s.io" "v1" "validatingadmissionpolicybindings" "ValidatingAdmissionPolicyBinding");

/// A MutatingAdmissionPolicyBinding, in the same part.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MutatingBinding {
    spec: BindingSpec,
}

view!(MutatingBinding: cluster "admissionregistration.k8s.io" "v1" "mutatingadmissionpolicybindings" "MutatingAdmissionPolicyBinding");

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct BindingSpec {
    policy_name: String,
    param_ref: Option<ParamRef>,
    match_resources: Option<Criteria>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ParamRef {
    name: Option<String>,
    namespace: Option<String>,
    selector: Option<Value>,
    parameter_not_found_action: Option<String>,
}

/// A kind of policy: its name, and that of its bindings.
#[derive(Clone, Copy)]
enum Kind {
    Validating,
    Mutating,
}

impl Kind {
    const fn plural(self) -> &'static str {
        match self {
            Self::Validating => "validatingadmissionpolicy",
            Self::Mutating => "mutatingadmissionpolicy",
        }
    }
}

/// A policy with one of its bindings.
struct Pair<'a> {
    kind: Kind,
    name: &'a str,
    binding: &'a BindingSpec,
    policy: &'a PolicySpec,
}

pub(super) async fn examine(
    check: &Examination,
    cluster: &Reader,
    release: &Release,
    requests: &Requests<'_>,
) {
    let (validating, bindings, mutating, mutating_bindings, discovery) = futures::join!(
        cluster.list::<Policy>(),
        cluster.list::<Binding>(),
        cluster.list::<MutatingPolicy>(),
        cluster.list::<MutatingBinding>(),
        cluster.discovery(),
    );
    let Some(discovery) = check.need(&[&ADMISSION_POLICY], discovery) else { return };
    let (validating, bindings) = (served(check, validating), served(check, bindings));
    let (mutating, mutating_bindings) = (served(check, mutating), served(check, mutating_bindings));
    let mut pairs = Vec::new();
    for (_, name, binding) in bindings.iter().flat_map(|list| list.iter()) {
        let policy = validating.as_ref().and_then(|list| list.get(&binding.spec.policy_name));
        pairs.extend(policy.map(|policy| Pair {
            kind: Kind::Validating,
            name,
            binding: &binding.spec,
            policy: &policy.spec,
        }));
    }
    for (_, name, binding) in mutating_bindings.iter().flat_map(|list| list.iter()) {
        let policy = mutating.as_ref().and_then(|list| list.get(&binding.spec.policy_name));
        pairs.extend(policy.map(|policy| Pair {
            kind: Kind::Mutating,
            name,
            binding: &binding.spec,
            policy: &policy.spec,
        }));
    }
    let mut rule = check.rule(&ADMISSION_POLICY);
    let matching = pairs.iter().flat_map(|pair| matching(pair, requests, &discovery));
    let bound = matching.map(|(pair, request, unsure)| {
        let discovery = &discovery;
        async move {
            let problem = problem(pair.policy, pair.binding, request, discovery, cluster, release).await;
            let problem = match (problem, unsure) {
                (Problem::Refuses(why) | Problem::Passes(why), Some(unsure)) => {
                    Problem::Unknown(format!("{why}; whether it matches is not known: {unsure}"))
                }
                (problem, _) => problem,
            };
            Bound { pair, request, problem }
        }
    });
    for bound in join_all(bound).await {
        bound.tell(check, &mut rule);
    }
    rule.conclude("bindings of admission policies that match the release");
}

/// The list, if it could be had. Older servers have no such kind, and then there are none.
fn served<V>(check: &Examination, listed: Result<Arc<Listed<V>>, ClusterError>) -> Option<Arc<Listed<V>>> {
    match listed {
        Err(error) if matches!(error.kind(), ClusterErrorKind::NotFound) => None,
        listed => check.need(&[&ADMISSION_POLICY], listed),
    }
}

/// A binding that matches something of the release.
struct Bound<'a> {
    pair: &'a Pair<'a>,
    request: &'a Request<'a>,
    problem: Problem,
}

enum Problem {
    None,
    /// The policy cannot be evaluated, and what it matches is refused.
    Refuses(String),
    /// It cannot be evaluated, and that changes nothing.
    Passes(String),
    Unknown(String),
}

/// The requests that a binding matches, and why that is not sure, if it is not: of each namespace the first one, and
/// the first one that is sure, for what is wrong with the parameters is wrong for all of them.
fn matching<'a>(
    pair: &'a Pair<'a>,
    requests: &'a Requests<'_>,
    discovery: &Discovery,
) -> Vec<(&'a Pair<'a>, &'a Request<'a>, Option<String>)> {
    let by = |criteria: &Criteria, request: &Request<'_>| {
        criteria.matches(Whose::Policy, request, &requests.namespaces, discovery)
    };
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for request in requests.all.iter().filter(|request| request.lands_anyway.is_none()) {
        let bound = pair.binding.match_resources.as_ref().map(|criteria| by(criteria, request));
        let unsure = match (by(&pair.policy.match_constraints, request), bound) {
            (Matched::No, _) | (_, Some(Matched::No)) => continue,
            (Matched::Unsure(why), _) | (_, Some(Matched::Unsure(why))) => Some(why),
            (Matched::Yes, _) => None,
        };
        if seen.insert((request.namespace, unsure.is_some())) {
            all.push((pair, request, unsure));
        }
    }
    all
}

impl Bound<'_> {
    fn tell(self, check: &Examination, rule: &mut RuleCheck<'_>) {
        rule.examined();
        let told = |why: &str| {
            format!(
                "The policy {} (binding {}) matches {} and cannot be evaluated: {why}",
                self.pair.binding.policy_name,
                self.pair.name,
                self.request.told()
            )
        };
        let remedy = Remediation::new("Bring its parameters, or mend the policy and its binding")
            .command(format!("kubectl get {}binding {} -o yaml", self.pair.kind.plural(), self.pair.name))
            .command(format!(
                "kubectl get {} {} -o yaml",
                self.pair.kind.plural(),
                self.pair.binding.policy_name
            ));
        match &self.problem {
            Problem::None => {}
            Problem::Refuses(why) => rule.predict(self.request.subject(), told(why), remedy),
            Problem::Passes(why) => rule.warn(self.request.subject(), told(why), remedy),
            Problem::Unknown(why) => check.unknown(&[&ADMISSION_POLICY], told(why), remedy.on_one_line()),
        }
    }
}

/// What keeps the policy from being evaluated
/// (`staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/generic/policy_dispatcher.go`, `CollectParams`, v1.36).
async fn problem(
    policy: &PolicySpec,
    binding: &BindingSpec,
    request: &Request<'_>,
    discovery: &Discovery,
    cluster: &Reader,
    release: &Release,
) -> Problem {
    let ignores = policy.failure_policy.as_deref() == Some("Ignore");
    let broken = |why: String| if ignores { Problem::Passes(why) } else { Problem::Refuses(why) };
    let (kind, reference) = match (&policy.param_kind, &binding.param_ref) {
        (Some(kind), Some(reference)) => (kind, reference),
        // Without a reference it is evaluated with no parameters.
        _ => return Problem::None,
    };
    let (group, version) = kind.api_version.split_once('/').unwrap_or(("", &kind.api_version));
    let served = match discovery.lookup(group, version, &kind.kind) {
        Lookup::Served(served) => served.resource.clone(),
        Lookup::Unavailable => {
            return Problem::Unknown(format!("what serves {} does not answer", kind.api_version));
        }
        _ => {
            return broken(format!(
                "the kind of its parameters, {} {}, is not served",
                kind.api_version, kind.kind
            ));
        }
    };
    let namespace = match (served.namespaced, &reference.namespace) {
        (false, Some(_)) => {
            return broken("its binding names a namespace, and its parameters have none".to_owned());
        }
        (false, None) => None,
        (true, Some(named)) => Some(named.clone()),
        // A Namespace is taken to be in itself.
        (true, None) if request.resource.group.is_empty() && request.resource.plural == "namespaces" => {
            request.name.clone()
        }
        (true, None) => match request.namespace {
            Some(own) => Some(own.to_owned()),
            None => {
                return broken(
                    "its parameters are in the namespace of what it judges, which has none".to_owned(),
                );
            }
        },
    };
    let denies = reference.parameter_not_found_action.as_deref() == Some("Deny");
    let missing = |what: String| if denies { broken(what) } else { Problem::None };
    let of_release = release.of_kind(&served.group, &served.kind);
    let mut coming = of_release
        // Controllers try again until they are there.
        .filter(|(position, planned)| {
            (request.by_controller || *position < request.position) && planned.namespace == namespace
        })
        .map(|(_, planned)| planned);
    if let Some(name) = &reference.name {
        if coming.any(|planned| planned.object.name() == Some(name)) {
            return Problem::None;
        }
        return match cluster.get(&served, namespace.as_deref(), name).await {
            Ok(Some(_)) => Problem::None,
            Ok(None) => missing(format!("its parameters, {} {name}, do not exist", served.kind)),
            Err(error) => Problem::Unknown(error.to_string()),
        };
    }
    let selector = reference.selector.clone().unwrap_or_default();
    if !denies || coming.any(|planned| labels::selects(&selector, &labels::of(&planned.effective))) {
        return Problem::None;
    }
    let query = labels::query(&selector).unwrap_or_default();
    match cluster.select(&served, namespace.as_deref(), &query).await {
        Ok(found) if found.is_empty() => {
            missing(format!("no {} is selected for its parameters", served.kind))
        }
        Ok(_) => Problem::None,
        Err(error) => Problem::Unknown(error.to_string()),
    }
}
